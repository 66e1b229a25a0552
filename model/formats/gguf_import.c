/* Weights of a GGUF file into a base. */
#include "core/check.h"
#include "core/mem.h"
#include "core/str.h"
#include "model/formats/gguf_model.h"
#include "model/formats/import.h"

#include <string.h>

/* Row (2 i + j) of a head is row (j D/2 + i) here. */
static void unpermute(char *to, const char *from, int64_t rows, int64_t head_dim, size_t bytes) {
    int64_t half = head_dim / 2;
    for (int64_t r = 0; r < rows; r++) {
        int64_t head = r / head_dim * head_dim, at = r % head_dim;
        memcpy(to + (size_t)(head + at % 2 * half + at / 2) * bytes, from + (size_t)r * bytes,
               bytes);
    }
}

static Status upload_permuted(Base *b, const WeightRef *r, DType dtype, const void *values) {
    size_t row = (size_t)r->cols * dtype_size(dtype);
    char *ours = mem_alloc((size_t)r->rows * row);
    unpermute(ours, values, r->rows, b->arch.head_dim, row);
    Status st = weight_upload(r->weight, b->dev, dtype, ours);
    mem_free(ours);
    return st;
}

/* 1 + weight, as it is used. */
static Status upload_shifted(Base *b, const WeightRef *r, DType dtype, const void *values) {
    float *ours = mem_alloc((size_t)r->rows * sizeof *ours);
    dtype_convert(ours, DTYPE_F32, values, dtype, (size_t)r->rows);
    for (int64_t i = 0; i < r->rows; i++) ours[i] -= (float)b->arch.spec->norm_plus;
    Status st = weight_upload(r->weight, b->dev, DTYPE_F32, ours);
    mem_free(ours);
    return st;
}

static bool is_query_or_key(const char *name) {
    return strstr(name, ".attn_q.") || strstr(name, ".attn_k.");
}

static Status check_one(const WeightRef *r, const TensorEntry *e) {
    if (e->rank != r->rank || e->shape[0] != r->rows || (r->rank == 2 && e->shape[1] != r->cols))
        return status_fail(ERR_DATA,
                           "%s: tensor `%s` has another shape than its metadata make it, "
                           "[%lld,%lld]",
                           e->file, e->name, (long long)r->rows, (long long)r->cols);
    if (!dtype_is_float(e->dtype))
        return status_fail(ERR_DATA,
                           "%s: tensor `%s` is stored as %s, which is not read; F32, F16, BF16, "
                           "Q8_0, Q4_0, Q4_K, Q5_K and Q6_K are",
                           e->file, e->name, e->dtype_name);
    return OK;
}

static Status import_one(Base *b, const WeightRef *r, const TensorEntry *e) {
    void *made;
    const void *values = tensor_entry_values(e, &made);
    Status st;
    if (gguf_permutes(b->arch.spec) && is_query_or_key(e->name))
        st = upload_permuted(b, r, e->dtype, values);
    else if (r->kind == WEIGHT_SCALE && b->arch.spec->norm_plus != 0.0)
        st = upload_shifted(b, r, e->dtype, values);
    else
        st = weight_upload(r->weight, b->dev, e->dtype, values);
    mem_free(made);
    tensor_entry_forget(e);
    return st;
}

/* Read elsewhere, or not needed: a head of its own that is the embedding, or that nobody asks for.
 */
static bool is_ignored(const char *name) {
    return str_starts(name, "rope_f") || str_starts(name, "output.");
}

static bool has_place(char *const *names, int n, const char *name) {
    for (int i = 0; i < n; i++)
        if (str_equal(names[i], name)) return true;
    return is_ignored(name);
}

static Status check_named(const Base *b, const Gguf *g, char *const *names) {
    int64_t n;
    const TensorEntry *entries = gguf_entries(g, &n);
    for (int i = 0; i < b->n_refs; i++) {
        const TensorEntry *e = tensor_entries_find(entries, n, names[i]);
        if (!e) return status_fail(ERR_DATA, "%s: tensor `%s` is missing", gguf_path(g), names[i]);
        TRY(check_one(&b->refs[i], e));
    }
    for (int64_t i = 0; i < n; i++)
        if (!has_place(names, b->n_refs, entries[i].name))
            return status_fail(ERR_DATA, "%s: tensor `%s` has no place in a %s", gguf_path(g),
                               entries[i].name, b->arch.spec->architecture);
    return OK;
}

static void free_names(const Base *b, char **names) {
    for (int i = 0; i < b->n_refs; i++) mem_free(names[i]);
    mem_free(names);
}

Status gguf_check(const Base *b, const Gguf *g) {
    char **names = import_gguf_names(b);
    Status st = check_named(b, g, names);
    free_names(b, names);
    return st;
}

Status gguf_import(Base *b, const Gguf *g) {
    int64_t n;
    const TensorEntry *entries = gguf_entries(g, &n);
    char **names = import_gguf_names(b);
    Status st = OK;
    for (int i = 0; i < b->n_refs && st == OK; i++)
        st = import_one(b, &b->refs[i], tensor_entries_find(entries, n, names[i]));
    free_names(b, names);
    return st;
}
