/* best: which step was the best so far, and when to stop early.
 *
 * The Trainer's load_best_model_at_end, metric_for_best_model, greater_is_better and its
 * EarlyStoppingCallback: after each evaluation the metric is compared with the best so far; better
 * by more than the threshold resets the patience, else one evaluation of it is used up. */
#ifndef HONE_TRAIN_BEST_H
#define HONE_TRAIN_BEST_H

#include "train/config/config.h"
#include "train/state.h"

typedef struct Best {
    /* config */
    const char
        *metric; /* "eval_loss" (the prefix is added when it is missing); NULL: not tracked */
    bool greater;
    int64_t patience; /* evaluations; 0: no early stopping */
    double threshold;
    /* state */
    int64_t step; /* -1: none yet */
    double value;
    int64_t bad_evals; /* in a row without improvement */
} Best;

void best_init(Best *b, const TrainingConfig *t);
void best_register(Best *b, State *state); /* best/step, best/value, best/bad_evals */
/* After an evaluation at `step`. True when it is a new best. A NaN is never better. */
bool best_update(Best *b, int64_t step, double value);
bool best_wants_stop(const Best *b);

#endif
