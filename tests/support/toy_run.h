/* toy_run: a whole training run without a model: the loop of train/run.h over a few numbers, so
 * that resume, best, early stopping and the run folder are tested in milliseconds. */
#ifndef HONE_TESTS_TOY_RUN_H
#define HONE_TESTS_TOY_RUN_H

#include "config_case.h"
#include "core/stop.h"
#include "train/run.h"

#include <math.h>

#define TOY_SIZE 4

typedef struct Toy {
    Config *cfg;
    Run *run;
    Dev *dev;
    double weight[TOY_SIZE], moment[TOY_SIZE];
    int64_t stop_at;                 /* a signal comes in this step; 0: none */
    int64_t stop_in_eval;            /* ... in the evaluation after this step; -1: none */
    int64_t bad_at;                  /* the loss is NaN in this step */
    int64_t evals;                   /* done by this process */
    void (*each_step)(struct Toy *); /* NULL: nothing */
    const char *base_digest;         /* NULL: the usual one */
    char *wrote;                     /* final/'s content: the weights as text */
} Toy;

static inline double toy_loss(const Toy *t) {
    double loss = 0;
    for (int i = 0; i < TOY_SIZE; i++) loss += t->weight[i] * t->weight[i];
    return loss;
}

static inline void toy_train(Toy *t) {
    int64_t step = run_step(t->run);
    for (int i = 0; i < TOY_SIZE; i++) {
        double gradient = 2 * t->weight[i] + sin((double)(step * TOY_SIZE + i));
        t->moment[i] = 0.9 * t->moment[i] + 0.1 * gradient;
        t->weight[i] -= 0.05 * t->moment[i];
    }
    metrics_mean(run_metrics(t->run), "loss", toy_loss(t));
    metrics_set(run_metrics(t->run), "learning_rate", 1.0 / (double)(1 + step));
}

/* Lowest at step 5, so that later evaluations are worse. */
static inline double toy_eval_loss(int64_t step) {
    return fabs((double)step - 5) / 7;
}

static inline Status toy_evaluate(Toy *t) {
    if (t->stop_in_eval == run_step(t->run)) stop_request();
    if (run_stopping(t->run)) return OK;
    t->evals++;
    Json *values = json_new_object();
    json_set(values, "eval_loss", json_new_num(toy_eval_loss(run_step(t->run))));
    Json *sample = json_new_object();
    json_set(sample, "prompt", json_new_str("a <b> & \"c\""));
    json_set(sample, "completion", json_new_str(run_step(t->run) < 4 ? "before" : "after"));
    TRY(run_sample(t->run, sample));
    return run_eval_done(t->run, values, 0.25, 8);
}

static inline Status toy_loop(Toy *t) {
    for (;;) {
        if (run_eval_due(t->run)) TRY(toy_evaluate(t));
        TRY(run_save_if_due(t->run));
        if (!run_goes_on(t->run)) return run_end(t->run);
        toy_train(t);
        int64_t step = run_step(t->run) + 1;
        if (step == t->bad_at) return run_numbers_bad(t->run, "loss", "layer 3");
        if (step == t->stop_at) stop_request();
        TRY(run_step_done(t->run, (double)step / 4)); /* an epoch has four steps */
        if (t->each_step) t->each_step(t);
    }
}

static inline Status toy_finish(Toy *t) {
    PublishFolder *folder = NULL;
    TRY(run_final_open(t->run, &folder));
    Str text = {0};
    for (int i = 0; i < TOY_SIZE; i++) str_printf(&text, "%a\n", t->weight[i]);
    Status st = publish_bytes_in(folder, "weights.safetensors", text.data, text.len);
    t->wrote = str_take(&text);
    if (st == OK) st = run_final_commit(t->run, folder);
    publish_folder_close(folder);
    return st;
}

static inline Status toy_train_all(Toy *t) {
    TRY(run_open(&t->run, t->cfg));
    if (run_is_finished(t->run)) return OK;
    TRY(dev_open(&t->dev, "ref64", 1));
    TRY(run_set_device(t->run, t->dev));
    state_tensor(run_state(t->run), "params/weight", tensor_1d(t->weight, DTYPE_F64, TOY_SIZE));
    state_tensor(run_state(t->run), "optim/m/weight", tensor_1d(t->moment, DTYPE_F64, TOY_SIZE));
    for (int i = 0; i < TOY_SIZE; i++) t->weight[i] = 1 + i;
    TRY(run_input(t->run, "model", "base", t->base_digest ? t->base_digest : "aaaa0000"));
    plan_add(run_plan(t->run), PLAN_BASE, "toy", 1 << 20);
    plan_role(run_plan(t->run), "policy", "toy", "", "");
    TRY(run_begin(t->run,
                  &(RunFacts){.total_steps = t->cfg->training.max_steps, .has_eval = true}));
    TRY(toy_loop(t));
    return toy_finish(t);
}

/* Runs as one process would: config from words, a fresh signal flag. `t` keeps what is compared. */
static inline Status toy_run(Toy *t, const ConfigCase *c) {
    stop_reset();
    t->cfg = c->cfg;
    Status st = c->status == OK ? toy_train_all(t) : c->status;
    run_close(t->run);
    dev_close(t->dev);
    stop_reset();
    t->run = NULL;
    t->dev = NULL;
    return st;
}

#endif
