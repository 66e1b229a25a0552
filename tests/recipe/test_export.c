/* Models in and out of GGUF files and folders, by the programs, as a user does it: training starts
 * from a file, its adapter goes into another, and both mean the same as their folders. */
#include "program_run.h"

static char *folder;

#define RUN(name, ...)                                                                  \
    do {                                                                                \
        int code_ = program_run(folder, name, __VA_ARGS__, NULL);                       \
        if (code_ != 0)                                                                 \
            fail_msg("%s left with %d:\n%s", name, code_, program_text(folder, "log")); \
    } while (0)

static void expect_refused(int code, const char *says) {
    char *log = program_text(folder, "log");
    if (!strstr(log, says)) fail_msg("%d: %s", code, log);
    mem_free(log);
}

/* The same log-probs, digit by digit. */
static void expect_same_scores(const char *model, const char *adapter, const char *other) {
    if (adapter)
        RUN("hone", "score", "--model", model, "--adapter", adapter, "--data", "rows.jsonl",
            "--output", "a.jsonl");
    else
        RUN("hone", "score", "--model", model, "--data", "rows.jsonl", "--output", "a.jsonl");
    RUN("hone", "score", "--model", other, "--data", "rows.jsonl", "--output", "b.jsonl");
    char *a = program_text(folder, "a.jsonl"), *b = program_text(folder, "b.jsonl");
    assert_string_equal(a, b);
    mem_free(a);
    mem_free(b);
}

static void test_export__a_file_is_its_folder(void **state) {
    (void)state;
    mem_free(scratch_text(folder, "rows.jsonl",
                          "{\"text\": \"Once upon a time, the cat's 12 friends.\"}\n"
                          "{\"prompt\": \"Tom\", \"completion\": \" said hello\"}\n"));
    RUN("hone", "init", "--config", "configs/models/llama-smoke.json", "--tokenizer",
        "configs/smoke/tokenizer", "--output", "base");
    RUN("hone", "export", "--model", "base", "--to", "gguf", "--dtype", "float32", "--output",
        "made/base.gguf");
    expect_same_scores("base", NULL, "made/base.gguf");
    RUN("hone", "export", "--model", "made/base.gguf", "--to", "hf", "--output", "again");
    expect_same_scores("base", NULL, "again");
    RUN("hone", "generate", "--model", "made/base.gguf", "--prompt", "Once", "--max-new-tokens",
        "3");
    RUN("hone", "inspect", "made/base.gguf");
    RUN("hone", "export", "--model", "base", "--to", "gguf", "--dtype", "q8_0", "--output",
        "q.gguf");
    RUN("hone", "export", "--model", "base", "--to", "gguf", "--output", "half.gguf");
    int64_t q8 = 0, half = 0, full = 0;
    char *names[] = {file_join(folder, "q.gguf"), file_join(folder, "half.gguf"),
                     file_join(folder, "made/base.gguf")};
    q8 = file_size(names[0]);
    half = file_size(names[1]);
    full = file_size(names[2]);
    for (int i = 0; i < 3; i++) mem_free(names[i]);
    assert_true(0 < q8 && q8 < half && half < full);
}

static void test_export__training_starts_from_a_file(void **state) {
    (void)state;
    RUN("sft", "configs/smoke/3_sft_lora.yaml", "model.path=made/base.gguf", "output_dir=run",
        "training.max_steps=2", "threads=1", "--quiet");
    RUN("hone", "merge", "--model", "made/base.gguf", "--adapter", "run/final", "--output",
        "merged");
    RUN("hone", "export", "--model", "run", "--to", "gguf", "--dtype", "float32", "--output",
        "run.gguf");
    expect_same_scores("merged", NULL, "run.gguf");
    RUN("hone", "export", "--model", "run", "--to", "peft", "--output", "adapter");
    expect_same_scores("made/base.gguf", "adapter", "run");
}

static void test_export__says_what_is_wrong(void **state) {
    (void)state;
    int code = program_run(folder, "hone", "export", "--model", "base", "--to", "onnx", "--output",
                           "x", NULL);
    assert_int_equal(code, ERR_USAGE);
    expect_refused(code, "`onnx` is none of hf, gguf, peft");
    code = program_run(folder, "hone", "export", "--model", "base", "--to", "peft", "--output", "x",
                       NULL);
    assert_int_equal(code, ERR_USAGE);
    expect_refused(code, "there is no adapter");
    code = program_run(folder, "hone", "export", "--model", "base", "--to", "gguf", "--dtype",
                       "q3_k", "--output", "x", NULL);
    assert_int_equal(code, ERR_USAGE);
    expect_refused(code, "`q3_k` is none of float32, bfloat16, float16, q8_0");
    code = program_run(folder, "hone", "export", "--model", "base", "--to", "hf", "--output",
                       "base", NULL);
    assert_int_equal(code, ERR_CREATE);
    mem_free(scratch_text(folder, "broken.gguf", "GGUF"));
    code = program_run(folder, "sft", "configs/smoke/2_sft_full.yaml", "model.path=broken.gguf",
                       "output_dir=none", NULL);
    assert_int_equal(code, ERR_DATA);
    expect_refused(code, "broken.gguf: ends too early");
}

static int open_folder(void **state) {
    (void)state;
    folder = program_folder();
    return 0;
}

static int close_folder(void **state) {
    (void)state;
    scratch_free(folder);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_export__a_file_is_its_folder),
        cmocka_unit_test(test_export__training_starts_from_a_file),
        cmocka_unit_test(test_export__says_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, open_folder, close_folder);
}
