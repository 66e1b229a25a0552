/* reward against TRL's RewardTrainer (tests/oracle/trl_reward.py): six steps of two micro-batches
 * over pairs with a margin, the centring term, a cosine schedule: every logged metric and every
 * parameter at the end. */
int program_main(int argc, char **argv);
#define main program_main
#include "reward/main.c"
#undef main

#include "trl_case.h"

static const char *const metrics[] = {"loss",       "grad_norm",  "learning_rate", "accuracy",
                                      "margin",     "min_reward", "mean_reward",   "max_reward",
                                      "num_tokens", NULL};

static const char yaml[] = "model_name_or_path: golden/reward\n"
                           "dataset_name: golden/pairs.jsonl\n"
                           "output_dir: out\n"
                           "seed: 1\n"
                           "max_length: 64\n"
                           "per_device_train_batch_size: 2\n"
                           "gradient_accumulation_steps: 2\n"
                           "max_steps: 6\n"
                           "learning_rate: 1e-2\n"
                           "lr_scheduler_type: cosine\n"
                           "max_grad_norm: 2.0\n"
                           "center_rewards_coefficient: 0.1\n"
                           "logging_steps: 1\n"
                           "bf16: false\n"
                           "gradient_checkpointing: false\n";

static void check(const char *device) {
    TrlCase c;
    trl_open(&c, device, "reward");
    mem_free(scratch_text(".", "run.yaml", yaml));
    char *argv[] = {(char *)"reward",  (char *)"run.yaml",           (char *)"threads=1",
                    (char *)"--quiet", (char *)"data.shuffle=false", NULL};
    RewardProgram p = {0};
    if (config_load(&p.s.cfg, STAGE_REWARD, 5, argv) != OK) fail_msg("%s", status_message());
    p.s.cfg->run.device = (char *)device;
    assert_int_equal(run_open(&p.s.run, p.s.cfg), OK);
    assert_int_equal(reward_program_open(&p), OK);
    assert_int_equal(reward_program_begin(&p), OK);
    assert_int_equal(train(&p), OK);
    trl_check_metrics(&c, "out", metrics);
    trl_check_params(&c, p.s.dev, "after", &p.s.params);
    reward_program_close(&p);
    trl_close(&c);
}

static void test_trl_reward__trajectory_f64(void **state) {
    (void)state;
    check("ref64");
}

static void test_trl_reward__trajectory_f32(void **state) {
    (void)state;
    check("cpu");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trl_reward__trajectory_f64),
        cmocka_unit_test(test_trl_reward__trajectory_f32),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
