/* run: a run folder and the course of a training run.
 *
 * A main goes through it like this:
 *
 *     TRY_GOTO(run_open(&run, cfg), st, out);          // folder, lock; ERR_CREATE (73) when it is
 * taken if (run_is_finished(run)) goto out;              // it has said so
 *     ... device, tokenizer, data, model, optimizer; they register with run_state(run) and plan_add
 * ... TRY_GOTO(run_begin(run, &facts), st, out);       // run.json, plan, logs, resume while
 * (run_goes_on(run)) {
 *         ... one optimizer step; metrics_mean(run_metrics(run), "loss", loss); ...
 *         TRY_GOTO(run_step_done(run, epoch), st, out);            // counts the step, logs when it
 * is time if (run_eval_due(run)) {
 *             ... Json *values = json_new_object(); json_set(values, "eval_loss", ...) ...
 *             TRY_GOTO(run_eval_done(run, values), st, out);       // logs, best, early stopping
 *         }
 *         TRY_GOTO(run_save_if_due(run), st, out);
 *     }
 *     TRY_GOTO(run_end(run), st, out);                 // ERR_STOPPED after a signal; else loads
 * the best
 *     ... final evaluation ...
 *     TRY_GOTO(run_final_open(run, &folder), st, out); // final/, still under a temporary name
 *     ... adapter_save(..., publish_folder_path(folder), ...) ...
 *     TRY_GOTO(run_final_commit(run, folder), st, out);
 *   out:
 *     run_close(run);
 *
 * A program with more phases than steps (PPO) asks run_stopping() in its inner loops, registers the
 * place where it is, and calls run_save_now() there. All times and rates are logged, never
 * decided upon. */
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
 * config: ERR_CONFIG with the differences. */
Status run_open(Run **out, const Config *cfg);
void run_close(Run *r);
bool run_is_finished(const Run *r);
const char *run_folder(const Run *r);

/* The registry; tensors live on `dev`. Call once the device is there. */
Status run_set_device(Run *r, Dev *dev);
State *run_state(Run *r);
Metrics *run_metrics(Run *r);
MemoryPlan *run_plan(Run *r);
Best *run_best(Run *r);

/* What the run starts from: base, adapter, tokenizer, data, reward model. `digest` (hex) is
 * compared on resume. `path` may be the run folder of an earlier stage: the report draws the line.
 */
void run_input(Run *r, const char *role, const char *path, const char *digest);
/* A fact for run.json and the report, e.g. {"trainable parameters": 1234}. Takes `value`. */
void run_fact(Run *r, const char *name, Json *value);

typedef struct RunFacts {
    int64_t total_steps;                        /* optimizer steps (PPO: updates) */
    int64_t examples_per_step, tokens_per_step; /* 0: not told; for samples_per_second */
    const char *unit;                           /* of the progress line: "steps", "updates" */
    bool has_eval;                              /* there is something to evaluate on */
} RunFacts;

/* Prints the plan, writes run.json, registers progress, metrics and best, opens the logs, resumes
 * (`--resume`): says from where, which checkpoints it passed over and why, cuts the logs to the
 * checkpoint. ERR_CONFIG when config or inputs differ from the checkpoint's (all differences
 * listed); ERR_DATA for a damaged
 * --resume=PATH. */
Status run_begin(Run *r, const RunFacts *facts);
bool run_resumed(const Run *r);

int64_t run_step(const Run *r); /* optimizer steps done; the number of the step at hand, from 0 */
int64_t run_total_steps(const Run *r);
double run_epoch(const Run *r); /* as told by the last run_step_done */

bool run_goes_on(const Run *r);  /* steps left, no early stop, no signal */
bool run_stopping(const Run *r); /* a signal has come: save and leave */
/* Leaves the loop after this step, e.g. PPO's early stop; `why` is shown and stored. */
void run_stop_early(Run *r, const char *why);

Status run_step_done(Run *r, double epoch);
/* True when the step that was just done is followed by an evaluation; before the first step:
 * eval_on_start. */
bool run_eval_due(const Run *r);
/* `values` is taken: "eval_..." numbers. runtime fields are added from `seconds` and `rows`. */
Status run_eval_done(Run *r, Json *values, double seconds, int64_t rows);
/* Saves where the strategy, a new best, the last step or a signal says so. Only a signal's save
 * that goes wrong is an error; others warn and are tried again. */
Status run_save_if_due(Run *r);
Status run_save_now(Run *r);

/* One line of samples.jsonl: {"step": ..., <the members of row>}. Takes row. */
Status run_sample(Run *r, Json *row);

/* NaN or Inf in the loss or gradient norm: ERR_NUMERIC with step, what, and where to look. The last
 * checkpoint stays as it is. `where` may be NULL. */
Status run_numbers_bad(const Run *r, const char *what, const char *where);

/* After the loop. ERR_STOPPED (75) after a signal. Else logs the totals (train_loss, train_runtime,
 * ..., memory/peak_rss_bytes) and, with load_best_model_at_end, puts the parameters of the best
 * step back. */
Status run_end(Run *r);
int64_t run_final_step(const Run *r); /* the step whose parameters are in memory after run_end */

/* final/. Commit adds training_state.json (step, epoch, best metric) and marks the run as finished.
 */
Status run_final_open(Run *r, PublishFolder **folder);
Status run_final_commit(Run *r, PublishFolder *folder);

/* Of all weight files (*.safetensors) of a model or adapter folder, or of one file: names and
 * SHA-256. Equal folders have equal digests; the lineage in the report is drawn by them. */
Status run_digest_path(char hex[65], const char *path);

#endif
