/* cpu_narrow: matrix products with few columns or few rows, as adapters have them. In cpu_gemm.c
 * such a product packs more than it multiplies; here nothing that is large is packed. The sums are
 * those of cpu_gemm.h, term by term. */
#include "kernels/cpu/cpu_gemm.h"

#include "kernels/cpu/cpu_tile.h"

#include <omp.h>

/* ---- few columns: a by rows against one panel ---- */

#if WIDE == VEC
/* Half a panel is one register, so twelve rows have the chains that hide each other's latency. */
#define HALF_ROWS 12
static void tile_half(TileIn in, const TileOut *out) {
    in.a_k = 1, in.b_k = PANEL_COLS;
    tile(HALF_ROWS, 1, 1, in, out);
}

typedef struct Half {
    const Gemm *g;
    const float *panel; /* [k][PANEL_COLS], zero past the columns */
} Half;

static void half_rows(const Half *h, int64_t m0, int64_t m1) {
    const Gemm *g = h->g;
    for (int64_t m = m0; m < m1; m += HALF_ROWS) {
        for (int64_t k0 = 0; k0 < g->k; k0 += GEMM_K_BLOCK) {
            TileIn in = {.a = g->a + m * g->a_stride + k0,
                         .a_row = g->a_stride,
                         .b = h->panel + k0 * PANEL_COLS,
                         .dtype = DTYPE_F32,
                         .n_k = min64(GEMM_K_BLOCK, g->k - k0)};
            TileOut out = gemm_tile_out(g, m, HALF_ROWS, 0, k0);
            tile_half(in, &out);
        }
    }
}

/* Whole tiles of twelve rows; returns how many rows that was. */
static int64_t few_columns(const Dev *dev, const Gemm *g) {
    int64_t tiles = g->m / HALF_ROWS;
    float *panel = cpu_scratch(dev, 0);
    CPU_NAME(gemm_pack_panel)(panel, g, 0, 0, g->k);
    Half h = {g, panel};
    int threads = cpu_threads(dev, g->m * g->n * g->k);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t t = 0; t < tiles; t++) half_rows(&h, t * HALF_ROWS, (t + 1) * HALF_ROWS);
    return tiles * HALF_ROWS;
}
#endif

/* ---- few rows or columns of a sum over many rows: dw of an adapter ---- */

/* c'[few, many] (+)= alpha few'[k, few]^T many'[k, many]; c' is c, or c turned round. */
typedef struct Outer {
    const float *few, *many;
    int64_t few_stride, many_stride, n_few, n_many;
    bool turned;
} Outer;

#if WIDE == VEC
#define OUTER_ROWS 4
#else
#define OUTER_ROWS 8
#endif
#define OUTER_TILE(rows)                                      \
    static void outer_##rows(TileIn in, const TileOut *out) { \
        in.a_row = 1;                                         \
        tile(rows, 1, WIDES, in, out);                        \
    }
OUTER_TILE(1)
OUTER_TILE(2)
OUTER_TILE(3)
OUTER_TILE(4)
#if OUTER_ROWS == 8
OUTER_TILE(5)
OUTER_TILE(6)
OUTER_TILE(7)
OUTER_TILE(8)
#endif
static void (*const outer_tile[OUTER_ROWS + 1])(TileIn, const TileOut *) = {
    NULL,    outer_1, outer_2, outer_3, outer_4,
#if OUTER_ROWS == 8
    outer_5, outer_6, outer_7, outer_8,
#endif
};

/* Columns 16p.. of the many. A whole panel is read where it lies: its rows are a line each. */
static void outer_panel(const Gemm *g, const Outer *o, int64_t p, float *scratch) {
    int64_t col = p * PANEL_COLS, cols = min64(PANEL_COLS, o->n_many - col);
    float turned[GEMM_NARROW * PANEL_COLS];
    float *c = o->turned ? turned : g->c + col;
    int64_t c_stride = o->turned ? PANEL_COLS : g->c_stride;
    if (o->turned && g->accumulate)
        for (int64_t i = 0; i < cols; i++)
            for (int64_t m = 0; m < o->n_few; m++)
                turned[m * PANEL_COLS + i] = g->c[(col + i) * g->c_stride + m];
    for (int64_t k0 = 0; k0 < g->k; k0 += GEMM_K_BLOCK) {
        TileIn in = {.a_k = o->few_stride,
                     .b = o->many + k0 * o->many_stride + col,
                     .dtype = DTYPE_F32,
                     .b_k = o->many_stride,
                     .n_k = min64(GEMM_K_BLOCK, g->k - k0)};
        if (cols < PANEL_COLS) {
            for (int64_t k = 0; k < in.n_k; k++)
                for (int64_t i = 0; i < PANEL_COLS; i++)
                    scratch[k * PANEL_COLS + i] =
                        i < cols ? o->many[(k0 + k) * o->many_stride + col + i] : 0.0F;
            in.b = scratch, in.b_k = PANEL_COLS;
        }
        for (int64_t m = 0; m < o->n_few; m += OUTER_ROWS) {
            int64_t rows = min64(OUTER_ROWS, o->n_few - m);
            TileOut out = {.c = c + m * c_stride,
                           .c_stride = c_stride,
                           .rows = rows,
                           .cols = cols,
                           .alpha = g->alpha,
                           .add = g->accumulate || k0 > 0};
            in.a = o->few + k0 * o->few_stride + m;
            outer_tile[rows](in, &out);
        }
    }
    if (o->turned)
        for (int64_t i = 0; i < cols; i++)
            for (int64_t m = 0; m < o->n_few; m++)
                g->c[(col + i) * g->c_stride + m] = turned[m * PANEL_COLS + i];
}

static void outer(const Dev *dev, const Gemm *g) {
    Outer o = {g->a, g->b, g->a_stride, g->b_stride, g->m, g->n, false};
    if (g->n < g->m) o = (Outer){g->b, g->a, g->b_stride, g->a_stride, g->n, g->m, true};
    int64_t panels = (o.n_many + PANEL_COLS - 1) / PANEL_COLS;
    int threads = cpu_threads(dev, g->m * g->n * g->k);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t p = 0; p < panels; p++)
        outer_panel(g, &o, p, cpu_scratch(dev, omp_get_thread_num()));
}

int64_t CPU_NAME(gemm_narrow)(const Dev *dev, const Gemm *g) {
    bool of_rows =
        g->a_transposed && g->b_layout == GEMM_IN_ROWS && g->b_dtype == DTYPE_F32 && !g->bias;
    if (of_rows && (g->m <= GEMM_NARROW || g->n <= GEMM_NARROW)) {
        outer(dev, g);
        return g->m;
    }
#if WIDE == VEC
    if (!g->a_transposed && g->n <= VEC && g->m >= HALF_ROWS &&
        (size_t)(g->k * PANEL_COLS) * sizeof(float) <= CPU_SCRATCH_BYTES)
        return few_columns(dev, g);
#endif
    return 0;
}
