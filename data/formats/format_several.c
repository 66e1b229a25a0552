/* Sets whose row holds several examples: trees of replies, ranked lists, tasks with instances. */
#include "data/formats/format.h"

#include "core/mem.h"
#include "core/str.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Pair `k` of n things ordered best first: (0,1), (0,2), ..., (1,2), ... */
static void pair_of(int64_t k, int64_t n, int64_t *better, int64_t *worse) {
    *better = 0;
    for (int64_t left = n - 1; k >= left; left--) {
        k -= left;
        ++*better;
    }
    *worse = *better + 1 + k;
}

static Part part_of(const Json *text) {
    Part p = {.text = ""};
    if (json_is(text, JSON_KIND_STRING)) p.text = json_str(text, &p.n);
    return p;
}

/* ---- ranked: Alpaca's prompt and a list of answers, the best one first ---- */

bool ranked_matches(const RowView *v) {
    return json_is(row_get(v, "instruction"), JSON_KIND_STRING) &&
           json_is(row_get(v, "output"), JSON_KIND_ARRAY);
}

int64_t ranked_count(const RowView *v) {
    int64_t n = json_len(row_get(v, "output"));
    return v->kind == DATASET_PREFERENCE ? n * (n - 1) / 2 : n > 0;
}

static Status ranked_answer(const RowView *v, int64_t i, Part *out) {
    const Json *text = json_at(row_get(v, "output"), i);
    if (!json_is(text, JSON_KIND_STRING))
        return row_fail(v, "output", "`%s[%lld]` must be a string, not %s", row_column(v, "output"),
                        (long long)i, json_kind_name(json_kind(text)));
    *out = part_of(text);
    return OK;
}

Status ranked_read(const RowView *v, Record *r) {
    int64_t better, worse;
    TRY(alpaca_prompt(v, r, &r->prompt));
    if (v->kind != DATASET_PREFERENCE) {
        r->shape = RECORD_COMPLETION;
        return ranked_answer(v, 0, &r->chosen);
    }
    r->shape = RECORD_PAIR;
    pair_of(v->part, json_len(row_get(v, "output")), &better, &worse);
    TRY(ranked_answer(v, better, &r->chosen));
    return ranked_answer(v, worse, &r->rejected);
}

/* ---- self_instruct: an instruction and its instances ---- */

bool self_instruct_matches(const RowView *v) {
    return json_is(row_get(v, "instruction"), JSON_KIND_STRING) &&
           json_is(row_get(v, "instances"), JSON_KIND_ARRAY);
}

int64_t self_instruct_count(const RowView *v) {
    return json_len(row_get(v, "instances"));
}

Status self_instruct_read(const RowView *v, Record *r) {
    Part instruction;
    const Json *instance = json_at(row_get(v, "instances"), v->part);
    const Json *output = json_get(instance, "output");
    TRY(row_text(v, "instruction", &instruction));
    if (!json_is(output, JSON_KIND_STRING))
        return row_fail(v, "instances", "`instances[%lld].output` must be a string",
                        (long long)v->part);
    Part input = part_of(json_get(instance, "input")), answer = part_of(output);
    Str text = {0}; /* one of the wordings of the set's own encoder */
    str_append_n(&text, instruction.text, instruction.n);
    if (input.n > 0) {
        str_append(&text, "\nInput: ");
        str_append_n(&text, input.text, input.n);
    }
    str_append(&text, "\nOutput:");
    r->shape = RECORD_COMPLETION;
    r->prompt = record_text(r, &text);
    str_clear(&text);
    str_append_char(&text, ' ');
    str_append_n(&text, answer.text, answer.n);
    r->chosen = record_text(r, &text);
    str_free(&text);
    return OK;
}

/* ---- ultrafeedback: answers with ratings; the best against the worst ---- */

bool ultrafeedback_matches(const RowView *v) {
    return json_is(row_get(v, "instruction"), JSON_KIND_STRING) &&
           json_is(row_get(v, "completions"), JSON_KIND_ARRAY);
}

/* The mean of an answer's ratings, which are numbers or strings of them ("N/A": none); NaN where
 * there is none. The set's own `overall_score` is known to be wrong in places. */
static double mean_rating(const Json *completion) {
    double sum = 0, n = 0;
    JsonIter it = {0};
    const char *key;
    Json *value;
    while (json_next(json_get(completion, "annotations"), &it, &key, &value)) {
        const Json *rating = json_get(value, "Rating");
        double x = json_is_num(rating) ? json_num(rating) : 0;
        if (json_is(rating, JSON_KIND_STRING)) x = strtod(json_str(rating, NULL), NULL);
        if (!(x > 0)) continue;
        sum += x;
        n++;
    }
    return n > 0 ? sum / n : (double)NAN;
}

Status ultrafeedback_read(const RowView *v, Record *r) {
    const Json *list = row_get(v, "completions"), *best = NULL, *worst = NULL;
    double high = -INFINITY, low = INFINITY;
    for (int64_t i = 0; i < json_len(list); i++) {
        const Json *c = json_at(list, i);
        double x = mean_rating(c);
        if (!json_is(json_get(c, "response"), JSON_KIND_STRING)) continue;
        if (x > high) high = x, best = c;
        if (x < low) low = x, worst = c;
    }
    if (!best || !(high > low))
        return row_fail(v, "completions", "`completions` needs two answers with different ratings");
    r->shape = RECORD_PAIR;
    r->chosen = part_of(json_get(best, "response"));
    r->rejected = part_of(json_get(worst, "response"));
    return format_prompt(v, r, "instruction", &r->prompt);
}

/* ---- guanaco: "### Human: ...### Assistant: ...", or a dialogue in Alpaca's columns ---- */

static const char mark_assistant[] = "### Assistant:";

bool guanaco_matches(const RowView *v) {
    return json_is(row_get(v, v->text_field), JSON_KIND_STRING) ||
           json_is(row_get(v, "instruction"), JSON_KIND_STRING);
}

/* Everything up to the last answer is the prompt. */
static Status guanaco_dialogue(const RowView *v, Record *r) {
    Part text;
    TRY(row_text(v, v->text_field, &text));
    const char *mark = NULL;
    for (const char *at = text.text; (at = strstr(at, mark_assistant)); at++) mark = at;
    if (strncmp(text.text, "### Human:", 10) != 0 || !mark)
        return row_fail(v, v->text_field,
                        "`%s` must begin with \"### Human:\" and hold \"### Assistant:\"",
                        row_column(v, v->text_field));
    size_t n = (size_t)(mark - text.text) + sizeof mark_assistant - 1;
    r->prompt = (Part){.text = text.text, .n = n};
    r->chosen = (Part){.text = text.text + n, .n = text.n - n};
    return OK;
}

Status guanaco_read(const RowView *v, Record *r) {
    Part instruction, input;
    r->shape = RECORD_COMPLETION;
    if (row_has(v, v->text_field)) return guanaco_dialogue(v, r);
    TRY(row_text(v, "instruction", &instruction));
    TRY(row_text_or_empty(v, "input", &input));
    Str text = {0};
    str_append(&text, "### Instruction:\n");
    str_append_n(&text, instruction.text, instruction.n);
    str_append(&text, "\n### Input:\n");
    str_append_n(&text, input.text, input.n);
    str_append(&text, "\n### Response:\n");
    r->prompt = record_text(r, &text);
    str_free(&text);
    return row_text(v, "output", &r->chosen);
}
