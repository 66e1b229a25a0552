/* cpu_quant: quantized weights (kernels/quant_weight.h) for cpu_gemm.c. Widened they are the floats
 * of quant_weight_at, and the sums are those of cpu_gemm.h, so that neither the number of rows nor
 * the way that was taken changes a bit. */
#ifndef HONE_KERNELS_CPU_QUANT_H
#define HONE_KERNELS_CPU_QUANT_H

#include "kernels/cpu/cpu_gemm.h"

/* gemm_pack_panel of GEMM_CODES_OUT and GEMM_CODES_IN. */
void CPU_NAME(quant_pack_out)(float *panel, const Gemm *g, int64_t p, int64_t k0, int64_t n_k);
void CPU_NAME(quant_pack_in)(float *panel, const Gemm *g, int64_t p, int64_t k0, int64_t n_k);

/* The whole product of a few rows, codes widened in registers; false: not for this one. */
bool CPU_NAME(quant_few)(const Dev *dev, const Gemm *g);

#endif
