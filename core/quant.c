#include "core/quant.h"

#include "core/check.h"
#include "core/dtype.h"

#include <math.h>

/* Normal quantiles of an asymmetric grid that has a zero, scaled to [-1, 1]. */
static const float NF4[16] = {
    -1.0F,
    -0.6961928009986877F,
    -0.5250730514526367F,
    -0.39491748809814453F,
    -0.28444138169288635F,
    -0.18477343022823334F,
    -0.09105003625154495F,
    0.0F,
    0.07958029955625534F,
    0.16093020141124725F,
    0.24611230194568634F,
    0.33791524171829224F,
    0.44070982933044434F,
    0.5626170039176941F,
    0.7229568362236023F,
    1.0F,
};

/* A sign (bit 3) and two bits each of exponent and fraction, in no order; over 12. */
static const float FP4[16] = {
    0.0F, 0.0625F / 12,  8.0F / 12,  12.0F / 12,  4.0F / 12,  6.0F / 12,  2.0F / 12,  3.0F / 12,
    0.0F, -0.0625F / 12, -8.0F / 12, -12.0F / 12, -4.0F / 12, -6.0F / 12, -2.0F / 12, -3.0F / 12,
};
/* Codes by ascending value. */
static const uint8_t FP4_ORDER[16] = {11, 10, 13, 12, 15, 14, 9, 0, 8, 1, 6, 7, 4, 5, 2, 3};

const char *quant_name(QuantKind kind) {
    switch (kind) {
    case QUANT_NF4:
        return "nf4";
    case QUANT_FP4:
        return "fp4";
    case QUANT_INT8:
        return "int8";
    }
    FAIL("number format %d", (int)kind);
}

const float *quant_book(QuantKind kind) {
    CHECK(kind == QUANT_NF4 || kind == QUANT_FP4, "%s has no table", quant_name(kind));
    return kind == QUANT_NF4 ? NF4 : FP4;
}

/* ---- the dynamic map ---- */

typedef struct Map {
    float value[256];
    float border[255]; /* between neighbours */
} Map;

/* torch.linspace(0.1, 1, n): from both ends, a step as wide as f32 makes it, rounded once. */
static float spaced(int i, int n) {
    float first = 0.1F, last = 1.0F, step = (last - first) / (float)(n - 1);
    return i < n / 2 ? fmaf(step, (float)i, first) : fmaf(-step, (float)(n - 1 - i), last);
}

static void make_map(Map *m, bool is_signed) {
    int zero = is_signed ? 127 : 0, at = zero + 1;
    m->value[zero] = 0.0F;
    for (int decade = 0; decade < 7; decade++) {
        int n = (is_signed ? 1 : 2) << decade; /* values of the decade: middles of n steps */
        float power = (float)pow(10.0, decade - 6);
        for (int i = 0; i < n; i++)
            m->value[at++] = power * ((spaced(i, n + 1) + spaced(i + 1, n + 1)) / 2.0F);
    }
    m->value[at] = 1.0F;
    for (int i = 0; is_signed && i < 127; i++) m->value[i] = -m->value[254 - i];
    for (int i = 0; i < 255; i++) m->border[i] = (m->value[i] + m->value[i + 1]) / 2.0F;
}

static Map maps[2];

/* Before main: whoever comes first would otherwise race with another thread. */
static void __attribute__((constructor)) make_maps(void) {
    make_map(&maps[0], false);
    make_map(&maps[1], true);
}

const float *quant_dynamic_map(bool is_signed) {
    return maps[is_signed].value;
}

/* ---- blocks ---- */

/* How many of n ascending borders are below x. */
static int above(const float *border, int n, float x) {
    int low = 0;
    while (n > 0) {
        int half = n / 2;
        if (border[low + half] < x) {
            low += half + 1;
            n -= half + 1;
        } else {
            n = half;
        }
    }
    return low;
}

static float largest(const float *x, int64_t n) {
    float most = 0.0F;
    for (int64_t i = 0; i < n; i++) most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    return most;
}

/* What makes the block's values at most 1; a block of zeros stays one. */
static float inverse_of(float absmax) {
    return 1.0F / (absmax > 1e-38F ? absmax : 1e-38F);
}

/* The values of a table in order, and what lies between neighbours. */
typedef struct Ladder {
    uint8_t code[16];
    float border[15];
} Ladder;

static Ladder ladder_of(QuantKind kind) {
    Ladder l;
    const float *book = quant_book(kind);
    for (int i = 0; i < 16; i++) l.code[i] = kind == QUANT_NF4 ? (uint8_t)i : FP4_ORDER[i];
    for (int i = 0; i < 15; i++) l.border[i] = (book[l.code[i]] + book[l.code[i + 1]]) / 2.0F;
    return l;
}

static unsigned code_of(const Ladder *l, float x) {
    return l->code[above(l->border, 15, x)];
}

void quant_4bit(uint8_t *codes, float *absmax, const float *x, int64_t n, int64_t block,
                QuantKind kind) {
    const Ladder ladder = ladder_of(kind);
    int64_t blocks = quant_blocks(n, block);
    CHECK(block > 0 && block % 2 == 0, "a block of %lld", (long long)block);
#pragma omp parallel for schedule(static)
    for (int64_t b = 0; b < blocks; b++) {
        int64_t first = b * block, end = first + block < n ? first + block : n;
        absmax[b] = largest(x + first, end - first);
        float inverse = inverse_of(absmax[b]);
        for (int64_t i = first; i < end; i += 2) {
            unsigned high = code_of(&ladder, x[i] * inverse);
            unsigned low = code_of(&ladder, i + 1 < end ? x[i + 1] * inverse : 0.0F);
            codes[i / 2] = (uint8_t)(high << 4 | low);
        }
    }
}

void quant_8bit(uint8_t *codes, float *absmax, const float *x, int64_t n, int64_t block,
                bool is_signed) {
    const float *border = maps[is_signed].border;
    for (int64_t b = 0; b < quant_blocks(n, block); b++) {
        int64_t first = b * block, end = first + block < n ? first + block : n;
        absmax[b] = largest(x + first, end - first);
        float inverse = inverse_of(absmax[b]);
        for (int64_t i = first; i < end; i++)
            codes[i] = (uint8_t)above(border, 255, x[i] * inverse);
    }
}

void quant_nest_about(uint8_t *codes, float *nested, const float *absmax, int64_t n, float mean) {
    float part[QUANT_NESTED_BLOCK];
    for (int64_t first = 0; first < n; first += QUANT_NESTED_BLOCK) {
        int64_t many = n - first < QUANT_NESTED_BLOCK ? n - first : QUANT_NESTED_BLOCK;
        for (int64_t i = 0; i < many; i++) part[i] = absmax[first + i] - mean;
        quant_8bit(codes + first, nested + first / QUANT_NESTED_BLOCK, part, many,
                   QUANT_NESTED_BLOCK, true);
    }
}

float quant_nest(uint8_t *codes, float *nested, const float *absmax, int64_t n) {
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) sum += (double)absmax[i];
    float mean = (float)(sum / (double)n);
    quant_nest_about(codes, nested, absmax, n, mean);
    return mean;
}

static float halved(float x) {
    return f16_to_f32(f32_to_f16(x));
}

void quant_int8(int8_t *codes, float *absmax, const float *x, int64_t rows, int64_t cols) {
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        const float *row = x + r * cols;
        absmax[r] = halved(largest(row, cols));
        float scale = absmax[r] > 0.0F ? 1.0F / absmax[r] * 127.0F : 0.0F;
        for (int64_t i = 0; i < cols; i++)
            codes[r * cols + i] = (int8_t)rintf(halved(row[i]) * scale);
    }
}
