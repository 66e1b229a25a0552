/* gguf_pre: what llama.cpp's names of pre-tokenizers ("llama-bpe", "qwen2") stand for, as sections
 * of a tokenizer.json. The names are llama.cpp's, the sections those of the models that they were
 * made for. */
#ifndef HONE_DATA_TOKENIZER_GGUF_PRE_H
#define HONE_DATA_TOKENIZER_GGUF_PRE_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct GgufPre {
    const char *name;
    const char *normalizer;    /* JSON, or NULL */
    const char *pre_tokenizer; /* JSON */
    bool ignore_merges;        /* a piece that is a token is that token */
    bool add_bos;              /* where the file does not say */
} GgufPre;

const GgufPre *gguf_pre_find(const char *name); /* NULL: unknown */
const GgufPre *gguf_pre_at(size_t i);           /* NULL behind the last */
/* "gpt-2, llama-bpe, ...": all of them; the caller mem_free's it. */
char *gguf_pre_names(void);

#endif
