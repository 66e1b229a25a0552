#include "pairs.h"

#include "core/io/jsonl.h"
#include "core/log.h"
#include "core/mem.h"
#include "judge.h"

#include <string.h>

typedef struct Sample {
    char *prompt, *text;
    int points;
} Sample;

typedef struct Candidate {
    int64_t better, worse;
} Candidate;

static Status read_samples(Sample **out, int64_t *n, const char *path) {
    Jsonl *in = NULL;
    TRY(jsonl_open(&in, path));
    *n = jsonl_rows(in);
    Sample *samples = mem_zalloc((size_t)*n + 1, sizeof *samples);
    Status st = OK;
    for (int64_t i = 0; i < *n && st == OK; i++) {
        Json *row = NULL;
        const char *prompt, *text;
        st = jsonl_parse(&row, in, i);
        if (st == OK) st = json_want_str(&prompt, row, "prompt", path);
        if (st == OK) st = json_want_str(&text, row, "completion", path);
        if (st == OK) {
            Verdict v = judge(prompt, text);
            samples[i] = (Sample){mem_strdup(prompt), mem_strdup(text), verdict_points(&v)};
        }
        json_free(row);
    }
    jsonl_close(in);
    *out = samples;
    return st;
}

/* -1, 0, 1: the better one is shorter, as long, longer. */
static int length_sign(const Sample *s, Candidate c) {
    size_t a = strlen(s[c.better].text), b = strlen(s[c.worse].text);
    return (a > b) - (a < b);
}

static Status write_pair(JsonlWriter *w, const Sample *s, Candidate c, bool flipped) {
    Json *row = json_new_object();
    json_set(row, "prompt", json_new_str(s[c.better].prompt));
    json_set(row, "chosen", json_new_str(s[flipped ? c.worse : c.better].text));
    json_set(row, "rejected", json_new_str(s[flipped ? c.better : c.worse].text));
    json_set(row, "flipped", json_new_bool(flipped));
    Status st = jsonl_write(w, row);
    json_free(row);
    return st;
}

/* All pairs of neighbours of one prompt with different points, each sample used at most twice. */
static Candidate *find_candidates(const Sample *s, int64_t n, int64_t *count) {
    Candidate *found = mem_zalloc((size_t)n * 2 + 1, sizeof *found);
    *count = 0;
    for (int64_t first = 0, end; first < n; first = end) {
        for (end = first + 1; end < n && strcmp(s[end].prompt, s[first].prompt) == 0; end++) {
        }
        for (int64_t step = 1; step <= 2; step++)
            for (int64_t i = first; i + step < end; i++) {
                int64_t j = i + step;
                if (s[i].points == s[j].points) continue;
                found[(*count)++] =
                    s[i].points > s[j].points ? (Candidate){i, j} : (Candidate){j, i};
            }
    }
    return found;
}

Status pairs_write(const PairOptions *o) {
    if (!o->samples) return status_fail(ERR_USAGE, "storyworld pairs: --samples is needed");
    Sample *s = NULL;
    JsonlWriter *w = NULL;
    Candidate *found = NULL;
    int64_t n = 0, count = 0, written = 0, longer = 0, shorter = 0, most = 0;
    Status st = OK;
    TRY_GOTO(read_samples(&s, &n, o->samples), st, out);
    TRY_GOTO(jsonl_writer_open(&w, o->output, 0), st, out);
    found = find_candidates(s, n, &count);
    for (int64_t i = 0; i < count; i++) {
        int sign = length_sign(s, found[i]);
        longer += sign > 0;
        shorter += sign < 0;
    }
    most = longer < shorter ? longer : shorter;
    longer = shorter = 0;
    for (int64_t i = 0; i < count && written < o->n && st == OK; i++) {
        Candidate c = found[rng_permute(o->seed, RNG_WORLD, 2, (uint64_t)count, (uint64_t)i)];
        int sign = length_sign(s, c);
        if ((sign > 0 && longer >= most) || (sign < 0 && shorter >= most)) continue;
        longer += sign > 0;
        shorter += sign < 0;
        RngStream rng = rng_stream(o->seed, RNG_WORLD, (uint64_t)(1000000 + written));
        double chance = o->shuffle_labels ? 0.5 : o->flip;
        st = write_pair(w, s, c, rng_next_uniform(&rng) < chance);
        written++;
    }
    if (st == OK) st = jsonl_sync(w);
    log_info("%lld pairs of %lld candidates", (long long)written, (long long)count);
out:
    for (int64_t i = 0; s && i < n; i++) {
        mem_free(s[i].prompt);
        mem_free(s[i].text);
    }
    mem_free(s);
    mem_free(found);
    jsonl_writer_close(w);
    return st;
}
