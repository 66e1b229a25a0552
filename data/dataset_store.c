#include "data/dataset_store.h"

#include "core/check.h"
#include "core/io/safetensors.h"
#include "core/mem.h"
#include "core/rows.h"

#include <string.h>

static int64_t grown(int64_t cap, int64_t need) {
    if (cap < 1024) cap = 1024;
    while (cap < need) cap += cap / 2;
    return cap;
}

static void reserve_tokens(DatasetStore *s, int64_t more) {
    if (s->n_tokens + more <= s->cap_tokens) return;
    s->cap_tokens = grown(s->cap_tokens, s->n_tokens + more);
    s->ids = mem_realloc(s->ids, (size_t)s->cap_tokens, sizeof *s->ids);
    if (s->labels) s->labels = mem_realloc(s->labels, (size_t)s->cap_tokens, sizeof *s->labels);
}

static void reserve_seqs(DatasetStore *s, int64_t more) {
    if (s->n_seqs + more <= s->cap_seqs) return;
    s->cap_seqs = grown(s->cap_seqs, s->n_seqs + more);
    s->seq_start = mem_realloc(s->seq_start, (size_t)s->cap_seqs + 1, sizeof *s->seq_start);
}

static void reserve_unit(DatasetStore *s) {
    if (s->n_units < s->cap_units) return;
    s->cap_units = grown(s->cap_units, s->n_units + 1);
    size_t cap = (size_t)s->cap_units;
    s->unit_seq = mem_realloc(s->unit_seq, cap + 1, sizeof *s->unit_seq);
    s->origin = mem_realloc(s->origin, cap, sizeof *s->origin);
    s->margin = mem_realloc(s->margin, cap, sizeof *s->margin);
    s->n_targets = mem_realloc(s->n_targets, cap, sizeof *s->n_targets);
    s->prompt_at = mem_realloc(s->prompt_at, cap, sizeof *s->prompt_at);
    s->row_at = mem_realloc(s->row_at, cap, sizeof *s->row_at);
}

void store_begin(DatasetStore *s, bool with_labels) {
    *s = (DatasetStore){0};
    s->cap_tokens = 1024;
    s->ids = mem_alloc((size_t)s->cap_tokens * sizeof *s->ids);
    if (with_labels) s->labels = mem_alloc((size_t)s->cap_tokens * sizeof *s->labels);
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
    mem_free(s->ids);
    mem_free(s->labels);
    mem_free(s->seq_start);
    mem_free(s->unit_seq);
    mem_free(s->origin);
    mem_free(s->margin);
    mem_free(s->n_targets);
    mem_free(s->prompt_at);
    mem_free(s->row_at);
    str_free(&s->texts);
    *s = (DatasetStore){0};
}

/* A text with its NUL; returns where it begins. */
static size_t add_text(DatasetStore *s, const char *text) {
    size_t at = s->texts.len;
    if (text) str_append_n(&s->texts, text, strlen(text) + 1);
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
