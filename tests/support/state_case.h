/* state_case: a small State of every kind of item, and its contents as one digest. */
#ifndef HONE_TESTS_STATE_CASE_H
#define HONE_TESTS_STATE_CASE_H

#include "core/mem.h"
#include "core/sha256.h"
#include "train/state.h"

#include <stdlib.h>
#include <string.h>

#define STATE_CASE_ROWS 8

typedef struct StateCase {
    Dev *dev;
    State *state;
    float weight[6], bias[3]; /* [2,3] and [3], on a device that is the host */
    int64_t steps;
    double rate;
    int32_t rows[STATE_CASE_ROWS][2]; /* [n_rows,2]: an array whose length changes */
    int64_t n_rows;
    int loads; /* how often state_after_load's hook ran */
} StateCase;

static inline Tensor state_case_get(void *ctx) {
    StateCase *c = ctx;
    return tensor_2d(c->rows, DTYPE_I32, c->n_rows, 2);
}

static inline Status state_case_set(void *ctx, Tensor saved) {
    StateCase *c = ctx;
    if (saved.shape[0] > STATE_CASE_ROWS || saved.shape[1] != 2)
        return status_fail(ERR_DATA, "rows do not fit");
    c->n_rows = saved.shape[0];
    memcpy(c->rows, saved.data, tensor_bytes(saved));
    return OK;
}

static inline void state_case_hook(void *ctx) {
    ((StateCase *)ctx)->loads++;
}

/* Contents are a function of `seed`. */
static inline void state_case_fill(StateCase *c, int seed) {
    for (int i = 0; i < 6; i++) c->weight[i] = (float)(seed * 10 + i) + 0.25f;
    for (int i = 0; i < 3; i++) c->bias[i] = (float)(seed - i) / 3.0f;
    c->steps = 1000 + seed;
    c->rate = 1.0 / (3 + seed);
    c->n_rows = seed % STATE_CASE_ROWS;
    for (int64_t i = 0; i < c->n_rows; i++) {
        c->rows[i][0] = (int32_t)(seed + i);
        c->rows[i][1] = (int32_t)(seed * i);
    }
}

static inline void state_case_open(StateCase *c, int seed) {
    memset(c, 0, sizeof(*c));
    if (dev_open(&c->dev, "ref", 1) != OK || state_open(&c->state, c->dev) != OK) abort();
    state_case_fill(c, seed);
    state_tensor(c->state, "params/layer.0.weight", tensor_2d(c->weight, DTYPE_F32, 2, 3));
    state_tensor(c->state, "params/layer.0.bias", tensor_1d(c->bias, DTYPE_F32, 3));
    state_i64(c->state, "run/step", &c->steps);
    state_f64(c->state, "run/rate", &c->rate);
    state_array(
        c->state, "ppo/rows",
        &(StateArray){
            .dtype = DTYPE_I32, .rank = 2, .get = state_case_get, .set = state_case_set, .ctx = c});
    state_after_load(c->state, state_case_hook, c);
}

static inline void state_case_close(StateCase *c) {
    state_close(c->state);
    dev_close(c->dev);
}

/* Equal contents have equal digests. The caller's buffer. */
static inline char *state_case_digest(char hex[SHA256_HEX], const StateCase *c) {
    Sha256 sum;
    unsigned char digest[32];
    sha256_init(&sum);
    sha256_update(&sum, c->weight, sizeof(c->weight));
    sha256_update(&sum, c->bias, sizeof(c->bias));
    sha256_update(&sum, &c->steps, sizeof(c->steps));
    sha256_update(&sum, &c->rate, sizeof(c->rate));
    sha256_update(&sum, &c->n_rows, sizeof(c->n_rows));
    sha256_update(&sum, c->rows, (size_t)c->n_rows * sizeof(c->rows[0]));
    sha256_final(&sum, digest);
    sha256_to_hex(hex, digest);
    return hex;
}

#endif
