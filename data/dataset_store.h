/* Inside data/: how a data set lies in memory.
 *
 *     ids, labels   all tokens of all sequences, end to end
 *     seq_start     where each sequence begins
 *     unit_seq      which sequences make a unit: a row (1), a pair (chosen, rejected), a packed row
 * (any) item_unit     which unit stands at a place of an epoch (weights repeat or leave out units)
 */
#ifndef HONE_DATA_DATASET_STORE_H
#define HONE_DATA_DATASET_STORE_H

#include "core/sha256.h"
#include "core/str.h"
#include "data/dataset.h"
#include "data/spill.h"

typedef struct UnitOrigin {
    int64_t file; /* index into Dataset.files */
    int64_t line;
    int64_t row; /* of all that were read, from 0: a row may give several units */
} UnitOrigin;

/* Grows as rows come in; every array has one entry a unit unless it says otherwise. */
typedef struct DatasetStore {
    int32_t *ids, *labels; /* [n_tokens] labels: NULL unless SFT */
    int64_t n_tokens, cap_tokens;
    int64_t *seq_start; /* [n_seqs+1] */
    int64_t n_seqs, cap_seqs;
    int64_t *unit_seq; /* [n_units+1] first sequence */
    UnitOrigin *origin;
    double *margin;
    size_t *prompt_at, *row_at; /* offsets into texts; PROMPT only */
    int64_t *n_targets;         /* rows with a loss, once shifted */
    int64_t n_units, cap_units;
    char *texts; /* [n_text] */
    int64_t n_text, cap_text;
    Spill *spill;               /* where the arrays lie; NULL: in memory */
    struct Safetensors *mapped; /* the file that all arrays lie in; NULL: in memory of their own */
} DatasetStore;

struct Dataset {
    DatasetKind kind;
    int64_t max_length; /* for messages */
    DatasetStore store;
    char **files; /* [n_files] */
    int32_t n_files;
    int64_t *item_unit; /* [n_items] */
    int64_t *item_seq;  /* [n_items+1] seq_id of each item's first sequence */
    int64_t n_items;
    bool has_margin;
    Str notes; /* lines for dataset_log: formats, unused columns */
    DatasetCounts counts;
    char digest[SHA256_HEX];
};

/* Gives back what it holds; *d is {0} then. */
void dataset_clear(Dataset *d);

/* What one unit is made of; borrowed during the call. */
typedef struct StoreSeq {
    const int32_t *ids, *labels; /* [n] labels may be NULL */
    int64_t n;
} StoreSeq;

/* `spill_folder`: where arrays lie while they grow; NULL: in memory. */
void store_begin(DatasetStore *s, bool with_labels, const char *spill_folder);
void store_free(DatasetStore *s);
/* prompt and row: NUL-terminated or NULL. */
void store_add(DatasetStore *s, const StoreSeq *seqs, int64_t n_seqs, UnitOrigin origin,
               double margin, const char *prompt, const char *row);

/* Reads all sources into d->store and d->counts; `unit_end` [n_sources] gets where each ends. */
Status dataset_read(Dataset *d, const DatasetOptions *o, int64_t *unit_end);

#endif
