/* reward_loss: the pairwise loss of a reward model (Bradley-Terry), a sequence loss.
 *
 *     L = mean over pairs of  -log sigmoid(r_c - r_r - m)  +  c (r_c + r_r)^2
 *
 * m: the pair's margin (0 without one), c: center_rewards_coefficient (0: off). TRL's RewardTrainer
 * takes the mean of a micro-batch and then the mean over micro-batches; here the denominator is the
 * pairs of the whole optimizer step (law L6), which is the same whenever micro-batches are full.
 */
#ifndef HONE_REWARD_REWARD_LOSS_H
#define HONE_REWARD_REWARD_LOSS_H

#include <stdint.h>

/* Sums and extremes over what was added; zero it with reward_sums_clear. */
typedef struct RewardSums {
    double loss;    /* scaled: adds up to the loss of the step */
    double correct; /* r_c > r_r */
    double margin;  /* sum of r_c - r_r, without the data set's margin (TRL) */
    double reward_sum, reward_min, reward_max; /* chosen and rejected together */
    double pairs;
} RewardSums;

void reward_sums_clear(RewardSums *s);

/* chosen[n], rejected[n] rewards; margin[n] or NULL; scale = 1/pairs of the step.
 * Writes dL/dchosen[n] and dL/drejected[n]. */
void reward_loss(double *dchosen, double *drejected, const double *chosen, const double *rejected,
                 const double *margin, int64_t n, double center, double scale, RewardSums *s);

#endif
