#include "result.h"

#include "baselines.h"
#include "core/io/jsonl.h"
#include "core/mem.h"
#include "core/publish.h"
#include "figures.h"
#include "kl_curve.h"

#include <stdio.h>
#include <string.h>

/* ---- options ------------------------------------------------------------------------------- */

/* "NAME=REST" */
static Status split_name(char **name, const char **rest, const char *text) {
    const char *equals = strchr(text, '=');
    if (!equals || equals == text || !equals[1])
        return status_fail(ERR_USAGE, "storyworld result: `%s` is not NAME=FILE", text);
    *name = mem_strndup(text, (size_t)(equals - text));
    *rest = equals + 1;
    return OK;
}

Status result_add_set(ResultOptions *o, const char *text) {
    if (o->n_sets == RESULT_MAX_SETS)
        return status_fail(ERR_USAGE, "storyworld result: more than %d sets", RESULT_MAX_SETS);
    ResultSet *set = &o->sets[o->n_sets];
    const char *files = NULL;
    TRY(split_name(&set->name, &files, text));
    const char *comma = strrchr(files, ',');
    set->path = comma ? mem_strndup(files, (size_t)(comma - files)) : mem_strdup(files);
    set->scores = comma ? mem_strdup(comma + 1) : NULL;
    o->n_sets++;
    return OK;
}

Status result_add_run(ResultOptions *o, const char *text) {
    if (o->n_runs == RESULT_MAX_RUNS)
        return status_fail(ERR_USAGE, "storyworld result: more than %d runs", RESULT_MAX_RUNS);
    const char *folder = NULL;
    TRY(split_name(&o->runs[o->n_runs].name, &folder, text));
    o->runs[o->n_runs++].folder = mem_strdup(folder);
    return OK;
}

void result_options_free(ResultOptions *o) {
    for (int i = 0; i < o->n_sets; i++) {
        mem_free(o->sets[i].name);
        mem_free(o->sets[i].path);
        mem_free(o->sets[i].scores);
    }
    for (int i = 0; i < o->n_runs; i++) {
        mem_free(o->runs[i].name);
        mem_free(o->runs[i].folder);
    }
}

/* ---- reading ------------------------------------------------------------------------------- */

static Status read_scores(double *scores, int64_t n, const char *path) {
    Jsonl *in = NULL;
    TRY(jsonl_open(&in, path));
    Status st = jsonl_rows(in) == n ? OK
                                    : status_fail(ERR_DATA, "%s: %lld scores for %lld samples",
                                                  path, (long long)jsonl_rows(in), (long long)n);
    for (int64_t i = 0; i < n && st == OK; i++) {
        Json *row = NULL;
        st = jsonl_parse(&row, in, i);
        if (st == OK) st = json_want_num(&scores[i], row, "score", path);
        json_free(row);
    }
    jsonl_close(in);
    return st;
}

static void swap(Sample *a, Sample *b) {
    Sample t = *a;
    *a = *b;
    *b = t;
}

/* Of each `best_of` rows that follow one another the one with the highest score. */
static Status keep_best(Samples *s, const char *path, int64_t best_of) {
    if (best_of < 1 || s->n % best_of != 0)
        return status_fail(ERR_DATA, "%s: %lld samples are not %lld of each request", path,
                           (long long)s->n, (long long)best_of);
    double *scores = mem_zalloc((size_t)s->n + 1, sizeof *scores);
    Status st = read_scores(scores, s->n, path);
    for (int64_t i = 0; i < s->n / best_of && st == OK; i++) {
        int64_t best = i * best_of;
        for (int64_t k = best + 1; k < (i + 1) * best_of; k++)
            if (scores[k] > scores[best]) best = k;
        swap(&s->items[i], &s->items[best]);
    }
    mem_free(scores);
    if (st == OK) samples_keep(s, s->n / best_of);
    return st;
}

static Status read_set(Samples *out, const ResultSet *set, int64_t best_of) {
    TRY(samples_read(out, set->path));
    return set->scores ? keep_best(out, set->scores, best_of) : OK;
}

/* ---- parts of the file --------------------------------------------------------------------- */

static Json *set_texts(const Samples *s) {
    Json *list = json_new_array();
    for (int64_t i = 0; i < s->n; i++) {
        Json *row = json_new_object();
        json_set(row, "prompt", json_new_str(s->items[i].prompt));
        json_set(row, "text", json_new_str(s->items[i].text));
        figures_add_verdict(row, &s->items[i].verdict);
        json_push(list, row);
    }
    return list;
}

static Json *table_row(const ResultOptions *o, const Json *figures, const char *key,
                       const char *words) {
    Json *row = json_new_array();
    json_push(row, json_new_str(words));
    for (int i = 0; i < o->n_sets; i++)
        json_push(row, json_clone(json_get(json_get(figures, o->sets[i].name), key)));
    return row;
}

static Json *page_table(const ResultOptions *o, const Json *figures) {
    Json *table = json_new_object(), *columns = json_new_array(), *rows = json_new_array();
    json_push(columns, json_new_str(""));
    for (int i = 0; i < o->n_sets; i++) json_push(columns, json_new_str(o->sets[i].name));
    for (const Criterion *c = criteria; c->key; c++)
        json_push(rows, table_row(o, figures, c->key, c->words));
    json_push(rows, table_row(o, figures, "words", "words"));
    json_push(rows, table_row(o, figures, "distinct2", "distinct-2"));
    json_set(table, "columns", columns);
    json_set(table, "rows", rows);
    return table;
}

#define PAGE_SAMPLES 6
#define PAGE_SETS 4 /* side by side on a screen: the first sets that were given */

static Json *page_sample(const Samples *sets, int n_sets, int64_t r) {
    Json *row = json_new_object(), *texts = json_new_array(), *notes = json_new_array();
    json_set(row, "prompt", json_new_str(sets[0].items[r].prompt));
    for (int i = 0; i < n_sets; i++) {
        const Sample *s = r < sets[i].n ? &sets[i].items[r] : NULL;
        json_push(texts, json_new_str(s ? s->text : ""));
        json_push(notes, json_new_str(s && s->verdict.all ? "all asked" : ""));
    }
    json_set(row, "texts", texts);
    json_set(row, "notes", notes);
    return row;
}

static Json *page_samples(const ResultOptions *o, const Samples *sets) {
    int n_sets = o->n_sets < PAGE_SETS ? o->n_sets : PAGE_SETS;
    Json *samples = json_new_object(), *columns = json_new_array(), *rows = json_new_array();
    for (int i = 0; i < n_sets; i++) json_push(columns, json_new_str(o->sets[i].name));
    for (int64_t r = 0; r < PAGE_SAMPLES && n_sets > 0 && r < sets[0].n; r++)
        json_push(rows, page_sample(sets, n_sets, r));
    json_set(samples, "columns", columns);
    json_set(samples, "rows", rows);
    return samples;
}

static Status add_reward(Json *figures, const ResultOptions *o) {
    if (!o->train_pairs || !o->clean_pairs)
        return status_fail(ERR_USAGE, "storyworld result: --reward-run needs --train-pairs and "
                                      "--clean-pairs");
    Baselines b;
    TRY(baselines_measure(&b, o->train_pairs, o->clean_pairs));
    Json *reward = json_new_object();
    json_set(reward, "accuracy", json_new_num(kl_curve_last(o->reward_run, "eval_accuracy")));
    json_set(reward, "longer_wins", json_new_num(b.longer_wins));
    json_set(reward, "bag_of_words", json_new_num(b.bag_of_words));
    json_set(figures, "reward", reward);
    return OK;
}

static void add_runs(Json *result, Json *figures, const ResultOptions *o) {
    Json *runs = json_new_object(), *curve = kl_curve_new();
    for (int i = 0; i < o->n_runs; i++) {
        const ResultRun *r = &o->runs[i];
        Json *run = json_new_object();
        json_set(run, "kl", json_new_num(kl_curve_last(r->folder, "objective/kl")));
        json_set(run, "score", json_new_num(kl_curve_last(r->folder, "objective/scores")));
        json_set(runs, r->name, run);
        char *prefix = o->n_runs > 1 ? str_format("%s: ", r->name) : mem_strdup("");
        kl_curve_add(curve, r->folder, prefix);
        mem_free(prefix);
    }
    json_set(figures, "runs", runs);
    json_set(result, "kl_curve", curve);
}

Status result_write(const ResultOptions *o) {
    Samples sets[RESULT_MAX_SETS] = {{0}};
    Json *result = json_new_object(), *figures = json_new_object(), *texts = json_new_object();
    Status st = OK;
    Str out = {0};
    for (int i = 0; i < o->n_sets; i++) {
        TRY_GOTO(read_set(&sets[i], &o->sets[i], o->best_of), st, out);
        json_set(figures, o->sets[i].name, figures_of(&sets[i]));
        json_set(texts, o->sets[i].name, set_texts(&sets[i]));
    }
    if (o->reward_run) TRY_GOTO(add_reward(figures, o), st, out);
    if (o->n_runs > 0) add_runs(result, figures, o);
    json_set(result, "table", page_table(o, figures));
    json_set(result, "samples", page_samples(o, sets));
    json_set(result, "figures", json_clone(figures));
    json_set(result, "texts", json_clone(texts));
    json_dump(&out, result, 1);
    str_append_char(&out, '\n');
    if (str_equal(o->output, "-"))
        fputs(str_text(&out), stdout);
    else
        st = publish_bytes(o->output, str_text(&out), out.len);
out:
    for (int i = 0; i < o->n_sets; i++) samples_free(&sets[i]);
    json_free(result);
    json_free(figures);
    json_free(texts);
    str_free(&out);
    return st;
}

/* ---- judging alone ------------------------------------------------------------------------- */

Status result_judge(const char *samples, const char *output) {
    Samples s = {0};
    JsonlWriter *w = NULL;
    Status st = OK;
    TRY_GOTO(samples_read(&s, samples), st, out);
    TRY_GOTO(jsonl_writer_open(&w, output, 0), st, out);
    for (int64_t i = 0; i < s.n && st == OK; i++) {
        Json *row = json_new_object();
        json_set(row, "prompt", json_new_str(s.items[i].prompt));
        json_set(row, "completion", json_new_str(s.items[i].text));
        figures_add_verdict(row, &s.items[i].verdict);
        st = jsonl_write(w, row);
        json_free(row);
    }
    for (const Criterion *c = criteria; c->key && st == OK; c++) {
        int64_t hits = 0;
        for (int64_t i = 0; i < s.n; i++) hits += c->holds(&s.items[i].verdict);
        fprintf(stderr, "%-20s %.3f\n", c->words, (double)hits / (double)(s.n > 0 ? s.n : 1));
    }
out:
    samples_free(&s);
    jsonl_writer_close(w);
    return st;
}
