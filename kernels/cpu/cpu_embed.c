#include "kernels/cpu/cpu.h"
#include "kernels/cpu/cpu_vec.h"

INLINE Vec load_table(Tensor table, int64_t i, int64_t n) {
    if (n >= VEC) return vec_load_as(table.data, table.dtype, i);
    Vec v = vec_zero();
    for (int64_t l = 0; l < n; l++) v[l] = load_as(table.data, table.dtype, i + l);
    return v;
}

void CPU_NAME(embed_fwd)(Dev *dev, Tensor y, Tensor table, Tensor ids, double scale,
                         bool accumulate) {
    int64_t rows = y.shape[0], width = y.shape[1];
    int threads = cpu_threads(dev, rows * width);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t r = 0; r < rows; r++) {
        int64_t from = ((const int32_t *)ids.data)[r] * width;
        float *to = (float *)y.data + r * width;
        for (int64_t c = 0; c < width; c += VEC) {
            int64_t n = width - c;
            Vec v = load_table(table, from + c, n) * vec_all((float)scale);
            if (accumulate) v = vec_load_n(to + c, n) + v;
            vec_store_n(to + c, v, n);
        }
    }
}

/* Rows of equal id meet in the same place, so threads share the columns, not the rows. */
#define EMBED_COLUMNS 32

void CPU_NAME(embed_bwd)(Dev *dev, Tensor dtable, Tensor dy, Tensor ids, double scale) {
    int64_t rows = dy.shape[0], width = dy.shape[1];
    int threads = cpu_threads(dev, rows * width);
    int64_t slices = (width + EMBED_COLUMNS - 1) / EMBED_COLUMNS;
    if (slices > threads) slices = threads;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t s = 0; s < slices; s++) {
        int64_t first = width * s / slices, end = width * (s + 1) / slices;
        for (int64_t r = 0; r < rows; r++) {
            float *to = (float *)dtable.data + ((const int32_t *)ids.data)[r] * width;
            const float *from = (const float *)dy.data + r * width;
            for (int64_t c = first; c < end; c++) to[c] += (float)scale * from[c];
        }
    }
}

void CPU_NAME(gather_rows)(Dev *dev, Tensor y, Tensor x, Tensor index) {
    int64_t rows = y.shape[0], width = y.shape[1];
    int threads = cpu_threads(dev, rows * width);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t r = 0; r < rows; r++)
        memcpy((float *)y.data + r * width,
               (const float *)x.data + ((const int32_t *)index.data)[r] * width,
               (size_t)width * sizeof(float));
}

void CPU_NAME(scatter_add_rows)(Dev *dev, Tensor dx, Tensor dy, Tensor index) {
    int64_t rows = dy.shape[0], width = dy.shape[1];
    int threads = cpu_threads(dev, rows * width);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t r = 0; r < rows; r++) {
        float *to = (float *)dx.data + ((const int32_t *)index.data)[r] * width;
        const float *from = (const float *)dy.data + r * width;
        for (int64_t c = 0; c < width; c++) to[c] += from[c];
    }
}
