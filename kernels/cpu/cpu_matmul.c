#include "kernels/cpu/cpu_gemm.h"
#include "kernels/cpu/cpu_vec.h"

static Gemm gemm_of_weight(Tensor w, GemmLayout row_layout) {
    return (Gemm){.b = w.data,
                  .b_dtype = w.dtype,
                  .b_layout = w.layout == LAYOUT_PANEL ? GEMM_PANEL : row_layout,
                  .b_stride = w.shape[1]};
}

void CPU_NAME(linear_fwd)(Dev *dev, Tensor y, Tensor x, Tensor w, Tensor bias, LinearArgs args) {
    Gemm g = gemm_of_weight(w, GEMM_OUT_ROWS);
    g.m = x.shape[0], g.n = w.shape[0], g.k = w.shape[1];
    g.a = x.data, g.a_stride = g.k;
    g.c = y.data, g.c_stride = g.n;
    g.bias = bias.data;
    g.alpha = (float)args.alpha, g.accumulate = args.accumulate;
    CPU_NAME(gemm)(dev, &g);
}

void CPU_NAME(linear_dx)(Dev *dev, Tensor dx, Tensor dy, Tensor w, LinearArgs args) {
    Gemm g = gemm_of_weight(w, GEMM_IN_ROWS);
    g.m = dy.shape[0], g.n = w.shape[1], g.k = w.shape[0];
    g.a = dy.data, g.a_stride = g.k;
    g.c = dx.data, g.c_stride = g.n;
    g.alpha = (float)args.alpha, g.accumulate = args.accumulate;
    CPU_NAME(gemm)(dev, &g);
}

void CPU_NAME(linear_dw)(Dev *dev, Tensor dw, Tensor dy, Tensor x, double alpha) {
    Gemm g = {.m = dw.shape[0],
              .n = dw.shape[1],
              .k = x.shape[0],
              .a = dy.data,
              .a_stride = dw.shape[0],
              .a_transposed = true,
              .b = x.data,
              .b_dtype = DTYPE_F32,
              .b_layout = GEMM_IN_ROWS,
              .b_stride = dw.shape[1],
              .c = dw.data,
              .c_stride = dw.shape[1],
              .alpha = (float)alpha,
              .accumulate = true};
    CPU_NAME(gemm)(dev, &g);
}
