/* The engine of generation: what it samples, and that a row is computed alone. */
#include "model/generate.h"
#include "model_fixture.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { N_REQUESTS = 7, MAX_NEW = 24, MAX_PROMPT = 90, CONTEXT = 128, VOCAB = 61 };

static const char *const devices[] = {"ref", "cpu"};
static const char *const configs[] = FIXTURE_CONFIGS;

typedef struct Model {
    Dev *dev;
    Role role;
} Model;

static void model_open(Model *m, const char *device, const char *config, bool full, DType dtype,
                       int threads) {
    *m = (Model){0};
    assert_int_equal(dev_open(&m->dev, device, threads), OK);
    if (fixture_base(&m->role.base, m->dev, config, full, dtype, 4) != OK)
        fail_msg("%s", status_message());
    const char *all[] = {"all-linear"};
    LoraOptions lora = {.r = 2, .alpha = 4, .targets = all, .n_targets = 1, .seed = 5};
    assert_int_equal(adapter_create(&m->role.adapter, m->role.base, "a", &lora), OK);
    ParamList params = {0};
    adapter_params(&params, m->role.adapter);
    RngStream r = rng_stream(3, RNG_WORLD, 1);
    for (int i = 0; i < params.n; i++) /* B away from zero */
        for (int64_t j = 0; j < tensor_numel(params.items[i].value); j++)
            ((float *)params.items[i].value.data)[j] += (float)(rng_next_uniform(&r) - 0.5);
    params_free(&params);
}

static void model_close(Model *m) {
    adapter_close(m->role.adapter);
    base_close(m->role.base);
    dev_close(m->dev);
}

typedef struct Texts {
    GenRequest requests[N_REQUESTS];
    int32_t prompts[N_REQUESTS][MAX_PROMPT];
    int32_t tokens[N_REQUESTS][MAX_NEW];
    double logp[N_REQUESTS][MAX_NEW];
    int64_t n[N_REQUESTS], streamed[N_REQUESTS];
    bool stopped[N_REQUESTS], done[N_REQUESTS];
    int64_t n_done, stop_after; /* stop_after < 0: never */
} Texts;

/* Prompts of 1 to 86 tokens (over a page), mixed settings. */
static void texts_init(Texts *t) {
    static const int64_t lengths[N_REQUESTS] = {3, 64, 1, 86, 10, 63, 5};
    static const double temperatures[N_REQUESTS] = {1.0, 0.7, 0.0, 1.3, 1.0, 0.5, 1.0};
    static const int32_t top_k[N_REQUESTS] = {0, 5, 0, 0, 1, 0, 20};
    static const double top_p[N_REQUESTS] = {1.0, 1.0, 1.0, 0.8, 1.0, 0.5, 0.9};
    *t = (Texts){.stop_after = -1};
    for (int i = 0; i < N_REQUESTS; i++) {
        RngStream r = rng_stream(1, RNG_WORLD, (uint64_t)i);
        for (int64_t j = 0; j < lengths[i]; j++) t->prompts[i][j] = (int32_t)rng_below(&r, VOCAB);
        t->requests[i] = (GenRequest){.prompt = t->prompts[i],
                                      .n_prompt = lengths[i],
                                      .row_id = 100 + i,
                                      .max_new_tokens = MAX_NEW - i,
                                      .temperature = temperatures[i],
                                      .top_k = top_k[i],
                                      .top_p = top_p[i]};
    }
}

static void on_token(void *ctx, int64_t index, int32_t token, double logp) {
    Texts *t = ctx;
    t->tokens[index][t->streamed[index]] = token;
    t->logp[index][t->streamed[index]++] = logp;
}

static void on_done(void *ctx, int64_t index, const GenResult *result) {
    Texts *t = ctx;
    assert_false(t->done[index]);
    assert_int_equal(result->n, t->streamed[index]);
    assert_memory_equal(result->tokens, t->tokens[index], (size_t)result->n * sizeof(int32_t));
    assert_memory_equal(result->logp, t->logp[index], (size_t)result->n * sizeof(double));
    t->done[index] = true;
    t->n[index] = result->n;
    t->stopped[index] = result->stopped;
    t->n_done++;
}

static bool should_stop(void *ctx) {
    const Texts *t = ctx;
    return t->stop_after >= 0 && t->streamed[0] >= t->stop_after;
}

static Status run(Model *m, Texts *t, int64_t first, int64_t n, int64_t max_batch,
                  int32_t stop_id) {
    Generator *g = NULL;
    GenLimits limits = {.max_batch = max_batch, .max_context = CONTEXT};
    assert_int_equal(generator_open(&g, &m->role, &limits), OK);
    GenOptions opt = {.seed = 8,
                      .step = 3,
                      .stop_ids = &stop_id,
                      .n_stop_ids = stop_id >= 0,
                      .on_done = on_done,
                      .on_token = on_token,
                      .should_stop = should_stop,
                      .ctx = t};
    Status st = generate(g, t->requests + first, n, &opt);
    generator_close(g);
    return st;
}

/* The log-probs of the training forward, one row after another in one pass. */
static void score(Model *m, const Texts *t, int i, double *logp) {
    int64_t n_prompt = t->requests[i].n_prompt, n = n_prompt + t->n[i];
    int64_t seq_id = 1;
    FixtureRows rows = fixture_rows(&n, &seq_id, 1, n_prompt - 1, VOCAB);
    int32_t *ids = (int32_t *)(uintptr_t)rows.rows.ids,
            *targets = (int32_t *)(uintptr_t)rows.rows.targets;
    for (int64_t j = 0; j < n; j++)
        ids[j] = j < n_prompt ? t->prompts[i][j] : t->tokens[i][j - n_prompt];
    for (int64_t j = n_prompt; j < n; j++) targets[j - 1] = ids[j];
    Pass *pass = NULL;
    double all[CONTEXT];
    PassLimits limits = {.max_rows = n, .max_seqs = 1};
    assert_int_equal(pass_open(&pass, m->dev, pass_measure(&m->role, &limits)), OK);
    pass_score(pass, &m->role, &rows.rows,
               &(PassOptions){.temperature = t->requests[i].temperature}, &(PassOut){.logp = all});
    memcpy(logp, all + n_prompt - 1, (size_t)t->n[i] * sizeof *logp);
    pass_close(pass);
    fixture_rows_free(&rows);
}

static void test_generate__logp_is_bitwise_the_training_forwards(void **state) {
    (void)state;
    for (size_t d = 0; d < 2; d++) {
        for (size_t c = 0; c < sizeof configs / sizeof *configs; c++) {
            Model m;
            Texts t;
            double logp[MAX_NEW];
            model_open(&m, devices[d], configs[c], c % 2 == 1, c == 2 ? DTYPE_BF16 : DTYPE_F32, 2);
            texts_init(&t);
            assert_int_equal(run(&m, &t, 0, N_REQUESTS, 3, -1), OK);
            for (int i = 0; i < N_REQUESTS; i++) {
                assert_int_equal(t.n[i], MAX_NEW - i);
                score(&m, &t, i, logp);
                for (int64_t j = 0; j < t.n[i]; j++)
                    if (logp[j] != t.logp[i][j])
                        fail_msg("%s, config %zu, row %d, token %lld: %.9g in training, %.9g here",
                                 devices[d], c, i, (long long)j, logp[j], t.logp[i][j]);
            }
            model_close(&m);
        }
    }
}

static void same_texts(const Texts *a, const Texts *b, const char *what) {
    for (int i = 0; i < N_REQUESTS; i++) {
        if (a->n[i] != b->n[i] || a->stopped[i] != b->stopped[i] ||
            memcmp(a->tokens[i], b->tokens[i], (size_t)a->n[i] * sizeof(int32_t)) ||
            memcmp(a->logp[i], b->logp[i], (size_t)a->n[i] * sizeof(double)))
            fail_msg("%s: row %d differs", what, i);
    }
}

static void test_generate__row_is_independent_of_its_neighbours(void **state) {
    (void)state;
    for (size_t d = 0; d < 2; d++) {
        Model m;
        Texts together, alone, threads;
        model_open(&m, devices[d], CONFIG_LLAMA, false, DTYPE_F32, 2);
        texts_init(&together);
        assert_int_equal(run(&m, &together, 0, N_REQUESTS, N_REQUESTS, 17), OK);
        for (int64_t batch = 1; batch < N_REQUESTS; batch++) {
            texts_init(&alone);
            assert_int_equal(run(&m, &alone, 0, N_REQUESTS, batch, 17), OK);
            same_texts(&together, &alone, "max_batch");
        }
        /* In the opposite order. */
        texts_init(&alone);
        Texts turned = alone;
        for (int i = 0; i < N_REQUESTS; i++)
            turned.requests[i] = alone.requests[N_REQUESTS - 1 - i];
        assert_int_equal(run(&m, &turned, 0, N_REQUESTS, 3, 17), OK);
        for (int i = 0; i < N_REQUESTS; i++) {
            int k = N_REQUESTS - 1 - i;
            alone.n[i] = turned.n[k];
            alone.stopped[i] = turned.stopped[k];
            memcpy(alone.tokens[i], turned.tokens[k], sizeof alone.tokens[i]);
            memcpy(alone.logp[i], turned.logp[k], sizeof alone.logp[i]);
        }
        same_texts(&together, &alone, "order");
        model_close(&m);
        model_open(&m, devices[d], CONFIG_LLAMA, false, DTYPE_F32, 1);
        texts_init(&threads);
        assert_int_equal(run(&m, &threads, 0, N_REQUESTS, 4, 17), OK);
        same_texts(&together, &threads, "threads");
        model_close(&m);
    }
}

static void test_generate__greedy_takes_the_most_probable(void **state) {
    (void)state;
    Model m;
    Texts t;
    model_open(&m, "ref", CONFIG_GPT2, false, DTYPE_F32, 1);
    texts_init(&t);
    assert_int_equal(run(&m, &t, 0, N_REQUESTS, 4, -1), OK);
    int32_t argmax[CONTEXT];
    for (int i = 2; i <= 4; i += 2) { /* temperature 0; top_k 1 */
        int64_t n_prompt = t.requests[i].n_prompt, n = n_prompt + t.n[i], seq_id = 1;
        FixtureRows rows = fixture_rows(&n, &seq_id, 1, 0, VOCAB);
        int32_t *ids = (int32_t *)(uintptr_t)rows.rows.ids;
        int32_t *targets = (int32_t *)(uintptr_t)rows.rows.targets;
        for (int64_t j = 0; j < n; j++)
            ids[j] = j < n_prompt ? t.prompts[i][j] : t.tokens[i][j - n_prompt];
        for (int64_t j = 1; j < n; j++) targets[j - 1] = ids[j];
        Pass *pass = NULL;
        assert_int_equal(fixture_pass(&pass, m.dev, &m.role, &rows.rows, RECOMPUTE_NONE), OK);
        pass_score(pass, &m.role, &rows.rows, &(PassOptions){0}, &(PassOut){.argmax = argmax});
        for (int64_t j = 0; j < t.n[i]; j++)
            assert_int_equal(argmax[n_prompt - 1 + j], t.tokens[i][j]);
        pass_close(pass);
        fixture_rows_free(&rows);
    }
    model_close(&m);
}

static void test_generate__stop_token_ends_a_row(void **state) {
    (void)state;
    Model m;
    Texts free_run, t;
    model_open(&m, "ref", CONFIG_LLAMA, false, DTYPE_F32, 1);
    texts_init(&free_run);
    assert_int_equal(run(&m, &free_run, 0, N_REQUESTS, 2, -1), OK);
    int32_t stop = free_run.tokens[0][7];
    texts_init(&t);
    assert_int_equal(run(&m, &t, 0, N_REQUESTS, 2, stop), OK);
    assert_int_equal(t.n_done, N_REQUESTS);
    int n_stopped = 0;
    for (int i = 0; i < N_REQUESTS; i++) {
        int64_t want = 0;
        while (want < free_run.n[i] && free_run.tokens[i][want] != stop) want++;
        bool stopped = want < free_run.n[i];
        assert_int_equal(t.n[i], stopped ? want + 1 : want);
        assert_int_equal(t.stopped[i], stopped);
        n_stopped += stopped;
    }
    assert_true(n_stopped >= 1 && n_stopped < N_REQUESTS);
    model_close(&m);
}

static void test_generate__another_seed_or_step_gives_other_text(void **state) {
    (void)state;
    Model m;
    Texts t, u;
    model_open(&m, "ref", CONFIG_LLAMA, false, DTYPE_F32, 1);
    texts_init(&t);
    texts_init(&u);
    u.requests[0].row_id = 999;
    assert_int_equal(run(&m, &t, 0, 1, 1, -1), OK);
    assert_int_equal(run(&m, &u, 0, 1, 1, -1), OK);
    assert_memory_not_equal(t.tokens[0], u.tokens[0], MAX_NEW * sizeof(int32_t));
    model_close(&m);
}

static void test_generate__stops_when_asked_and_starts_again(void **state) {
    (void)state;
    Model m;
    Texts whole, t;
    model_open(&m, "ref", CONFIG_LLAMA, false, DTYPE_F32, 1);
    texts_init(&whole);
    assert_int_equal(run(&m, &whole, 0, N_REQUESTS, 2, -1), OK);
    texts_init(&t);
    t.stop_after = 5;
    assert_int_equal(run(&m, &t, 0, N_REQUESTS, 2, -1), ERR_STOPPED);
    assert_int_equal(t.streamed[0], 5);
    assert_true(t.n_done < N_REQUESTS);
    texts_init(&t);
    assert_int_equal(run(&m, &t, 0, N_REQUESTS, 2, -1), OK);
    same_texts(&whole, &t, "after a stop");
    model_close(&m);
}

static void test_generate__too_long_a_prompt_is_named(void **state) {
    (void)state;
    Model m;
    Texts t;
    model_open(&m, "ref", CONFIG_LLAMA, false, DTYPE_F32, 1);
    texts_init(&t);
    t.requests[1].max_new_tokens = CONTEXT - 63;
    assert_int_equal(run(&m, &t, 0, N_REQUESTS, 2, -1), ERR_DATA);
    assert_non_null(strstr(status_message(), "request 1: a prompt of 64 tokens"));
    t.requests[1].max_new_tokens = 0;
    assert_int_equal(run(&m, &t, 0, N_REQUESTS, 2, -1), OK);
    assert_true(t.done[1] && t.n[1] == 0 && !t.stopped[1]);
    model_close(&m);
}

/* Weights that train are packed anew at each call. */
static void test_generate__sees_changed_weights(void **state) {
    (void)state;
    Model m;
    model_open(&m, "cpu", CONFIG_LLAMA, true, DTYPE_F32, 2);
    Generator *g = NULL;
    GenLimits limits = {.max_batch = 2, .max_context = CONTEXT};
    assert_int_equal(generator_open(&g, &m.role, &limits), OK);
    Texts before, after;
    GenOptions opt = {.seed = 8, .step = 3, .on_done = on_done, .on_token = on_token};
    texts_init(&before);
    opt.ctx = &before;
    assert_int_equal(generate(g, before.requests, 1, &opt), OK);
    ParamList params = {0};
    base_params(&params, m.role.base);
    for (int i = 0; i < params.n; i++)
        for (int64_t j = 0; j < tensor_numel(params.items[i].value); j++)
            ((float *)params.items[i].value.data)[j] *= 0.9f;
    params_free(&params);
    texts_init(&after);
    opt.ctx = &after;
    assert_int_equal(generate(g, after.requests, 1, &opt), OK);
    double logp[MAX_NEW];
    score(&m, &after, 0, logp);
    assert_memory_equal(logp, after.logp[0], (size_t)after.n[0] * sizeof *logp);
    assert_memory_not_equal(before.logp[0], after.logp[0], sizeof after.logp[0]);
    generator_close(g);
    model_close(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_generate__logp_is_bitwise_the_training_forwards),
        cmocka_unit_test(test_generate__row_is_independent_of_its_neighbours),
        cmocka_unit_test(test_generate__greedy_takes_the_most_probable),
        cmocka_unit_test(test_generate__stop_token_ends_a_row),
        cmocka_unit_test(test_generate__another_seed_or_step_gives_other_text),
        cmocka_unit_test(test_generate__stops_when_asked_and_starts_again),
        cmocka_unit_test(test_generate__too_long_a_prompt_is_named),
        cmocka_unit_test(test_generate__sees_changed_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
