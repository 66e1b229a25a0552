/* gguf_save: writes a GGUF file (gguf.h), version 3.
 *
 *     GgufMeta meta = {0};
 *     gguf_meta_str(&meta, "general.architecture", "llama");
 *     gguf_meta_u32(&meta, "llama.block_count", 2);
 *     gguf_save("x.gguf", &(GgufSpec){.meta = &meta, .items = items, .n_items = n, .fill = fill});
 *     gguf_meta_free(&meta);
 */
#ifndef HONE_CORE_IO_GGUF_SAVE_H
#define HONE_CORE_IO_GGUF_SAVE_H

#include "core/status.h"
#include "core/str.h"

#include <stdbool.h>
#include <stdint.h>

/* Keys with their values, in the order of the calls. Start with {0}. */
typedef struct GgufMeta {
    Str bytes;
    uint64_t n;
} GgufMeta;

void gguf_meta_free(GgufMeta *m);
void gguf_meta_append(GgufMeta *m, const GgufMeta *more);
void gguf_meta_str(GgufMeta *m, const char *key, const char *text);
void gguf_meta_u32(GgufMeta *m, const char *key, int64_t x); /* CHECKs that it fits */
void gguf_meta_f32(GgufMeta *m, const char *key, double x);
void gguf_meta_bool(GgufMeta *m, const char *key, bool x);
void gguf_meta_strings(GgufMeta *m, const char *key, const char *const *texts, int64_t n);
void gguf_meta_f32s(GgufMeta *m, const char *key, const float *x, int64_t n);
void gguf_meta_i32s(GgufMeta *m, const char *key, const int32_t *x, int64_t n);

typedef enum GgufStore {
    GGUF_STORE_F32,
    GGUF_STORE_F16,
    GGUF_STORE_BF16,
    GGUF_STORE_Q8_0
} GgufStore;

#define GGUF_Q8_0_VALUES 32 /* rows stored so are multiples of it */

typedef struct GgufItem {
    const char *name; /* at most 63 bytes */
    GgufStore store;
    int rank; /* 1 or 2 */
    int64_t shape[2];
} GgufItem;

typedef struct GgufSpec {
    const GgufMeta *meta;
    const GgufItem *items;
    int64_t n_items;
    /* Writes item `i`'s values to `dst`, row by row; asked once each, one after another. */
    Status (*fill)(void *ctx, int64_t i, float *dst);
    void *ctx;
} GgufSpec;

/* Published at `path`. */
Status gguf_save(const char *path, const GgufSpec *spec);

#endif
