/* ppo with trl_compat against TRL's PPOTrainer (tests/oracle/trl_ppo.py): two updates over fixed
 * responses. Scores, log-probs, advantages, every logged metric, and every parameter of policy and
 * value model at the end. */
#include "ppo/ppo_collect.h"
#include "ppo/ppo_program.h"
#include "trl_case.h"

enum { ROWS = 8, UPDATES = 2, EOS = 1 };

static const char *const metrics[] = {"objective/kl",
                                      "objective/entropy",
                                      "objective/non_score_reward",
                                      "objective/rlhf_reward",
                                      "objective/scores",
                                      "policy/approxkl_avg",
                                      "policy/clipfrac_avg",
                                      "loss/policy_avg",
                                      "loss/value_avg",
                                      "val/clipfrac_avg",
                                      "policy/entropy_avg",
                                      "val/ratio",
                                      "val/num_eos_tokens",
                                      "lr",
                                      "episode",
                                      NULL};
/* A difference of nearly equal squares, two numbers of it: what float32 leaves of it is luck. */
static const char *const exact_metrics[] = {"val/ratio_var", NULL};

static const char common[] = "data: {train: golden/prompts.jsonl, shuffle: false}\n"
                             "output_dir: out\n"
                             "seed: 1\n"
                             "threads: 1\n";

static const char plain[] = "model: {path: golden/policy}\n"
                            "training: {per_device_train_batch_size: 2, logging_steps: 1,\n"
                            "  gradient_accumulation_steps: 4, learning_rate: 2e-2}\n"
                            "ppo: {trl_compat: true, reward: {model: golden/reward},\n"
                            "  response_length: 7, total_episodes: 16, num_sample_generations: 0,\n"
                            "  missing_eos_penalty: 1.0, kl_coef: 0.2, num_mini_batches: 2,\n"
                            "  num_ppo_epochs: 3, cliprange: 0.1, cliprange_value: 0.1}\n";

static const char k3[] =
    "model: {path: golden/policy}\n"
    "training: {per_device_train_batch_size: 4, logging_steps: 1,\n"
    "  gradient_accumulation_steps: 2, learning_rate: 1e-2}\n"
    "ppo: {trl_compat: true, reward: {model: golden/reward},\n"
    "  response_length: 7, total_episodes: 16, num_sample_generations: 0,\n"
    "  stop_token: null, kl_estimator: k3, kl_coef: 0.05, gamma: 0.9, lam: 0.8,\n"
    "  whiten_rewards: true, num_ppo_epochs: 2, vf_coef: 0.5}\n";

static const char lora[] = "model: {path: golden/policy, adapter: golden/policy_adapter}\n"
                           "training: {per_device_train_batch_size: 4, logging_steps: 1,\n"
                           "  gradient_accumulation_steps: 2, learning_rate: 1e-2}\n"
                           "ppo: {trl_compat: true, reward: {model: golden/reward},\n"
                           "  response_length: 7, total_episodes: 16, num_sample_generations: 0,\n"
                           "  stop_token_id: 7, missing_eos_penalty: 0.5, num_ppo_epochs: 2,\n"
                           "  local_rollout_forward_batch_size: 3}\n";

/* The golden responses of an update, as if they had been sampled. Returns how many tokens. */
static int64_t fill(Rollout *r, const TrlCase *c, int64_t update, int64_t first_token) {
    const int32_t *tokens = (const int32_t *)trl_find(c, "responses")->data + first_token;
    const int32_t *lengths = (const int32_t *)trl_find(c, "lengths")->data + update * ROWS;
    int64_t n = 0;
    for (int64_t i = 0; i < ROWS; i++) {
        memcpy(r->tokens + i * r->response_length, tokens + n, (size_t)lengths[i] * sizeof *tokens);
        n += lengths[i];
        r->length[i] = lengths[i];
        r->ended[i] = tokens[n - 1] == EOS;
        r->done[i] = 1;
        r->scored[i] = 0;
    }
    return n;
}

/* The prompts are the ids that TRL saw. */
static void check_prompts(const PpoTrainer *t, const TrlCase *c) {
    const int32_t *golden = (const int32_t *)trl_find(c, "prompts")->data;
    for (int64_t i = 0; i < ROWS; i++) {
        const DatasetExample *e = &t->rollout->example[i];
        assert_memory_equal(e->ids, golden, (size_t)e->n_ids * sizeof *golden);
        golden += e->n_ids;
    }
    const TensorEntry *all = trl_find(c, "prompts");
    assert_ptr_equal(golden, (const char *)all->data + all->bytes);
}

/* What TRL had for tokens and rows of all updates, one after another. */
typedef struct Seen {
    double logp[256], advantage[256], score[UPDATES * ROWS];
    int64_t n;
} Seen;

static void keep(Seen *s, const PpoTrainer *t, int64_t update) {
    const Trajectory *tr = t->trajectory;
    for (int64_t i = 0; i < tr->n_slots; i++) {
        if (!tr->has_token[i]) continue;
        s->logp[s->n] = tr->logp[i];
        s->advantage[s->n++] = tr->advantage[i];
    }
    for (int64_t i = 0; i < ROWS; i++) s->score[update * ROWS + i] = t->rollout->score[i];
}

static void check(const char *device, const char *golden, const char *yaml) {
    TrlCase c;
    trl_open(&c, device, golden);
    char *text = str_format("%s%s", common, yaml);
    mem_free(scratch_text(".", "run.yaml", text));
    mem_free(text);
    char *argv[] = {(char *)"ppo", (char *)"run.yaml", (char *)"--quiet", NULL};
    PpoProgram p = {0};
    Seen seen = {0};
    if (config_load(&p.cfg, STAGE_PPO, 3, argv) != OK) fail_msg("%s", status_message());
    p.cfg->run.device = (char *)device;
    assert_int_equal(run_open(&p.run, p.cfg), OK);
    if (ppo_program_open(&p) != OK) fail_msg("%s", status_message());
    assert_int_equal(ppo_program_begin(&p), OK);
    assert_int_equal(p.total_updates, UPDATES);
    int64_t token = 0;
    for (int64_t update = 0; update < UPDATES; update++) {
        double lr = schedule_lr(&p.schedule, update);
        token += fill(p.trainer.rollout, &c, update, token);
        p.trainer.rollout_of = update + 1; /* a resumed rollout: finished rows are kept */
        if (ppo_update(&p.trainer, update, lr) != OK) fail_msg("%s", status_message());
        check_prompts(&p.trainer, &c);
        keep(&seen, &p.trainer, update);
        assert_int_equal(ppo_program_report(&p, update, lr), OK);
        assert_int_equal(run_step_done(p.run, ppo_program_epoch(&p)), OK);
    }
    trl_check(&c, "logprobs", seen.logp, seen.n);
    trl_check(&c, "scores", seen.score, UPDATES * ROWS);
    trl_check(&c, "advantages", seen.advantage, seen.n);
    trl_check_metrics(&c, "out", metrics);
    if (str_equal(device, "ref64")) trl_check_metrics(&c, "out", exact_metrics);
    trl_check_params(&c, p.dev, "after", &p.roles.policy_params);
    trl_check_params(&c, p.dev, "value_after", &p.roles.value_params);
    ppo_program_close(&p);
    trl_close(&c);
}

static void test_trl_ppo__plain_f64(void **state) {
    (void)state;
    check("ref64", "ppo_plain", plain);
}

static void test_trl_ppo__plain_f32(void **state) {
    (void)state;
    check("cpu", "ppo_plain", plain);
}

static void test_trl_ppo__k3_f64(void **state) {
    (void)state;
    check("ref64", "ppo_k3", k3);
}

static void test_trl_ppo__k3_f32(void **state) {
    (void)state;
    check("cpu", "ppo_k3", k3);
}

static void test_trl_ppo__lora_f64(void **state) {
    (void)state;
    check("ref64", "ppo_lora", lora);
}

static void test_trl_ppo__lora_f32(void **state) {
    (void)state;
    check("cpu", "ppo_lora", lora);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trl_ppo__plain_f64), cmocka_unit_test(test_trl_ppo__plain_f32),
        cmocka_unit_test(test_trl_ppo__k3_f64),    cmocka_unit_test(test_trl_ppo__k3_f32),
        cmocka_unit_test(test_trl_ppo__lora_f64),  cmocka_unit_test(test_trl_ppo__lora_f32),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
