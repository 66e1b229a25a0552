/* sentencepiece_write: a tokenizer.model of pieces that come from elsewhere. Pieces first, in the
 * order of their ids, then the rest. */
#ifndef HONE_DATA_TOKENIZER_SENTENCEPIECE_WRITE_H
#define HONE_DATA_TOKENIZER_SENTENCEPIECE_WRITE_H

#include "core/str.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct SentencepieceSpec {
    bool unigram; /* else BPE */
    bool byte_fallback, dummy_prefix, remove_extra;
    int64_t unk, bos, eos, pad; /* -1: none */
    const char *charsmap;       /* [charsmap_n] NULL: text is not normalized */
    size_t charsmap_n;
} SentencepieceSpec;

/* `type`: SentencePiece's number, 1 (normal) to 6 (byte). */
void sentencepiece_write_piece(Str *out, const char *text, size_t n, float score, int type);
void sentencepiece_write_spec(Str *out, const SentencepieceSpec *spec);

#endif
