/* docs/gguf.md of ggml; what its own reader (gguf.cpp) refuses is refused here. */
#include "core/io/gguf.h"

#include "core/check.h"
#include "core/file.h"
#include "core/io/gguf_blocks.h"
#include "core/io/little.h"
#include "core/mem.h"
#include "core/str.h"

#include <stdlib.h>
#include <string.h>

#define PAIRS_MAX 100000
#define TENSORS_MAX 1000000
#define KEY_MAX_BYTES 65535
#define NAME_MAX_BYTES 63
#define RANK_MAX 4
#define PAIR_LEAST_BYTES (8 + 1 + 4 + 1)     /* key, type, value */
#define INFO_LEAST_BYTES (8 + 1 + 4 + 4 + 8) /* of a tensor: name, rank, type, offset */
#define ALIGNMENT_MAX (1U << 20)

typedef enum GgufType {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
} GgufType;

/* Bytes of one; 0: its own length stands before it. */
static const size_t type_bytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
static const char *const type_names[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                         "bool", "string", "array", "u64", "i64", "f64"};
#define N_TYPES (sizeof type_bytes / sizeof *type_bytes)

typedef struct Pair {
    char *key;
    GgufType type; /* of an array: of its elements */
    bool is_array;
    uint64_t n;                   /* elements; 1 of what is no array */
    const unsigned char *data;    /* the first */
    char *text;                   /* of a string: a copy that is ended */
    const unsigned char **places; /* [n] of an array of strings: each one's length */
} Pair;

struct Gguf {
    char *path;
    FileMap map;
    Pair *pairs;
    int64_t n_pairs;
    char **names; /* of the tensors */
    TensorEntry *entries;
    int64_t n_entries;
    uint64_t alignment;
};

/* ---- bytes ---- */

typedef struct Reader {
    const unsigned char *at, *end;
    const char *path;
} Reader;

static Status take(Reader *r, const unsigned char **out, uint64_t n) {
    if (n > (size_t)(r->end - r->at))
        return status_fail(ERR_DATA, "%s: ends too early; is it cut short?", r->path);
    *out = r->at;
    r->at += n;
    return OK;
}

static Status take_number(Reader *r, uint64_t *out, size_t bytes) {
    const unsigned char *p = NULL;
    TRY(take(r, &p, bytes));
    *out = little_load(p, bytes);
    return OK;
}

/* A string of at most `most` bytes without a NUL; the caller mem_free's it. `what`: for messages.
 */
static Status take_name(Reader *r, char **out, uint64_t most, const char *what) {
    uint64_t n = 0;
    const unsigned char *p = NULL;
    TRY(take_number(r, &n, 8));
    if (n == 0 || n > most)
        return status_fail(ERR_DATA, "%s: %s of %llu bytes; 1 to %llu are allowed", r->path, what,
                           (unsigned long long)n, (unsigned long long)most);
    TRY(take(r, &p, n));
    if (memchr(p, 0, (size_t)n) || !str_utf8_valid((const char *)p, (size_t)n, NULL))
        return status_fail(ERR_DATA, "%s: %s that is no text", r->path, what);
    *out = mem_strndup((const char *)p, (size_t)n);
    return OK;
}

/* ---- metadata ---- */

static Status fail_pair(const Reader *r, const Pair *p, const char *what) {
    return status_fail(ERR_DATA, "%s: key `%.200s`: %s", r->path, p->key, what);
}

static Status skip_string(Reader *r) {
    uint64_t n = 0;
    const unsigned char *p = NULL;
    TRY(take_number(r, &n, 8));
    return take(r, &p, n);
}

static Status read_strings(Reader *r, Pair *p) {
    /* Each has eight bytes of length at least. */
    if (p->n > (size_t)(r->end - r->at) / 8) return fail_pair(r, p, "longer than the file");
    if (p->is_array) p->places = mem_zalloc((size_t)p->n, sizeof *p->places);
    for (uint64_t i = 0; i < p->n; i++) {
        if (p->is_array) p->places[i] = r->at;
        TRY(skip_string(r));
    }
    if (!p->is_array) p->text = mem_strndup((const char *)p->data + 8, (size_t)little_u64(p->data));
    return OK;
}

static Status read_value(Reader *r, Pair *p) {
    uint64_t type = 0;
    p->n = 1;
    TRY(take_number(r, &type, 4));
    if (type == GGUF_ARRAY) {
        p->is_array = true;
        TRY(take_number(r, &type, 4));
        TRY(take_number(r, &p->n, 8));
    }
    if (type >= N_TYPES || type == GGUF_ARRAY)
        return fail_pair(r, p, "a type that the format does not have");
    p->type = (GgufType)type;
    p->data = r->at;
    if (p->type == GGUF_STRING) return read_strings(r, p);
    size_t bytes;
    if (!mem_mul(&bytes, (size_t)p->n, type_bytes[type]))
        return fail_pair(r, p, "longer than the file");
    const unsigned char *skipped = NULL;
    return take(r, &skipped, bytes);
}

static int compare_keys(const void *a, const void *b) {
    return strcmp(((const Pair *)a)->key, ((const Pair *)b)->key);
}

static Status read_pairs(Gguf *g, Reader *r, uint64_t n) {
    g->pairs = mem_zalloc((size_t)n, sizeof *g->pairs);
    for (uint64_t i = 0; i < n; i++) {
        Pair *p = &g->pairs[i];
        TRY(take_name(r, &p->key, KEY_MAX_BYTES, "a key"));
        g->n_pairs++;
        TRY(read_value(r, p));
    }
    if (n > 1) qsort(g->pairs, (size_t)n, sizeof *g->pairs, compare_keys);
    for (uint64_t i = 1; i < n; i++)
        if (compare_keys(&g->pairs[i], &g->pairs[i - 1]) == 0)
            return fail_pair(r, &g->pairs[i], "is there twice");
    return OK;
}

static const Pair *find(const Gguf *g, const char *key) {
    Pair wanted = {.key = (char *)(uintptr_t)key};
    if (g->n_pairs == 0) return NULL;
    return bsearch(&wanted, g->pairs, (size_t)g->n_pairs, sizeof *g->pairs, compare_keys);
}

/* ---- tensors ---- */

static Status fail_tensor(const Reader *r, const TensorEntry *e, const char *what) {
    return status_fail(ERR_DATA, "%s: tensor `%.200s`: %s", r->path, e->name, what);
}

/* Axes stand fastest first. *count: elements. */
static Status read_shape(Reader *r, TensorEntry *e, size_t *count) {
    uint64_t rank = 0;
    TRY(take_number(r, &rank, 4));
    if (rank > RANK_MAX) return fail_tensor(r, e, "more than 4 axes");
    e->rank = (int)rank;
    *count = 1;
    for (int i = e->rank - 1; i >= 0; i--) {
        uint64_t n = 0;
        TRY(take_number(r, &n, 8));
        if (n == 0 || n > INT64_MAX || !mem_mul(count, *count, (size_t)n) || *count > INT64_MAX)
            return fail_tensor(r, e, "its shape holds nothing, or more than can be");
        e->shape[i] = (int64_t)n;
    }
    return OK;
}

static Status read_type(Reader *r, TensorEntry *e, size_t count) {
    uint64_t number = 0;
    TRY(take_number(r, &number, 4));
    const BlockType *t = block_type((uint32_t)number);
    if (!t)
        return status_fail(ERR_DATA, "%s: tensor `%.200s`: type %llu is not known", r->path,
                           e->name, (unsigned long long)number);
    int64_t row = e->rank > 0 ? e->shape[e->rank - 1] : 1;
    if (row % t->values != 0) return fail_tensor(r, e, "its rows are not made of whole blocks");
    if (!mem_mul(&e->bytes, count / (size_t)t->values, t->bytes))
        return fail_tensor(r, e, "the number of bytes overflows");
    e->dtype = t->dtype;
    e->dtype_name = t->name;
    if (t->unpack) e->blocks = t;
    return OK;
}

/* Data lie one after the other, each padded; `at` is where the next begins. */
static Status read_tensor(Gguf *g, Reader *r, uint64_t *at) {
    TensorEntry *e = &g->entries[g->n_entries];
    size_t count = 0;
    uint64_t offset = 0;
    TRY(take_name(r, &g->names[g->n_entries], NAME_MAX_BYTES, "the name of a tensor"));
    *e = (TensorEntry){.name = g->names[g->n_entries], .file = g->path};
    g->n_entries++;
    TRY(read_shape(r, e, &count));
    TRY(read_type(r, e, count));
    TRY(take_number(r, &offset, 8));
    if (offset != *at) return fail_tensor(r, e, "has a hole before it, or overlaps another");
    e->stored = (const void *)(uintptr_t)offset; /* until it is known where data begin */
    size_t padded;
    if (!mem_add(&padded, e->bytes, (size_t)g->alignment - 1) ||
        !mem_add(&padded, (size_t)*at, padded / g->alignment * g->alignment))
        return fail_tensor(r, e, "its place overflows");
    *at = padded;
    return OK;
}

static Status place_tensors(Gguf *g, const Reader *r) {
    size_t header = (size_t)(r->at - g->map.data);
    size_t pad = (size_t)(g->alignment - header % g->alignment) % g->alignment;
    size_t room = g->map.size - header;
    room = room > pad ? room - pad : 0;
    for (int64_t i = 0; i < g->n_entries; i++) {
        TensorEntry *e = &g->entries[i];
        size_t offset = (size_t)(uintptr_t)e->stored;
        if (offset > room || e->bytes > room - offset)
            return fail_tensor(r, e, "its data lie beyond the end of the file; is it cut short?");
        e->stored = g->map.data + header + pad + offset;
        if (!e->blocks) e->data = e->stored;
    }
    tensor_entries_sort(g->entries, g->n_entries);
    for (int64_t i = 1; i < g->n_entries; i++)
        if (str_equal(g->entries[i].name, g->entries[i - 1].name))
            return fail_tensor(r, &g->entries[i], "is there twice");
    return OK;
}

/* ---- the file ---- */

static Status read_head(Reader *r, uint64_t *n_tensors, uint64_t *n_pairs) {
    const unsigned char *magic = NULL;
    uint64_t version = 0;
    if (take(r, &magic, 4) != OK || memcmp(magic, "GGUF", 4) != 0)
        return status_fail(ERR_DATA, "%s: not a GGUF file", r->path);
    TRY(take_number(r, &version, 4));
    if (version >> 16 && !(version & 0xffff))
        return status_fail(ERR_DATA,
                           "%s: a GGUF file of a big-endian machine; convert it (gguf's "
                           "gguf-convert-endian)",
                           r->path);
    if (version != 2 && version != 3)
        return status_fail(ERR_DATA, "%s: version %llu of the GGUF format; 2 and 3 are read",
                           r->path, (unsigned long long)version);
    TRY(take_number(r, n_tensors, 8));
    TRY(take_number(r, n_pairs, 8));
    if (*n_tensors > TENSORS_MAX || *n_pairs > PAIRS_MAX)
        return status_fail(ERR_DATA, "%s: more tensors or keys than any model has", r->path);
    size_t rest = (size_t)(r->end - r->at); /* before room is made for them */
    if (*n_tensors * INFO_LEAST_BYTES + *n_pairs * PAIR_LEAST_BYTES > rest)
        return status_fail(ERR_DATA, "%s: ends too early; is it cut short?", r->path);
    return OK;
}

static Status read_alignment(Gguf *g) {
    int64_t alignment = 32, parts = 1;
    TRY(gguf_opt_int(&alignment, g, "general.alignment"));
    TRY(gguf_opt_int(&parts, g, "split.count"));
    if (alignment < 1 || alignment > ALIGNMENT_MAX || (alignment & (alignment - 1)) != 0)
        return status_fail(ERR_DATA, "%s: general.alignment %lld is no power of two up to %u",
                           g->path, (long long)alignment, ALIGNMENT_MAX);
    if (parts > 1)
        return status_fail(ERR_DATA,
                           "%s: one of %lld parts of a model; put them together with llama.cpp's "
                           "llama-gguf-split --merge",
                           g->path, (long long)parts);
    g->alignment = (uint64_t)alignment;
    return OK;
}

static Status open_file(Gguf *g, const char *path) {
    g->path = mem_strdup(path);
    TRY(file_map(&g->map, path));
    Reader r = {.at = g->map.data, .end = g->map.data + g->map.size, .path = path};
    uint64_t n_tensors = 0, n_pairs = 0, at = 0;
    TRY(read_head(&r, &n_tensors, &n_pairs));
    TRY(read_pairs(g, &r, n_pairs));
    TRY(read_alignment(g));
    g->entries = mem_zalloc((size_t)n_tensors, sizeof *g->entries);
    g->names = mem_zalloc((size_t)n_tensors, sizeof *g->names);
    for (uint64_t i = 0; i < n_tensors; i++) TRY(read_tensor(g, &r, &at));
    return place_tensors(g, &r);
}

Status gguf_open(Gguf **out, const char *path) {
    Gguf *g = mem_zalloc(1, sizeof *g);
    Status st = open_file(g, path);
    if (st != OK) {
        gguf_close(g);
        g = NULL;
    }
    *out = g;
    return st;
}

void gguf_close(Gguf *g) {
    if (!g) return;
    for (int64_t i = 0; i < g->n_pairs; i++) {
        mem_free(g->pairs[i].key);
        mem_free(g->pairs[i].text);
        mem_free(g->pairs[i].places);
    }
    for (int64_t i = 0; i < g->n_entries; i++) mem_free(g->names[i]);
    mem_free(g->names);
    mem_free(g->pairs);
    mem_free(g->entries);
    file_unmap(&g->map);
    mem_free(g->path);
    mem_free(g);
}

const char *gguf_path(const Gguf *g) {
    return g->path;
}

const TensorEntry *gguf_entries(const Gguf *g, int64_t *n) {
    *n = g->n_entries;
    return g->entries;
}

/* ---- asking ---- */

static bool is_int(GgufType t) {
    return t <= GGUF_I32 || t == GGUF_U64 || t == GGUF_I64;
}

static bool is_float(GgufType t) {
    return t == GGUF_F32 || t == GGUF_F64;
}

static Status wrong_type(const Gguf *g, const Pair *p, const char *wanted) {
    return status_fail(ERR_DATA, "%s: key `%.200s` must be %s, not %s%s", g->path, p->key, wanted,
                       p->is_array ? "an array of " : "", type_names[p->type]);
}

static uint64_t int_at(const Pair *p, uint64_t i) {
    size_t bytes = type_bytes[p->type];
    uint64_t x = little_load(p->data + i * bytes, bytes);
    bool is_signed = p->type == GGUF_I8 || p->type == GGUF_I16 || p->type == GGUF_I32;
    if (is_signed && x >> (8 * bytes - 1)) x |= ~(uint64_t)0 << (8 * bytes);
    return x;
}

static double num_at(const Pair *p, uint64_t i) {
    float single;
    double number;
    if (is_int(p->type)) return (double)(int64_t)int_at(p, i);
    memcpy(&single, p->data + i * type_bytes[p->type], sizeof single);
    if (p->type == GGUF_F32) return (double)single;
    memcpy(&number, p->data + i * sizeof number, sizeof number);
    return number;
}

bool gguf_has(const Gguf *g, const char *key) {
    return find(g, key) != NULL;
}

Status gguf_opt_int(int64_t *out, const Gguf *g, const char *key) {
    const Pair *p = find(g, key);
    if (!p) return OK;
    if (p->is_array || !is_int(p->type)) return wrong_type(g, p, "an integer");
    uint64_t x = int_at(p, 0);
    if (p->type == GGUF_U64 && x > INT64_MAX) return wrong_type(g, p, "an integer below 2^63");
    *out = (int64_t)x;
    return OK;
}

Status gguf_opt_num(double *out, const Gguf *g, const char *key) {
    const Pair *p = find(g, key);
    if (!p) return OK;
    if (p->is_array || (!is_float(p->type) && !is_int(p->type)))
        return wrong_type(g, p, "a number");
    *out = num_at(p, 0);
    return OK;
}

Status gguf_opt_bool(bool *out, const Gguf *g, const char *key) {
    const Pair *p = find(g, key);
    if (!p) return OK;
    if (p->is_array || p->type != GGUF_BOOL || *p->data > 1) return wrong_type(g, p, "a bool");
    *out = *p->data == 1;
    return OK;
}

Status gguf_opt_str(const char **out, const Gguf *g, const char *key) {
    const Pair *p = find(g, key);
    if (!p) return OK;
    if (p->is_array || p->type != GGUF_STRING) return wrong_type(g, p, "a string");
    size_t n = (size_t)little_u64(p->data);
    if (strlen(p->text) != n || !str_utf8_valid(p->text, n, NULL))
        return status_fail(ERR_DATA, "%s: key `%.200s` is no text", g->path, key);
    *out = p->text;
    return OK;
}

Status gguf_opt_strings(int64_t *n, const Gguf *g, const char *key) {
    const Pair *p = find(g, key);
    *n = 0;
    if (!p) return OK;
    if (!p->is_array || p->type != GGUF_STRING) return wrong_type(g, p, "an array of strings");
    *n = (int64_t)p->n;
    return OK;
}

Status gguf_opt_numbers(int64_t *n, const Gguf *g, const char *key) {
    const Pair *p = find(g, key);
    *n = 0;
    if (!p) return OK;
    if (!p->is_array || (!is_int(p->type) && !is_float(p->type)))
        return wrong_type(g, p, "an array of numbers");
    *n = (int64_t)p->n;
    return OK;
}

const char *gguf_string_at(const Gguf *g, const char *key, int64_t i, size_t *bytes) {
    const Pair *p = find(g, key);
    CHECK(p && p->places && i >= 0 && (uint64_t)i < p->n, "%s[%lld]", key, (long long)i);
    *bytes = (size_t)little_u64(p->places[i]);
    return (const char *)p->places[i] + 8;
}

double gguf_number_at(const Gguf *g, const char *key, int64_t i) {
    const Pair *p = find(g, key);
    CHECK(p && p->is_array && p->type != GGUF_STRING && i >= 0 && (uint64_t)i < p->n, "%s[%lld]",
          key, (long long)i);
    return num_at(p, (uint64_t)i);
}
