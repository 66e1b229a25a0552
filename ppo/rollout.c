#include "ppo/rollout.h"

#include "core/mem.h"
#include "core/stop.h"
#include "ppo/state_host.h"

#include <string.h>

Status rollout_open(Rollout **out, int64_t n, int64_t response_length) {
    Rollout *r = mem_zalloc(1, sizeof *r);
    size_t rows = (size_t)n, slots = (size_t)(n * response_length);
    r->n = n;
    r->response_length = response_length;
    r->example = mem_zalloc(rows, sizeof *r->example);
    r->row_id = mem_zalloc(rows, sizeof *r->row_id);
    r->tokens = mem_zalloc(slots, sizeof *r->tokens);
    r->length = mem_zalloc(rows, sizeof *r->length);
    r->done = mem_zalloc(rows, 1);
    r->ended = mem_zalloc(rows, 1);
    r->scored = mem_zalloc(rows, 1);
    r->score = mem_zalloc(rows, sizeof *r->score);
    r->decode_logp = mem_zalloc(slots, sizeof *r->decode_logp);
    *out = r;
    return OK;
}

void rollout_close(Rollout *r) {
    if (!r) return;
    mem_free(r->example);
    mem_free(r->row_id);
    mem_free(r->tokens);
    mem_free(r->length);
    mem_free(r->done);
    mem_free(r->ended);
    mem_free(r->scored);
    mem_free(r->score);
    mem_free(r->decode_logp);
    mem_free(r);
}

void rollout_register(Rollout *r, State *s) {
    int64_t n = r->n, slots = r->n * r->response_length;
    const struct {
        const char *path;
        Tensor view;
    } arrays[] = {
        {"ppo/rollout/tokens", tensor_1d(r->tokens, DTYPE_I32, slots)},
        {"ppo/rollout/length", tensor_1d(r->length, DTYPE_I32, n)},
        {"ppo/rollout/done", tensor_1d(r->done, DTYPE_U8, n)},
        {"ppo/rollout/ended", tensor_1d(r->ended, DTYPE_U8, n)},
        {"ppo/rollout/scored", tensor_1d(r->scored, DTYPE_U8, n)},
        {"ppo/rollout/score", tensor_1d(r->score, DTYPE_F64, n)},
        {"ppo/rollout/decode_logp", tensor_1d(r->decode_logp, DTYPE_F64, slots)},
    };
    for (int i = 0; i < 7; i++) {
        r->view[i] = arrays[i].view;
        state_host(s, arrays[i].path, &r->view[i]);
    }
}

void rollout_begin(Rollout *r, const Dataset *data, const int64_t *items, int64_t first_row,
                   bool keep) {
    for (int64_t i = 0; i < r->n; i++) {
        r->example[i] = dataset_get(data, items[i]);
        r->row_id[i] = first_row + i;
    }
    if (keep) return;
    size_t n = (size_t)r->n, slots = (size_t)(r->n * r->response_length);
    memset(r->tokens, 0, slots * sizeof *r->tokens);
    memset(r->decode_logp, 0, slots * sizeof *r->decode_logp);
    memset(r->length, 0, n * sizeof *r->length);
    memset(r->score, 0, n * sizeof *r->score);
    memset(r->done, 0, n);
    memset(r->ended, 0, n);
    memset(r->scored, 0, n);
}

int64_t rollout_count_done(const Rollout *r) {
    int64_t done = 0;
    for (int64_t i = 0; i < r->n; i++) done += r->done[i];
    return done;
}

int64_t rollout_longest(const Rollout *r) {
    int64_t longest = 0;
    for (int64_t i = 0; i < r->n; i++)
        if (r->length[i] > longest) longest = r->length[i];
    return longest;
}

typedef struct Sampling {
    Rollout *rollout;
    int64_t *row; /* request -> row */
} Sampling;

static void keep_row(void *ctx, int64_t index, const GenResult *result) {
    Sampling *s = ctx;
    Rollout *r = s->rollout;
    int64_t row = s->row[index];
    memcpy(r->tokens + row * r->response_length, result->tokens,
           (size_t)result->n * sizeof *r->tokens);
    memcpy(r->decode_logp + row * r->response_length, result->logp,
           (size_t)result->n * sizeof *r->decode_logp);
    r->length[row] = (int32_t)result->n;
    r->ended[row] = result->stopped;
    r->done[row] = 1;
}

static bool asked_to_stop(void *ctx) {
    (void)ctx;
    return stop_requested();
}

Status rollout_generate(Rollout *r, Generator *g, const RolloutSampling *how) {
    Sampling s = {.rollout = r, .row = mem_zalloc((size_t)r->n, sizeof(int64_t))};
    GenRequest *requests = mem_zalloc((size_t)r->n, sizeof *requests);
    int64_t n = 0;
    for (int64_t i = 0; i < r->n; i++) {
        if (r->done[i]) continue;
        s.row[n] = i;
        requests[n++] = (GenRequest){.prompt = r->example[i].ids,
                                     .n_prompt = r->example[i].n_ids,
                                     .row_id = r->row_id[i],
                                     .max_new_tokens = r->response_length,
                                     .temperature = how->temperature,
                                     .top_p = how->top_p,
                                     .top_k = how->top_k};
    }
    GenOptions options = {.seed = how->seed,
                          .stop_ids = how->stop_ids,
                          .n_stop_ids = how->n_stop_ids,
                          .on_done = keep_row,
                          .should_stop = asked_to_stop,
                          .ctx = &s};
    Status st = n > 0 ? generate(g, requests, n, &options) : OK;
    mem_free(requests);
    mem_free(s.row);
    return st;
}
