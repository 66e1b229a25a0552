/* A row is computed alone, and how a pass is cut does not matter (laws L5 and L6), over whole
 * models on the fast device: log-probs, entropies and values bitwise equal over company, place,
 * threads and recomputation, and over which other rows are asked; gradients bitwise equal over
 * threads and recomputation, and close over other cuts and where rows without gradient are not
 * asked. */
#include "model_fixture.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { N_SEQS = 6, MAX_ROWS = 512, VOCAB = 61 };
static const int64_t lengths[N_SEQS] = {5, 90, 1, 33, 130, 64};
static const int64_t seq_ids[N_SEQS] = {10, 11, 12, 13, 14, 15};
static const char *const configs[] = FIXTURE_CONFIGS;

typedef struct Model {
    Dev *dev;
    Role role;
    ParamList params;
    Recompute recompute;
    bool dropout;
    bool asks_some; /* one row in seven is asked, else all */
} Model;

static bool row_is_asked(int64_t row) {
    return row % 7 == 3;
}

/* The same rows, of which one in seven is asked. valued: room for them. */
static void ask_some(Rows *r, bool *valued) {
    int32_t *targets = (int32_t *)(uintptr_t)r->targets; /* the fixture's own memory */
    for (int64_t i = 0; i < r->n_rows; i++) {
        valued[i] = row_is_asked(i);
        if (!valued[i]) targets[i] = ROWS_NO_TARGET;
    }
    r->valued = valued;
}

static void model_open(Model *m, const char *config, bool full, int threads) {
    *m = (Model){0};
    assert_int_equal(dev_open(&m->dev, "cpu", threads), OK);
    assert_int_equal(fixture_base(&m->role.base, m->dev, config, full, DTYPE_F32, 4), OK);
    const char *all[] = {"all-linear"};
    LoraOptions lora = {
        .r = 4, .alpha = 8, .dropout = 0.3, .targets = all, .n_targets = 1, .seed = 5};
    assert_int_equal(adapter_create(&m->role.adapter, m->role.base, "a", &lora), OK);
    assert_int_equal(
        head_create(&m->role.head, m->role.base, HEAD_VALUE, HEAD_INIT_NORMAL, 2, true), OK);
    base_params(&m->params, m->role.base);
    adapter_params(&m->params, m->role.adapter);
    head_params(&m->params, m->role.head);
    RngStream r = rng_stream(3, RNG_WORLD, 1);
    for (int i = 0; i < m->params.n; i++)
        for (int64_t j = 0; j < tensor_numel(m->params.items[i].value); j++)
            ((float *)m->params.items[i].value.data)[j] +=
                (float)(rng_next_uniform(&r) - 0.5) * 0.2f;
}

static void model_close(Model *m) {
    params_free(&m->params);
    head_close(m->role.head);
    adapter_close(m->role.adapter);
    base_close(m->role.base);
    dev_close(m->dev);
}

typedef struct Numbers {
    double logp[N_SEQS][MAX_ROWS], entropy[N_SEQS][MAX_ROWS], value[N_SEQS][MAX_ROWS];
} Numbers;

static void score_some(Model *m, const int *which, int64_t n, Numbers *out) {
    int64_t some_lengths[N_SEQS], some_ids[N_SEQS];
    double logp[MAX_ROWS], entropy[MAX_ROWS], value[MAX_ROWS] = {0};
    bool valued[MAX_ROWS];
    for (int64_t i = 0; i < n; i++) {
        some_lengths[i] = lengths[which[i]];
        some_ids[i] = seq_ids[which[i]];
    }
    FixtureRows rows = fixture_rows(some_lengths, some_ids, n, 0, VOCAB);
    if (m->asks_some) ask_some(&rows.rows, valued);
    Pass *p = NULL;
    PassLimits limits = {.max_rows = rows.rows.n_rows, .max_seqs = n};
    assert_int_equal(pass_open(&p, m->dev, pass_measure(&m->role, &limits)), OK);
    PassOptions opt = {.temperature = 0.7, .dropout = m->dropout, .seed = 3, .step = 8};
    pass_score(p, &m->role, &rows.rows, &opt,
               &(PassOut){.logp = logp, .entropy = entropy, .value = value});
    for (int64_t i = 0; i < n; i++) {
        int64_t first = rows.rows.seq_start[i];
        size_t bytes = (size_t)some_lengths[i] * sizeof(double);
        memcpy(out->logp[which[i]], logp + first, bytes);
        memcpy(out->entropy[which[i]], entropy + first, bytes);
        memcpy(out->value[which[i]], value + first, bytes);
    }
    pass_close(p);
    fixture_rows_free(&rows);
}

static void same_numbers(const Numbers *a, const Numbers *b, const char *what) {
    for (int s = 0; s < N_SEQS; s++) {
        size_t bytes = (size_t)lengths[s] * sizeof(double);
        if (memcmp(a->logp[s], b->logp[s], bytes) || memcmp(a->entropy[s], b->entropy[s], bytes) ||
            memcmp(a->value[s], b->value[s], bytes))
            fail_msg("%s: sequence %d differs", what, s);
    }
}

static void test_model_pass_score__row_is_computed_alone(void **state) {
    (void)state;
    static const int together[N_SEQS] = {0, 1, 2, 3, 4, 5}, turned[N_SEQS] = {4, 5, 2, 0, 3, 1};
    for (size_t c = 0; c < sizeof configs / sizeof *configs; c++) {
        for (int dropout = 0; dropout < 2; dropout++) {
            Model m;
            Numbers *all = mem_zalloc(1, sizeof *all), *other = mem_zalloc(1, sizeof *other);
            model_open(&m, configs[c], true, 2);
            m.dropout = dropout;
            score_some(&m, together, N_SEQS, all);
            for (int s = 0; s < N_SEQS; s++) score_some(&m, &s, 1, other);
            same_numbers(all, other, "alone");
            score_some(&m, turned, N_SEQS, other);
            same_numbers(all, other, "another place");
            score_some(&m, turned, 2, other);
            score_some(&m, turned + 2, 4, other);
            same_numbers(all, other, "other company");
            model_close(&m);
            model_open(&m, configs[c], true, 1);
            m.dropout = dropout;
            score_some(&m, together, N_SEQS, other);
            same_numbers(all, other, "one thread");
            model_close(&m);
            mem_free(all);
            mem_free(other);
        }
    }
}

static void test_model_pass_score__rows_that_no_one_asks_change_nothing(void **state) {
    (void)state;
    static const int together[N_SEQS] = {0, 1, 2, 3, 4, 5};
    for (size_t c = 0; c < sizeof configs / sizeof *configs; c++) {
        for (int dropout = 0; dropout < 2; dropout++) {
            Model m;
            Numbers *all = mem_zalloc(1, sizeof *all), *some = mem_zalloc(1, sizeof *some);
            model_open(&m, configs[c], true, 2);
            m.dropout = dropout;
            score_some(&m, together, N_SEQS, all);
            m.asks_some = true;
            score_some(&m, together, N_SEQS, some);
            int64_t row = 0;
            for (int s = 0; s < N_SEQS; s++) {
                for (int64_t i = 0; i < lengths[s]; i++, row++) {
                    if (row_is_asked(row)) continue;
                    assert_true(some->value[s][i] == 0 && some->logp[s][i] == 0);
                    all->logp[s][i] = all->entropy[s][i] = all->value[s][i] = 0;
                }
            }
            same_numbers(all, some, configs[c]);
            model_close(&m);
            mem_free(all);
            mem_free(some);
        }
    }
}

/* A token loss that keeps what it saw. */
typedef struct Seen {
    double logp[MAX_ROWS], value[MAX_ROWS];
    bool some;                /* gradients where row_is_asked alone */
    const int32_t *first_row; /* of the part, in the whole */
} Seen;

static void seen_loss(void *ctx, const TokenChunk *c) {
    Seen *s = ctx;
    for (int64_t i = 0; i < c->n; i++) {
        int32_t row = c->row[i] + *s->first_row;
        if (s->some && !row_is_asked(row)) continue;
        s->value[row] = c->value[i];
        if (c->has_target) s->logp[row] = c->logp[i];
        if (c->has_target) c->dlogp[i] = -0.01 * (1 + row % 3);
        if (c->has_target && c->dentropy) c->dentropy[i] = 0.001;
        c->dvalue[i] = 0.01 * cos(row);
    }
}

/* Gradients after passes over sequences 0 .. cut-1 and cut .. N-1; caller frees. */
static float *train(Model *m, int cut, Seen *seen) {
    params_zero_grad(m->dev, &m->params);
    int32_t first_row = 0;
    seen->first_row = &first_row;
    for (int from = 0; from < N_SEQS;) {
        int to = from < cut ? cut : N_SEQS;
        FixtureRows rows = fixture_rows(lengths + from, seq_ids + from, to - from, 2, VOCAB);
        bool valued[MAX_ROWS];
        if (m->asks_some) ask_some(&rows.rows, valued);
        Pass *p = NULL;
        assert_int_equal(fixture_pass(&p, m->dev, &m->role, &rows.rows, m->recompute), OK);
        PassOptions opt = {.dropout = m->dropout, .seed = 3, .step = 8, .recompute = m->recompute};
        TokenLoss loss = {.fn = seen_loss, .ctx = seen, .want_entropy = true};
        pass_train(p, &m->role, &rows.rows, &opt, &loss);
        first_row += (int32_t)rows.rows.n_rows;
        pass_close(p);
        fixture_rows_free(&rows);
        from = to;
    }
    float *all = mem_alloc((size_t)params_count(&m->params) * sizeof *all), *at = all;
    for (int i = 0; i < m->params.n; i++) {
        memcpy(at, m->params.items[i].grad.data, tensor_bytes(m->params.items[i].grad));
        at += tensor_numel(m->params.items[i].grad);
    }
    return all;
}

static void test_model_pass_train__recompute_and_threads_change_no_bit(void **state) {
    (void)state;
    for (size_t c = 0; c < sizeof configs / sizeof *configs; c++) {
        for (int full = 0; full < 2; full++) {
            Model m;
            Seen seen[3];
            float *grads[3];
            size_t bytes = 0;
            for (int k = 0; k < 3; k++) {
                model_open(&m, configs[c], full, k == 2 ? 1 : 2);
                m.dropout = true;
                m.recompute = k == 1 ? RECOMPUTE_BLOCK : RECOMPUTE_NONE;
                memset(&seen[k], 0, sizeof seen[k]);
                grads[k] = train(&m, 0, &seen[k]);
                bytes = (size_t)params_count(&m.params) * sizeof(float);
                model_close(&m);
            }
            for (int k = 1; k < 3; k++) {
                assert_memory_equal(seen[0].logp, seen[k].logp, sizeof seen[0].logp);
                assert_memory_equal(seen[0].value, seen[k].value, sizeof seen[0].value);
                if (memcmp(grads[0], grads[k], bytes))
                    fail_msg("config %zu: %s", c, k == 1 ? "recompute" : "one thread");
            }
            for (int k = 0; k < 3; k++) mem_free(grads[k]);
        }
    }
}

/* |a - b| / |a| over all gradients. */
static double distance(const Model *m, const float *a, const float *b) {
    double wrong = 0.0, size = 0.0;
    for (int64_t i = 0; i < params_count(&m->params); i++) {
        double d = (double)a[i] - (double)b[i];
        wrong += d * d;
        size += (double)a[i] * (double)a[i];
    }
    return sqrt(wrong / size);
}

static void test_model_pass_train__another_cut_gives_the_same_gradient(void **state) {
    (void)state;
    Model m;
    model_open(&m, CONFIG_LLAMA, true, 2);
    m.dropout = true;
    Seen whole = {0}, parts = {0};
    float *a = train(&m, 0, &whole);
    for (int cut = 1; cut < N_SEQS; cut++) {
        float *b = train(&m, cut, &parts);
        assert_memory_equal(whole.logp, parts.logp, sizeof whole.logp);
        if (distance(&m, a, b) > 1e-6) fail_msg("cut at %d: off by %g", cut, distance(&m, a, b));
        mem_free(b);
    }
    mem_free(a);
    model_close(&m);
}

static void test_model_pass_train__rows_that_no_one_asks_have_no_gradient(void **state) {
    (void)state;
    for (size_t c = 0; c < sizeof configs / sizeof *configs; c++) {
        for (int recompute = 0; recompute < 2; recompute++) {
            Model m;
            model_open(&m, configs[c], true, 2);
            m.dropout = true;
            m.recompute = (Recompute)recompute;
            Seen all = {.some = true}, some = {.some = true};
            float *a = train(&m, 0, &all);
            m.asks_some = true;
            float *b = train(&m, 0, &some);
            assert_memory_equal(all.logp, some.logp, sizeof all.logp);
            assert_memory_equal(all.value, some.value, sizeof all.value);
            if (distance(&m, a, b) > 1e-6) fail_msg("config %zu: off by %g", c, distance(&m, a, b));
            mem_free(a);
            mem_free(b);
            model_close(&m);
        }
    }
}

/* The training pass and the scoring pass give the same bits. */
static void test_model_pass_train__forward_is_that_of_scoring(void **state) {
    (void)state;
    static const int together[N_SEQS] = {0, 1, 2, 3, 4, 5};
    Model m;
    model_open(&m, CONFIG_LLAMA, true, 2);
    Numbers *n = mem_zalloc(1, sizeof *n);
    Seen seen = {0};
    mem_free(train(&m, 0, &seen));
    /* pass_train ran at temperature 1, score_some at 0.7: the values do not know the temperature.
     */
    score_some(&m, together, N_SEQS, n);
    for (int s = 0, row = 0; s < N_SEQS; row += (int)lengths[s++])
        assert_memory_equal(n->value[s], seen.value + row, (size_t)lengths[s] * sizeof(double));
    mem_free(n);
    model_close(&m);
}

/* Passes of every shape within the limits run in what was measured (an arena overrun aborts). */
static void test_model_pass_measure__fits_every_shape(void **state) {
    (void)state;
    Model m;
    model_open(&m, CONFIG_GPT2, true, 1);
    Seen seen = {0};
    int32_t zero = 0;
    seen.first_row = &zero;
    static const int64_t many[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 7}, one[] = {16}, few[] = {2, 14};
    static const int64_t *const shapes[] = {many, one, few};
    static const int64_t n_seqs[] = {10, 1, 2};
    static const int64_t ids[10] = {0};
    for (int recompute = 0; recompute < 2; recompute++) {
        PassLimits limits = {
            .max_rows = 16, .max_seqs = 10, .backward = true, .recompute = (Recompute)recompute};
        Pass *p = NULL;
        assert_int_equal(pass_open(&p, m.dev, pass_measure(&m.role, &limits)), OK);
        for (int k = 0; k < 3; k++) {
            FixtureRows rows = fixture_rows(shapes[k], ids, n_seqs[k], 0, VOCAB);
            PassOptions opt = {
                .dropout = true, .neftune_alpha = 1.0, .recompute = (Recompute)recompute};
            TokenLoss loss = {
                .fn = seen_loss, .ctx = &seen, .want_entropy = true, .want_argmax = true};
            pass_train(p, &m.role, &rows.rows, &opt, &loss);
            rows.rows.targets = NULL;
            pass_train(p, &m.role, &rows.rows, &opt, &loss);
            for (int64_t unasked = 1; unasked < 16; unasked += 7) {
                bool valued[16];
                for (int64_t i = 0; i < 16; i++) valued[i] = i >= unasked;
                rows.rows.valued = valued;
                pass_train(p, &m.role, &rows.rows, &opt, &loss);
            }
            fixture_rows_free(&rows);
        }
        pass_close(p);
    }
    model_close(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model_pass_score__row_is_computed_alone),
        cmocka_unit_test(test_model_pass_score__rows_that_no_one_asks_change_nothing),
        cmocka_unit_test(test_model_pass_train__recompute_and_threads_change_no_bit),
        cmocka_unit_test(test_model_pass_train__another_cut_gives_the_same_gradient),
        cmocka_unit_test(test_model_pass_train__rows_that_no_one_asks_have_no_gradient),
        cmocka_unit_test(test_model_pass_train__forward_is_that_of_scoring),
        cmocka_unit_test(test_model_pass_measure__fits_every_shape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
