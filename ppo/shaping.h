/* shaping: from scores and log-probs to rewards per token. */
#ifndef HONE_PPO_SHAPING_H
#define HONE_PPO_SHAPING_H

#include "ppo/trajectory.h"

/* Estimators of the KL of a token from one sample, with r = ref_logp - logp. k1 and k3 are
 * Schulman's names
 * ("Approximating KL divergence", 2020); kl, abs and mse are the classic trainer's kl_penalty. */
typedef enum KlForm {
    KL_FORM_K1,   /* -r, unbiased; the classic "kl" */
    KL_FORM_K3,   /* exp(r) - 1 - r, never negative */
    KL_FORM_ABS,  /* |r| */
    KL_FORM_MSE,  /* r^2/2 */
    KL_FORM_FULL, /* no estimate: sum p (log p - log q) over the vocabulary (pass_kl) */
} KlForm;

double kl_estimate(KlForm kind, double logp, double ref_logp);

/* Running mean and variance of raw scores over the whole run (Chan, Golub, LeVeque 1979: batch
 * moments are merged); part of a checkpoint. */
typedef struct ScoreMoments {
    double mean, var, count;
} ScoreMoments;

typedef struct ScoreShaping {
    bool use_score_scaling;     /* divide by the running standard deviation */
    bool use_score_norm;        /* and subtract the running mean first (needs scaling) */
    double score_clip;          /* 0: none; else clamp to +-score_clip */
    double missing_eos_penalty; /* subtracted where no stop token ended the response; 0: none */
} ScoreShaping;

/* raw[n] -> t->score[n] in this order: merge the moments, scale, clip, penalty. ended[n]: a stop
 * token came. */
void shape_scores(Trajectory *t, const double *raw, const bool *ended, ScoreMoments *m,
                  const ScoreShaping *s);

/* Fills kl (KL_FORM_FULL: it is there already) and reward: reward = -kl_coef kl, plus the row's
 * score on its last slot. Slots without a token have kl 0. whiten_rewards: over all slots, the mean
 * kept (TRL). */
void shape_rewards(Trajectory *t, KlForm kind, double kl_coef, bool whiten_rewards);

/* What TRL logs of a rollout, before the update. Means over rows of sums over tokens. */
typedef struct RolloutStats {
    double kl;               /* objective/kl */
    double entropy;          /* objective/entropy: sum of -logp, tokens only */
    double non_score_reward; /* objective/non_score_reward: sum of -kl_coef kl */
    double score;            /* objective/scores */
    double score_std;
    double length; /* response tokens a row */
} RolloutStats;
RolloutStats rollout_stats(const Trajectory *t, double kl_coef);

#endif
