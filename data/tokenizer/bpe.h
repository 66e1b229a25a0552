/* bpe: byte pair encoding. A piece begins as its characters; the adjacent pair whose merge has the
 * lowest rank (leftmost on ties) becomes one token, until no pair has a merge.
 *
 *     "low" with merges  l o -> lo (rank 0),  lo w -> low (rank 1)
 *     l o w  ->  lo w  ->  low
 *
 * One model for three kinds of file: GPT-2 style merges lists, SentencePiece scores (rank = place
 * of the score, equal scores share it) and tiktoken ranks. Short pieces are rescanned, long ones
 * use a heap, so that a piece of n characters takes O(n log n).
 */
#ifndef HONE_DATA_TOKENIZER_BPE_H
#define HONE_DATA_TOKENIZER_BPE_H

#include "data/tokenizer/piece_cache.h"
#include "data/tokenizer/spans.h"
#include "data/tokenizer/vocab.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BPE_DIRECT 0x400 /* characters below are looked up in a table */

typedef struct BpePair {
    uint64_t key;   /* left id << 32 | right id */
    uint32_t rank;  /* UINT32_MAX: free slot */
    int32_t merged; /* id of the merge */
} BpePair;

typedef struct Bpe {
    const Vocab *vocab; /* borrowed */
    BpePair *pairs;     /* [n_slots] open addressing */
    size_t n_slots, n_pairs;
    int32_t unk;        /* id for unknown characters; -1: they are left out */
    bool fuse_unk;      /* a run of unknown characters is one unk */
    bool byte_fallback; /* unknown characters become <0xHH> tokens */
    bool ignore_merges; /* a piece that is a token is that token, whatever the merges say */
    char *prefix;       /* continuing_subword_prefix, or NULL */
    char *suffix;       /* end_of_word_suffix, or NULL */
    const bool *hidden; /* [vocab size] or NULL: ids that the model never gives; borrowed */
    int32_t direct[BPE_DIRECT];
    int32_t byte_id[256]; /* of <0xHH>; all present when byte_fallback can work */
    bool has_bytes;
    bool cut_at_space; /* no merge reaches over a U+2581 from its left: pieces may be cut before it
                        */
} Bpe;

/* Working memory of one encoding thread. Start with {0}. */
typedef struct BpeSymbol BpeSymbol;
typedef struct BpeEntry BpeEntry;
typedef struct BpeScratch {
    BpeSymbol *symbols;
    size_t symbols_cap;
    BpeEntry *heap;
    size_t heap_n, heap_cap;
    PieceCache cache;
    Str word;
} BpeScratch;

void bpe_free(Bpe *b);
/* A pair that is there already is replaced. */
void bpe_add_merge(Bpe *b, int32_t left, int32_t right, uint32_t rank, int32_t merged);
/* NULL when the pair does not merge. */
const BpePair *bpe_find_merge(const Bpe *b, int32_t left, int32_t right);
/* Call once, when vocabulary, `hidden`, fields and merges are complete. */
void bpe_prepare(Bpe *b);

/* Appends the tokens of a piece (UTF-8, not empty). */
void bpe_encode(const Bpe *b, BpeScratch *w, Spans *out, const char *piece, size_t n);
void bpe_scratch_free(BpeScratch *w);

#endif
