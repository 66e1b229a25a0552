#include "kernels/cpu/cpu_gemm.h"

#include "kernels/cpu/cpu_quant.h"
#include "kernels/cpu/cpu_tile.h"

#include <omp.h>

/* Blocks of a thread: a panel of GEMM_K_BLOCK inputs (24 KiB) stays in the first cache while
 * GEMM_ROW_BLOCK rows pass; the panels of a block stay in the second. */
#define GEMM_ROW_BLOCK 96
#define GEMM_PANEL_BLOCK 32
#define PANEL_FLOATS (GEMM_K_BLOCK * PANEL_COLS)

/* With few rows a widened copy of bf16 or f16 panels costs more than widening in registers again.
 */
#define GEMM_WIDEN_ROWS (2 * TILE_ROWS)

_Static_assert((GEMM_PANEL_BLOCK * PANEL_FLOATS + GEMM_ROW_BLOCK * GEMM_K_BLOCK) * sizeof(float) <=
                   CPU_SCRATCH_BYTES,
               "a thread's scratch holds a block of b and one of a");
_Static_assert(GEMM_ROW_BLOCK % TILE_PACKED_ROWS == 0, "whole tiles");

/* ---- tiles by number of rows ---- */

typedef void TileFn(const float *a, int64_t a_stride, const void *b, int64_t b_panel, int64_t n_k,
                    const TileOut *out);

/* a by rows: a_stride elements from row to row. */
#define TILE_FN(name, rows, panels, type)                                              \
    static void name(const float *a, int64_t a_stride, const void *b, int64_t b_panel, \
                     int64_t n_k, const TileOut *out) {                                \
        TileIn in = {a, a_stride, 1, b, type, b_panel, PANEL_COLS, n_k};               \
        tile(rows, panels, WIDES, in, out);                                            \
    }
#define TILE_FNS(type, dtype)             \
    TILE_FN(tile_1x4_##type, 1, 4, dtype) \
    TILE_FN(tile_2x2_##type, 2, 2, dtype) \
    TILE_FN(tile_3x2_##type, 3, 2, dtype) \
    TILE_FN(tile_1x1_##type, 1, 1, dtype) \
    TILE_FN(tile_2x1_##type, 2, 1, dtype) \
    TILE_FN(tile_3x1_##type, 3, 1, dtype) \
    TILE_FN(tile_4x1_##type, 4, 1, dtype) \
    TILE_FN(tile_5x1_##type, 5, 1, dtype) \
    TILE_FN(tile_6x1_##type, 6, 1, dtype)
TILE_FNS(f32, DTYPE_F32)
TILE_FNS(bf16, DTYPE_BF16)
TILE_FNS(f16, DTYPE_F16)

/* a packed k by k (pack_a). */
static void tile_packed(const float *a, const float *b, int64_t n_k, const TileOut *out) {
    TileIn in = {a, 1, TILE_PACKED_ROWS, b, DTYPE_F32, 0, PANEL_COLS, n_k};
    tile(TILE_PACKED_ROWS, 1, WIDES, in, out);
}

/* Few rows take several panels at once, so that enough chains are under way to hide the latency of
 * one. */
#define MAX_TILE_PANELS 4
static const int tile_panels[TILE_ROWS + 1] = {0, 4, 2, 2, 1, 1, 1};

#define TILE_ROW_FNS(type)                                                                         \
    {                                                                                              \
        NULL, tile_1x1_##type, tile_2x1_##type, tile_3x1_##type, tile_4x1_##type, tile_5x1_##type, \
            tile_6x1_##type                                                                        \
    }
#define TILE_GROUP_FNS(type)                                                                       \
    {                                                                                              \
        NULL, tile_1x4_##type, tile_2x2_##type, tile_3x2_##type, tile_4x1_##type, tile_5x1_##type, \
            tile_6x1_##type                                                                        \
    }

typedef struct TileSet {
    TileFn *one[TILE_ROWS + 1];   /* by rows, one panel */
    TileFn *group[TILE_ROWS + 1]; /* by rows, tile_panels[rows] panels */
} TileSet;

static const TileSet tiles_f32 = {TILE_ROW_FNS(f32), TILE_GROUP_FNS(f32)};
static const TileSet tiles_bf16 = {TILE_ROW_FNS(bf16), TILE_GROUP_FNS(bf16)};
static const TileSet tiles_f16 = {TILE_ROW_FNS(f16), TILE_GROUP_FNS(f16)};

static const TileSet *tiles_of(DType dtype) {
    switch (dtype) {
    case DTYPE_F32:
        return &tiles_f32;
    case DTYPE_BF16:
        return &tiles_bf16;
    case DTYPE_F16:
        return &tiles_f16;
    default:
        FAIL("%s is not the type of a weight", dtype_name(dtype));
    }
}

/* ---- packing ---- */

/* One panel of a matrix whose outputs are rows: eight by eight through a transposition. */
static void pack_out_rows(float *panel, const Gemm *g, int64_t col, int64_t cols, int64_t k0,
                          int64_t n_k) {
    int64_t base = col * g->b_stride + k0, whole = n_k / VEC * VEC;
    for (int64_t half = 0; half < PANEL_COLS; half += VEC) {
        for (int64_t k = 0; k < whole; k += VEC) {
            Vec rows[VEC];
            for (int64_t i = 0; i < VEC; i++)
                rows[i] = half + i < cols
                              ? vec_load_as(g->b, g->b_dtype, base + (half + i) * g->b_stride + k)
                              : vec_zero();
            vec_transpose(rows);
            for (int64_t i = 0; i < VEC; i++)
                vec_store(panel + (k + i) * PANEL_COLS + half, rows[i]);
        }
        for (int64_t k = whole; k < n_k; k++)
            for (int64_t i = half; i < half + VEC; i++)
                panel[k * PANEL_COLS + i] =
                    i < cols ? load_as(g->b, g->b_dtype, base + i * g->b_stride + k) : 0.0F;
    }
}

/* One panel of a matrix whose inner index are rows, or of panels to be widened: 16 columns side by
 * side at first + k * stride. */
static void pack_in_rows(float *panel, const Gemm *g, int64_t first, int64_t stride, int64_t cols,
                         int64_t n_k) {
    for (int64_t k = 0; k < n_k; k++) {
        float *to = panel + k * PANEL_COLS;
        int64_t from = first + k * stride;
        if (cols == PANEL_COLS) {
            vec_store(to, vec_load_as(g->b, g->b_dtype, from));
            vec_store(to + VEC, vec_load_as(g->b, g->b_dtype, from + VEC));
        } else {
            for (int64_t i = 0; i < PANEL_COLS; i++)
                to[i] = i < cols ? load_as(g->b, g->b_dtype, from + i) : 0.0F;
        }
    }
}

/* Panels p0..p1 of a matrix whose inner index are rows: a few rows at a time through all panels, so
 * that memory is read on and on, not a line of every row and then the next line of every row. */
#define PACK_ROWS 8
static void pack_in_rows_block(float *panels, const Gemm *g, int64_t p0, int64_t p1, int64_t k0,
                               int64_t n_k) {
    for (int64_t k = 0; k < n_k; k += PACK_ROWS) {
        int64_t rows = min64(PACK_ROWS, n_k - k);
        for (int64_t p = p0; p < p1; p++) {
            int64_t col = p * PANEL_COLS;
            float *to = panels + ((p - p0) * n_k + k) * PANEL_COLS;
            pack_in_rows(to, g, (k0 + k) * g->b_stride + col, g->b_stride,
                         min64(PANEL_COLS, g->n - col), rows);
        }
    }
}

void CPU_NAME(gemm_pack_panel)(float *panel, const Gemm *g, int64_t p, int64_t k0, int64_t n_k) {
    int64_t col = p * PANEL_COLS, cols = min64(PANEL_COLS, g->n - col);
    switch (g->b_layout) {
    case GEMM_OUT_ROWS:
        pack_out_rows(panel, g, col, cols, k0, n_k);
        return;
    case GEMM_IN_ROWS:
        pack_in_rows(panel, g, k0 * g->b_stride + col, g->b_stride, cols, n_k);
        return;
    case GEMM_CODES_OUT:
        CPU_NAME(quant_pack_out)(panel, g, p, k0, n_k);
        return;
    case GEMM_CODES_IN:
        CPU_NAME(quant_pack_in)(panel, g, p, k0, n_k);
        return;
    case GEMM_PANEL:
        pack_in_rows(panel, g, (p * g->k + k0) * PANEL_COLS, PANEL_COLS, PANEL_COLS, n_k);
        return;
    }
    FAIL("layout %d", (int)g->b_layout);
}

/* Rows m0 .. m0+n_m-1 in tiles of TILE_PACKED_ROWS, each k by k; zero past the last row. The order
 * is that in which `a` lies in memory. */
static void pack_a(float *to, const Gemm *g, int64_t m0, int64_t n_m, int64_t k0, int64_t n_k) {
    const float *from = g->a + (g->a_transposed ? k0 * g->a_stride + m0 : m0 * g->a_stride + k0);
    int64_t whole = n_m / TILE_PACKED_ROWS * TILE_PACKED_ROWS, tile_floats = n_k * TILE_PACKED_ROWS;
    if (whole < n_m) memset(to + whole * n_k, 0, (size_t)tile_floats * sizeof *to);
    if (g->a_transposed) {
        for (int64_t k = 0; k < n_k; k++, from += g->a_stride, to += TILE_PACKED_ROWS) {
            float *tile = to;
            for (int64_t m = 0; m < whole; m += TILE_PACKED_ROWS, tile += tile_floats)
                memcpy(tile, from + m, TILE_PACKED_ROWS * sizeof *tile);
            memcpy(tile, from + whole, (size_t)(n_m - whole) * sizeof *tile);
        }
        return;
    }
    for (int64_t m = 0; m < n_m; m++, from += g->a_stride) {
        float *tile = to + m / TILE_PACKED_ROWS * tile_floats + m % TILE_PACKED_ROWS;
        for (int64_t k = 0; k < n_k; k++) tile[k * TILE_PACKED_ROWS] = from[k];
    }
}

/* ---- a thread's share ---- */

/* Rows m0..m1 of panels p0..p1; scratch for packed b and a. */
typedef struct Share {
    int64_t m0, m1, p0, p1;
    float *b_block, *a_block;
    bool pack_a, pack_b;
} Share;

/* Where a block of b's panels stands: packed or where it always was. */
typedef struct Panels {
    const char *data;
    int64_t stride; /* elements from panel to panel */
    const TileSet *tiles;
    size_t size; /* bytes of an element */
} Panels;

/* Rows m0..m1 of a against panels p0..p1, for inner indices k0 .. k0+n_k-1. */
static void multiply_packed(const Gemm *g, const Share *s, const Panels *b, int64_t m0, int64_t m1,
                            int64_t p0, int64_t p1, int64_t k0, int64_t n_k) {
    pack_a(s->a_block, g, m0, m1 - m0, k0, n_k);
    for (int64_t p = p0; p < p1; p++) {
        const float *panel = (const float *)(const void *)b->data + (p - p0) * b->stride;
        for (int64_t m = m0; m < m1; m += TILE_PACKED_ROWS) {
            TileOut out = gemm_tile_out(g, m, min64(TILE_PACKED_ROWS, m1 - m), p, k0);
            tile_packed(s->a_block + (m - m0) * n_k, panel, n_k, &out);
        }
    }
}

static void multiply_rows(const Gemm *g, const Panels *b, int64_t m0, int64_t m1, int64_t p0,
                          int64_t p1, int64_t k0, int64_t n_k) {
    /* Rows are dealt evenly to the fewest tiles: 8 rows as 4 + 4, not 6 + 2. */
    int64_t n_tiles = (m1 - m0 + TILE_ROWS - 1) / TILE_ROWS;
    int most = (int)((m1 - m0 + n_tiles - 1) / n_tiles);
    int group = tile_panels[most];
    for (int64_t p = p0; p < p1; p += group) {
        if (p1 - p < group) group = 1;
        const char *panel = b->data + (size_t)((p - p0) * b->stride) * b->size;
        for (int64_t m = m0; m < m1; m += most) {
            int rows = (int)min64(most, m1 - m);
            TileOut out = gemm_tile_out(g, m, rows, p, k0);
            const float *a = g->a + m * g->a_stride + k0;
            if (group == tile_panels[rows]) {
                b->tiles->group[rows](a, g->a_stride, panel, b->stride, n_k, &out);
                continue;
            }
            for (int i = 0; i < group; i++) {
                out = gemm_tile_out(g, m, rows, p + i, k0);
                b->tiles->one[rows](a, g->a_stride, panel + (size_t)(i * b->stride) * b->size, 0,
                                    n_k, &out);
            }
        }
    }
}

static Panels panels_at(const Gemm *g, const Share *s, int64_t p0, int64_t p1, int64_t k0,
                        int64_t n_k) {
    if (s->pack_b) {
        int64_t stride = n_k * PANEL_COLS;
        if (g->b_layout == GEMM_IN_ROWS)
            pack_in_rows_block(s->b_block, g, p0, p1, k0, n_k);
        else
            for (int64_t p = p0; p < p1; p++)
                CPU_NAME(gemm_pack_panel)(s->b_block + (p - p0) * stride, g, p, k0, n_k);
        return (Panels){(const char *)s->b_block, stride, &tiles_f32, sizeof(float)};
    }
    size_t size = dtype_size(g->b_dtype);
    const char *at = (const char *)g->b + (size_t)((p0 * g->k + k0) * PANEL_COLS) * size;
    return (Panels){at, g->k * PANEL_COLS, tiles_of(g->b_dtype), size};
}

static void gemm_share(const Gemm *g, const Share *s) {
    bool one_row_block = s->m1 - s->m0 <= GEMM_ROW_BLOCK;
    int64_t panel_block = one_row_block ? MAX_TILE_PANELS : GEMM_PANEL_BLOCK;
    for (int64_t p0 = s->p0; p0 < s->p1; p0 += panel_block) {
        int64_t p1 = min64(s->p1, p0 + panel_block);
        for (int64_t k0 = 0; k0 < g->k; k0 += GEMM_K_BLOCK) {
            int64_t n_k = min64(GEMM_K_BLOCK, g->k - k0);
            Panels b = panels_at(g, s, p0, p1, k0, n_k);
            for (int64_t m0 = s->m0; m0 < s->m1; m0 += GEMM_ROW_BLOCK) {
                int64_t m1 = min64(s->m1, m0 + GEMM_ROW_BLOCK);
                if (s->pack_a)
                    multiply_packed(g, s, &b, m0, m1, p0, p1, k0, n_k);
                else
                    multiply_rows(g, &b, m0, m1, p0, p1, k0, n_k);
            }
        }
    }
}

/* ---- cutting the output ---- */

typedef struct Grid {
    int64_t rows, cols;           /* cells */
    int64_t cell_rows, cell_cols; /* rows of c and panels of a cell */
} Grid;

/* How n threads share the output: the grid whose largest cell costs least. Packing a panel costs
 * about as much as 4 rows, packing a row of a about as much as one panel. */
static Grid choose_grid(int64_t m, int64_t panels, bool pack_a, int n) {
    Grid best = {0};
    int64_t best_cost = INT64_MAX;
    for (int64_t rows = 1; rows <= n; rows++) {
        int64_t cols = n / rows;
        int64_t cell_cols = (panels + cols - 1) / cols;
        int64_t cell_rows = ((m + rows - 1) / rows + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS;
        int64_t cost = (cell_rows + 4) * (cell_cols + (pack_a ? 1 : 0));
        if (cost >= best_cost) continue;
        best_cost = cost;
        best = (Grid){rows, cols, cell_rows, cell_cols};
    }
    return best;
}

void CPU_NAME(gemm)(const Dev *dev, const Gemm *whole) {
    if (CPU_NAME(quant_few)(dev, whole)) return;
    Gemm rest = *whole, *g = &rest;
    int64_t done = CPU_NAME(gemm_narrow)(dev, whole);
    if (done == g->m) return;
    g->m -= done, g->a += done * g->a_stride, g->c += done * g->c_stride;
    int64_t panels = (g->n + PANEL_COLS - 1) / PANEL_COLS;
    int threads = cpu_threads(dev, g->m * g->n * g->k);
    bool pack_a = g->a_transposed || (TILE_PACKED_ROWS > TILE_ROWS && g->m > 2 * TILE_ROWS);
    Grid grid = choose_grid(g->m, panels, pack_a, threads);
    bool widen = g->b_dtype != DTYPE_F32 && (pack_a || g->m > GEMM_WIDEN_ROWS);
    bool pack_b = g->b_layout != GEMM_PANEL || widen;
#pragma omp parallel for schedule(static, 1) num_threads(threads) if (threads > 1)
    for (int64_t cell = 0; cell < grid.rows * grid.cols; cell++) {
        int64_t row = cell / grid.cols, col = cell % grid.cols;
        float *scratch = cpu_scratch(dev, omp_get_thread_num());
        Share share = {.m0 = min64(g->m, row * grid.cell_rows),
                       .m1 = min64(g->m, (row + 1) * grid.cell_rows),
                       .p0 = min64(panels, col * grid.cell_cols),
                       .p1 = min64(panels, (col + 1) * grid.cell_cols),
                       .b_block = scratch,
                       .a_block = scratch + GEMM_PANEL_BLOCK * PANEL_FLOATS,
                       .pack_a = pack_a,
                       .pack_b = pack_b};
        if (share.m0 < share.m1) gemm_share(g, &share);
    }
}
