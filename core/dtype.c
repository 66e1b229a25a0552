#include "core/dtype.h"

#include "core/check.h"

#include <string.h>

static const struct {
    const char *name, *alias;
    size_t size;
    bool is_float;
} TABLE[DTYPE_COUNT] = {
    [DTYPE_NONE] = {"none", "", 0, false},     [DTYPE_F64] = {"float64", "f64", 8, true},
    [DTYPE_F32] = {"float32", "f32", 4, true}, [DTYPE_BF16] = {"bfloat16", "bf16", 2, true},
    [DTYPE_F16] = {"float16", "f16", 2, true}, [DTYPE_I64] = {"int64", "i64", 8, false},
    [DTYPE_I32] = {"int32", "i32", 4, false},  [DTYPE_I16] = {"int16", "i16", 2, false},
    [DTYPE_I8] = {"int8", "i8", 1, false},     [DTYPE_U8] = {"uint8", "u8", 1, false},
    [DTYPE_BOOL] = {"bool", "bool", 1, false},
};

size_t dtype_size(DType t) {
    CHECK(t > DTYPE_NONE && t < DTYPE_COUNT, "dtype %d", (int)t);
    return TABLE[t].size;
}

const char *dtype_name(DType t) {
    CHECK(t >= DTYPE_NONE && t < DTYPE_COUNT, "dtype %d", (int)t);
    return TABLE[t].name;
}

bool dtype_is_float(DType t) {
    CHECK(t >= DTYPE_NONE && t < DTYPE_COUNT, "dtype %d", (int)t);
    return TABLE[t].is_float;
}

DType dtype_by_name(const char *s) {
    char lower[16] = {0};
    size_t n = strlen(s);
    if (n >= sizeof lower) return DTYPE_NONE;
    for (size_t i = 0; i < n; i++)
        lower[i] = (char)(s[i] >= 'A' && s[i] <= 'Z' ? s[i] - 'A' + 'a' : s[i]);
    for (int t = DTYPE_NONE + 1; t < DTYPE_COUNT; t++)
        if (strcmp(lower, TABLE[t].name) == 0 || strcmp(lower, TABLE[t].alias) == 0)
            return (DType)t;
    return DTYPE_NONE;
}

static inline uint32_t bits_of(float x) {
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline float float_of(uint32_t u) {
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

float bf16_to_f32(uint16_t x) {
    return float_of((uint32_t)x << 16);
}

uint16_t f32_to_bf16(float x) {
    uint32_t u = bits_of(x);
    /* A NaN's low bits must not carry it over into Inf: cut them and set the quiet bit. */
    if ((u & 0x7fffffffU) > 0x7f800000U) return (uint16_t)((u >> 16) | 0x40U);
    u += 0x7fffU + ((u >> 16) & 1U); /* half, or just below it when the kept part is even */
    return (uint16_t)(u >> 16);
}

float f16_to_f32(uint16_t x) {
    uint32_t sign = (uint32_t)(x & 0x8000U) << 16;
    uint32_t magnitude = (uint32_t)(x & 0x7fffU) << 13;
    uint32_t exponent = magnitude & 0x0f800000U;
    uint32_t u = magnitude + ((127U - 15U) << 23);
    if (exponent == 0x0f800000U) {
        u += (128U - 16U) << 23; /* Inf and NaN: the float's own exponent of ones */
    } else if (exponent == 0) {
        /* Subnormal (or zero): it reads as 2^-14 * (1 + m), and the float unit takes the 1 away. */
        u = bits_of(float_of(u + (1U << 23)) - float_of(113U << 23));
    }
    return float_of(u | sign);
}

uint16_t f32_to_f16(float x) {
    uint32_t u = bits_of(x);
    uint32_t sign = (u >> 16) & 0x8000U;
    u &= 0x7fffffffU;
    uint32_t half;
    if (u >= 0x47800000U) { /* 65536 and above, Inf, NaN */
        half = u > 0x7f800000U ? 0x7e00U : 0x7c00U;
    } else if (u < 0x38800000U) { /* below 2^-14: adding 0.5 lets the float unit round to 2^-24 */
        half = bits_of(float_of(u) + 0.5f) - bits_of(0.5f);
    } else {
        uint32_t odd = (u >> 13) & 1U;
        half = (u - ((127U - 15U) << 23) + 0xfffU + odd) >> 13; /* 65520 and above carry into Inf */
    }
    return (uint16_t)(half | sign);
}

/* Data in files may lie anywhere, so elements are moved by memcpy (which compiles to plain loads).
 * float64 goes to the 16-bit formats by way of float32. */
#define GET_F64(p, i, v) (memcpy(&(v), (p) + 8 * (i), 8), (v))
#define GET_F32(p, i, v) (memcpy(&(v), (p) + 4 * (i), 4), (v))
#define GET_BF16(p, i, v) (memcpy(&(v), (p) + 2 * (i), 2), bf16_to_f32(v))
#define GET_F16(p, i, v) (memcpy(&(v), (p) + 2 * (i), 2), f16_to_f32(v))

#define CONVERT_LOOP(SRC_T, GET, DST_T, PUT)                \
    for (size_t i = 0; i < n; i++) {                        \
        SRC_T raw;                                          \
        DST_T value = (DST_T)PUT(GET(s, i, raw));           \
        memcpy(d + sizeof value * i, &value, sizeof value); \
    }

#define KEEP(x) (x)
#define TO_BF16(x) f32_to_bf16((float)(x))
#define TO_F16(x) f32_to_f16((float)(x))

#define CONVERT_FROM(SRC_T, GET)                           \
    switch (dst_t) {                                       \
    case DTYPE_F64:                                        \
        CONVERT_LOOP(SRC_T, GET, double, KEEP) break;      \
    case DTYPE_F32:                                        \
        CONVERT_LOOP(SRC_T, GET, float, KEEP) break;       \
    case DTYPE_BF16:                                       \
        CONVERT_LOOP(SRC_T, GET, uint16_t, TO_BF16) break; \
    case DTYPE_F16:                                        \
        CONVERT_LOOP(SRC_T, GET, uint16_t, TO_F16) break;  \
    default:                                               \
        FAIL("convert to %s", dtype_name(dst_t));          \
    }

void dtype_convert(void *dst, DType dst_t, const void *src, DType src_t, size_t n) {
    unsigned char *d = dst;
    const unsigned char *s = src;
    CHECK(dtype_is_float(dst_t) && dtype_is_float(src_t), "%s to %s", dtype_name(src_t),
          dtype_name(dst_t));
    if (dst_t == src_t) {
        if (d != s && n > 0) memcpy(d, s, n * dtype_size(dst_t));
        return;
    }
    switch (src_t) {
    case DTYPE_F64:
        CONVERT_FROM(double, GET_F64) break;
    case DTYPE_F32:
        CONVERT_FROM(float, GET_F32) break;
    case DTYPE_BF16:
        CONVERT_FROM(uint16_t, GET_BF16) break;
    case DTYPE_F16:
        CONVERT_FROM(uint16_t, GET_F16) break;
    default:
        FAIL("convert from %s", dtype_name(src_t));
    }
}
