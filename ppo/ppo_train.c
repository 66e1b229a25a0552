#include "ppo/ppo_train.h"

#include "core/mem.h"
#include "core/stop.h"
#include "ppo/ppo_collect.h"
#include "ppo/state_host.h"

#include "core/rng.h"

#include <math.h>
#include <string.h>

int64_t ppo_batch_rows(const PpoTrainer *t) {
    return t->micro_rows * t->accumulation;
}

void ppo_trainer_register(PpoTrainer *t, State *s) {
    rollout_register(t->rollout, s);
    state_i64(s, "ppo/rollout_of", &t->rollout_of);
    state_i64(s, "ppo/phase", &t->phase);
    state_i64(s, "ppo/epoch", &t->epoch);
    state_i64(s, "ppo/minibatch", &t->minibatch);
    state_i64(s, "ppo/episode", &t->episode);
    state_f64(s, "ppo/kl_coef", &t->kl.coef);
    state_f64(s, "ppo/score_mean", &t->moments.mean);
    state_f64(s, "ppo/score_var", &t->moments.var);
    state_f64(s, "ppo/score_count", &t->moments.count);
    Trajectory *tr = t->trajectory;
    state_i64(s, "ppo/trajectory/rows", &tr->n_rows);
    state_i64(s, "ppo/trajectory/slots", &tr->n_slots);
    int64_t rows = tr->cap_rows, slots = tr->cap_slots;
    const struct {
        const char *path;
        Tensor view;
    } arrays[] = {
        {"ppo/sums", tensor_1d(&t->sums, DTYPE_F64, sizeof t->sums / sizeof(double))},
        {"ppo/trajectory/start", tensor_1d(tr->start, DTYPE_I64, rows + 1)},
        {"ppo/trajectory/score", tensor_1d(tr->score, DTYPE_F64, rows)},
        {"ppo/trajectory/has_token", tensor_1d(tr->has_token, DTYPE_BOOL, slots)},
        {"ppo/trajectory/logp", tensor_1d(tr->logp, DTYPE_F64, slots)},
        {"ppo/trajectory/ref_logp", tensor_1d(tr->ref_logp, DTYPE_F64, slots)},
        {"ppo/trajectory/value", tensor_1d(tr->value, DTYPE_F64, slots)},
        {"ppo/trajectory/kl", tensor_1d(tr->kl, DTYPE_F64, slots)},
        {"ppo/trajectory/advantage", tensor_1d(tr->advantage, DTYPE_F64, slots)},
        {"ppo/trajectory/return", tensor_1d(tr->ret, DTYPE_F64, slots)},
    };
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        t->view[i] = arrays[i].view;
        state_host(s, arrays[i].path, &t->view[i]);
    }
}

typedef struct LossContext {
    const PpoTrainer *trainer;
    PpoLossArgs args;
    PpoStats stats;
    double logp_shift; /* largest distance of a log-prob from the old one */
} LossContext;

static void policy_loss(void *ctx, const TokenChunk *c) {
    LossContext *l = ctx;
    const Trajectory *tr = l->trainer->trajectory;
    if (!c->has_target) return;
    for (int64_t i = 0; i < c->n; i++) {
        int64_t slot = l->trainer->batch->slot[c->row[i]];
        c->dlogp[i] =
            ppo_policy_loss(&l->args, c->logp[i], tr->logp[slot], tr->advantage[slot], &l->stats);
        l->stats.entropy += c->entropy[i];
        l->logp_shift = fmax(l->logp_shift, fabs(c->logp[i] - tr->logp[slot]));
    }
}

static void value_loss(void *ctx, const TokenChunk *c) {
    LossContext *l = ctx;
    const Trajectory *tr = l->trainer->trajectory;
    for (int64_t i = 0; i < c->n; i++) {
        int64_t slot = l->trainer->batch->slot[c->row[i]];
        if (slot < 0) continue;
        c->dvalue[i] =
            ppo_value_loss(&l->args, c->value[i], tr->value[slot], tr->ret[slot], &l->stats);
    }
}

/* TRL's mean entropy covers every cell of its padded responses (defect B10), with what the padded
 * forward has behind a response: one state after its last token, then PADs, which are all alike. */
static Status add_pad_entropy(PpoTrainer *t, const int64_t *index, int64_t n, PpoStats *stats) {
    const Rollout *r = t->rollout;
    int64_t width = rollout_longest(r), rows = 0;
    GenRequest *texts = mem_zalloc((size_t)n, sizeof *texts);
    double *next = mem_zalloc(2 * (size_t)n, sizeof *next), *pad = next + n;
    int32_t *ids = mem_zalloc((size_t)t->batch->max_rows, sizeof *ids), *end = ids;
    for (int64_t i = 0; i < n; i++) {
        int64_t row = index[i], prompt = r->example[row].n_ids, response = r->length[row];
        if (response == width) continue;
        texts[rows++] =
            (GenRequest){.prompt = end, .n_prompt = prompt + response, .max_new_tokens = 1};
        memcpy(end, r->example[row].ids, (size_t)prompt * sizeof *ids);
        memcpy(end + prompt, r->tokens + row * r->response_length, (size_t)response * sizeof *ids);
        end += prompt + response;
    }
    Status st =
        generate_pad_entropy(t->generator, texts, rows, t->pass_options.temperature, next, pad);
    for (int64_t i = 0, k = 0; i < n && st == OK; i++) {
        int64_t pads = width - r->length[index[i]];
        if (pads == 0) continue;
        stats->entropy += next[k] + (double)(pads - 1) * pad[k];
        k++;
    }
    mem_free(ids);
    mem_free(next);
    mem_free(texts);
    return st;
}

/* Forward, loss and backward of policy and value over rows index[n]; gradients accumulate. */
static Status micro_batch(PpoTrainer *t, const int64_t *index, int64_t n, LossContext *ctx) {
    ppo_batch_fill(t->batch, t->rollout, t->trajectory, index, n, t->config->trl_compat);
    if (t->config
            ->trl_compat) { /* TRL: the mean of each micro-batch, then the mean over accumulation */
        double parts = (double)t->accumulation;
        ctx->args.policy_scale = 1.0 / ((double)t->batch->n_tokens * parts);
        ctx->args.value_scale = 1.0 / ((double)t->batch->n_slots * parts);
    }
    TokenLoss policy = {.fn = policy_loss, .ctx = ctx, .want_entropy = true};
    TokenLoss value = {.fn = value_loss, .ctx = ctx};
    Rows untargeted = t->batch->rows;
    untargeted.targets = NULL;
    pass_train(t->pass, &t->roles->policy_role, &t->batch->rows, &t->pass_options, &policy);
    pass_train(t->pass, &t->roles->value_role, &untargeted, &t->pass_options, &value);
    return t->config->trl_compat ? add_pad_entropy(t, index, n, &ctx->stats) : OK;
}

/* One entry of TRL's table of statistics. `loss_parts`: how many entries the scaled losses were
 * divided over. */
static void add_stats(PpoTrainer *t, const PpoStats *s, int64_t rows, double loss_parts) {
    UpdateSums *u = &t->sums;
    double tokens = s->tokens, ratio = s->ratio;
    if (t->config->trl_compat) { /* unmasked: a PAD has ratio 1, difference 0 and an entropy */
        double cells = (double)(rows * rollout_longest(t->rollout));
        ratio += cells - s->tokens;
        tokens = cells;
    }
    u->approxkl += s->approxkl / tokens;
    u->policykl += s->policykl / s->tokens;
    u->ratio += ratio / tokens;
    u->ratio_squares += (ratio / tokens) * (ratio / tokens);
    u->entropy += s->entropy / tokens;
    u->clipfrac += s->clipped / s->tokens;
    u->value_clipfrac += s->value_clipped / s->slots;
    u->policy_loss += s->policy_loss * loss_parts;
    u->value_loss += s->value_loss * loss_parts;
    u->count += 1.0;
}

static Status optimizer_step(PpoTrainer *t, double lr) {
    OptimStats stats;
    optim_step(t->optim, lr, &stats);
    t->sums.grad_norm = stats.grad_norm;
    if (stats.finite) return OK;
    return status_fail(
        ERR_NUMERIC,
        "the gradient norm is not finite (first in `%s`); the last checkpoint is as it was: "
        "lower training.learning_rate or look at the rewards",
        stats.worst);
}

/* A token denominator for the whole minibatch, so that its cut into micro-batches does not matter
 * (law L6). */
static void set_scales(const PpoTrainer *t, const int64_t *index, int64_t n, PpoLossArgs *args) {
    const Trajectory *tr = t->trajectory;
    double tokens = 0.0, slots = 0.0;
    for (int64_t i = 0; i < n; i++) {
        tokens += (double)t->rollout->length[index[i]];
        slots += (double)(tr->start[index[i] + 1] - tr->start[index[i]]);
    }
    args->policy_scale = 1.0 / tokens;
    args->value_scale = 1.0 / slots;
}

/* Every micro-batch of rows index[n], then one optimizer step, unless a guard holds it back. */
static Status minibatch(PpoTrainer *t, const int64_t *index, int64_t n, double lr, bool is_last) {
    const PpoConfig *c = t->config;
    LossContext ctx = {.trainer = t,
                       .args = {.cliprange = c->cliprange,
                                .cliprange_value = c->cliprange_value,
                                .vf_coef = c->vf_coef}};
    set_scales(t, index, n, &ctx.args);
    int64_t size = t->micro_rows;
    for (int64_t first = 0; first < n; first += size) {
        int64_t rows = n - first < size ? n - first : size;
        TRY(micro_batch(t, index + first, rows, &ctx));
        if (!c->trl_compat) continue;
        add_stats(t, &ctx.stats, rows, (double)t->accumulation);
        ctx.stats = (PpoStats){0};
    }
    if (t->epoch == 0 && t->minibatch == 0) t->sums.logp_shift = ctx.logp_shift;
    if (c->trl_compat) /* defect B1: accelerate steps after `accumulation` micro-batches, once an
                          epoch */
        return is_last ? optimizer_step(t, lr) : OK;
    add_stats(t, &ctx.stats, n, 1.0);
    const PpoStats *s = &ctx.stats;
    bool wild = c->ratio_threshold > 0.0 && s->ratio / s->tokens > c->ratio_threshold;
    bool far = !config_is_null(c->target_kl) && s->policykl / s->tokens > 1.5 * c->target_kl;
    if (wild || far) {
        params_zero_grad(t->roles->dev, &t->roles->policy_params);
        params_zero_grad(t->roles->dev, &t->roles->value_params);
        t->sums.skipped += 1.0;
        if (far) t->sums.stopped = 1.0;
        return OK;
    }
    return optimizer_step(t, lr);
}

static void permute(PpoTrainer *t, int64_t update) {
    int64_t n = t->rollout->n;
    uint64_t stream = (uint64_t)(update * t->config->num_ppo_epochs + t->epoch);
    for (int64_t i = 0; i < n; i++)
        t->permutation[i] = t->order.shuffle
                                ? (int64_t)rng_permute(t->sampling.seed, RNG_MINIBATCH, stream,
                                                       (uint64_t)n, (uint64_t)i)
                                : i;
}

static Status optimise(PpoTrainer *t, int64_t update, double lr) {
    const PpoConfig *c = t->config;
    int64_t n = t->rollout->n, parts = c->num_mini_batches, size = (n + parts - 1) / parts;
    while (t->epoch < c->num_ppo_epochs && t->sums.stopped == 0.0) {
        permute(t, update);
        for (; t->minibatch < parts && t->sums.stopped == 0.0; t->minibatch++) {
            if (stop_requested()) return stop_status();
            int64_t first = t->minibatch * size, rows = n - first < size ? n - first : size;
            if (rows > 0)
                TRY(minibatch(t, t->permutation + first, rows, lr, t->minibatch == parts - 1));
        }
        t->minibatch = 0;
        t->epoch++;
    }
    return OK;
}

Status ppo_update(PpoTrainer *t, int64_t update, double lr) {
    if (t->phase == PPO_PHASE_ROLLOUT) {
        TRY(ppo_collect(t, update));
        t->sums = (UpdateSums){0};
        t->epoch = t->minibatch = 0;
        t->phase = PPO_PHASE_OPTIMISE;
    } else {
        /* Resumed between two minibatches: rows and numbers are state; the prompts are looked up
         * again. */
        ppo_locate_rows(t, update);
    }
    TRY(optimise(t, update, lr));
    t->phase = PPO_PHASE_ROLLOUT;
    t->episode += t->rollout->n;
    return OK;
}

/* Of what was sampled from the old log-probs (those of trl_compat are computed again), and of these
 * from the training forward, before the first step moved it. */
static double decode_difference(const PpoTrainer *t) {
    const Rollout *r = t->rollout;
    const Trajectory *tr = t->trajectory;
    double most = t->sums.logp_shift;
    for (int64_t i = 0; i < r->n; i++)
        for (int32_t k = 0; k < r->length[i]; k++)
            most = fmax(most, fabs(r->decode_logp[i * r->response_length + k] -
                                   tr->logp[tr->start[i] + k]));
    return most;
}

static double count_eos(const PpoTrainer *t) {
    const Rollout *r = t->rollout;
    int32_t one = tokenizer_eos(t->tok);
    const int32_t *ids = &one;
    size_t n_ids = t->config->trl_compat ? 1 : tokenizer_eos_list(t->tok, &ids);
    double count = 0.0;
    for (int64_t i = 0; i < r->n; i++)
        for (int32_t k = 0; k < r->length[i]; k++)
            for (size_t e = 0; e < n_ids; e++)
                count += r->tokens[i * r->response_length + k] == ids[e];
    return count;
}

void ppo_log_update(Metrics *m, const PpoTrainer *t, double lr, double episodes_per_second) {
    const UpdateSums *u = &t->sums;
    RolloutStats r = rollout_stats(t->trajectory, t->kl.coef);
    double n = u->count > 0.0 ? u->count : 1.0;
    if (t->config->trl_compat) { /* each PAD has log-prob 1.0 there (defect B10), and unused cells
                                    of its table are 0 (B1) */
        r.entropy -= (double)rollout_longest(t->rollout) - r.length;
        n = (double)(t->config->num_ppo_epochs * t->config->num_mini_batches * t->accumulation);
    }
    double ratio = u->ratio / n;
    double spread = n > 1.0 ? (u->ratio_squares - n * ratio * ratio) / (n - 1.0) : 0.0;
    metrics_set(m, "eps", floor(episodes_per_second));
    metrics_set(m, "objective/kl", r.kl);
    metrics_set(m, "objective/entropy", r.entropy);
    metrics_set(m, "objective/non_score_reward", r.non_score_reward);
    metrics_set(m, "objective/rlhf_reward", r.non_score_reward + r.score);
    metrics_set(m, "objective/scores", r.score);
    metrics_set(m, "objective/kl_coef", t->kl.coef);
    metrics_set(m, "policy/approxkl_avg", u->approxkl / n);
    metrics_set(m, "policy/clipfrac_avg", u->clipfrac / n);
    metrics_set(m, "policy/entropy_avg", u->entropy / n);
    metrics_set(m, "policy/policykl_avg", u->policykl / n);
    metrics_set(m, "loss/policy_avg", u->policy_loss / n);
    metrics_set(m, "loss/value_avg", u->value_loss / n);
    metrics_set(m, "val/clipfrac_avg", u->value_clipfrac / n);
    metrics_set(m, "val/ratio", ratio);
    metrics_set(m, "val/ratio_var", spread > 0.0 ? spread : 0.0);
    metrics_set(m, "val/num_eos_tokens", count_eos(t));
    metrics_set(m, "val/rollout_logp_diff", decode_difference(t));
    metrics_set(m, "tokens/responses_len_mean", r.length);
    metrics_set(m, "grad_norm", u->grad_norm);
    metrics_set(m, "skipped_steps", u->skipped);
    metrics_set(m, "lr", lr);
    metrics_set(m, "episode", (double)t->episode);
}

/* The controller moves after the update was logged with the coefficient it used. */
void ppo_control(PpoTrainer *t) {
    RolloutStats r = rollout_stats(t->trajectory, t->kl.coef);
    kl_control_update(&t->kl, r.kl, t->rollout->n);
}
