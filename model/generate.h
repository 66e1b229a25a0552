/* generate: the one engine for rollouts, evaluation samples and chat.
 *
 * Continuous batching over a paged KV cache: up to max_batch rows run at a time, a finished row's
 * place goes to the next request. A row's tokens depend on its prompt, its settings, and its own
 * RNG stream (seed, row_id, step), never on its neighbours: token t of a row uses rng_block(seed,
 * rng_subsequence(RNG_SAMPLE, row_id), rng_offset(step, t)), word 0.
 *
 * An encoder-decoder's prompt is read by the encoder; the decoder begins with the model's start
 * token, which is none of the new ones.
 */
#ifndef HONE_MODEL_GENERATE_H
#define HONE_MODEL_GENERATE_H

#include "model/model.h"

typedef struct GenRequest {
    const int32_t *prompt; /* [n_prompt], n_prompt >= 1 */
    int64_t n_prompt;
    int64_t row_id; /* global row id */
    int64_t max_new_tokens;
    double temperature; /* 0: greedy */
    double top_p;       /* 1: off */
    int32_t top_k;      /* 0: off */
} GenRequest;

typedef struct GenResult {
    int32_t *tokens; /* [n] new tokens, the stop token included; owned by the engine until generate
                        returns or the callback ends */
    double *logp;    /* [n] under the full softmax at the temperature (greedy, plain_logp: at 1) */
    int64_t n;
    bool stopped; /* a stop token ended it; false: length */
} GenResult;

typedef struct GenOptions {
    uint64_t seed, step;
    const int32_t *stop_ids;
    int n_stop_ids;
    bool plain_logp; /* log-probs at temperature 1, whatever the requests sample at */
    /* Called when request `index` is finished, in order of finishing; NULL allowed when on_token is
     * set. */
    void (*on_done)(void *ctx, int64_t index, const GenResult *result);
    /* Called for every token of every row (chat streams); NULL: not called. */
    void (*on_token)(void *ctx, int64_t index, int32_t token, double logp);
    /* Polled between steps; true ends the run early with the unfinished rows dropped (they restart
     * from their streams). */
    bool (*should_stop)(void *ctx);
    void *ctx;
} GenOptions;

typedef struct Generator Generator;

typedef struct GenLimits {
    int64_t max_batch;   /* rows at a time */
    int64_t max_context; /* prompt + new tokens of a row */
} GenLimits;

/* Bytes of device memory that such a generator takes (KV pages, activations, packed copies of
 * trainable weights). */
size_t generator_measure(const Role *role, const GenLimits *limits);
Status generator_open(Generator **out, const Role *role, const GenLimits *limits);
void generator_close(Generator *g);

/* Runs all requests. ERR_DATA when a prompt does not fit max_context; ERR_STOPPED when should_stop
 * ended it. Reads the role's current weights: trainable ones are packed anew at each call. */
Status generate(Generator *g, const GenRequest *requests, int64_t n, const GenOptions *opt);

/* What a padded batch computes behind the text of a request: the entropy of the distribution of the
 * token that follows it, and of the one that follows a PAD there. Such a PAD is token 0 at the
 * position behind the text, which sees the text, but neither itself nor other PADs; so all PADs of
 * a row have the same. Fills entropy and pad_entropy [n], at one temperature; max_new_tokens must
 * be at least 1 and the rest of the sampling settings is not read. Errors as of generate. Of a
 * decoder alone. */
Status generate_pad_entropy(Generator *g, const GenRequest *requests, int64_t n, double temperature,
                            double *entropy, double *pad_entropy);

#endif
