/* detokenize: the `decoder` of a tokenizer.json: token texts to bytes, one token after another. */
#ifndef HONE_DATA_TOKENIZER_DETOKENIZE_H
#define HONE_DATA_TOKENIZER_DETOKENIZE_H

#include "core/io/json.h"
#include "core/status.h"
#include "core/str.h"
#include "data/tokenizer/tokenizer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum DetokenizeKind {
    DETOKENIZE_BYTE_LEVEL,
    DETOKENIZE_BYTE_FALLBACK,
    DETOKENIZE_REPLACE,
    DETOKENIZE_METASPACE,
    DETOKENIZE_WORDPIECE,
    DETOKENIZE_STRIP,
    DETOKENIZE_CTC,
} DetokenizeKind;

typedef enum StripWhere {
    STRIP_TOKEN, /* of each token */
    STRIP_FIRST, /* of the first one: of the whole text */
    STRIP_START, /* of each one until some text has come out */
} StripWhere;

typedef struct DetokenizeStep {
    DetokenizeKind kind;
    char *from, *to; /* REPLACE; METASPACE, STRIP and WORDPIECE: `from` is the sign; CTC: `from` is
                        the padding between repeated letters, `to` stands between words */
    int64_t count;   /* STRIP: at most so many, */
    StripWhere where;
    bool first;   /* METASPACE: the sign is dropped from the first token */
    bool cleanup; /* WORDPIECE, CTC */
} DetokenizeStep;

typedef struct Detokenizer {
    DetokenizeStep *step; /* [n] */
    size_t n, cap;
    bool joined; /* there is no decoder: tokens stand side by side with blanks between */
    bool bytes;  /* some step gives bytes that are not whole characters */
    bool apart;  /* of a run of byte tokens that is no text, what is one is kept */
} Detokenizer;

/* From the section's JSON. ERR_DATA names a kind that is not read. */
Status detokenizer_read(Detokenizer *out, const Json *section, const char *where);
/* Adds a step; takes over what it owns. */
void detokenizer_add(Detokenizer *d, DetokenizeStep step);
void detokenizer_free(Detokenizer *d);

/* Appends what the token text gives; `s` says what came before (its tokenizer and flags are not
 * looked at). */
void detokenizer_push(const Detokenizer *d, TokenStream *s, Str *out, const char *token, size_t n);
/* Appends what is held, as U+FFFD where it is no character. */
void detokenizer_finish(const Detokenizer *d, TokenStream *s, Str *out);

#endif
