/* The blocks of ggml (ggml-common.h has their layout, ggml-quants.c their meaning). */
#include "core/io/gguf_blocks.h"

#include "core/io/little.h"

static float half_at(const unsigned char *p) {
    return f16_to_f32(little_u16(p));
}

/* ---- 32 values with one scale, or a scale and a lowest value ---- */

/* d | 16 bytes: low halves are values 0 to 15, high halves 16 to 31 */
static void unpack_q4_0(float *to, const unsigned char *b) {
    float d = half_at(b);
    for (int i = 0; i < 16; i++) {
        to[i] = (float)((b[2 + i] & 15) - 8) * d;
        to[i + 16] = (float)((b[2 + i] >> 4) - 8) * d;
    }
}

/* d | m | the same */
static void unpack_q4_1(float *to, const unsigned char *b) {
    float d = half_at(b), m = half_at(b + 2);
    for (int i = 0; i < 16; i++) {
        to[i] = (float)(b[4 + i] & 15) * d + m;
        to[i + 16] = (float)(b[4 + i] >> 4) * d + m;
    }
}

/* The fifth bit of value i is bit i of a word. */
static int five_bits(uint32_t high, const unsigned char *low, int i) {
    int nibble = i < 16 ? low[i] & 15 : low[i - 16] >> 4;
    return nibble | (int)(high >> i & 1) << 4;
}

static void unpack_q5_0(float *to, const unsigned char *b) {
    float d = half_at(b);
    for (int i = 0; i < 32; i++) to[i] = (float)(five_bits(little_u32(b + 2), b + 6, i) - 16) * d;
}

static void unpack_q5_1(float *to, const unsigned char *b) {
    float d = half_at(b), m = half_at(b + 2);
    for (int i = 0; i < 32; i++) to[i] = (float)five_bits(little_u32(b + 4), b + 8, i) * d + m;
}

static void unpack_q8_0(float *to, const unsigned char *b) {
    float d = half_at(b);
    for (int i = 0; i < 32; i++) to[i] = (float)(int8_t)b[2 + i] * d;
}

/* ---- 256 values in groups that have 6-bit scales of their own ---- */

/* Scale and lowest value of group g of 8, six bits each, in 12 bytes. */
static void group_scale(int *scale, int *lowest, const unsigned char *p, int g) {
    if (g < 4) {
        *scale = p[g] & 63;
        *lowest = p[g + 4] & 63;
    } else {
        *scale = (p[g + 4] & 15) | (p[g - 4] >> 6) << 4;
        *lowest = (p[g + 4] >> 4) | (p[g] >> 6) << 4;
    }
}

/* d | dmin | 12 bytes of scales | of Q5_K: 32 bytes of fifth bits, bit g of byte i for group g |
 * 128 bytes: of 32 each the low halves are one group, the high halves the next */
static void unpack_groups(float *to, const unsigned char *b, const unsigned char *fifth,
                          const unsigned char *low) {
    float d = half_at(b), dmin = half_at(b + 2);
    for (int g = 0; g < 8; g++) {
        int scale, lowest;
        group_scale(&scale, &lowest, b + 4, g);
        float step = d * (float)scale, from = dmin * (float)lowest;
        for (int i = 0; i < 32; i++) {
            int q = low[g / 2 * 32 + i] >> (g % 2 * 4) & 15;
            if (fifth) q |= (fifth[i] >> g & 1) << 4;
            to[32 * g + i] = step * (float)q - from;
        }
    }
}

static void unpack_q4_k(float *to, const unsigned char *b) {
    unpack_groups(to, b, NULL, b + 16);
}

static void unpack_q5_k(float *to, const unsigned char *b) {
    unpack_groups(to, b, b + 16, b + 48);
}

/* 128 bytes of low halves | 64 of two high bits | 16 signed scales | d. Each half of the block, 128
 * values, has 64 bytes of the first and 32 of the second: value 32 q + i (q < 4) takes the low (q <
 * 2) or high half of byte 32 (q mod 2) + i, and bits 2q of byte i. */
static void unpack_q6_k(float *to, const unsigned char *b) {
    float d = half_at(b + 208);
    for (int half = 0; half < 2; half++) {
        const unsigned char *low = b + 64 * half, *high = b + 128 + 32 * half;
        const unsigned char *scales = b + 192 + 8 * half;
        for (int q = 0; q < 4; q++)
            for (int i = 0; i < 32; i++) {
                int bits = (low[q % 2 * 32 + i] >> (q / 2 * 4) & 15) | (high[i] >> 2 * q & 3) << 4;
                int8_t scale = (int8_t)scales[2 * q + i / 16];
                to[128 * half + 32 * q + i] = d * (float)scale * (float)(bits - 32);
            }
    }
}

/* ---- the list ---- */

static const BlockType TYPES[] = {
    {0, "F32", 1, 4, DTYPE_F32, NULL},
    {1, "F16", 1, 2, DTYPE_F16, NULL},
    {2, "Q4_0", 32, 18, DTYPE_F32, unpack_q4_0},
    {3, "Q4_1", 32, 20, DTYPE_F32, unpack_q4_1},
    {6, "Q5_0", 32, 22, DTYPE_F32, unpack_q5_0},
    {7, "Q5_1", 32, 24, DTYPE_F32, unpack_q5_1},
    {8, "Q8_0", 32, 34, DTYPE_F32, unpack_q8_0},
    {10, "Q2_K", 256, 84, DTYPE_NONE, NULL},
    {11, "Q3_K", 256, 110, DTYPE_NONE, NULL},
    {12, "Q4_K", 256, 144, DTYPE_F32, unpack_q4_k},
    {13, "Q5_K", 256, 176, DTYPE_F32, unpack_q5_k},
    {14, "Q6_K", 256, 210, DTYPE_F32, unpack_q6_k},
    {16, "IQ2_XXS", 256, 66, DTYPE_NONE, NULL},
    {17, "IQ2_XS", 256, 74, DTYPE_NONE, NULL},
    {18, "IQ3_XXS", 256, 98, DTYPE_NONE, NULL},
    {19, "IQ1_S", 256, 50, DTYPE_NONE, NULL},
    {20, "IQ4_NL", 32, 18, DTYPE_NONE, NULL},
    {21, "IQ3_S", 256, 110, DTYPE_NONE, NULL},
    {22, "IQ2_S", 256, 82, DTYPE_NONE, NULL},
    {23, "IQ4_XS", 256, 136, DTYPE_NONE, NULL},
    {24, "I8", 1, 1, DTYPE_I8, NULL},
    {25, "I16", 1, 2, DTYPE_I16, NULL},
    {26, "I32", 1, 4, DTYPE_I32, NULL},
    {27, "I64", 1, 8, DTYPE_I64, NULL},
    {28, "F64", 1, 8, DTYPE_F64, NULL},
    {29, "IQ1_M", 256, 56, DTYPE_NONE, NULL},
    {30, "BF16", 1, 2, DTYPE_BF16, NULL},
    {34, "TQ1_0", 256, 54, DTYPE_NONE, NULL},
    {35, "TQ2_0", 256, 66, DTYPE_NONE, NULL},
    {39, "MXFP4", 32, 17, DTYPE_NONE, NULL},
};

const BlockType *block_type(uint32_t number) {
    for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++)
        if (TYPES[i].number == number) return &TYPES[i];
    return NULL;
}
