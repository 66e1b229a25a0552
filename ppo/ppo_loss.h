/* ppo_loss: the clipped policy and value losses (Schulman et al. 2017, equation 7; value clipping
 * as in OpenAI's baselines and TRL). Token losses: what a token's gradient is depends on that token
 * and on constants alone, so they run inside the head's walk over its chunks (model/model.h).
 */
#ifndef HONE_PPO_PPO_LOSS_H
#define HONE_PPO_PPO_LOSS_H

#include <math.h>

typedef struct PpoLossArgs {
    double cliprange, cliprange_value, vf_coef;
    double policy_scale; /* 1 / tokens of the whole minibatch */
    double value_scale;  /* 1 / slots of the whole minibatch */
} PpoLossArgs;

/* Sums over tokens; divided by counts they are TRL's averages. */
typedef struct PpoStats {
    double policy_loss, value_loss; /* scaled: they add up to the minibatch's losses */
    double approxkl;                /* sum of (new - old)^2 / 2 */
    double policykl;                /* sum of old - new */
    double clipped, value_clipped;  /* how many tokens */
    double ratio, entropy;          /* sums */
    double tokens, slots;
} PpoStats;

/* One response token: ratio rho = exp(logp - old_logp),
 *   L = max(-A rho, -A clamp(rho, 1 - c, 1 + c)) * policy_scale;   returns dL/dlogp. */
static inline double ppo_policy_loss(const PpoLossArgs *a, double logp, double old_logp,
                                     double advantage, PpoStats *s) {
    double delta = logp - old_logp;
    double ratio = exp(delta);
    double low = 1.0 - a->cliprange, high = 1.0 + a->cliprange;
    double bounded = ratio < low ? low : ratio > high ? high : ratio;
    double free_loss = -advantage * ratio, clip_loss = -advantage * bounded;
    int is_clipped = clip_loss > free_loss;
    s->policy_loss += (is_clipped ? clip_loss : free_loss) * a->policy_scale;
    s->approxkl += 0.5 * delta * delta;
    s->policykl -= delta;
    s->clipped += is_clipped;
    s->ratio += ratio;
    s->tokens += 1.0;
    /* A clipped token has left the range, where the clamp is flat. */
    return is_clipped ? 0.0 : free_loss * a->policy_scale;
}

/* One slot: V_c = clamp(V, V_old - c, V_old + c),
 *   L = vf_coef / 2 max((V - R)^2, (V_c - R)^2) * value_scale;     returns dL/dV. */
static inline double ppo_value_loss(const PpoLossArgs *a, double value, double old_value,
                                    double ret, PpoStats *s) {
    double low = old_value - a->cliprange_value, high = old_value + a->cliprange_value;
    double bounded = value < low ? low : value > high ? high : value;
    double free_error = value - ret, clip_error = bounded - ret;
    double free_loss = free_error * free_error, clip_loss = clip_error * clip_error;
    int is_clipped = clip_loss > free_loss;
    s->value_loss += 0.5 * (is_clipped ? clip_loss : free_loss) * a->value_scale;
    s->value_clipped += is_clipped;
    s->slots += 1.0;
    return is_clipped ? 0.0 : a->vf_coef * free_error * a->value_scale;
}

#endif
