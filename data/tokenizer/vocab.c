#include "data/tokenizer/vocab.h"

#include "core/check.h"
#include "core/mem.h"

#include <string.h>

void vocab_free(Vocab *v) {
    str_free(&v->pool);
    mem_free(v->offset);
    mem_free(v->length);
    mem_free(v->slots);
    *v = (Vocab){0};
}

uint64_t vocab_hash(const char *text, size_t n) {
    uint64_t h = 0xCBF29CE484222325u;
    while (n >= 8) { /* eight bytes at a time: words are hashed once a lookup */
        uint64_t word;
        memcpy(&word, text, 8);
        h = (h ^ word) * 0x9E3779B97F4A7C15u;
        h ^= h >> 32;
        text += 8;
        n -= 8;
    }
    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)text[i]) * 0x100000001B3u;
    h ^= h >> 32;
    h *= 0xD6E8FEB86659FD93u;
    return h ^ h >> 32;
}

/* The slot that holds the text, or the free one where it would go. */
static size_t find_slot(const Vocab *v, const char *text, size_t n) {
    size_t at = (size_t)vocab_hash(text, n) & (v->n_slots - 1);
    for (;; at = (at + 1) & (v->n_slots - 1)) {
        int32_t id = v->slots[at];
        if (id < 0) return at;
        if (v->length[id] == n && memcmp(v->pool.data + v->offset[id], text, n) == 0) return at;
    }
}

static void grow_slots(Vocab *v) {
    if (v->n_slots != 0 && v->n_tokens * 2 < v->n_slots) return;
    mem_free(v->slots);
    v->n_slots = v->n_slots == 0 ? 1024 : v->n_slots * 2;
    v->slots = mem_alloc(v->n_slots * sizeof *v->slots);
    for (size_t i = 0; i < v->n_slots; i++) v->slots[i] = -1;
    for (int32_t id = 0; id < v->size; id++) {
        if (v->offset[id] == SIZE_MAX) continue;
        v->slots[find_slot(v, v->pool.data + v->offset[id], v->length[id])] = id;
    }
}

static void grow_ids(Vocab *v, int32_t id) {
    if (id >= v->cap) {
        int32_t cap = v->cap == 0 ? 512 : v->cap;
        while (cap <= id) cap *= 2;
        v->offset = mem_realloc(v->offset, (size_t)cap, sizeof *v->offset);
        v->length = mem_realloc(v->length, (size_t)cap, sizeof *v->length);
        v->cap = cap;
    }
    for (; v->size <= id; v->size++) {
        v->offset[v->size] = SIZE_MAX;
        v->length[v->size] = 0;
    }
}

bool vocab_add(Vocab *v, const char *text, size_t n, int32_t id) {
    CHECK(id >= 0 && id < INT32_MAX / 2 && n < UINT32_MAX, "token %d of %zu bytes", id, n);
    if (id < v->size && v->offset[id] != SIZE_MAX) return false;
    if (vocab_find(v, text, n) >= 0) return false;
    grow_ids(v, id);
    grow_slots(v);
    v->slots[find_slot(v, text, n)] = id;
    v->offset[id] = v->pool.len;
    v->length[id] = (uint32_t)n;
    str_append_n(&v->pool, text, n);
    str_append_char(&v->pool, '\0');
    v->n_tokens++;
    return true;
}

int32_t vocab_find(const Vocab *v, const char *text, size_t n) {
    return v->n_slots == 0 ? -1 : v->slots[find_slot(v, text, n)];
}

const char *vocab_text(const Vocab *v, int32_t id, size_t *n) {
    if (id < 0 || id >= v->size || v->offset[id] == SIZE_MAX) return NULL;
    if (n != NULL) *n = v->length[id];
    return v->pool.data + v->offset[id];
}
