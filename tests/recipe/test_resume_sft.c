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

static const char encoder_decoder[] =
    "{\"architectures\": [\"T5ForConditionalGeneration\"], \"model_type\": \"t5\", \"vocab_size\": "
    "320, "
    "\"d_model\": 16, \"d_kv\": 8, \"d_ff\": 24, \"num_heads\": 2, \"num_layers\": 2, "
    "\"decoder_start_token_id\": 0, \"pad_token_id\": 0, \"eos_token_id\": 1, \"dropout_rate\": "
    "0.1}";

static const char beside[] =
    "output_dir: whole\n"
    "threads: 1\n"
    "model: {config: model.json, tokenizer: configs/smoke/tokenizer}\n"
    "data: {train: configs/smoke/data/completions.jsonl, max_length: 32}\n"
    "training: {per_device_train_batch_size: 2, max_steps: 7, learning_rate: 1.0e-2,\n"
    "           logging_steps: 3, save_steps: 2}\n";

static void walk(const char *yaml, const char *config, int64_t first, int64_t usual) {
    char *folder = program_folder();
    mem_free(scratch_text(folder, "model.json", config));
    mem_free(scratch_text(folder, "run.yaml", yaml));
    stop_points_walk(folder, "run.yaml", first, stop_points_stride(usual), NULL, NULL);
    scratch_free(folder);
}

static void test_resume_sft__full(void **state) {
    (void)state;
    walk(full, model, 1, 5);
}

static void test_resume_sft__lora(void **state) {
    (void)state;
    walk(lora, model, 2, 5);
}

/* An adapter over a base of four bits: its codes are made anew at each start. */
static void test_resume_sft__quantized(void **state) {
    (void)state;
    char *yaml =
        str_format("%squantization: {load_in_4bit: true, bnb_4bit_use_double_quant: true}\n", lora);
    walk(yaml, model, 3, 7);
    mem_free(yaml);
}

static void test_resume_sft__encoder_decoder(void **state) {
    (void)state;
    walk(beside, encoder_decoder, 3, 4);
}

/* Losses of a run whose weights never move: they tell which rows each step has seen. */
static int losses_of(const char *folder, const char *run, double *out) {
    char *path = str_format("%s/metrics.jsonl", run), *text = program_text(folder, path);
    int n = 0;
    for (const char *at = text; (at = strstr(at, "\"loss\": ")) != NULL;)
        out[n++] = strtod(at += strlen("\"loss\": "), NULL);
    mem_free(text);
    mem_free(path);
    return n;
}

static const char still[] =
    "output_dir: whole\n"
    "threads: 1\n"
    "model: {config: model.json, tokenizer: configs/smoke/tokenizer}\n"
    "data: {train: configs/smoke/data/completions.jsonl, max_length: 32, shuffle: false}\n"
    "training: {per_device_train_batch_size: 2, max_steps: 9, learning_rate: 0, logging_steps: 1,\n"
    "           save_steps: 100, ignore_data_skip: true}\n";

/* A run that is stopped after k steps sees the rows of step 1 again in its next one; a second stop
 * begins anew again; the epoch is counted by where the data are. */
static void test_resume_sft__ignore_data_skip(void **state) {
    (void)state;
    char *folder = program_folder();
    /* without dropout, so that a loss depends on its rows alone */
    char *quiet = mem_strdup(model);
    for (char *at = quiet; (at = strstr(at, "pdrop\": 0.1")) != NULL;)
        at[strlen("pdrop\": 0.")] = '0';
    mem_free(scratch_text(folder, "model.json", quiet));
    mem_free(scratch_text(folder, "run.yaml", still));
    double whole[9], cut[9];
    assert_int_equal(stop_points_run(folder, "run.yaml", "whole", STOP_NOT, 0, NULL), 0);
    assert_int_equal(losses_of(folder, "whole", whole), 9);
    int before = 0;
    for (int stops = 0; stops < 2; stops++) {
        int code = stop_points_run(folder, "run.yaml", "cut", STOP_SIGNAL, 8, NULL);
        assert_int_equal(code, ERR_STOPPED);
        int after = losses_of(folder, "cut", cut);
        for (int i = before; i < after; i++) assert_true(cut[i] == whole[i - before]);
        assert_true(after > before);
        before = after;
    }
    assert_true(before < 9);
    assert_int_equal(stop_points_run(folder, "run.yaml", "cut", STOP_NOT, 0, NULL), 0);
    assert_int_equal(losses_of(folder, "cut", cut), 9);
    for (int i = before; i < 9; i++) assert_true(cut[i] == whole[i - before]);
    assert_true(whole[0] != whole[1]);
    mem_free(quiet);
    scratch_free(folder);
}

/* 75 says that the state is saved: of every step that was done, wherever the signal came. */
static void test_resume_sft__every_stop_saves(void **state) {
    (void)state;
    char *folder = program_folder();
    double losses[9];
    mem_free(scratch_text(folder, "model.json", model));
    mem_free(scratch_text(folder, "run.yaml", still));
    for (int64_t at = 1; at <= 14; at++) {
        assert_int_equal(stop_points_run(folder, "run.yaml", "cut", STOP_SIGNAL, at, NULL),
                         ERR_STOPPED);
        char *cut = file_join(folder, "cut"), *last = last_checkpoint(cut);
        char *step = str_format("step-%d", losses_of(folder, "cut", losses));
        if (!str_equal(file_name(last), step))
            fail_msg("question %lld: %s is done, %s is saved", (long long)at, step, last);
        assert_int_equal(file_remove_tree(cut), OK);
        mem_free(step);
        mem_free(last);
        mem_free(cut);
    }
    scratch_free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resume_sft__full),
        cmocka_unit_test(test_resume_sft__lora),
        cmocka_unit_test(test_resume_sft__quantized),
        cmocka_unit_test(test_resume_sft__encoder_decoder),
        cmocka_unit_test(test_resume_sft__ignore_data_skip),
        cmocka_unit_test(test_resume_sft__every_stop_saves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
