/* bpe_write: a byte-level BPE tokenizer as Hugging Face's files. */
#ifndef HONE_DATA_TOKENIZER_BPE_WRITE_H
#define HONE_DATA_TOKENIZER_BPE_WRITE_H

#include "core/str.h"
#include "data/tokenizer/tokenizer.h"
#include "data/tokenizer/vocab.h"

/* A pair of ids that merges; rank = place in the list. */
typedef struct BpeWriteMerge {
    int32_t left, right;
} BpeWriteMerge;

/* tokenizer.json: `vocab` (special tokens included) and merges; how->special become added tokens.
 */
void bpe_write_json(Str *out, const TokenizerTraining *how, const Vocab *vocab,
                    const BpeWriteMerge *merges, size_t n_merges);
/* tokenizer.json of raw bytes: id = byte, no merges, then how->special. */
void bpe_write_bytes(Str *out, const TokenizerTraining *how);
/* tokenizer_config.json. */
void bpe_write_config(Str *out, const TokenizerTraining *how);

#endif
