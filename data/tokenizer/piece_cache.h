/* piece_cache: the tokens of the pieces of text that a thread saw last. Most words of a text stood
 * in it before, and looking one up is many times cheaper than encoding it again. Direct-mapped: a
 * piece takes the place of another with the same slot; long pieces, and those of many tokens, are
 * not kept. */
#ifndef HONE_DATA_TOKENIZER_PIECE_CACHE_H
#define HONE_DATA_TOKENIZER_PIECE_CACHE_H

#include "data/tokenizer/spans.h"

#include <stdbool.h>

/* Start with {0}; memory (0.6 MB) comes with the first piece. One a thread. */
typedef struct PieceSlot PieceSlot;
typedef struct PieceCache {
    PieceSlot *slots;
} PieceCache;

/* Appends the tokens of piece[n]; false when it is not there. */
bool piece_cache_find(PieceCache *c, Spans *out, const char *piece, size_t n);
/* The tokens of piece[n] are those of `s` from `from` on. */
void piece_cache_keep(PieceCache *c, const char *piece, size_t n, const Spans *s, size_t from);
void piece_cache_free(PieceCache *c);

#endif
