#include "figures.h"

#include "core/mem.h"
#include "core/rng.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool all_asked(const Verdict *v) {
    return v->all;
}
static bool fluent(const Verdict *v) {
    return v->fluent;
}
static bool kind_ending(const Verdict *v) {
    return v->kind;
}
static bool asked_length(const Verdict *v) {
    return v->length;
}
static bool asked_thing(const Verdict *v) {
    return v->thing;
}
static bool same_throughout(const Verdict *v) {
    return v->same;
}

const Criterion criteria[] = {
    {"all", "all asked", all_asked},
    {"fluent", "fluent", fluent},
    {"kind", "kind ending", kind_ending},
    {"length", "asked length", asked_length},
    {"thing", "asked thing", asked_thing},
    {"same", "same hero and thing", same_throughout},
    {NULL, NULL, NULL},
};

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

/* The words of a text as numbers, behind one another; how many. */
static int64_t text_words(const char *s, uint64_t *out) {
    int64_t n = 0;
    while (*s) {
        while (*s && !isalnum((unsigned char)*s)) s++;
        size_t len = 0;
        while (isalnum((unsigned char)s[len])) len++;
        if (len == 0) break;
        char *word = mem_strndup(s, len);
        out[n++] = rng_hash_name(word);
        mem_free(word);
        s += len;
    }
    return n;
}

static int by_value(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Different pairs of neighbouring words over all pairs of neighbouring words (Li et al. 2016). */
static void add_words(Json *j, const Samples *s) {
    size_t most = 1;
    for (int64_t i = 0; i < s->n; i++) most += strlen(s->items[i].text);
    uint64_t *pairs = mem_zalloc(most, sizeof *pairs), *words = mem_zalloc(most, sizeof *words);
    int64_t n_pairs = 0, n_words = 0, different = 0;
    for (int64_t i = 0; i < s->n; i++) {
        int64_t n = text_words(s->items[i].text, words);
        for (int64_t k = 0; k + 1 < n; k++)
            pairs[n_pairs++] = words[k] * UINT64_C(0x9e3779b97f4a7c15) + words[k + 1];
        n_words += n;
    }
    qsort(pairs, (size_t)n_pairs, sizeof *pairs, by_value);
    for (int64_t k = 0; k < n_pairs; k++) different += k == 0 || pairs[k] != pairs[k - 1];
    json_set(j, "words", json_new_num(s->n > 0 ? (double)n_words / (double)s->n : 0.0));
    json_set(j, "distinct2", json_new_num(n_pairs > 0 ? (double)different / (double)n_pairs : 0.0));
    mem_free(words);
    mem_free(pairs);
}

Json *figures_of(const Samples *s) {
    Json *j = json_new_object();
    for (const Criterion *c = criteria; c->key; c++) {
        double hits = 0.0;
        for (int64_t i = 0; i < s->n; i++) hits += c->holds(&s->items[i].verdict);
        json_set(j, c->key, share_json(hits, (double)s->n));
    }
    add_words(j, s);
    return j;
}

void figures_add_verdict(Json *row, const Verdict *v) {
    for (const Criterion *c = criteria; c->key; c++)
        json_set(row, c->key, json_new_bool(c->holds(v)));
}
