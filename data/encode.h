/* encode: a record to token ids, labels and a verdict, by TRL's rules (see dataset.h). One row at a
 * time, without shared state: any number of threads may encode with one Encoder. */
#ifndef HONE_DATA_ENCODE_H
#define HONE_DATA_ENCODE_H

#include "core/str.h"
#include "data/dataset.h"
#include "data/formats/record.h"
#include "data/tokenizer/tokenizer.h"

typedef enum EncodeFate {
    ENCODE_KEEP,
    ENCODE_OVER_LONG,
    ENCODE_EMPTY,
    ENCODE_NO_LABEL,
    ENCODE_IDENTICAL,
} EncodeFate;

typedef struct Encoder {
    const DatasetOptions *options;
    const char *eos; /* what is appended to texts; NULL: nothing */
} Encoder;

/* ERR_CONFIG when eos_token is no token of the tokenizer. Warns when there is no EOS to append. */
Status encoder_init(Encoder *e, const DatasetOptions *options);

typedef struct Encoded {
    EncodeFate fate;
    bool truncated, prefix_mismatch;
    TokenIds ids;      /* SFT, PROMPT: the row; PREFERENCE: chosen */
    TokenIds rejected; /* PREFERENCE */
    int32_t *labels;   /* [ids.n] SFT, else NULL; ROWS_NO_TARGET where there is no loss */
    double margin;
    bool has_margin;
    Str prompt; /* PROMPT: its text */
} Encoded;

/* ERR_DATA: a bad row; ERR_CONFIG: the options ask for what no such row can give. `out` is {0}
 * before and encoded_free'd by the caller in any case. */
Status encode_record(Encoded *out, const Encoder *e, const RowView *v, Record *r);
void encoded_free(Encoded *x);

#endif
