#include "train/best.h"

#include "core/str.h"

#include <math.h>

void best_init(Best *b, const TrainingConfig *t) {
    *b = (Best){.metric = t->metric_for_best_model,
                .greater = t->greater_is_better == TRI_YES,
                .threshold = t->early_stopping_threshold,
                .step = -1};
    if (t->early_stopping_patience != CONFIG_NULL_INT) b->patience = t->early_stopping_patience;
}

void best_register(Best *b, State *state) {
    state_i64(state, "best/step", &b->step);
    state_f64(state, "best/value", &b->value);
    state_i64(state, "best/bad_evals", &b->bad_evals);
}

bool best_update(Best *b, int64_t step, double value) {
    double gain = b->greater ? value - b->value : b->value - value;
    bool first = b->step < 0 && !isnan(value);
    bool better = first || gain > 0;
    /* The patience asks for more than the record does: better by more than the threshold. */
    if (first || (gain > 0 && gain > b->threshold))
        b->bad_evals = 0;
    else
        b->bad_evals++;
    if (better) {
        b->step = step;
        b->value = value;
    }
    return better;
}

bool best_wants_stop(const Best *b) {
    return b->patience > 0 && b->bad_evals >= b->patience;
}
