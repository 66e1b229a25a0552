/* trajectory: the response tokens of a rollout as flat host arrays, without padding.
 *
 *     row       0 0 0 0 | 1 1 | 2 2 2
 *     slot      0 1 2 3 | 4 5 | 6 7 8       start = 0 4 6 9
 *
 * Slot t of a row is the t-th response token: the token sampled there, its log-probs, and the value
 * of the state it was sampled in. With ppo.trl_compat a row shorter than the longest of the batch
 * has one slot more, TRL's first PAD: it has a value and carries the score, but no token
 * (`has_token` is false).
 */
#ifndef HONE_PPO_TRAJECTORY_H
#define HONE_PPO_TRAJECTORY_H

#include "core/status.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct Trajectory {
    int64_t n_rows;
    int64_t n_slots; /* start[n_rows] */
    int64_t *start;  /* [n_rows+1] */
    bool *has_token; /* [n_slots] false only for TRL's PAD slot */
    double
        *logp; /* [n_slots] of the policy that sampled: as sampled (trl_compat: computed again) */
    double *ref_logp; /* [n_slots] of the reference */
    double *value;    /* [n_slots] */
    double *kl;       /* [n_slots] estimate per token; set by shape_rewards */
    double *reward; /* [n_slots] -beta kl, plus the score on the last slot; set by shape_rewards */
    double *advantage; /* [n_slots] set by gae */
    double *ret;       /* [n_slots] return: advantage + value, before whitening; set by gae */
    double *score;     /* [n_rows] as shaped: normalised, clipped, penalised */
    int64_t cap_rows, cap_slots;
} Trajectory;

/* Memory for so many rows and slots; ERR_OS. */
Status trajectory_open(Trajectory **out, int64_t cap_rows, int64_t cap_slots);
void trajectory_close(Trajectory *t);

/* Mean and variance over the slots where `mask` is true (NULL: all); unbiased: Bessel's correction.
 */
typedef struct Moments {
    double mean, var;
    int64_t n;
} Moments;
Moments moments_of(const double *x, const bool *mask, int64_t n, bool unbiased);

/* x = (x - mean)/sqrt(var + 1e-8) where mask holds, plus the mean again when keep_mean; elsewhere
 * unchanged. (TRL masked_whiten with its default unbiased variance.) */
void whiten(double *x, const bool *mask, int64_t n, bool keep_mean);

#endif
