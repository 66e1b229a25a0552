#include "kernels/cpu/cpu.h"
#include "kernels/cpu/cpu_vec.h"

/* Sums along a row: four vectors of partial sums, then a fixed tree. Element c belongs to lane c
 * mod 32, whatever the row. */
#define SUMS 4

typedef struct RowSum {
    Vec part[SUMS];
} RowSum;

INLINE float row_total(const RowSum *s) {
    return vec_sum((s->part[0] + s->part[1]) + (s->part[2] + s->part[3]));
}

static float sum_row(const float *x, int64_t width) {
    RowSum s = {{vec_zero(), vec_zero(), vec_zero(), vec_zero()}};
    for (int64_t c = 0; c < width; c += VEC) s.part[c / VEC % SUMS] += vec_load_n(x + c, width - c);
    return row_total(&s);
}

/* Sum of (x - mean)^2. */
static float sum_row_squares(const float *x, int64_t width, float mean) {
    RowSum s = {{vec_zero(), vec_zero(), vec_zero(), vec_zero()}};
    for (int64_t c = 0; c < width; c += VEC) {
        int64_t n = width - c;
        Vec d = (n >= VEC ? vec_load(x + c) : vec_load_part(x + c, n, mean)) - vec_all(mean);
        Vec *part = &s.part[c / VEC % SUMS];
        *part = vec_fma(d, d, *part);
    }
    return row_total(&s);
}

void CPU_NAME(norm_fwd)(Dev *dev, Tensor y, Tensor stat, Tensor x, Tensor weight, Tensor bias,
                        NormArgs args) {
    int64_t rows = x.shape[0], width = x.shape[1];
    const float *w = weight.data, *b = bias.data;
    const float plus = (float)args.weight_plus;
    int threads = cpu_threads(dev, rows * width * 2);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t r = 0; r < rows; r++) {
        const float *from = (const float *)x.data + r * width;
        float *to = (float *)y.data + r * width;
        float mean = args.kind == NORM_LAYER ? sum_row(from, width) / (float)width : 0.0F;
        float var = sum_row_squares(from, width, mean) / (float)width;
        float rstd = 1.0F / __builtin_sqrtf(var + (float)args.eps);
        for (int64_t c = 0; c < width; c += VEC) {
            int64_t n = width - c;
            Vec xhat = (vec_load_n(from + c, n) - vec_all(mean)) * vec_all(rstd);
            Vec v = xhat * (vec_load_n(w + c, n) + vec_all(plus));
            if (b) v += vec_load_n(b + c, n);
            vec_store_n(to + c, v, n);
        }
        ((float *)stat.data)[2 * r] = mean;
        ((float *)stat.data)[2 * r + 1] = rstd;
    }
}

/* With xhat = (x - mean) rstd and g = dy w:  dx += rstd (g - mean(g) - xhat mean(g xhat));  RMSNorm
 * has no mean(g). */
static void norm_bwd_row(float *dx, const float *dy, const float *x, const float *w,
                         const float stat[2], int64_t width, const NormArgs *args) {
    const Vec mean = vec_all(stat[0]), rstd = vec_all(stat[1]),
              plus = vec_all((float)args->weight_plus);
    RowSum g_sum = {{vec_zero(), vec_zero(), vec_zero(), vec_zero()}}, gx_sum = g_sum;
    for (int64_t c = 0; c < width; c += VEC) {
        int64_t n = width - c, part = c / VEC % SUMS;
        Vec g = vec_load_n(dy + c, n) * (vec_load_n(w + c, n) + plus); /* 0 past the row */
        Vec xhat = (vec_load_n(x + c, n) - mean) * rstd;
        g_sum.part[part] += g;
        gx_sum.part[part] = vec_fma(g, xhat, gx_sum.part[part]);
    }
    const Vec mean_g = vec_all(args->kind == NORM_LAYER ? row_total(&g_sum) / (float)width : 0.0F);
    const Vec mean_gx = vec_all(row_total(&gx_sum) / (float)width);
    for (int64_t c = 0; c < width; c += VEC) {
        int64_t n = width - c;
        Vec g = vec_load_n(dy + c, n) * (vec_load_n(w + c, n) + plus);
        Vec xhat = (vec_load_n(x + c, n) - mean) * rstd;
        Vec d = rstd * ((g - mean_g) - xhat * mean_gx);
        vec_store_n(dx + c, vec_load_n(dx + c, n) + d, n);
    }
}

/* Sums down the columns run row by row inside a block of rows, then block by block. Columns are
 * what threads share, so the order is the same for any number of threads. */
#define ROW_BLOCK 128
#define COLUMN_CHUNK 64

typedef struct ColumnSums {
    float dw[COLUMN_CHUNK], db[COLUMN_CHUNK];
} ColumnSums;

static void column_sums(ColumnSums *out, const float *dy, const float *x, const float *stat,
                        int64_t rows, int64_t width, int64_t n) {
    memset(out, 0, sizeof *out);
    for (int64_t c = 0; c < n; c += VEC) {
        int64_t left = n - c;
        Vec dw = vec_zero(), db = vec_zero();
        for (int64_t r = 0; r < rows; r++) {
            Vec d = vec_load_n(dy + r * width + c, left);
            Vec xhat = (vec_load_n(x + r * width + c, left) - vec_all(stat[2 * r])) *
                       vec_all(stat[2 * r + 1]);
            dw = vec_fma(d, xhat, dw);
            db += d;
        }
        vec_store(out->dw + c, dw);
        vec_store(out->db + c, db);
    }
}

static void norm_bwd_columns(float *dw, float *db, const float *dy, const float *x,
                             const float *stat, int64_t rows, int64_t width, int64_t n) {
    ColumnSums total = {{0}, {0}}, block;
    for (int64_t r = 0; r < rows; r += ROW_BLOCK) {
        int64_t n_rows = rows - r < ROW_BLOCK ? rows - r : ROW_BLOCK;
        column_sums(&block, dy + r * width, x + r * width, stat + 2 * r, n_rows, width, n);
        for (int64_t c = 0; c < n; c++) {
            total.dw[c] += block.dw[c];
            total.db[c] += block.db[c];
        }
    }
    for (int64_t c = 0; c < n; c++) {
        if (dw) dw[c] += total.dw[c];
        if (db) db[c] += total.db[c];
    }
}

void CPU_NAME(norm_bwd)(Dev *dev, Tensor dx, Tensor dweight, Tensor dbias, Tensor dy, Tensor x,
                        Tensor weight, Tensor stat, NormArgs args) {
    int64_t rows = x.shape[0], width = x.shape[1];
    const float *from = x.data, *grad = dy.data, *stats = stat.data;
    float *dw = dweight.data, *db = dbias.data;
    int threads = cpu_threads(dev, rows * width * 2);
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
#pragma omp for schedule(static) nowait
        for (int64_t r = 0; r < rows; r++)
            norm_bwd_row((float *)dx.data + r * width, grad + r * width, from + r * width,
                         weight.data, stats + 2 * r, width, &args);
#pragma omp for schedule(static)
        for (int64_t c = 0; c < width; c += COLUMN_CHUNK) {
            int64_t n = width - c < COLUMN_CHUNK ? width - c : COLUMN_CHUNK;
            if (dw || db)
                norm_bwd_columns(dw ? dw + c : NULL, db ? db + c : NULL, grad + c, from + c, stats,
                                 rows, width, n);
        }
    }
}

void CPU_NAME(bias_bwd)(Dev *dev, Tensor db, Tensor dy) {
    int64_t rows = dy.shape[0], width = dy.shape[1];
    int threads = cpu_threads(dev, rows * width);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t c = 0; c < width; c += VEC) {
        int64_t n = width - c;
        const float *from = (const float *)dy.data + c;
        float *to = (float *)db.data + c;
        Vec total = vec_zero();
        for (int64_t first = 0; first < rows; first += ROW_BLOCK) {
            int64_t end = rows - first < ROW_BLOCK ? rows : first + ROW_BLOCK;
            Vec block = vec_zero();
            for (int64_t r = first; r < end; r++) block += vec_load_n(from + r * width, n);
            total += block;
        }
        vec_store_n(to, vec_load_n(to, n) + total, n);
    }
}
