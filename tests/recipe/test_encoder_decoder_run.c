/* An encoder-decoder through the programs: a new T5 learns five pairs by heart, is scored, answers,
 * learns by LoRA; the programs that cannot take one say so. */
#include "core/io/json.h"
#include "core/str.h"
#include "program_run.h"

#include <math.h>

static char *folder;

#define CONFIG                                                                            \
    "{\"architectures\": [\"T5ForConditionalGeneration\"], \"model_type\": \"t5\", "      \
    "\"vocab_size\": 300, \"d_model\": 32, \"d_kv\": 8, \"d_ff\": 48, \"num_heads\": 4, " \
    "\"num_layers\": 2, \"num_decoder_layers\": 2, \"decoder_start_token_id\": 2, "       \
    "\"pad_token_id\": 2, \"eos_token_id\": 1, \"feed_forward_proj\": \"gated-gelu\", "   \
    "\"tie_word_embeddings\": false, \"dropout_rate\": 0.0}"

static const char *const pairs[][2] = {
    {"one", "eins"}, {"two", "zwei"}, {"three", "drei"}, {"four", "vier"}, {"five", "funf"}};
enum { N_PAIRS = sizeof pairs / sizeof *pairs };

#define SFT                                                                             \
    "data.train=pairs.jsonl", "training.per_device_train_batch_size=5",                 \
        "training.learning_rate=0.01", "training.lr_scheduler_type=constant", "seed=1", \
        "training.warmup_steps=0"

static void expect(int code, int want) {
    program_expect(folder, "the program", code, want);
}

static void setup_files(void) {
    for (int wrong = 0; wrong < 2; wrong++) {
        Str text = {0};
        for (int i = 0; i < N_PAIRS; i++)
            str_printf(&text, "{\"prompt\": \"%s\", \"completion\": \"%s\"}\n", pairs[i][0],
                       pairs[(i + wrong) % N_PAIRS][1]);
        mem_free(scratch_text(folder, wrong ? "wrong.jsonl" : "pairs.jsonl", str_text(&text)));
        str_free(&text);
    }
    mem_free(scratch_text(folder, "config.json", CONFIG));
    expect(program_run(folder, "hone", "train-tokenizer", "--data", "pairs.jsonl", "--vocab-size",
                       "270", "--output", "tok", NULL),
           0);
    expect(program_run(folder, "hone", "init", "--config", "config.json", "--tokenizer", "tok",
                       "--output", "base", NULL),
           0);
}

/* Line i of a file of JSON lines. */
static Json *line_of(const char *name, int i) {
    char *text = program_text(folder, name), *at = text;
    while (i-- > 0) at = strchr(at, '\n') + 1;
    Json *j = NULL;
    assert_int_equal(json_parse(&j, at, strcspn(at, "\n"), name, 1), OK);
    mem_free(text);
    return j;
}

/* What `hone score` says of all tokens of all completions of `data` together. */
static double total_logp_of(const char *data, const char *model) {
    double sum = 0;
    expect(program_run(folder, "hone", "score", "--model", model, "--data", data, "--output",
                       "scores.jsonl", NULL),
           0);
    for (int i = 0; i < N_PAIRS; i++) {
        Json *row = line_of("scores.jsonl", i);
        const Json *list = json_get(row, "logprobs"), *labels = json_get(row, "labels");
        assert_int_equal(json_len(list), json_len(labels));
        assert_int_equal(json_int(json_at(labels, json_len(labels) - 1)), 1); /* EOS */
        for (int64_t k = 0; k < json_len(list); k++) sum += json_num(json_at(list, k));
        json_free(row);
    }
    return sum;
}

static double total_logp(const char *model) {
    return total_logp_of("pairs.jsonl", model);
}

static void assert_answers(const char *model) {
    expect(program_run(folder, "hone", "generate", "--model", model, "--data", "pairs.jsonl",
                       "--temperature", "0", "--max-new-tokens", "8", "--output", "answers.jsonl",
                       NULL),
           0);
    for (int i = 0; i < N_PAIRS; i++) {
        Json *row = line_of("answers.jsonl", i);
        assert_string_equal(json_str(json_get(row, "completion"), NULL), pairs[i][1]);
        assert_string_equal(json_str(json_get(row, "finish_reason"), NULL), "stop");
        json_free(row);
    }
}

static void test_encoder_decoder_run__learns_pairs_by_heart(void **state) {
    (void)state;
    double before = total_logp("base");
    expect(program_run(folder, "sft", "model.path=base", SFT, "training.max_steps=60",
                       "data.eval=pairs.jsonl", "training.save_steps=30", "output_dir=run", NULL),
           0);
    double after = total_logp("run");
    assert_true(before < -50 && after > -1);
    assert_answers("run");
    /* final/ is a Hugging Face folder: written and read again, the numbers are the same. */
    expect(program_run(folder, "hone", "export", "--model", "run", "--to", "hf", "--output",
                       "exported", NULL),
           0);
    double again = total_logp("exported");
    assert_memory_equal(&after, &again, sizeof after);
}

static void test_encoder_decoder_run__learns_by_lora(void **state) {
    (void)state;
    expect(program_run(folder, "sft", "model.path=base", SFT, "training.max_steps=80",
                       "peft.peft_type=LORA", "peft.r=8", "peft.target_modules=all-linear",
                       "peft.lora_dropout=0", "output_dir=lora", NULL),
           0);
    char *config = program_text(folder, "lora/final/adapter_config.json");
    assert_non_null(strstr(config, "\"SEQ_2_SEQ_LM\""));
    mem_free(config);
    assert_answers("lora");
    /* Merged, the weights are rounded once more. Wrong answers, whose log-probs are far from 0,
     * tell it from a wrong merge. */
    expect(program_run(folder, "hone", "merge", "--model", "base", "--adapter", "lora/final",
                       "--output", "merged", NULL),
           0);
    assert_answers("merged");
    double apart = total_logp_of("wrong.jsonl", "lora");
    double whole = total_logp_of("wrong.jsonl", "merged");
    assert_true(apart < -50);
    assert_true(fabs(apart - whole) < 1e-4 * fabs(apart));
}

static void says(const char *what) {
    char *log = program_text(folder, "log");
    if (!strstr(log, what)) fail_msg("no `%s` in: %s", what, log);
    mem_free(log);
}

static void test_encoder_decoder_run__others_refuse_it(void **state) {
    (void)state;
    mem_free(scratch_text(folder, "better.jsonl",
                          "{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"c\"}\n"));
    expect(program_run(folder, "reward", "model.path=base", "data.train=better.jsonl",
                       "output_dir=no", NULL),
           65);
    says("T5ForConditionalGeneration is an encoder-decoder");
    expect(program_run(folder, "hone", "export", "--model", "base", "--to", "gguf", "--output",
                       "no.gguf", NULL),
           65);
    says("llama.cpp has no place for T5ForConditionalGeneration");
    expect(program_run(folder, "sft", "model.path=base", SFT, "training.neftune_noise_alpha=5",
                       "output_dir=no", NULL),
           78);
    says("noise on them is not supported");
}

static int setup(void **state) {
    (void)state;
    folder = program_folder();
    setup_files();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    return program_leave(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encoder_decoder_run__learns_pairs_by_heart),
        cmocka_unit_test(test_encoder_decoder_run__learns_by_lora),
        cmocka_unit_test(test_encoder_decoder_run__others_refuse_it),
    };
    return cmocka_run_group_tests_name("encoder-decoder run", tests, setup, teardown);
}
