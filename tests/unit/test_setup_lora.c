/* What a config says of LoRA reaches the adapter's options. */
#include "config_case.h"
#include "stage/setup.h"
#include "unit.h"

static void test_setup_lora__options_are_the_configs(void **state) {
    (void)state;
    ConfigCase c =
        config_case(STAGE_SFT,
                    "model: {path: m}\ndata: {train: d}\nseed: 9\n"
                    "peft: {r: 3, lora_alpha: 5, lora_dropout: 0.25, use_rslora: true,\n"
                    "  target_modules: [q_proj, v_proj], exclude_modules: [a.b, c, d],\n"
                    "  layers_to_transform: [0, 3], layers_pattern: h,\n"
                    "  rank_pattern: {k_proj: 8, '.*v_proj': 2}, alpha_pattern: {q_proj: 2.5},\n"
                    "  init_lora_weights: gaussian}\n",
                    NULL);
    if (c.status != OK) fail_msg("%s", str_text(&c.log));
    LoraOptions o = setup_lora(c.cfg, "SEQ_CLS");
    assert_int_equal(o.r, 3);
    assert_true(o.alpha == 5.0 && o.dropout == 0.25 && o.use_rslora && o.gaussian && o.seed == 9);
    assert_int_equal(o.n_targets, 2);
    assert_string_equal(o.targets[1], "v_proj");
    assert_int_equal(o.n_excludes, 3);
    assert_string_equal(o.excludes[0], "a.b");
    assert_string_equal(o.task_type, "SEQ_CLS");
    assert_true(o.n_layers == 2 && o.layers[0] == 0 && o.layers[1] == 3);
    assert_int_equal(o.n_layers_pattern, 1);
    assert_string_equal(o.layers_pattern[0], "h");
    assert_true(o.n_ranks == 2 && o.ranks[0].number == 8.0 && o.ranks[1].number == 2.0);
    assert_string_equal(o.ranks[1].module, ".*v_proj");
    assert_true(o.n_alphas == 1 && o.alphas[0].number == 2.5);
    config_case_close(&c);
}

static void test_setup_lora__nothing_is_excluded_by_default(void **state) {
    (void)state;
    ConfigCase c = config_case(
        STAGE_SFT, "model: {path: m}\ndata: {train: d}\npeft: {peft_type: LORA}\n", NULL);
    if (c.status != OK) fail_msg("%s", str_text(&c.log));
    LoraOptions o = setup_lora(c.cfg, "CAUSAL_LM");
    assert_true(o.n_targets == 0 && o.n_excludes == 0 && !o.gaussian && !o.use_rslora);
    config_case_close(&c);
}

static void test_setup_lora__numbers_are_checked(void **state) {
    (void)state;
    static const char *const wrong[][2] = {
        {"rank_pattern: {q_proj: 2.5}",
         "`peft.rank_pattern`: `q_proj` must have a whole number above 0, not `2.5`"},
        {"alpha_pattern: {q_proj: much}",
         "`peft.alpha_pattern`: `q_proj` must have a number above 0, not `much`"},
        {"layers_to_transform: [0, -1]",
         "`peft.layers_to_transform` must hold whole numbers from 0, not `-1`"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char *text = str_format("model: {path: m}\ndata: {train: d}\npeft: {%s}\n", wrong[i][0]);
        ConfigCase c = config_case(STAGE_SFT, text, NULL);
        char *line = str_format("a.yaml:3:8: %s", wrong[i][1]);
        if (c.status != ERR_CONFIG || !strstr(str_text(&c.log), line))
            fail_msg("%s", str_text(&c.log));
        config_case_close(&c);
        mem_free(line);
        mem_free(text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_setup_lora__options_are_the_configs),
        cmocka_unit_test(test_setup_lora__numbers_are_checked),
        cmocka_unit_test(test_setup_lora__nothing_is_excluded_by_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
