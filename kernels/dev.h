/* dev: a device that runs ops: its memory, its op table, its sticky error.
 *
 * Backends:
 *   "cpu"     fast: SIMD chosen at run time, OpenMP           real = float
 *   "ref"     the readable specification                      real = float
 *   "ref64"   the same, compiled for double (tests)           real = double
 *   "cuda[:N]"  a module loaded when asked for                real = float
 * Model code never names float for activations: it allocates dev_real(dev).
 *
 * Measure mode: ops check their arguments and return without touching memory, so that the memory
 * plan runs the real model code over measuring arenas (core/arena.h).
 */
#ifndef HONE_KERNELS_DEV_H
#define HONE_KERNELS_DEV_H

#include "core/arena.h"
#include "core/status.h"
#include "core/tensor.h"

typedef struct Dev Dev;

/* ERR_DEVICE when there is no such device, or its op table has a hole (named). Threads: 0 = all. */
Status dev_open(Dev **out, const char *name, int threads);
void dev_close(Dev *dev);

const char *dev_name(const Dev *dev); /* "cpu", ... */
const char *dev_isa(const Dev *dev);  /* what was chosen: "avx512", "avx2", "portable"; HONE_ISA
                                         forces a lower one */
DType dev_real(const Dev *dev);       /* dtype of activations, gradients and trained tensors */

/* Device memory, ARENA_ALIGN-aligned, not cleared. NULL data never: ERR_OS with the size in the
 * message. */
Status dev_alloc(void **out, Dev *dev, size_t bytes);
void dev_free(Dev *dev, void *p);
/* Between host and device memory; same dtype and byte count. On a CPU a plain copy. */
void dev_upload(Dev *dev, Tensor dst, const void *src);
void dev_download(Dev *dev, void *dst, Tensor src);
/* True when device memory can be read by the host as it is (every CPU backend). */
bool dev_is_host(const Dev *dev);

void dev_set_measure(Dev *dev, bool measure);
bool dev_measuring(const Dev *dev);

/* The first error of any op since the last call (device lost, out of memory); once a step. */
Status dev_check(Dev *dev);

#endif
