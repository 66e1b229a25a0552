#include "kernels/cpu/cpu.h"
#include "kernels/cpu/cpu_vec.h"

#define ROPE_MAX_FREQ 512 /* half of the widest head */

/* sin and cos of |x| < 2^30 in double, below 2 units in the last place: x = n pi/2 + r, |r| <=
 * pi/4, and the Taylor series up to r^15 and r^16. Plain arithmetic, so that the compiler makes
 * vectors of the loop that calls it. */
INLINE void sin_cos(double *sine, double *cosine, double x) {
    const double magic = 0x1.8p52; /* after adding it, the last bits are the nearest integer */
    double shifted = x * 0x1.45f306dc9c883p-1 + magic, n = shifted - magic;
    double r = __builtin_fma(n, -0x1.921fb54442d18p+0, x); /* pi/2 in two parts */
    r = __builtin_fma(n, -0x1.1a62633145c07p-54, r);
    double q = r * r;
    double s = -1.0 / 1307674368000.0;
    s = __builtin_fma(s, q, 1.0 / 6227020800.0);
    s = __builtin_fma(s, q, -1.0 / 39916800.0);
    s = __builtin_fma(s, q, 1.0 / 362880.0);
    s = __builtin_fma(s, q, -1.0 / 5040.0);
    s = __builtin_fma(s, q, 1.0 / 120.0);
    s = __builtin_fma(s, q, -1.0 / 6.0);
    s = __builtin_fma(s * q, r, r);
    double c = 1.0 / 20922789888000.0;
    c = __builtin_fma(c, q, -1.0 / 87178291200.0);
    c = __builtin_fma(c, q, 1.0 / 479001600.0);
    c = __builtin_fma(c, q, -1.0 / 3628800.0);
    c = __builtin_fma(c, q, 1.0 / 40320.0);
    c = __builtin_fma(c, q, -1.0 / 720.0);
    c = __builtin_fma(c, q, 1.0 / 24.0);
    c = __builtin_fma(c, q, -0.5);
    c = __builtin_fma(c, q, 1.0);
    int64_t quadrant;
    memcpy(&quadrant, &shifted, sizeof quadrant);
    bool swap = (quadrant & 1) != 0;
    double a = swap ? c : s, b = swap ? s : c;
    *sine = (quadrant & 2) != 0 ? -a : a;
    *cosine = ((quadrant + 1) & 2) != 0 ? -b : b;
}

typedef struct Angles {
    float cosine[ROPE_MAX_FREQ], sine[ROPE_MAX_FREQ];
} Angles;

static void angles_at(Angles *a, int32_t position, const double *inv_freq, int64_t n_freq,
                      const RopeArgs *args) {
    const double scale = args->attention_scaling, sine_scale = args->inverse ? -scale : scale;
    for (int64_t j = 0; j < n_freq; j++) {
        double sine, cosine;
        sin_cos(&sine, &cosine, (double)position * inv_freq[j]);
        a->cosine[j] = (float)(cosine * scale);
        a->sine[j] = (float)(sine * sine_scale);
    }
}

static void turn_halves(float *head, const Angles *a, int64_t n_freq) {
    for (int64_t j = 0; j < n_freq; j += VEC) {
        int64_t n = n_freq - j;
        Vec x = vec_load_n(head + j, n), y = vec_load_n(head + n_freq + j, n);
        Vec c = vec_load_n(a->cosine + j, n), s = vec_load_n(a->sine + j, n);
        vec_store_n(head + j, x * c - y * s, n);
        vec_store_n(head + n_freq + j, y * c + x * s, n);
    }
}

static void turn_pairs(float *head, const Angles *a, int64_t n_freq) {
    for (int64_t j = 0; j < n_freq; j++) {
        float x = head[2 * j], y = head[2 * j + 1];
        head[2 * j] = x * a->cosine[j] - y * a->sine[j];
        head[2 * j + 1] = y * a->cosine[j] + x * a->sine[j];
    }
}

void CPU_NAME(rope)(Dev *dev, Tensor x, Tensor positions, Tensor inv_freq, RopeArgs args) {
    int64_t rows = x.shape[0], n_freq = inv_freq.shape[0], width = args.n_heads * args.head_dim;
    CHECK(n_freq <= ROPE_MAX_FREQ, "rope: %lld frequencies", (long long)n_freq);
    int threads = cpu_threads(dev, rows * width * 4);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t r = 0; r < rows; r++) {
        Angles angles;
        angles_at(&angles, ((const int32_t *)positions.data)[r], inv_freq.data, n_freq, &args);
        for (int64_t h = 0; h < args.n_heads; h++) {
            float *head = (float *)x.data + r * width + h * args.head_dim;
            if (args.interleaved)
                turn_pairs(head, &angles, n_freq);
            else
                turn_halves(head, &angles, n_freq);
        }
    }
}
