#include "model/kvcache.h"

#include "core/check.h"
#include "core/mem.h"

void kvcache_init(KvCache *c, Dev *dev, Arena *arena, int64_t n_layers, int64_t kv_width,
                  int64_t max_rows, int64_t max_context) {
    int64_t row_pages = (max_context + KV_PAGE - 1) / KV_PAGE;
    *c = (KvCache){.n_layers = n_layers,
                   .n_pages = row_pages * max_rows,
                   .max_rows = max_rows,
                   .row_pages = row_pages};
    c->k = mem_zalloc((size_t)n_layers, sizeof *c->k);
    c->v = mem_zalloc((size_t)n_layers, sizeof *c->v);
    for (int64_t l = 0; l < n_layers; l++) {
        c->k[l] = arena_2d(arena, dev_real(dev), c->n_pages * KV_PAGE, kv_width);
        c->v[l] = arena_2d(arena, dev_real(dev), c->n_pages * KV_PAGE, kv_width);
    }
    c->table = mem_zalloc((size_t)c->n_pages, sizeof *c->table);
    c->n_held = mem_zalloc((size_t)max_rows, sizeof *c->n_held);
    c->free = mem_zalloc((size_t)c->n_pages, sizeof *c->free);
    for (int64_t i = 0; i < c->n_pages; i++) c->free[i] = (int32_t)(c->n_pages - 1 - i);
    c->n_free = c->n_pages;
}

void kvcache_free(KvCache *c) {
    mem_free(c->k);
    mem_free(c->v);
    mem_free(c->table);
    mem_free(c->n_held);
    mem_free(c->free);
    *c = (KvCache){0};
}

void kvcache_grow(KvCache *c, int64_t row, int64_t length) {
    int64_t wanted = (length + KV_PAGE - 1) / KV_PAGE;
    CHECK(row >= 0 && row < c->max_rows && wanted <= c->row_pages, "row %lld, %lld positions",
          (long long)row, (long long)length);
    while (c->n_held[row] < wanted) {
        CHECK(c->n_free > 0, "no page is free though every row has its own");
        c->table[row * c->row_pages + c->n_held[row]++] = c->free[--c->n_free];
    }
}

void kvcache_drop(KvCache *c, int64_t row) {
    while (c->n_held[row] > 0)
        c->free[c->n_free++] = c->table[row * c->row_pages + --c->n_held[row]];
}

int32_t kvcache_slot(const KvCache *c, int64_t row, int64_t position) {
    CHECK(position / KV_PAGE < c->n_held[row], "row %lld has no page for position %lld",
          (long long)row, (long long)position);
    int32_t page = c->table[row * c->row_pages + position / KV_PAGE];
    return page * KV_PAGE + (int32_t)(position % KV_PAGE);
}
