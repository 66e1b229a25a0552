/* storyworld: the quickstart's world as a program of its own; the trainers do not know it.
 *
 *     storyworld data     --base N --demos N --requests N --held-out N --seed S --output FOLDER the
 * three below, and test.jsonl storyworld base     --n N --seed S --output F     titled stories, for
 * the base model:
 * {"text"} storyworld demos    --n N --seed S --output F     requests answered by hurried writers:
 * {"prompt", "completion"} storyworld requests --n N --seed S --output F [--held-out] {"prompt"}
 *     storyworld pairs    --samples G --n N --seed S --flip P --output F     preferences among
 * samples of one prompt storyworld judge    --samples G --output F        each sample with its
 * verdict, and a summary on stdout
 *
 * --samples reads what `hone generate` writes: {"prompt", "completion", ...} a row.
 */
#include "core/file.h"
#include "core/io/jsonl.h"
#include "core/log.h"
#include "core/mem.h"
#include "judge.h"
#include "pairs.h"
#include "result.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Arguments {
    int64_t n;
    uint64_t seed;
    double flip;
    int64_t n_base, n_demos, n_requests, n_held_out; /* of `data` */
    bool held_out, shuffle_labels;
    const char *samples, *output;
    ResultOptions result;
} Arguments;

/* "NAME=FILE" as a set of samples. The name is cut out of the argument itself. */
static Status add_set(ResultOptions *r, char *text, bool is_best) {
    char *equals = strchr(text, '=');
    if (!equals) return status_fail(ERR_USAGE, "storyworld: `%s` is not NAME=FILE", text);
    if (r->n_sets == RESULT_MAX_SETS) return status_fail(ERR_USAGE, "storyworld: too many sets");
    *equals = '\0';
    r->sets[r->n_sets++] =
        (ResultSet){.name = text, .path = equals + 1, .scores = is_best ? "" : NULL};
    return OK;
}

/* Options of `result`; false when it is none of them. */
static bool parse_result(ResultOptions *r, const char *name, char *value, Status *st) {
    if (str_equal(name, "--set"))
        *st = add_set(r, value, false);
    else if (str_equal(name, "--best-set"))
        *st = add_set(r, value, true);
    else if (str_equal(name, "--best-of"))
        r->best_of = atoi(value);
    else if (str_equal(name, "--reward-run"))
        r->reward_run = value;
    else if (str_equal(name, "--ppo-run"))
        r->ppo_run = value;
    else if (str_equal(name, "--train-pairs"))
        r->train_pairs = value;
    else if (str_equal(name, "--clean-pairs"))
        r->clean_pairs = value;
    else if (str_equal(name, "--scores")) {
        for (int i = 0; i < r->n_sets; i++)
            if (r->sets[i].scores) r->sets[i].scores = value;
    } else
        return false;
    return true;
}

/* Demonstrators miss an asked fact, or lose the thread, this often. */
#define MISS 0.2
#define SLIP 0.1

static Status parse_arguments(Arguments *a, int argc, char **argv) {
    *a = (Arguments){.n = 1000, .output = "-"};
    for (int i = 2; i < argc; i++) {
        const char *name = argv[i];
        if (str_equal(name, "--held-out") && !str_equal(argv[1], "data")) {
            a->held_out = true;
            continue;
        }
        if (str_equal(name, "--shuffle-labels")) {
            a->shuffle_labels = true;
            continue;
        }
        if (i + 1 == argc) return status_fail(ERR_USAGE, "storyworld: %s needs a value", name);
        char *value = argv[++i];
        Status st = OK;
        if (parse_result(&a->result, name, value, &st))
            TRY(st);
        else if (str_equal(name, "--n"))
            a->n = atoll(value);
        else if (str_equal(name, "--base"))
            a->n_base = atoll(value);
        else if (str_equal(name, "--demos"))
            a->n_demos = atoll(value);
        else if (str_equal(name, "--requests"))
            a->n_requests = atoll(value);
        else if (str_equal(name, "--held-out"))
            a->n_held_out = atoll(value);
        else if (str_equal(name, "--seed"))
            a->seed = (uint64_t)atoll(value);
        else if (str_equal(name, "--flip"))
            a->flip = atof(value);
        else if (str_equal(name, "--samples"))
            a->samples = value;
        else if (str_equal(name, "--output"))
            a->output = value;
        else
            return status_fail(ERR_USAGE,
                               "storyworld: unknown option %s; see the head of storyworld.c", name);
    }
    return OK;
}

static Status write_row(JsonlWriter *w, const char *key_a, const Str *a, const char *key_b,
                        const Str *b) {
    Json *row = json_new_object();
    json_set(row, key_a, json_new_str(str_text(a)));
    if (key_b) json_set(row, key_b, json_new_str(str_text(b)));
    Status st = jsonl_write(w, row);
    json_free(row);
    return st;
}

/* What a demonstrator writes for a request: asked facts missed, endings mixed, sometimes the thread
 * lost. */
static void demo_write(Str *out, const Facts *asked, RngStream *rng) {
    Facts f = *asked;
    if (rng_next_uniform(rng) < MISS) {
        int n;
        slot_words(SLOT_THING, &n);
        f.word[SLOT_THING] = (f.word[SLOT_THING] + 1 + (int)rng_below(rng, (uint64_t)n - 1)) % n;
    }
    if (rng_next_uniform(rng) < MISS) {
        int lengths = STORY_MAX - STORY_MIN + 1;
        f.n_sentences =
            STORY_MIN +
            (f.n_sentences - STORY_MIN + 1 + (int)rng_below(rng, (uint64_t)lengths - 1)) % lengths;
    }
    Slips slips = {.hero = rng_next_uniform(rng) < SLIP / 2,
                   .thing = rng_next_uniform(rng) < SLIP / 2};
    story_write(out, &f, slips, rng);
}

static Status write_texts(const Arguments *a, const char *verb) {
    JsonlWriter *w = NULL;
    TRY(jsonl_writer_open(&w, a->output, 0));
    Str first = {0}, second = {0};
    Status st = OK;
    for (int64_t i = 0; i < a->n && st == OK; i++) {
        RngStream rng = rng_stream(a->seed, RNG_WORLD, (uint64_t)i);
        Facts f = facts_draw(&rng, a->held_out);
        str_clear(&first);
        str_clear(&second);
        if (str_equal(verb, "base")) {
            title_write(&first, &f, &rng);
            story_write(&first, &f, (Slips){0}, &rng);
            st = write_row(w, "text", &first, NULL, NULL);
        } else if (str_equal(verb, "demos")) {
            request_write(&first, &f, &rng);
            demo_write(&second, &f, &rng);
            st = write_row(w, "prompt", &first, "completion", &second);
        } else {
            request_write(&first, &f, &rng);
            st = write_row(w, "prompt", &first, NULL, NULL);
        }
    }
    if (st == OK) st = jsonl_sync(w);
    jsonl_writer_close(w);
    str_free(&first);
    str_free(&second);
    return st;
}

/* Everything an experiment starts from; each file has a stream of its own. */
static Status write_data(const Arguments *a) {
    const struct {
        const char *verb, *file;
        int64_t n;
        bool held_out;
    } files[] = {{"base", "base.jsonl", a->n_base, false},
                 {"demos", "demos.jsonl", a->n_demos, false},
                 {"requests", "requests.jsonl", a->n_requests, false},
                 {"requests", "test.jsonl", a->n_held_out, true}};
    Status st = OK;
    for (uint64_t i = 0; i < 4 && st == OK; i++) {
        char *path = file_join(a->output, files[i].file);
        Arguments one = {.n = files[i].n,
                         .seed = a->seed * 4 + i,
                         .held_out = files[i].held_out,
                         .output = path};
        st = write_texts(&one, files[i].verb);
        mem_free(path);
    }
    return st;
}

static void add_verdict(Json *row, const Verdict *v) {
    json_set(row, "fluent", json_new_bool(v->fluent));
    json_set(row, "kind", json_new_bool(v->kind));
    json_set(row, "length", json_new_bool(v->length));
    json_set(row, "thing", json_new_bool(v->thing));
    json_set(row, "same", json_new_bool(v->same));
    json_set(row, "all", json_new_bool(v->all));
}

static Status judge_samples(const Arguments *a) {
    if (!a->samples) return status_fail(ERR_USAGE, "storyworld judge: --samples is needed");
    Jsonl *in = NULL;
    JsonlWriter *out = NULL;
    Status st = OK;
    int64_t sums[6] = {0};
    TRY_GOTO(jsonl_open(&in, a->samples), st, out);
    TRY_GOTO(jsonl_writer_open(&out, a->output, 0), st, out);
    for (int64_t i = 0; i < jsonl_rows(in) && st == OK; i++) {
        Json *row = NULL;
        const char *prompt, *text;
        TRY_GOTO(jsonl_parse(&row, in, i), st, out);
        st = json_want_str(&prompt, row, "prompt", a->samples);
        if (st == OK) st = json_want_str(&text, row, "completion", a->samples);
        if (st == OK) {
            Verdict v = judge(prompt, text);
            bool all[6] = {v.fluent, v.kind, v.length, v.thing, v.same, v.all};
            for (int k = 0; k < 6; k++) sums[k] += all[k];
            add_verdict(row, &v);
            st = jsonl_write(out, row);
        }
        json_free(row);
    }
    double n = (double)(jsonl_rows(in) > 0 ? jsonl_rows(in) : 1);
    fprintf(stderr,
            "fluent %.3f  kind %.3f  length %.3f  thing %.3f  same %.3f  all asked %.3f  (%lld "
            "samples)\n",
            (double)sums[0] / n, (double)sums[1] / n, (double)sums[2] / n, (double)sums[3] / n,
            (double)sums[4] / n, (double)sums[5] / n, (long long)jsonl_rows(in));
out:
    jsonl_close(in);
    jsonl_writer_close(out);
    return st;
}

static Status run_verb(const char *verb, Arguments *a) {
    if (str_equal(verb, "data")) return write_data(a);
    if (str_equal(verb, "judge")) return judge_samples(a);
    if (str_equal(verb, "base") || str_equal(verb, "demos") || str_equal(verb, "requests"))
        return write_texts(a, verb);
    if (str_equal(verb, "pairs"))
        return pairs_write(&(PairOptions){.samples = a->samples,
                                          .output = a->output,
                                          .n = a->n,
                                          .seed = a->seed,
                                          .flip = a->flip,
                                          .shuffle_labels = a->shuffle_labels});
    if (str_equal(verb, "result")) {
        a->result.output = a->output;
        return result_write(&a->result);
    }
    return status_fail(ERR_USAGE,
                       "storyworld: no verb `%s`; there are data, base, demos, requests, "
                       "pairs, judge, result",
                       verb);
}

int main(int argc, char **argv) {
    Arguments a = {0};
    Status st = argc < 2 ? status_fail(ERR_USAGE, "usage: storyworld VERB ...; the head of "
                                                  "storyworld.c lists them")
                         : parse_arguments(&a, argc, argv);
    if (st == OK) st = run_verb(argv[1], &a);
    if (st != OK) log_error("%s", status_message());
    return (int)st;
}
