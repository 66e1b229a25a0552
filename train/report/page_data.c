#include "train/report/page_data.h"

#include "core/file.h"
#include "core/io/jsonl.h"
#include "core/mem.h"
#include "core/str.h"

#include <math.h>

#define MAX_SAMPLES 12 /* of the first step, and of the last */

/* ---- JSON that may be anything ------------------------------------------------------------- */

const char *page_str(const Json *object, const char *key) {
    const Json *j = json_get(object, key);
    return json_is(j, JSON_KIND_STRING) ? json_str(j, NULL) : "";
}

double page_num(const Json *object, const char *key) {
    const Json *j = json_get(object, key);
    return json_is_num(j) ? json_num(j) : NAN;
}

/* ---- metrics.jsonl ------------------------------------------------------------------------- */

static PageSeries *series_of(PageRunData *run, const char *name) {
    for (int i = 0; i < run->n_series; i++)
        if (str_equal(run->series[i].name, name)) return &run->series[i];
    if (run->n_series == run->cap_series) {
        run->cap_series = run->cap_series > 0 ? 2 * run->cap_series : 32;
        run->series = mem_realloc(run->series, (size_t)run->cap_series, sizeof(PageSeries));
    }
    PageSeries *s = &run->series[run->n_series++];
    *s = (PageSeries){.name = mem_strdup(name)};
    return s;
}

static void add_point(PageSeries *s, double step, double value) {
    if (s->n == s->cap) {
        s->cap = s->cap > 0 ? 2 * s->cap : 64;
        s->step = mem_realloc(s->step, (size_t)s->cap, sizeof(double));
        s->value = mem_realloc(s->value, (size_t)s->cap, sizeof(double));
    }
    s->step[s->n] = step;
    s->value[s->n++] = value;
}

static void add_row(PageRunData *run, const Json *row) {
    double step = page_num(row, "step");
    const char *key;
    Json *value;
    if (isnan(step)) return;
    for (JsonIter it = {0}; json_next(row, &it, &key, &value);)
        if (json_is_num(value) && !str_equal(key, "step"))
            add_point(series_of(run, key), step, json_num(value));
}

/* Calls `fn` for every row that can be read; the last may be half written. */
static void each_row(const char *folder, const char *name, void (*fn)(PageRunData *, const Json *),
                     PageRunData *run) {
    char *path = file_join(folder, name);
    Jsonl *rows = NULL;
    if (file_is_regular(path) && jsonl_open(&rows, path) == OK) {
        for (int64_t i = 0; i < jsonl_rows(rows); i++) {
            Json *row = NULL;
            if (jsonl_parse(&row, rows, i) == OK) fn(run, row);
            json_free(row);
        }
        jsonl_close(rows);
    }
    mem_free(path);
}

/* ---- samples.jsonl ------------------------------------------------------------------------- */

static int64_t count_step(const Json *list, double step) {
    int64_t n = 0;
    for (int64_t i = 0; i < json_len(list); i++)
        if (page_num(json_at(list, i), "step") == step) n++;
    return n;
}

static double step_at(const Json *list, int64_t i) {
    return page_num(json_at(list, i), "step");
}

/* Keeps the first step's rows at the front; a later step replaces what stands behind them. */
static void add_sample(PageRunData *run, const Json *row) {
    double step = page_num(row, "step");
    int64_t n = json_len(run->samples);
    double first = n > 0 ? step_at(run->samples, 0) : step;
    if (n > 0 && step != first && step_at(run->samples, n - 1) != step) {
        Json *kept = json_new_array();
        for (int64_t i = 0; i < n; i++)
            if (step_at(run->samples, i) == first)
                json_push(kept, json_clone(json_at(run->samples, i)));
        json_free(run->samples);
        run->samples = kept;
    }
    if (count_step(run->samples, step) < MAX_SAMPLES) json_push(run->samples, json_clone(row));
}

/* ---- a folder ------------------------------------------------------------------------------ */

static void read_run(PageRunData *out, const PageRun *in) {
    *out = (PageRunData){.folder = mem_strdup(in->folder), .samples = json_new_array()};
    char *path = file_join(in->folder, "run.json");
    if (!file_is_regular(path) || json_read_file(&out->info, path) != OK) out->info = NULL;
    mem_free(path);
    const char *stage = in->stage != NULL ? in->stage : page_str(out->info, "stage");
    out->stage = mem_strdup(stage[0] != '\0' ? stage : file_name(in->folder));
    double seed = page_num(out->info, "seed");
    out->seed = in->seed >= 0 ? in->seed : isnan(seed) ? 0 : (int64_t)seed;
    each_row(in->folder, "metrics.jsonl", add_row, out);
    each_row(in->folder, "samples.jsonl", add_sample, out);
}

void page_data_read(PageData *out, const PageInput *in) {
    *out = (PageData){.n_runs = in->n_runs};
    out->runs = mem_zalloc((size_t)in->n_runs + 1, sizeof(PageRunData));
    for (int i = 0; i < in->n_runs; i++) read_run(&out->runs[i], &in->runs[i]);
}

void page_data_free(PageData *d) {
    for (int i = 0; i < d->n_runs; i++) {
        PageRunData *run = &d->runs[i];
        for (int k = 0; k < run->n_series; k++) {
            mem_free(run->series[k].name);
            mem_free(run->series[k].step);
            mem_free(run->series[k].value);
        }
        mem_free(run->series);
        mem_free(run->folder);
        mem_free(run->stage);
        json_free(run->info);
        json_free(run->samples);
    }
    mem_free(d->runs);
    *d = (PageData){0};
}

const PageSeries *page_series(const PageRunData *run, const char *name) {
    for (int i = 0; i < run->n_series; i++)
        if (str_equal(run->series[i].name, name)) return &run->series[i];
    return NULL;
}

double page_last(const PageRunData *run, const char *name) {
    const PageSeries *s = page_series(run, name);
    return s != NULL && s->n > 0 ? s->value[s->n - 1] : NAN;
}
