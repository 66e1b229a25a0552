/* reward_train: one optimizer step, and one evaluation, of a pairwise reward model. */
#ifndef HONE_REWARD_REWARD_TRAIN_H
#define HONE_REWARD_REWARD_TRAIN_H

#include "data/batch.h"
#include "model/model.h"
#include "reward/reward_loss.h"
#include "train/optim.h"
#include "train/report/metrics.h"

/* Host arrays of a pass, [max_rows] and [max_pairs]; allocated once. */
typedef struct RewardBuffers {
    double *value, *dvalue;                          /* [max_rows] */
    double *chosen, *rejected, *dchosen, *drejected; /* [max_pairs] */
} RewardBuffers;

void reward_buffers_open(RewardBuffers *b, int64_t max_rows, int64_t max_pairs);
void reward_buffers_close(RewardBuffers *b);

typedef struct RewardTrainer {
    Role role; /* head: the score */
    Pass *pass;
    Optim *optim;
    const Dataset *data;
    Batch *batch;
    BatchOrder order;
    double center; /* center_rewards_coefficient; 0: off */
    PassOptions options;
    RewardBuffers buffers;
    int64_t num_tokens; /* seen so far, both sides: state */
} RewardTrainer;

/* What one step saw. All but the loss are TRL's plain means over micro-batches, so the extremes are
 * those of a micro-batch. */
typedef struct RewardStep {
    double loss; /* of the whole step */
    /* sums over micro-batches of their means and extremes */
    double accuracy, margin, min_reward, mean_reward, max_reward;
    int64_t micros;
    OptimStats optim;
} RewardStep;

/* The micro-batches of step `step` (from 0) that belong to order.rank: forward, loss, backward;
 * gradients accumulate, scaled for the whole step over all ranks. */
void reward_accumulate(RewardTrainer *t, int64_t step, RewardStep *out);
/* The same, then the update at rate lr. */
void reward_step(RewardTrainer *t, int64_t step, double lr, RewardStep *out);
/* TRL's names: loss, accuracy, margin, min_reward, mean_reward, max_reward, num_tokens, ... */
void reward_log_step(Metrics *m, const RewardTrainer *t, const RewardStep *s, double lr);

/* Over all pairs of a data set; `batch` was opened over it for `at_once` pairs. False when a signal
 * came in between. */
bool reward_evaluate(RewardSums *out, const RewardTrainer *t, const Dataset *data, Batch *batch,
                     int64_t at_once);

#endif
