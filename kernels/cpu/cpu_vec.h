/* cpu_vec: eight floats at once, the one vector of this folder. GCC's vector types do + - * / and
 * comparisons on every processor; what they lack (fma, sqrt, widening) is an intrinsic or, on a
 * processor without it, eight scalar calls that round alike. So all instruction sets give the same
 * bits.
 *
 * fma is always written out: the build forbids the compiler to contract a * b + c by itself.
 */
#ifndef HONE_KERNELS_CPU_VEC_H
#define HONE_KERNELS_CPU_VEC_H

#include "core/check.h"
#include "core/dtype.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#ifdef __AVX2__
#include <immintrin.h>
#endif

#define VEC 8

typedef float Vec __attribute__((vector_size(32)));
typedef int32_t VecI __attribute__((vector_size(32)));
typedef float VecMem __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t VecIMem __attribute__((vector_size(32), aligned(4), may_alias));
typedef uint16_t VecU16Mem __attribute__((vector_size(16), aligned(2), may_alias));

#define INLINE static inline __attribute__((always_inline, unused))

INLINE Vec vec_load(const float *p) {
    return *(const VecMem *)p;
}
INLINE void vec_store(float *p, Vec v) {
    *(VecMem *)p = v;
}
INLINE Vec vec_all(float x) {
    return (Vec){x, x, x, x, x, x, x, x};
}
INLINE VecI veci_all(int32_t x) {
    return (VecI){x, x, x, x, x, x, x, x};
}
INLINE Vec vec_zero(void) {
    return vec_all(0.0F);
}

/* The first n < VEC floats; the other lanes are `rest`. */
INLINE Vec vec_load_part(const float *p, int64_t n, float rest) {
    Vec v = vec_all(rest);
    memcpy(&v, p, (size_t)n * sizeof *p);
    return v;
}
INLINE void vec_store_part(float *p, Vec v, int64_t n) {
    memcpy(p, &v, (size_t)n * sizeof *p);
}

/* n >= VEC: a whole vector; else a part. For loops whose last turn is short. */
INLINE Vec vec_load_n(const float *p, int64_t n) {
    return n >= VEC ? vec_load(p) : vec_load_part(p, n, 0.0F);
}
INLINE void vec_store_n(float *p, Vec v, int64_t n) {
    if (n >= VEC)
        vec_store(p, v);
    else
        vec_store_part(p, v, n);
}

/* a * b + c, rounded once. Where that is no instruction, eight calls of the C library, not inlined.
 */
#if defined(__FMA__)
INLINE Vec vec_fma(Vec a, Vec b, Vec c) {
    return _mm256_fmadd_ps(a, b, c);
}
#elif defined(__FP_FAST_FMAF)
INLINE Vec vec_fma(Vec a, Vec b, Vec c) {
    for (int i = 0; i < VEC; i++) c[i] = __builtin_fmaf(a[i], b[i], c[i]);
    return c;
}
#else
static Vec __attribute__((noinline, unused)) vec_fma(Vec a, Vec b, Vec c) {
    for (int i = 0; i < VEC; i++) c[i] = fmaf(a[i], b[i], c[i]);
    return c;
}
#endif

INLINE Vec vec_sqrt(Vec a) {
#ifdef __AVX2__
    return _mm256_sqrt_ps(a);
#else
    for (int i = 0; i < VEC; i++) a[i] = __builtin_sqrtf(a[i]);
    return a;
#endif
}

/* Lane by lane, yes where the mask (a comparison's result) is true. */
INLINE Vec vec_select(VecI mask, Vec yes, Vec no) {
#ifdef __AVX2__
    return _mm256_blendv_ps(no, yes, (__m256)mask);
#else
    return (Vec)((mask & (VecI)yes) | (~mask & (VecI)no));
#endif
}

/* True where any lane of a mask is. */
INLINE bool vec_any(VecI mask) {
#ifdef __AVX2__
    return _mm256_movemask_ps((__m256)mask) != 0;
#else
    int32_t any = 0;
    for (int i = 0; i < VEC; i++) any |= mask[i];
    return any != 0;
#endif
}

/* The larger; b where either is NaN. (The same on every instruction set: a > b ? a : b.) */
INLINE Vec vec_max(Vec a, Vec b) {
#ifdef __AVX2__
    return _mm256_max_ps(a, b);
#else
    return vec_select(a > b, a, b);
#endif
}
INLINE Vec vec_min(Vec a, Vec b) {
#ifdef __AVX2__
    return _mm256_min_ps(a, b);
#else
    return vec_select(a < b, a, b);
#endif
}

INLINE Vec vec_abs(Vec a) {
    return (Vec)((VecI)a & veci_all(0x7FFFFFFF));
}

/* The lanes' sum and largest, as a fixed tree. */
INLINE float vec_sum(Vec v) {
    return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}
INLINE float vec_top(Vec v) {
    float a = v[0] > v[4] ? v[0] : v[4], b = v[1] > v[5] ? v[1] : v[5];
    float c = v[2] > v[6] ? v[2] : v[6], d = v[3] > v[7] ? v[3] : v[7];
    a = a > c ? a : c;
    b = b > d ? b : d;
    return a > b ? a : b;
}

/* The nearest integer, ties to even, of |x| < 2^22: adding 1.5 * 2^23 leaves no room for a
 * fraction. */
INLINE Vec vec_round(Vec x) {
    Vec magic = vec_all(0x1.8p23F);
    return (x + magic) - magic;
}
INLINE VecI vec_to_int(Vec x) {
    return __builtin_convertvector(x, VecI);
}

/* Eight elements of a stored weight, widened. */
INLINE Vec vec_widen_bf16(const uint16_t *p) {
    VecU16Mem half = *(const VecU16Mem *)p;
    VecI wide = __builtin_convertvector(half, VecI);
    return (Vec)(wide << 16);
}
INLINE Vec vec_widen_f16(const uint16_t *p) {
#ifdef __F16C__
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
#else
    Vec v;
    for (int i = 0; i < VEC; i++) v[i] = f16_to_f32(p[i]);
    return v;
#endif
}

/* Eight elements at index i of an array of any float type that a weight may have. */
INLINE Vec vec_load_as(const void *p, DType dtype, int64_t i) {
    switch (dtype) {
    case DTYPE_F32:
        return vec_load((const float *)p + i);
    case DTYPE_BF16:
        return vec_widen_bf16((const uint16_t *)p + i);
    case DTYPE_F16:
        return vec_widen_f16((const uint16_t *)p + i);
    default:
        FAIL("%s is not the type of a weight", dtype_name(dtype));
    }
}
INLINE float load_as(const void *p, DType dtype, int64_t i) {
    switch (dtype) {
    case DTYPE_F32:
        return ((const float *)p)[i];
    case DTYPE_BF16:
        return bf16_to_f32(((const uint16_t *)p)[i]);
    case DTYPE_F16:
        return f16_to_f32(((const uint16_t *)p)[i]);
    default:
        FAIL("%s is not the type of a weight", dtype_name(dtype));
    }
}

/* rows[i][j] becomes rows[j][i]. */
INLINE void vec_transpose(Vec rows[VEC]) {
    Vec a[VEC], b[VEC];
    for (int i = 0; i < 4; i++) { /* pairs of floats of rows 2i and 2i+1 */
        a[2 * i] = __builtin_shufflevector(rows[2 * i], rows[2 * i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        a[2 * i + 1] =
            __builtin_shufflevector(rows[2 * i], rows[2 * i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
    for (int i = 0; i < VEC; i += 4) { /* fours of rows i .. i+3 */
        b[i] = __builtin_shufflevector(a[i], a[i + 2], 0, 1, 8, 9, 4, 5, 12, 13);
        b[i + 1] = __builtin_shufflevector(a[i], a[i + 2], 2, 3, 10, 11, 6, 7, 14, 15);
        b[i + 2] = __builtin_shufflevector(a[i + 1], a[i + 3], 0, 1, 8, 9, 4, 5, 12, 13);
        b[i + 3] = __builtin_shufflevector(a[i + 1], a[i + 3], 2, 3, 10, 11, 6, 7, 14, 15);
    }
    for (int i = 0; i < 4; i++) {
        rows[i] = __builtin_shufflevector(b[i], b[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        rows[i + 4] = __builtin_shufflevector(b[i], b[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
}

#endif
