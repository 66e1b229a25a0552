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

typedef struct RewardStep {
    RewardSums sums;
    OptimStats optim;
} RewardStep;

void reward_step(RewardTrainer *t, int64_t step, double lr, RewardStep *out);
/* TRL's names: loss, accuracy, margin, min_reward, mean_reward, max_reward, num_tokens, ... */
void reward_log_step(Metrics *m, const RewardTrainer *t, const RewardStep *s, double lr);

/* Over all pairs of a data set; `batch` was opened over it for `at_once` pairs. False when a signal
 * came in between. */
bool reward_evaluate(RewardSums *out, const RewardTrainer *t, const Dataset *data, Batch *batch,
                     int64_t at_once);

#endif
