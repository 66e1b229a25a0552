/* Models and adapters through files: what is written reads back, what is wrong is named. */
#include "core/file.h"
#include "core/io/json.h"
#include "core/io/safetensors.h"
#include "model/base.h"
#include "model/head.h"
#include "model/peft/lora.h"
#include "model_fixture.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char *const configs[] = FIXTURE_CONFIGS;
#define N_CONFIGS (sizeof configs / sizeof *configs)
enum { N_ROWS = 20, VOCAB = 61 };

typedef struct World {
    Dev *dev;
    char folder[32];
} World;

static World world_open(void) {
    World w = {.folder = "/tmp/hone-model-XXXXXX"};
    assert_non_null(mkdtemp(w.folder));
    assert_int_equal(dev_open(&w.dev, "ref", 1), OK);
    return w;
}

static void world_close(World *w) {
    assert_int_equal(file_remove_tree(w->folder), OK);
    dev_close(w->dev);
}

static Base *make_base(World *w, const char *config, bool trainable) {
    Base *b = NULL;
    if (fixture_base(&b, w->dev, config, trainable, DTYPE_F32, 5) != OK)
        fail_msg("%s", status_message());
    return b;
}

static Adapter *make_adapter(Base *b, const char *target) {
    Adapter *a = NULL;
    LoraOptions opt = {.r = 3,
                       .alpha = 6,
                       .use_rslora = true,
                       .dropout = 0.125,
                       .targets = target ? &target : NULL,
                       .n_targets = target ? 1 : 0,
                       .seed = 2};
    if (adapter_create(&a, b, "a", &opt) != OK) fail_msg("%s", status_message());
    ParamList list = {0};
    adapter_params(&list, a);
    RngStream r = rng_stream(1, RNG_WORLD, 1);
    for (int i = 0; i < list.n; i++)
        for (int64_t j = 0; j < tensor_numel(list.items[i].value); j++)
            ((float *)list.items[i].value.data)[j] += (float)(rng_next_uniform(&r) - 0.5);
    params_free(&list);
    return a;
}

static void score(Role role, double *logp, double *value) {
    int64_t length = N_ROWS, id = 4;
    FixtureRows rows = fixture_rows(&length, &id, 1, 0, VOCAB);
    Pass *p = NULL;
    assert_int_equal(fixture_pass(&p, role.base->dev, &role, &rows.rows, RECOMPUTE_NONE), OK);
    pass_score(p, &role, &rows.rows, &(PassOptions){0}, &(PassOut){.logp = logp, .value = value});
    pass_close(p);
    fixture_rows_free(&rows);
}

static Base *reopen(World *w, DType dtype) {
    Base *b = NULL;
    BaseOptions opt = {.path = w->folder, .dtype = dtype};
    if (base_open(&b, w->dev, &opt) != OK) fail_msg("%s", status_message());
    return b;
}

static void test_model_export__reads_back_bit_for_bit(void **state) {
    (void)state;
    for (size_t c = 0; c < N_CONFIGS; c++) {
        World w = world_open();
        Base *b = make_base(&w, configs[c], c % 2 == 0);
        double before[N_ROWS], after[N_ROWS];
        char digest[2][65];
        score((Role){.base = b}, before, NULL);
        assert_int_equal(model_export(&(Role){.base = b}, w.folder, DTYPE_F32), OK);
        Base *again = reopen(&w, DTYPE_F32);
        score((Role){.base = again}, after, NULL);
        assert_memory_equal(before, after, sizeof before);
        base_digest(b, digest[0]);
        base_digest(again, digest[1]);
        assert_string_equal(digest[0], digest[1]);
        assert_int_equal(base_info(b)->n_params, base_info(again)->n_params);
        base_close(again);
        base_close(b);
        world_close(&w);
    }
}

/* config.json for both generations of readers. */
static void test_model_export__writes_the_keys_of_versions_4_and_5(void **state) {
    (void)state;
    World w = world_open();
    Base *b = make_base(&w, CONFIG_LLAMA, false);
    assert_int_equal(model_export(&(Role){.base = b}, w.folder, DTYPE_BF16), OK);
    char *path = file_join(w.folder, "config.json");
    Json *j = NULL;
    assert_int_equal(json_read_file(&j, path), OK);
    assert_string_equal(json_str(json_get(j, "torch_dtype"), NULL), "bfloat16");
    assert_string_equal(json_str(json_get(j, "dtype"), NULL), "bfloat16");
    assert_true(json_num(json_get(j, "rope_theta")) == 1000.0);
    const Json *v4 = json_get(j, "rope_scaling"), *v5 = json_get(j, "rope_parameters");
    assert_string_equal(json_str(json_get(v4, "rope_type"), NULL), "llama3");
    assert_null(json_get(v4, "rope_theta"));
    assert_true(json_num(json_get(v5, "rope_theta")) == 1000.0);
    assert_true(json_num(json_get(v5, "factor")) == 4.0);
    json_free(j);
    Base *again = reopen(&w, DTYPE_BF16);
    assert_int_equal(again->refs[0].weight->value.dtype, DTYPE_BF16);
    assert_int_equal(again->stack.final_norm.w.value.dtype, DTYPE_F32);
    base_close(again);
    mem_free(path);
    base_close(b);
    world_close(&w);
}

/* The folders base/, adapter/ and merged/ of one model in float. */
static void write_three(World *w, const char *config) {
    static const char *const names[] = {"base", "adapter", "merged"};
    char *folder[3];
    for (int i = 0; i < 3; i++) {
        folder[i] = file_join(w->folder, names[i]);
        assert_int_equal(file_make_folders(folder[i]), OK);
    }
    Base *b = make_base(w, config, false);
    Adapter *a = make_adapter(b, "all-linear");
    assert_int_equal(model_export(&(Role){.base = b}, folder[0], DTYPE_F32), OK);
    assert_int_equal(adapter_save(a, NULL, folder[1], "base"), OK);
    assert_int_equal(model_export(&(Role){.base = b, .adapter = a}, folder[2], DTYPE_F32), OK);
    adapter_close(a);
    base_close(b);
    for (int i = 0; i < 3; i++) mem_free(folder[i]);
}

/* Log-probs of one of these bases, with adapter/ on it or without. */
static void score_folder(double *logp, const World *w, const char *device, const char *base,
                         bool adapted) {
    Dev *dev = NULL;
    Role role = {0};
    char *path = file_join(w->folder, base), *adapter = file_join(w->folder, "adapter");
    assert_int_equal(dev_open(&dev, device, 1), OK);
    assert_int_equal(base_open(&role.base, dev, &(BaseOptions){.path = path, .dtype = DTYPE_F32}),
                     OK);
    if (adapted) assert_int_equal(adapter_load(&role.adapter, role.base, "a", adapter, false), OK);
    score(role, logp, NULL);
    adapter_close(role.adapter);
    base_close(role.base);
    dev_close(dev);
    mem_free(path);
    mem_free(adapter);
}

static double distance(const double *a, const double *b) {
    double sum = 0;
    for (int i = 0; i < N_ROWS; i++) sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sqrt(sum);
}

/* Truth is the adapter beside its base in double, the standard how far off the same is in float
 * (the worse of two devices, which sum in different orders). Merging rounds every weight once,
 * which in double may cost as much as the standard; computing with the merged weights in float may
 * cost twice as much. */
static void test_model_export__merged_adapter_scores_the_same(void **state) {
    (void)state;
    static const char *const devices[] = {"ref", "cpu"};
    static const double zero[N_ROWS];
    for (size_t c = 0; c < N_CONFIGS; c++) {
        World w = world_open();
        double exact[N_ROWS], without[N_ROWS], rounded[N_ROWS], logp[N_ROWS];
        double standard = 0, computed = 0;
        write_three(&w, configs[c]);
        score_folder(exact, &w, "ref64", "base", true);
        score_folder(without, &w, "ref64", "base", false);
        score_folder(rounded, &w, "ref64", "merged", false);
        for (int i = 0; i < 2; i++) {
            score_folder(logp, &w, devices[i], "base", true);
            standard = fmax(standard, distance(logp, exact));
            score_folder(logp, &w, devices[i], "merged", false);
            computed = fmax(computed, distance(logp, rounded));
        }
        double size = distance(exact, zero), allowed = 2 * standard + 0x1p-23 * size;
        assert_true(distance(exact, without) > 1e4 * allowed);
        if (!(distance(rounded, exact) <= allowed / 2 && computed <= allowed))
            fail_msg("%s: merging costs %.3g, computing with what was merged %.3g; the adapter "
                     "beside its base is off by %.3g",
                     configs[c], distance(rounded, exact), computed, standard);
        world_close(&w);
    }
}

static void test_model_export__classifier_reads_back_with_its_head(void **state) {
    (void)state;
    World w = world_open();
    Base *b = make_base(&w, CONFIG_GPT2, false);
    Head *h = NULL, *again_h = NULL;
    assert_int_equal(head_create(&h, b, HEAD_SCORE, HEAD_INIT_NORMAL, 1, true), OK);
    double before[N_ROWS], after[N_ROWS];
    Role role = {.base = b, .head = h};
    score(role, NULL, before);
    assert_int_equal(model_export(&role, w.folder, DTYPE_F32), OK);
    Base *again = reopen(&w, DTYPE_F32);
    assert_false(again->with_head);
    assert_int_equal(head_load(&again_h, again, HEAD_SCORE, w.folder, false), OK);
    score((Role){.base = again, .head = again_h}, NULL, after);
    assert_memory_equal(before, after, sizeof before);
    head_close(again_h);
    assert_int_equal(head_load(&again_h, again, HEAD_VALUE, w.folder, false), OK);
    score((Role){.base = again, .head = again_h}, NULL, after);
    assert_memory_equal(before, after, sizeof before); /* a value head starts from the score */
    head_close(again_h);
    base_close(again);
    head_close(h);
    base_close(b);
    world_close(&w);
}

static void test_adapter_save__reads_back_bit_for_bit(void **state) {
    (void)state;
    static const char *const targets[N_CONFIGS] = {"all-linear", NULL, "down_proj", "q_proj",
                                                   "c_proj"};
    for (size_t c = 0; c < N_CONFIGS; c++) {
        World w = world_open();
        Base *b = make_base(&w, configs[c], false);
        Adapter *a = make_adapter(b, targets[c]), *again = NULL;
        Head *h = NULL, *again_h = NULL;
        assert_int_equal(head_create(&h, b, HEAD_SCORE, HEAD_INIT_NORMAL, 1, true), OK);
        assert_int_equal(adapter_save(a, c == 0 ? h : NULL, w.folder, "models/base"), OK);
        if (adapter_load(&again, b, "b", w.folder, true) != OK) fail_msg("%s", status_message());
        double before[N_ROWS], after[N_ROWS];
        score((Role){.base = b, .adapter = a}, before, NULL);
        score((Role){.base = b, .adapter = again}, after, NULL);
        assert_memory_equal(before, after, sizeof before);
        ParamList list[2] = {{0}, {0}};
        adapter_params(&list[0], a);
        adapter_params(&list[1], again);
        assert_int_equal(list[0].n, list[1].n);
        for (int i = 0; i < list[0].n; i++)
            assert_string_equal(list[0].items[i].name, list[1].items[i].name);
        assert_true(again->dropout == 0.125 && again->use_rslora && again->r == 3);
        Status st = head_load(&again_h, b, HEAD_SCORE, w.folder, false);
        assert_int_equal(st, c == 0 ? OK : ERR_DATA);
        head_close(again_h);
        params_free(&list[0]);
        params_free(&list[1]);
        adapter_close(again);
        adapter_close(a);
        head_close(h);
        base_close(b);
        world_close(&w);
    }
}

static void test_adapter_save__names_whole_paths_where_suffixes_select_more(void **state) {
    (void)state;
    World w = world_open();
    Base *b = make_base(&w, CONFIG_GPT2, false);
    Adapter *a = make_adapter(b, "attn.c_proj");
    assert_int_equal(adapter_save(a, NULL, w.folder, NULL), OK);
    char *path = file_join(w.folder, "adapter_config.json");
    Json *j = NULL;
    assert_int_equal(json_read_file(&j, path), OK);
    const Json *targets = json_get(j, "target_modules");
    assert_int_equal(json_len(targets), 2);
    assert_string_equal(json_str(json_at(targets, 0), NULL), "transformer.h.0.attn.c_proj");
    assert_true(json_bool(json_get(j, "fan_in_fan_out")));
    json_free(j);
    mem_free(path);
    adapter_close(a);
    base_close(b);
    world_close(&w);
}

static void test_head_save__value_head_reads_back(void **state) {
    (void)state;
    World w = world_open();
    Base *b = make_base(&w, CONFIG_LLAMA, false);
    Head *h = NULL, *again = NULL;
    assert_int_equal(head_create(&h, b, HEAD_VALUE, HEAD_INIT_NORMAL, 1, true), OK);
    ((float *)h->b.value.data)[0] = 0.5f;
    assert_int_equal(head_save(h, w.folder), OK);
    assert_int_equal(head_load(&again, b, HEAD_VALUE, w.folder, true), OK);
    double before[N_ROWS], after[N_ROWS];
    score((Role){.base = b, .head = h}, NULL, before);
    score((Role){.base = b, .head = again}, NULL, after);
    assert_memory_equal(before, after, sizeof before);
    ParamList list = {0};
    head_params(&list, again);
    assert_int_equal(list.n, 2);
    assert_true(list.items[0].decay && !list.items[1].decay);
    params_free(&list);
    head_close(again);
    assert_int_equal(head_load(&again, b, HEAD_SCORE, w.folder, true), ERR_DATA);
    head_close(h);
    base_close(b);
    world_close(&w);
}

static void test_base_clone__is_independent(void **state) {
    (void)state;
    World w = world_open();
    Base *b = make_base(&w, CONFIG_LLAMA_TIED, false), *clone = NULL;
    assert_int_equal(base_clone(&clone, b, true), OK);
    double before[N_ROWS], after[N_ROWS];
    score((Role){.base = b}, before, NULL);
    score((Role){.base = clone}, after, NULL);
    assert_memory_equal(before, after, sizeof before);
    ParamList list = {0};
    base_params(&list, b);
    assert_int_equal(list.n, 0);
    base_params(&list, clone);
    assert_int_equal(params_count(&list), base_info(b)->n_params);
    ((float *)list.items[0].value.data)[7] += 1.0f;
    score((Role){.base = b}, after, NULL);
    assert_memory_equal(before, after, sizeof before);
    params_free(&list);
    base_close(clone);
    base_close(b);
    world_close(&w);
}

/* ---- what is wrong
 * ------------------------------------------------------------------------------- */

static void expect(Status st, Status wanted, const char *part) {
    if (st != wanted || !strstr(status_message(), part))
        fail_msg("status %d \"%s\", wanted %d with \"%s\"", (int)st, status_message(), (int)wanted,
                 part);
}

static void write_text(const World *w, const char *name, const char *text) {
    char *path = file_join(w->folder, name);
    assert_int_equal(publish_bytes(path, text, strlen(text)), OK);
    mem_free(path);
}

static Status open_with(World *w, const char *config) {
    Base *b = NULL;
    write_text(w, "config.json", config);
    Status st = base_open(&b, w->dev, &(BaseOptions){.path = w->folder});
    base_close(b);
    return st;
}

static void test_base_open__names_what_is_wrong(void **state) {
    (void)state;
    World w = world_open();
    Base *b = make_base(&w, CONFIG_MISTRAL, false), *no = NULL;
    BaseOptions opt = {.path = w.folder};
    expect(base_open(&no, w.dev, &opt), ERR_INPUT, "config.json");
    write_text(&w, "config.json", CONFIG_MISTRAL);
    expect(base_open(&no, w.dev, &opt), ERR_INPUT, "model.safetensors");
    assert_int_equal(model_export(&(Role){.base = b}, w.folder, DTYPE_F16), OK);
#define MISTRAL_HEAD                                                                          \
    "{\"architectures\": [\"MistralForCausalLM\"], \"vocab_size\": 61, \"hidden_size\": 24, " \
    "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"head_dim\": 8, "
    expect(open_with(&w, "{\"architectures\": [\"BertModel\"]}"), ERR_DATA,
           "architecture `BertModel` is not known; known are LlamaForCausalLM");
    expect(open_with(&w, "[1]"), ERR_DATA, "must hold a JSON object");
    expect(open_with(&w, "{}"), ERR_DATA, "neither `architectures` nor `model_type`");
    expect(open_with(&w, MISTRAL_HEAD "\"intermediate_size\": 48, \"num_hidden_layers\": 2}"),
           ERR_DATA,
           "tensor `model.layers.0.mlp.gate_proj.weight` is [40,24]; config.json makes it [48,24]");
    expect(open_with(&w, MISTRAL_HEAD "\"intermediate_size\": 40, \"num_hidden_layers\": 3}"),
           ERR_DATA, "tensor `model.layers.2.input_layernorm.weight` is missing");
    expect(open_with(&w, MISTRAL_HEAD "\"intermediate_size\": 40, \"num_hidden_layers\": 1}"),
           ERR_DATA, "tensor `model.layers.1.input_layernorm.weight` has no place");
    expect(open_with(&w, MISTRAL_HEAD "\"num_hidden_layers\": -1}"), ERR_DATA,
           "`num_hidden_layers` is -1; it must be at least 1");
    expect(open_with(&w, MISTRAL_HEAD "\"num_hidden_layers\": \"2\"}"), ERR_DATA,
           "num_hidden_layers");
    expect(open_with(&w, MISTRAL_HEAD "\"hidden_act\": \"mish\"}"), ERR_DATA, "activation `mish`");
    expect(open_with(&w, MISTRAL_HEAD "\"rope_scaling\": {\"type\": \"wavy\", \"factor\": 2.0}}"),
           ERR_DATA, "rope_type `wavy` is not supported");
    expect(open_with(&w, MISTRAL_HEAD "\"intermediate_size\": 40, \"num_hidden_layers\": 2, "
                                      "\"quantization_config\": {\"load_in_4bit\": true}}"),
           ERR_DATA, "no tensor is quantized, but config.json has `quantization_config`");
    expect(open_with(&w, "{\"model_type\": \"gpt2\", \"n_embd\": 10, \"n_head\": 3}"), ERR_DATA,
           "`n_embd` 10 is no multiple of `n_head` 3");
    assert_null(no);
    base_close(b);
    world_close(&w);
}

/* PEFT: a module is left out when its name is the entry or ends in "." and the entry. */
static void test_adapter__excluded_modules_have_no_pair(void **state) {
    (void)state;
    World w = world_open();
    Base *b = make_base(&w, CONFIG_LLAMA, false);
    Adapter *a = NULL;
    const char *all = "all-linear", *not [] = {"down_proj", "model.layers.1.self_attn.q_proj"};
    LoraOptions opt = {
        .r = 2, .alpha = 2, .targets = &all, .n_targets = 1, .excludes = not, .n_excludes = 2};
    assert_int_equal(adapter_create(&a, b, "a", &opt), OK);
    ParamList list = {0};
    adapter_params(&list, a);
    assert_int_equal(list.n, 2 * (2 * 7 - 3)); /* seven projections in each of two layers */
    for (int i = 0; i < list.n; i++) {
        assert_null(strstr(list.items[i].name, "down_proj"));
        assert_null(strstr(list.items[i].name, "layers.1.self_attn.q_proj"));
    }
    params_free(&list);
    adapter_close(a);
    const char *wrong = "c_attn", *only = "q_proj";
    opt.excludes = &wrong;
    opt.n_excludes = 1;
    expect(adapter_create(&a, b, "x", &opt), ERR_CONFIG,
           "LoRA exclude module `c_attn` is not in a LlamaForCausalLM; it has q_proj");
    opt.targets = opt.excludes = &only;
    expect(adapter_create(&a, b, "x", &opt), ERR_CONFIG, "leaves no module to train");
    base_close(b);
    world_close(&w);
}

/* A starts with standard deviation 1/r and mean 0, or uniform to 1/sqrt(inputs); B at 0. */
static void test_adapter__starts_as_peft_starts_it(void **state) {
    (void)state;
    enum { R = 5 };
    World w = world_open();
    Base *b = make_base(&w, CONFIG_LLAMA, false);
    const char *all = "all-linear";
    for (int gaussian = 0; gaussian < 2; gaussian++) {
        Adapter *a = NULL;
        LoraOptions opt = {
            .r = R, .alpha = 2, .targets = &all, .n_targets = 1, .gaussian = gaussian, .seed = 3};
        ParamList list = {0};
        assert_int_equal(adapter_create(&a, b, "a", &opt), OK);
        adapter_params(&list, a);
        double sum = 0.0, squares = 0.0, fourth = 0.0, n = 0.0;
        for (int i = 0; i < list.n; i++) {
            const float *x = list.items[i].value.data;
            bool is_a = strstr(list.items[i].name, "lora_A") != NULL;
            /* In units of what its standard deviation should be. */
            double unit =
                gaussian ? 1.0 / R : 1.0 / sqrt(3.0 * (double)list.items[i].value.shape[1]);
            assert_true(!is_a || (x[0] != x[1] && x[1] != x[2]));
            for (int64_t k = 0; k < tensor_numel(list.items[i].value); k++) {
                if (!is_a) assert_true(x[k] == 0.0f);
                double z = x[k] / unit;
                sum += z;
                squares += z * z;
                fourth += z * z * z * z;
                n += is_a;
            }
        }
        assert_true(n > 1500.0 && fabs(sum / n) < 5.0 / sqrt(n));
        assert_true(fabs(squares / n - 1.0) < 5.0 * sqrt(2.0 / n));
        assert_true(fabs(fourth / n - (gaussian ? 3.0 : 1.8)) < 5.0 * sqrt(96.0 / n));
        params_free(&list);
        adapter_close(a);
    }
    base_close(b);
    world_close(&w);
}

static void test_adapter__names_what_is_wrong(void **state) {
    (void)state;
    World w = world_open();
    Base *b = make_base(&w, CONFIG_LLAMA, false), *other = make_base(&w, CONFIG_GPT2, false);
    Adapter *a = make_adapter(b, "q_proj"), *no = NULL;
    const char *wrong = "c_attn";
    LoraOptions opt = {.r = 2, .alpha = 2, .targets = &wrong, .n_targets = 1};
    expect(adapter_create(&no, b, "x", &opt), ERR_CONFIG,
           "`c_attn` is not in a LlamaForCausalLM; it has q_proj, k_proj");
    opt = (LoraOptions){.r = 0};
    expect(adapter_create(&no, b, "x", &opt), ERR_CONFIG, "LoRA r is 0");
    expect(adapter_load(&no, b, "x", w.folder, true), ERR_INPUT, "adapter_config.json");
    assert_int_equal(adapter_save(a, NULL, w.folder, NULL), OK);
    expect(adapter_load(&no, other, "x", w.folder, true), ERR_DATA,
           "no tensor fits a GPT2LMHeadModel");
    write_text(&w, "adapter_config.json", "{\"peft_type\": \"IA3\"}");
    expect(adapter_load(&no, b, "x", w.folder, true), ERR_DATA, "`peft_type`: IA3");
    write_text(&w, "adapter_config.json", "{\"peft_type\": \"LORA\", \"use_dora\": true}");
    expect(adapter_load(&no, b, "x", w.folder, true), ERR_DATA, "`use_dora`");
    write_text(&w, "adapter_config.json", "{\"peft_type\": \"LORA\", \"bias\": \"all\"}");
    expect(adapter_load(&no, b, "x", w.folder, true), ERR_DATA, "`bias`: all");
    write_text(&w, "adapter_config.json",
               "{\"peft_type\": \"LORA\", \"modules_to_save\": [\"lm_head\"]}");
    expect(adapter_load(&no, b, "x", w.folder, true), ERR_DATA,
           "`modules_to_save` holds `lm_head`");
    write_text(&w, "adapter_config.json", "{\"peft_type\": \"LORA\", \"r\": 0}");
    expect(adapter_load(&no, b, "x", w.folder, true), ERR_DATA, "r 0");
    assert_null(no);
    adapter_close(a);
    base_close(b);
    base_close(other);
    world_close(&w);
}

/* Random weights as transformers draws them, the same for any number of threads. */
static void test_base_open__random_weights_have_the_right_spread(void **state) {
    (void)state;
    World w = world_open();
    Base *b = make_base(&w, CONFIG_GPT2, false);
    for (int i = 0; i < b->n_refs; i++) {
        const WeightRef *r = &b->refs[i];
        double want = 0.2, sum = 0.0, n = (double)(r->rows * r->cols);
        if (r->kind == WEIGHT_RESIDUAL) want /= 2.0; /* sqrt(2 L), L = 2 */
        if (r->kind == WEIGHT_BIAS || r->kind == WEIGHT_SHIFT) want = 0.0;
        if (r->kind == WEIGHT_SCALE) want = 1.0;
        for (int64_t j = 0; j < r->rows * r->cols; j++) {
            double x = ((float *)r->weight->value.data)[j];
            sum += x * x;
        }
        if (fabs(sqrt(sum / n) - want) > 0.1 * want) fail_msg("%s: %g", r->name, sqrt(sum / n));
    }
    base_close(b);
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model_export__reads_back_bit_for_bit),
        cmocka_unit_test(test_model_export__writes_the_keys_of_versions_4_and_5),
        cmocka_unit_test(test_model_export__merged_adapter_scores_the_same),
        cmocka_unit_test(test_model_export__classifier_reads_back_with_its_head),
        cmocka_unit_test(test_adapter_save__reads_back_bit_for_bit),
        cmocka_unit_test(test_adapter_save__names_whole_paths_where_suffixes_select_more),
        cmocka_unit_test(test_head_save__value_head_reads_back),
        cmocka_unit_test(test_base_clone__is_independent),
        cmocka_unit_test(test_base_open__names_what_is_wrong),
        cmocka_unit_test(test_adapter__excluded_modules_have_no_pair),
        cmocka_unit_test(test_adapter__starts_as_peft_starts_it),
        cmocka_unit_test(test_adapter__names_what_is_wrong),
        cmocka_unit_test(test_base_open__random_weights_have_the_right_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
