/* config.json as transformers 4 and 5 write it, and the frequencies of every rope scaling.
 * Frequencies: transformers 5.23, ROPE_INIT_FUNCTIONS, head width 16, 512 positions (made in
 * float32). */
#include "core/io/json.h"
#include "model/spec.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static ArchConfig read_config(const char *text) {
    Json *j = NULL;
    ArchConfig c;
    assert_int_equal(json_parse(&j, text, strlen(text), "config.json", 1), OK);
    if (arch_config_read(&c, j, "config.json") != OK) fail_msg("%s", status_message());
    json_free(j);
    return c;
}

#define LLAMA                                                                                    \
    "{\"architectures\": [\"LlamaForCausalLM\"], \"hidden_size\": 64, \"num_attention_heads\": " \
    "4, "                                                                                        \
    "\"max_position_embeddings\": 512"

typedef struct RopeCase {
    const char *config;
    double scaling, inv_freq[8];
} RopeCase;

static const RopeCase ropes[] = {
    {LLAMA ", \"rope_scaling\": {\"type\": \"linear\", \"factor\": 3.0}}",
     1.0,
     {0.333333343, 0.105409257, 0.0333333351, 0.0105409259, 0.00333333318, 0.00105409266,
      0.000333333359, 0.000105409265}},
    {LLAMA ", \"rope_parameters\": {\"rope_type\": \"llama3\", \"rope_theta\": 500000.0, "
           "\"factor\": 8.0, \"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0, "
           "\"original_max_position_embeddings\": 64}}",
     1.0,
     {1.0, 0.079403013, 0.00470075384, 0.000911583134, 0.000176776681, 3.42810235e-05,
      6.64786967e-06, 1.28917316e-06}},
    {LLAMA ", \"rope_parameters\": {\"rope_type\": \"llama3\", \"rope_theta\": 10000.0, "
           "\"factor\": 8.0, \"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0, "
           "\"original_max_position_embeddings\": 48}}", /* a wave of 62.8 is just too long */
     1.0,
     {1.0, 0.170112297, 0.0125, 0.00395284733, 0.00125, 0.000395284733, 0.000125, 3.95284733e-05}},
    {LLAMA ", \"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4.0, "
           "\"original_max_position_embeddings\": 128}}",
     1.138629436111989,
     {1.0, 0.237170815, 0.049999997, 0.00790569466, 0.00249999994, 0.000790569466, 0.000250000012,
      7.90569466e-05}},
    {LLAMA ", \"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4.0, "
           "\"original_max_position_embeddings\": 128, \"beta_fast\": 16.0, \"beta_slow\": 2.0, "
           "\"truncate\": false, \"attention_factor\": 1.25}}",
     1.25,
     {1.0, 0.212468684, 0.0256643984, 0.00790569466, 0.00249999994, 0.000790569466, 0.000250000012,
      7.90569466e-05}},
    {LLAMA ", \"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 40.0, "
           "\"original_max_position_embeddings\": 64, \"mscale\": 1.0, \"mscale_all_dim\": 0.8}}",
     1.0569662567531275,
     {1.0, 0.213453725, 0.0349999964, 0.000790569466, 0.000250000012, 7.90569466e-05,
      2.49999994e-05, 7.90569447e-06}},
};

static void test_arch_rope_frequencies__are_those_of_transformers(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof ropes / sizeof *ropes; i++) {
        ArchConfig c = read_config(ropes[i].config);
        double inv_freq[8];
        double scaling = arch_rope_frequencies(inv_freq, &c);
        assert_true(fabs(scaling - ropes[i].scaling) < 1e-12);
        for (int j = 0; j < 8; j++)
            if (fabs(inv_freq[j] / ropes[i].inv_freq[j] - 1.0) > 5e-7)
                fail_msg("case %zu, frequency %d: %.9g, transformers %.9g", i, j, inv_freq[j],
                         ropes[i].inv_freq[j]);
    }
}

static void test_arch_config_read__versions_4_and_5_mean_the_same(void **state) {
    (void)state;
    ArchConfig v4 = read_config(LLAMA ", \"rope_theta\": 5e5, \"rope_scaling\": null}");
    ArchConfig v5 = read_config(
        LLAMA ", \"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 500000.0}}");
    assert_true(v4.rope.theta == 5e5 && v5.rope.theta == 5e5);
    assert_true(v4.rope.kind == ROPE_DEFAULT && v5.rope.kind == ROPE_DEFAULT);
    /* rope_scaling, where it is not null, replaces rope_parameters. */
    ArchConfig both = read_config(
        LLAMA ", \"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 7.0}, "
              "\"rope_theta\": 9.0, \"rope_scaling\": {\"type\": \"linear\", \"factor\": 2}}");
    assert_true(both.rope.kind == ROPE_LINEAR && both.rope.theta == 9.0 && both.rope.factor == 2.0);
    assert_int_equal(arch_position_limit(&both), 0);
    /* Beyond them the same prefix would mean something else. */
    v4 = read_config(LLAMA ", \"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 2}}");
    assert_int_equal(arch_position_limit(&v4), 512);
}

static void test_arch_config_read__missing_keys_are_the_familys_defaults(void **state) {
    (void)state;
    ArchConfig c = read_config("{\"model_type\": \"llama\"}");
    assert_int_equal(c.vocab, 32000);
    assert_int_equal(c.mlp_width, 11008);
    assert_int_equal(c.n_kv_heads, 32);
    assert_int_equal(c.head_dim, 128);
    assert_int_equal(c.eos_id, 2);
    assert_int_equal(c.pad_id, -1);
    assert_true(!c.tied && c.norm_eps == 1e-6 && c.act == ACT_SILU && c.attn_dropout == 0.0);
    c = read_config("{\"model_type\": \"gpt2\"}");
    assert_int_equal(c.mlp_width, 3072);
    assert_int_equal(c.max_positions, 1024);
    assert_true(c.tied && c.act == ACT_GELU_TANH && c.qkv_bias && c.mlp_bias);
    assert_true(c.embed_dropout == 0.1 && c.attn_dropout == 0.1 && c.mlp_resid_dropout == 0.1);
    c = read_config("{\"model_type\": \"mistral\"}");
    assert_int_equal(c.n_kv_heads, 8);
    assert_int_equal(c.window, 4096);
    c = read_config("{\"model_type\": \"mistral\", \"sliding_window\": null}");
    assert_int_equal(c.window, 0);
    c = read_config("{\"model_type\": \"qwen2\"}");
    assert_int_equal(c.window, 0);
    assert_true(c.qkv_bias && !c.out_bias);
}

/* Integers and reals alike; null is the field's own word for none. */
static void same(const char *family, const Json *facts, const char *key, double ours, double none) {
    const Json *j = json_get(facts, key);
    double theirs = json_is_num(j) ? json_num(j) : none;
    if (!j || ours != theirs)
        fail_msg("%s: `%s` is %.17g, of transformers %.17g", family, key, ours, theirs);
}

static void same_defaults(const char *family, const Json *facts) {
    char text[64];
    snprintf(text, sizeof text, "{\"model_type\": \"%s\"}", family);
    ArchConfig c = read_config(text);
    ActKind act;
    assert_int_equal(arch_act_by_name(&act, json_str(json_get(facts, "act"), NULL), family), OK);
    if (act != c.act) fail_msg("%s: another activation than transformers'", family);
    if (json_bool(json_get(facts, "tied")) != c.tied)
        fail_msg("%s: `tied` differs from transformers", family);
    same(family, facts, "vocab", (double)c.vocab, 0);
    same(family, facts, "width", (double)c.width, 0);
    same(family, facts, "n_layers", (double)c.n_layers, 0);
    same(family, facts, "n_heads", (double)c.n_heads, 0);
    same(family, facts, "n_kv_heads", (double)c.n_kv_heads, 0);
    same(family, facts, "head_dim", (double)c.head_dim, 0);
    same(family, facts, "mlp_width", (double)c.mlp_width, 0);
    same(family, facts, "max_positions", (double)c.max_positions, 2048); /* BLOOM has no such key */
    same(family, facts, "norm_eps", c.norm_eps, 0);
    same(family, facts, "initializer_range", c.initializer_range, 0);
    same(family, facts, "attn_dropout", c.attn_dropout, 0);
    same(family, facts, "mlp_resid_dropout", c.mlp_resid_dropout, 0);
    same(family, facts, "embed_dropout", c.embed_dropout, 0);
    same(family, facts, "bos", c.bos_id, -1);
    same(family, facts, "eos", c.eos_id, -1);
    same(family, facts, "pad", c.pad_id, -1);
    if (c.position != POSITION_ROPE) return;
    same(family, facts, "theta", c.rope.theta, 0);
    same(family, facts, "partial", c.rope.partial, 1);
}

/* tests/oracle/families_golden.py: a config.json without a word means the same to both. */
static void test_arch_config_read__defaults_are_those_of_transformers(void **state) {
    (void)state;
    Json *all = NULL, *facts;
    JsonIter it = {0};
    const char *family;
    int n = 0, rows = 0;
    const char *path = HONE_SOURCE_DIR "/tests/golden/data/families/defaults.json";
    if (json_read_file(&all, path) != OK) fail_msg("%s", status_message());
    for (; json_next(all, &it, &family, &facts); n++) same_defaults(family, facts);
    while (arch_specs[rows].architecture) rows++;
    assert_int_equal(n, rows); /* every family has its facts */
    json_free(all);
}

static void test_arch_config_read__several_ends_and_windows_by_layer(void **state) {
    (void)state;
    ArchConfig c = read_config("{\"model_type\": \"llama\", \"eos_token_id\": [7, 9], "
                               "\"bos_token_id\": null}");
    assert_int_equal(c.eos_id, 7);
    assert_int_equal(c.bos_id, -1);
    c = read_config(
        "{\"model_type\": \"qwen2\", \"num_hidden_layers\": 3, "
        "\"use_sliding_window\": true, \"sliding_window\": 8, \"max_window_layers\": 2}");
    assert_int_equal(c.window, 8);
    assert_true(!c.slides[0] && !c.slides[1] && c.slides[2]);
    c = read_config("{\"model_type\": \"qwen2\", \"num_hidden_layers\": 3, "
                    "\"use_sliding_window\": true, \"sliding_window\": 8, \"layer_types\": "
                    "[\"full_attention\", \"sliding_attention\", \"sliding_attention\"]}");
    assert_true(!c.slides[0] && c.slides[1] && c.slides[2]);
}

/* Keys that only one family or only one version has. */
static void test_arch_config_read__families_spell_their_options(void **state) {
    (void)state;
    ArchConfig c = read_config("{\"model_type\": \"gpt_neox\", \"rotary_pct\": 0.5, "
                               "\"rotary_emb_base\": 77}");
    ArchConfig v5 = read_config("{\"model_type\": \"gpt_neox\", \"rope_parameters\": "
                                "{\"rope_type\": \"default\", \"rope_theta\": 77, "
                                "\"partial_rotary_factor\": 0.5}}");
    assert_true(c.rotary == 48 && v5.rotary == 48 && c.rope.theta == 77 && v5.rope.theta == 77);
    assert_true(c.wiring == BLOCK_PARALLEL && !c.one_norm && c.qkv == QKV_GROUPS);
    c = read_config("{\"model_type\": \"falcon\", \"n_embed\": 128, \"n_head\": 8, "
                    "\"n_layer\": 3, \"n_head_kv\": 2, \"new_decoder_architecture\": true}");
    assert_true(c.width == 128 && c.n_heads == 8 && c.n_layers == 3 && c.n_kv_heads == 2);
    assert_true(c.qkv == QKV_GROUPS && !c.one_norm && c.position == POSITION_ROPE && c.tied);
    c = read_config("{\"model_type\": \"falcon\"}");
    assert_true(c.qkv == QKV_BLOCKS && c.one_norm && c.n_kv_heads == 1);
    c = read_config("{\"model_type\": \"gemma\", \"hidden_act\": \"gelu\", "
                    "\"hidden_activation\": null}");
    assert_true(c.act == ACT_GELU_TANH && c.head_dim == 256 && c.tied);
    c = read_config("{\"model_type\": \"gemma2\", \"final_logit_softcapping\": null}");
    assert_true(c.slides[0] && !c.slides[1] && c.attn_cap == 50.0 && c.logit_cap == 0.0);
    c = read_config("{\"architectures\": [\"MPTForCausalLM\"], \"model_type\": \"mpt\"}");
    assert_true(c.position == POSITION_ALIBI && c.clip_qkv == 0.0 && c.mlp_width == 8192);
    assert_int_equal(arch_position_limit(&c), 0);
    c = read_config("{\"model_type\": \"phi3\", \"max_position_embeddings\": 131072, "
                    "\"hidden_size\": 8, \"num_attention_heads\": 2, \"rope_scaling\": "
                    "{\"type\": \"su\", \"short_factor\": [1, 2.5], \"long_factor\": [1, 9]}}");
    assert_true(c.rope.kind == ROPE_LONGROPE && arch_position_limit(&c) == 4096);
}

/* What would mean something else than it says is named. */
static void test_arch_config_read__refuses_what_it_would_drop(void **state) {
    (void)state;
    static const char *const bad[][2] = {
        {"{\"model_type\": \"opt\", \"layerdrop\": 0.1}", "`layerdrop` 0.1"},
        {"{\"model_type\": \"gpt2\", \"add_cross_attention\": true}", "`add_cross_attention` true"},
        {"{\"model_type\": \"llama\", \"rms_norm_eps\": 0}", "epsilon 0"},
        {"{\"model_type\": \"phi\", \"layer_norm_eps\": -1e-5}", "epsilon -1e-05"},
        {"{\"model_type\": \"opt\", \"init_std\": -1}", "`init_std` -1"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        Json *j = NULL;
        ArchConfig c;
        assert_int_equal(json_parse(&j, bad[i][0], strlen(bad[i][0]), "config.json", 1), OK);
        assert_int_equal(arch_config_read(&c, j, "config.json"), ERR_DATA);
        if (!strstr(status_message(), bad[i][1])) fail_msg("%s", status_message());
        json_free(j);
    }
}

/* transformers 5.23, build_mpt_alibi_tensor; six heads, and Falcon's in bfloat16. */
static void test_arch_alibi_slopes__of_heads_that_are_no_power_of_two(void **state) {
    (void)state;
    static const double mpt[6] = {0.25, 0.0625, 0.015625, 0.00390625, 0.5, 0.125};
    ArchConfig c = read_config("{\"model_type\": \"mpt\", \"d_model\": 48, \"n_heads\": 6}");
    double slopes[71];
    arch_alibi_slopes(slopes, &c);
    for (int h = 0; h < 6; h++) assert_true(slopes[h] == mpt[h]);
    c = read_config("{\"model_type\": \"falcon\", \"hidden_size\": 64, "
                    "\"num_attention_heads\": 16, \"alibi\": true}");
    arch_alibi_slopes(slopes, &c);
    assert_true(slopes[0] == 0.70703125 / 2); /* sqrt(1/2) in bfloat16, by sqrt(4) */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arch_rope_frequencies__are_those_of_transformers),
        cmocka_unit_test(test_arch_config_read__versions_4_and_5_mean_the_same),
        cmocka_unit_test(test_arch_config_read__missing_keys_are_the_familys_defaults),
        cmocka_unit_test(test_arch_config_read__defaults_are_those_of_transformers),
        cmocka_unit_test(test_arch_config_read__several_ends_and_windows_by_layer),
        cmocka_unit_test(test_arch_config_read__families_spell_their_options),
        cmocka_unit_test(test_arch_config_read__refuses_what_it_would_drop),
        cmocka_unit_test(test_arch_alibi_slopes__of_heads_that_are_no_power_of_two),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
