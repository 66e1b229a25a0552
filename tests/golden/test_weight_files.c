/* Models in the field's other files, written by the libraries that they come from, are the models
 * of the safetensors beside them. */
#include "model/base.h"
#include "model/model.h"
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

/* ---- GGUF ---- */

enum { N_TOKENS = 30 };

static void score(double *logp, Dev *dev, Base *b) {
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
    Role role = {.base = b};
    Pass *p = NULL;
    PassLimits limits = {.max_rows = N_TOKENS, .max_seqs = 1};
    assert_int_equal(pass_open(&p, dev, pass_measure(&role, &limits)), OK);
    pass_score(p, &role, &rows, &(PassOptions){.temperature = 1.0}, &(PassOut){.logp = logp});
    pass_close(p);
}

/* What llama.cpp's conversion scripts made of a folder is the folder's model: the same weights, or
 * nearly where they were stored otherwise, and the same numbers in the description. */
static void test_base_open__gguf_is_the_same_model(void **state) {
    (void)state;
    static const struct {
        const char *gguf, *folder;
        double within; /* log-probs in f64 */
    } SAME[] = {
        {"llama", "llama", 0},
        {"gpt2", "gpt2", 0},
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
    Dev *dev = NULL;
    assert_int_equal(dev_open(&dev, "ref64", 1), OK);
    for (size_t i = 0; i < sizeof SAME / sizeof *SAME; i++) {
        char *paths[] = {str_format(DATA "gguf_files/%s.gguf", SAME[i].gguf),
                         str_format(DATA "%s", SAME[i].folder)};
        double logp[2][N_TOKENS], off = 0.0;
        RopeKind kind[2];
        bool tied[2];
        for (int k = 0; k < 2; k++) {
            Base *b = open_base(dev, paths[k]);
            score(logp[k], dev, b);
            kind[k] = b->arch.rope.kind;
            tied[k] = b->arch.tied;
            base_close(b);
            mem_free(paths[k]);
        }
        for (int t = 0; t < N_TOKENS; t++) off = fmax(off, fabs(logp[0][t] - logp[1][t]));
        assert_int_equal(kind[0], kind[1]);
        assert_int_equal(tied[0], tied[1]);
        if (!(off <= SAME[i].within)) fail_msg("%s: off by %g", SAME[i].gguf, off);
    }
    dev_close(dev);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base_open__gguf_is_the_same_model),
        cmocka_unit_test(test_base_open__torch_files_are_the_same_model),
        cmocka_unit_test(test_adapter_load__torch_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
