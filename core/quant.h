/* quant: numbers in few bits, as bitsandbytes has them, over host arrays. A weight is `code of a
 * small table` times `scale of its block`; blocks are runs of a flat array, the last may be short.
 *
 *   NF4, FP4  16 values a table (Dettmers et al. 2023, QLoRA, 3 and appendix E); two codes a byte,
 *             the earlier in the high half; scale: the block's largest magnitude
 *   INT8      -127..127; a block is a row; scale: the row's largest magnitude over 127 (Dettmers et
 *             al. 2022, LLM.int8())
 *   dynamic   256 values that lie denser towards zero (Dettmers 2016, 8-bit approximations); for
 *             nested scales and for the moments of 8-bit optimizers
 *
 * Codes and scales are bitwise those of bitsandbytes' definitions (its table walk; a value exactly
 * between two neighbours takes the lower one). Its CPU library looks dynamic codes up in a table of
 * 2^16 steps and so differs from its own definition, and from ours, next to a border. */
#ifndef HONE_CORE_QUANT_H
#define HONE_CORE_QUANT_H

#include <stdbool.h>
#include <stdint.h>

typedef enum QuantKind { QUANT_NF4, QUANT_FP4, QUANT_INT8 } QuantKind;

const char *quant_name(QuantKind kind); /* "nf4", ... */

/* The 16 values of NF4 or FP4, by code. */
const float *quant_book(QuantKind kind);
/* The 256 values of the dynamic map, ascending. Signed: from -0.993 to 1; else from 0 to 1. */
const float *quant_dynamic_map(bool is_signed);

static inline int64_t quant_blocks(int64_t n, int64_t block) {
    return (n + block - 1) / block;
}

/* codes[(n+1)/2], absmax[quant_blocks(n, block)] of x[n], which is finite. */
void quant_4bit(uint8_t *codes, float *absmax, const float *x, int64_t n, int64_t block,
                QuantKind kind);
static inline int quant_4bit_code(const uint8_t *codes, int64_t i) {
    return i % 2 ? codes[i / 2] & 15 : codes[i / 2] >> 4;
}

/* codes[n], absmax[quant_blocks(n, block)] by the dynamic map. */
void quant_8bit(uint8_t *codes, float *absmax, const float *x, int64_t n, int64_t block,
                bool is_signed);

/* Double quantization: the scales themselves, less their mean, by the signed dynamic map.
 * codes[n], nested[quant_blocks(n, QUANT_NESTED_BLOCK)]; returns the mean (summed in double:
 * torch's own depends on its number of threads). absmax'[i] = map[codes[i]] * nested[i /
 * QUANT_NESTED_BLOCK] + mean */
#define QUANT_NESTED_BLOCK 256
float quant_nest(uint8_t *codes, float *nested, const float *absmax, int64_t n);
/* The same about a mean that is given. */
void quant_nest_about(uint8_t *codes, float *nested, const float *absmax, int64_t n, float mean);
static inline float quant_unnest(uint8_t code, float nested, float mean) {
    float scaled = quant_dynamic_map(true)[code] * nested;
    return scaled + mean;
}

/* codes[rows,cols], absmax[rows] of x[rows,cols], which is rounded to float16 first, as
 * bitsandbytes does. A weight is code * absmax / 127. */
void quant_int8(int8_t *codes, float *absmax, const float *x, int64_t rows, int64_t cols);

#endif
