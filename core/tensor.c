#include "core/tensor.h"

#include "core/check.h"

#include <stdio.h>

Tensor tensor_none(void) {
    return (Tensor){0};
}

bool tensor_is_none(Tensor t) {
    return t.data == NULL;
}

Tensor tensor_1d(void *data, DType dtype, int64_t n) {
    CHECK(n >= 0, "n %lld", (long long)n);
    return (Tensor){.data = data, .dtype = dtype, .rank = 1, .shape = {n}};
}

Tensor tensor_2d(void *data, DType dtype, int64_t rows, int64_t cols) {
    CHECK(rows >= 0 && cols >= 0, "[%lld,%lld]", (long long)rows, (long long)cols);
    return (Tensor){.data = data, .dtype = dtype, .rank = 2, .shape = {rows, cols}};
}

Tensor tensor_3d(void *data, DType dtype, int64_t a, int64_t b, int64_t c) {
    CHECK(a >= 0 && b >= 0 && c >= 0, "[%lld,%lld,%lld]", (long long)a, (long long)b, (long long)c);
    return (Tensor){.data = data, .dtype = dtype, .rank = 3, .shape = {a, b, c}};
}

Tensor tensor_like(void *data, Tensor t) {
    t.data = data;
    t.layout = LAYOUT_ROW;
    return t;
}

int64_t tensor_numel(Tensor t) {
    int64_t n = 1;
    for (int i = 0; i < t.rank; i++) n *= t.shape[i];
    return n;
}

size_t tensor_bytes(Tensor t) {
    return (size_t)tensor_numel(t) * dtype_size(t.dtype);
}

bool tensor_same_shape(Tensor a, Tensor b) {
    if (a.rank != b.rank) return false;
    for (int i = 0; i < a.rank; i++)
        if (a.shape[i] != b.shape[i]) return false;
    return true;
}

Tensor tensor_rows(Tensor t, int64_t first, int64_t n) {
    CHECK(t.rank >= 1 && t.layout == LAYOUT_ROW, "rank %d, layout %d", t.rank, (int)t.layout);
    CHECK(first >= 0 && n >= 0 && first <= t.shape[0] - n, "rows %lld+%lld of %lld",
          (long long)first, (long long)n, (long long)t.shape[0]);
    size_t row_bytes = dtype_size(t.dtype);
    for (int i = 1; i < t.rank; i++) row_bytes *= (size_t)t.shape[i];
    t.data = (unsigned char *)t.data + (size_t)first * row_bytes;
    t.shape[0] = n;
    return t;
}

Tensor tensor_view_2d(Tensor t, int64_t rows, int64_t cols) {
    CHECK(t.layout == LAYOUT_ROW && rows >= 0 && cols >= 0 && tensor_numel(t) == rows * cols,
          "%lld elements as [%lld,%lld]", (long long)tensor_numel(t), (long long)rows,
          (long long)cols);
    return tensor_2d(t.data, t.dtype, rows, cols);
}

char *tensor_describe(char *buf, size_t cap, Tensor t) {
    size_t at = 0;
    for (int i = 0; i < t.rank && at < cap; i++)
        at += (size_t)snprintf(buf + at, cap - at, "%s%lld", i == 0 ? "[" : ",",
                               (long long)t.shape[i]);
    if (at < cap)
        snprintf(buf + at, cap - at, "%s %s", t.rank == 0 ? "[]" : "]", dtype_name(t.dtype));
    return buf;
}
