/* unigram: of all ways to cut a piece into tokens the one whose scores add up to most (Viterbi).
 *
 * Two dialects. Hugging Face's `tokenizers` adds in f64; a run of unknown characters is one text,
 * which is looked up once more, as a whole. SentencePiece keeps the sums in f32.
 */
#ifndef HONE_DATA_TOKENIZER_UNIGRAM_H
#define HONE_DATA_TOKENIZER_UNIGRAM_H

#include "core/status.h"
#include "data/tokenizer/piece_cache.h"
#include "data/tokenizer/spans.h"
#include "data/tokenizer/trie.h"
#include "data/tokenizer/vocab.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UNIGRAM_MAX_PIECE 1024              /* bytes of a token: what a byte of text can cost */
#define UNIGRAM_MAX_TEXT ((size_t)16 << 20) /* bytes of all tokens together */

typedef struct Unigram {
    const Vocab *vocab; /* borrowed */
    double *score;      /* [n_pieces] by id */
    int32_t n_pieces;
    double min_score;     /* 10 below it: an unknown character */
    int32_t unk;          /* -1: there is none, an unknown character is an error */
    bool sentencepiece;   /* which dialect */
    bool byte_fallback;   /* unknown characters become <0xHH> tokens */
    const bool *hidden;   /* [vocab size] ids that the model never gives; borrowed */
    bool *silent;         /* [n_pieces] not looked for in text either; or NULL */
    int32_t byte_id[256]; /* of <0xHH>, all present, or -1 in the first */
    Trie trie;
} Unigram;

/* Working memory of one encoding thread. Start with {0}. */
typedef struct UnigramNode UnigramNode;
typedef struct UnigramScratch {
    UnigramNode *nodes;
    size_t cap;
    Spans path;
    PieceCache cache;
} UnigramScratch;

void unigram_free(Unigram *u);
/* Call once, when vocabulary, `hidden` and fields are complete. ERR_DATA when a token is too long
 * to be safe. */
Status unigram_prepare(Unigram *u, const char *where);

/* Appends the tokens of a piece (UTF-8, not empty). ERR_DATA: an unknown character, and no `unk`.
 */
Status unigram_encode(const Unigram *u, UnigramScratch *w, Spans *out, const char *piece, size_t n);
void unigram_scratch_free(UnigramScratch *w);

#endif
