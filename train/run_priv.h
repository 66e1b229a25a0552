/* run_priv: what run.c (the course), run_folder.c (the folder) and run_json.c (what is written
 * about it) share. */
#ifndef HONE_TRAIN_RUN_PRIV_H
#define HONE_TRAIN_RUN_PRIV_H

#include "core/io/jsonl.h"
#include "core/lock.h"
#include "core/progress.h"
#include "train/run.h"

#define RUN_MAX_PHASES 16
#define RUN_FINAL_STATE "trainer_state.json"

typedef struct RunPhase {
    const char *name;
    double seconds;
} RunPhase;

struct Run {
    const Config *cfg;
    char *folder;
    Lock *lock;
    bool finished, resumed, began;
    Dev *dev;
    State *state;
    Metrics *metrics;
    Checkpoints *checkpoints;
    JsonlWriter *samples;
    MemoryPlan plan;
    Best best;
    Progress progress;
    RunFacts facts;
    int64_t log_steps, eval_steps, save_steps;
    Json *inputs; /* [{role, path, sha256}] */
    Json *about;  /* facts */
    char *final_digest;
    /* state */
    int64_t step, evaluated_step, stopped_early;
    double epoch, epoch_before; /* before the last step: tells where an epoch ended */
    /* the save that stands for where we are now */
    int64_t saved_step, saved_evaluated_step;
    bool new_best;
    int64_t final_step;
    /* clocks */
    double opened_s, began_s, step_began_s, page_at_s;
    int64_t began_step;
    RunPhase phases[RUN_MAX_PHASES];
    int n_phases, phase;
    double phase_since_s;
};

/* run_folder.c */
Status run_set_aside_old(Run *r); /* everything of an earlier run goes to old-<k>/ */
Status run_set_aside_newer(Run *r,
                           int64_t step); /* checkpoints of another future than the one chosen */
Status run_check_finished(Run *r);

/* run_json.c */
Status run_write_json(Run *r, const char *status);  /* run.json */
Json *run_meta(const Run *r, Json *offsets);        /* for a checkpoint's manifest; takes offsets */
Status run_compare(const Run *r, const Json *meta); /* config and inputs against a checkpoint's */
Json *run_final_json(const Run *r);                 /* trainer_state.json */
void run_close_phase(Run *r);                       /* adds the running phase's time */
/* run.json with this status, and report.html; not more often than the run can afford, unless
 * forced. */
void run_refresh_page(Run *r, const char *status, bool force);

#endif
