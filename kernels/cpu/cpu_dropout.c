#include "kernels/cpu/cpu_random.h"
#include "kernels/cpu/cpu_vec.h"

/* Philox4x32-10 (core/rng.c) of RUN blocks side by side: the same subsequence, offsets one after
 * another. */
#define RUN (DROPOUT_RUN / 4)

typedef struct PhiloxRun {
    uint32_t x[4][RUN]; /* word by word, block by block */
} PhiloxRun;

static void multiply(uint32_t high[RUN], uint32_t low[RUN], uint32_t a, const uint32_t b[RUN]) {
    for (int i = 0; i < RUN; i++) {
        uint64_t product = (uint64_t)a * b[i];
        high[i] = (uint32_t)(product >> 32);
        low[i] = (uint32_t)product;
    }
}

static void philox_run(PhiloxRun *c, uint64_t seed, uint64_t subsequence, uint64_t offset) {
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (uint64_t i = 0; i < RUN; i++) {
        c->x[0][i] = (uint32_t)(offset + i);
        c->x[1][i] = (uint32_t)((offset + i) >> 32);
        c->x[2][i] = (uint32_t)subsequence;
        c->x[3][i] = (uint32_t)(subsequence >> 32);
    }
    for (int round = 0; round < 10; round++) {
        uint32_t high0[RUN], low0[RUN], high1[RUN], low1[RUN];
        multiply(high0, low0, 0xD2511F53U, c->x[0]);
        multiply(high1, low1, 0xCD9E8D57U, c->x[2]);
        for (int i = 0; i < RUN; i++) {
            c->x[0][i] = high1[i] ^ c->x[1][i] ^ k0;
            c->x[1][i] = low1[i];
            c->x[2][i] = high0[i] ^ c->x[3][i] ^ k1;
            c->x[3][i] = low0[i];
        }
        k0 += 0x9E3779B9U;
        k1 += 0xBB67AE85U;
    }
}

/* The smallest x >> 8 that is kept. rng_uniform rises with it, so the others need not be asked. */
static uint32_t first_kept(double p) {
    uint32_t x = (uint32_t)(p * 0x1p24);
    while (x > 0 && (double)rng_uniform((x - 1) << 8) >= p) x--;
    while ((double)rng_uniform(x << 8) < p) x++;
    return x;
}

void CPU_NAME(dropout_factors)(float factor[DROPOUT_RUN], DropoutKey key, int64_t seq_id,
                               int32_t position, int64_t first) {
    PhiloxRun run;
    philox_run(&run, key.seed, dropout_subsequence(key, seq_id),
               dropout_offset(key, position, first / 4));
    const float kept = (float)(1 / (1 - key.p));
    const uint32_t limit = first_kept(key.p);
    for (int word = 0; word < 4; word++)
        for (int i = 0; i < RUN; i++)
            factor[4 * i + word] = run.x[word][i] >> 8 >= limit ? kept : 0.0F;
}

void CPU_NAME(dropout)(Dev *dev, Tensor y, Tensor x, Tensor row_seq, Tensor positions,
                       DropoutKey key) {
    int64_t rows = x.shape[0], width = x.shape[1];
    const int64_t *seq_id = row_seq.data;
    const int32_t *position = positions.data;
    int threads = cpu_threads(dev, rows * width * 4);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t n = 0; n < rows; n++) {
        const float *from = (const float *)x.data + n * width;
        float *to = (float *)y.data + n * width;
        for (int64_t c = 0; c < width; c += DROPOUT_RUN) {
            float factor[DROPOUT_RUN];
            CPU_NAME(dropout_factors)(factor, key, seq_id[n], position[n], c);
            int64_t left = width - c < DROPOUT_RUN ? width - c : DROPOUT_RUN;
            for (int64_t i = 0; i < left; i++)
                to[c + i] = factor[i] != 0.0F ? from[c + i] * factor[i] : 0.0F;
        }
    }
}
