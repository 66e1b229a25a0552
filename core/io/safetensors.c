#include "core/io/safetensors.h"

#include "core/check.h"
#include "core/file.h"
#include "core/io/json.h"
#include "core/io/little.h"
#include "core/io/shard_index.h"
#include "core/mem.h"
#include "core/str.h"

#include <stdlib.h>
#include <string.h>

#define HEADER_MAX 100000000U /* the format's own limit */
#define NAME_MAX_BYTES 1024
#define TENSORS_MAX 1000000
#define INDEX_ENDING ".safetensors.index.json"

/* Words of the format; sizes in bits, because some elements are smaller than a byte. */
static const struct {
    const char *name;
    size_t bits;
    DType dtype;
} DTYPES[] = {
    {"F64", 64, DTYPE_F64},     {"F32", 32, DTYPE_F32},     {"BF16", 16, DTYPE_BF16},
    {"F16", 16, DTYPE_F16},     {"I64", 64, DTYPE_I64},     {"I32", 32, DTYPE_I32},
    {"I16", 16, DTYPE_I16},     {"I8", 8, DTYPE_I8},        {"U8", 8, DTYPE_U8},
    {"BOOL", 8, DTYPE_BOOL},    {"U16", 16, DTYPE_NONE},    {"U32", 32, DTYPE_NONE},
    {"U64", 64, DTYPE_NONE},    {"C64", 64, DTYPE_NONE},    {"F8_E4M3", 8, DTYPE_NONE},
    {"F8_E5M2", 8, DTYPE_NONE}, {"F8_E8M0", 8, DTYPE_NONE}, {"F6_E2M3", 6, DTYPE_NONE},
    {"F6_E3M2", 6, DTYPE_NONE}, {"F4", 4, DTYPE_NONE},
};
#define N_DTYPES (sizeof DTYPES / sizeof DTYPES[0])

typedef struct Shard {
    char *path;
    FileMap map;
    Json *header; /* the entries' names are its keys */
    TensorEntry *entries;
    int64_t n_entries;
} Shard;

struct Safetensors {
    Shard *shards;
    int64_t n_shards;
    TensorEntry *entries; /* of all shards, by name */
    int64_t n_entries;
};

/* ---- one file ---- */

static Status read_header(Shard *s) {
    const FileMap *m = &s->map;
    if (m->size < 8)
        return status_fail(ERR_DATA, "%s: not a safetensors file: %zu bytes, at least 8 are needed",
                           s->path, m->size);
    uint64_t n = little_u64(m->data);
    if (n > HEADER_MAX)
        return status_fail(ERR_DATA,
                           "%s: not a safetensors file: its header would have %llu bytes, more "
                           "than the format allows",
                           s->path, (unsigned long long)n);
    if (n > m->size - 8)
        return status_fail(ERR_DATA,
                           "%s: cut short: the header has %llu bytes, the file %zu; get it again",
                           s->path, (unsigned long long)n, m->size);
    TRY(json_parse(&s->header, (const char *)m->data + 8, (size_t)n, s->path, 1));
    if (!json_is(s->header, JSON_KIND_OBJECT))
        return status_fail(ERR_DATA, "%s: the header is not a JSON object", s->path);
    return OK;
}

static Status check_metadata(const Shard *s) {
    Json *meta = NULL, *value;
    const char *key;
    TRY(json_opt(&meta, s->header, "__metadata__", JSON_KIND_OBJECT, s->path));
    if (!meta) return OK;
    for (JsonIter it = {0}; json_next(meta, &it, &key, &value);)
        if (!json_is(value, JSON_KIND_STRING))
            return status_fail(ERR_DATA, "%s: `__metadata__.%s` must be a string, not %s", s->path,
                               key, json_kind_name(json_kind(value)));
    return OK;
}

static Status fail_entry(const Shard *s, const TensorEntry *e, const char *what) {
    return status_fail(ERR_DATA, "%s: tensor `%.200s`: %s", s->path, e->name, what);
}

static Status read_shape(const Shard *s, TensorEntry *e, const Json *info, size_t *count) {
    Json *shape = json_get(info, "shape");
    if (!json_is(shape, JSON_KIND_ARRAY)) return fail_entry(s, e, "`shape` is not an array");
    if (json_len(shape) > SAFETENSORS_MAX_RANK) return fail_entry(s, e, "more than 8 axes");
    e->rank = (int)json_len(shape);
    *count = 1;
    for (int i = 0; i < e->rank; i++) {
        const Json *extent = json_at(shape, i);
        if (!json_is(extent, JSON_KIND_INT) || json_int(extent) < 0)
            return fail_entry(s, e, "`shape` holds something that is no size");
        e->shape[i] = json_int(extent);
        if (!mem_mul(count, *count, (size_t)e->shape[i]))
            return fail_entry(s, e, "the number of elements overflows");
    }
    return OK;
}

static Status read_dtype(const Shard *s, TensorEntry *e, const Json *info, size_t *bits) {
    Json *dtype = json_get(info, "dtype");
    if (!json_is(dtype, JSON_KIND_STRING)) return fail_entry(s, e, "`dtype` is not a string");
    for (size_t i = 0; i < N_DTYPES; i++) {
        if (!str_equal(DTYPES[i].name, json_str(dtype, NULL))) continue;
        e->dtype_name = DTYPES[i].name;
        e->dtype = DTYPES[i].dtype;
        *bits = DTYPES[i].bits;
        return OK;
    }
    return status_fail(ERR_DATA, "%s: tensor `%.200s`: unknown dtype `%.40s`", s->path, e->name,
                       json_str(dtype, NULL));
}

static Status read_offsets(const Shard *s, TensorEntry *e, const Json *info) {
    size_t buffer = s->map.size - 8 - (size_t)little_u64(s->map.data);
    Json *offsets = json_get(info, "data_offsets");
    const Json *begin = json_at(offsets, 0), *end = json_at(offsets, 1);
    if (json_len(offsets) != 2 || !json_is(begin, JSON_KIND_INT) || !json_is(end, JSON_KIND_INT) ||
        json_int(begin) < 0 || json_int(begin) > json_int(end))
        return fail_entry(s, e, "`data_offsets` are not two offsets in order");
    if ((uint64_t)json_int(end) > buffer)
        return fail_entry(s, e, "its data lie beyond the end of the file; is it cut short?");
    e->data = s->map.data + (s->map.size - buffer) + (size_t)json_int(begin);
    e->bytes = (size_t)(json_int(end) - json_int(begin));
    return OK;
}

static Status read_entry(const Shard *s, TensorEntry *e, const char *name, const Json *info) {
    size_t count = 0, bits = 0, total;
    *e = (TensorEntry){.name = name, .file = s->path};
    if (strlen(name) > NAME_MAX_BYTES) return fail_entry(s, e, "the name has over 1024 bytes");
    if (!json_is(info, JSON_KIND_OBJECT)) return fail_entry(s, e, "is not described by an object");
    if (json_len(info) != 3)
        return fail_entry(s, e, "must have `dtype`, `shape` and `data_offsets`, nothing else");
    TRY(read_dtype(s, e, info, &bits));
    TRY(read_shape(s, e, info, &count));
    TRY(read_offsets(s, e, info));
    if (!mem_mul(&total, count, bits)) return fail_entry(s, e, "the number of bytes overflows");
    if (total % 8 != 0) return fail_entry(s, e, "does not fill whole bytes");
    if (total / 8 != e->bytes)
        return status_fail(ERR_DATA,
                           "%s: tensor `%.200s`: shape and dtype need %zu bytes, `data_offsets` "
                           "give it %zu",
                           s->path, e->name, total / 8, e->bytes);
    return OK;
}

static int compare_places(const void *a, const void *b) {
    const TensorEntry *x = a, *y = b;
    uintptr_t p = (uintptr_t)x->data, q = (uintptr_t)y->data;
    if (p != q) return p < q ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

/* Data must lie gapless from the header's end to the file's: what is in no tensor could be another
 * file's, and what is in two could be changed behind the other's back. Sorts the entries by place.
 */
static Status check_places(Shard *s) {
    const unsigned char *at = s->map.data + 8 + (size_t)little_u64(s->map.data);
    if (s->n_entries > 1)
        qsort(s->entries, (size_t)s->n_entries, sizeof *s->entries, compare_places);
    for (int64_t i = 0; i < s->n_entries; i++) {
        const TensorEntry *e = &s->entries[i];
        if ((const unsigned char *)e->data < at) return fail_entry(s, e, "overlaps another tensor");
        if ((const unsigned char *)e->data > at) return fail_entry(s, e, "has a hole before it");
        at += e->bytes;
    }
    size_t rest = (size_t)(s->map.data + s->map.size - at);
    if (rest > 0)
        return status_fail(ERR_DATA, "%s: %zu bytes at the end belong to no tensor", s->path, rest);
    return OK;
}

static Status open_shard(Shard *s, const char *path) {
    s->path = mem_strdup(path);
    TRY(file_map(&s->map, path));
    TRY(read_header(s));
    TRY(check_metadata(s));
    if (json_len(s->header) > TENSORS_MAX)
        return status_fail(ERR_DATA, "%s: more than %d tensors", path, TENSORS_MAX);
    s->entries = mem_zalloc((size_t)json_len(s->header), sizeof *s->entries);
    const char *name;
    Json *info;
    for (JsonIter it = {0}; json_next(s->header, &it, &name, &info);) {
        if (str_equal(name, "__metadata__")) continue;
        TRY(read_entry(s, &s->entries[s->n_entries], name, info));
        s->n_entries++;
    }
    return check_places(s);
}

static void close_shard(Shard *s) {
    json_free(s->header);
    file_unmap(&s->map);
    mem_free(s->entries);
    mem_free(s->path);
}

/* ---- several files ---- */

static Status add_shard(Safetensors *s, const char *path) {
    s->shards = mem_realloc(s->shards, (size_t)s->n_shards + 1, sizeof *s->shards);
    Shard *shard = &s->shards[s->n_shards++];
    *shard = (Shard){0};
    TRY(open_shard(shard, path));
    tensor_entries_sort(shard->entries, shard->n_entries);
    return OK;
}

static Status open_single(Safetensors *s, const char *path) {
    TRY(add_shard(s, path));
    s->n_entries = s->shards[0].n_entries;
    s->entries = mem_alloc((size_t)s->n_entries * sizeof *s->entries);
    memcpy(s->entries, s->shards[0].entries, (size_t)s->n_entries * sizeof *s->entries);
    return OK;
}

static Status take_mapped(Safetensors *s, const ShardIndex *index) {
    const TensorEntry **entries = mem_zalloc((size_t)index->n_files, sizeof *entries);
    int64_t *n = mem_zalloc((size_t)index->n_files, sizeof *n);
    Status st = OK;
    for (int64_t f = 0; f < index->n_files && st == OK; f++) {
        st = add_shard(s, index->files[f]);
        entries[f] = s->shards[f].entries;
        n[f] = s->shards[f].n_entries;
    }
    s->entries = mem_alloc((size_t)index->n_names * sizeof *s->entries);
    if (st == OK) st = shard_index_pick(index, s->entries, entries, n);
    if (st == OK) s->n_entries = index->n_names;
    mem_free(entries);
    mem_free(n);
    return st;
}

static Status open_index(Safetensors *s, const char *path) {
    ShardIndex index;
    Status st = shard_index_open(&index, path, ".safetensors");
    if (st == OK) st = take_mapped(s, &index);
    shard_index_close(&index);
    return st;
}

/* The caller mem_free's it; NULL when the folder holds none of the names. */
static char *find_in_folder(const char *folder) {
    static const char *const NAMES[] = {"model.safetensors", ("model" INDEX_ENDING),
                                        "adapter_model.safetensors"};
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        char *path = file_join(folder, NAMES[i]);
        if (file_exists(path)) return path;
        mem_free(path);
    }
    return NULL;
}

Status safetensors_open(Safetensors **out, const char *path) {
    *out = NULL;
    char *file = file_is_folder(path) ? find_in_folder(path) : mem_strdup(path);
    if (!file)
        return status_fail(ERR_INPUT,
                           "%s: holds neither model.safetensors, model" INDEX_ENDING
                           " nor adapter_model.safetensors",
                           path);
    Safetensors *s = mem_zalloc(1, sizeof *s);
    Status st = str_ends(file, ".json") ? open_index(s, file) : open_single(s, file);
    mem_free(file);
    if (st == OK)
        *out = s;
    else
        safetensors_close(s);
    return st;
}

void safetensors_close(Safetensors *s) {
    if (!s) return;
    for (int64_t i = 0; i < s->n_shards; i++) close_shard(&s->shards[i]);
    mem_free(s->shards);
    mem_free(s->entries);
    mem_free(s);
}

int64_t safetensors_count(const Safetensors *s) {
    return s->n_entries;
}

const TensorEntry *safetensors_at(const Safetensors *s, int64_t i) {
    CHECK(i >= 0 && i < s->n_entries, "%lld of %lld", (long long)i, (long long)s->n_entries);
    return &s->entries[i];
}

const TensorEntry *safetensors_find(const Safetensors *s, const char *name) {
    return tensor_entries_find(s->entries, s->n_entries, name);
}

const char *safetensors_meta(const Safetensors *s, const char *key) {
    for (int64_t i = 0; i < s->n_shards; i++) {
        Json *value = json_get(json_get(s->shards[i].header, "__metadata__"), key);
        if (value) return json_str(value, NULL);
    }
    return NULL;
}

Tensor safetensors_tensor(const TensorEntry *e) {
    CHECK(e->dtype != DTYPE_NONE && e->rank <= TENSOR_MAX_RANK, "%s: dtype %s, rank %d", e->name,
          e->dtype_name, e->rank);
    /* The mapping is read-only; Tensor has one pointer for all uses. */
    Tensor t = {.data = (void *)(uintptr_t)e->data, .dtype = e->dtype, .rank = e->rank};
    for (int i = 0; i < e->rank; i++) t.shape[i] = e->shape[i];
    return t;
}

const char *safetensors_dtype_name(DType dtype) {
    for (size_t i = 0; i < N_DTYPES; i++)
        if (DTYPES[i].dtype == dtype) return DTYPES[i].name;
    FAIL("dtype %s", dtype_name(dtype));
}
