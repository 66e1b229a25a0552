#include "kernels/cpu/cpu_quant.h"

#define QUAD 4        /* inputs in QUAD_BYTES of 4-bit codes */
#define QUAD_BYTES 32 /* of 16 outputs */
#define FEW_ROWS 4    /* more are cheaper against panels that were widened */

/* ---- codes to floats ---- */

/* The 16 values of a 4-bit code: as bytes 0, 1, 2 and 3 of the floats, for shuffles, or as they
 * are. */
typedef struct Book {
#ifdef __AVX2__
    __m256i byte[4];
#else
    const float *value;
#endif
} Book;

static Book book_of(const QuantScales *s) {
    const float *value = quant_book(s->kind);
#ifdef __AVX2__
    Book book;
    for (int b = 0; b < 4; b++) {
        uint8_t bytes[32];
        for (int i = 0; i < 32; i++) {
            uint32_t bits;
            memcpy(&bits, &value[i % 16], sizeof bits);
            bytes[i] = (uint8_t)(bits >> 8 * b);
        }
        memcpy(&book.byte[b], bytes, sizeof bytes);
    }
    return book;
#else
    return (Book){value};
#endif
}

/* Two inputs of a quad; codes: 32, one a byte. */
#ifdef __AVX2__
INLINE void widen_pair(Vec out[4], __m256i codes, const Book *book) {
    __m256i b0 = _mm256_shuffle_epi8(book->byte[0], codes);
    __m256i b1 = _mm256_shuffle_epi8(book->byte[1], codes);
    __m256i b2 = _mm256_shuffle_epi8(book->byte[2], codes);
    __m256i b3 = _mm256_shuffle_epi8(book->byte[3], codes);
    __m256i low0 = _mm256_unpacklo_epi8(b0, b1), high0 = _mm256_unpacklo_epi8(b2, b3);
    __m256i low1 = _mm256_unpackhi_epi8(b0, b1), high1 = _mm256_unpackhi_epi8(b2, b3);
    out[0] = (Vec)_mm256_unpacklo_epi16(low0, high0);
    out[1] = (Vec)_mm256_unpackhi_epi16(low0, high0);
    out[2] = (Vec)_mm256_unpacklo_epi16(low1, high1);
    out[3] = (Vec)_mm256_unpackhi_epi16(low1, high1);
}
#endif

/* out[2 i + h]: outputs 8h .. 8h+7 of input 2 half + i of a quad. */
INLINE void widen_half(Vec out[QUAD], const uint8_t *codes, int half, const Book *book) {
#ifdef __AVX2__
    __m256i both = _mm256_loadu_si256((const __m256i *)(const void *)codes);
    if (half) both = _mm256_srli_epi16(both, 4);
    widen_pair(out, _mm256_and_si256(both, _mm256_set1_epi8(15)), book);
#else
    for (int v = 0; v < QUAD; v++) { /* kernels/quant_weight.c has the places */
        const uint8_t *at = codes + v / 2 * 8 + v % 2 * 4;
        for (int j = 0; j < VEC; j++)
            out[v][j] = book->value[at[j % 4 + j / 4 * 16] >> 4 * half & 15];
    }
#endif
}

/* Outputs 0..7 and 8..15 of one input. */
INLINE void widen_int8(Vec out[2], const int8_t *codes) {
    for (int h = 0; h < 2; h++) {
#ifdef __AVX2__
        __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)(codes + h * VEC));
        out[h] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
#else
        for (int j = 0; j < VEC; j++) out[h][j] = (float)codes[h * VEC + j];
#endif
    }
}

/* ---- scales ---- */

/* Inputs after which the scales of a panel's outputs may change, all at once. */
static int64_t run_length(const QuantScales *s) {
    int64_t a = s->inputs, b = s->block;
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Are scales alike through each quad (always so for INT8, which has none)? */
static bool runs_hold_quads(const QuantScales *s) {
    return s->kind == QUANT_INT8 || run_length(s) % QUAD == 0;
}

/* Where the scales of a panel's sixteen outputs are; of the last output past it. */
typedef struct PanelScales {
    const QuantScales *s;
    int shift;                 /* weights to blocks */
    int64_t start[PANEL_COLS]; /* INT8: the scale of the row; else its first weight */
} PanelScales;

static PanelScales panel_scales(const QuantScales *s, int64_t outputs, int64_t p) {
    PanelScales at = {.s = s,
                      .shift = s->kind == QUANT_INT8 ? 0 : __builtin_ctzll((uint64_t)s->block)};
    for (int64_t j = 0; j < PANEL_COLS; j++) {
        int64_t o = min64(p * PANEL_COLS + j, outputs - 1) + s->first, row = s->row ? s->row[o] : o;
        at.start[j] = s->kind == QUANT_INT8 ? row : row * s->inputs;
    }
    return at;
}

/* quant_weight_scale of sixteen outputs at input i. */
INLINE void scales_at(Vec out[2], const PanelScales *at, int64_t i) {
    const QuantScales *s = at->s;
    float scale[PANEL_COLS], nested[PANEL_COLS];
    if (s->kind == QUANT_INT8) i = 0;
    if (s->absmax) {
        for (int j = 0; j < PANEL_COLS; j++) scale[j] = s->absmax[(at->start[j] + i) >> at->shift];
    } else {
        const float *map = quant_dynamic_map(true);
        for (int j = 0; j < PANEL_COLS; j++) {
            int64_t block = (at->start[j] + i) >> at->shift;
            scale[j] = map[s->absmax_code[block]];
            nested[j] = s->nested[block / QUANT_NESTED_BLOCK];
        }
    }
    for (int h = 0; h < 2; h++) {
        out[h] = vec_load(scale + h * VEC);
        if (s->kind == QUANT_INT8) out[h] *= vec_all(1.0F / 127.0F);
        if (!s->absmax) out[h] = out[h] * vec_load(nested + h * VEC) + vec_all(s->mean);
    }
}

/* ---- packing ---- */

/* The codes of a panel from input i, which begins a quad. */
static const uint8_t *codes_at(const Gemm *g, int64_t p, int64_t i) {
    const QuantScales *s = g->scales;
    const uint8_t *codes = g->b;
    if (s->kind == QUANT_INT8) return codes + (p * s->inputs + i) * PANEL_COLS;
    return codes + (p * ((s->inputs + QUAD - 1) / QUAD) + i / QUAD) * QUAD_BYTES;
}

static int64_t outputs_of(const Gemm *g) {
    return g->b_layout == GEMM_CODES_OUT ? g->n : g->k;
}

/* Outputs of panel p at inputs i0 .. i0+n_i-1 into to[n_i][PANEL_COLS]; i0 begins a quad. */
static void widen(float *to, const Gemm *g, int64_t p, int64_t i0, int64_t n_i) {
    const QuantScales *s = g->scales;
    int64_t run = run_length(s), end = i0 + n_i;
    const Book book = s->kind == QUANT_INT8 ? (Book){0} : book_of(s);
    const PanelScales at = panel_scales(s, outputs_of(g), p);
    for (int64_t i = i0; i < end;) {
        Vec scale[2];
        int64_t stop = min64(end, (i / run + 1) * run);
        scales_at(scale, &at, i);
        if (s->kind == QUANT_INT8) {
            const int8_t *codes = (const int8_t *)codes_at(g, p, i);
            for (; i < stop; i++, to += PANEL_COLS, codes += PANEL_COLS) {
                Vec w[2];
                widen_int8(w, codes);
                for (int h = 0; h < 2; h++) vec_store(to + h * VEC, w[h] * scale[h]);
            }
            continue;
        }
        const uint8_t *codes = codes_at(g, p, i);
        for (; i < stop; i += QUAD, to += QUAD * PANEL_COLS, codes += QUAD_BYTES) {
            Vec w[2 * QUAD];
            for (int half = 0; half < 2; half++) widen_half(w + half * QUAD, codes, half, &book);
            for (int v = 0; v < 2 * QUAD; v++) vec_store(to + v * VEC, w[v] * scale[v % 2]);
        }
    }
}

/* One weight after another, where scales change inside a quad. */
static void pack_singly(float *panel, const Gemm *g, int64_t p, int64_t k0, int64_t n_k) {
    Tensor w = quant_weight((void *)(uintptr_t)g->b, g->scales, outputs_of(g));
    for (int64_t k = 0; k < n_k; k++)
        for (int64_t j = 0; j < PANEL_COLS; j++) {
            int64_t col = p * PANEL_COLS + j;
            panel[k * PANEL_COLS + j] = col >= g->n ? 0.0F
                                        : g->b_layout == GEMM_CODES_OUT
                                            ? quant_weight_at(w, col, k0 + k)
                                            : quant_weight_at(w, k0 + k, col);
        }
}

void CPU_NAME(quant_pack_out)(float *panel, const Gemm *g, int64_t p, int64_t k0, int64_t n_k) {
    if (!runs_hold_quads(g->scales)) {
        pack_singly(panel, g, p, k0, n_k);
        return;
    }
    widen(panel, g, p, k0, n_k);
    for (int64_t j = g->n - p * PANEL_COLS; j < PANEL_COLS; j++) /* codes there mean something */
        for (int64_t k = 0; k < n_k; k++) panel[k * PANEL_COLS + j] = 0.0F;
}

/* Sixteen outputs by sixteen inputs at a time, turned round. */
void CPU_NAME(quant_pack_in)(float *panel, const Gemm *g, int64_t p, int64_t k0, int64_t n_k) {
    int64_t first = p * PANEL_COLS, cols = min64(PANEL_COLS, g->n - first);
    if (!runs_hold_quads(g->scales)) {
        pack_singly(panel, g, p, k0, n_k);
        return;
    }
    float square[PANEL_COLS * PANEL_COLS] = {0}; /* by input */
    for (int64_t k = 0; k < n_k; k += PANEL_COLS) {
        widen(square, g, (k0 + k) / PANEL_COLS, first, cols);
        int64_t rows = min64(PANEL_COLS, n_k - k);
        for (int64_t o = 0; o < rows; o += VEC) {
            for (int64_t i = 0; i < PANEL_COLS; i += VEC) {
                Vec part[VEC];
                for (int64_t j = 0; j < VEC; j++)
                    part[j] = vec_load(square + (i + j) * PANEL_COLS + o);
                vec_transpose(part);
                for (int64_t j = 0; j < VEC && o + j < rows; j++)
                    vec_store(panel + (k + o + j) * PANEL_COLS + i, part[j]);
            }
        }
    }
}

/* ---- a few rows ---- */

#define FEW_PANELS 2 /* side by side, so that enough chains are under way */

INLINE void store_sums(const TileOut *to, Vec sum[2], int64_t row) {
    float sums[PANEL_COLS];
    TileOut out = *to;
    out.rows = 1;
    out.c += row * out.c_stride;
    for (int h = 0; h < 2; h++) vec_store(sums + h * VEC, sum[h]);
    tile_store_cut(&out, sums, PANEL_COLS);
}

/* What the rows of one panel have so far, and where its codes go on. */
typedef struct FewPanel {
    Vec sum[FEW_ROWS][2];
    Vec scale[2];
    const uint8_t *codes;
    PanelScales at;
} FewPanel;

/* n inputs from i of every row times their weights w[2 n]. */
INLINE void add_inputs(int rows, int n, FewPanel *f, const Gemm *g, int64_t i, const Vec *w) {
#pragma GCC unroll 2
    for (int k = 0; k < n; k++) {
        Vec low = w[2 * k] * f->scale[0], high = w[2 * k + 1] * f->scale[1];
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++) {
            Vec a = vec_all(g->a[r * g->a_stride + i + k]);
            f->sum[r][0] = vec_fma(a, low, f->sum[r][0]);
            f->sum[r][1] = vec_fma(a, high, f->sum[r][1]);
        }
    }
}

/* A pair of inputs is multiplied before the next is widened: there are sixteen registers. */
INLINE void add_quad(int rows, FewPanel *f, const Gemm *g, int64_t i, const Book *book) {
    Vec w[QUAD];
    for (int half = 0; half < 2; half++) {
        widen_half(w, f->codes, half, book);
        add_inputs(rows, 2, f, g, i + 2 * half, w);
    }
    f->codes += QUAD_BYTES;
}

INLINE void add_int8(int rows, FewPanel *f, const Gemm *g, int64_t i) {
    Vec w[2];
    widen_int8(w, (const int8_t *)f->codes);
    add_inputs(rows, 1, f, g, i, w);
    f->codes += PANEL_COLS;
}

/* Rows 0 .. rows-1 against `panels` panels from p; rows, panels and int8 are constants. */
INLINE void few_panels(int rows, int panels, bool int8, const Gemm *g, int64_t p) {
    const QuantScales *s = g->scales;
    const Book book = int8 ? (Book){0} : book_of(s);
    const int64_t run = run_length(s);
    FewPanel f[FEW_PANELS];
#pragma GCC unroll 2
    for (int q = 0; q < panels; q++) {
        f[q].at = panel_scales(s, g->n, p + q);
        f[q].codes = codes_at(g, p + q, 0);
    }
    for (int64_t k0 = 0; k0 < g->k; k0 += GEMM_K_BLOCK) {
        int64_t end = min64(g->k, k0 + GEMM_K_BLOCK);
#pragma GCC unroll 2
        for (int q = 0; q < panels; q++)
#pragma GCC unroll 4
            for (int r = 0; r < rows; r++) f[q].sum[r][0] = f[q].sum[r][1] = vec_zero();
        for (int64_t i = k0; i < end;) {
            int64_t stop = min64(end, (i / run + 1) * run);
#pragma GCC unroll 2
            for (int q = 0; q < panels; q++) scales_at(f[q].scale, &f[q].at, i);
            for (; i < stop; i += int8 ? 1 : QUAD) {
#pragma GCC unroll 2
                for (int q = 0; q < panels; q++) {
                    if (int8)
                        add_int8(rows, &f[q], g, i);
                    else
                        add_quad(rows, &f[q], g, i, &book);
                }
            }
        }
#pragma GCC unroll 2
        for (int q = 0; q < panels; q++) {
            TileOut out = gemm_tile_out(g, 0, rows, p + q, k0);
#pragma GCC unroll 4
            for (int r = 0; r < rows; r++) store_sums(&out, f[q].sum[r], r);
        }
    }
}

typedef void FewFn(const Gemm *g, int64_t p);
#define FEW_FNS(rows)                                            \
    static void few_##rows(const Gemm *g, int64_t p) {           \
        few_panels(rows, 1, false, g, p);                        \
    }                                                            \
    static void few_pair_##rows(const Gemm *g, int64_t p) {      \
        few_panels(rows, 2, false, g, p);                        \
    }                                                            \
    static void few_int8_##rows(const Gemm *g, int64_t p) {      \
        few_panels(rows, 1, true, g, p);                         \
    }                                                            \
    static void few_int8_pair_##rows(const Gemm *g, int64_t p) { \
        few_panels(rows, 2, true, g, p);                         \
    }
FEW_FNS(1)
FEW_FNS(2)
FEW_FNS(3)
FEW_FNS(4)

/* By INT8 or not, pair of panels or one, rows less one. */
static FewFn *const few[2][2][FEW_ROWS] = {
    {{few_1, few_2, few_3, few_4}, {few_pair_1, few_pair_2, few_pair_3, few_pair_4}},
    {{few_int8_1, few_int8_2, few_int8_3, few_int8_4},
     {few_int8_pair_1, few_int8_pair_2, few_int8_pair_3, few_int8_pair_4}}};

bool CPU_NAME(quant_few)(const Dev *dev, const Gemm *g) {
    if (g->b_layout != GEMM_CODES_OUT || g->m > FEW_ROWS || !runs_hold_quads(g->scales))
        return false;
    bool int8 = g->scales->kind == QUANT_INT8;
    int64_t panels = (g->n + PANEL_COLS - 1) / PANEL_COLS;
    int64_t pairs = (panels + FEW_PANELS - 1) / FEW_PANELS;
    int threads = cpu_threads(dev, g->m * g->n * g->k);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t q = 0; q < pairs; q++) {
        int64_t p = q * FEW_PANELS;
        few[int8][p + 1 < panels][g->m - 1](g, p);
    }
    return true;
}
