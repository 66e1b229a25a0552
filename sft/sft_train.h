/* sft_train: one optimizer step, and one evaluation, of supervised fine-tuning. */
#ifndef HONE_SFT_SFT_TRAIN_H
#define HONE_SFT_SFT_TRAIN_H

#include "data/batch.h"
#include "model/model.h"
#include "sft/sft_loss.h"
#include "train/config/config.h"
#include "train/optim.h"
#include "train/report/metrics.h"

typedef struct SftTrainer {
    Role role;
    Pass *pass;
    Optim *optim;
    const Dataset *data;
    Batch *batch;
    BatchOrder order;
    SftLossKind loss;
    PassOptions options; /* dropout on, seed, recompute; step is set per step */
    int64_t num_tokens;  /* seen so far: state */
} SftTrainer;

/* What one step saw; entropy and accuracy are TRL's plain means over micro-batches. */
typedef struct SftStep {
    double loss;              /* of the whole step */
    double entropy, accuracy; /* sums over micro-batches of their means */
    int64_t micros;           /* micro-batches that had a label */
    OptimStats optim;
} SftStep;

/* The micro-batches of step `step` (from 0) that belong to order.rank: forward, loss, backward;
 * gradients accumulate, scaled for the whole step over all ranks. */
void sft_accumulate(SftTrainer *t, int64_t step, SftStep *out);
/* The same, then the update at rate lr. */
void sft_step(SftTrainer *t, int64_t step, double lr, SftStep *out);
/* metrics of TRL: loss, grad_norm, learning_rate, num_tokens, entropy, mean_token_accuracy. */
void sft_log_step(Metrics *m, const SftTrainer *t, const SftStep *s, double lr);

/* Mean over all labels of a data set, without dropout. */
typedef struct SftEval {
    double loss, entropy, accuracy;
    int64_t labels;
} SftEval;
/* `batch` was opened over `data` for `at_once` items. False when a signal came in between (out is
 * then partial and not to be used). */
bool sft_evaluate(SftEval *out, const SftTrainer *t, const Dataset *data, Batch *batch,
                  int64_t at_once);

#endif
