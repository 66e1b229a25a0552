/* Real weights from elsewhere: stories260K (a trained LLaMA of 260,032 parameters) in llama2.c's
 * own format, with the logits and the greedy text of llama2.c's run.c. Skipped where ../shared is
 * absent. */
#include "core/file.h"
#include "core/io/json.h"
#include "core/io/safetensors.h"
#include "model/generate.h"
#include "model_fixture.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define STORIES HONE_SHARED_DIR "/models/stories260K/"
enum { C = 64, F = 172, L = 5, H = 8, K = 4, V = 512, D = C / H, N = 200, N_LOGITS = 24 };

typedef struct Folder {
    char path[32];
    SafetensorsItem items[2 + 9 * L];
    int n;
    const float *next; /* in the .bin */
    float *turned;     /* q and k rows of all layers in halves */
} Folder;

static void add(Folder *f, char *name, int64_t rows, int64_t cols, const float *data) {
    f->items[f->n++] = (SafetensorsItem){.name = name,
                                         .dtype = DTYPE_F32,
                                         .rank = cols ? 2 : 1,
                                         .shape = {rows, cols},
                                         .data = data};
}

/* One kind of tensor of all layers, which lie one after another. */
static void add_layers(Folder *f, const char *module, int64_t rows, int64_t cols) {
    for (int l = 0; l < L; l++, f->next += rows * (cols ? cols : 1))
        add(f, str_format("model.layers.%d.%s.weight", l, module), rows, cols, f->next);
}

/* llama2.c turns neighbours (2j, 2j+1) of a head, Hugging Face (j, j + D/2): rows change places. */
static void add_turned(Folder *f, const char *module, int64_t rows) {
    for (int l = 0; l < L; l++, f->next += rows * C) {
        for (int64_t r = 0; r < rows; r++) {
            int64_t head = r / D, j = r % D, from = head * D + (j % (D / 2)) * 2 + j / (D / 2);
            memcpy(f->turned + r * C, f->next + from * C, C * sizeof(float));
        }
        add(f, str_format("model.layers.%d.%s.weight", l, module), rows, C, f->turned);
        f->turned += rows * C;
    }
}

static const char config[] =
    "{\"architectures\": [\"LlamaForCausalLM\"], \"vocab_size\": 512, \"hidden_size\": 64, "
    "\"intermediate_size\": 172, \"num_hidden_layers\": 5, \"num_attention_heads\": 8, "
    "\"num_key_value_heads\": 4, \"max_position_embeddings\": 512, \"rms_norm_eps\": 1e-5, "
    "\"tie_word_embeddings\": true}";

/* The .bin as a Hugging Face folder. */
static void convert(Folder *f) {
    FileMap bin;
    *f = (Folder){.path = "/tmp/hone-stories-XXXXXX"};
    assert_non_null(mkdtemp(f->path));
    assert_int_equal(file_map(&bin, STORIES "stories260K.bin"), OK);
    f->next = (const float *)(const void *)bin.data + 7; /* the header: seven int32 */
    float *turned = mem_alloc((size_t)L * (C + K * D) * C * sizeof *turned);
    f->turned = turned;
    add(f, mem_strdup("model.embed_tokens.weight"), V, C, f->next);
    f->next += V * C;
    add_layers(f, "input_layernorm", C, 0);
    add_turned(f, "self_attn.q_proj", C);
    add_turned(f, "self_attn.k_proj", K * D);
    add_layers(f, "self_attn.v_proj", K * D, C);
    add_layers(f, "self_attn.o_proj", C, C);
    add_layers(f, "post_attention_layernorm", C, 0);
    add_layers(f, "mlp.gate_proj", F, C);
    add_layers(f, "mlp.down_proj", C, F);
    add_layers(f, "mlp.up_proj", F, C);
    add(f, mem_strdup("model.norm.weight"), C, 0, f->next);
    SafetensorsSpec spec = {.items = f->items, .n_items = f->n};
    assert_int_equal(safetensors_save_in(f->path, "model", 0, &spec), OK);
    char *path = file_join(f->path, "config.json");
    assert_int_equal(publish_bytes(path, config, strlen(config)), OK);
    mem_free(path);
    for (int i = 0; i < f->n; i++) mem_free((char *)(uintptr_t)f->items[i].name);
    mem_free(turned);
    file_unmap(&bin);
}

static void check_logits(Dev *dev, Base *b, const Json *golden) {
    int64_t n = N_LOGITS, id = 0;
    double logp[N_LOGITS];
    FixtureRows rows = fixture_rows(&n, &id, 1, 0, V);
    int32_t *ids = (int32_t *)(uintptr_t)rows.rows.ids,
            *targets = (int32_t *)(uintptr_t)rows.rows.targets;
    const Json *input = json_get(golden, "input_tokens");
    for (int64_t i = 0; i < n; i++) {
        ids[i] = (int32_t)json_int(json_at(input, i));
        targets[i] = (int32_t)json_int(json_at(input, i + 1));
    }
    Role role = {.base = b};
    Pass *pass = NULL;
    assert_int_equal(fixture_pass(&pass, dev, &role, &rows.rows, RECOMPUTE_NONE), OK);
    pass_score(pass, &role, &rows.rows, &(PassOptions){0}, &(PassOut){.logp = logp});
    for (int64_t i = 0; i < n; i++) {
        const Json *z = json_at(json_get(golden, "logits"), i);
        double sum = 0.0;
        for (int64_t v = 0; v < V; v++) sum += exp(json_num(json_at(z, v)));
        double want = json_num(json_at(z, targets[i])) - log(sum);
        if (fabs(logp[i] - want) > 2e-5)
            fail_msg("position %lld: %.8f, llama2.c %.8f", (long long)i, logp[i], want);
    }
    pass_close(pass);
    fixture_rows_free(&rows);
}

static void on_done(void *ctx, int64_t index, const GenResult *r) {
    (void)index;
    memcpy(ctx, r->tokens, (size_t)r->n * sizeof *r->tokens);
}

static void check_greedy(Base *b, const Json *golden) {
    int32_t tokens[N], start = 1;
    Generator *g = NULL;
    Role role = {.base = b};
    GenLimits limits = {.max_batch = 1, .max_context = N + 1};
    assert_int_equal(generator_open(&g, &role, &limits), OK);
    GenRequest request = {.prompt = &start, .n_prompt = 1, .max_new_tokens = N, .top_p = 1.0};
    assert_int_equal(generate(g, &request, 1, &(GenOptions){.on_done = on_done, .ctx = tokens}),
                     OK);
    for (int i = 0; i < N; i++)
        assert_int_equal(tokens[i], json_int(json_at(json_get(golden, "argmax"), i)));
    generator_close(g);
}

static void test_model_stories__logits_and_text_are_llama2cs(void **state) {
    (void)state;
    if (!file_exists(STORIES "stories260K.bin")) {
        print_message("skipped: " STORIES " is not there\n");
        skip();
    }
    Folder f;
    Json *golden = NULL;
    convert(&f);
    assert_int_equal(json_read_file(&golden, STORIES "golden_logits.json"), OK);
    static const char *const devices[] = {"ref", "cpu"};
    for (int d = 0; d < 2; d++) {
        Dev *dev = NULL;
        Base *b = NULL;
        assert_int_equal(dev_open(&dev, devices[d], 2), OK);
        if (base_open(&b, dev, &(BaseOptions){.path = f.path}) != OK)
            fail_msg("%s", status_message());
        assert_int_equal(base_info(b)->n_params, 260032);
        check_logits(dev, b, golden);
        check_greedy(b, golden);
        base_close(b);
        dev_close(dev);
    }
    json_free(golden);
    assert_int_equal(file_remove_tree(f.path), OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model_stories__logits_and_text_are_llama2cs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
