/* cpu_random: dropout's mask, thirty-two columns at once; the words are those of core/rng.h. */
#ifndef HONE_KERNELS_CPU_RANDOM_H
#define HONE_KERNELS_CPU_RANDOM_H

#include "kernels/cpu/cpu.h"

#define DROPOUT_RUN 32

/* factor[i] = 1/(1-p) where column first + i of a row is kept, else 0; i < DROPOUT_RUN. first:
 * multiple of 4. */
void CPU_NAME(dropout_factors)(float factor[DROPOUT_RUN], DropoutKey key, int64_t seq_id,
                               int32_t position, int64_t first);

#endif
