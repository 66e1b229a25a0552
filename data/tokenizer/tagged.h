/* tagged: text on its way through the tokenizer. Each byte carries a tag that says where it comes
 * from, and every step that rewrites text hands the tags on. Plain text has one tag for all. */
#ifndef HONE_DATA_TOKENIZER_TAGGED_H
#define HONE_DATA_TOKENIZER_TAGGED_H

#include "core/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The tags are the SEGMENT_ flags of tokenizer.h. */
typedef struct Tagged {
    Str text;
    uint8_t *tag; /* [text.len] or unused while `uniform` */
    size_t tag_cap;
    bool uniform; /* all bytes have `same` */
    uint8_t same;
} Tagged;

/* A part of a Tagged. */
typedef struct Piece {
    size_t at, n;
    int32_t token; /* >= 0: this is an added token, not text */
    bool first;    /* begins where the input begins */
} Piece;

typedef struct Pieces {
    Piece *piece; /* [n] */
    size_t n, cap;
} Pieces;

void tagged_free(Tagged *t);
/* Empties it; `like` says whether tags are kept (NULL: one tag, `same` as it is). */
void tagged_reset(Tagged *t, const Tagged *like);
/* Appends bytes that all have the tag. */
void tagged_append(Tagged *t, const char *text, size_t n, uint8_t tag);
/* Appends source[at..at+n) with its tags. */
void tagged_copy(Tagged *t, const Tagged *source, size_t at, size_t n);
/* Changes from one tag to tag by tag. */
void tagged_spread(Tagged *t);

uint8_t tagged_at(const Tagged *t, size_t i);
/* Of a part: SEGMENT_SPECIAL if all bytes have it, SEGMENT_MASK if any has it. */
uint8_t tagged_over(const Tagged *t, size_t at, size_t n);

void pieces_push(Pieces *p, Piece piece);
void pieces_free(Pieces *p);

#endif
