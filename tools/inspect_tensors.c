/* Tables of tensors, for `hone inspect`. */
#include "core/file.h"
#include "core/io/h5.h"
#include "core/io/tensor_file.h"
#include "core/mem.h"
#include "core/sha256.h"
#include "tools/inspect.h"
#include "train/plan.h"

#include <string.h>

typedef struct Sums {
    int64_t tensors, scalars;
    size_t bytes;
} Sums;

static void add_row(Str *out, Sums *sums, const char *name, int width, const char *dtype,
                    const int64_t *shape, int rank, size_t bytes) {
    char size[32];
    Str dims = {0};
    int64_t n = 1;
    for (int i = 0; i < rank; i++) {
        str_printf(&dims, "%s%lld", i > 0 ? "," : "", (long long)shape[i]);
        n *= shape[i];
    }
    str_printf(out, "  %-*s  %-8s  [%s]%*s  %s\n", width, name, dtype, str_text(&dims),
               dims.len < 14 ? (int)(14 - dims.len) : 0, "", plan_size(size, sizeof size, bytes));
    str_free(&dims);
    sums->tensors++;
    sums->scalars += n;
    sums->bytes += bytes;
}

static void add_sums(Str *out, const Sums *s) {
    char size[32];
    str_printf(out, "  %lld tensors, %lld numbers, %s\n", (long long)s->tensors,
               (long long)s->scalars, plan_size(size, sizeof size, s->bytes));
}

static int wider(int width, const char *name) {
    int n = (int)strlen(name);
    return n > width ? n : width;
}

/* Each file once, in order, with its size and SHA-256. */
static Status add_files(Str *out, const TensorFile *s) {
    char hex[SHA256_HEX], size[32];
    for (int64_t i = 0; i < tensor_file_count(s); i++) {
        const char *file = tensor_file_at(s, i)->file;
        bool seen = false;
        for (int64_t k = 0; k < i && !seen; k++) seen = str_equal(tensor_file_at(s, k)->file, file);
        if (seen) continue;
        TRY(sha256_file(hex, file));
        str_printf(out, "%s  %s  sha256 %s\n", file,
                   plan_size(size, sizeof size, (size_t)file_size(file)), hex);
    }
    return OK;
}

Status inspect_tensors(Str *out, const char *path) {
    TensorFile *s = NULL;
    Sums sums = {0};
    int width = 0;
    TRY(tensor_file_open(&s, path));
    Status st = add_files(out, s);
    for (int64_t i = 0; i < tensor_file_count(s); i++)
        width = wider(width, tensor_file_at(s, i)->name);
    for (int64_t i = 0; i < tensor_file_count(s); i++) {
        const TensorEntry *e = tensor_file_at(s, i);
        add_row(out, &sums, e->name, width, e->dtype_name, e->shape, e->rank, e->bytes);
    }
    add_sums(out, &sums);
    tensor_file_close(s);
    return st;
}

Status inspect_h5(Str *out, const char *path) {
    H5Reader *r = NULL;
    Sums sums = {0};
    int width = 0;
    TRY(h5_open(&r, path));
    for (int64_t i = 0; i < h5_count(r); i++) width = wider(width, h5_at(r, i)->path);
    for (int64_t i = 0; i < h5_count(r); i++) {
        const H5Entry *e = h5_at(r, i);
        bool known = e->dtype != DTYPE_NONE;
        size_t bytes = known ? dtype_size(e->dtype) : 0;
        for (int k = 0; k < e->rank; k++) bytes *= (size_t)e->shape[k];
        add_row(out, &sums, e->path, width, known ? dtype_name(e->dtype) : "?", e->shape, e->rank,
                bytes);
    }
    add_sums(out, &sums);
    h5_close(r);
    return OK;
}
