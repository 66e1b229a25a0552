#include "reward/reward_train.h"

#include "core/mem.h"
#include "core/stop.h"

#include <string.h>

void reward_buffers_open(RewardBuffers *b, int64_t max_rows, int64_t max_pairs) {
    b->value = mem_zalloc((size_t)max_rows, sizeof(double));
    b->dvalue = mem_zalloc((size_t)max_rows, sizeof(double));
    b->chosen = mem_zalloc((size_t)max_pairs, sizeof(double));
    b->rejected = mem_zalloc((size_t)max_pairs, sizeof(double));
    b->dchosen = mem_zalloc((size_t)max_pairs, sizeof(double));
    b->drejected = mem_zalloc((size_t)max_pairs, sizeof(double));
}

void reward_buffers_close(RewardBuffers *b) {
    mem_free(b->value);
    mem_free(b->dvalue);
    mem_free(b->chosen);
    mem_free(b->rejected);
    mem_free(b->dchosen);
    mem_free(b->drejected);
    *b = (RewardBuffers){0};
}

/* The loss of a batch whose values are in b->value; fills dchosen and drejected. A score is read at
 * the last token by length, never by id, so a pad that equals EOS cannot move it. */
static void batch_loss(const RewardTrainer *t, const Batch *batch, double scale, RewardSums *sums) {
    const RewardBuffers *b = &t->buffers;
    int64_t n = batch->n_items;
    for (int64_t i = 0; i < n; i++) {
        b->chosen[i] = b->value[batch->last[i]];
        b->rejected[i] = b->value[batch->last[n + i]];
    }
    reward_loss(b->dchosen, b->drejected, b->chosen, b->rejected, batch->margin, n, t->center,
                scale, sums);
}

static void add_micro(RewardStep *out, const RewardSums *s) {
    out->loss += s->loss;
    out->accuracy += s->correct / s->pairs;
    out->margin += s->margin / s->pairs;
    out->min_reward += s->reward_min;
    out->mean_reward += s->reward_sum / (2.0 * s->pairs);
    out->max_reward += s->reward_max;
    out->micros++;
}

void reward_accumulate(RewardTrainer *t, int64_t step, RewardStep *out) {
    *out = (RewardStep){0};
    int64_t epoch, in_epoch;
    batch_locate(&t->order, step, &epoch, &in_epoch);
    BatchStep whole = batch_step(&t->order, t->data, epoch, in_epoch);
    PassOptions options = t->options;
    options.step = (uint64_t)step;
    RewardBuffers *b = &t->buffers;
    int64_t micros = batch_micros(&t->order, in_epoch);
    for (int64_t micro = 0; micro < micros; micro++) {
        batch_fill(t->batch, &t->order, t->data, epoch, in_epoch, micro);
        const Batch *batch = t->batch;
        if (batch->n_items == 0) continue;
        RewardSums sums;
        reward_sums_clear(&sums);
        PassOut values = {.value = b->value};
        pass_forward(t->pass, &t->role, &batch->rows, &options, &values);
        batch_loss(t, batch, 1.0 / (double)whole.n_items, &sums);
        memset(b->dvalue, 0, (size_t)batch->rows.n_rows * sizeof *b->dvalue);
        for (int64_t i = 0; i < batch->n_items; i++) {
            b->dvalue[batch->last[i]] = b->dchosen[i];
            b->dvalue[batch->last[batch->n_items + i]] = b->drejected[i];
        }
        PassGrad grad = {.dvalue = b->dvalue};
        pass_backward(t->pass, &grad);
        add_micro(out, &sums);
    }
    t->num_tokens += whole.n_tokens;
}

void reward_step(RewardTrainer *t, int64_t step, double lr, RewardStep *out) {
    reward_accumulate(t, step, out);
    optim_step(t->optim, lr, &out->optim);
}

void reward_log_step(Metrics *m, const RewardTrainer *t, const RewardStep *s, double lr) {
    double micros = (double)s->micros;
    metrics_mean(m, "loss", s->loss);
    metrics_set(m, "grad_norm", s->optim.grad_norm);
    metrics_set(m, "learning_rate", lr);
    metrics_set(m, "num_tokens", (double)t->num_tokens);
    metrics_sum(m, "accuracy", s->accuracy, micros);
    metrics_sum(m, "margin", s->margin, micros);
    metrics_sum(m, "min_reward", s->min_reward, micros);
    metrics_sum(m, "mean_reward", s->mean_reward, micros);
    metrics_sum(m, "max_reward", s->max_reward, micros);
}

bool reward_evaluate(RewardSums *out, const RewardTrainer *t, const Dataset *data, Batch *batch,
                     int64_t at_once) {
    reward_sums_clear(out);
    int64_t size = dataset_size(data);
    int64_t *items = mem_zalloc((size_t)at_once, sizeof *items);
    PassOptions options = {.temperature = 1.0};
    PassOut values = {.value = t->buffers.value};
    bool whole = true;
    for (int64_t first = 0; first < size && whole; first += at_once) {
        int64_t n = size - first < at_once ? size - first : at_once;
        for (int64_t i = 0; i < n; i++) items[i] = first + i;
        batch_fill_items(batch, data, 0, items, n);
        pass_score(t->pass, &t->role, &batch->rows, &options, &values);
        batch_loss(t, batch, 1.0 / (double)size, out);
        whole = !stop_requested();
    }
    mem_free(items);
    return whole;
}
