#include "ppo/ppo_collect.h"

#include "core/mem.h"
#include "core/stop.h"
#include "ppo/gae.h"

#include <math.h>
#include <string.h>

Status ppo_response_text(Str *out, const Rollout *r, int64_t i, const Tokenizer *tok) {
    return tokenizer_decode(tok, out, r->tokens + i * r->response_length, (size_t)r->length[i],
                            TOKENIZER_SKIP_SPECIAL);
}

Status ppo_score_rows(PpoTrainer *t, Rollout *r, int64_t first, int64_t n) {
    RewardQuery *queries = mem_zalloc((size_t)n, sizeof *queries);
    Str *texts = mem_zalloc((size_t)n, sizeof *texts);
    Status st = OK;
    for (int64_t i = 0; i < n; i++) {
        int64_t row = first + i;
        TRY_GOTO(ppo_response_text(&texts[i], r, row, t->tok), st, out);
        queries[i] = (RewardQuery){.prompt = r->example[row].prompt,
                                   .response = str_text(&texts[i]),
                                   .row = r->example[row].row,
                                   .prompt_ids = r->example[row].ids,
                                   .response_ids = r->tokens + row * r->response_length,
                                   .n_prompt = r->example[row].n_ids,
                                   .n_response = r->length[row],
                                   .ended = r->ended[row]};
    }
    int64_t answered = 0;
    st = reward_score_all(t->scorers, t->n_scorers, r->score + first, queries, n, &answered);
    for (int64_t i = first; i < first + answered; i++) r->scored[i] = 1;
out:
    for (int64_t i = 0; i < n; i++) str_free(&texts[i]);
    mem_free(texts);
    mem_free(queries);
    return st;
}

/* The reward is asked once a row; what was answered before a stop is kept. */
static Status score(PpoTrainer *t) {
    Rollout *r = t->rollout;
    int64_t chunk = t->config->local_rollout_forward_batch_size, first = 0;
    for (;;) {
        while (first < r->n && r->scored[first]) first++;
        if (first == r->n) return OK;
        if (stop_requested()) return stop_status();
        TRY(ppo_score_rows(t, r, first, r->n - first < chunk ? r->n - first : chunk));
    }
}

/* Slots of each row: one a token; with trl_compat one more where a row is shorter than the longest
 * (TRL's first PAD). */
static void lay_out_slots(PpoTrainer *t) {
    const Rollout *r = t->rollout;
    Trajectory *tr = t->trajectory;
    int64_t slot = 0, width = rollout_longest(r);
    tr->n_rows = r->n;
    for (int64_t i = 0; i < r->n; i++) {
        tr->start[i] = slot;
        for (int32_t k = 0; k < r->length[i]; k++) tr->has_token[slot++] = true;
        if (t->config->trl_compat && r->length[i] < width) tr->has_token[slot++] = false;
    }
    tr->start[r->n] = slot;
    tr->n_slots = slot;
}

static void keep_slots(double *slots, const PpoBatch *b, const double *of_row) {
    for (int64_t i = 0; i < b->rows.n_rows; i++)
        if (b->slot[i] >= 0) slots[b->slot[i]] = of_row[i];
}

/* Old log-probs as they were sampled: the training forward would give the same bits (law L5). */
static void keep_sampled_logp(PpoTrainer *t) {
    const Rollout *r = t->rollout;
    Trajectory *tr = t->trajectory;
    for (int64_t i = 0; i < r->n; i++)
        memcpy(tr->logp + tr->start[i], r->decode_logp + i * r->response_length,
               (size_t)r->length[i] * sizeof *tr->logp);
}

/* Reference log-probs and values of the rows of a chunk. TRL's old log-probs are those of its
 * training forward, whose temperature is not the one that was sampled at. */
static void score_chunk(PpoTrainer *t, int64_t first, int64_t n) {
    Trajectory *tr = t->trajectory;
    for (int64_t i = 0; i < n; i++) t->permutation[i] = first + i;
    ppo_batch_fill(t->batch, t->rollout, tr, t->permutation, n, t->config->trl_compat);
    PpoBatch *b = t->batch;
    PassOut logp = {.logp = t->logp}, value = {.value = t->value};
    Rows untargeted = b->rows;
    untargeted.targets = NULL;

    if (t->config->trl_compat) {
        pass_score(t->pass, &t->roles->policy_role, &b->rows, &t->pass_options, &logp);
        keep_slots(tr->logp, b, t->logp);
    }
    pass_score(t->pass, &t->roles->ref_role, &b->rows, &t->pass_options, &logp);
    keep_slots(tr->ref_logp, b, t->logp);
    if (t->kl_form == KL_FORM_FULL) {
        pass_kl(t->pass, &t->roles->policy_role, &t->roles->ref_role, &b->rows, &t->pass_options,
                t->logp);
        for (int64_t i = 0; i < b->rows.n_rows; i++)
            if (b->slot[i] >= 0) tr->kl[b->slot[i]] = t->logp[i];
    }
    pass_score(t->pass, &t->roles->value_role, &untargeted, &t->pass_options, &value);
    keep_slots(tr->value, b, t->value);
}

static Status score_all_rows(PpoTrainer *t) {
    int64_t n = t->rollout->n, chunk = t->batch->max_seqs;
    if (!t->config->trl_compat) keep_sampled_logp(t);
    for (int64_t first = 0; first < n; first += chunk) {
        if (stop_requested()) return stop_status();
        score_chunk(t, first, n - first < chunk ? n - first : chunk);
    }
    return OK;
}

/* TRL asks for the tokenizer's EOS whatever the stop token is (defect B7); we ask whether the row
 * was ended. */
static bool row_ended(const PpoTrainer *t, int64_t row) {
    const Rollout *r = t->rollout;
    if (!t->config->trl_compat) return r->ended[row];
    for (int32_t k = 0; k < r->length[row]; k++)
        if (r->tokens[row * r->response_length + k] == tokenizer_eos(t->tok)) return true;
    return false;
}

static void shape(PpoTrainer *t) {
    const PpoConfig *c = t->config;
    Trajectory *tr = t->trajectory;
    bool *ended = mem_zalloc((size_t)tr->n_rows, sizeof *ended);
    for (int64_t i = 0; i < tr->n_rows; i++) ended[i] = row_ended(t, i);
    shape_scores(tr, t->rollout->score, ended, &t->moments, &t->shaping);
    mem_free(ended);
    shape_rewards(tr, t->kl_form, t->kl.coef, c->whiten_rewards);
    gae(tr, c->gamma, c->lam);
    whiten(tr->advantage, tr->has_token, tr->n_slots, false);
}

/* Prompts follow one another without a gap, also over the end of an epoch, so that every update has
 * a whole batch. */
void ppo_locate_rows(PpoTrainer *t, int64_t update) {
    int64_t first = update * t->rollout->n;
    for (int64_t i = 0; i < t->rollout->n; i++) {
        int64_t at = first + i;
        t->items[i] = batch_item_at(&t->order, at / t->order.n_items, at % t->order.n_items);
    }
    rollout_begin(t->rollout, t->data, t->items, first, t->rollout_of == update + 1);
    t->rollout_of = update + 1;
}

Status ppo_collect(PpoTrainer *t, int64_t update) {
    ppo_locate_rows(t, update);
    TRY(rollout_generate(t->rollout, t->generator, &t->sampling));
    TRY(score(t));
    lay_out_slots(t);
    TRY(score_all_rows(t));
    shape(t);
    return OK;
}
