#include "baselines.h"

#include "core/io/jsonl.h"
#include "core/mem.h"
#include "core/rng.h"
#include "core/str.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

/* Words are hashed into so many counters; the world has about 200. */
#define N_WORDS 4096

typedef struct PairFeatures {
    double length; /* of the texts, in bytes: chosen minus rejected */
    int32_t n, *word;
    float *count; /* chosen minus rejected */
} PairFeatures;

typedef struct PairSet {
    PairFeatures *items;
    int64_t n;
} PairSet;

static void count_words(float *counts, const char *text, float sign) {
    while (*text) {
        while (*text && !isalnum((unsigned char)*text)) text++;
        size_t len = 0;
        while (isalnum((unsigned char)text[len])) len++;
        if (len == 0) break;
        char *word = mem_strndup(text, len);
        counts[rng_hash_name(word) % N_WORDS] += sign;
        mem_free(word);
        text += len;
    }
}

static PairFeatures features(const char *chosen, const char *rejected, float *counts) {
    PairFeatures f = {.length = (double)strlen(chosen) - (double)strlen(rejected)};
    memset(counts, 0, N_WORDS * sizeof *counts);
    count_words(counts, chosen, 1.0f);
    count_words(counts, rejected, -1.0f);
    for (int32_t w = 0; w < N_WORDS; w++) f.n += counts[w] != 0.0f;
    f.word = mem_zalloc((size_t)f.n + 1, sizeof *f.word);
    f.count = mem_zalloc((size_t)f.n + 1, sizeof *f.count);
    f.n = 0;
    for (int32_t w = 0; w < N_WORDS; w++) {
        if (counts[w] == 0.0f) continue;
        f.word[f.n] = w;
        f.count[f.n++] = counts[w];
    }
    return f;
}

static Status read_pairs(PairSet *out, const char *path) {
    *out = (PairSet){0};
    Jsonl *in = NULL;
    TRY(jsonl_open(&in, path));
    out->items = mem_zalloc((size_t)jsonl_rows(in) + 1, sizeof *out->items);
    float *counts = mem_zalloc(N_WORDS, sizeof *counts);
    Status st = OK;
    for (int64_t i = 0; i < jsonl_rows(in) && st == OK; i++) {
        Json *row = NULL;
        const char *chosen = NULL, *rejected = NULL;
        st = jsonl_parse(&row, in, i);
        if (st == OK) st = json_want_str(&chosen, row, "chosen", path);
        if (st == OK) st = json_want_str(&rejected, row, "rejected", path);
        if (st == OK) out->items[out->n++] = features(chosen, rejected, counts);
        json_free(row);
    }
    mem_free(counts);
    jsonl_close(in);
    return st;
}

static void free_pairs(PairSet *s) {
    for (int64_t i = 0; i < s->n; i++) {
        mem_free(s->items[i].word);
        mem_free(s->items[i].count);
    }
    mem_free(s->items);
}

static double margin(const double *weight, const PairFeatures *f) {
    double x = 0.0;
    for (int32_t i = 0; i < f->n; i++) x += weight[f->word[i]] * f->count[i];
    return x;
}

/* Stochastic gradient on log sigmoid(w . difference), with a little weight decay. */
static void fit(double *weight, const PairSet *s) {
    for (int epoch = 0; epoch < 30; epoch++)
        for (int64_t i = 0; i < s->n; i++) {
            const PairFeatures *f = &s->items[i];
            double push = 0.05 / (1.0 + epoch) / (1.0 + exp(margin(weight, f)));
            for (int32_t k = 0; k < f->n; k++)
                weight[f->word[k]] += push * f->count[k] - 1e-5 * weight[f->word[k]];
        }
}

Status baselines_measure(Baselines *out, const char *train_pairs, const char *clean_pairs) {
    PairSet train = {0}, clean = {0};
    double *weight = mem_zalloc(N_WORDS, sizeof *weight);
    Status st = read_pairs(&train, train_pairs);
    if (st == OK) st = read_pairs(&clean, clean_pairs);
    if (st == OK && clean.n == 0) st = status_fail(ERR_DATA, "%s: no pairs", clean_pairs);
    *out = (Baselines){0};
    if (st == OK) {
        fit(weight, &train);
        for (int64_t i = 0; i < clean.n; i++) {
            double m = margin(weight, &clean.items[i]), length = clean.items[i].length;
            out->bag_of_words += m > 0.0 ? 1.0 : m < 0.0 ? 0.0 : 0.5;
            out->longer_wins += length > 0.0 ? 1.0 : length < 0.0 ? 0.0 : 0.5;
        }
        out->bag_of_words /= (double)clean.n;
        out->longer_wins /= (double)clean.n;
    }
    free_pairs(&train);
    free_pairs(&clean);
    mem_free(weight);
    return st;
}
