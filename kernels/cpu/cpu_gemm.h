/* cpu_gemm: c[M,N] (+)= alpha * a[M,K] b[K,N] (+ bias[N]), row-invariant.
 *
 * Order of a sum, the same for every element of every call: the inner axis is cut into blocks of
 * GEMM_K_BLOCK from 0; each block is one chain of fused multiply-adds (cpu_tile.h); alpha times the
 * first block's sum is stored (or added to c), the others are added one after another, the bias
 * last. With K <= GEMM_K_BLOCK this is one chain. (Blocks also keep the rounding error of long sums
 * below that of a chain.)
 */
#ifndef HONE_KERNELS_CPU_GEMM_H
#define HONE_KERNELS_CPU_GEMM_H

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/cpu_tile.h"
#include "kernels/quant_weight.h"

#define GEMM_K_BLOCK 384

typedef enum GemmLayout {
    GEMM_PANEL,     /* LAYOUT_PANEL */
    GEMM_OUT_ROWS,  /* b[k][n] at [n * stride + k]: a weight [O,I] used forward */
    GEMM_IN_ROWS,   /* b[k][n] at [k * stride + n]: a weight [O,I] used backward */
    GEMM_CODES_OUT, /* LAYOUT_CODES used forward: b[k][n] is w[n][k] */
    GEMM_CODES_IN   /* LAYOUT_CODES used backward: b[k][n] is w[k][n] */
} GemmLayout;

typedef struct Gemm {
    int64_t m, n, k;
    const float *a;
    int64_t a_stride;
    bool a_transposed; /* a[m][k] at [k * a_stride + m], else at [m * a_stride + k] */
    const void *b;
    DType b_dtype;
    GemmLayout b_layout;
    int64_t b_stride;
    const QuantScales *scales; /* of codes */
    float *c;
    int64_t c_stride;
    const float *bias; /* [N] or NULL */
    float alpha;
    bool accumulate;
} Gemm;

/* One panel of b, in float: columns 16p .. 16p+15 (zero past N) of inner indices k0 .. k0+n_k-1. */
void CPU_NAME(gemm_pack_panel)(float *panel, const Gemm *g, int64_t p, int64_t k0, int64_t n_k);

void CPU_NAME(gemm)(const Dev *dev, const Gemm *g);

/* The first rows of c where the product is narrow enough for cpu_narrow.c; how many that is (0:
 * none).
 */
#define GEMM_NARROW 16
int64_t CPU_NAME(gemm_narrow)(const Dev *dev, const Gemm *g);

/* Where the tile of rows m.. and panels p.. goes, with the sum of the block from k0. */
static inline TileOut gemm_tile_out(const Gemm *g, int64_t m, int64_t rows, int64_t p, int64_t k0) {
    int64_t col = p * PANEL_COLS;
    bool last = k0 + GEMM_K_BLOCK >= g->k;
    return (TileOut){.c = g->c + m * g->c_stride + col,
                     .c_stride = g->c_stride,
                     .rows = rows,
                     .cols = g->n - col,
                     .bias = g->bias && last ? g->bias + col : NULL,
                     .alpha = g->alpha,
                     .add = g->accumulate || k0 > 0};
}

#endif
