#include "sft/sft_train.h"

#include "core/mem.h"
#include "core/stop.h"

typedef struct LossContext {
    SftLossKind kind;
    double scale;
    const int32_t *targets;
    SftSums sums;
} LossContext;

static void token_loss(void *ctx, const TokenChunk *c) {
    LossContext *l = ctx;
    if (!c->has_target) return;
    for (int64_t i = 0; i < c->n; i++) {
        c->dlogp[i] = sft_token_loss(l->kind, c->logp[i], l->scale, &l->sums);
        l->sums.entropy += c->entropy[i];
        l->sums.correct += c->argmax[i] == l->targets[c->row[i]];
    }
}

void sft_accumulate(SftTrainer *t, int64_t step, SftStep *out) {
    *out = (SftStep){0};
    int64_t epoch, in_epoch;
    batch_locate(&t->order, step, &epoch, &in_epoch);
    /* The denominator belongs to the whole step and is known before its first micro-batch (law L6).
     */
    BatchStep whole = batch_step(&t->order, t->data, epoch, in_epoch);
    PassOptions options = t->options;
    options.step = (uint64_t)step;
    int64_t micros = batch_micros(&t->order, in_epoch);
    for (int64_t micro = 0; micro < micros; micro++) {
        batch_fill(t->batch, &t->order, t->data, epoch, in_epoch, micro);
        if (t->batch->n_targets == 0) continue;
        LossContext ctx = {.kind = t->loss,
                           .scale = 1.0 / (double)whole.n_targets,
                           .targets = t->batch->rows.targets};
        TokenLoss loss = {.fn = token_loss, .ctx = &ctx, .want_entropy = true, .want_argmax = true};
        pass_train(t->pass, &t->role, &t->batch->rows, &options, &loss);
        out->loss += ctx.sums.loss;
        out->entropy += ctx.sums.entropy / ctx.sums.labels;
        out->accuracy += ctx.sums.correct / ctx.sums.labels;
        out->micros++;
    }
    t->num_tokens += whole.n_tokens;
}

void sft_step(SftTrainer *t, int64_t step, double lr, SftStep *out) {
    sft_accumulate(t, step, out);
    optim_step(t->optim, lr, &out->optim);
}

void sft_log_step(Metrics *m, const SftTrainer *t, const SftStep *s, double lr) {
    metrics_mean(m, "loss", s->loss);
    metrics_set(m, "grad_norm", s->optim.grad_norm);
    metrics_set(m, "learning_rate", lr);
    metrics_set(m, "num_tokens", (double)t->num_tokens);
    metrics_sum(m, "entropy", s->entropy, (double)s->micros);
    metrics_sum(m, "mean_token_accuracy", s->accuracy, (double)s->micros);
}

/* Items first .. first+n-1 in file order, as many as fit the batch. */
static void fill_in_order(Batch *batch, const Dataset *data, int64_t first, int64_t n,
                          int64_t *items) {
    for (int64_t i = 0; i < n; i++) items[i] = first + i;
    batch_fill_items(batch, data, 0, items, n);
}

bool sft_evaluate(SftEval *out, const SftTrainer *t, const Dataset *data, Batch *batch,
                  int64_t at_once) {
    *out = (SftEval){0};
    int64_t size = dataset_size(data), n_rows = batch->max_rows;
    int64_t *items = mem_zalloc((size_t)at_once, sizeof *items);
    PassOut num = {.logp = mem_zalloc((size_t)n_rows, sizeof(double)),
                   .entropy = mem_zalloc((size_t)n_rows, sizeof(double)),
                   .argmax = mem_zalloc((size_t)n_rows, sizeof(int32_t))};
    PassOptions options = {.temperature = 1.0, .label_smoothing = t->options.label_smoothing};
    bool whole = true;
    for (int64_t first = 0; first < size && whole; first += at_once) {
        int64_t n = size - first < at_once ? size - first : at_once;
        fill_in_order(batch, data, first, n, items);
        const Rows *rows = &batch->rows;
        pass_score(t->pass, &t->role, rows, &options, &num);
        for (int64_t i = 0; i < rows->n_rows; i++) {
            if (rows->targets[i] == ROWS_NO_TARGET) continue;
            out->loss -= num.logp[i];
            out->entropy += num.entropy[i];
            out->accuracy += num.argmax[i] == rows->targets[i];
            out->labels++;
        }
        whole = !stop_requested();
    }
    double labels = out->labels > 0 ? (double)out->labels : 1.0;
    out->loss /= labels;
    out->entropy /= labels;
    out->accuracy /= labels;
    mem_free(items);
    mem_free(num.logp);
    mem_free(num.entropy);
    mem_free(num.argmax);
    return whole;
}
