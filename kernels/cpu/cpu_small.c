#include "kernels/cpu/cpu_small.h"

/* By address: a copy just written field by field would be read back in larger pieces, which
 * waits. */
typedef void SmallTile(const TileIn *in, const TileOut *out);

/* a by rows and a transposed: which stride is 1 is known to the tile. */
INLINE TileIn by_row(const TileIn *in) {
    TileIn known = *in;
    known.a_k = 1;
    return known;
}
INLINE TileIn by_column(const TileIn *in) {
    TileIn known = *in;
    known.a_row = 1;
    return known;
}

/* 1 to 6 rows. */
#define SMALL_TILE(rows)                                                  \
    static void rows_##rows(const TileIn *in, const TileOut *out) {       \
        tile(rows, 1, WIDES, by_row(in), out);                            \
    }                                                                     \
    static void transposed_##rows(const TileIn *in, const TileOut *out) { \
        tile(rows, 1, WIDES, by_column(in), out);                         \
    }
SMALL_TILE(1)
SMALL_TILE(2)
SMALL_TILE(3)
SMALL_TILE(4)
SMALL_TILE(5)
SMALL_TILE(6)

static SmallTile *const by_rows[] = {NULL, rows_1, rows_2, rows_3, rows_4, rows_5, rows_6};
static SmallTile *const by_columns[] = {NULL,         transposed_1, transposed_2, transposed_3,
                                        transposed_4, transposed_5, transposed_6};

/* Decode has one row a head: several panels at once, to hide the latency of a chain. */
static void row_4_panels(const TileIn *in, const TileOut *out) {
    tile(1, 4, WIDES, by_row(in), out);
}
static void row_3_panels(const TileIn *in, const TileOut *out) {
    tile(1, 3, WIDES, by_row(in), out);
}
static void row_2_panels(const TileIn *in, const TileOut *out) {
    tile(1, 2, WIDES, by_row(in), out);
}

/* The tile that `run` makes, from row `row` and column `col`. */
static void small_tile(const Small *s, SmallTile *run, int64_t row, int64_t rows, int64_t col) {
    int64_t a_row = s->a_transposed ? 1 : s->a_stride, a_k = s->a_transposed ? s->a_stride : 1;
    int64_t first = 0, end = s->n_k;
    if (s->triangle == TRIANGLE_COLS && col >= row + rows) return;
    if (s->triangle == TRIANGLE_TO_ROW) end = min64(end, row + rows);
    if (s->triangle == TRIANGLE_FROM_ROW) first = min64(row, end);
    TileIn in = {.a = s->a + row * a_row + first * a_k,
                 .a_row = a_row,
                 .a_k = a_k,
                 .b = s->b + col / PANEL_COLS * s->b_panel + first * s->b_k,
                 .dtype = DTYPE_F32,
                 .b_panel = s->b_panel,
                 .b_k = s->b_k,
                 .n_k = end - first};
    TileOut out = {.c = s->c + row * s->c_stride + col,
                   .c_stride = s->c_stride,
                   .rows = rows,
                   .cols = s->cols - col,
                   .alpha = 1.0F,
                   .add = s->add};
    run(&in, &out);
}

static void one_row(const Small *s) {
    int64_t panels = round_up(s->cols, PANEL_COLS) / PANEL_COLS;
    static SmallTile *const run[] = {NULL, rows_1, row_2_panels, row_3_panels, row_4_panels};
    for (int64_t p = 0; p < panels;) {
        int64_t left = panels - p, step = left == 5 ? 3 : min64(left, 4);
        small_tile(s, run[step], 0, 1, p * PANEL_COLS);
        p += step;
    }
}

void CPU_NAME(small_product)(const Small *s) {
    if (s->rows == 1 && !s->a_transposed && s->triangle == TRIANGLE_NONE) {
        one_row(s);
        return;
    }
    SmallTile *const *tiles = s->a_transposed ? by_columns : by_rows;
    for (int64_t col = 0; col < s->cols; col += PANEL_COLS) {
        for (int64_t row = 0; row < s->rows; row += TILE_ROWS) {
            int64_t rows = min64(TILE_ROWS, s->rows - row);
            small_tile(s, tiles[rows], row, rows, col);
        }
    }
}

void CPU_NAME(small_pack_rows)(float *to, const float *from, int64_t stride, int64_t n,
                               int64_t width) {
    int64_t padded = round_up(width, PANEL_COLS);
    for (int64_t i = 0; i < n; i++) {
        memcpy(to + i * padded, from + i * stride, (size_t)width * sizeof *to);
        memset(to + i * padded + width, 0, (size_t)(padded - width) * sizeof *to);
    }
}

void CPU_NAME(small_pack_transposed)(float *to, const float *from, int64_t stride, int64_t n,
                                     int64_t width) {
    int64_t whole = width / VEC * VEC;
    for (int64_t j = 0; j < n; j += VEC) {
        for (int64_t i = j + VEC; i < min64(n, j + 2 * VEC); i++)
            for (int64_t k = 0; k < width; k += PANEL_COLS)
                __builtin_prefetch(from + i * stride + k);
        float *panel = to + j / PANEL_COLS * width * PANEL_COLS + j % PANEL_COLS;
        for (int64_t k = 0; k < whole; k += VEC) {
            Vec rows[VEC];
            for (int64_t i = 0; i < VEC; i++)
                rows[i] = j + i < n ? vec_load(from + (j + i) * stride + k) : vec_zero();
            vec_transpose(rows);
            for (int64_t i = 0; i < VEC; i++) vec_store(panel + (k + i) * PANEL_COLS, rows[i]);
        }
        for (int64_t k = whole; k < width; k++)
            for (int64_t i = 0; i < VEC; i++)
                panel[k * PANEL_COLS + i] = j + i < n ? from[(j + i) * stride + k] : 0.0F;
    }
    int64_t done = round_up(n, VEC);
    if (done % PANEL_COLS == 0) return;
    float *panel = to + done / PANEL_COLS * width * PANEL_COLS + done % PANEL_COLS;
    for (int64_t k = 0; k < width; k++) memset(panel + k * PANEL_COLS, 0, VEC * sizeof *panel);
}

/* Adds a[k] b[j][k] of VEC rows j, k ascending: VEC x VEC elements are turned in registers. */
INLINE Vec add_square(Vec sum, const float *a, const float *b, int64_t stride) {
    Vec rows[VEC];
#pragma GCC unroll 8
    for (int64_t i = 0; i < VEC; i++) rows[i] = vec_load(b + i * stride);
    vec_transpose(rows);
#pragma GCC unroll 8
    for (int64_t k = 0; k < VEC; k++) sum = vec_fma(vec_all(a[k]), rows[k], sum);
    return sum;
}

/* The same of any n rows and n_k columns. */
static Vec __attribute__((noinline))
add_part(Vec sum, const float *a, const float *b, int64_t stride, int64_t n, int64_t n_k) {
    for (int64_t k = 0; k < n_k; k++) {
        Vec column = vec_zero();
        for (int64_t i = 0; i < VEC && i < n; i++) column[i] = b[i * stride + k];
        sum = vec_fma(vec_all(a[k]), column, sum);
    }
    return sum;
}

void CPU_NAME(small_row)(float *c, const float *a, const float *b, int64_t stride, int64_t n,
                         int64_t room, int64_t n_k) {
    for (int64_t j = 0; j < n; j += PANEL_COLS) { /* two chains, to hide the latency of one */
        Vec low = vec_zero(), high = vec_zero();
        const float *row = b + j * stride, *next = row + VEC * stride;
        int64_t k = 0;
        for (; j + PANEL_COLS <= room && k + VEC <= n_k; k += VEC) {
            low = add_square(low, a + k, row + k, stride);
            high = add_square(high, a + k, next + k, stride);
        }
        if (k < n_k) {
            low = add_part(low, a + k, row + k, stride, n - j, n_k - k);
            high = add_part(high, a + k, next + k, stride, n - j - VEC, n_k - k);
        }
        vec_store(c + j, low);
        vec_store(c + j + VEC, high);
    }
}
