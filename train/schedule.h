/* schedule: the learning rate as a pure function of the step.
 *
 * Formulas and keyword arguments are those of transformers' optimization.py (get_scheduler), in
 * double. Nothing is remembered between calls, so a resumed run needs no state of its own.
 *
 *     Schedule s;
 *     TRY(schedule_init(&s, &cfg->training, total_steps));
 *     lr = schedule_lr(&s, step);      // step 0 is the first optimizer step
 *
 * The rate that is used in a step is the rate that is logged with it (TRL: the first step without
 * warm-up has the base rate, with warm-up 0). PPO calls it with its update number: one schedule
 * step an update. */
#ifndef HONE_TRAIN_SCHEDULE_H
#define HONE_TRAIN_SCHEDULE_H

#include "train/config/config.h"

typedef enum ScheduleShape {
    SCHEDULE_SHAPE_LINEAR,
    SCHEDULE_SHAPE_COSINE,
    SCHEDULE_SHAPE_1MINUSSQRT
} ScheduleShape;

typedef struct Schedule {
    LrScheduler kind;
    double base_lr;
    int64_t total_steps, warmup_steps;
    /* lr_scheduler_kwargs, resolved */
    double num_cycles;   /* cosine*: 0.5 is one half-wave down to 0; with_restarts: 1 */
    double power;        /* polynomial: 1 */
    double lr_end;       /* polynomial: 1e-7, an absolute rate */
    double min_lr_ratio; /* cosine_with_min_lr, warmup_stable_decay: min_lr / base_lr */
    double timescale;    /* inverse_sqrt: warm-up steps, or 10000 without */
    int64_t stable_steps, decay_steps;       /* warmup_stable_decay */
    ScheduleShape warmup_shape, decay_shape; /* warmup_stable_decay */
} Schedule;

/* Reads lr_scheduler_type, learning_rate, warmup_steps (a count, or a share of total_steps, rounded
 * up as the Trainer does) and lr_scheduler_kwargs. ERR_CONFIG for an argument that the schedule
 * does not have or that it needs and did not get, and for polynomial with lr_end >= learning_rate.
 */
Status schedule_init(Schedule *s, const TrainingConfig *t, int64_t total_steps);

/* The rate of optimizer step `step`, counted from 0. Steps past the end are fine. */
double schedule_lr(const Schedule *s, int64_t step);

#endif
