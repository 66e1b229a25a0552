#include "kernels/cpu/cpu.h"
#include "kernels/cpu/cpu_vec.h"

/* The array is cut into blocks, the blocks into a fixed number of slices; threads take slices. */
#define SQUARES_BLOCK 1024
#define SQUARES_SLICES 256

typedef double VecD __attribute__((vector_size(32)));

static double sum_block(const float *x, int64_t n) {
    VecD sum[2] = {{0}, {0}};
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        VecD a = {(double)x[i], (double)x[i + 1], (double)x[i + 2], (double)x[i + 3]};
        VecD b = {(double)x[i + 4], (double)x[i + 5], (double)x[i + 6], (double)x[i + 7]};
        sum[0] += a * a;
        sum[1] += b * b;
    }
    double tail = 0;
    for (; i < n; i++) tail += (double)x[i] * (double)x[i];
    VecD s = sum[0] + sum[1];
    return ((s[0] + s[2]) + (s[1] + s[3])) + tail;
}

void CPU_NAME(sum_squares)(Dev *dev, Tensor out, Tensor x) {
    int64_t n = tensor_numel(x), blocks = (n + SQUARES_BLOCK - 1) / SQUARES_BLOCK;
    double slice[SQUARES_SLICES];
    int threads = cpu_threads(dev, n);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t s = 0; s < SQUARES_SLICES; s++) {
        double sum = 0;
        for (int64_t b = blocks * s / SQUARES_SLICES; b < blocks * (s + 1) / SQUARES_SLICES; b++) {
            int64_t first = b * SQUARES_BLOCK, left = n - first;
            sum += sum_block((const float *)x.data + first,
                             left < SQUARES_BLOCK ? left : SQUARES_BLOCK);
        }
        slice[s] = sum;
    }
    double total = 0;
    for (int s = 0; s < SQUARES_SLICES; s++) total += slice[s];
    *(double *)out.data += total;
}

#define ADAMW_CHUNK 2048

void CPU_NAME(adamw)(Dev *dev, Tensor p, Tensor m, Tensor v, Tensor g, AdamwArgs args) {
    const Vec decay = vec_all((float)(1 - args.lr * args.weight_decay));
    const Vec step_size = vec_all((float)(args.lr / (1 - pow(args.beta1, (double)args.step))));
    const Vec v_scale = vec_all((float)sqrt(1 - pow(args.beta2, (double)args.step)));
    const Vec beta1 = vec_all((float)args.beta1), rest1 = vec_all((float)(1 - args.beta1));
    const Vec beta2 = vec_all((float)args.beta2), rest2 = vec_all((float)(1 - args.beta2));
    const Vec eps = vec_all((float)args.eps), grad_scale = vec_all((float)args.grad_scale);
    int64_t n = tensor_numel(p);
    int threads = cpu_threads(dev, n * 2);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t first = 0; first < n; first += ADAMW_CHUNK) {
        int64_t end = n - first < ADAMW_CHUNK ? n : first + ADAMW_CHUNK;
        for (int64_t i = first; i < end; i += VEC) {
            int64_t left = end - i;
            float *pi = (float *)p.data + i, *mi = (float *)m.data + i, *vi = (float *)v.data + i;
            Vec grad = vec_load_n((const float *)g.data + i, left) * grad_scale;
            Vec mean = beta1 * vec_load_n(mi, left) + rest1 * grad;
            Vec square = beta2 * vec_load_n(vi, left) + rest2 * grad * grad;
            Vec step = step_size * mean / (vec_sqrt(square) / v_scale + eps);
            vec_store_n(mi, mean, left);
            vec_store_n(vi, square, left);
            vec_store_n(pi, vec_load_n(pi, left) * decay - step, left);
        }
    }
}
