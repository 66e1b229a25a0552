/* A value head that PPO left behind starts the value model of another run; what is none is named.
 */
#include "program_run.h"

static char *folder;

#define PPO "configs/smoke/8_ppo_function.yaml", "training.max_steps=1"

static void expect_same_head(const char *a, const char *b) {
    Str text[2] = {{0}, {0}};
    const char *runs[] = {a, b};
    for (int i = 0; i < 2; i++) {
        char *name = str_format("%s/%s/final/value_head.safetensors", folder, runs[i]);
        assert_int_equal(file_read(&text[i], name, 1 << 20), OK);
        mem_free(name);
    }
    assert_int_equal(text[0].len, text[1].len);
    assert_memory_equal(text[0].data, text[1].data, text[0].len);
    for (int i = 0; i < 2; i++) str_free(&text[i]);
}

static void test_value_head__goes_on_in_another_run(void **state) {
    (void)state;
    program_expect(folder, "first",
                   program_run(folder, "ppo", PPO, "output_dir=a", "training.learning_rate=0.01",
                               "--quiet", NULL),
                   0);
    program_expect(folder, "second",
                   program_run(folder, "ppo", PPO, "output_dir=b", "training.learning_rate=0",
                               "ppo.value.model=a", "--quiet", NULL),
                   0);
    expect_same_head("a", "b");
    program_expect(folder, "from zero",
                   program_run(folder, "ppo", PPO, "output_dir=c", "training.learning_rate=0",
                               "ppo.value.model=policy", "--quiet", NULL),
                   0);
    Str zero = {0}, head = {0};
    char *names[] = {file_join(folder, "a/final/value_head.safetensors"),
                     file_join(folder, "c/final/value_head.safetensors")};
    assert_int_equal(file_read(&head, names[0], 1 << 20), OK);
    assert_int_equal(file_read(&zero, names[1], 1 << 20), OK);
    assert_true(head.len == zero.len && memcmp(head.data, zero.data, head.len) != 0);
    str_free(&zero);
    str_free(&head);
    for (int i = 0; i < 2; i++) mem_free(names[i]);
}

static void expect_refused(const char *more, const char *says) {
    int code = program_run(folder, "ppo", PPO, "output_dir=none", "ppo.value.model=runs/smoke/full",
                           more, NULL);
    program_expect(folder, more, code, ERR_DATA);
    char *log = program_text(folder, "log");
    if (!strstr(log, says)) fail_msg("%s: %s", says, log);
    mem_free(log);
}

static void test_value_head__a_model_without_one_is_refused(void **state) {
    (void)state;
    expect_refused("--quiet", "no score.weight and no v_head.summary.weight; ppo.value.model must");
}

static int setup(void **state) {
    (void)state;
    folder = program_folder();
    program_prepare(folder, "1 2");
    return 0;
}

static int teardown(void **state) {
    (void)state;
    scratch_free(folder);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_value_head__goes_on_in_another_run),
        cmocka_unit_test(test_value_head__a_model_without_one_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
