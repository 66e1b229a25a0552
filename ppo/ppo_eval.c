#include "core/mem.h"
#include "ppo/ppo_collect.h"
#include "ppo/ppo_train.h"

/* TRL samples its evaluation prompts almost greedily. */
#define EVAL_TEMPERATURE 0.01

/* Evaluation rows have streams of their own, far from any training row. */
#define EVAL_FIRST_ROW ((int64_t)1 << 48)

static Status evaluate_rows(PpoEval *sum, PpoTrainer *t, Rollout *r, int64_t first,
                            const PpoSampleSink *sink) {
    RolloutSampling sampling = t->sampling;
    sampling.temperature = EVAL_TEMPERATURE;
    TRY(rollout_generate(r, t->generator, &sampling));
    TRY(ppo_score_rows(t, r, 0, r->n));
    Str text = {0};
    Status st = OK;
    for (int64_t i = 0; i < r->n && st == OK; i++) {
        sum->score += r->score[i];
        sum->length += r->length[i];
        sum->ended += r->ended[i];
        if (!sink || !sink->on_sample || first + i >= sink->max_samples) continue;
        str_clear(&text);
        st = ppo_response_text(&text, r, i, t->tok);
        if (st == OK)
            st = sink->on_sample(sink->ctx, r->example[i].prompt, str_text(&text), r->score[i]);
    }
    str_free(&text);
    return st;
}

Status ppo_evaluate(PpoEval *out, PpoTrainer *t, const Dataset *data, int64_t max_rows,
                    const PpoSampleSink *sink) {
    *out = (PpoEval){0};
    int64_t size = dataset_size(data);
    if (max_rows > 0 && size > max_rows) size = max_rows;
    int64_t chunk = size < t->config->local_rollout_forward_batch_size
                        ? size
                        : t->config->local_rollout_forward_batch_size;
    int64_t *items = mem_zalloc((size_t)chunk, sizeof *items);
    Rollout *r = NULL;
    Status st = rollout_open(&r, chunk, t->rollout->response_length);
    for (int64_t first = 0; first < size && st == OK; first += chunk) {
        r->n = size - first < chunk ? size - first : chunk;
        for (int64_t i = 0; i < r->n; i++) items[i] = first + i;
        rollout_begin(r, data, items, EVAL_FIRST_ROW + first, false);
        st = evaluate_rows(out, t, r, first, sink);
    }
    rollout_close(r);
    mem_free(items);
    double n = (double)size;
    *out = (PpoEval){out->score / n, out->length / n, out->ended / n, size};
    return st;
}
