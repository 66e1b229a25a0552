/* dtype: the number formats of tensors and files. */
#ifndef HONE_CORE_DTYPE_H
#define HONE_CORE_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum DType {
    DTYPE_NONE,
    DTYPE_F64,
    DTYPE_F32,
    DTYPE_BF16,
    DTYPE_F16,
    DTYPE_I64,
    DTYPE_I32,
    DTYPE_I16,
    DTYPE_I8,
    DTYPE_U8,
    DTYPE_BOOL,
    DTYPE_COUNT
} DType;

size_t dtype_size(DType t);         /* bytes of one element */
const char *dtype_name(DType t);    /* "float32", "bfloat16", ...: torch's words */
DType dtype_by_name(const char *s); /* also "f32", "bf16", "F32"; DTYPE_NONE when unknown */
bool dtype_is_float(DType t);

/* Scalar conversions, round to nearest even; NaN stays NaN, overflow becomes Inf. */
float bf16_to_f32(uint16_t x);
uint16_t f32_to_bf16(float x);
float f16_to_f32(uint16_t x);
uint16_t f32_to_f16(float x);

/* Converts n elements between float types; dst and src may be the same array when sizes are equal.
 */
void dtype_convert(void *dst, DType dst_t, const void *src, DType src_t, size_t n);

#endif
