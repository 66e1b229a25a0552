/* cpu_tile: the inner loop of every matrix product: a few rows times panels of 16 columns, the sums
 * in registers.
 *
 *     c[r][j] (+)= alpha * sum over k of a[r][k] * b[k][j]  (+ bias[j])
 *
 * Each sum is one chain of fused multiply-adds, k ascending, from zero. A chain does not know which
 * tile it is computed in, so neither the number of rows nor the cut changes a bit.
 *
 * b comes in panels (PANEL_COLS columns, k by k, side by side), of f32, bf16 or f16 that are
 * widened in registers. a is read either by rows (element k of row r at a[r * row_stride + k]) or
 * from a block packed k by k (cpu_gemm.c).
 */
#ifndef HONE_KERNELS_CPU_TILE_H
#define HONE_KERNELS_CPU_TILE_H

#include "kernels/cpu/cpu_vec.h"
#include "kernels/op_matmul.h"

/* A register of the widest kind. LANES * WIDES = 16 columns of a panel. */
#ifdef __AVX512F__
#define WIDE 16
typedef float Wide __attribute__((vector_size(64)));
typedef float WideMem __attribute__((vector_size(64), aligned(4), may_alias));
INLINE Wide wide_all(float x) {
    return (Wide)_mm512_set1_ps(x);
}
INLINE Wide wide_fma(Wide a, Wide b, Wide c) {
    return _mm512_fmadd_ps(a, b, c);
}
INLINE Wide wide_widen_bf16(const uint16_t *p) {
    __m512i x = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)p));
    return (Wide)_mm512_slli_epi32(x, 16);
}
INLINE Wide wide_widen_f16(const uint16_t *p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
/* Rows of a tile: packed a leaves its address in one register, so 24 sums of the 32 registers can
 * be used. */
#define TILE_PACKED_ROWS 24
#else
#define WIDE VEC
typedef Vec Wide;
typedef VecMem WideMem;
INLINE Wide wide_all(float x) {
    return vec_all(x);
}
INLINE Wide wide_fma(Wide a, Wide b, Wide c) {
    return vec_fma(a, b, c);
}
INLINE Wide wide_widen_bf16(const uint16_t *p) {
    return vec_widen_bf16(p);
}
INLINE Wide wide_widen_f16(const uint16_t *p) {
    return vec_widen_f16(p);
}
#define TILE_PACKED_ROWS 6
#endif

#define TILE_ROWS 6 /* at most, where a is read by rows */
#define WIDES (PANEL_COLS / WIDE)
#define TILE_MAX_ROWS 24 /* of any tile */
#define TILE_MAX_WIDES (4 * WIDES)

INLINE Wide wide_load(const float *p) {
    return *(const WideMem *)p;
}
INLINE void wide_store(float *p, Wide v) {
    *(WideMem *)p = v;
}

/* Columns of one panel at element i, as WIDES registers. bf16 in registers of 8 comes as the even
 * and the odd columns, for a shift and a mask widen cheaper than a conversion: columns_in_order
 * undoes that once, on the sums. */
INLINE void load_columns(int wides, Wide out[WIDES], const void *p, DType dtype, int64_t i) {
#if WIDE == VEC
    if (dtype == DTYPE_BF16) {
        VecI pairs = *(const VecIMem *)(const void *)((const uint16_t *)p + i);
        out[0] = (Vec)(pairs << 16);
        out[1] = (Vec)(pairs & veci_all((int32_t)0xFFFF0000));
        return;
    }
#endif
    for (int w = 0; w < wides; w++) {
        switch (dtype) {
        case DTYPE_F32:
            out[w] = wide_load((const float *)p + i + w * WIDE);
            break;
        case DTYPE_BF16:
            out[w] = wide_widen_bf16((const uint16_t *)p + i + w * WIDE);
            break;
        default:
            out[w] = wide_widen_f16((const uint16_t *)p + i + w * WIDE);
            break;
        }
    }
}

INLINE void columns_in_order(Wide sums[WIDES], DType dtype) {
#if WIDE == VEC
    if (dtype != DTYPE_BF16) return;
    Vec low = __builtin_shufflevector(sums[0], sums[1], 0, 8, 1, 9, 4, 12, 5, 13);
    Vec high = __builtin_shufflevector(sums[0], sums[1], 2, 10, 3, 11, 6, 14, 7, 15);
    sums[0] = __builtin_shufflevector(low, high, 0, 1, 2, 3, 8, 9, 10, 11);
    sums[1] = __builtin_shufflevector(low, high, 4, 5, 6, 7, 12, 13, 14, 15);
#else
    (void)sums, (void)dtype;
#endif
}

/* Where a tile's sums go. */
typedef struct TileOut {
    float *c;          /* [rows, cols], row stride c_stride */
    int64_t c_stride;  /* */
    int64_t rows;      /* stored, <= those computed */
    int64_t cols;      /* stored, <= 16 a panel */
    const float *bias; /* [cols] or NULL */
    float alpha;
    bool add; /* to what is in c */
} TileOut;

/* Whole panels, straight from the registers. */
INLINE void tile_store_whole(int rows, int wides, const TileOut *out, Wide sum[][TILE_MAX_WIDES]) {
    const TileOut to = *out;
    const Wide alpha = wide_all(to.alpha);
#pragma GCC unroll 24
    for (int r = 0; r < rows; r++) {
        float *c = to.c + r * to.c_stride;
#pragma GCC unroll 8
        for (int w = 0; w < wides; w++) {
            Wide v = sum[r][w] * alpha;
            if (to.bias) v += wide_load(to.bias + w * WIDE);
            if (to.add) v = wide_load(c + w * WIDE) + v;
            wide_store(c + w * WIDE, v);
        }
    }
}

/* Any number of rows and columns, through memory. The same operations on each element. */
static void __attribute__((noinline, unused))
tile_store_cut(const TileOut *out, const float *sums, int64_t sums_stride) {
    for (int64_t r = 0; r < out->rows; r++) {
        float *c = out->c + r * out->c_stride;
        int64_t n = out->cols < sums_stride ? out->cols : sums_stride;
        for (int64_t j = 0; j < n; j++) {
            float v = sums[r * sums_stride + j] * out->alpha;
            if (out->bias) v += out->bias[j];
            c[j] = out->add ? c[j] + v : v;
        }
    }
}

/* How a and b lie: element k of row r at a[r * a_row + k * a_k]; 16 columns of inner index k of
 * panel p at b[p * b_panel + k * b_k], of type `dtype`. Inlined with one of a_row and a_k, and b_k,
 * a constant. */
typedef struct TileIn {
    const float *a;
    int64_t a_row, a_k;
    const void *b;
    DType dtype;
    int64_t b_panel, b_k;
    int64_t n_k;
} TileIn;

/* The tile of `rows` rows and `panels` panels, of which the first `of_panel` registers are wanted
 * (WIDES, or fewer of one panel): constants. */
INLINE void tile(int rows, int panels, int of_panel, TileIn in, const TileOut *out) {
    Wide sum[TILE_MAX_ROWS][TILE_MAX_WIDES];
    int wides = panels * of_panel;
#pragma GCC unroll 24
    for (int r = 0; r < rows; r++) __builtin_prefetch(out->c + r * out->c_stride, 1);
#pragma GCC unroll 24
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int w = 0; w < wides; w++) sum[r][w] = wide_all(0.0F);
#pragma GCC unroll 4
    for (int64_t k = 0; k < in.n_k; k++) {
        Wide bk[TILE_MAX_WIDES];
#pragma GCC unroll 4
        for (int p = 0; p < panels; p++)
            load_columns(of_panel, bk + p * of_panel, in.b, in.dtype, p * in.b_panel + k * in.b_k);
#pragma GCC unroll 24
        for (int r = 0; r < rows; r++) {
            Wide ak = wide_all(in.a[r * in.a_row + k * in.a_k]);
#pragma GCC unroll 8
            for (int w = 0; w < wides; w++) sum[r][w] = wide_fma(ak, bk[w], sum[r][w]);
        }
    }
#pragma GCC unroll 24
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int p = 0; p < panels; p++) columns_in_order(sum[r] + p * WIDES, in.dtype);
    if (out->rows >= rows && out->cols >= wides * WIDE) {
        tile_store_whole(rows, wides, out, sum);
        return;
    }
    float sums[TILE_MAX_ROWS * TILE_MAX_WIDES * WIDE];
#pragma GCC unroll 24
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int w = 0; w < wides; w++) wide_store(sums + (r * wides + w) * WIDE, sum[r][w]);
    tile_store_cut(out, sums, wides * WIDE);
}

#endif
