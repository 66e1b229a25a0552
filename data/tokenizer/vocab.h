/* vocab: token texts and their ids, both ways. Ids may have gaps. */
#ifndef HONE_DATA_TOKENIZER_VOCAB_H
#define HONE_DATA_TOKENIZER_VOCAB_H

#include "core/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VOCAB_MAX_ID (1 << 20) /* ids in files are below this */

typedef struct Vocab {
    Str pool;       /* texts, each with a NUL */
    size_t *offset; /* [size] into pool; SIZE_MAX where the id has no token */
    uint32_t *length;
    int32_t size, cap; /* highest id + 1 */
    int32_t *slots;    /* [n_slots] open addressing by text: id or -1 */
    size_t n_slots, n_tokens;
} Vocab;

void vocab_free(Vocab *v);

/* 0 <= id < INT32_MAX / 2. False, and nothing is changed, when the id or the text is already taken
 * (by the same pair too). */
bool vocab_add(Vocab *v, const char *text, size_t n, int32_t id);

int32_t vocab_find(const Vocab *v, const char *text, size_t n); /* -1: none */
/* NUL-terminated, borrowed until the next vocab_add; NULL when the id has no token. */
const char *vocab_text(const Vocab *v, int32_t id, size_t *n);

/* FNV-1a with a final mix, for small tables of byte strings. */
uint64_t vocab_hash(const char *text, size_t n);

#endif
