/* Supervised fine-tuning goes on bit for bit (law L3), stopped or killed at each place where its
 * loops can be left: between steps, inside an evaluation, at the ends of epochs. */
int program_main(int argc, char **argv);
#define main program_main
#include "sft/main.c"
#undef main

#include "program_run.h"
#include "stop_points.h"

/* Six rows, five steps of two micro-batches: epochs end inside and at a step, dropout draws from
 * its streams, the best step is not the last. */
static const char full[] = "output_dir: whole\n"
                           "seed: 3\n"
                           "threads: 1\n"
                           "model: {config: model.json, tokenizer: configs/smoke/tokenizer}\n"
                           "data:\n"
                           "  train: configs/smoke/data/completions.jsonl\n"
                           "  eval: configs/smoke/data/completions.jsonl\n"
                           "  max_length: 32\n"
                           "training:\n"
                           "  per_device_train_batch_size: 6\n"
                           "  per_device_eval_batch_size: 8\n"
                           "  gradient_accumulation_steps: 2\n"
                           "  num_train_epochs: 2.5\n"
                           "  learning_rate: 1.0e-2\n"
                           "  weight_decay: 0.1\n"
                           "  warmup_steps: 2\n"
                           "  logging_steps: 2\n"
                           "  eval_steps: 2\n"
                           "  eval_on_start: true\n"
                           "  save_steps: 3\n"
                           "  save_total_limit: 2\n"
                           "  load_best_model_at_end: true\n";

static const char lora[] =
    "output_dir: whole\n"
    "threads: 1\n"
    "model: {config: model.json, tokenizer: configs/smoke/tokenizer}\n"
    "peft: {r: 2, lora_alpha: 4, lora_dropout: 0.2, target_modules: all-linear}\n"
    "data:\n"
    "  train: {path: configs/smoke/data/text.txt, format: text}\n"
    "  max_length: 48\n"
    "  packing: true\n"
    "training: {per_device_train_batch_size: 2, max_steps: 7, learning_rate: 1.0e-2,\n"
    "           logging_steps: 3, save_steps: 2, lr_scheduler_type: cosine, neftune_noise_alpha: "
    "5}\n";

static const char model[] =
    "{\"architectures\": [\"GPT2LMHeadModel\"], \"model_type\": \"gpt2\", \"vocab_size\": 320, "
    "\"n_embd\": 16, \"n_layer\": 2, \"n_head\": 2, \"n_positions\": 64, \"attn_pdrop\": 0.1, "
    "\"resid_pdrop\": 0.1, \"embd_pdrop\": 0.1, \"bos_token_id\": 0, \"eos_token_id\": 1}";

static void walk(const char *yaml, int64_t first, int64_t usual) {
    char *folder = program_folder();
    mem_free(scratch_text(folder, "model.json", model));
    mem_free(scratch_text(folder, "run.yaml", yaml));
    stop_points_walk(folder, "run.yaml", first, stop_points_stride(usual), NULL, NULL);
    scratch_free(folder);
}

static void test_resume_sft__full(void **state) {
    (void)state;
    walk(full, 1, 5);
}

static void test_resume_sft__lora(void **state) {
    (void)state;
    walk(lora, 2, 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resume_sft__full),
        cmocka_unit_test(test_resume_sft__lora),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
