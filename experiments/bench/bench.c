#include "bench.h"

#include "core/mem.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

static double seconds_of(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double bench_now(void) {
    return seconds_of(CLOCK_MONOTONIC);
}

static double timed(void (*run)(void *), void *ctx) {
    clockid_t clock = omp_get_max_threads() == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC;
    double start = seconds_of(clock);
    run(ctx);
    return seconds_of(clock) - start;
}

void bench_interleaved(double *best_a, double *best_b, void (*a)(void *), void (*b)(void *),
                       void *ctx, double seconds) {
    *best_a = *best_b = 1e30;
    a(ctx); /* warm-up: pages, caches, threads */
    if (b) b(ctx);
    double end = bench_now() + seconds;
    for (int turn = 0; turn < 3 || bench_now() < end; turn++) {
        double t = timed(a, ctx);
        if (t < *best_a) *best_a = t;
        if (b && (t = timed(b, ctx)) < *best_b) *best_b = t;
    }
}

/* Seconds all cores were busy, from the first line of /proc/stat (user nice system idle iowait irq
 * softirq steal). */
static double busy_seconds(void) {
    FILE *f = fopen("/proc/stat", "r");
    if (!f) return -1;
    double user, nice, system, idle, iowait, irq, softirq;
    int n = fscanf(f, "cpu %lf %lf %lf %lf %lf %lf %lf", &user, &nice, &system, &idle, &iowait,
                   &irq, &softirq);
    fclose(f);
    if (n != 7) return -1;
    return (user + nice + system + irq + softirq) / (double)sysconf(_SC_CLK_TCK);
}

double bench_other_cpu(void) {
    static double last_busy, last_own, last_time;
    double own = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    double busy = busy_seconds(), now = bench_now();
    double others = (busy - last_busy) - (own - last_own), elapsed = now - last_time;
    last_busy = busy, last_own = own, last_time = now;
    if (busy < 0) return -1;
    return others > 0 ? others / elapsed : 0;
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"), noinline)) static void fma_loop(int64_t n,
                                                                   volatile float *sink) {
    __m256 x = _mm256_set1_ps(0.999F), y = _mm256_set1_ps(0.001F), sum[12];
    for (int i = 0; i < 12; i++) sum[i] = _mm256_set1_ps((float)i);
    for (int64_t k = 0; k < n; k++)
#pragma GCC unroll 12
        for (int i = 0; i < 12; i++) sum[i] = _mm256_fmadd_ps(sum[i], x, y);
    for (int i = 1; i < 12; i++) sum[0] = _mm256_add_ps(sum[0], sum[i]);
    *sink = _mm256_cvtss_f32(sum[0]);
}

/* On every thread; ctx: const int64_t *, how many turns. */
static void fma_all(void *ctx) {
    const int64_t *n = ctx;
#pragma omp parallel
    {
        float sink;
        fma_loop(*n, &sink);
    }
}

double bench_fma_peak(void) {
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return 0;
    int64_t n = 4000000;
    double best = 1e30;
    int threads = omp_get_max_threads();
    for (int turn = 0; turn < 9; turn++) {
        double t = timed(fma_all, &n);
        if (t < best) best = t;
    }
    return 1e-9 * 12 * 16 * (double)n * threads / best;
}
#else
double bench_fma_peak(void) {
    return 0;
}
#endif

#define READ_BLOCK 65536
#define READ_LANES 32 /* sums side by side, so that adding does not wait for adding */

static float sum_block(const float *p) {
    float lane[READ_LANES] = {0};
    for (int64_t i = 0; i < READ_BLOCK; i += READ_LANES)
        for (int64_t l = 0; l < READ_LANES; l++) lane[l] += p[i + l];
    for (int l = 1; l < READ_LANES; l++) lane[0] += lane[l];
    return lane[0];
}

void bench_memory(double *read, double *copy) {
    const int64_t n = (int64_t)64 << 20;
    float *a = bench_floats(n, 1), *b = bench_floats(n, 2);
    double best_read = 1e30, best_copy = 1e30;
    float sink = 0;
    for (int turn = 0; turn < 5; turn++) {
        double start = bench_now();
#pragma omp parallel for reduction(+ : sink) schedule(static)
        for (int64_t block = 0; block < n / READ_BLOCK; block++)
            sink += sum_block(a + block * READ_BLOCK);
        double t = bench_now() - start;
        if (t < best_read) best_read = t;
        start = bench_now();
#pragma omp parallel for schedule(static)
        for (int64_t block = 0; block < n / 4096; block++)
            memcpy(b + block * 4096, a + block * 4096, 4096 * sizeof *a);
        t = bench_now() - start;
        if (t < best_copy) best_copy = t;
    }
    if (isnan(sink)) abort(); /* never; but without a use of the sum nothing need be read */
    *read = 4e-9 * (double)n / best_read;
    *copy = 8e-9 * (double)n / best_copy;
    mem_free(a);
    mem_free(b);
}

float *bench_floats(int64_t n, uint32_t seed) {
    float *p = mem_aligned((size_t)n * sizeof *p);
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; i++) {
        uint32_t x = ((uint32_t)i + seed * 7919U) * 2654435761U;
        p[i] = (float)(x >> 8) * 0x1p-24F - 0.5F;
    }
    return p;
}
