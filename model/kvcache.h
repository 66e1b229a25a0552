/* kvcache: keys and values of running sequences in pages of KV_PAGE positions (Kwon et al. 2023).
 *
 * The cache owns pages of every layer and hands page numbers out; a page number means the same
 * place in each layer. A row (a running sequence) holds a list of pages; the table of all rows lies
 * on the host and is uploaded when it changed. */
#ifndef HONE_MODEL_KVCACHE_H
#define HONE_MODEL_KVCACHE_H

#include "core/arena.h"
#include "kernels/dev.h"
#include "kernels/op_attention.h"

typedef struct KvCache {
    int64_t n_layers, n_pages, max_rows, row_pages;
    Tensor *k, *v;   /* [n_layers] each [n_pages*KV_PAGE, K*D] real */
    int32_t *table;  /* [max_rows, row_pages] host: pages of a row, in order of position */
    int64_t *n_held; /* [max_rows] pages that a row holds */
    int32_t *free;   /* [n_pages] stack of free pages */
    int64_t n_free;
} KvCache;

/* Room for max_rows rows of max_context positions. Pages lie in `arena`, lists on the host heap. */
void kvcache_init(KvCache *c, Dev *dev, Arena *arena, int64_t n_layers, int64_t kv_width,
                  int64_t max_rows, int64_t max_context);
void kvcache_free(KvCache *c); /* the lists */

/* Makes sure that `row` has pages for positions 0 .. length-1. */
void kvcache_grow(KvCache *c, int64_t row, int64_t length);
void kvcache_drop(KvCache *c, int64_t row); /* its pages are free again */
/* The slot of a row's position, for op_kv_store. */
int32_t kvcache_slot(const KvCache *c, int64_t row, int64_t position);

/* What attention is told about the rows of one generation pass. */
typedef struct KvBatch {
    const KvCache *cache;
    Tensor slots; /* [N] i32: where the rows' keys and values go */
    Tensor table; /* [N, row_pages] i32 and */
    Tensor lens;  /* [N] i32: decode reads the caches; none: prompts, which attend to themselves */
} KvBatch;

#endif
