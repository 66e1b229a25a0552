#include "core/rng.h"

#include "core/check.h"

#include <math.h>

/* Philox4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11.
 * The multipliers and the key's Weyl steps are the paper's. */
#define MULTIPLIER_0 0xD2511F53U
#define MULTIPLIER_1 0xCD9E8D57U
#define WEYL_0 0x9E3779B9U
#define WEYL_1 0xBB67AE85U
#define ROUNDS 10

RngBlock rng_block(uint64_t seed, uint64_t subsequence, uint64_t offset) {
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    uint32_t c0 = (uint32_t)offset, c1 = (uint32_t)(offset >> 32);
    uint32_t c2 = (uint32_t)subsequence, c3 = (uint32_t)(subsequence >> 32);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t p0 = (uint64_t)MULTIPLIER_0 * c0;
        uint64_t p1 = (uint64_t)MULTIPLIER_1 * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        uint32_t n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c0 = n0;
        c1 = (uint32_t)p1;
        c2 = n2;
        c3 = (uint32_t)p0;
        k0 += WEYL_0;
        k1 += WEYL_1;
    }
    return (RngBlock){{c0, c1, c2, c3}};
}

uint64_t rng_subsequence(RngPurpose purpose, uint64_t row) {
    return ((uint64_t)purpose << 56) | (row & (UINT64_MAX >> 8));
}

uint64_t rng_offset(uint64_t step, uint64_t position) {
    return (step << 32) | (position & UINT32_MAX);
}

float rng_uniform(uint32_t x) {
    return ((float)(x >> 8) + 0.5f) * 0x1p-24f;
}

void rng_normal2(double out[2], uint32_t a, uint32_t b) {
    const double two_pi = 6.283185307179586476925;
    double u = ((double)a + 0.5) * 0x1p-32, v = ((double)b + 0.5) * 0x1p-32; /* never 0 */
    double radius = sqrt(-2.0 * log(u));
    out[0] = radius * cos(two_pi * v);
    out[1] = radius * sin(two_pi * v);
}

RngStream rng_stream(uint64_t seed, RngPurpose purpose, uint64_t row) {
    return (RngStream){.seed = seed, .subsequence = rng_subsequence(purpose, row)};
}

uint32_t rng_next(RngStream *s) {
    RngBlock block = rng_block(s->seed, s->subsequence, s->next / 4);
    return block.x[s->next++ % 4];
}

double rng_next_uniform(RngStream *s) {
    return ((double)rng_next(s) + 0.5) * 0x1p-32;
}

uint64_t rng_below(RngStream *s, uint64_t n) {
    CHECK(n >= 1, "n is 0");
    /* The first 2^64 mod n values would be drawn once too often: they are drawn again. */
    uint64_t surplus = (0 - n) % n;
    for (;;) {
        uint64_t x = rng_next(s);
        x = x << 32 | rng_next(s);
        if (x >= surplus) return x % n;
    }
}

/* The domain is 2^(2*half), at most 4n or 256, so that the walk ends after a few steps. Halves have
 * at least 4 bits: a domain that is filled exactly has even permutations only, which a few things
 * would show (and 256 or more would not). */
#define FEISTEL_ROUNDS 8
#define FEISTEL_MIN_HALF 4

uint64_t rng_permute(uint64_t seed, RngPurpose purpose, uint64_t row, uint64_t n, uint64_t i) {
    CHECK(i < n && n < (uint64_t)1 << 62, "position %llu of %llu", (unsigned long long)i,
          (unsigned long long)n);
    int half = FEISTEL_MIN_HALF;
    while ((uint64_t)1 << (2 * half) < n) half++;
    uint64_t mask = ((uint64_t)1 << half) - 1;
    uint64_t subsequence = rng_subsequence(purpose, row);
    do {
        uint64_t left = i >> half, right = i & mask;
        for (uint64_t round = 0; round < FEISTEL_ROUNDS; round++) {
            RngBlock f = rng_block(seed, subsequence, round << 32 | right);
            uint64_t mixed = left ^ (f.x[0] & mask);
            left = right;
            right = mixed;
        }
        i = left << half | right;
    } while (i >= n); /* outside: go on along the cycle, which leads back inside */
    return i;
}

uint64_t rng_hash_name(const char *name) {
    uint64_t h = 0xcbf29ce484222325U;
    for (; *name; name++) h = (h ^ (unsigned char)*name) * 0x100000001b3U;
    return h;
}
