#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/str.h"
#include "core/threads.h"
#include "train/report/page.h"
#include "train/run_priv.h"

#include <math.h>
#include <string.h>
#include <time.h>

/* ---- parts --------------------------------------------------------------------------------- */

static Json *config_json(const Config *cfg) {
    const ConfigItem *items;
    size_t n = config_items(cfg, &items);
    Json *list = json_new_array();
    for (size_t i = 0; i < n; i++) {
        Json *j = json_new_object();
        json_set(j, "key", json_new_str(items[i].path));
        json_set(j, "value", json_new_str(items[i].value));
        json_set(j, "origin", json_new_str(items[i].origin));
        json_push(list, j);
    }
    return list;
}

static void set_fingerprint(Json *j, const Config *cfg) {
    char hex[65];
    char *text = config_fingerprint(cfg);
    config_digest(cfg, hex);
    json_set(j, "config_sha256", json_new_str(hex));
    json_set(j, "fingerprint", json_new_str(text));
    mem_free(text);
}

static Json *timings_json(const Run *r) {
    Json *list = json_new_array();
    for (int i = 0; i < r->n_phases; i++) {
        Json *j = json_new_object();
        json_set(j, "phase", json_new_str(r->phases[i].name));
        json_set(j, "seconds", json_new_num(r->phases[i].seconds));
        json_push(list, j);
    }
    return list;
}

static Json *best_json(const Run *r) {
    if (r->best.step < 0) return json_new_null();
    Json *j = json_new_object();
    json_set(j, "metric", json_new_str(r->best.metric));
    json_set(j, "step", json_new_int(r->best.step));
    json_set(j, "value", json_new_num(r->best.value));
    return j;
}

static void set_now(Json *j, const char *key) {
    char text[32];
    time_t now = time(NULL);
    struct tm tm;
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
    json_set(j, key, json_new_str(text));
}

/* ---- run.json ------------------------------------------------------------------------------ */

static Json *run_info(Run *r, const char *status) {
    Json *j = json_new_object();
    json_set(j, "format", json_new_int(1));
    json_set(j, "stage", json_new_str(stage_name(r->cfg->stage)));
    json_set(j, "status", json_new_str(status));
    json_set(j, "version", json_new_str(HONE_VERSION));
    set_now(j, "updated");
    json_set(j, "seed", json_new_int(r->cfg->run.seed));
    if (r->dev != NULL) {
        json_set(j, "device", json_new_str(dev_name(r->dev)));
        json_set(j, "isa", json_new_str(dev_isa(r->dev)));
    }
    json_set(j, "threads", json_new_int(threads_count()));
    json_set(j, "step", json_new_int(r->step));
    json_set(j, "total_steps", json_new_int(r->facts.total_steps));
    json_set(j, "epoch", json_new_num(r->epoch));
    json_set(j, "best", best_json(r));
    json_set(j, "final_step", r->final_step >= 0 ? json_new_int(r->final_step) : json_new_null());
    json_set(j, "inputs", json_clone(r->inputs));
    json_set(j, "output",
             r->final_digest != NULL ? json_new_str(r->final_digest) : json_new_null());
    json_set(j, "facts", json_clone(r->about));
    json_set(j, "memory", plan_json(&r->plan));
    json_set(j, "peak_rss_bytes", json_new_int((int64_t)plan_peak_rss()));
    json_set(j, "timings", timings_json(r));
    set_fingerprint(j, r->cfg);
    json_set(j, "config", config_json(r->cfg));
    return j;
}

Status run_write_json(Run *r, const char *status) {
    run_close_phase(r);
    Str text = {0};
    Json *info = run_info(r, status);
    json_dump(&text, info, 2);
    str_append_char(&text, '\n');
    char *path = file_join(r->folder, "run.json");
    Status st = publish_bytes(path, text.data, text.len);
    mem_free(path);
    json_free(info);
    str_free(&text);
    return st;
}

/* ---- manifests ----------------------------------------------------------------------------- */

Json *run_meta(const Run *r, Json *offsets) {
    Json *meta = json_new_object();
    json_set(meta, "stage", json_new_str(stage_name(r->cfg->stage)));
    json_set(meta, "epoch", json_new_num(r->epoch));
    json_set(meta, "best", best_json(r));
    json_set(meta, "offsets", offsets);
    json_set(meta, "inputs", json_clone(r->inputs));
    set_fingerprint(meta, r->cfg);
    json_set(meta, "config", config_json(r->cfg));
    return meta;
}

static const char *member_str(const Json *j, const char *key) {
    const Json *v = json_get(j, key);
    return json_is(v, JSON_KIND_STRING) ? json_str(v, NULL) : "";
}

static const Json *input_of(const Json *inputs, const char *role) {
    for (int64_t i = 0; i < json_len(inputs); i++)
        if (str_equal(member_str(json_at(inputs, i), "role"), role)) return json_at(inputs, i);
    return NULL;
}

/* Only contents count: a folder may have moved. */
static void compare_inputs(Str *differences, const Json *kept, const Json *now) {
    for (int64_t i = 0; i < json_len(now); i++) {
        const Json *a = json_at(now, i);
        const Json *b = input_of(kept, member_str(a, "role"));
        const char *digest = member_str(a, "sha256");
        if (b != NULL && str_equal(digest, member_str(b, "sha256"))) continue;
        str_printf(differences, "%s%s (%s) has other contents", differences->len > 0 ? ", " : "",
                   member_str(a, "role"), member_str(a, "path"));
    }
}

Status run_compare(const Run *r, const Json *meta) {
    Str differences = {0};
    Status st = OK;
    if (config_compare(r->cfg, member_str(meta, "fingerprint")) != OK)
        str_append(&differences, status_message());
    compare_inputs(&differences, json_get(meta, "inputs"), r->inputs);
    if (differences.len > 0)
        st = status_fail(ERR_CONFIG,
                         "this run cannot go on from its checkpoint: %s; go back to what it was, "
                         "choose another output_dir, or start over with --resume=never",
                         str_text(&differences));
    str_free(&differences);
    return st;
}

/* The words of the Trainer's trainer_state.json. */
Json *run_final_json(const Run *r) {
    Json *j = json_new_object();
    bool best = r->best.step >= 0;
    char hex[65];
    json_set(j, "global_step", json_new_int(r->final_step));
    json_set(j, "epoch", json_new_num(r->epoch));
    json_set(j, "max_steps", json_new_int(r->facts.total_steps));
    json_set(j, "best_global_step", best ? json_new_int(r->best.step) : json_new_null());
    json_set(j, "best_metric", best ? json_new_num(r->best.value) : json_new_null());
    json_set(j, "metric_for_best_model",
             r->best.metric != NULL ? json_new_str(r->best.metric) : json_new_null());
    config_digest(r->cfg, hex);
    json_set(j, "config_sha256", json_new_str(hex));
    json_set(j, "version", json_new_str(HONE_VERSION));
    return j;
}

/* ---- phases and page ----------------------------------------------------------------------- */

void run_close_phase(Run *r) {
    double now = progress_clock_s();
    if (r->n_phases > 0) r->phases[r->phase].seconds += now - r->phase_since_s;
    r->phase_since_s = now;
}

const char *run_phase(Run *r, const char *phase) {
    const char *before = r->n_phases > 0 ? r->phases[r->phase].name : phase;
    run_close_phase(r);
    for (r->phase = 0; r->phase < r->n_phases; r->phase++)
        if (str_equal(r->phases[r->phase].name, phase)) return before;
    if (r->n_phases < RUN_MAX_PHASES)
        r->n_phases++;
    else
        r->phase = RUN_MAX_PHASES - 1; /* more names than room: the last takes the rest */
    r->phases[r->phase].name = phase;
    return before;
}

/* Rare enough that it does not slow the run down: a twentieth of the time at most. */
void run_refresh_page(Run *r, const char *status, bool force) {
    double start = progress_clock_s();
    if (!force && start < r->page_at_s) return;
    const char *before = run_phase(r, "report");
    Status st = run_write_json(r, status);
    char *path = file_join(r->folder, "report.html");
    PageRun page_run = {.folder = r->folder, .seed = -1};
    PageInput in = {.runs = &page_run,
                    .n_runs = 1,
                    .title = r->cfg->run.run_name, /* NULL: the folder */
                    .running = str_equal(status, "running")};
    if (st == OK) st = page_write(path, &in);
    mem_free(path);
    run_phase(r, before);
    if (st != OK) log_warn_once("the report was not written: %s", status_message());
    double cost = progress_clock_s() - start;
    r->page_at_s = progress_clock_s() + fmax(2, 20 * cost);
}
