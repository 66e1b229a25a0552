#include "core/rows.h"

#include "core/check.h"

#include <stddef.h>

bool rows_ask(const Rows *r, int64_t i, RowsWant want) {
    if (want.value && (!r->valued || r->valued[i])) return true;
    return want.logp && r->targets && r->targets[i] != ROWS_NO_TARGET;
}

int64_t rows_count_targets(const Rows *r) {
    if (!r->targets) return 0;
    int64_t n = 0;
    for (int64_t i = 0; i < r->n_rows; i++) n += r->targets[i] != ROWS_NO_TARGET;
    return n;
}

static void check_sequence(const Rows *r, int64_t seq, int64_t vocab) {
    int64_t first = r->seq_start[seq], end = r->seq_start[seq + 1];
    for (int64_t i = first; i < end; i++) {
        CHECK(r->ids[i] >= 0 && r->ids[i] < vocab, "row %lld: id %d, vocabulary %lld", (long long)i,
              r->ids[i], (long long)vocab);
        CHECK(r->positions[i] == i - first, "row %lld: position %d, expected %lld", (long long)i,
              r->positions[i], (long long)(i - first));
        if (!r->targets || r->targets[i] == ROWS_NO_TARGET) continue;
        CHECK(r->targets[i] >= 0 && r->targets[i] < vocab, "row %lld: target %d, vocabulary %lld",
              (long long)i, r->targets[i], (long long)vocab);
        CHECK(i + 1 == end || r->targets[i] == r->ids[i + 1],
              "row %lld: target %d is not the sequence's next id", (long long)i, r->targets[i]);
    }
}

void rows_check(const Rows *r, int64_t vocab) {
    CHECK(r->n_rows >= 0 && r->n_seqs >= 0, "%lld rows, %lld sequences", (long long)r->n_rows,
          (long long)r->n_seqs);
    CHECK(r->seq_start && r->seq_start[0] == 0 && r->seq_start[r->n_seqs] == r->n_rows,
          "seq_start does not span %lld rows", (long long)r->n_rows);
    for (int64_t s = 0; s < r->n_seqs; s++) {
        CHECK(r->seq_start[s] < r->seq_start[s + 1], "sequence %lld is empty", (long long)s);
        check_sequence(r, s, vocab);
    }
    if (!r->source) return;
    CHECK(r->source->n_seqs == r->n_seqs && !r->source->source && !r->source->targets,
          "%lld sequences of a source for %lld", (long long)r->source->n_seqs,
          (long long)r->n_seqs);
    rows_check(r->source, vocab);
}
