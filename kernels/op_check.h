/* op_check: what an argument of an op must be, for ops.c. `what` is "op: argument"; another one is
 * a defect of the caller (CHECK). */
#ifndef HONE_KERNELS_OP_CHECK_H
#define HONE_KERNELS_OP_CHECK_H

#include "core/check.h"
#include "kernels/backend.h"
#include "kernels/quant_weight.h"

static inline void need_type(const char *what, Tensor t, DType dtype) {
    CHECK(t.data, "%s is missing", what);
    CHECK(t.dtype == dtype, "%s is %s, not %s", what, dtype_name(t.dtype), dtype_name(dtype));
    CHECK(t.layout == LAYOUT_ROW, "%s does not lie in rows", what);
}

static inline void need_1d(const char *what, Tensor t, DType dtype, int64_t n) {
    char text[96];
    need_type(what, t, dtype);
    CHECK(t.rank == 1 && t.shape[0] == n, "%s is %s, not [%lld]", what,
          tensor_describe(text, sizeof text, t), (long long)n);
}

static inline void need_2d(const char *what, Tensor t, DType dtype, int64_t rows, int64_t cols) {
    char text[96];
    need_type(what, t, dtype);
    CHECK(t.rank == 2 && t.shape[0] == rows && t.shape[1] == cols, "%s is %s, not [%lld,%lld]",
          what, tensor_describe(text, sizeof text, t), (long long)rows, (long long)cols);
}

static inline void need_like(const char *what, Tensor t, Tensor model) {
    char text[96], wanted[96];
    need_type(what, t, model.dtype);
    CHECK(tensor_same_shape(t, model), "%s is %s, not %s", what,
          tensor_describe(text, sizeof text, t), tensor_describe(wanted, sizeof wanted, model));
}

static inline void need_rank(const char *what, Tensor t, int rank) {
    CHECK(t.data, "%s is missing", what);
    CHECK(t.rank == rank, "%s has rank %d, not %d", what, t.rank, rank);
}

/* A weight: [O,I] of any float type that fits the device (f64 only where that is real), or
 * quantized. */
static inline void need_weight(const char *what, const Dev *dev, Tensor t) {
    need_rank(what, t, 2);
    CHECK((t.layout == LAYOUT_CODES) == (t.scales != NULL), "%s: codes and scales go together",
          what);
    if (t.scales) return;
    CHECK(t.dtype == dev_real(dev) || t.dtype == DTYPE_F32 || t.dtype == DTYPE_BF16 ||
              t.dtype == DTYPE_F16,
          "%s is %s", what, dtype_name(t.dtype));
}

static inline size_t memory_bytes(Tensor t) {
    if (t.layout == LAYOUT_CODES) return quant_weight_bytes(t.scales->kind, t.shape[0], t.shape[1]);
    if (t.layout == LAYOUT_PANEL) return panel_bytes(t.dtype, t.shape[0], t.shape[1]);
    return tensor_bytes(t);
}

/* a, which is written, and b share no byte. (A measuring device's addresses are made up: not
 * asked.) */
static inline void need_apart(const char *what, const Dev *dev, Tensor a, Tensor b) {
    if (dev->measure || !a.data || !b.data) return;
    const char *a0 = a.data, *b0 = b.data;
    CHECK(a0 + memory_bytes(a) <= b0 || b0 + memory_bytes(b) <= a0, "%s overlap", what);
}

/* a and b are the same memory or share no byte. */
static inline void need_same_or_apart(const char *what, const Dev *dev, Tensor a, Tensor b) {
    if (a.data != b.data) need_apart(what, dev, a, b);
}

/* Every value of an i32 tensor lies in 0 .. limit-1. Read only where the host can. */
static inline void need_below(const char *what, const Dev *dev, Tensor t, int64_t limit) {
    if (dev->measure || !dev_is_host(dev)) return;
    const int32_t *value = t.data;
    for (int64_t i = 0; i < tensor_numel(t); i++)
        CHECK(value[i] >= 0 && value[i] < limit, "%s[%lld] is %d, not in 0..%lld", what,
              (long long)i, value[i], (long long)limit - 1);
}

#endif
