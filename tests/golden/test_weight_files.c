/* Models in the field's other files, written by the libraries that they come from, are the models
 * of the safetensors beside them. */
#include "core/io/tensor_file.h"
#include "model/base.h"
#include "model/model.h"
#include "scratch.h"
#include "unit.h"

#include "core/mem.h"
#include "core/str.h"

#include <math.h>
#include <string.h>

#define DATA HONE_SOURCE_DIR "/tests/golden/data/"

static Base *open_base(Dev *dev, const char *path) {
    Base *b = NULL;
    if (base_open(&b, dev, &(BaseOptions){.path = path, .dtype = DTYPE_F32}) != OK)
        fail_msg("%s", status_message());
    return b;
}

static void digest_of(char hex[65], Dev *dev, const char *path) {
    Base *b = open_base(dev, path);
    base_digest(b, hex);
    base_close(b);
}

static void test_base_open__torch_files_are_the_same_model(void **state) {
    (void)state;
    static const char *const SAME[][2] = {
        {"llama", "torch_files/llama"},
        {"llama", "torch_files/llama_sharded"},
        {"gpt2", "torch_files/gpt2"}, /* with its head and its mask beside the weights */
    };
    Dev *dev = NULL;
    assert_int_equal(dev_open(&dev, "ref", 1), OK);
    for (size_t i = 0; i < sizeof SAME / sizeof *SAME; i++) {
        char digests[2][65];
        for (int k = 0; k < 2; k++) {
            char *path = str_format(DATA "%s", SAME[i][k]);
            digest_of(digests[k], dev, path);
            mem_free(path);
        }
        assert_string_equal(digests[0], digests[1]);
    }
    dev_close(dev);
}

static void test_adapter_load__torch_file(void **state) {
    (void)state;
    static const char *const FOLDERS[] = {DATA "llama_lora_adapter",
                                          DATA "torch_files/llama_lora_adapter"};
    Dev *dev = NULL;
    assert_int_equal(dev_open(&dev, "ref", 1), OK);
    Base *b = open_base(dev, DATA "llama");
    ParamList lists[2] = {{0}, {0}};
    Adapter *adapters[2];
    for (int k = 0; k < 2; k++) {
        if (adapter_load(&adapters[k], b, "a", FOLDERS[k], true) != OK)
            fail_msg("%s", status_message());
        adapter_params(&lists[k], adapters[k]);
    }
    assert_true(lists[0].n > 0);
    assert_int_equal(lists[0].n, lists[1].n);
    for (int i = 0; i < lists[0].n; i++) {
        Tensor x = lists[0].items[i].value, y = lists[1].items[i].value;
        assert_int_equal(tensor_bytes(x), tensor_bytes(y));
        assert_memory_equal(x.data, y.data, tensor_bytes(x));
    }
    for (int k = 0; k < 2; k++) {
        params_free(&lists[k]);
        adapter_close(adapters[k]);
    }
    base_close(b);
    dev_close(dev);
}

/* A description of a model that fits no machine is compared with the file before it takes memory.
 */
static void test_base_open__sizes_are_checked_before_memory_is_taken(void **state) {
    (void)state;
    char *folder = scratch_new();
    Json *config = NULL;
    Str text = {0}, weights = {0};
    assert_int_equal(json_read_file(&config, DATA "llama/config.json"), OK);
    json_set(config, "vocab_size", json_new_int(2000000000));
    json_set(config, "intermediate_size", json_new_int(2000000000));
    json_dump(&text, config, 2);
    json_free(config);
    mem_free(scratch_text(folder, "config.json", str_text(&text)));
    assert_int_equal(file_read(&weights, DATA "llama/model.safetensors", 1 << 20), OK);
    mem_free(scratch_file(folder, "model.safetensors", weights.data, weights.len));
    Dev *dev = NULL;
    Base *b = NULL;
    assert_int_equal(dev_open(&dev, "ref", 1), OK);
    assert_int_equal(base_open(&b, dev, &(BaseOptions){.path = folder}), ERR_DATA);
    assert_non_null(strstr(status_message(), "config.json makes it [2000000000,"));
    dev_close(dev);
    str_free(&text);
    str_free(&weights);
    scratch_free(folder);
}

/* ---- GGUF ---- */

enum { N_TOKENS = 30 };

static void score(double *logp, Dev *dev, Base *b, Adapter *adapter) {
    int32_t ids[N_TOKENS], targets[N_TOKENS], positions[N_TOKENS];
    for (int i = 0; i < N_TOKENS; i++) {
        ids[i] = (int32_t)((7 * i + 3) % base_info(b)->vocab);
        targets[i] = i + 1 < N_TOKENS ? (int32_t)((7 * i + 10) % base_info(b)->vocab) : -1;
        positions[i] = i;
    }
    int32_t starts[] = {0, N_TOKENS};
    int64_t keys[] = {1};
    Rows rows = {.n_rows = N_TOKENS,
                 .n_seqs = 1,
                 .ids = ids,
                 .targets = targets,
                 .positions = positions,
                 .seq_start = starts,
                 .seq_ids = keys};
    Role role = {.base = b, .adapter = adapter};
    Pass *p = NULL;
    PassLimits limits = {.max_rows = N_TOKENS, .max_seqs = 1};
    assert_int_equal(pass_open(&p, dev, pass_measure(&role, &limits)), OK);
    pass_score(p, &role, &rows, &(PassOptions){.temperature = 1.0}, &(PassOut){.logp = logp});
    pass_close(p);
}

/* The models that llama.cpp's conversion scripts were given. */
static const struct {
    const char *gguf, *folder;
    double within; /* log-probs in f64 */
} MODELS[] = {
    {"llama", "llama", 0},
    {"gpt2", "gpt2", 0},
    {"mistral", "gguf_files/mistral", 0},
    {"qwen2", "families/qwen2", 0},
    {"qwen3", "families/qwen3", 0},
    {"gemma", "families/gemma", 1e-6}, /* 1 + weight is rounded */
    {"gemma2", "gguf_files/gemma2", 1e-6},
    {"phi", "gguf_files/phi", 0},
    {"phi3", "families/phi3", 1e-6}, /* so are the factors of its frequencies */
    {"stablelm", "families/stablelm", 0},
    {"stablelm_parallel", "families/stablelm_parallel", 0},
    {"neox", "families/neox", 0},
    {"neox_sequential", "families/neox_sequential", 0},
    {"mpt", "families/mpt", 0},
    {"falcon_7b", "families/falcon_7b", 0},
    {"falcon_40b", "families/falcon_40b", 0},
    {"bloom", "families/bloom", 0},
    {"llama_linear", "families/llama_linear", 0},
    {"llama_yarn", "families/llama_yarn", 0},
    {"llama.bf16", "llama", 5e-2},
    {"llama.f16", "llama", 5e-3},
};
enum { N_MODELS = sizeof MODELS / sizeof *MODELS, N_EXACT = N_MODELS - 2 };

/* Both give the same log-probs, and say the same of themselves. */
static void expect_same_model(Dev *dev, const char *path, const char *other, double within) {
    double logp[2][N_TOKENS], off = 0.0;
    const char *paths[] = {path, other};
    RopeKind kind[2];
    bool tied[2];
    for (int k = 0; k < 2; k++) {
        Base *b = open_base(dev, paths[k]);
        score(logp[k], dev, b, NULL);
        kind[k] = b->arch.rope.kind;
        tied[k] = b->arch.tied;
        base_close(b);
    }
    for (int t = 0; t < N_TOKENS; t++) off = fmax(off, fabs(logp[0][t] - logp[1][t]));
    if (!(off <= within)) fail_msg("%s: off by %g", path, off);
    assert_int_equal(kind[0], kind[1]);
    assert_int_equal(tied[0], tied[1]);
}

/* What the scripts made of a folder is the folder's model: the same weights, or nearly where they
 * were stored otherwise, and the same numbers in the description. */
static void test_base_open__gguf_is_the_same_model(void **state) {
    (void)state;
    Dev *dev = NULL;
    assert_int_equal(dev_open(&dev, "ref64", 1), OK);
    for (size_t i = 0; i < N_MODELS; i++) {
        char *gguf = str_format(DATA "gguf_files/%s.gguf", MODELS[i].gguf);
        char *folder = str_format(DATA "%s", MODELS[i].folder);
        expect_same_model(dev, gguf, folder, MODELS[i].within);
        mem_free(gguf);
        mem_free(folder);
    }
    dev_close(dev);
}

static void export_gguf(Dev *dev, const char *folder, const char *path, GgufStore store) {
    Base *b = open_base(dev, folder);
    Role role = {.base = b};
    if (model_export_gguf(&role, path, store, &(GgufMeta){0}) != OK)
        fail_msg("%s: %s", folder, status_message());
    base_close(b);
}

/* Every tensor is stored byte for byte as the scripts store it. */
static void expect_same_tensors(const char *path, const char *other) {
    TensorFile *a = NULL, *b = NULL;
    if (tensor_file_open(&a, path) != OK || tensor_file_open(&b, other) != OK)
        fail_msg("%s", status_message());
    if (tensor_file_count(a) != tensor_file_count(b))
        fail_msg("%s: %d tensors, not %d", other, (int)tensor_file_count(a),
                 (int)tensor_file_count(b));
    for (int64_t i = 0; i < tensor_file_count(a); i++) {
        const TensorEntry *x = tensor_file_at(a, i), *y = tensor_file_at(b, i);
        bool same = str_equal(x->name, y->name) && str_equal(x->dtype_name, y->dtype_name) &&
                    x->rank == y->rank && x->bytes == y->bytes &&
                    memcmp(x->shape, y->shape, (size_t)x->rank * sizeof *x->shape) == 0;
        /* Factors of frequencies are powers, whose last bits depend on who computes them. */
        bool factors = str_starts(x->name, "rope_f");
        float *u = mem_zalloc(x->bytes, 1), *v = mem_zalloc(y->bytes, 1);
        memcpy(u, x->stored ? x->stored : x->data, x->bytes);
        memcpy(v, y->stored ? y->stored : y->data, y->bytes);
        for (size_t k = 0; same && factors && k < x->bytes / sizeof *u; k++)
            same = fabsf(u[k] - v[k]) <= 1e-6F * v[k];
        if (!same || (!factors && memcmp(u, v, x->bytes) != 0))
            fail_msg("%s: tensor `%s` is not `%s`", other, x->name, y->name);
        mem_free(u);
        mem_free(v);
    }
    tensor_file_close(a);
    tensor_file_close(b);
}

static void test_model_export_gguf__is_what_llama_cpp_makes(void **state) {
    (void)state;
    Dev *dev = NULL, *exact = NULL;
    char *scratch = scratch_new(), *path = file_join(scratch, "x.gguf");
    assert_int_equal(dev_open(&dev, "ref", 1), OK);
    assert_int_equal(dev_open(&exact, "ref64", 1), OK);
    for (size_t i = 0; i < N_EXACT; i++) {
        char *gguf = str_format(DATA "gguf_files/%s.gguf", MODELS[i].gguf);
        char *folder = str_format(DATA "%s", MODELS[i].folder);
        export_gguf(dev, folder, path, GGUF_STORE_F32);
        expect_same_tensors(path, gguf);
        expect_same_model(exact, path, folder, MODELS[i].within);
        mem_free(gguf);
        mem_free(folder);
    }
    export_gguf(dev, DATA "llama", path, GGUF_STORE_F16);
    expect_same_tensors(path, DATA "gguf_files/llama.f16.gguf");
    export_gguf(dev, DATA "llama", path, GGUF_STORE_BF16);
    expect_same_tensors(path, DATA "gguf_files/llama.bf16.gguf");
    dev_close(dev);
    dev_close(exact);
    mem_free(path);
    scratch_free(scratch);
}

/* What would compute something else there is refused. */
static void test_model_export_gguf__refuses(void **state) {
    (void)state;
    static const char *const BAD[][2] = {
        {"families/opt", "OPT"},
        {"families/phi", "normed heads"},
        {"families/gemma2", "not scaled by the head's width"},
        {"families/falcon_alibi", "a Falcon with ALiBi"},
        {"families/llama_dynamic", "rope_type `dynamic`"},
    };
    Dev *dev = NULL;
    char *scratch = scratch_new(), *path = file_join(scratch, "x.gguf");
    assert_int_equal(dev_open(&dev, "ref", 1), OK);
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        char *folder = str_format(DATA "%s", BAD[i][0]);
        Base *b = open_base(dev, folder);
        Role role = {.base = b};
        Status st = model_export_gguf(&role, path, GGUF_STORE_F32, &(GgufMeta){0});
        if (st != ERR_DATA || !strstr(status_message(), BAD[i][1]))
            fail_msg("%s: %d %s", folder, (int)st, status_message());
        assert_false(file_exists(path));
        base_close(b);
        mem_free(folder);
    }
    dev_close(dev);
    mem_free(path);
    scratch_free(scratch);
}

/* An adapter is merged: the file is base and adapter together, but for the rounding of their sum.
 */
static void test_model_export_gguf__merges_the_adapter(void **state) {
    (void)state;
    Dev *dev = NULL;
    char *scratch = scratch_new(), *gguf = file_join(scratch, "x.gguf");
    double with[N_TOKENS], without[N_TOKENS], merged[N_TOKENS], off = 0.0, moved = 0.0;
    assert_int_equal(dev_open(&dev, "ref64", 1), OK);
    Base *b = open_base(dev, DATA "llama");
    Adapter *a = NULL;
    if (adapter_load(&a, b, "a", DATA "llama_lora_adapter", false) != OK)
        fail_msg("%s", status_message());
    Role role = {.base = b, .adapter = a};
    assert_int_equal(model_export_gguf(&role, gguf, GGUF_STORE_F32, &(GgufMeta){0}), OK);
    score(with, dev, b, a);
    score(without, dev, b, NULL);
    adapter_close(a);
    base_close(b);
    b = open_base(dev, gguf);
    score(merged, dev, b, NULL);
    base_close(b);
    for (int t = 0; t < N_TOKENS; t++) {
        off = fmax(off, fabs(merged[t] - with[t]));
        moved = fmax(moved, fabs(without[t] - with[t]));
    }
    if (!(off < 1e-5 && moved > 1e-2)) fail_msg("off by %g of %g", off, moved);
    dev_close(dev);
    mem_free(gguf);
    scratch_free(scratch);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base_open__gguf_is_the_same_model),
        cmocka_unit_test(test_model_export_gguf__is_what_llama_cpp_makes),
        cmocka_unit_test(test_model_export_gguf__refuses),
        cmocka_unit_test(test_model_export_gguf__merges_the_adapter),
        cmocka_unit_test(test_base_open__torch_files_are_the_same_model),
        cmocka_unit_test(test_adapter_load__torch_file),
        cmocka_unit_test(test_base_open__sizes_are_checked_before_memory_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
