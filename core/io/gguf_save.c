#include "core/io/gguf_save.h"

#include "core/check.h"
#include "core/dtype.h"
#include "core/mem.h"
#include "core/publish.h"

#include <math.h>
#include <string.h>

#define ALIGNMENT 32 /* the format's usual one */

/* The format's numbers. */
enum { TYPE_U32 = 4, TYPE_I32 = 5, TYPE_F32 = 6, TYPE_BOOL = 7, TYPE_STRING = 8, TYPE_ARRAY = 9 };

static const struct {
    uint32_t number;
    DType dtype; /* DTYPE_NONE: in blocks */
} STORES[] = {
    [GGUF_STORE_F32] = {0, DTYPE_F32},
    [GGUF_STORE_F16] = {1, DTYPE_F16},
    [GGUF_STORE_BF16] = {30, DTYPE_BF16},
    [GGUF_STORE_Q8_0] = {8, DTYPE_NONE},
};

/* ---- metadata ---- */

static void put(Str *s, uint64_t x, int bytes) {
    for (int i = 0; i < bytes; i++) str_append_char(s, (char)(x >> (8 * i) & 0xff));
}

static void put_text(Str *s, const char *text) {
    put(s, strlen(text), 8);
    str_append(s, text);
}

static void put_float(Str *s, float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    put(s, bits, 4);
}

static Str *begin(GgufMeta *m, const char *key, uint32_t type) {
    m->n++;
    put_text(&m->bytes, key);
    put(&m->bytes, type, 4);
    return &m->bytes;
}

static Str *begin_array(GgufMeta *m, const char *key, uint32_t type, int64_t n) {
    Str *s = begin(m, key, TYPE_ARRAY);
    put(s, type, 4);
    put(s, (uint64_t)n, 8);
    return s;
}

void gguf_meta_free(GgufMeta *m) {
    str_free(&m->bytes);
    m->n = 0;
}

void gguf_meta_append(GgufMeta *m, const GgufMeta *more) {
    str_append_n(&m->bytes, str_text(&more->bytes), more->bytes.len);
    m->n += more->n;
}

void gguf_meta_str(GgufMeta *m, const char *key, const char *text) {
    put_text(begin(m, key, TYPE_STRING), text);
}

void gguf_meta_u32(GgufMeta *m, const char *key, int64_t x) {
    CHECK(x >= 0 && x <= UINT32_MAX, "%s: %lld", key, (long long)x);
    put(begin(m, key, TYPE_U32), (uint64_t)x, 4);
}

void gguf_meta_f32(GgufMeta *m, const char *key, double x) {
    put_float(begin(m, key, TYPE_F32), (float)x);
}

void gguf_meta_bool(GgufMeta *m, const char *key, bool x) {
    put(begin(m, key, TYPE_BOOL), x, 1);
}

void gguf_meta_strings(GgufMeta *m, const char *key, const char *const *texts, int64_t n) {
    Str *s = begin_array(m, key, TYPE_STRING, n);
    for (int64_t i = 0; i < n; i++) put_text(s, texts[i]);
}

void gguf_meta_f32s(GgufMeta *m, const char *key, const float *x, int64_t n) {
    Str *s = begin_array(m, key, TYPE_F32, n);
    for (int64_t i = 0; i < n; i++) put_float(s, x[i]);
}

void gguf_meta_i32s(GgufMeta *m, const char *key, const int32_t *x, int64_t n) {
    Str *s = begin_array(m, key, TYPE_I32, n);
    for (int64_t i = 0; i < n; i++) put(s, (uint32_t)x[i], 4);
}

/* ---- tensors ---- */

#define Q8_0_BYTES 34

static size_t count_of(const GgufItem *item) {
    return (size_t)item->shape[0] * (size_t)(item->rank == 2 ? item->shape[1] : 1);
}

static size_t bytes_of(const GgufItem *item) {
    size_t n = count_of(item);
    DType dtype = STORES[item->store].dtype;
    return dtype == DTYPE_NONE ? n / GGUF_Q8_0_VALUES * Q8_0_BYTES : n * dtype_size(dtype);
}

/* One scale, the largest value over 127, and 32 signed bytes, as ggml rounds them. */
static void pack_q8_0(unsigned char *block, const float *from) {
    float most = 0.0F;
    for (int i = 0; i < GGUF_Q8_0_VALUES; i++) most = fmaxf(most, fabsf(from[i]));
    float d = most / 127.0F, inverse = d != 0.0F ? 1.0F / d : 0.0F;
    uint16_t half = f32_to_f16(d);
    memcpy(block, &half, sizeof half);
    for (int i = 0; i < GGUF_Q8_0_VALUES; i++)
        block[2 + i] = (unsigned char)(int8_t)roundf(from[i] * inverse);
}

static void pack(void *to, const GgufItem *item, const float *from) {
    size_t n = count_of(item);
    DType dtype = STORES[item->store].dtype;
    if (dtype != DTYPE_NONE) {
        dtype_convert(to, dtype, from, DTYPE_F32, n);
        return;
    }
    for (size_t i = 0; i < n / GGUF_Q8_0_VALUES; i++)
        pack_q8_0((unsigned char *)to + i * Q8_0_BYTES, from + i * GGUF_Q8_0_VALUES);
}

static size_t padded(size_t n) {
    return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* Axes stand fastest first. */
static void put_info(Str *s, const GgufItem *item, size_t offset) {
    CHECK(strlen(item->name) < 64 && (item->rank == 1 || item->rank == 2), "%s", item->name);
    put_text(s, item->name);
    put(s, (uint64_t)item->rank, 4);
    for (int i = item->rank - 1; i >= 0; i--) put(s, (uint64_t)item->shape[i], 8);
    put(s, STORES[item->store].number, 4);
    put(s, offset, 8);
}

static void make_header(Str *s, const GgufSpec *spec) {
    str_append(s, "GGUF");
    put(s, 3, 4);
    put(s, (uint64_t)spec->n_items, 8);
    put(s, spec->meta->n, 8);
    str_append_n(s, str_text(&spec->meta->bytes), spec->meta->bytes.len);
    size_t offset = 0;
    for (int64_t i = 0; i < spec->n_items; i++) {
        put_info(s, &spec->items[i], offset);
        offset += padded(bytes_of(&spec->items[i]));
    }
    while (s->len % ALIGNMENT != 0) str_append_char(s, '\0');
}

static Status write_items(PublishFile *f, const GgufSpec *spec) {
    size_t most = 0;
    for (int64_t i = 0; i < spec->n_items; i++) {
        size_t n = count_of(&spec->items[i]);
        if (n > most) most = n;
    }
    float *values = mem_zalloc(most, sizeof *values);
    unsigned char *packed = mem_zalloc(most * sizeof *values + ALIGNMENT, 1);
    Status st = OK;
    for (int64_t i = 0; i < spec->n_items && st == OK; i++) {
        size_t bytes = bytes_of(&spec->items[i]);
        st = spec->fill(spec->ctx, i, values);
        if (st != OK) break;
        pack(packed, &spec->items[i], values);
        memset(packed + bytes, 0, padded(bytes) - bytes);
        st = publish_write(f, packed, padded(bytes));
    }
    mem_free(values);
    mem_free(packed);
    return st;
}

Status gguf_save(const char *path, const GgufSpec *spec) {
    PublishFile *f = NULL;
    Str header = {0};
    make_header(&header, spec);
    Status st = publish_open(&f, path, 0);
    if (st == OK) st = publish_write(f, header.data, header.len);
    if (st == OK) st = write_items(f, spec);
    if (st == OK) st = publish_commit(f);
    publish_close(f);
    str_free(&header);
    return st;
}
