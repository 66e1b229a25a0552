#include "ppo/ppo_batch.h"

#include "core/check.h"
#include "core/mem.h"

Status ppo_batch_open(PpoBatch **out, int64_t max_rows, int64_t max_seqs) {
    PpoBatch *b = mem_zalloc(1, sizeof *b);
    size_t rows = (size_t)max_rows, seqs = (size_t)max_seqs;
    b->max_rows = max_rows;
    b->max_seqs = max_seqs;
    b->slot = mem_zalloc(rows, sizeof *b->slot);
    b->ids = mem_zalloc(rows, sizeof *b->ids);
    b->positions = mem_zalloc(rows, sizeof *b->positions);
    b->targets = mem_zalloc(rows, sizeof *b->targets);
    b->valued = mem_zalloc(rows, sizeof *b->valued);
    b->seq_start = mem_zalloc(seqs + 1, sizeof *b->seq_start);
    b->seq_ids = mem_zalloc(seqs, sizeof *b->seq_ids);
    *out = b;
    return OK;
}

void ppo_batch_close(PpoBatch *b) {
    if (!b) return;
    mem_free(b->slot);
    mem_free(b->ids);
    mem_free(b->positions);
    mem_free(b->targets);
    mem_free(b->valued);
    mem_free(b->seq_start);
    mem_free(b->seq_ids);
    mem_free(b);
}

void ppo_batch_fill(PpoBatch *b, const Rollout *r, const Trajectory *t, const int64_t *index,
                    int64_t n, bool with_last) {
    CHECK(n <= b->max_seqs, "%lld sequences, room for %lld", (long long)n, (long long)b->max_seqs);
    int64_t row = 0;
    b->n_tokens = b->n_slots = 0;
    for (int64_t s = 0; s < n; s++) {
        int64_t i = index[s], prompt = r->example[i].n_ids, response = r->length[i];
        const int32_t *answer = r->tokens + i * r->response_length;
        int64_t inputs = prompt + response - (with_last ? 0 : 1);
        CHECK(row + inputs <= b->max_rows, "row %lld of %lld", (long long)(row + inputs),
              (long long)b->max_rows);
        b->seq_start[s] = (int32_t)row;
        b->seq_ids[s] = r->row_id[i];
        int64_t slots = t ? t->start[i + 1] - t->start[i] : 0;
        for (int64_t pos = 0; pos < inputs; pos++, row++) {
            int64_t step = pos - (prompt - 1); /* which response token this row predicts */
            b->ids[row] = pos < prompt ? r->example[i].ids[pos] : answer[pos - prompt];
            b->positions[row] = (int32_t)pos;
            b->targets[row] = step >= 0 && step < response ? answer[step] : ROWS_NO_TARGET;
            bool has_slot = step >= 0 && step < slots;
            b->slot[row] = has_slot ? t->start[i] + step : -1;
            b->valued[row] = has_slot;
            b->n_slots += has_slot;
            b->n_tokens += has_slot && step < response;
        }
    }
    b->seq_start[n] = (int32_t)row;
    b->rows = (Rows){.n_rows = row,
                     .n_seqs = n,
                     .ids = b->ids,
                     .positions = b->positions,
                     .targets = b->targets,
                     .valued = b->valued,
                     .seq_start = b->seq_start,
                     .seq_ids = b->seq_ids};
}
