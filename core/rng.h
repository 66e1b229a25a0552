/* rng: counter-based random numbers, Philox4x32-10 (Salmon et al., SC'11).
 *
 * No state: a number is a function of where it is used, so a resumed, re-cut, recomputed or
 * re-threaded run draws the same ones. The layout is that of cuRAND's device API:
 *   key                 = seed
 *   counter, low 64     = offset      = step and position     (rng_offset)
 *   counter, high 64    = subsequence = purpose and row id    (rng_subsequence)
 * Four 32-bit numbers come out of one (seed, subsequence, offset).
 */
#ifndef HONE_CORE_RNG_H
#define HONE_CORE_RNG_H

#include <stdint.h>

typedef enum RngPurpose {
    RNG_INIT = 1,  /* weights; row = hash of the tensor's name */
    RNG_SHUFFLE,   /* order of the data; row = epoch */
    RNG_DROPOUT,   /* row = global row id of the sequence */
    RNG_SAMPLE,    /* generation; row = global row id of the sequence */
    RNG_MINIBATCH, /* PPO's permutation; row = update */
    RNG_NEFTUNE,
    RNG_WORLD,  /* generated data: the quickstart, tests */
    RNG_CHOICE, /* what a data template picks; row = row of the file */
} RngPurpose;

typedef struct RngBlock {
    uint32_t x[4];
} RngBlock;

RngBlock rng_block(uint64_t seed, uint64_t subsequence, uint64_t offset);

/* purpose in the top byte, row in the other 56 bits. */
uint64_t rng_subsequence(RngPurpose purpose, uint64_t row);
/* step in the high 32 bits, position in the low 32. */
uint64_t rng_offset(uint64_t step, uint64_t position);

/* ((x >> 8) + 0.5) * 2^-24, in (0,1]: never 0; at the upper end the float rounds to 1. */
float rng_uniform(uint32_t x);
/* Two independent standard normals from two words (Box-Muller, in double). */
void rng_normal2(double out[2], uint32_t a, uint32_t b);

/* A stream for host code that wants number after number; itself only a cursor over rng_block. */
typedef struct RngStream {
    uint64_t seed, subsequence, next; /* next: index of the next 32-bit word */
} RngStream;
RngStream rng_stream(uint64_t seed, RngPurpose purpose, uint64_t row);
uint32_t rng_next(RngStream *s);
double rng_next_uniform(RngStream *s);
uint64_t rng_below(RngStream *s, uint64_t n); /* unbiased, n >= 1 */

/* Position i of a pseudo-random permutation of 0..n-1, in O(1) and without memory (a Feistel
 * network over Philox, cycle-walked), so that a resumed run finds its place without replaying. */
uint64_t rng_permute(uint64_t seed, RngPurpose purpose, uint64_t row, uint64_t n, uint64_t i);

/* FNV-1a, for names that become RNG rows. */
uint64_t rng_hash_name(const char *name);

#endif
