#include "train/run.h"

#include "core/check.h"
#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/stop.h"
#include "train/checkpoint_priv.h"
#include "train/run_priv.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

/* ---- what the program tells ---------------------------------------------------------------- */

Status run_set_device(Run *r, Dev *dev) {
    r->dev = dev;
    return state_open(&r->state, dev);
}

State *run_state(Run *r) {
    CHECK(r->state != NULL, "run_set_device comes first");
    return r->state;
}

Metrics *run_metrics(Run *r) {
    CHECK(r->metrics != NULL, "run_begin comes first");
    return r->metrics;
}

MemoryPlan *run_plan(Run *r) {
    return &r->plan;
}

Best *run_best(Run *r) {
    return &r->best;
}

Status run_input(Run *r, const char *role, const char *path, const char *digest) {
    char hex[65];
    if (digest == NULL) {
        TRY(run_digest_path(hex, path));
        digest = hex;
    }
    Json *j = json_new_object();
    json_set(j, "role", json_new_str(role));
    json_set(j, "path", json_new_str(path));
    json_set(j, "sha256", json_new_str(digest));
    json_push(r->inputs, j);
    return OK;
}

void run_fact(Run *r, const char *name, Json *value) {
    json_set(r->about, name, value);
}

/* ---- begin --------------------------------------------------------------------------------- */

static void register_own(Run *r) {
    state_i64(r->state, "run/step", &r->step);
    state_f64(r->state, "run/epoch", &r->epoch);
    state_f64(r->state, "run/epoch_before", &r->epoch_before);
    state_i64(r->state, "run/evaluated_step", &r->evaluated_step);
    state_i64(r->state, "run/stopped_early", &r->stopped_early);
    best_register(&r->best, r->state);
    metrics_register(r->metrics, r->state);
}

static Status open_files(Run *r) {
    int64_t limit = r->cfg->training.save_total_limit;
    CheckpointOptions opt = {.folder = r->folder,
                             .total_limit = limit == CONFIG_NULL_INT ? 0 : limit};
    TRY(metrics_open(&r->metrics, r->folder));
    TRY(checkpoints_open(&r->checkpoints, r->state, &opt));
    register_own(r);
    plan_add(&r->plan, PLAN_CHECKPOINT, "while saving", checkpoint_bytes(r->checkpoints));
    return OK;
}

static Status open_samples(Run *r, int64_t keep) {
    char *path = file_join(r->folder, "samples.jsonl");
    jsonl_writer_close(r->samples);
    r->samples = NULL;
    Status st = jsonl_writer_open(&r->samples, path, keep);
    mem_free(path);
    return st;
}

/* Logs are cut to where they were when the checkpoint was made: no step is logged twice. */
static Status rewind_logs(Run *r, const Json *offsets) {
    const Json *samples = json_get(offsets, "samples.jsonl");
    TRY(metrics_rewind(r->metrics, offsets));
    return open_samples(r, json_is(samples, JSON_KIND_INT) ? json_int(samples) : 0);
}

/* The same folder, however it is written. */
static bool is_same_folder(const char *a, const char *b) {
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static bool is_own_checkpoint(const Run *r, const char *path) {
    char *parent = str_format("%s/..", path), *own = file_join(r->folder, "checkpoints");
    bool same = is_same_folder(parent, own);
    mem_free(own);
    mem_free(parent);
    return same;
}

static void say_resumed(const Run *r, int64_t step, const char *path) {
    char *own = checkpoint_path(r->checkpoints, step);
    log_info("goes on after step %lld from %s", (long long)r->step, path != NULL ? path : own);
    mem_free(own);
}

static Status take_checkpoint(Run *r, int64_t step, const Json *meta, const char *path) {
    TRY(run_compare(r, meta));
    TRY(checkpoint_load(r->checkpoints));
    say_resumed(r, step, path);
    r->resumed = true;
    checkpoint_keep(r->checkpoints, r->best.step);
    bool branch = path != NULL && !is_own_checkpoint(r, path);
    TRY(rewind_logs(r, branch ? NULL : json_get(meta, "offsets")));
    if (branch) return OK;
    r->saved_step = r->step;
    r->saved_evaluated_step = r->evaluated_step;
    return path != NULL ? run_set_aside_newer(r, step) : OK;
}

static Status resume(Run *r) {
    const RunConfig *cfg = &r->cfg->run;
    int64_t step = -1;
    Json *meta = NULL;
    const char *path = cfg->resume == RESUME_PATH ? cfg->resume_from : NULL;
    if (cfg->resume != RESUME_NEVER) TRY(checkpoint_find(r->checkpoints, path, &step, &meta));
    Status st = step >= 0 ? take_checkpoint(r, step, meta, path) : rewind_logs(r, NULL);
    json_free(meta);
    return st;
}

Status run_begin(Run *r, const RunFacts *facts) {
    const TrainingConfig *t = &r->cfg->training;
    r->facts = *facts;
    r->log_steps = config_steps(t->logging_steps, facts->total_steps);
    r->eval_steps = config_steps(t->eval_steps, facts->total_steps);
    r->save_steps = config_steps(t->save_steps, facts->total_steps);
    TRY(open_files(r));
    plan_print(&r->plan);
    TRY(resume(r));
    TRY(run_write_json(r, "running"));
    r->began = true;
    r->began_s = progress_clock_s();
    r->began_step = r->step;
    run_phase(r, "train");
    progress_begin(&r->progress, stage_name(r->cfg->stage),
                   facts->unit != NULL ? facts->unit : "steps", facts->total_steps, r->step);
    return OK;
}

bool run_resumed(const Run *r) {
    return r->resumed;
}

/* ---- where it is --------------------------------------------------------------------------- */

int64_t run_step(const Run *r) {
    return r->step;
}

int64_t run_total_steps(const Run *r) {
    return r->facts.total_steps;
}

double run_epoch(const Run *r) {
    return r->epoch;
}

static bool is_last(const Run *r) {
    return r->step >= r->facts.total_steps || r->stopped_early != 0 || best_wants_stop(&r->best);
}

bool run_stopping(const Run *r) {
    (void)r;
    return stop_requested();
}

bool run_goes_on(const Run *r) {
    return !is_last(r) && !run_stopping(r);
}

void run_stop_early(Run *r, const char *why) {
    r->stopped_early = 1;
    log_info("stops early after step %lld: %s", (long long)r->step, why);
}

static bool epoch_ended(const Run *r) {
    return floor(r->epoch) > floor(r->epoch_before);
}

static bool is_every(int64_t step, int64_t every) {
    return step > 0 && every > 0 && step % every == 0;
}

/* ---- a step -------------------------------------------------------------------------------- */

static bool log_due(const Run *r) {
    const TrainingConfig *t = &r->cfg->training;
    if (r->step == 1 && t->logging_first_step) return true;
    switch (t->logging_strategy) {
    case STRATEGY_STEPS:
        return is_every(r->step, r->log_steps);
    case STRATEGY_EPOCH:
        return epoch_ended(r);
    case STRATEGY_NO:
    case STRATEGY_BEST:
        return false;
    }
    FAIL("strategy %d", (int)t->logging_strategy);
}

/* The numbers that stand behind the progress line: those of these that the stage has. */
static void show_progress(Run *r) {
    static const char *const shown[] = {"loss", "accuracy", "objective/scores", "objective/kl"};
    Str note = {0};
    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
        double x = metrics_last(r->metrics, shown[i]);
        if (!isnan(x)) str_printf(&note, "%s%s %.4g", note.len > 0 ? "  " : "", shown[i], x);
    }
    progress_update(&r->progress, r->step, note.len > 0 ? str_text(&note) : NULL);
    str_free(&note);
}

Status run_step_done(Run *r, double epoch) {
    metrics_mean(r->metrics, "time/step", progress_clock_s() - r->step_began_s);
    metrics_set(r->metrics, "memory/peak_rss_bytes", (double)plan_peak_rss());
    r->step++;
    r->epoch_before = r->epoch;
    r->epoch = epoch;
    if (log_due(r)) {
        TRY(metrics_log(r->metrics, r->step, r->epoch));
        run_refresh_page(r, "running", false);
    }
    show_progress(r);
    return OK;
}

/* ---- evaluation ---------------------------------------------------------------------------- */

/* The last step is always evaluated: a run shorter than eval_steps would never be, and of the rest
 * nobody would know how good what stands in final/ is. */
static bool eval_wanted(const Run *r) {
    const TrainingConfig *t = &r->cfg->training;
    if (!r->facts.has_eval || r->evaluated_step == r->step) return false;
    if (r->step == 0) return t->eval_on_start;
    switch (t->eval_strategy) {
    case STRATEGY_STEPS:
        return is_last(r) || (is_every(r->step, r->eval_steps) && (double)r->step >= t->eval_delay);
    case STRATEGY_EPOCH:
        return is_last(r) || (epoch_ended(r) && r->epoch >= t->eval_delay);
    case STRATEGY_NO:
    case STRATEGY_BEST:
        return false;
    }
    FAIL("strategy %d", (int)t->eval_strategy);
}

bool run_eval_due(const Run *r) {
    return eval_wanted(r) && !run_stopping(r);
}

/* The Trainer adds the prefix when it is missing. */
static const Json *best_metric(const Run *r, const Json *values) {
    const Json *j = json_get(values, r->best.metric);
    if (j != NULL) return j;
    char *name = str_format("eval_%s", r->best.metric);
    j = json_get(values, name);
    mem_free(name);
    return j;
}

static Status judge_eval(Run *r, const Json *values) {
    if (r->best.metric == NULL) return OK;
    const Json *j = best_metric(r, values);
    if (j == NULL || !(json_is_num(j) || json_is(j, JSON_KIND_NULL))) {
        Str names = {0};
        const char *key;
        Json *value;
        for (JsonIter it = {0}; json_next(values, &it, &key, &value);)
            if (!metrics_is_clock(key)) str_printf(&names, "%s%s", names.len > 0 ? ", " : "", key);
        Status st = status_fail(ERR_CONFIG,
                                "training.metric_for_best_model: `%s` is not among what the "
                                "evaluation gives: %s",
                                r->best.metric, str_text(&names));
        str_free(&names);
        return st;
    }
    double value = json_is_num(j) ? json_num(j) : NAN;
    r->new_best = best_update(&r->best, r->step, value);
    if (r->new_best && r->cfg->training.load_best_model_at_end)
        checkpoint_keep(r->checkpoints, r->step);
    if (best_wants_stop(&r->best))
        log_info("stops early after step %lld: %s has not become better than %.6g (step %lld) in "
                 "%lld evaluations",
                 (long long)r->step, r->best.metric, r->best.value, (long long)r->best.step,
                 (long long)r->best.bad_evals);
    return OK;
}

static void say_eval(const Run *r, const Json *values) {
    Str line = {0};
    const char *key;
    Json *value;
    for (JsonIter it = {0}; json_next(values, &it, &key, &value);)
        if (json_is_num(value) && !metrics_is_clock(key))
            str_printf(&line, "  %s %.4g", key, json_num(value));
    log_info("step %lld%s%s", (long long)r->step, str_text(&line), r->new_best ? "  (best)" : "");
    str_free(&line);
}

static Status finish_eval(Run *r, Json *values, double seconds, int64_t rows) {
    json_set(values, "eval_runtime", json_new_num(seconds));
    if (rows > 0 && seconds > 0)
        json_set(values, "eval_samples_per_second", json_new_num((double)rows / seconds));
    TRY(metrics_log_row(r->metrics, r->step, r->epoch, values));
    TRY(judge_eval(r, values));
    r->evaluated_step = r->step;
    say_eval(r, values);
    run_refresh_page(r, "running", false);
    return OK;
}

Status run_eval_done(Run *r, Json *values, double seconds, int64_t rows) {
    Status st = finish_eval(r, values, seconds, rows);
    json_free(values);
    return st;
}

/* ---- saving -------------------------------------------------------------------------------- */

static Status mark_logs(Run *r, Json *offsets) {
    TRY(metrics_mark(r->metrics, offsets));
    TRY(jsonl_sync(r->samples));
    json_set(offsets, "samples.jsonl", json_new_int(jsonl_offset(r->samples)));
    return OK;
}

/* A save inside a step is called by the step that it is in: it never takes the place of the one
 * that was made before that step, which may be the best. The step's own save replaces it. */
static Status save(Run *r, bool must, bool inside) {
    int64_t number = r->step + (inside ? 1 : 0);
    const char *before = run_phase(r, "save");
    /* What a signal asks for is there to go on from. */
    checkpoint_restrict(r->checkpoints,
                        r->cfg->training.save_only_model && !must ? "params/" : NULL);
    Json *offsets = json_new_object();
    Status st = mark_logs(r, offsets);
    Json *meta = run_meta(r, offsets);
    if (st == OK && must)
        st = checkpoint_save(r->checkpoints, number, meta);
    else if (st == OK)
        checkpoint_try_save(r->checkpoints, number, meta);
    json_free(meta);
    r->saved_step = r->step;
    r->saved_evaluated_step = r->evaluated_step;
    r->new_best = false;
    run_phase(r, before);
    return st;
}

Status run_save_inside(Run *r) {
    return save(r, true, true);
}

static bool save_due(const Run *r) {
    const TrainingConfig *t = &r->cfg->training;
    if (r->new_best && t->load_best_model_at_end) return true;
    if (checkpoint_retry_due(r->checkpoints)) return true;
    switch (t->save_strategy) {
    case STRATEGY_NO:
        return false;
    case STRATEGY_STEPS:
        return is_every(r->step, r->save_steps) || is_last(r);
    case STRATEGY_EPOCH:
        return (r->step > 0 && epoch_ended(r)) || is_last(r);
    case STRATEGY_BEST:
        return r->new_best;
    }
    FAIL("strategy %d", (int)t->save_strategy);
}

static bool is_saved(const Run *r) {
    return r->saved_step == r->step && r->saved_evaluated_step == r->evaluated_step;
}

static Status save_if_due(Run *r) {
    if (is_saved(r) && !checkpoint_retry_due(r->checkpoints)) return OK;
    if (run_stopping(r)) return save(r, true, false);
    return save_due(r) ? save(r, false, false) : OK;
}

Status run_save_if_due(Run *r) {
    Status st = save_if_due(r);
    r->step_began_s = progress_clock_s();
    return st;
}

Status run_sample(Run *r, Json *row) {
    Json *line = json_new_object();
    json_set(line, "step", json_new_int(r->step));
    const char *key;
    Json *value;
    for (JsonIter it = {0}; json_next(row, &it, &key, &value);)
        json_set(line, key, json_clone(value));
    Status st = jsonl_write(r->samples, line);
    json_free(line);
    json_free(row);
    return st;
}

Status run_numbers_bad(const Run *r, const char *what, const char *where) {
    return status_fail(ERR_NUMERIC,
                       "step %lld: %s is not a finite number%s%s; the last checkpoint is as it "
                       "was; try a lower learning_rate or max_grad_norm",
                       (long long)r->step + 1, what, where != NULL ? ", first seen in " : "",
                       where != NULL ? where : "");
}

/* ---- the end ------------------------------------------------------------------------------- */

static Json *totals(const Run *r) {
    Json *j = json_new_object();
    double seconds = progress_clock_s() - r->began_s;
    double steps = (double)(r->step - r->began_step); /* of this process */
    double loss = metrics_total_mean(r->metrics, "loss");
    if (!isnan(loss)) json_set(j, "train_loss", json_new_num(loss));
    json_set(j, "train_runtime", json_new_num(seconds));
    if (seconds > 0) {
        json_set(j, "train_steps_per_second", json_new_num(steps / seconds));
        if (r->facts.examples_per_step > 0)
            json_set(j, "train_samples_per_second",
                     json_new_num(steps * (double)r->facts.examples_per_step / seconds));
    }
    json_set(j, "memory/planned_bytes", json_new_int((int64_t)plan_total(&r->plan)));
    json_set(j, "memory/peak_rss_bytes", json_new_int((int64_t)plan_peak_rss()));
    return j;
}

static Status load_best(Run *r) {
    r->final_step = r->step;
    if (!r->cfg->training.load_best_model_at_end || r->best.step < 0) return OK;
    if (r->best.step != r->step) {
        Status st = checkpoint_load_part(r->checkpoints, r->best.step, "params/");
        if (st == ERR_INPUT) /* its save went wrong and was warned about */
            log_warn("the best step, %lld, was not saved; the last step's parameters are taken",
                     (long long)r->best.step);
        if (st != OK) return st == ERR_INPUT ? OK : st;
    }
    r->final_step = r->best.step;
    log_info("takes the parameters of step %lld: %s %.6g", (long long)r->best.step, r->best.metric,
             r->best.value);
    return OK;
}

Status run_end(Run *r) {
    /* A signal in the evaluation behind the last step left it undone. */
    if (run_stopping(r) && (!is_last(r) || eval_wanted(r))) {
        /* It may have come just behind the place where saving is decided. */
        if (!is_saved(r)) TRY(save(r, true, false));
        run_refresh_page(r, "stopped", true);
        return stop_status();
    }
    Json *j = totals(r);
    Status st = metrics_log_row(r->metrics, r->step, r->epoch, j);
    json_free(j);
    TRY(st);
    progress_end(&r->progress);
    r->began = false;
    run_phase(r, "finish");
    return load_best(r);
}

int64_t run_final_step(const Run *r) {
    return r->final_step;
}

Status run_final_open(Run *r, PublishFolder **folder) {
    char *path = file_join(r->folder, "final");
    Status st = publish_folder_open(folder, path, true);
    mem_free(path);
    return st;
}

static Status write_final(Run *r, PublishFolder *folder) {
    Str text = {0};
    Json *j = run_final_json(r);
    json_dump(&text, j, 2);
    str_append_char(&text, '\n');
    Status st = publish_bytes_in(folder, RUN_FINAL_STATE, text.data, text.len);
    json_free(j);
    str_free(&text);
    return st == OK ? publish_folder_commit(folder) : st;
}

Status run_final_commit(Run *r, PublishFolder *folder) {
    char hex[65];
    TRY(write_final(r, folder));
    TRY(run_digest_path(hex, r->folder));
    mem_free(r->final_digest);
    r->final_digest = mem_strdup(hex);
    run_refresh_page(r, "finished", true);
    r->finished = true;
    log_info("done: %s/final holds the parameters of step %lld", r->folder,
             (long long)r->final_step);
    return OK;
}
