/* Which masks the branches of a parallel block have: Falcon drops their sum, GPT-NeoX each by
 * itself. Branches that give b and -b whatever they read cancel under one mask alone. */
#include "model/base.h"
#include "model_fixture.h"
#include "unit.h"

#include <math.h>

enum { N_ROWS = 24, VOCAB = 61 };

#define FALCON                                                                 \
    "{\"architectures\": [\"FalconForCausalLM\"], \"vocab_size\": 61, "        \
    "\"hidden_size\": 24, \"ffn_hidden_size\": 40, \"num_hidden_layers\": 2, " \
    "\"num_attention_heads\": 3, \"initializer_range\": 0.2, \"bias\": true, " \
    "\"hidden_dropout\": 0.4}"
#define NEOX                                                                     \
    "{\"architectures\": [\"GPTNeoXForCausalLM\"], \"vocab_size\": 61, "         \
    "\"hidden_size\": 24, \"intermediate_size\": 40, \"num_hidden_layers\": 2, " \
    "\"num_attention_heads\": 3, \"initializer_range\": 0.2, \"hidden_dropout\": 0.4}"

static void fill(const Param *p, float x) {
    for (int64_t i = 0; i < tensor_numel(p->value); i++) ((float *)p->value.data)[i] = x;
}

/* The output projections of all blocks give their biases, which cancel. */
static int make_branches_cancel(Base *b) {
    ParamList list = {0};
    int n = 0;
    base_params(&list, b);
    for (int i = 0; i < list.n; i++) {
        const Param *p = &list.items[i];
        bool attention = strstr(p->name, ".dense.") != NULL;
        if (!attention && !strstr(p->name, ".dense_4h_to_h.")) continue;
        bool bias = str_ends(p->name, ".bias");
        fill(p, !bias ? 0.0F : attention ? 0.5F : -0.5F);
        n++;
    }
    params_free(&list);
    return n;
}

static void score(double *logp, Base *b, bool dropout) {
    Role role = {.base = b};
    int64_t length = N_ROWS, id = 4;
    FixtureRows rows = fixture_rows(&length, &id, 1, 0, VOCAB);
    Pass *p = NULL;
    assert_int_equal(fixture_pass(&p, b->dev, &role, &rows.rows, RECOMPUTE_NONE), OK);
    PassOptions options = {.dropout = dropout, .seed = 3, .step = 8};
    pass_score(p, &role, &rows.rows, &options, &(PassOut){.logp = logp});
    pass_close(p);
    fixture_rows_free(&rows);
}

/* The largest difference that dropout makes. */
static double effect(const char *config) {
    double plain[N_ROWS], dropped[N_ROWS], most = 0;
    Dev *dev = NULL;
    Base *b = NULL;
    assert_int_equal(dev_open(&dev, "ref", 1), OK);
    assert_int_equal(fixture_base(&b, dev, config, true, DTYPE_F32, 5), OK);
    assert_int_equal(make_branches_cancel(b), 8); /* weight and bias, two branches, two blocks */
    score(plain, b, false);
    score(dropped, b, true);
    for (int i = 0; i < N_ROWS; i++) most = fmax(most, fabs(plain[i] - dropped[i]));
    base_close(b);
    dev_close(dev);
    return most;
}

static void test_model_dropout__falcon_drops_the_sum_of_its_branches(void **state) {
    (void)state;
    assert_true(effect(FALCON) < 1e-5);
    assert_true(effect(NEOX) > 0.01);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model_dropout__falcon_drops_the_sum_of_its_branches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
