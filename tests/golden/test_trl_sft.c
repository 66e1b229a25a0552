/* sft against TRL's SFTTrainer (tests/oracle/trl_sft.py): ten steps of two micro-batches over
 * prompts and completions in file order, some cut to max_length, over the end of an epoch, with
 * clipping, weight decay and a warm-up, and the same with label smoothing: every logged metric and
 * every parameter at the end. */
int program_main(int argc, char **argv);
#define main program_main
#include "sft/main.c"
#undef main

#include "trl_case.h"

static const char *const metrics[] = {
    "loss", "grad_norm", "learning_rate", "entropy", "mean_token_accuracy", "num_tokens", NULL};

/* TRL's own flat names. */
static const char yaml[] = "model_name_or_path: golden/policy\n"
                           "dataset_name: rows.jsonl\n"
                           "output_dir: out\n"
                           "seed: 1\n"
                           "max_length: 14\n"
                           "per_device_train_batch_size: 2\n"
                           "gradient_accumulation_steps: 2\n"
                           "max_steps: 10\n"
                           "learning_rate: 1e-2\n"
                           "warmup_steps: 2\n"
                           "weight_decay: 0.1\n"
                           "max_grad_norm: 1.0\n"
                           "logging_steps: 1\n"
                           "bf16: false\n"
                           "gradient_checkpointing: false\n";

/* The first 28 rows of the smoke completions. */
static void write_rows(void) {
    char *text = program_text(".", "configs/smoke/data/completions.jsonl"), *end = text;
    for (int i = 0; i < 28; i++) end = strchr(end, '\n') + 1;
    mem_free(scratch_file(".", "rows.jsonl", text, (size_t)(end - text)));
    mem_free(text);
}

static void check(const char *device, const char *golden, const char *more) {
    TrlCase c;
    trl_open(&c, device, golden);
    write_rows();
    char *text = str_format("%s%s", yaml, more);
    mem_free(scratch_text(".", "run.yaml", text));
    mem_free(text);
    char *argv[] = {(char *)"sft",     (char *)"run.yaml",           (char *)"threads=1",
                    (char *)"--quiet", (char *)"data.shuffle=false", NULL};
    SftProgram p = {0};
    if (config_load(&p.s.cfg, STAGE_SFT, 5, argv) != OK) fail_msg("%s", status_message());
    p.s.cfg->run.device = (char *)device;
    assert_int_equal(run_open(&p.s.run, p.s.cfg), OK);
    assert_int_equal(sft_program_open(&p), OK);
    assert_int_equal(sft_program_begin(&p), OK);
    assert_int_equal(train(&p), OK);
    trl_check_metrics(&c, "out", metrics);
    trl_check_params(&c, p.s.dev, "after", &p.s.params);
    supervised_close(&p.s);
    trl_close(&c);
}

static void test_trl_sft__trajectory_f64(void **state) {
    (void)state;
    check("ref64", "sft", "");
}

static void test_trl_sft__trajectory_f32(void **state) {
    (void)state;
    check("cpu", "sft", "");
}

static const char smoothing[] = "label_smoothing_factor: 0.1\n";

static void test_trl_sft__smoothed_f64(void **state) {
    (void)state;
    check("ref64", "sft_smoothed", smoothing);
}

static void test_trl_sft__smoothed_f32(void **state) {
    (void)state;
    check("cpu", "sft_smoothed", smoothing);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trl_sft__trajectory_f64),
        cmocka_unit_test(test_trl_sft__trajectory_f32),
        cmocka_unit_test(test_trl_sft__smoothed_f64),
        cmocka_unit_test(test_trl_sft__smoothed_f32),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
