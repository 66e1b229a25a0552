/* bench: what the benchmarks share: clocks, the use other processes make of the machine, its own
 * peaks. */
#ifndef HONE_BENCH_H
#define HONE_BENCH_H

#include <stddef.h>
#include <stdint.h>

double bench_now(void); /* seconds */

/* Two things timed in turn, so that a disturbed moment hits both: a, b, a, b, ... for about
 * `seconds` (at least 3 times each). best_a, best_b: the shortest runs, in seconds: of the clock,
 * or, when only one OpenMP thread is used, of the process's CPU time, which other processes disturb
 * less. b may be NULL. */
void bench_interleaved(double *best_a, double *best_b, void (*a)(void *), void (*b)(void *),
                       void *ctx, double seconds);

/* Cores that other processes used since the last call (Linux; -1 where /proc/stat cannot be read).
 */
double bench_other_cpu(void);

/* GFLOP/s of independent fused multiply-adds in registers on all OpenMP threads, vectors of 8
 * (AVX2); 0 without. */
double bench_fma_peak(void);
/* GB/s of reading and of copying arrays much larger than the caches, on all OpenMP threads. */
void bench_memory(double *read, double *copy);

/* Aligned memory filled with numbers in [-0.5, 0.5), a function of seed. Ends the program when
 * there is none. */
float *bench_floats(int64_t n, uint32_t seed);

#endif
