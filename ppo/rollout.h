/* rollout: the prompts of one update, what the policy answered, and what that earned.
 *
 * Row i of update u is global row u*n + i: its prompt comes from the data order, its sampling
 * stream from (seed, global row). So a row that was not finished when the process died is sampled
 * again, to the same tokens; finished rows and their scores are state and are never asked for
 * twice.
 */
#ifndef HONE_PPO_ROLLOUT_H
#define HONE_PPO_ROLLOUT_H

#include "data/dataset.h"
#include "model/generate.h"
#include "train/state.h"

typedef struct Rollout {
    int64_t n;               /* rows of an update: the batch */
    int64_t response_length; /* T, most tokens of a response */
    /* from the data, filled by rollout_begin */
    DatasetExample *example; /* [n] prompt ids and text, borrowed from the data set */
    int64_t *row_id;         /* [n] global row */
    /* the rollout itself: state */
    int32_t *tokens;     /* [n,T] response, stop token included */
    int32_t *length;     /* [n] */
    uint8_t *done;       /* [n] generated */
    uint8_t *ended;      /* [n] by a stop token */
    uint8_t *scored;     /* [n] the reward has answered */
    double *score;       /* [n] raw, before any shaping */
    double *decode_logp; /* [n,T] captured while sampling */
    Tensor view[7];      /* those seven, for the registry of state */
} Rollout;

Status rollout_open(Rollout **out, int64_t n, int64_t response_length);
void rollout_close(Rollout *r);
/* ppo/rollout/... */
void rollout_register(Rollout *r, State *state);

/* Forgets the old rows (unless `keep`: a resumed one) and looks the prompts of items[n] up. */
void rollout_begin(Rollout *r, const Dataset *data, const int64_t *items, int64_t first_row,
                   bool keep);
int64_t rollout_count_done(const Rollout *r);
/* Length of the longest response: how wide TRL's padded arrays are (ppo.trl_compat). */
int64_t rollout_longest(const Rollout *r);

typedef struct RolloutSampling {
    double temperature, top_p;
    int32_t top_k;
    uint64_t seed;
    const int32_t *stop_ids; /* none: every response has response_length tokens */
    int n_stop_ids;
} RolloutSampling;

/* Samples the rows that are not done. ERR_STOPPED when a signal came: the finished ones are kept.
 */
Status rollout_generate(Rollout *r, Generator *g, const RolloutSampling *how);

#endif
