#include "kl_curve.h"

#include "core/file.h"
#include "core/io/jsonl.h"
#include "core/mem.h"
#include "core/str.h"
#include "judge.h"

#include <math.h>

/* A file of a run; NULL when it cannot be read: the curve then has no such points. */
static Jsonl *open_rows(const char *run, const char *name) {
    char *path = file_join(run, name);
    Jsonl *rows = NULL;
    if (jsonl_open(&rows, path) != OK) rows = NULL;
    mem_free(path);
    return rows;
}

static Json *row_at(const Jsonl *rows, int64_t i) {
    Json *row = NULL;
    return jsonl_parse(&row, rows, i) == OK ? row : NULL;
}

static double number(const Json *row, const char *key) {
    const Json *value = json_get(row, key);
    return json_is_num(value) ? json_num(value) : NAN;
}

double kl_curve_last(const char *run, const char *metric) {
    Jsonl *rows = open_rows(run, "metrics.jsonl");
    double value = NAN;
    for (int64_t i = rows ? jsonl_rows(rows) - 1 : -1; i >= 0 && isnan(value); i--) {
        Json *row = row_at(rows, i);
        value = number(row, metric);
        json_free(row);
    }
    jsonl_close(rows);
    return value;
}

static void add_point(Json *points, double x, double y) {
    if (isnan(x) || isnan(y)) return;
    Json *p = json_new_array();
    json_push(p, json_new_num(x));
    json_push(p, json_new_num(y));
    json_push(points, p);
}

static void add_series(Json *curve, const char *prefix, const char *name, const char *axis,
                       Json *points) {
    Json *s = json_new_object();
    char *full = str_format("%s%s", prefix, name);
    json_set(s, "name", json_new_str(full));
    json_set(s, "axis", json_new_str(axis));
    json_set(s, "points", points);
    json_push(json_get(curve, "series"), s);
    mem_free(full);
}

/* KL of step `step`, or NaN. */
static double kl_at(const Jsonl *metrics, double step) {
    double kl = NAN;
    for (int64_t i = 0; metrics && i < jsonl_rows(metrics) && isnan(kl); i++) {
        Json *row = row_at(metrics, i);
        if (number(row, "step") == step) kl = number(row, "objective/kl");
        json_free(row);
    }
    return kl;
}

/* The share of good samples at each step of samples.jsonl against that step's KL. */
static Json *judge_points(const Jsonl *samples, const Jsonl *metrics) {
    Json *points = json_new_array();
    double hits = 0.0, n = 0.0, step = NAN;
    int64_t n_rows = samples ? jsonl_rows(samples) : 0;
    for (int64_t i = 0; i <= n_rows; i++) {
        Json *row = i < n_rows ? row_at(samples, i) : NULL;
        double at = number(row, "step");
        if (at != step && n > 0.0) { /* samples of update s are those after it: logged as s + 1 */
            add_point(points, kl_at(metrics, step + 1.0), hits / n);
            hits = n = 0.0;
        }
        step = at;
        const Json *query = json_get(row, "query"), *response = json_get(row, "model response");
        if (json_is(query, JSON_KIND_STRING) && json_is(response, JSON_KIND_STRING)) {
            hits += judge(json_str(query, NULL), json_str(response, NULL)).all;
            n += 1.0;
        }
        json_free(row);
    }
    return points;
}

static Json *score_points(const Jsonl *metrics) {
    Json *points = json_new_array();
    for (int64_t i = 0; metrics && i < jsonl_rows(metrics); i++) {
        Json *row = row_at(metrics, i);
        add_point(points, number(row, "objective/kl"), number(row, "objective/scores"));
        json_free(row);
    }
    return points;
}

Json *kl_curve_new(void) {
    Json *curve = json_new_object();
    json_set(curve, "x", json_new_str("KL to the SFT model (nats a story)"));
    json_set(curve, "series", json_new_array());
    return curve;
}

void kl_curve_add(Json *curve, const char *run, const char *prefix) {
    Jsonl *metrics = open_rows(run, "metrics.jsonl"), *samples = open_rows(run, "samples.jsonl");
    add_series(curve, prefix, "judge: all asked", "left", judge_points(samples, metrics));
    add_series(curve, prefix, "reward model's score", "right", score_points(metrics));
    jsonl_close(samples);
    jsonl_close(metrics);
}
