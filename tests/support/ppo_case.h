/* ppo_case: the ppo program opened in this process without a run folder, driven update by update,
 * and what it would have logged. The working folder holds the smoke models (program_prepare). */
#ifndef HONE_TESTS_PPO_CASE_H
#define HONE_TESTS_PPO_CASE_H

#include "ppo/ppo_collect.h"
#include "ppo/ppo_program.h"
#include "program_run.h"

#include <math.h>

/* Every key may be given again by the words of a case. */
static const char ppo_case_yaml[] =
    "output_dir: unused\n"
    "threads: 1\n"
    "model: {path: runs/smoke/text}\n"
    "data: {train: configs/smoke/data/prompts.jsonl}\n"
    "training: {per_device_train_batch_size: 2, gradient_accumulation_steps: 4, max_steps: 2,\n"
    "           learning_rate: 1.0e-3}\n"
    "ppo: {response_length: 6, num_ppo_epochs: 2, num_mini_batches: 2}\n";

#define PPO_CASE_LENGTH "ppo.reward={function: length, target: 3}"

typedef struct PpoCase {
    PpoProgram p;
    PpoTrainer *t; /* p.trainer */
    Metrics *metrics;
    int64_t update;
} PpoCase;

/* `words`: key=value, "|" between them. Returns what opening came to. */
static inline Status ppo_case_try(PpoCase *c, const char *device, const char *words) {
    *c = (PpoCase){.t = &c->p.trainer};
    mem_free(scratch_text(".", "run.yaml", ppo_case_yaml));
    char *copy = mem_strdup(words),
         *argv[16] = {(char *)"ppo", (char *)"run.yaml", (char *)"--quiet"};
    int argc = 3;
    for (char *word = strtok(copy, "|"); word; word = strtok(NULL, "|")) argv[argc++] = word;
    Status st = config_load(&c->p.cfg, STAGE_PPO, argc, argv);
    mem_free(copy);
    if (st != OK) return st;
    c->p.cfg->run.device = (char *)device;
    file_make_folders("log-of-case");
    if (file_remove_tree("log-of-case/metrics.jsonl") != OK) abort();
    st = ppo_program_open(&c->p);
    return st == OK ? metrics_open(&c->metrics, "log-of-case") : st;
}

static inline void ppo_case_open(PpoCase *c, const char *device, const char *words) {
    if (ppo_case_try(c, device, words) != OK) fail_msg("%s: %s", words, status_message());
}

static inline void ppo_case_close(PpoCase *c) {
    metrics_close(c->metrics);
    ppo_program_close(&c->p);
}

/* One update, logged, at rate lr. */
static inline void ppo_case_update(PpoCase *c, double lr) {
    if (ppo_update(c->t, c->update, lr) != OK) fail_msg("%s", status_message());
    ppo_log_update(c->metrics, c->t, lr, 1.0);
    ppo_control(c->t);
    assert_int_equal(metrics_log(c->metrics, ++c->update, 0.0), OK);
}

static inline double ppo_case_metric(const PpoCase *c, const char *name) {
    double x = metrics_last(c->metrics, name);
    if (isnan(x)) fail_msg("no `%s` was logged", name);
    return x;
}

/* What sampling the responses at hand would have captured. */
static inline void ppo_case_capture_logp(PpoCase *c) {
    PpoTrainer *t = c->t;
    Rollout *r = t->rollout;
    PassOut out = {.logp = t->logp};
    for (int64_t i = 0; i < r->n; i++) {
        ppo_batch_fill(t->batch, r, NULL, &i, 1, false);
        pass_score(t->pass, &t->roles->policy_role, &t->batch->rows, &t->pass_options, &out);
        for (int32_t k = 0; k < r->length[i]; k++)
            r->decode_logp[i * r->response_length + k] = t->logp[r->example[i].n_ids - 1 + k];
    }
}

/* The update at hand has these responses (rows of T tokens, -1 behind their end), as if sampled;
 * `stop` is the id that ends one. Phase 1 is done; nothing is scored. */
static inline void ppo_case_respond(PpoCase *c, const int32_t *tokens, int32_t stop) {
    Rollout *r = c->t->rollout;
    for (int64_t i = 0; i < r->n; i++) {
        int32_t *row = r->tokens + i * r->response_length;
        int32_t n = 0;
        for (; n < r->response_length && tokens[i * r->response_length + n] >= 0; n++)
            row[n] = tokens[i * r->response_length + n];
        r->length[i] = n;
        r->ended[i] = n > 0 && row[n - 1] == stop;
        r->done[i] = 1;
        r->scored[i] = 0;
    }
    c->t->rollout_of = c->update + 1; /* as after a resume: finished rows are kept */
    ppo_locate_rows(c->t, c->update);
    ppo_case_capture_logp(c);
}

#endif
