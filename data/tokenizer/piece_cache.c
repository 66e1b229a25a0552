#include "data/tokenizer/piece_cache.h"

#include "core/mem.h"
#include "data/tokenizer/vocab.h"

#include <string.h>

#define N_SLOTS 8192 /* of 72 bytes */
#define MOST_TEXT 30
#define MOST_TOKENS 8

struct PieceSlot {
    char text[MOST_TEXT];
    uint8_t n, n_tokens; /* n 0: free */
    int32_t id[MOST_TOKENS];
    uint8_t bytes[MOST_TOKENS];
};

static PieceSlot *slot_of(PieceCache *c, const char *piece, size_t n) {
    if (n > MOST_TEXT) return NULL;
    if (c->slots == NULL) c->slots = mem_zalloc(N_SLOTS, sizeof *c->slots);
    return &c->slots[vocab_hash(piece, n) & (N_SLOTS - 1)];
}

bool piece_cache_find(PieceCache *c, Spans *out, const char *piece, size_t n) {
    const PieceSlot *slot = slot_of(c, piece, n);
    if (slot == NULL || slot->n != n || memcmp(slot->text, piece, n) != 0) return false;
    for (size_t i = 0; i < slot->n_tokens; i++) spans_push(out, slot->id[i], slot->bytes[i]);
    return true;
}

void piece_cache_keep(PieceCache *c, const char *piece, size_t n, const Spans *s, size_t from) {
    PieceSlot *slot = slot_of(c, piece, n);
    size_t count = s->n - from;
    if (slot == NULL || count > MOST_TOKENS) return;
    memcpy(slot->text, piece, n);
    slot->n = (uint8_t)n;
    slot->n_tokens = (uint8_t)count;
    for (size_t i = 0; i < count; i++) {
        slot->id[i] = s->id[from + i];
        slot->bytes[i] = (uint8_t)s->bytes[from + i];
    }
}

void piece_cache_free(PieceCache *c) {
    mem_free(c->slots);
    c->slots = NULL;
}
