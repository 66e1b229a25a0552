/* A learned reward: the score head's value at the last token of prompt and response. */
#include "ppo/reward_source.h"

#include "core/mem.h"
#include "core/str.h"

#include <string.h>

typedef struct ModelReward {
    RewardModelOptions o;
    int32_t *ids, *positions, *seq_start;
    int64_t *seq_ids;
    double *value;
    bool *valued;
    TokenIds text_ids; /* of a response tokenised again */
} ModelReward;

static void model_close(void *self) {
    ModelReward *m = self;
    mem_free(m->ids);
    mem_free(m->positions);
    mem_free(m->seq_start);
    mem_free(m->seq_ids);
    mem_free(m->value);
    mem_free(m->valued);
    token_ids_free(&m->text_ids);
    mem_free(m);
}

/* The ids of a query in the reward model's own tokens: the policy's, or its text encoded again, EOS
 * behind a response that ended. */
static Status query_ids(ModelReward *m, const RewardQuery *q, const int32_t **ids, int64_t *n,
                        int32_t *joined) {
    if (!m->o.tok) {
        memcpy(joined, q->prompt_ids, (size_t)q->n_prompt * sizeof *joined);
        memcpy(joined + q->n_prompt, q->response_ids, (size_t)q->n_response * sizeof *joined);
        *ids = joined;
        *n = q->n_prompt + q->n_response;
        return OK;
    }
    Str text = {0};
    str_append(&text, q->prompt);
    str_append(&text, q->response);
    token_ids_clear(&m->text_ids);
    Status st =
        tokenizer_encode(m->o.tok, &m->text_ids, text.data, text.len, TOKENIZER_ADD_SPECIAL);
    str_free(&text);
    if (st != OK) return st;
    int32_t eos = tokenizer_eos(m->o.tok);
    if (q->ended && eos != TOKEN_NONE) token_ids_push(&m->text_ids, eos, false);
    *ids = m->text_ids.id;
    *n = (int64_t)m->text_ids.n;
    return OK;
}

static void score_pass(ModelReward *m, double *out, int64_t n_rows, int64_t n_seqs) {
    m->seq_start[n_seqs] = (int32_t)n_rows;
    Rows rows = {.n_rows = n_rows,
                 .n_seqs = n_seqs,
                 .ids = m->ids,
                 .positions = m->positions,
                 .valued = m->valued,
                 .seq_start = m->seq_start,
                 .seq_ids = m->seq_ids};
    PassOptions options = {.temperature = 1.0};
    PassOut values = {.value = m->value};
    pass_score(m->o.pass, &m->o.role, &rows, &options, &values);
    for (int64_t s = 0; s < n_seqs; s++) out[s] = m->value[m->seq_start[s + 1] - 1];
}

static Status model_score(void *self, double *out, const RewardQuery *queries, int64_t n,
                          int64_t *answered) {
    ModelReward *m = self;
    int32_t *joined = mem_zalloc((size_t)m->o.max_rows, sizeof *joined);
    int64_t rows = 0, seqs = 0;
    *answered = 0;
    Status st = OK;
    for (int64_t i = 0; i < n; i++) {
        const int32_t *ids = NULL;
        int64_t length = 0;
        TRY_GOTO(query_ids(m, &queries[i], &ids, &length, joined), st, out);
        if (length > m->o.max_rows) {
            st = status_fail(ERR_DATA,
                             "ppo.reward.model: prompt and response of row %lld of this batch have "
                             "%lld of its tokens; it takes at most %lld: lower data.max_length or "
                             "ppo.response_length",
                             (long long)i + 1, (long long)length, (long long)m->o.max_rows);
            goto out;
        }
        if (rows + length > m->o.max_rows || seqs == m->o.max_seqs) {
            score_pass(m, out + *answered, rows, seqs);
            *answered += seqs;
            rows = seqs = 0;
        }
        m->seq_start[seqs] = (int32_t)rows;
        m->seq_ids[seqs] = i;
        for (int64_t p = 0; p < length; p++) {
            m->ids[rows + p] = ids[p];
            m->positions[rows + p] = (int32_t)p;
            m->valued[rows + p] = p + 1 == length;
        }
        rows += length;
        seqs++;
    }
    if (seqs > 0) score_pass(m, out + *answered, rows, seqs);
    *answered = n;
out:
    mem_free(joined);
    return st;
}

Status reward_model_open(RewardScorer *out, const RewardModelOptions *options, double weight) {
    ModelReward *m = mem_zalloc(1, sizeof *m);
    m->o = *options;
    m->ids = mem_zalloc((size_t)options->max_rows, sizeof *m->ids);
    m->positions = mem_zalloc((size_t)options->max_rows, sizeof *m->positions);
    m->value = mem_zalloc((size_t)options->max_rows, sizeof *m->value);
    m->valued = mem_zalloc((size_t)options->max_rows, sizeof *m->valued);
    m->seq_start = mem_zalloc((size_t)options->max_seqs + 1, sizeof *m->seq_start);
    m->seq_ids = mem_zalloc((size_t)options->max_seqs, sizeof *m->seq_ids);
    *out = (RewardScorer){model_score, model_close, m, weight};
    return OK;
}
