/* The three programs on genuine data sets with a genuine tokenizer, from random weights made by
 * `hone init`: SFT of all weights and with LoRA, a reward model that is interrupted, PPO with it
 * and with functions, sentiment rows as text and their scores. A few steps each; what they say
 * about the data must be true. Skipped where the collection is absent. */
#include "core/io/json.h"
#include "program_run.h"

#include <signal.h>

#define DATA HONE_SHARED_DIR "/data/"
#define ALPACA DATA "alpaca/alpaca_4500.json"
#define HARMLESS DATA "hh_rlhf/harmless-base/test.part_a.jsonl.gz"

static char *folder;

static const char config_json[] =
    "{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", \"vocab_size\": 32000,"
    " \"hidden_size\": 32, \"intermediate_size\": 64, \"num_hidden_layers\": 2,"
    " \"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"max_position_embeddings\": 256,"
    " \"rms_norm_eps\": 1e-5, \"tie_word_embeddings\": true}";

#define TRAINING \
    "{per_device_train_batch_size: 8, learning_rate: 1.0e-3, logging_steps: 1, max_steps: "

static void says(const char *what) {
    char *log = program_text(folder, "log");
    if (!strstr(log, what)) fail_msg("`%s` is not among what was said:\n%s", what, log);
    mem_free(log);
}

/* Runs `program` on that config; its result must be there, and nothing may be bad about it. */
static void runs(const char *program, const char *output, const char *yaml) {
    char *text = str_format("output_dir: %s\n%s", output, yaml);
    mem_free(scratch_text(folder, "run.yaml", text));
    program_expect(folder, output, program_run(folder, program, "run.yaml", NULL), 0);
    char *final = str_format("done: %s/final holds", output);
    says(final);
    mem_free(final);
    mem_free(text);
}

/* Lines of folder/name. */
static int64_t lines_of(const char *name) {
    char *text = program_text(folder, name);
    int64_t n = 0;
    for (const char *at = text; *at; at++) n += *at == '\n';
    mem_free(text);
    return n;
}

static void need_data(void) {
    if (file_is_folder(DATA)) return;
    print_message("skipped: no data in %s\n", DATA);
    skip();
}

static void test_real_data__sft_learns_alpaca(void **state) {
    (void)state;
    need_data();
    runs("sft", "sft",
         "model: {path: base}\n"
         "data: {train: " ALPACA ", max_length: 128}\n"
         "training: " TRAINING "4}\n");
    says("format alpaca");
    says("train data: 4500 rows, 4450 items");
    says("rows are cut to `max_length` 128");
    says("left out: 50 with nothing left to learn");
    assert_int_equal(lines_of("sft/metrics.jsonl"), 5); /* and the summary */
    runs("sft", "lora",
         "model: {path: sft}\n"
         "peft: {r: 4, lora_alpha: 8, target_modules: all-linear}\n"
         "data: {train: " ALPACA ", max_length: 128, packing: true}\n"
         "training: " TRAINING "4}\n");
    says("adapters and heads");
    assert_true(access("lora/final/adapter_model.safetensors", R_OK) == 0);
}

/* Waits until the run has logged a step, at most 20 s. */
static void wait_for_steps(const char *metrics) {
    for (int i = 0; i < 2000; i++) {
        Str text = {0};
        bool begun = file_read(&text, metrics, 1 << 20) == OK && text.len > 0;
        str_free(&text);
        if (begun) return;
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    fail_msg("%s stays empty", metrics);
}

/* Needs the result of SFT. */
static void test_real_data__reward_goes_on_after_ctrl_c(void **state) {
    (void)state;
    need_data();
    mem_free(scratch_text(folder, "reward.yaml",
                          "output_dir: reward\n"
                          "model: {path: lora}\n"
                          "peft: {r: 4, lora_alpha: 8, target_modules: all-linear}\n"
                          "data: {train: " HARMLESS ", max_length: 128}\n"
                          "training: " TRAINING "120}\n"));
    char *argv[] = {(char[]){HONE_BIN_DIR "/reward"}, (char[]){"reward.yaml"}, NULL};
    pid_t child = program_start(folder, false, argv);
    wait_for_steps("reward/metrics.jsonl");
    assert_int_equal(kill(child, SIGINT), 0);
    program_expect(folder, "interrupted", program_wait(child), ERR_STOPPED);
    says("stopped by SIGINT; start the same command again to go on");
    assert_true(lines_of("reward/metrics.jsonl") < 120);
    program_expect(folder, "continued", program_run(folder, "reward", "reward.yaml", NULL), 0);
    says("format hh_rlhf");
    says("train data: 1850 rows");
    says("longer than `max_length` 128");
    assert_int_equal(lines_of("reward/metrics.jsonl"), 121);
    program_expect(folder, "again", program_run(folder, "reward", "reward.yaml", NULL), 0);
    says("reward is finished");
}

/* Needs the results of SFT and of the reward model. */
static void test_real_data__ppo_learns_from_both_rewards(void **state) {
    (void)state;
    need_data();
    static const char yaml[] = "model: {path: lora}\n"
                               "peft: {r: 4, lora_alpha: 8, target_modules: all-linear}\n"
                               "data: {train: " ALPACA ", max_length: 64}\n"
                               "training: " TRAINING "2}\n"
                               "ppo: {response_length: 8, num_ppo_epochs: 2, reward: %s}\n";
    char *learned = str_format(yaml, "{model: reward}");
    runs("ppo", "ppo", learned);
    says("of each row the prompt is used");
    says("longer than `max_length` 64");
    assert_int_equal(lines_of("ppo/metrics.jsonl"), 3);
    char *functions =
        str_format(yaml, "[{function: length, target: 5}, {function: ends, weight: 0.5}]");
    runs("ppo", "ppo-functions", functions);
    mem_free(functions);
    mem_free(learned);
}

static void test_real_data__sentiment_as_text_and_scores(void **state) {
    (void)state;
    need_data();
    runs("sft", "sentiment",
         "model: {path: base}\n"
         "data: {train: " DATA "sentiment/sst2_train_2000.jsonl, max_length: 64}\n"
         "training: " TRAINING "3}\n");
    says("format text");
    says("train data: 2000 rows, 2000 items");
    runs("sft", "reviews",
         "model: {path: sentiment}\n"
         "data: {train: {path: " DATA "sentiment/rt-polarity.neg.part_a, format: text}, "
         "max_length: 64}\n"
         "training: " TRAINING "1}\n");
    says("train data: 4448 rows");
    program_expect(folder, "score",
                   program_run(folder, "hone", "score", "--model", "reward", "--data",
                               DATA "sentiment/sst2_train_2000.jsonl", "--output", "s.jsonl", NULL),
                   0);
    assert_int_equal(lines_of("s.jsonl"), 2000);
}

static int setup(void **state) {
    (void)state;
    folder = program_folder();
    if (chdir(folder) != 0) abort();
    mem_free(scratch_text(folder, "config.json", config_json));
    if (!file_is_folder(DATA)) return 0; /* each test says that it is skipped */
    return program_run(folder, "hone", "init", "--config", "config.json", "--tokenizer",
                       HONE_SHARED_DIR "/tokenizers/llama2-spm", "--output", "base", NULL);
}

static int teardown(void **state) {
    (void)state;
    return program_leave(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_real_data__sft_learns_alpaca),
        cmocka_unit_test(test_real_data__reward_goes_on_after_ctrl_c),
        cmocka_unit_test(test_real_data__ppo_learns_from_both_rewards),
        cmocka_unit_test(test_real_data__sentiment_as_text_and_scores),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
