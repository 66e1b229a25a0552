/* The gradients of whole models in double, against central differences: along one random direction
 * over all trainable scalars, and for a few single ones. */
#include "core/check.h"
#include "model_fixture.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { MAX_ROWS = 64 };

/* loss = sum over rows of  a logp + b entropy + 0.5 (value - c)^2; the weights depend on the row
 * alone. */
typedef struct TestLoss {
    double loss;
    bool entropy;
    int64_t with_target, without_target;
} TestLoss;

static double weight_a(int32_t row) {
    return -1.0 - 0.1 * row;
}
static double weight_b(int32_t row) {
    return 0.3 * sin(row);
}
static double center_c(int32_t row) {
    return cos(row);
}

static void test_loss(void *ctx, const TokenChunk *c) {
    TestLoss *t = ctx;
    for (int64_t i = 0; i < c->n; i++) {
        int32_t row = c->row[i];
        if (c->has_target) {
            t->loss += weight_a(row) * c->logp[i];
            c->dlogp[i] = weight_a(row);
        }
        if (c->has_target && t->entropy) {
            t->loss += weight_b(row) * c->entropy[i];
            c->dentropy[i] = weight_b(row);
        }
        if (c->value) {
            double e = c->value[i] - center_c(row);
            t->loss += 0.5 * e * e;
            c->dvalue[i] = e;
        }
        if (c->has_target)
            t->with_target++;
        else
            t->without_target++;
    }
}

typedef struct Case {
    const char *name, *config;
    bool full, lora, head, entropy, dropout;
    double temperature, neftune;
    Recompute recompute;
} Case;

static const Case cases[] = {
    {"llama, full", CONFIG_LLAMA, .full = true, .entropy = true, .temperature = 0.7},
    {"llama, full, value head", CONFIG_LLAMA, .full = true, .head = true},
    {"llama, LoRA", CONFIG_LLAMA, .lora = true},
    {"llama, LoRA, dropout, value head", CONFIG_LLAMA, .lora = true, .head = true, .dropout = true},
    {"llama, full and LoRA", CONFIG_LLAMA, .full = true, .lora = true, .dropout = true},
    {"llama, only the head", CONFIG_LLAMA, .head = true},
    {"llama, recompute", CONFIG_LLAMA, .full = true, .recompute = RECOMPUTE_BLOCK},
    {"llama tied, biases, dropout, NEFTune", CONFIG_LLAMA_TIED, .full = true, .dropout = true,
     .neftune = 5.0},
    {"mistral", CONFIG_MISTRAL, .full = true},
    {"qwen2", CONFIG_QWEN2, .full = true, .lora = true},
    {"gpt2, full", CONFIG_GPT2, .full = true, .entropy = true},
    {"gpt2, full, dropout", CONFIG_GPT2, .full = true, .dropout = true, .head = true},
    {"gpt2, LoRA, dropout, recompute", CONFIG_GPT2, .lora = true, .dropout = true,
     .recompute = RECOMPUTE_BLOCK},
    {"qwen3", CONFIG_QWEN3, .full = true, .lora = true},
    {"gemma", CONFIG_GEMMA, .full = true},
    {"gemma2", CONFIG_GEMMA2, .full = true, .entropy = true, .temperature = 0.7},
    {"gemma2, LoRA, recompute", CONFIG_GEMMA2, .lora = true, .recompute = RECOMPUTE_BLOCK},
    {"phi, dropout", CONFIG_PHI, .full = true, .dropout = true},
    {"phi, LoRA", CONFIG_PHI, .lora = true},
    {"phi3", CONFIG_PHI3, .full = true, .lora = true},
    {"stablelm, dropout", CONFIG_STABLELM, .full = true, .dropout = true},
    {"stablelm, parallel", CONFIG_STABLELM_PARALLEL, .full = true, .lora = true},
    {"neox, dropout", CONFIG_NEOX, .full = true, .lora = true, .dropout = true},
    {"neox, LoRA, recompute", CONFIG_NEOX, .lora = true, .recompute = RECOMPUTE_BLOCK},
    {"opt, dropout", CONFIG_OPT, .full = true, .dropout = true},
    {"opt 350m", CONFIG_OPT_350M, .full = true, .neftune = 5.0},
    {"opt 350m, LoRA, dropout, value head", CONFIG_OPT_350M, .lora = true, .head = true,
     .dropout = true},
    {"mpt, dropout", CONFIG_MPT, .full = true, .dropout = true},
    {"mpt, LoRA", CONFIG_MPT, .lora = true},
    {"falcon 7b, dropout", CONFIG_FALCON_7B, .full = true, .dropout = true},
    {"falcon 40b", CONFIG_FALCON_40B, .full = true, .lora = true},
    {"falcon alibi", CONFIG_FALCON_ALIBI, .full = true},
    {"bloom", CONFIG_BLOOM, .full = true, .lora = true},
};

typedef struct Setup {
    Dev *dev;
    Role role;
    Pass *pass;
    FixtureRows rows;
    ParamList params;
    PassOptions opt;
    const Case *c;
} Setup;

static void setup_open(Setup *s, const Case *c) {
    static const int64_t lengths[] = {9, 1, 14, 6}, ids[] = {3, 4, 5, 90};
    *s = (Setup){.c = c};
    assert_int_equal(dev_open(&s->dev, "ref64", 1), OK);
    if (fixture_base(&s->role.base, s->dev, c->config, c->full, DTYPE_F64, 11) != OK)
        fail_msg("%s: %s", c->name, status_message());
    const char *all[] = {"all-linear"};
    LoraOptions lora = {
        .r = 3, .alpha = 6, .dropout = 0.25, .targets = all, .n_targets = 1, .seed = 5};
    if (c->lora) assert_int_equal(adapter_create(&s->role.adapter, s->role.base, "a", &lora), OK);
    if (c->head)
        assert_int_equal(
            head_create(&s->role.head, s->role.base, HEAD_VALUE, HEAD_INIT_NORMAL, 3, true), OK);
    s->rows = fixture_rows(lengths, ids, 4, 2, 61);
    assert_int_equal(fixture_pass(&s->pass, s->dev, &s->role, &s->rows.rows, c->recompute), OK);
    base_params(&s->params, s->role.base);
    if (c->lora) adapter_params(&s->params, s->role.adapter);
    if (c->head) head_params(&s->params, s->role.head);
    s->opt = (PassOptions){.temperature = c->temperature,
                           .dropout = c->dropout,
                           .seed = 1,
                           .step = 2,
                           .neftune_alpha = c->neftune,
                           .recompute = c->recompute};
    /* LoRA's B, norms and biases away from their special starting values. */
    RngStream r = rng_stream(2, RNG_WORLD, 1);
    for (int i = 0; i < s->params.n; i++) {
        double *v = s->params.items[i].value.data;
        for (int64_t j = 0; j < tensor_numel(s->params.items[i].value); j++)
            v[j] += 0.2 * (rng_next_uniform(&r) - 0.5);
    }
}

static void setup_close(Setup *s) {
    params_free(&s->params);
    fixture_rows_free(&s->rows);
    pass_close(s->pass);
    head_close(s->role.head);
    adapter_close(s->role.adapter);
    base_close(s->role.base);
    dev_close(s->dev);
}

static double loss_now(Setup *s) {
    TestLoss t = {.entropy = s->c->entropy};
    TokenLoss loss = {.fn = test_loss, .ctx = &t, .want_entropy = s->c->entropy};
    params_zero_grad(s->dev, &s->params);
    pass_train(s->pass, &s->role, &s->rows.rows, &s->opt, &loss);
    assert_int_equal(dev_check(s->dev), OK);
    assert_true(t.with_target > 0 && (!s->c->head || t.without_target > 0));
    return t.loss;
}

/* Adds h times a direction that depends on (param, element) to every value; returns direction .
 * grad. */
static double move(Setup *s, double h) {
    RngStream r = rng_stream(9, RNG_WORLD, 2);
    double dot = 0.0;
    for (int i = 0; i < s->params.n; i++) {
        double *v = s->params.items[i].value.data, *g = s->params.items[i].grad.data;
        for (int64_t j = 0; j < tensor_numel(s->params.items[i].value); j++) {
            double d = rng_next_uniform(&r) - 0.5;
            v[j] += h * d;
            dot += d * g[j];
        }
    }
    return dot;
}

static void close_to(const Case *c, const char *what, double analytic, double numeric) {
    /* Differences of a loss of some hundreds carry 1e-9; a gradient may be 0 (a bias on keys). */
    double scale = fabs(analytic) + fabs(numeric) + 2e-2;
    if (!(fabs(analytic - numeric) / scale < 2e-7))
        fail_msg("%s: %s: backward says %.12g, differences say %.12g", c->name, what, analytic,
                 numeric);
}

static void check_direction(Setup *s) {
    const double h = 2e-6;
    loss_now(s);
    double analytic = move(s, h);
    double up = loss_now(s);
    move(s, -2 * h);
    double down = loss_now(s);
    move(s, h);
    close_to(s->c, "random direction", analytic, (up - down) / (2 * h));
}

static void check_elements(Setup *s) {
    const double h = 1e-5;
    for (int i = 0; i < s->params.n; i++) {
        const Param *p = &s->params.items[i];
        int64_t j = (int64_t)(rng_hash_name(p->name) % (uint64_t)tensor_numel(p->value));
        loss_now(s);
        double analytic = ((double *)p->grad.data)[j], *v = (double *)p->value.data + j, old = *v;
        *v = old + h;
        double up = loss_now(s);
        *v = old - h;
        double down = loss_now(s);
        *v = old;
        close_to(s->c, p->name, analytic, (up - down) / (2 * h));
    }
}

static void test_model_pass_train__gradients_match_differences(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Setup s;
        setup_open(&s, &cases[i]);
        check_direction(&s);
        check_elements(&s);
        setup_close(&s);
    }
}

/* The two halves with the host in between give what pass_train gives. */
static void test_model_pass_backward__equals_pass_train(void **state) {
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        Setup s;
        setup_open(&s, &cases[k]);
        double loss = loss_now(&s), again = 0.0;
        double logp[MAX_ROWS], entropy[MAX_ROWS], value[MAX_ROWS];
        double dlogp[MAX_ROWS], dentropy[MAX_ROWS], dvalue[MAX_ROWS];
        double *wanted = mem_zalloc((size_t)params_count(&s.params), sizeof *wanted), *w = wanted;
        for (int i = 0; i < s.params.n; i++) {
            memcpy(w, s.params.items[i].grad.data, tensor_bytes(s.params.items[i].grad));
            w += tensor_numel(s.params.items[i].grad);
        }
        params_zero_grad(s.dev, &s.params);
        bool head = cases[k].head, ent = cases[k].entropy;
        pass_forward(s.pass, &s.role, &s.rows.rows, &s.opt,
                     &(PassOut){.logp = logp,
                                .entropy = ent ? entropy : NULL,
                                .value = head ? value : NULL});
        for (int32_t i = 0; i < s.rows.rows.n_rows; i++) {
            bool asked = s.rows.rows.targets[i] != ROWS_NO_TARGET;
            dlogp[i] = weight_a(i);
            dentropy[i] = weight_b(i);
            if (head) dvalue[i] = value[i] - center_c(i);
            if (asked) again += weight_a(i) * logp[i];
            if (asked && ent) again += weight_b(i) * entropy[i];
            if (head) again += 0.5 * dvalue[i] * dvalue[i];
        }
        pass_backward(s.pass, &(PassGrad){.dlogp = dlogp,
                                          .dentropy = ent ? dentropy : NULL,
                                          .dvalue = head ? dvalue : NULL});
        assert_true(fabs(loss - again) < 1e-9 * fabs(loss));
        w = wanted;
        for (int i = 0; i < s.params.n; i++) {
            const Param *p = &s.params.items[i];
            for (int64_t j = 0; j < tensor_numel(p->grad); j++)
                if (fabs(((double *)p->grad.data)[j] - w[j]) > 1e-12 * (1.0 + fabs(w[j])))
                    fail_msg("%s: %s[%lld]", cases[k].name, p->name, (long long)j);
            w += tensor_numel(p->grad);
        }
        mem_free(wanted);
        setup_close(&s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model_pass_train__gradients_match_differences),
        cmocka_unit_test(test_model_pass_backward__equals_pass_train),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
