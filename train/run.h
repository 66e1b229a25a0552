/* run: a run folder and the course of a training run.
 *
 * A main goes through it like this:
 *
 *     TRY_GOTO(run_open(&run, cfg), st, out);  // folder, lock; ERR_CREATE (73) when it is taken
 *     if (run_is_finished(run)) goto out;      // it has said so
 *     ... device ...
 *     TRY_GOTO(run_set_device(run, dev), st, out);
 *     ... tokenizer, data, model, optimizer: run_input, run_plan,
 *         optim_register(o, run_state(run)) ...
 *     TRY_GOTO(run_begin(run, &facts), st, out);  // run.json, plan, logs, resume
 *     for (;;) {
 *         if (run_eval_due(run)) {  // before the first step: eval_on_start
 *             ... json_set(values, "eval_loss", ...) ...
 *             TRY_GOTO(run_eval_done(run, values, seconds, rows), st, out);
 *         }
 *         TRY_GOTO(run_save_if_due(run), st, out);
 *         if (!run_goes_on(run)) break;
 *         ... one optimizer step; metrics_mean(run_metrics(run), "loss", loss); ...
 *         TRY_GOTO(run_step_done(run, epoch), st, out);  // counts it, logs when it is time
 *     }
 *     TRY_GOTO(run_end(run), st, out);  // ERR_STOPPED after a signal; else loads the best
 *     TRY_GOTO(run_final_open(run, &folder), st, out);  // final/, under a temporary name
 *     ... adapter_save(..., publish_folder_path(folder), ...) ...
 *     TRY_GOTO(run_final_commit(run, folder), st, out);
 *   out:
 *     run_close(run);
 *
 * Evaluation and saving stand before the step, so that a run which was stopped inside an evaluation
 * does it again when it goes on. An evaluation asks run_stopping() and, when it is true, ends
 * without run_eval_done. A program with phases inside a step (PPO) asks run_stopping() there too,
 * registers the place where it is, and calls run_save_inside().
 *
 * What happens in a run depends on config, seed and step only; the clock is logged, never asked. */
#ifndef HONE_TRAIN_RUN_H
#define HONE_TRAIN_RUN_H

#include "core/publish.h"
#include "train/best.h"
#include "train/checkpoint.h"
#include "train/config/config.h"
#include "train/plan.h"
#include "train/report/metrics.h"
#include "train/schedule.h"

typedef struct Run Run;

/* Makes output_dir (ERR_CREATE) and takes its lock. With --resume=never what an earlier run left
 * there is moved to old-<k>/. A finished run of the same config is said so at the log; of another
 * config: ERR_CONFIG with the differences. `cfg` must outlive the run. */
Status run_open(Run **out, const Config *cfg);
void run_close(Run *r);
bool run_is_finished(const Run *r);
const char *run_folder(const Run *r);

/* Once the device is there and before anything registers. */
Status run_set_device(Run *r, Dev *dev);
State *run_state(Run *r);
Metrics *run_metrics(Run *r); /* after run_begin */
MemoryPlan *run_plan(Run *r);
Best *run_best(Run *r);

/* What the run starts from: base, adapter, tokenizer, data, reward model. `digest` (hex) is
 * compared on resume; NULL: run_digest_path of `path`. `path` may be the run folder of an earlier
 * stage: the report draws the line. */
Status run_input(Run *r, const char *role, const char *path, const char *digest);
/* A fact for run.json and the report, e.g. "trainable parameters". Takes `value`. */
void run_fact(Run *r, const char *name, Json *value);
/* From now on wall time counts as this phase ("load", "train", "eval", "save", "rollout", ...; a
 * literal). Returns the phase before, to go back to. Starts as "load"; run_begin: "train"; saving
 * sets it by itself. */
const char *run_phase(Run *r, const char *phase);

typedef struct RunFacts {
    int64_t total_steps;       /* optimizer steps (PPO: updates) */
    int64_t examples_per_step; /* for train_samples_per_second; 0: not told */
    const char *unit;          /* of the progress line: "steps", "updates"; NULL: steps */
    bool has_eval;             /* there is something to evaluate on */
} RunFacts;

/* Prints the plan, registers what run, metrics and best must remember, opens the logs, resumes:
 * says from where and which checkpoints it passed over and why, cuts the logs to the checkpoint;
 * writes run.json. ERR_CONFIG when config or inputs differ from the checkpoint's (all differences
 * listed); ERR_DATA for a damaged --resume=PATH. --resume=PATH outside the folder starts a new
 * branch from there. */
Status run_begin(Run *r, const RunFacts *facts);
bool run_resumed(const Run *r);

int64_t run_step(const Run *r); /* optimizer steps done; the number of the step at hand, from 0 */
int64_t run_total_steps(const Run *r);
double run_epoch(const Run *r); /* as told by the last run_step_done */

bool run_goes_on(const Run *r);  /* steps left, no early stop, no signal */
bool run_stopping(const Run *r); /* a signal has come: save and leave */
/* No further step after this one; `why` is shown. */
void run_stop_early(Run *r, const char *why);

/* Counts the step; logs a row when it is time, with time/step (seconds a step, without evaluation
 * and saving) and memory/peak_rss_bytes. `epoch` is the share of the data that was used, 1.0
 * exactly at the end of the first epoch. */
Status run_step_done(Run *r, double epoch);
/* The step that was done last is followed by an evaluation that has not been done: by the strategy,
 * and after the last step (also of a run that stops early) unless the strategy is no. */
bool run_eval_due(const Run *r);
/* Takes `values` ("eval_..." numbers); eval_runtime and rates are added from `seconds` and `rows`.
 * Logs, finds the best, decides on early stopping. ERR_CONFIG when metric_for_best_model is not
 * among them. */
Status run_eval_done(Run *r, Json *values, double seconds, int64_t rows);
/* Saves where the strategy, a new best, the last step or a signal says so. Only a signal's save
 * that goes wrong is an error; others warn and are tried again later. */
Status run_save_if_due(Run *r);
/* In the middle of a step, after a signal. */
Status run_save_inside(Run *r);

/* One line of samples.jsonl: {"step": ..., <the members of row>}. Takes `row`. */
Status run_sample(Run *r, Json *row);

/* NaN or Inf in the loss or gradient norm: ERR_NUMERIC with step, what, and where (may be NULL).
 * The last checkpoint stays as it is. */
Status run_numbers_bad(const Run *r, const char *what, const char *where);

/* After the loop. ERR_STOPPED (75) after a signal. Else logs the totals (train_loss, train_runtime,
 * ..., memory/peak_rss_bytes) and, with load_best_model_at_end, puts the parameters of the best
 * step back. */
Status run_end(Run *r);
int64_t run_final_step(const Run *r); /* whose parameters are in memory after run_end */

/* final/. Commit adds trainer_state.json (global_step, epoch, best_metric, ...) and marks the run
 * as finished; the caller publish_folder_closes the folder in any case. */
Status run_final_open(Run *r, PublishFolder **folder);
Status run_final_commit(Run *r, PublishFolder *folder);

/* SHA-256 (hex) of a file; of a folder: over names and SHA-256 of its *.safetensors, or of all
 * files when it has none; of a run folder: of its final/. ERR_INPUT when there is none. */
Status run_digest_path(char hex[65], const char *path);

#endif
