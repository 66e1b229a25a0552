#include "reward/reward_loss.h"

#include <math.h>

void reward_sums_clear(RewardSums *s) {
    *s = (RewardSums){.reward_min = INFINITY, .reward_max = -INFINITY};
}

/* -log sigmoid(x) without overflow on either side. */
static double softplus_of_minus(double x) {
    return x > 0.0 ? log1p(exp(-x)) : log1p(exp(x)) - x;
}

static void count_reward(RewardSums *s, double r) {
    s->reward_sum += r;
    s->reward_min = fmin(s->reward_min, r);
    s->reward_max = fmax(s->reward_max, r);
}

void reward_loss(double *dchosen, double *drejected, const double *chosen, const double *rejected,
                 const double *margin, int64_t n, double center, double scale, RewardSums *s) {
    for (int64_t i = 0; i < n; i++) {
        double gap = chosen[i] - rejected[i];
        double x = gap - (margin ? margin[i] : 0.0);
        double sum = chosen[i] + rejected[i];
        s->loss += scale * (softplus_of_minus(x) + center * sum * sum);
        double slope = -1.0 / (1.0 + exp(x)); /* d(-log sigmoid)/dx = -(1 - sigmoid(x)) */
        dchosen[i] = scale * (slope + 2.0 * center * sum);
        drejected[i] = scale * (-slope + 2.0 * center * sum);
        s->correct += chosen[i] > rejected[i];
        s->margin += gap;
        s->pairs += 1.0;
        count_reward(s, chosen[i]);
        count_reward(s, rejected[i]);
    }
}
