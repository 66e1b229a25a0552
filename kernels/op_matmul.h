/* op_matmul: projections. The weight is always stored [O,I] (PyTorch's nn.Linear).
 *
 * Law L5: an output element is one sum over its inner axis in one fixed order, whatever the number
 * of rows, the place of the row among them, and the number of threads. For LAYOUT_ROW and
 * LAYOUT_PANEL of the same weight the bits are the same too. (cpu: the inner axis is cut into
 * blocks of 384 from 0; a block's sum is a single chain of fused multiply-adds, inner index
 * ascending, times alpha; blocks are added to y, or stored when first and not `accumulate`, in
 * ascending order.)
 *
 * Weights may be real, f32, bf16 or f16, or quantized (quant_weight.h); they are widened before
 * they are multiplied.
 */
#ifndef HONE_KERNELS_OP_MATMUL_H
#define HONE_KERNELS_OP_MATMUL_H

#include "kernels/dev.h"

/* Outputs in a panel of LAYOUT_PANEL. A packed [O,I] is ceil(O/16) panels; panel p holds, for
 * i = 0..I-1, the 16 weights w[16p .. 16p+15][i] side by side (zero past O). */
#define PANEL_COLS 16

size_t panel_bytes(DType dtype, int64_t outputs, int64_t inputs);

/* packed (LAYOUT_PANEL, shape [O,I]) = w (LAYOUT_ROW, [O,I]), dtype kept or widened to real.
 * Decode, which has few rows, wants packed weights; training shapes pack as they go and take
 * either. */
void op_pack(Dev *dev, Tensor packed, Tensor w);
/* packed [I,O] in panels of the transposed weight, so that dx = dy w is a linear_fwd over it. */
void op_pack_transposed(Dev *dev, Tensor packed, Tensor w);

typedef struct LinearArgs {
    double alpha;    /* scales the product; 1 by default */
    bool accumulate; /* y += ... instead of y = ... */
} LinearArgs;

/* y[N,O] = alpha x[N,I] w[O,I]^T (+ bias[O] real|none, added after alpha). y, x real. */
void op_linear_fwd(Dev *dev, Tensor y, Tensor x, Tensor w, Tensor bias, LinearArgs args);
/* dx[N,I] = alpha dy[N,O] w[O,I]. w LAYOUT_ROW or LAYOUT_CODES. */
void op_linear_dx(Dev *dev, Tensor dx, Tensor dy, Tensor w, LinearArgs args);
/* dw[O,I] += alpha dy[N,O]^T x[N,I], rows summed in ascending order. Always accumulates; dw real,
 * row. */
void op_linear_dw(Dev *dev, Tensor dw, Tensor dy, Tensor x, double alpha);
/* db[O] += column sums of dy[N,O], rows in ascending order. */
void op_bias_bwd(Dev *dev, Tensor db, Tensor dy);

#endif
