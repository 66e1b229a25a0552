/* A base in few bits is the base of its values: log-probs, gradients and generated text bit for
 * bit, for every family and format; its codes are those of the matrices as files hold them. */
#include "core/io/safetensors.h"
#include "model/base.h"
#include "model/generate.h"
#include "model/quantized.h"
#include "model_fixture.h"
#include "scratch.h"
#include "unit.h"

#include <math.h>
#include <sys/resource.h>

enum { N_SEQS = 3, VOCAB = 61, N_ROWS = 68, MAX_NEW = 6 };
static const int64_t lengths[N_SEQS] = {5, 40, 23}, seq_ids[N_SEQS] = {1, 2, 3};
static const char *const configs[] = FIXTURE_CONFIGS;
enum { N_CONFIGS = sizeof configs / sizeof *configs };

static const QuantOptions formats[] = {
    {.on = true, .kind = QUANT_NF4, .block = 64},
    {.on = true, .kind = QUANT_NF4, .block = 64, .nested = true},
    {.on = true, .kind = QUANT_FP4, .block = 32},
    {.on = true, .kind = QUANT_INT8, .head = true},
};
enum { N_FORMATS = sizeof formats / sizeof *formats };

static Status try_base(Base **out, Dev *dev, const char *config, const QuantOptions *quant) {
    char *folder = scratch_new(), *path = scratch_text(folder, "config.json", config);
    BaseOptions o = {.config = path, .seed = 4, .dtype = DTYPE_F32};
    if (quant) o.quant = *quant;
    Status st = base_open(out, dev, &o);
    mem_free(path);
    scratch_free(folder);
    return st;
}

static Base *open_config(Dev *dev, const char *config, const QuantOptions *quant) {
    Base *b = NULL;
    if (try_base(&b, dev, config, quant) != OK) fail_msg("%s", status_message());
    return b;
}

static Dev *open_cpu(void) {
    Dev *dev = NULL;
    assert_int_equal(dev_open(&dev, "cpu", 2), OK);
    return dev;
}

/* `to`, a plain base, gets the values of `from`. */
static void take_values(Base *to, const Base *from) {
    if (from->arch.tied && from->head.quant) { /* no longer what the embedding is */
        assert_int_equal(
            weight_alloc(&to->head, to->dev, DTYPE_F32, 2, VOCAB, from->info.width, false), OK);
        weight_download(&from->head, from->dev, DTYPE_F32, to->head.value.data);
    }
    for (int i = 0; i < to->n_refs; i++) {
        const WeightRef *r = &to->refs[i];
        float *values = mem_alloc((size_t)(r->rows * r->cols) * sizeof *values);
        weight_download(from->refs[i].weight, from->dev, DTYPE_F32, values);
        assert_int_equal(weight_upload(r->weight, to->dev, DTYPE_F32, values), OK);
        mem_free(values);
    }
}

typedef struct Outcome {
    double logp[N_ROWS];
    float *grads;
    int64_t n_grads;
    int32_t tokens[MAX_NEW];
    double token_logp[MAX_NEW];
    int64_t n_tokens;
} Outcome;

static void loss(void *ctx, const TokenChunk *c) {
    Outcome *out = ctx;
    for (int64_t i = 0; i < c->n; i++) {
        if (c->has_target) out->logp[c->row[i]] = c->logp[i];
        if (c->has_target) c->dlogp[i] = -1.0;
    }
}

static void on_token(void *ctx, int64_t index, int32_t token, double logp) {
    (void)index;
    Outcome *out = ctx;
    out->tokens[out->n_tokens] = token;
    out->token_logp[out->n_tokens++] = logp;
}

static void train_once(Outcome *out, const Role *role) {
    FixtureRows rows = fixture_rows(lengths, seq_ids, N_SEQS, 1, VOCAB);
    ParamList params = {0};
    Pass *pass = NULL;
    adapter_params(&params, role->adapter);
    assert_int_equal(fixture_pass(&pass, role->base->dev, role, &rows.rows, RECOMPUTE_BLOCK), OK);
    pass_train(pass, role, &rows.rows, &(PassOptions){.recompute = RECOMPUTE_BLOCK},
               &(TokenLoss){.fn = loss, .ctx = out});
    out->n_grads = params_count(&params);
    out->grads = mem_alloc((size_t)out->n_grads * sizeof *out->grads);
    float *at = out->grads;
    for (int i = 0; i < params.n; i++) {
        memcpy(at, params.items[i].grad.data, tensor_bytes(params.items[i].grad));
        at += tensor_numel(params.items[i].grad);
    }
    pass_close(pass);
    params_free(&params);
    fixture_rows_free(&rows);
}

static void generate_some(Outcome *out, const Role *role) {
    static const int32_t prompt[] = {3, 14, 15, 9, 2, 6};
    Generator *g = NULL;
    assert_int_equal(generator_open(&g, role, &(GenLimits){.max_batch = 2, .max_context = 16}), OK);
    GenRequest request = {
        .prompt = prompt, .n_prompt = 6, .max_new_tokens = MAX_NEW, .temperature = 1, .top_p = 1};
    GenOptions options = {.seed = 8, .on_token = on_token, .ctx = out};
    assert_int_equal(generate(g, &request, 1, &options), OK);
    generator_close(g);
}

static void run(Outcome *out, Base *b) {
    *out = (Outcome){0};
    const char *all[] = {"all-linear"};
    LoraOptions lora = {.r = 3, .alpha = 6, .targets = all, .n_targets = 1, .seed = 5};
    Role role = {.base = b};
    assert_int_equal(adapter_create(&role.adapter, b, "a", &lora), OK);
    train_once(out, &role);
    generate_some(out, &role);
    adapter_close(role.adapter);
}

static void test_quantized_base__is_the_base_of_its_values(void **state) {
    (void)state;
    Dev *dev = open_cpu();
    for (int c = 0; c < N_CONFIGS; c++) {
        const QuantOptions *format = &formats[c % N_FORMATS];
        Base *quantized = open_config(dev, configs[c], format);
        Base *plain = open_config(dev, configs[c], NULL);
        Outcome a, b;
        run(&b, plain);
        take_values(plain, quantized);
        double before = b.logp[2];
        mem_free(b.grads);
        run(&a, quantized);
        run(&b, plain);
        if (memcmp(a.logp, b.logp, sizeof a.logp) != 0) fail_msg("config %d: log-probs differ", c);
        assert_true(a.logp[2] != before); /* few bits are not all bits */
        assert_int_equal(a.n_grads, b.n_grads);
        if (memcmp(a.grads, b.grads, (size_t)a.n_grads * sizeof *a.grads) != 0)
            fail_msg("config %d: gradients differ", c);
        assert_int_equal(a.n_tokens, MAX_NEW);
        assert_memory_equal(a.tokens, b.tokens, sizeof a.tokens);
        assert_memory_equal(a.token_logp, b.token_logp, sizeof a.token_logp);
        mem_free(a.grads);
        mem_free(b.grads);
        if (plain->head.value.data != plain->stack.embed.value.data && plain->arch.tied)
            dev_free(dev, plain->head.value.data);
        base_close(plain);
        base_close(quantized);
    }
    dev_close(dev);
}

/* Of `ref`'s matrix as a file holds it, out of the parts and rows where they are used. */
static void test_quantized_base__codes_are_of_the_files_matrices(void **state) {
    (void)state;
    Dev *dev = open_cpu();
    const QuantOptions *format = &formats[1];
    for (int c = 0; c < N_CONFIGS; c++) {
        Base *quantized = open_config(dev, configs[c], format);
        Base *plain = open_config(dev, configs[c], NULL);
        for (int i = 0; i < plain->n_refs; i++) {
            const WeightRef *r = &plain->refs[i];
            const Quantized *q = quantized->refs[i].weight->quant;
            if (!q) continue;
            int64_t n = r->rows * r->cols, blocks = quant_blocks(n, format->block);
            float *x = mem_alloc((size_t)n * sizeof *x), *absmax = mem_alloc((size_t)n * 4);
            uint8_t *theirs = mem_zalloc((size_t)n, 1), *ours = mem_zalloc((size_t)n, 1);
            WeightRef rows_only = *r; /* GPT-2's files hold it turned round; [O,I] is quantized */
            rows_only.transposed = false;
            base_read_weight(plain, &rows_only, DTYPE_F32, x);
            quant_4bit(theirs, absmax, x, n, format->block, format->kind);
            for (int p = 0; p < q->n_parts; p++) quant_weight_get(ours, q->part[p]);
            assert_memory_equal(ours, theirs, (size_t)(n / 2));
            float *nested = mem_alloc((size_t)blocks * sizeof *nested);
            float mean = quant_nest(ours, nested, absmax, blocks);
            assert_true(mean == q->scales[q->n_parts - 1].mean);
            assert_memory_equal(q->scales[0].absmax_code, ours, (size_t)blocks);
            rows_only.weight = quantized->refs[i].weight;
            base_read_weight(quantized, &rows_only, DTYPE_F32, x);
            for (int64_t k = 0; k < n; k++) {
                int64_t b = k / format->block;
                float value = quant_book(format->kind)[quant_4bit_code(theirs, k)];
                value *= quant_unnest(ours[b], nested[b / QUANT_NESTED_BLOCK], mean);
                if (x[k] != value)
                    fail_msg("config %d, %s: [%lld] is %.9g, not %.9g", c, r->name, (long long)k,
                             (double)x[k], (double)value);
            }
            mem_free(x);
            mem_free(absmax);
            mem_free(theirs);
            mem_free(ours);
            mem_free(nested);
        }
        base_close(plain);
        base_close(quantized);
    }
    dev_close(dev);
}

/* ---- memory ---- */

#define CONFIG_WIDE                                                                          \
    "{\"architectures\": [\"LlamaForCausalLM\"], \"vocab_size\": 61, \"hidden_size\": 512, " \
    "\"intermediate_size\": 1408, \"num_hidden_layers\": 8, \"num_attention_heads\": 8, "    \
    "\"max_position_embeddings\": 64, \"tie_word_embeddings\": false}"

static size_t linear_bytes(const Base *b) {
    size_t n = 0;
    for (int i = 0; i < b->n_modules; i++) n += weight_bytes(&b->modules[i].linear->w);
    return n;
}

static void test_quantized_base__takes_the_bytes_of_its_bits(void **state) {
    (void)state;
    static const double most[N_FORMATS] = {0.1412, 0.1300, 0.1565, 0.2520}; /* of f32 */
    Dev *dev = open_cpu();
    Base *plain = open_config(dev, CONFIG_WIDE, NULL);
    size_t whole = linear_bytes(plain);
    for (int i = 0; i < N_FORMATS; i++) {
        Base *b = open_config(dev, CONFIG_WIDE, &formats[i]);
        assert_true((double)linear_bytes(b) <= most[i] * (double)whole);
        if (!formats[i].head)
            assert_int_equal(base_bytes(plain) - whole, base_bytes(b) - linear_bytes(b));
        base_close(b);
    }
    base_close(plain);
    dev_close(dev);
}

static size_t peak_bytes(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (size_t)usage.ru_maxrss * 1024;
}

static void write_model(void *folder) {
    Dev *dev = open_cpu();
    Role role = {.base = open_config(dev, CONFIG_WIDE, NULL)};
    _exit(model_export(&role, folder, DTYPE_F32) == OK ? 0 : 2);
}

/* One tensor: in the file's pages, and as the numbers that are quantized; its codes once more, and
 * what the heap and the threads need. */
static void load_model(void *folder) {
    const size_t largest = (size_t)512 * 1408 * sizeof(float);
    Dev *dev = open_cpu();
    Base *b = NULL;
    size_t before = peak_bytes();
    BaseOptions o = {.path = folder, .dtype = DTYPE_F32, .quant = formats[1]};
    if (base_open(&b, dev, &o) != OK) _exit(2);
    _exit(peak_bytes() - before <= base_bytes(b) + 3 * largest + ((size_t)2 << 20) ? 0 : 1);
}

/* The first test: each half in a process of its own, before this one has started threads. */
static void test_quantized_base__loading_holds_one_tensor_at_a_time(void **state) {
    (void)state;
    char *folder = scratch_new();
    void (*const halves[])(void *) = {write_model, load_model};
    for (int i = 0; i < 2; i++) {
        int status = scratch_run_child(halves[i], folder);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    scratch_free(folder);
}

/* ---- what can be said about it ---- */

static void test_quantized_base__skips_what_is_named(void **state) {
    (void)state;
    static const char *const skips[] = {"mlp.up_proj", "layers.1"};
    Dev *dev = open_cpu();
    QuantOptions format = formats[0];
    format.skips = skips;
    format.n_skips = 2;
    Base *b = open_config(dev, CONFIG_LLAMA, &format);
    for (int i = 0; i < b->n_modules; i++) {
        bool skipped =
            strstr(b->modules[i].name, "up_proj") || strstr(b->modules[i].name, "layers.1");
        assert_int_equal(b->modules[i].linear->w.quant == NULL, skipped);
    }
    assert_string_equal(base_info(b)->storage, "nf4");
    base_close(b);
    dev_close(dev);
}

static void test_quantized_base__a_number_without_scale_is_named(void **state) {
    (void)state;
    Dev *dev = open_cpu();
    Base *plain = open_config(dev, CONFIG_LLAMA, NULL), *b = NULL;
    char *folder = scratch_new();
    Role role = {.base = plain};
    Weight *w = &plain->stack.blocks[1].mlp.up.w;
    ((float *)w->value.data)[27] = INFINITY;
    assert_int_equal(model_export(&role, folder, DTYPE_F32), OK);
    BaseOptions o = {.path = folder, .dtype = DTYPE_F32, .quant = formats[0]};
    assert_int_equal(base_open(&b, dev, &o), ERR_DATA);
    assert_non_null(
        strstr(status_message(), "model.layers.1.mlp.up_proj.weight` holds inf at [1,3]"));
    base_close(plain);
    scratch_free(folder);
    dev_close(dev);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantized_base__loading_holds_one_tensor_at_a_time),
        cmocka_unit_test(test_quantized_base__is_the_base_of_its_values),
        cmocka_unit_test(test_quantized_base__codes_are_of_the_files_matrices),
        cmocka_unit_test(test_quantized_base__takes_the_bytes_of_its_bits),
        cmocka_unit_test(test_quantized_base__skips_what_is_named),
        cmocka_unit_test(test_quantized_base__a_number_without_scale_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
