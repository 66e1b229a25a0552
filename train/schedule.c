#include "train/schedule.h"

#include "core/check.h"
#include "core/str.h"

#include <math.h>

static const double PI = 3.14159265358979323846;

/* ---- arguments ----------------------------------------------------------------------------- */

/* Which keyword arguments a schedule takes; transformers raises on any other one. */
static const char *const *known_arguments(LrScheduler kind) {
    static const char *const none[] = {NULL};
    static const char *const cycles[] = {"num_cycles", NULL};
    static const char *const polynomial[] = {"lr_end", "power", NULL};
    static const char *const inverse_sqrt[] = {"timescale", NULL};
    static const char *const min_lr[] = {"num_cycles", "min_lr", "min_lr_rate", NULL};
    static const char *const stable[] = {
        "num_decay_steps", "num_stable_steps", "warmup_type", "decay_type",
        "min_lr_ratio",    "num_cycles",       NULL};
    switch (kind) {
    case LR_LINEAR:
    case LR_CONSTANT:
    case LR_CONSTANT_WITH_WARMUP:
        return none;
    case LR_COSINE:
    case LR_COSINE_WITH_RESTARTS:
        return cycles;
    case LR_POLYNOMIAL:
        return polynomial;
    case LR_INVERSE_SQRT:
        return inverse_sqrt;
    case LR_COSINE_WITH_MIN_LR:
        return min_lr;
    case LR_WARMUP_STABLE_DECAY:
        return stable;
    }
    FAIL("schedule %d", (int)kind);
}

static Status check_arguments(LrScheduler kind, const PairList *kwargs) {
    const char *const *known = known_arguments(kind);
    for (size_t i = 0; i < kwargs->n; i++) {
        bool found = false;
        for (const char *const *k = known; *k != NULL; k++)
            found = found || str_equal(*k, kwargs->items[i].key);
        if (found) continue;
        Str list = {0};
        for (const char *const *k = known; *k != NULL; k++)
            str_printf(&list, "%s%s", list.len > 0 ? ", " : "", *k);
        Status st = status_fail(ERR_CONFIG,
                                "training.lr_scheduler_kwargs.%s: this schedule has no such "
                                "argument; it takes %s",
                                kwargs->items[i].key, list.len > 0 ? str_text(&list) : "none");
        str_free(&list);
        return st;
    }
    return OK;
}

static Status read_shape(ScheduleShape *out, const PairList *kwargs, const char *key) {
    const char *text = config_pair(kwargs, key);
    if (text == NULL) return OK;
    if (str_equal(text, "linear"))
        *out = SCHEDULE_SHAPE_LINEAR;
    else if (str_equal(text, "cosine"))
        *out = SCHEDULE_SHAPE_COSINE;
    else if (str_equal(text, "1-sqrt"))
        *out = SCHEDULE_SHAPE_1MINUSSQRT;
    else
        return status_fail(
            ERR_CONFIG, "training.lr_scheduler_kwargs.%s: `%s` is none of linear, cosine, 1-sqrt",
            key, text);
    return OK;
}

static Status read_min_lr(Schedule *s, const PairList *kwargs) {
    double min_lr = config_pair_number(kwargs, "min_lr", NAN);
    double rate = config_pair_number(kwargs, "min_lr_rate", NAN);
    if (isnan(min_lr) == isnan(rate))
        return status_fail(ERR_CONFIG, "training.lr_scheduler_kwargs: cosine_with_min_lr needs "
                                       "exactly one of min_lr and min_lr_rate");
    s->min_lr_ratio = isnan(rate) ? min_lr / s->base_lr : rate;
    return OK;
}

static Status read_stable(Schedule *s, const PairList *kwargs) {
    double decay = config_pair_number(kwargs, "num_decay_steps", NAN);
    if (isnan(decay))
        return status_fail(ERR_CONFIG, "training.lr_scheduler_kwargs: warmup_stable_decay needs "
                                       "num_decay_steps");
    s->decay_steps = (int64_t)decay;
    double stable = config_pair_number(kwargs, "num_stable_steps", NAN);
    s->stable_steps =
        isnan(stable) ? s->total_steps - s->warmup_steps - s->decay_steps : (int64_t)stable;
    s->min_lr_ratio = config_pair_number(kwargs, "min_lr_ratio", 0);
    s->warmup_shape = SCHEDULE_SHAPE_LINEAR;
    s->decay_shape = SCHEDULE_SHAPE_COSINE;
    TRY(read_shape(&s->warmup_shape, kwargs, "warmup_type"));
    return read_shape(&s->decay_shape, kwargs, "decay_type");
}

Status schedule_init(Schedule *s, const TrainingConfig *t, int64_t total_steps) {
    const PairList *kwargs = &t->lr_scheduler_kwargs;
    *s = (Schedule){.kind = t->lr_scheduler_type,
                    .base_lr = t->learning_rate,
                    .total_steps = total_steps,
                    .warmup_steps = (int64_t)t->warmup_steps};
    if (t->warmup_steps < 1) s->warmup_steps = (int64_t)ceil((double)total_steps * t->warmup_steps);
    TRY(check_arguments(s->kind, kwargs));
    s->num_cycles =
        config_pair_number(kwargs, "num_cycles", s->kind == LR_COSINE_WITH_RESTARTS ? 1 : 0.5);
    s->power = config_pair_number(kwargs, "power", 1);
    s->lr_end = config_pair_number(kwargs, "lr_end", 1e-7);
    s->timescale = config_pair_number(kwargs, "timescale",
                                      s->warmup_steps > 0 ? (double)s->warmup_steps : 10000);
    if (s->kind == LR_POLYNOMIAL && !(s->base_lr > s->lr_end))
        return status_fail(ERR_CONFIG,
                           "training.lr_scheduler_kwargs.lr_end: %g must be smaller than "
                           "training.learning_rate (%g)",
                           s->lr_end, s->base_lr);
    if (s->kind == LR_COSINE_WITH_MIN_LR) TRY(read_min_lr(s, kwargs));
    if (s->kind == LR_WARMUP_STABLE_DECAY) TRY(read_stable(s, kwargs));
    return OK;
}

/* ---- factors of base_lr -------------------------------------------------------------------- */

static double at_least_1(int64_t n) {
    return n > 1 ? (double)n : 1.0;
}

/* Share of the way from the end of the warm-up to the end of the run. */
static double progress_of(const Schedule *s, int64_t step) {
    return (double)(step - s->warmup_steps) / at_least_1(s->total_steps - s->warmup_steps);
}

static double cosine_wave(const Schedule *s, double progress) {
    return 0.5 * (1.0 + cos(PI * s->num_cycles * 2.0 * progress));
}

static double polynomial_factor(const Schedule *s, int64_t step) {
    if (step > s->total_steps) return s->lr_end / s->base_lr;
    int64_t decay_steps = s->total_steps - s->warmup_steps;
    /* Only reached with step == total == warm-up, where transformers divides by zero. */
    if (decay_steps <= 0) return s->lr_end / s->base_lr;
    double remaining = 1 - (double)(step - s->warmup_steps) / (double)decay_steps;
    return ((s->base_lr - s->lr_end) * pow(remaining, s->power) + s->lr_end) / s->base_lr;
}

static double stable_factor(const Schedule *s, int64_t step) {
    double factor = 1;
    if (step < s->warmup_steps) {
        double p = (double)step / at_least_1(s->warmup_steps);
        switch (s->warmup_shape) {
        case SCHEDULE_SHAPE_LINEAR:
            factor = p;
            break;
        case SCHEDULE_SHAPE_COSINE:
            factor = 0.5 * (1.0 - cos(PI * p));
            break;
        case SCHEDULE_SHAPE_1MINUSSQRT:
            factor = 1.0 - sqrt(1.0 - p);
            break;
        }
    } else if (step < s->warmup_steps + s->stable_steps) {
        return 1;
    } else if (step < s->warmup_steps + s->stable_steps + s->decay_steps) {
        double p = (double)(step - s->warmup_steps - s->stable_steps) / at_least_1(s->decay_steps);
        switch (s->decay_shape) {
        case SCHEDULE_SHAPE_LINEAR:
            factor = 1.0 - p;
            break;
        case SCHEDULE_SHAPE_COSINE:
            factor = cosine_wave(s, p);
            break;
        case SCHEDULE_SHAPE_1MINUSSQRT:
            factor = 1.0 - sqrt(p);
            break;
        }
    } else {
        return s->min_lr_ratio;
    }
    return fmax(0.0, factor * (1.0 - s->min_lr_ratio) + s->min_lr_ratio);
}

static double factor_after_warmup(const Schedule *s, int64_t step) {
    double progress = progress_of(s, step);
    switch (s->kind) {
    case LR_CONSTANT:
    case LR_CONSTANT_WITH_WARMUP:
        return 1;
    case LR_LINEAR:
        return fmax(0.0,
                    (double)(s->total_steps - step) / at_least_1(s->total_steps - s->warmup_steps));
    case LR_COSINE:
        return fmax(0.0, cosine_wave(s, progress));
    case LR_COSINE_WITH_RESTARTS:
        if (progress >= 1.0) return 0;
        return fmax(0.0, 0.5 * (1.0 + cos(PI * fmod(s->num_cycles * progress, 1.0))));
    case LR_POLYNOMIAL:
        return polynomial_factor(s, step);
    case LR_INVERSE_SQRT:
        return 1.0 / sqrt(((double)step + s->timescale - (double)s->warmup_steps) / s->timescale);
    case LR_COSINE_WITH_MIN_LR:
        return fmax(0.0, cosine_wave(s, progress) * (1 - s->min_lr_ratio) + s->min_lr_ratio);
    case LR_WARMUP_STABLE_DECAY:
        break; /* has a warm-up of its own */
    }
    FAIL("schedule %d", (int)s->kind);
}

double schedule_lr(const Schedule *s, int64_t step) {
    double factor;
    if (s->kind == LR_WARMUP_STABLE_DECAY)
        factor = stable_factor(s, step);
    else if (s->kind != LR_CONSTANT && step < s->warmup_steps)
        factor = (double)step / at_least_1(s->warmup_steps);
    else
        factor = factor_after_warmup(s, step);
    return s->base_lr * factor;
}
