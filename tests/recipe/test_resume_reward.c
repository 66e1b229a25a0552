/* A reward model goes on bit for bit (law L3), stopped or killed at each place where its loops can
 * be left. */
int program_main(int argc, char **argv);
#define main program_main
#include "reward/main.c"
#undef main

#include "program_run.h"
#include "stop_points.h"

/* Epochs of two and a half steps, an evaluation every second one, early stopping in the game. */
static const char full[] = "output_dir: whole\n"
                           "threads: 1\n"
                           "model: {path: runs/smoke/text}\n"
                           "data:\n"
                           "  train: configs/smoke/data/pairs.jsonl\n"
                           "  eval: configs/smoke/data/pairs.jsonl\n"
                           "  max_length: 64\n"
                           "training:\n"
                           "  per_device_train_batch_size: 5\n"
                           "  per_device_eval_batch_size: 8\n"
                           "  gradient_accumulation_steps: 2\n"
                           "  num_train_epochs: 3\n"
                           "  learning_rate: 1.0e-2\n"
                           "  logging_steps: 2\n"
                           "  eval_steps: 1\n"
                           "  save_steps: 2\n"
                           "  save_total_limit: 1\n"
                           "  metric_for_best_model: eval_accuracy\n"
                           "  load_best_model_at_end: true\n"
                           "  early_stopping_patience: 4\n";

static const char lora[] =
    "output_dir: whole\n"
    "threads: 1\n"
    "model: {path: runs/smoke/text}\n"
    "peft: {r: 2, lora_alpha: 4, lora_dropout: 0.1, target_modules: [q_proj, down_proj]}\n"
    "data: {train: configs/smoke/data/pairs.jsonl, max_length: 64}\n"
    "reward: {center_rewards_coefficient: 0.01, disable_dropout: false}\n"
    "training: {per_device_train_batch_size: 3, max_steps: 7, learning_rate: 1.0e-2,\n"
    "           logging_steps: 3, save_steps: 4, lr_scheduler_type: constant_with_warmup}\n";

static void walk(const char *yaml, int64_t first, int64_t usual) {
    char *folder = program_folder();
    program_prepare(folder, "1");
    mem_free(scratch_text(folder, "run.yaml", yaml));
    stop_points_walk(folder, "run.yaml", first, stop_points_stride(usual), NULL, NULL);
    scratch_free(folder);
}

static void test_resume_reward__full(void **state) {
    (void)state;
    walk(full, 1, 7);
}

static void test_resume_reward__lora(void **state) {
    (void)state;
    walk(lora, 2, 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resume_reward__full),
        cmocka_unit_test(test_resume_reward__lora),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
