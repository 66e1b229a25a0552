/* pretokenize: the `pre_tokenizer` of a tokenizer.json, a chain of steps that cut text into the
 * pieces which the model sees one by one. */
#ifndef HONE_DATA_TOKENIZER_PRETOKENIZE_H
#define HONE_DATA_TOKENIZER_PRETOKENIZE_H

#include "core/io/json.h"
#include "core/regex.h"
#include "data/tokenizer/tagged.h"

/* GPT-2's way to cut text, which ByteLevel has built in. */
#define PRETOKENIZE_GPT2 \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

typedef enum PretokenizeKind {
    PRETOKENIZE_BYTE_LEVEL, /* cuts by GPT-2's pattern (unless use_regex is off), maps bytes */
    PRETOKENIZE_SPLIT,      /* by a regex or a literal */
    PRETOKENIZE_METASPACE,  /* blanks become U+2581 */
    PRETOKENIZE_DIGITS,
    PRETOKENIZE_PUNCTUATION,
    PRETOKENIZE_SPACE,  /* WhitespaceSplit */
    PRETOKENIZE_CHAR,   /* CharDelimiterSplit */
    PRETOKENIZE_SCRIPT, /* UnicodeScripts: where another script begins */
    PRETOKENIZE_LENGTH, /* FixedLength */
} PretokenizeKind;

/* What becomes of the matches of a pattern. */
typedef enum SplitBehavior {
    SPLIT_REMOVED,
    SPLIT_ISOLATED,
    SPLIT_CONTIGUOUS,
    SPLIT_PREVIOUS, /* MergedWithPrevious */
    SPLIT_NEXT,     /* MergedWithNext */
} SplitBehavior;

typedef enum PrependScheme { PREPEND_ALWAYS, PREPEND_FIRST, PREPEND_NEVER } PrependScheme;

typedef struct PretokenizeStep {
    PretokenizeKind kind;
    SplitBehavior behavior;
    bool invert;           /* SPLIT: the pattern says what is kept */
    Regex *regex;          /* SPLIT, BYTE_LEVEL; or */
    char *literal;         /* SPLIT: the text to split at; METASPACE: what stands for a blank */
    bool add_prefix_space; /* BYTE_LEVEL */
    PrependScheme prepend; /* METASPACE */
    bool split;            /* METASPACE: cut before each blank */
    uint32_t character;    /* CHAR */
    int64_t length;        /* LENGTH: characters of a piece */
} PretokenizeStep;

typedef struct Pretokenizer {
    PretokenizeStep *step; /* [n] */
    size_t n, cap;
} Pretokenizer;

typedef struct PretokenizeScratch {
    Pieces matches, spare;
    Tagged text;
} PretokenizeScratch;

/* From the section's JSON (NULL or null: the text stays whole). */
Status pretokenizer_read(Pretokenizer *out, const Json *section, const char *where);
/* Adds a step; takes over what it owns. */
void pretokenizer_add(Pretokenizer *p, PretokenizeStep step);
void pretokenizer_free(Pretokenizer *p);

/* Cuts the text pieces, in place; added tokens among them stay. `text` may be rewritten too. */
Status pretokenizer_apply(const Pretokenizer *p, PretokenizeScratch *w, RegexScratch *rw,
                          Tagged *text, Pieces *pieces);
void pretokenize_scratch_free(PretokenizeScratch *w);

/* GPT-2's alphabet: the character that stands for a byte, and back (-1: it stands for none). */
uint32_t pretokenize_byte_char(unsigned char byte);
int pretokenize_char_byte(uint32_t c);

#endif
