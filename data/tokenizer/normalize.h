/* normalize: the `normalizer` of a tokenizer.json, a chain of steps over text. */
#ifndef HONE_DATA_TOKENIZER_NORMALIZE_H
#define HONE_DATA_TOKENIZER_NORMALIZE_H

#include "core/io/json.h"
#include "data/tokenizer/charsmap.h"
#include "core/regex.h"
#include "data/tokenizer/tagged.h"
#include "data/tokenizer/unicode.h"

typedef enum NormalizeKind {
    NORMALIZE_FORM,
    NORMALIZE_LOWERCASE,
    NORMALIZE_PREPEND,
    NORMALIZE_REPLACE,
    NORMALIZE_STRIP,
    NORMALIZE_STRIP_ACCENTS,
    NORMALIZE_CLEAN,        /* Bert's: control characters out, white space to blanks */
    NORMALIZE_CHINESE,      /* Bert's: blanks around CJK ideographs */
    NORMALIZE_BERT_ACCENTS, /* marks that take no space, after NFD */
    NORMALIZE_COLLAPSE,     /* SentencePiece's remove_extra_whitespaces */
    NORMALIZE_TRIM,         /* the same at the end, after blanks have become signs */
    NORMALIZE_NMT,          /* SentencePiece's older clean-up, of single characters */
    NORMALIZE_BYTES,        /* ByteLevel: each byte by its letter in GPT-2's alphabet */
    NORMALIZE_CHARSMAP,     /* Precompiled: SentencePiece's compiled rules */
} NormalizeKind;

typedef struct NormalizeStep {
    NormalizeKind kind;
    UnicodeForm form; /* FORM */
    char *from;       /* REPLACE: a literal, unless `regex`; TRIM: the sign */
    char *to;         /* REPLACE, PREPEND */
    Regex *regex;
    bool left, right; /* STRIP */
    Charsmap *charsmap;
    CharsmapMatch match; /* CHARSMAP; SHORTEST: of a cluster of at most 5 bytes all is replaced */
} NormalizeStep;

typedef struct Normalizer {
    NormalizeStep *step; /* [n] */
    size_t n, cap;
} Normalizer;

typedef struct NormalizeScratch {
    Tagged a, b;
    Str chunk;
} NormalizeScratch;

/* From the section's JSON (NULL or null: nothing to do). ERR_DATA names a kind that is not read. */
Status normalizer_read(Normalizer *out, const Json *section, const char *where);
/* Adds a step; takes over what it owns. */
void normalizer_add(Normalizer *z, NormalizeStep step);
/* Takes all steps of the kind out; were there any? */
bool normalizer_drop(Normalizer *z, NormalizeKind kind);
void normalizer_free(Normalizer *z);

/* Appends source[at..at+n), normalised, to `out`. */
Status normalizer_apply(const Normalizer *z, NormalizeScratch *w, RegexScratch *rw, Tagged *out,
                        const Tagged *source, size_t at, size_t n);
void normalize_scratch_free(NormalizeScratch *w);

#endif
