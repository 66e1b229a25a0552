#include "data/dataset_store.h"

#include "core/check.h"
#include "core/io/safetensors.h"
#include "core/rows.h"

#include <string.h>

static int64_t grown(int64_t cap, int64_t need) {
    if (cap < 1024) cap = 1024;
    while (cap < need) cap += cap / 2;
    return cap;
}

#define GROW(s, field, n) \
    ((s)->field = spill_grow((s)->spill, (s)->field, (size_t)(n) * sizeof *(s)->field))

static void reserve_tokens(DatasetStore *s, int64_t more) {
    if (s->n_tokens + more <= s->cap_tokens) return;
    s->cap_tokens = grown(s->cap_tokens, s->n_tokens + more);
    GROW(s, ids, s->cap_tokens);
    if (s->labels) GROW(s, labels, s->cap_tokens);
}

static void reserve_seqs(DatasetStore *s, int64_t more) {
    if (s->n_seqs + more <= s->cap_seqs) return;
    s->cap_seqs = grown(s->cap_seqs, s->n_seqs + more);
    GROW(s, seq_start, s->cap_seqs + 1);
}

static void reserve_unit(DatasetStore *s) {
    if (s->n_units < s->cap_units) return;
    s->cap_units = grown(s->cap_units, s->n_units + 1);
    GROW(s, unit_seq, s->cap_units + 1);
    GROW(s, origin, s->cap_units);
    GROW(s, margin, s->cap_units);
    GROW(s, n_targets, s->cap_units);
    GROW(s, prompt_at, s->cap_units);
    GROW(s, row_at, s->cap_units);
}

void store_begin(DatasetStore *s, bool with_labels, const char *spill_folder) {
    *s = (DatasetStore){.spill = spill_open(spill_folder)};
    s->cap_tokens = 1024;
    GROW(s, ids, s->cap_tokens);
    if (with_labels) GROW(s, labels, s->cap_tokens);
    reserve_seqs(s, 1);
    reserve_unit(s);
    s->seq_start[0] = 0;
    s->unit_seq[0] = 0;
}

void store_free(DatasetStore *s) {
    if (s->mapped) {
        safetensors_close(s->mapped);
        *s = (DatasetStore){0};
        return;
    }
    void *const arrays[] = {s->ids,    s->labels,    s->seq_start, s->unit_seq, s->origin,
                            s->margin, s->n_targets, s->prompt_at, s->row_at,   s->texts};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) spill_free(s->spill, arrays[i]);
    spill_close(s->spill);
    *s = (DatasetStore){0};
}

/* A text with its NUL; returns where it begins. */
static size_t add_text(DatasetStore *s, const char *text) {
    size_t at = (size_t)s->n_text, n = text ? strlen(text) + 1 : 0;
    if (s->n_text + (int64_t)n > s->cap_text) {
        s->cap_text = grown(s->cap_text, s->n_text + (int64_t)n);
        GROW(s, texts, s->cap_text);
    }
    if (n > 0) memcpy(s->texts + at, text, n);
    s->n_text += (int64_t)n;
    return at;
}

/* Appends one sequence; returns how many of its rows will have a target. */
static int64_t add_seq(DatasetStore *s, const StoreSeq *q) {
    int64_t n_targets = 0;
    size_t bytes = (size_t)q->n * sizeof *q->ids;
    reserve_tokens(s, q->n);
    reserve_seqs(s, 1);
    if (q->n > 0) memcpy(s->ids + s->n_tokens, q->ids, bytes);
    if (s->labels && q->n > 0) {
        CHECK(q->labels, "a sequence of %lld tokens comes without labels", (long long)q->n);
        memcpy(s->labels + s->n_tokens, q->labels, bytes);
        for (int64_t i = 1; i < q->n; i++) n_targets += q->labels[i] != ROWS_NO_TARGET;
    }
    s->n_tokens += q->n;
    s->seq_start[++s->n_seqs] = s->n_tokens;
    return n_targets;
}

void store_add(DatasetStore *s, const StoreSeq *seqs, int64_t n_seqs, UnitOrigin origin,
               double margin, const char *prompt, const char *row) {
    reserve_unit(s);
    int64_t u = s->n_units++;
    s->n_targets[u] = 0;
    for (int64_t i = 0; i < n_seqs; i++) s->n_targets[u] += add_seq(s, &seqs[i]);
    s->unit_seq[u + 1] = s->n_seqs;
    s->origin[u] = origin;
    s->margin[u] = margin;
    s->prompt_at[u] = add_text(s, prompt);
    s->row_at[u] = add_text(s, row);
}
