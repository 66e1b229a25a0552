#include "kernels/cpu/cpu_gemm.h"
#include "kernels/cpu/cpu_vec.h"

static GemmLayout layout_of(Tensor w, GemmLayout row_layout) {
    if (w.layout == LAYOUT_CODES)
        return row_layout == GEMM_OUT_ROWS ? GEMM_CODES_OUT : GEMM_CODES_IN;
    return w.layout == LAYOUT_PANEL ? GEMM_PANEL : row_layout;
}

static Gemm gemm_of_weight(Tensor w, GemmLayout row_layout) {
    return (Gemm){.b = w.data,
                  .b_dtype = w.dtype,
                  .b_layout = layout_of(w, row_layout),
                  .b_stride = w.shape[1],
                  .scales = w.scales};
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

/* Panels of half-width floats, kept as they are: column c of inner index k is at w[c * by_col + k *
 * by_k]. */
static void pack_half(uint16_t *to, const uint16_t *w, int64_t cols, int64_t by_col, int64_t n_k,
                      int64_t by_k) {
    for (int64_t k = 0; k < n_k; k++)
        for (int64_t c = 0; c < PANEL_COLS; c++)
            to[k * PANEL_COLS + c] = c < cols ? w[c * by_col + k * by_k] : 0;
}

static void pack(const Dev *dev, Tensor packed, Tensor w, GemmLayout layout) {
    int64_t n = packed.shape[0], n_k = packed.shape[1], panels = (n + PANEL_COLS - 1) / PANEL_COLS;
    Gemm g = gemm_of_weight(w, layout);
    g.n = n, g.k = n_k;
    int64_t by_col = layout == GEMM_OUT_ROWS ? g.b_stride : 1,
            by_k = layout == GEMM_OUT_ROWS ? 1 : g.b_stride;
    int threads = cpu_threads(dev, n * n_k);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t p = 0; p < panels; p++) {
        int64_t at = p * n_k * PANEL_COLS, col = p * PANEL_COLS;
        if (packed.dtype == DTYPE_F32)
            CPU_NAME(gemm_pack_panel)((float *)packed.data + at, &g, p, 0, n_k);
        else
            pack_half((uint16_t *)packed.data + at, (const uint16_t *)w.data + col * by_col,
                      n - col, by_col, n_k, by_k);
    }
}

void CPU_NAME(pack)(Dev *dev, Tensor packed, Tensor w) {
    pack(dev, packed, w, GEMM_OUT_ROWS);
}

void CPU_NAME(pack_transposed)(Dev *dev, Tensor packed, Tensor w) {
    pack(dev, packed, w, GEMM_IN_ROWS);
}
