/* cpu: what the files of this folder share. Each is compiled once per instruction set (CPU_ISA),
 * and CPU_NAME keeps the symbols apart: CPU_NAME(linear_fwd) is cpu_linear_fwd_avx2, say.
 *
 * Law L5 here: all instruction sets compute with the same virtual vectors (cpu_vec.h) in the same
 * order, so a row's bits depend neither on its neighbours nor on the threads nor on the processor.
 * Work is cut over rows or columns of outputs, never over a sum, except by partitions that are
 * fixed.
 */
#ifndef HONE_KERNELS_CPU_H
#define HONE_KERNELS_CPU_H

#include "core/check.h"
#include "kernels/backend.h"

#define CPU_JOIN_(name, isa) cpu_##name##_##isa
#define CPU_JOIN(name, isa) CPU_JOIN_(name, isa)
#define CPU_NAME(name) CPU_JOIN(name, CPU_ISA)

/* void cpu_linear_fwd_avx2(Dev *, Tensor, ...); and so on for every op. */
#define CPU_DECLARE(name, parameters) void CPU_NAME(name) parameters;
OPS(CPU_DECLARE)
#undef CPU_DECLARE

/* Scratch memory of one thread, allocated when the device is opened and used by one op at a time.
 */
#define CPU_SCRATCH_BYTES ((size_t)1 << 22)

typedef struct CpuState {
    char *scratch; /* [threads][CPU_SCRATCH_BYTES] */
} CpuState;

static inline float *cpu_scratch(const Dev *dev, int thread) {
    const CpuState *state = dev->state;
    return (float *)(void *)(state->scratch + (size_t)thread * CPU_SCRATCH_BYTES);
}

static inline int64_t min64(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* Threads worth waking for so many float operations or moved elements: a wake-up costs some
 * microseconds. */
#define CPU_WORK_PER_THREAD 16384
static inline int cpu_threads(const Dev *dev, int64_t work) {
    int64_t useful = work / CPU_WORK_PER_THREAD + 1;
    return useful < dev->threads ? (int)useful : dev->threads;
}

#endif
