/* cpu_small: products of blocks of at most some hundred rows and columns that lie in a thread's
 * caches; for attention. The order of each sum is that of cpu_tile.h: one chain over the inner
 * index, ascending.
 */
#ifndef HONE_KERNELS_CPU_SMALL_H
#define HONE_KERNELS_CPU_SMALL_H

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/cpu_tile.h"

/* A block on the diagonal of a causal matrix is half empty. What the empty half holds is zero or
 * not asked for, so it need not be computed: of row r of c, TRIANGLE_COLS: only columns 0..r; of
 * the inner indices of row r, TRIANGLE_TO_ROW: only 0..r, TRIANGLE_FROM_ROW: only r and on. (Whole
 * tiles, at least.) */
typedef enum Triangle { TRIANGLE_NONE, TRIANGLE_COLS, TRIANGLE_TO_ROW, TRIANGLE_FROM_ROW } Triangle;

/* c[rows,cols] (+)= a[rows,n_k] b[n_k,cols]. */
typedef struct Small {
    int64_t rows, cols, n_k;
    const float *a; /* by rows: [rows,n_k], row stride a_stride; or transposed: [n_k,rows], row
                       stride a_stride */
    int64_t a_stride;
    bool a_transposed;
    const float *b;       /* column j of inner index k at b[j / 16 * b_panel + k * b_k + j % 16] */
    int64_t b_panel, b_k; /* multiples of 16 columns are read */
    float *c;
    int64_t c_stride;
    bool add;
    Triangle triangle;
} Small;

void CPU_NAME(small_product)(const Small *s);

/* to[n][padded] = from[n][width], zero past width; padded: width rounded up to PANEL_COLS. As b:
 * b_panel = PANEL_COLS, b_k = padded. */
void CPU_NAME(small_pack_rows)(float *to, const float *from, int64_t stride, int64_t n,
                               int64_t width);
/* Panels of n columns (zero past n, up to PANEL_COLS a panel) of the transposed matrix
 * from[n][width]. As b: b_panel = width * PANEL_COLS, b_k = PANEL_COLS. */
void CPU_NAME(small_pack_transposed)(float *to, const float *from, int64_t stride, int64_t n,
                                     int64_t width);
/* c[j] = sum over k of a[k] * b[j * stride + k], j < n: one row of small_product with b packed by
 * small_pack_transposed, the same bits, b read where it is. c has room for round_up(n, PANEL_COLS);
 * of b, rows past n up to `room` may be read, whatever they hold. */
void CPU_NAME(small_row)(float *c, const float *a, const float *b, int64_t stride, int64_t n,
                         int64_t room, int64_t n_k);

INLINE int64_t round_up(int64_t n, int64_t to) {
    return (n + to - 1) / to * to;
}

#endif
