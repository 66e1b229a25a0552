#include "result.h"

#include "baselines.h"
#include "core/file.h"
#include "core/io/jsonl.h"
#include "core/mem.h"
#include "core/publish.h"
#include "samples.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

static const char *const criteria[] = {"fluent", "kind", "length", "thing", "same", "all"};
static const char *const criteria_words[] = {"fluent",      "kind ending",         "asked length",
                                             "asked thing", "same hero and thing", "all asked"};
#define N_CRITERIA 6

static bool criterion(const Verdict *v, int k) {
    const bool values[N_CRITERIA] = {v->fluent, v->kind, v->length, v->thing, v->same, v->all};
    return values[k];
}

/* Wilson's score interval of a share (Wilson 1927). */
static Json *share_json(double hits, double n) {
    double z = 1.959963984540054, p = n > 0 ? hits / n : 0.0, zz = z * z / n;
    double middle = (p + zz / 2.0) / (1.0 + zz),
           half = z / (1.0 + zz) * sqrt(p * (1.0 - p) / n + zz / (4.0 * n));
    Json *j = json_new_object();
    json_set(j, "mean", json_new_num(p));
    json_set(j, "low", json_new_num(middle - half));
    json_set(j, "high", json_new_num(middle + half));
    return j;
}

static int64_t count_words(const char *s) {
    int64_t n = 0;
    for (bool in = false; *s; s++) {
        bool word = isalnum((unsigned char)*s) != 0;
        n += word && !in;
        in = word;
    }
    return n;
}

/* Different pairs of neighbouring words over all pairs of neighbouring words (Li et al. 2016). */
static double distinct2(const Samples *s) {
    enum { BUCKETS = 1 << 16 };
    uint8_t *seen = mem_zalloc(BUCKETS, 1);
    double different = 0.0, all = 0.0;
    for (int64_t i = 0; i < s->n; i++) {
        const char *first = NULL;
        for (const char *c = s->items[i].text; *c; c++) {
            if (*c != ' ' && c != s->items[i].text) continue;
            const char *word = *c == ' ' ? c + 1 : c, *end = strchr(word, ' ');
            if (first) {
                char *pair = mem_strndup(first, end ? (size_t)(end - first) : strlen(first));
                uint8_t *bucket = &seen[rng_hash_name(pair) % BUCKETS];
                different += !*bucket;
                *bucket = 1;
                all += 1.0;
                mem_free(pair);
            }
            first = word;
        }
    }
    mem_free(seen);
    return all > 0.0 ? different / all : 0.0;
}

static Json *set_figures(const Samples *s) {
    Json *j = json_new_object();
    double words = 0.0, n = (double)s->n;
    for (int k = 0; k < N_CRITERIA; k++) {
        double hits = 0.0;
        for (int64_t i = 0; i < s->n; i++) hits += criterion(&s->items[i].verdict, k);
        json_set(j, criteria[k], share_json(hits, n));
    }
    for (int64_t i = 0; i < s->n; i++) words += (double)count_words(s->items[i].text);
    json_set(j, "words", json_new_num(words / n));
    json_set(j, "distinct2", json_new_num(distinct2(s)));
    return j;
}

static Json *set_texts(const Samples *s) {
    Json *list = json_new_array();
    for (int64_t i = 0; i < s->n; i++) {
        Json *row = json_new_object();
        json_set(row, "prompt", json_new_str(s->items[i].prompt));
        json_set(row, "text", json_new_str(s->items[i].text));
        for (int k = 0; k < N_CRITERIA; k++)
            json_set(row, criteria[k], json_new_bool(criterion(&s->items[i].verdict, k)));
        json_push(list, row);
    }
    return list;
}

/* Of each `best_of` rows that follow one another the one with the highest score. */
static Status keep_best(Samples *s, const char *scores, int best_of) {
    Jsonl *in = NULL;
    TRY(jsonl_open(&in, scores));
    Status st = jsonl_rows(in) == s->n
                    ? OK
                    : status_fail(ERR_DATA, "%s: %lld scores for %lld samples", scores,
                                  (long long)jsonl_rows(in), (long long)s->n);
    Samples best = {.items = mem_zalloc((size_t)s->n + 1, sizeof *best.items)};
    double top = 0.0;
    for (int64_t i = 0; i < s->n && st == OK; i++) {
        Json *row = NULL;
        double score = 0.0;
        st = jsonl_parse(&row, in, i);
        if (st == OK) st = json_want_num(&score, row, "score", scores);
        json_free(row);
        bool first = i % best_of == 0;
        if (first) best.n++;
        if (!first && score <= top) continue;
        top = score;
        best.items[best.n - 1] = s->items[i];
    }
    for (int64_t i = 0; i < best.n; i++) {
        best.items[i].prompt = mem_strdup(best.items[i].prompt);
        best.items[i].text = mem_strdup(best.items[i].text);
    }
    jsonl_close(in);
    samples_free(s);
    *s = best;
    return st;
}

/* The last value of a metric in a run's metrics.jsonl; NaN when there is none. */
static double last_metric(const char *run, const char *name) {
    char *path = file_join(run, "metrics.jsonl");
    Jsonl *in = NULL;
    double value = NAN;
    if (jsonl_open(&in, path) == OK) {
        for (int64_t i = jsonl_rows(in) - 1; i >= 0 && isnan(value); i--) {
            Json *row = NULL;
            if (jsonl_parse(&row, in, i) == OK && json_is_num(json_get(row, name)))
                value = json_num(json_get(row, name));
            json_free(row);
        }
    }
    jsonl_close(in);
    mem_free(path);
    return value;
}

static Json *point(double x, double y) {
    Json *p = json_new_array();
    json_push(p, json_new_num(x));
    json_push(p, json_new_num(y));
    return p;
}

static Json *series(const char *name, const char *axis, Json *points) {
    Json *s = json_new_object();
    json_set(s, "name", json_new_str(name));
    json_set(s, "axis", json_new_str(axis));
    json_set(s, "points", points);
    return s;
}

/* KL of step `step` in metrics.jsonl, or NaN. */
static double kl_at(const Jsonl *metrics, int64_t step) {
    for (int64_t i = 0; i < jsonl_rows(metrics); i++) {
        Json *row = NULL;
        double kl = NAN;
        if (jsonl_parse(&row, metrics, i) == OK && json_is_num(json_get(row, "objective/kl")) &&
            json_int(json_get(row, "step")) == step)
            kl = json_num(json_get(row, "objective/kl"));
        json_free(row);
        if (!isnan(kl)) return kl;
    }
    return NAN;
}

/* The judge's share of good samples at each step of samples.jsonl against that step's KL. */
static Json *judge_points(const char *run, const Jsonl *metrics) {
    Json *points = json_new_array();
    char *path = file_join(run, "samples.jsonl");
    Jsonl *in = NULL;
    double hits = 0.0, n = 0.0;
    int64_t step = -1;
    if (jsonl_open(&in, path) != OK) goto out;
    for (int64_t i = 0; i <= jsonl_rows(in); i++) {
        Json *row = NULL;
        bool last = i == jsonl_rows(in);
        if (!last && jsonl_parse(&row, in, i) != OK) break;
        int64_t at = last ? -2 : json_int(json_get(row, "step"));
        if (at != step && n > 0.0) {
            double kl = kl_at(metrics, step + 1);
            if (!isnan(kl)) json_push(points, point(kl, hits / n));
            hits = n = 0.0;
        }
        step = at;
        if (!last) {
            Verdict v = judge(json_str(json_get(row, "query"), NULL),
                              json_str(json_get(row, "model response"), NULL));
            hits += v.all;
            n += 1.0;
        }
        json_free(row);
    }
out:
    jsonl_close(in);
    mem_free(path);
    return points;
}

static Json *kl_curve(const char *run) {
    char *path = file_join(run, "metrics.jsonl");
    Jsonl *in = NULL;
    Json *curve = json_new_object(), *list = json_new_array(), *proxy = json_new_array();
    json_set(curve, "x", json_new_str("KL to the SFT model (nats a story)"));
    if (jsonl_open(&in, path) == OK) {
        for (int64_t i = 0; i < jsonl_rows(in); i++) {
            Json *row = NULL;
            if (jsonl_parse(&row, in, i) == OK && json_is_num(json_get(row, "objective/kl")))
                json_push(proxy, point(json_num(json_get(row, "objective/kl")),
                                       json_num(json_get(row, "objective/scores"))));
            json_free(row);
        }
        json_push(list, series("judge: all asked", "left", judge_points(run, in)));
    }
    json_push(list, series("reward model's score", "right", proxy));
    json_set(curve, "series", list);
    jsonl_close(in);
    mem_free(path);
    return curve;
}

static Json *page_table(const ResultOptions *o, const Json *figures) {
    Json *table = json_new_object(), *columns = json_new_array(), *rows = json_new_array();
    json_push(columns, json_new_str(""));
    for (int i = 0; i < o->n_sets; i++) json_push(columns, json_new_str(o->sets[i].name));
    for (int k = N_CRITERIA - 1; k >= 0; k--) {
        Json *row = json_new_array();
        json_push(row, json_new_str(criteria_words[k]));
        for (int i = 0; i < o->n_sets; i++)
            json_push(row, json_clone(json_get(json_get(figures, o->sets[i].name), criteria[k])));
        json_push(rows, row);
    }
    static const char *const others[] = {"words", "distinct2"};
    for (int k = 0; k < 2; k++) {
        Json *row = json_new_array();
        json_push(row, json_new_str(others[k]));
        for (int i = 0; i < o->n_sets; i++)
            json_push(row, json_clone(json_get(json_get(figures, o->sets[i].name), others[k])));
        json_push(rows, row);
    }
    json_set(table, "columns", columns);
    json_set(table, "rows", rows);
    return table;
}

#define PAGE_SAMPLES 6
#define PAGE_SETS 4 /* side by side on a screen: the first sets that were given */

static Json *page_samples(const ResultOptions *o, const Samples *sets) {
    int n_sets = o->n_sets < PAGE_SETS ? o->n_sets : PAGE_SETS;
    Json *samples = json_new_object(), *columns = json_new_array(), *rows = json_new_array();
    for (int i = 0; i < n_sets; i++) json_push(columns, json_new_str(o->sets[i].name));
    for (int64_t r = 0; r < PAGE_SAMPLES && r < sets[0].n; r++) {
        Json *row = json_new_object(), *texts = json_new_array(), *notes = json_new_array();
        json_set(row, "prompt", json_new_str(sets[0].items[r].prompt));
        for (int i = 0; i < n_sets; i++) {
            bool there = r < sets[i].n;
            json_push(texts, json_new_str(there ? sets[i].items[r].text : ""));
            json_push(notes,
                      json_new_str(there && sets[i].items[r].verdict.all ? "all asked" : ""));
        }
        json_set(row, "texts", texts);
        json_set(row, "notes", notes);
        json_push(rows, row);
    }
    json_set(samples, "columns", columns);
    json_set(samples, "rows", rows);
    return samples;
}

static Status add_reward(Json *figures, const ResultOptions *o) {
    Baselines b;
    TRY(baselines_measure(&b, o->train_pairs, o->clean_pairs));
    Json *reward = json_new_object();
    json_set(reward, "accuracy", json_new_num(last_metric(o->reward_run, "eval_accuracy")));
    json_set(reward, "longer_wins", json_new_num(b.longer_wins));
    json_set(reward, "bag_of_words", json_new_num(b.bag_of_words));
    json_set(figures, "reward", reward);
    return OK;
}

Status result_write(const ResultOptions *o) {
    Samples sets[RESULT_MAX_SETS] = {{0}};
    Json *result = json_new_object(), *figures = json_new_object(), *texts = json_new_object();
    Status st = OK;
    Str out = {0};
    for (int i = 0; i < o->n_sets; i++) {
        TRY_GOTO(samples_read(&sets[i], o->sets[i].path), st, out);
        if (o->sets[i].scores)
            TRY_GOTO(keep_best(&sets[i], o->sets[i].scores, o->best_of), st, out);
        json_set(figures, o->sets[i].name, set_figures(&sets[i]));
        json_set(texts, o->sets[i].name, set_texts(&sets[i]));
    }
    if (o->reward_run) TRY_GOTO(add_reward(figures, o), st, out);
    if (o->ppo_run) {
        Json *ppo = json_new_object();
        json_set(ppo, "kl", json_new_num(last_metric(o->ppo_run, "objective/kl")));
        json_set(figures, "ppo", ppo);
        json_set(result, "kl_curve", kl_curve(o->ppo_run));
    }
    json_set(result, "table", page_table(o, figures));
    json_set(result, "samples", page_samples(o, sets));
    json_set(result, "figures", json_clone(figures));
    json_set(result, "texts", json_clone(texts));
    json_dump(&out, result, 1);
    st = publish_bytes(o->output, str_text(&out), out.len);
out:
    for (int i = 0; i < o->n_sets; i++) samples_free(&sets[i]);
    json_free(result);
    json_free(figures);
    json_free(texts);
    str_free(&out);
    return st;
}
