/* cpu_math: exp, tanh and erf of eight floats; errors below 2 units in the last place where the
 * value is not tiny. NaN stays NaN. Polynomials are minimax fits (Lawson's iteration) over the
 * interval named beside each. */
#ifndef HONE_KERNELS_CPU_MATH_H
#define HONE_KERNELS_CPU_MATH_H

#include "kernels/cpu/cpu_vec.h"

/* c[0] + c[1] x + ... + c[n-1] x^(n-1), Horner. */
INLINE Vec vec_poly(Vec x, const float *c, int n) {
    Vec y = vec_all(c[n - 1]);
#pragma GCC unroll 12
    for (int i = n - 2; i >= 0; i--) y = vec_fma(y, x, vec_all(c[i]));
    return y;
}

/* 2^n of an integer -126 <= n <= 127. */
INLINE Vec vec_pow2(VecI n) {
    return (Vec)((n + veci_all(127)) << 23);
}

/* exp(x) = 2^n exp(r), n = round(x / ln 2), |r| <= ln(2)/2; exp(r) = 1 + r + r^2 poly(r). */
typedef struct ExpParts {
    VecI whole; /* n */
    Vec rest;   /* exp(r) */
} ExpParts;

INLINE ExpParts vec_exp_parts(Vec x) {
    static const float poly[] = {5.000000000e-01F, 1.666651219e-01F, 4.166618735e-02F,
                                 8.369598538e-03F, 1.395171974e-03F};
    Vec n = vec_round(x * vec_all(0x1.715476p+0F)); /* 1/ln 2 */
    Vec r = vec_fma(n, vec_all(-0x1.62e4p-1F), x);  /* ln 2 in two parts, the first of 15 bits */
    r = vec_fma(n, vec_all(-0x1.7f7d1cp-20F), r);
    return (ExpParts){vec_to_int(n), vec_fma(vec_poly(r, poly, 5), r * r, r) + vec_all(1.0F)};
}

/* Below the smallest denormal 0, above the largest float Inf: 2^n is applied in two halves, so both
 * ends round by themselves. */
INLINE Vec vec_exp(Vec x) {
    const Vec low = vec_all(-104.0F), high = vec_all(89.0F);
    x = vec_select(x < low, low, x);
    x = vec_select(x > high, high, x);
    ExpParts p = vec_exp_parts(x);
    VecI half = p.whole >> 1;
    return p.rest * vec_pow2(half) * vec_pow2(p.whole - half);
}

/* exp(x) of softmaxes, x <= 88: 0 where it would be a denormal. Half the work. */
INLINE Vec vec_exp_decay(Vec x) {
    ExpParts p = vec_exp_parts(x);
    VecI tiny = x < vec_all(-87.0F);
    return (Vec)((VecI)(p.rest * vec_pow2(p.whole)) & ~tiny);
}

INLINE Vec vec_sigmoid(Vec x) {
    return vec_all(1.0F) / (vec_all(1.0F) + vec_exp(-x));
}

/* |x| < 0.625: x + x^3 poly(x^2); else 1 - 2 / (exp(2|x|) + 1), with x's sign. */
INLINE Vec vec_tanh(Vec x) {
    static const float poly[] = {-3.333328366e-01F, 1.333149076e-01F, -5.374349654e-02F,
                                 2.065058798e-02F, -5.717045162e-03F};
    const Vec one = vec_all(1.0F);
    Vec a = vec_abs(x), square = x * x;
    Vec small = vec_fma(vec_poly(square, poly, 5), square * x, x);
    Vec large = one - vec_all(2.0F) / (vec_exp(a + a) + one);
    VecI sign = (VecI)x & veci_all(INT32_MIN);
    return vec_select(a < vec_all(0.625F), small, (Vec)((VecI)large | sign));
}

/* The normal distribution function Phi(x) = erfc(-x / sqrt 2) / 2, with z = |x| / sqrt 2:
 * z < 1: erf(z) = z + z poly(z^2); 1 <= z <= 5.5: erfc(z) = exp(poly(z)); past 5.5 erfc is below
 * 1e-14. */
INLINE Vec vec_phi(Vec x) {
    static const float erf_small[] = {1.283791661e-01F,  -3.761262596e-01F, 1.128360033e-01F,
                                      -2.685444430e-02F, 5.189535674e-03F,  -8.020842215e-04F,
                                      7.889122935e-05F};
    static const float log_erfc[] = {7.689415361e-05F,  -1.129193425e+00F, -6.336940527e-01F,
                                     -1.082438827e-01F, 2.534267679e-02F,  -4.372251686e-03F,
                                     5.136384279e-04F,  -3.627391197e-05F, 1.152648565e-06F};
    const Vec half = vec_all(0.5F), one = vec_all(1.0F), limit = vec_all(5.5F);
    Vec s = x * vec_all(0x1.6a09e6p-1F); /* 1 / sqrt 2 */
    Vec small = vec_fma(half, vec_fma(vec_poly(s * s, erf_small, 7), s, s), half);
    Vec z = vec_abs(s);
    Vec tail = half * vec_exp(vec_poly(vec_select(z > limit, limit, z), log_erfc, 9));
    Vec large = vec_select(x < vec_zero(), tail, one - tail);
    return vec_select(z < one, small, large);
}

#endif
