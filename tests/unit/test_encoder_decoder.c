/* T5 beyond its golden numbers: a pair is computed alone (law L5), with and without recomputation,
 * on any number of threads; dropout goes back as it came; generation is the training forward; the
 * names under which files hold the embedding; what distances share a bucket. */
#include "core/file.h"
#include "core/io/safetensors.h"
#include "model/base.h"
#include "model/generate.h"
#include "model_fixture.h"
#include "scratch.h"
#include "unit.h"

#include <math.h>

enum { N_PAIRS = 4, MAX_ROWS = 160, VOCAB = 61, MAX_NEW = 70, START = 3 };

#define SIZES                                                                                \
    "\"architectures\": [\"T5ForConditionalGeneration\"], \"vocab_size\": 61, \"d_model\": " \
    "26, \"d_kv\": 6, \"d_ff\": 20, \"num_heads\": 3, \"num_layers\": 1, "                   \
    "\"num_decoder_layers\": 2, \"decoder_start_token_id\": 3, \"dropout_rate\": 0.2"
#define CONFIG_T5                                         \
    "{" SIZES ", \"relative_attention_num_buckets\": 8, " \
    "\"relative_attention_max_distance\": 20}"
#define CONFIG_FLAN \
    "{" SIZES ", \"feed_forward_proj\": \"gated-gelu\", \"tie_word_embeddings\": false}"

static const char *const configs[] = {CONFIG_T5, CONFIG_FLAN};
static const int64_t source_lengths[N_PAIRS] = {1, 70, 5, 130};
static const int64_t lengths[N_PAIRS] = {66, 3, 1, 9};

typedef struct Model {
    Dev *dev;
    Role role;
    ParamList params;
} Model;

static void model_open(Model *m, const char *device, const char *config, bool full, int threads) {
    *m = (Model){0};
    assert_int_equal(dev_open(&m->dev, device, threads), OK);
    char *folder = scratch_new();
    char *path = scratch_text(folder, "config.json", config);
    BaseOptions opt = {.config = path, .seed = 4, .trainable = full, .takes_source = true};
    if (base_open(&m->role.base, m->dev, &opt) != OK) fail_msg("%s", status_message());
    const char *all[] = {"all-linear"};
    LoraOptions lora = {
        .r = 2, .alpha = 4, .dropout = 0.3, .targets = all, .n_targets = 1, .seed = 5};
    assert_int_equal(adapter_create(&m->role.adapter, m->role.base, "a", &lora), OK);
    base_params(&m->params, m->role.base);
    adapter_params(&m->params, m->role.adapter);
    RngStream r = rng_stream(3, RNG_WORLD, 1);
    for (int i = 0; i < m->params.n; i++) { /* B away from zero, norms away from one */
        Tensor t = m->params.items[i].value;
        double *host = mem_alloc((size_t)tensor_numel(t) * sizeof *host);
        dtype_convert(host, DTYPE_F64, t.data, t.dtype, (size_t)tensor_numel(t));
        for (int64_t j = 0; j < tensor_numel(t); j++) host[j] += 0.4 * (rng_next_uniform(&r) - 0.5);
        dtype_convert(t.data, t.dtype, host, DTYPE_F64, (size_t)tensor_numel(t));
        mem_free(host);
    }
    mem_free(path);
    scratch_free(folder);
}

static void model_close(Model *m) {
    params_free(&m->params);
    adapter_close(m->role.adapter);
    base_close(m->role.base);
    dev_close(m->dev);
}

/* Some of the pairs, in an order. */
typedef struct Pairs {
    FixtureRows rows, source;
} Pairs;

static Pairs pairs_of(const int *which, int64_t n) {
    int64_t own[N_PAIRS], read[N_PAIRS], ids[N_PAIRS], source_ids[N_PAIRS];
    for (int64_t i = 0; i < n; i++) {
        own[i] = lengths[which[i]];
        read[i] = source_lengths[which[i]];
        ids[i] = 10 + which[i];
        source_ids[i] = 20 + which[i]; /* other tokens; the streams are the pair's */
    }
    Pairs p = {.rows = fixture_rows(own, ids, n, 0, VOCAB),
               .source = fixture_rows(read, source_ids, n, 0, VOCAB)};
    for (int64_t i = 0; i < n; i++) ((int64_t *)(uintptr_t)p.source.rows.seq_ids)[i] = ids[i];
    for (int64_t s = 0; s < n; s++) { /* a last row asks about a token that is no input */
        int32_t last = p.rows.rows.seq_start[s + 1] - 1;
        ((int32_t *)(uintptr_t)p.rows.rows.targets)[last] = 7;
    }
    p.source.rows.targets = NULL;
    return p;
}

static void pairs_free(Pairs *p) {
    fixture_rows_free(&p->rows);
    fixture_rows_free(&p->source);
}

static Pass *pass_over(const Model *m, Pairs *p, Recompute recompute) {
    Pass *pass = NULL;
    p->rows.rows.source = &p->source.rows;
    assert_int_equal(fixture_pass(&pass, m->dev, &m->role, &p->rows.rows, recompute), OK);
    return pass;
}

static void score_some(const Model *m, const int *which, int64_t n, double logp[][MAX_ROWS]) {
    double all[N_PAIRS * MAX_ROWS];
    Pairs p = pairs_of(which, n);
    Pass *pass = pass_over(m, &p, RECOMPUTE_NONE);
    pass_score(pass, &m->role, &p.rows.rows, &(PassOptions){0}, &(PassOut){.logp = all});
    for (int64_t i = 0; i < n; i++)
        memcpy(logp[which[i]], all + p.rows.rows.seq_start[i],
               (size_t)lengths[which[i]] * sizeof(double));
    pass_close(pass);
    pairs_free(&p);
}

static void test_encoder_decoder__a_pair_is_computed_alone(void **state) {
    (void)state;
    static const int all[N_PAIRS] = {0, 1, 2, 3}, turned[N_PAIRS] = {3, 1, 0, 2};
    for (int c = 0; c < 2; c++) {
        double whole[N_PAIRS][MAX_ROWS], other[N_PAIRS][MAX_ROWS], alone[N_PAIRS][MAX_ROWS];
        Model m;
        model_open(&m, "cpu", configs[c], false, 2);
        score_some(&m, all, N_PAIRS, whole);
        score_some(&m, turned, N_PAIRS, other);
        for (int i = 0; i < N_PAIRS; i++) {
            score_some(&m, &i, 1, alone);
            size_t bytes = (size_t)lengths[i] * sizeof(double);
            assert_memory_equal(whole[i], other[i], bytes);
            assert_memory_equal(whole[i], alone[i], bytes);
            assert_true(whole[i][0] < -0.1);
        }
        model_close(&m);
    }
}

static const int all_pairs[N_PAIRS] = {0, 1, 2, 3};
static const int small_pairs[2] = {1, 2};

static double loss_and_gradients(const Model *m, const int *which, int64_t n, Recompute recompute) {
    double logp[N_PAIRS * MAX_ROWS], dlogp[N_PAIRS * MAX_ROWS], loss = 0;
    Pairs p = pairs_of(which, n);
    Pass *pass = pass_over(m, &p, recompute);
    params_zero_grad(m->dev, &m->params);
    PassOptions opt = {.dropout = true, .seed = 3, .step = 8, .recompute = recompute};
    pass_forward(pass, &m->role, &p.rows.rows, &opt, &(PassOut){.logp = logp});
    for (int64_t i = 0; i < p.rows.rows.n_rows; i++) {
        dlogp[i] = 0.1 + 0.01 * (double)(i % 7);
        loss += dlogp[i] * logp[i];
    }
    pass_backward(pass, &(PassGrad){.dlogp = dlogp});
    assert_int_equal(dev_check(m->dev), OK);
    pass_close(pass);
    pairs_free(&p);
    return loss;
}

static void test_encoder_decoder__recomputation_and_threads_change_no_bit(void **state) {
    (void)state;
    for (int c = 0; c < 2; c++) {
        Model m, other;
        model_open(&m, "cpu", configs[c], c == 0, 1);
        model_open(&other, "cpu", configs[c], c == 0, 2);
        double a = loss_and_gradients(&m, all_pairs, N_PAIRS, RECOMPUTE_NONE);
        double b = loss_and_gradients(&other, all_pairs, N_PAIRS, RECOMPUTE_BLOCK);
        assert_memory_equal(&a, &b, sizeof a);
        assert_true(m.params.n > 0);
        for (int i = 0; i < m.params.n; i++)
            if (memcmp(m.params.items[i].grad.data, other.params.items[i].grad.data,
                       tensor_bytes(m.params.items[i].grad)) != 0)
                fail_msg("the gradient of %s differs", m.params.items[i].name);
        model_close(&m);
        model_close(&other);
    }
}

/* The loss with a weight moved along a direction; the weight is put back. */
static double loss_beside(const Model *m, const Param *p, const double *direction, double step) {
    int64_t n = tensor_numel(p->value);
    double *value = p->value.data, *kept = mem_alloc((size_t)n * sizeof *kept);
    memcpy(kept, value, (size_t)n * sizeof *kept);
    for (int64_t j = 0; j < n; j++) value[j] += step * direction[j];
    double loss = loss_and_gradients(m, small_pairs, 2, RECOMPUTE_NONE);
    memcpy(value, kept, (size_t)n * sizeof *kept);
    mem_free(kept);
    return loss;
}

/* Along a random direction of every weight by itself, with all dropouts on. */
static void test_encoder_decoder__dropout_goes_back_as_it_came(void **state) {
    (void)state;
    const double step = 1e-6; /* few of relu's corners lie within */
    for (int c = 0; c < 2; c++) {
        Model m;
        model_open(&m, "ref64", configs[c], true, 1);
        for (int i = 0; i < m.params.n; i++) {
            const Param *p = &m.params.items[i];
            int64_t n = tensor_numel(p->value);
            double *grad = p->grad.data, slope = 0, size = 0;
            double *direction = mem_alloc((size_t)n * sizeof *direction);
            RngStream r = rng_stream(9, RNG_WORLD, (uint64_t)i);
            loss_and_gradients(&m, small_pairs, 2, RECOMPUTE_NONE);
            for (int64_t j = 0; j < n; j++) {
                direction[j] = rng_next_uniform(&r) - 0.5;
                slope += direction[j] * grad[j];
                size += fabs(direction[j] * grad[j]);
            }
            double measured =
                (loss_beside(&m, p, direction, step) - loss_beside(&m, p, direction, -step)) /
                (2 * step);
            if (fabs(measured - slope) > 1e-5 * size + 1e-7)
                fail_msg("%s: %.10g along it, by its gradient %.10g", p->name, measured, slope);
            mem_free(direction);
        }
        model_close(&m);
    }
}

/* ---- generation ---- */

typedef struct Texts {
    int32_t tokens[N_PAIRS][MAX_NEW];
    double logp[N_PAIRS][MAX_NEW];
    int64_t n[N_PAIRS];
} Texts;

static void on_done(void *ctx, int64_t index, const GenResult *r) {
    Texts *t = ctx;
    memcpy(t->tokens[index], r->tokens, (size_t)r->n * sizeof(int32_t));
    memcpy(t->logp[index], r->logp, (size_t)r->n * sizeof(double));
    t->n[index] = r->n;
}

static void generate_all(const Model *m, const Pairs *p, int64_t max_batch, Texts *t) {
    GenRequest requests[N_PAIRS];
    for (int i = 0; i < N_PAIRS; i++)
        requests[i] = (GenRequest){.prompt = p->source.rows.ids + p->source.rows.seq_start[i],
                                   .n_prompt = source_lengths[i],
                                   .row_id = i,
                                   .max_new_tokens = MAX_NEW - i,
                                   .temperature = i % 2 ? 1.0 : 0.0,
                                   .top_p = 1.0};
    Generator *g = NULL;
    GenLimits limits = {.max_batch = max_batch, .max_context = 200};
    assert_int_equal(generator_open(&g, &m->role, &limits), OK);
    int32_t stop = 1;
    GenOptions opt = {.seed = 8, .stop_ids = &stop, .n_stop_ids = 1, .on_done = on_done, .ctx = t};
    assert_int_equal(generate(g, requests, N_PAIRS, &opt), OK);
    generator_close(g);
}

/* The decoder's rows are the start token and what was generated. */
static void test_encoder_decoder__generation_is_the_training_forward(void **state) {
    (void)state;
    static const int all[N_PAIRS] = {0, 1, 2, 3};
    static const char *const devices[] = {"ref", "cpu"};
    for (int k = 0; k < 4; k++) {
        Model m;
        Texts t = {0}, alone = {0};
        model_open(&m, devices[k / 2], configs[k % 2], k % 2 == 0, 2);
        Pairs p = pairs_of(all, N_PAIRS);
        generate_all(&m, &p, 3, &t);
        generate_all(&m, &p, 1, &alone);
        assert_memory_equal(t.tokens, alone.tokens, sizeof t.tokens);
        assert_memory_equal(t.logp, alone.logp, sizeof t.logp);
        int64_t longest = 0;
        for (int i = 0; i < N_PAIRS; i++) {
            int64_t n = t.n[i], id = 10 + i;
            if (n > longest) longest = n;
            Pairs one = pairs_of(&i, 1);
            fixture_rows_free(&one.rows);
            one.rows = fixture_rows(&n, &id, 1, 0, VOCAB);
            int32_t *ids = (int32_t *)(uintptr_t)one.rows.rows.ids;
            int32_t *targets = (int32_t *)(uintptr_t)one.rows.rows.targets;
            for (int64_t j = 0; j < n; j++) {
                ids[j] = j ? t.tokens[i][j - 1] : START;
                targets[j] = t.tokens[i][j];
            }
            double logp[MAX_NEW];
            int32_t argmax[MAX_NEW];
            Pass *pass = pass_over(&m, &one, RECOMPUTE_NONE);
            pass_score(pass, &m.role, &one.rows.rows, &(PassOptions){0},
                       &(PassOut){.logp = logp, .argmax = argmax});
            assert_memory_equal(logp, t.logp[i], (size_t)n * sizeof *logp);
            if (i % 2 == 0) assert_memory_equal(argmax, t.tokens[i], (size_t)n * sizeof *argmax);
            pass_close(pass);
            pairs_free(&one);
        }
        assert_true(longest > KV_PAGE);
        pairs_free(&p);
        model_close(&m);
    }
}

/* ---- files ---- */

#define GOLDEN HONE_SOURCE_DIR "/tests/golden/data/families/"

/* The golden T5's tensors, `shared.weight` under the names of `aliases`; the last of them with
 * another first number when `spoiled`. */
static char *rewritten(const char *const *aliases, int n_aliases, bool spoiled) {
    char *folder = scratch_new();
    Safetensors *from = NULL;
    Str config = {0};
    assert_int_equal(safetensors_open(&from, GOLDEN "t5/model.safetensors"), OK);
    assert_int_equal(file_read(&config, GOLDEN "t5/config.json", 1 << 16), OK);
    mem_free(scratch_text(folder, "config.json", str_text(&config)));
    SafetensorsItem items[128] = {0};
    int64_t n = 0;
    float *copy = NULL;
    for (int64_t i = 0; i < safetensors_count(from); i++) {
        const TensorEntry *e = safetensors_at(from, i);
        bool shared = str_equal(e->name, "shared.weight");
        for (int a = 0; a < (shared ? n_aliases : 1); a++) {
            items[n] = (SafetensorsItem){.name = shared ? aliases[a] : e->name,
                                         .dtype = e->dtype,
                                         .rank = e->rank,
                                         .shape = {e->shape[0], e->rank > 1 ? e->shape[1] : 0},
                                         .data = e->data};
            if (shared && spoiled && a == n_aliases - 1) {
                copy = mem_alloc(e->bytes);
                memcpy(copy, e->data, e->bytes);
                copy[0] += 1.0F;
                items[n].data = copy;
            }
            n++;
        }
    }
    char *path = file_join(folder, "model.safetensors");
    assert_int_equal(safetensors_save(path, &(SafetensorsSpec){.items = items, .n_items = n}), OK);
    mem_free(path);
    mem_free(copy);
    str_free(&config);
    safetensors_close(from);
    return folder;
}

static Status open_from(Base **out, Dev *dev, const char *folder) {
    return base_open(out, dev, &(BaseOptions){.path = folder, .takes_source = true});
}

static void test_encoder_decoder__copies_of_the_embedding_are_one_weight(void **state) {
    (void)state;
    static const char *const all[] = {"shared.weight", "encoder.embed_tokens.weight",
                                      "lm_head.weight", "decoder.embed_tokens.weight"};
    static const struct {
        int first, n;
        bool spoiled;
    } cases[] = {{0, 4, false}, {1, 1, false}, {3, 1, false}, {0, 3, true}, {0, 4, true}};
    Dev *dev = NULL;
    Base *plain = NULL;
    char want[65], got[65];
    assert_int_equal(dev_open(&dev, "cpu", 1), OK);
    assert_int_equal(open_from(&plain, dev, GOLDEN "t5"), OK);
    base_digest(plain, want);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Base *b = NULL;
        char *folder = rewritten(all + cases[i].first, cases[i].n, cases[i].spoiled);
        Status st = open_from(&b, dev, folder);
        if (i == 4) { /* an encoder or decoder with words of its own */
            assert_int_equal(st, ERR_DATA);
            assert_non_null(strstr(status_message(), "`decoder.embed_tokens.weight` has no place"));
        } else {
            assert_int_equal(st, OK);
            base_digest(b, got);
            assert_int_equal(strcmp(want, got) == 0, i < 3);
            assert_int_equal(base_info(b)->tied, i < 3); /* another head is a head of its own */
            assert_true(b->stack.out_scale < 1.0);       /* which says nothing of the scale */
        }
        base_close(b);
        scratch_free(folder);
    }
    base_close(plain);
    dev_close(dev);
}

static void test_encoder_decoder__whoever_has_no_source_refuses_it(void **state) {
    (void)state;
    Dev *dev = NULL;
    Base *b = NULL;
    int32_t start = 0;
    assert_int_equal(dev_open(&dev, "cpu", 1), OK);
    assert_int_equal(base_open(&b, dev, &(BaseOptions){.path = GOLDEN "t5"}), ERR_DATA);
    assert_non_null(strstr(status_message(), "T5ForConditionalGeneration is an encoder-decoder"));
    assert_null(b);
    assert_int_equal(base_decoder_start(&start, GOLDEN "flan_t5", NULL), OK);
    assert_int_equal(start, 0);
    assert_int_equal(base_decoder_start(&start, GOLDEN "opt", NULL), OK);
    assert_int_equal(start, -1);
    dev_close(dev);
}

/* transformers' own, in float32. */
static void test_encoder_decoder__distances_share_buckets_as_in_transformers(void **state) {
    (void)state;
    static const int sizes[][2] = {{32, 128}, {8, 10}, {18, 77}, {64, 1000}};
    Safetensors *file = NULL;
    assert_int_equal(safetensors_open(&file, GOLDEN "t5_full.safetensors"), OK);
    for (int i = 0; i < 8; i++) {
        bool both = i % 2;
        ArchConfig *c = mem_zalloc(1, sizeof *c);
        c->buckets = sizes[i / 2][0];
        c->max_distance = sizes[i / 2][1];
        int32_t ids[2001];
        char *name = str_format("buckets/%s_%d_%d", both ? "encoder" : "decoder", sizes[i / 2][0],
                                sizes[i / 2][1]);
        const TensorEntry *e = safetensors_find(file, name);
        assert_non_null(e);
        assert_int_equal(e->shape[0], 2 * c->max_distance + 1);
        arch_distance_buckets(ids, c, both);
        assert_memory_equal(ids, e->data, e->bytes);
        mem_free(name);
        mem_free(c);
    }
    safetensors_close(file);
}

/* As transformers draws a new one: matrices by their inputs, tables by initializer_factor. */
static void test_encoder_decoder__random_weights_have_the_right_spread(void **state) {
    (void)state;
    Dev *dev = NULL;
    Base *b = NULL;
    char *folder = scratch_new();
    char *path = scratch_text(folder, "config.json",
                              "{" SIZES ", \"initializer_factor\": 0.5, \"relative_attention_num_"
                              "buckets\": 64, \"feed_forward_proj\": \"gated-gelu\"}");
    assert_int_equal(dev_open(&dev, "cpu", 1), OK);
    BaseOptions opt = {.config = path, .seed = 4, .takes_source = true};
    assert_int_equal(base_open(&b, dev, &opt), OK);
    for (int i = 0; i < b->n_refs; i++) {
        const WeightRef *r = &b->refs[i];
        double want = r->rank == 1 ? 1.0 : 0.5, sum = 0.0, n = (double)(r->rows * r->cols);
        if (str_ends(r->name, ".q.weight")) want /= sqrt(26.0 * 6.0);
        if (str_ends(r->name, ".k.weight") || str_ends(r->name, ".v.weight") ||
            strstr(r->name, ".wi_") || strstr(r->name, "relative_attention_bias"))
            want /= sqrt(26.0);
        if (str_ends(r->name, ".o.weight")) want /= sqrt(18.0);
        if (str_ends(r->name, ".wo.weight")) want /= sqrt(20.0);
        for (int64_t j = 0; j < r->rows * r->cols; j++) {
            double x = ((float *)r->weight->value.data)[j];
            sum += x * x;
        }
        if (fabs(sqrt(sum / n) - want) > 0.15 * want) fail_msg("%s: %g", r->name, sqrt(sum / n));
    }
    base_close(b);
    dev_close(dev);
    mem_free(path);
    scratch_free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encoder_decoder__a_pair_is_computed_alone),
        cmocka_unit_test(test_encoder_decoder__recomputation_and_threads_change_no_bit),
        cmocka_unit_test(test_encoder_decoder__dropout_goes_back_as_it_came),
        cmocka_unit_test(test_encoder_decoder__generation_is_the_training_forward),
        cmocka_unit_test(test_encoder_decoder__copies_of_the_embedding_are_one_weight),
        cmocka_unit_test(test_encoder_decoder__whoever_has_no_source_refuses_it),
        cmocka_unit_test(test_encoder_decoder__distances_share_buckets_as_in_transformers),
        cmocka_unit_test(test_encoder_decoder__random_weights_have_the_right_spread),
    };
    return cmocka_run_group_tests_name("encoder-decoder", tests, NULL, NULL);
}
