#include "pairs.h"

#include "core/io/jsonl.h"
#include "core/log.h"
#include "core/mem.h"
#include "samples.h"

#include <string.h>

typedef struct Candidate {
    int64_t better, worse;
} Candidate;

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

/* Of neighbours of one prompt those of which one has all that was asked and the other has not. */
static Candidate *find_candidates(const Sample *s, int64_t n, int64_t *count) {
    Candidate *found = mem_zalloc((size_t)n * 2 + 1, sizeof *found);
    *count = 0;
    for (int64_t first = 0, end; first < n; first = end) {
        for (end = first + 1; end < n && strcmp(s[end].prompt, s[first].prompt) == 0; end++) {
        }
        for (int64_t step = 1; step <= 2; step++)
            for (int64_t i = first; i + step < end; i++) {
                int64_t j = i + step;
                if (s[i].verdict.all == s[j].verdict.all) continue;
                found[(*count)++] = s[i].verdict.all ? (Candidate){i, j} : (Candidate){j, i};
            }
    }
    return found;
}

Status pairs_write(const PairOptions *o) {
    Samples all = {0};
    JsonlWriter *w = NULL;
    Candidate *found = NULL;
    int64_t count = 0, written = 0, longer = 0, shorter = 0, most = 0;
    Status st = OK;
    TRY_GOTO(samples_read(&all, o->samples), st, out);
    TRY_GOTO(jsonl_writer_open(&w, o->output, 0), st, out);
    found = find_candidates(all.items, all.n, &count);
    for (int64_t i = 0; i < count; i++) {
        int sign = length_sign(all.items, found[i]);
        longer += sign > 0;
        shorter += sign < 0;
    }
    most = longer < shorter ? longer : shorter;
    longer = shorter = 0;
    for (int64_t i = 0; i < count && written < o->n && st == OK; i++) {
        Candidate c = found[rng_permute(o->seed, RNG_WORLD, 2, (uint64_t)count, (uint64_t)i)];
        int sign = length_sign(all.items, c);
        if ((sign > 0 && longer >= most) || (sign < 0 && shorter >= most)) continue;
        longer += sign > 0;
        shorter += sign < 0;
        RngStream rng = rng_stream(o->seed, RNG_WORLD, (uint64_t)(1000000 + written));
        double chance = o->shuffle_labels ? 0.5 : o->flip;
        st = write_pair(w, all.items, c, rng_next_uniform(&rng) < chance);
        written++;
    }
    if (st == OK && written == 0)
        st = status_fail(ERR_DATA,
                         "%s: no pair: no two samples of a prompt differ in whether all "
                         "that was asked is there",
                         o->samples);
    if (st == OK) st = jsonl_sync(w);
    log_info("%lld pairs of %lld candidates", (long long)written, (long long)count);
out:
    samples_free(&all);
    mem_free(found);
    jsonl_writer_close(w);
    return st;
}
