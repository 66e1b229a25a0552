/* ref: the specification of every op, written to be checked by eye: plain loops, no tricks, sums in
 * ascending order in `real`. Compiled twice, REF_BITS = 32 and 64; REF(name) keeps the symbols
 * apart. Arguments were checked in kernels/ops.c. The formulas stand in the family headers; what is
 * said here is where they come from and how the derivative is found.
 */
#ifndef HONE_KERNELS_REF_REAL_H
#define HONE_KERNELS_REF_REAL_H

#include "core/check.h"
#include "kernels/backend.h"
#include "kernels/quant_weight.h"

#include <tgmath.h>

#if REF_BITS == 32
typedef float real;
#define REF(name) ref32_##name
#define REF_DTYPE DTYPE_F32
#elif REF_BITS == 64
typedef double real;
#define REF(name) ref64_##name
#define REF_DTYPE DTYPE_F64
#else
#error "REF_BITS is 32 or 64"
#endif

/* void ref32_linear_fwd(Dev *, Tensor, ...); and so on for every op. */
#define REF_DECLARE(name, parameters) void REF(name) parameters;
OPS(REF_DECLARE)
#undef REF_DECLARE

static inline real *reals(Tensor t) {
    return t.data;
}
static inline const int32_t *ints(Tensor t) {
    return t.data;
}
static inline const int64_t *longs(Tensor t) {
    return t.data;
}

/* Row i of a [N,C] real tensor. */
static inline real *row(Tensor t, int64_t i) {
    return reals(t) + i * t.shape[1];
}

/* Element i of a tensor of any float type, widened (or, f64 for f32, rounded) to real. */
static inline real load(Tensor t, int64_t i) {
    switch (t.dtype) {
    case DTYPE_F64:
        return (real)((const double *)t.data)[i];
    case DTYPE_F32:
        return (real)((const float *)t.data)[i];
    case DTYPE_BF16:
        return (real)bf16_to_f32(((const uint16_t *)t.data)[i]);
    case DTYPE_F16:
        return (real)f16_to_f32(((const uint16_t *)t.data)[i]);
    default:
        FAIL("%s is not a float type", dtype_name(t.dtype));
    }
}

/* Where w[o][i] of a [O,I] weight lies, in elements (kernels/op_matmul.h). */
static inline int64_t weight_place(Tensor w, int64_t o, int64_t i) {
    int64_t inputs = w.shape[1];
    if (w.layout == LAYOUT_ROW) return o * inputs + i;
    return (o / PANEL_COLS * inputs + i) * PANEL_COLS + o % PANEL_COLS;
}

/* w[o][i] of a weight of any kind, widened. */
static inline real weight_at(Tensor w, int64_t o, int64_t i) {
    if (w.layout == LAYOUT_CODES) return (real)quant_weight_at(w, o, i);
    return load(w, weight_place(w, o, i));
}

#endif
