#include "kernels/cpu/cpu.h"
#include "kernels/cpu/cpu_vec.h"

#define CHUNK 4096

static int64_t chunk_end(int64_t first, int64_t n) {
    return n - first < CHUNK ? n : first + CHUNK;
}

void CPU_NAME(fill)(Dev *dev, Tensor y, double value) {
    int64_t n = tensor_numel(y);
    float *to = y.data, x = (float)value;
    int threads = cpu_threads(dev, n);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t first = 0; first < n; first += CHUNK)
        for (int64_t i = first; i < chunk_end(first, n); i++) to[i] = x;
}

void CPU_NAME(copy)(Dev *dev, Tensor y, Tensor x) {
    int64_t n = tensor_numel(y);
    size_t y_size = dtype_size(y.dtype), x_size = dtype_size(x.dtype);
    int threads = cpu_threads(dev, n);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t first = 0; first < n; first += CHUNK) {
        size_t count = (size_t)(chunk_end(first, n) - first);
        char *to = (char *)y.data + (size_t)first * y_size;
        const char *from = (const char *)x.data + (size_t)first * x_size;
        if (y.dtype == x.dtype)
            memcpy(to, from, count * y_size);
        else
            dtype_convert(to, y.dtype, from, x.dtype, count);
    }
}

void CPU_NAME(axpy)(Dev *dev, Tensor y, Tensor x, double alpha) {
    int64_t n = tensor_numel(y);
    float *to = y.data, a = (float)alpha;
    const float *from = x.data;
    int threads = cpu_threads(dev, n);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t first = 0; first < n; first += CHUNK)
        for (int64_t i = first; i < chunk_end(first, n); i++) to[i] += a * from[i];
}

void CPU_NAME(scale)(Dev *dev, Tensor y, double alpha) {
    int64_t n = tensor_numel(y);
    float *to = y.data, a = (float)alpha;
    int threads = cpu_threads(dev, n);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t first = 0; first < n; first += CHUNK)
        for (int64_t i = first; i < chunk_end(first, n); i++) to[i] *= a;
}

void CPU_NAME(clamp)(Dev *dev, Tensor y, double limit) {
    int64_t n = tensor_numel(y);
    float *to = y.data, most = (float)limit;
    int threads = cpu_threads(dev, n);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t first = 0; first < n; first += CHUNK)
        for (int64_t i = first; i < chunk_end(first, n); i++)
            to[i] = to[i] > most ? most : to[i] < -most ? -most : to[i];
}

void CPU_NAME(clamp_bwd)(Dev *dev, Tensor dy, Tensor y, double limit) {
    int64_t n = tensor_numel(dy);
    float *to = dy.data, most = (float)limit;
    const float *at = y.data;
    int threads = cpu_threads(dev, n);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t first = 0; first < n; first += CHUNK)
        for (int64_t i = first; i < chunk_end(first, n); i++)
            to[i] = at[i] >= most || at[i] <= -most ? 0.0F : to[i];
}
