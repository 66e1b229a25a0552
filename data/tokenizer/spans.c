#include "data/tokenizer/spans.h"

#include "core/mem.h"

void spans_reserve(Spans *s, size_t more) {
    if (s->n + more <= s->cap) return;
    size_t cap = s->cap == 0 ? 256 : s->cap;
    while (cap < s->n + more) cap *= 2;
    s->id = mem_realloc(s->id, cap, sizeof *s->id);
    s->bytes = mem_realloc(s->bytes, cap, sizeof *s->bytes);
    s->cap = cap;
}

void spans_push(Spans *s, int32_t id, uint32_t bytes) {
    spans_reserve(s, 1);
    s->id[s->n] = id;
    s->bytes[s->n++] = bytes;
}

void spans_free(Spans *s) {
    mem_free(s->id);
    mem_free(s->bytes);
    *s = (Spans){0};
}
