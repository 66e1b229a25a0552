/* The optimizer over groups: clipping, decay, rates, bad numbers, checkpoints; best and early
 * stopping. */
#include "unit.h"

#include "train/best.h"
#include "train/optim.h"

#include <math.h>
#include <string.h>

typedef struct Fixture {
    Dev *dev;
    double w[2][3], g[2][3]; /* two tensors of [3], real = double */
    ParamList first, second;
    Optim *optim;
} Fixture;

static const OptimOptions plain = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};

static void open_optim(Fixture *f, OptimOptions opt, double second_scale) {
    memset(f, 0, sizeof(*f));
    assert_int_equal(dev_open(&f->dev, "ref64", 1), OK);
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < 3; i++) {
            f->w[k][i] = 1 + i;
            f->g[k][i] = k + 0.5 * i;
        }
    params_add(&f->first, (Param){.name = "a.weight",
                                  .value = tensor_1d(f->w[0], DTYPE_F64, 3),
                                  .grad = tensor_1d(f->g[0], DTYPE_F64, 3),
                                  .decay = true});
    params_add(&f->second, (Param){.name = "a.weight",
                                   .value = tensor_1d(f->w[1], DTYPE_F64, 3),
                                   .grad = tensor_1d(f->g[1], DTYPE_F64, 3)});
    OptimGroup groups[] = {{.params = &f->first},
                           {.role = "value", .params = &f->second, .lr_scale = second_scale}};
    assert_int_equal(optim_open(&f->optim, f->dev, groups, 2, &opt), OK);
}

static void close_optim(Fixture *f) {
    optim_close(f->optim);
    params_free(&f->first);
    params_free(&f->second);
    dev_close(f->dev);
}

/* 0, .5, 1 and 1, 1.5, 2 */
static const double norm = 2.91547594742265; /* sqrt(8.5) */

static void test_train_optim__first_step_moves_by_the_rate(void **state) {
    (void)state;
    Fixture f;
    OptimStats stats;
    open_optim(&f, plain, 10);
    optim_step(f.optim, 1e-3, &stats);
    assert_true(fabs(stats.grad_norm - norm) < 1e-12);
    assert_true(stats.finite && !stats.clipped);
    /* Adam's first step is the rate times the gradient's sign, whatever its size. */
    assert_true(f.w[0][0] == 1);
    assert_true(fabs(f.w[0][2] - (3 - 1e-3)) < 1e-9);
    assert_true(fabs(f.w[1][2] - (3 - 1e-2)) < 1e-9);
    for (int i = 0; i < 6; i++) assert_true(f.g[i / 3][i % 3] == 0);
    assert_int_equal(optim_steps(f.optim), 1);
    close_optim(&f);
}

static void test_train_optim__decay_touches_only_what_decays(void **state) {
    (void)state;
    Fixture f;
    OptimStats stats;
    OptimOptions opt = plain;
    opt.weight_decay = 0.1;
    open_optim(&f, opt, 1);
    memset(f.g, 0, sizeof(f.g));
    optim_step(f.optim, 1e-2, &stats);
    assert_true(fabs(f.w[0][1] - 2 * (1 - 1e-3)) < 1e-12);
    assert_true(f.w[1][1] == 2);
    close_optim(&f);
}

/* Two steps with clipping, worked out by hand in the same formulas. */
static void test_train_optim__clips_by_the_norm_over_all_groups(void **state) {
    (void)state;
    Fixture f;
    OptimStats stats;
    OptimOptions opt = plain;
    opt.max_grad_norm = 1;
    open_optim(&f, opt, 1);
    double scale = 1 / (norm + 1e-6), w = 3, m = 0, v = 0;
    for (int t = 1; t <= 2; t++) {
        for (int k = 0; k < 2; k++)
            for (int i = 0; i < 3; i++) f.g[k][i] = (k + 0.5 * i) * (t == 1 ? 1 : -1);
        optim_step(f.optim, 1e-2, &stats);
        assert_true(stats.clipped);
        assert_true(fabs(stats.grad_norm - norm) < 1e-12);
        double g = 2 * scale * (t == 1 ? 1 : -1);
        m = 0.9 * m + 0.1 * g;
        v = 0.999 * v + 0.001 * g * g;
        w -= 1e-2 / (1 - pow(0.9, t)) * m / (sqrt(v) / sqrt(1 - pow(0.999, t)) + 1e-8);
        assert_true(fabs(f.w[1][2] - w) < 1e-12);
    }
    close_optim(&f);
}

static void test_train_optim__bad_numbers_change_nothing(void **state) {
    (void)state;
    Fixture f;
    OptimStats stats;
    open_optim(&f, plain, 1);
    f.g[1][1] = NAN;
    optim_step(f.optim, 1e-2, &stats);
    assert_false(stats.finite);
    assert_string_equal(stats.worst, "a.weight");
    for (int i = 0; i < 6; i++) assert_true(f.w[i / 3][i % 3] == 1 + i % 3);
    assert_int_equal(optim_steps(f.optim), 0);
    assert_true(f.g[0][1] == 0); /* a later step starts from nothing */
    close_optim(&f);
}

static void test_train_optim__registers_under_the_ecosystems_names(void **state) {
    (void)state;
    static const char *const paths[] = {"params/a.weight",
                                        "optim/m/a.weight",
                                        "optim/v/a.weight",
                                        "params/value/a.weight",
                                        "optim/m/value/a.weight",
                                        "optim/v/value/a.weight",
                                        "optim/step"};
    Fixture f;
    State *s = NULL;
    open_optim(&f, plain, 1);
    assert_int_equal(state_open(&s, f.dev), OK);
    optim_register(f.optim, s);
    assert_int_equal(state_count(s), 7);
    for (int i = 0; i < 7; i++) assert_string_equal(state_at(s, i)->path, paths[i]);
    state_close(s);
    close_optim(&f);
}

static void test_train_best__takes_the_better_and_counts_patience(void **state) {
    (void)state;
    Best b;
    TrainingConfig t = {
        .greater_is_better = TRI_NO, .early_stopping_patience = 2, .early_stopping_threshold = 0.1};
    best_init(&b, &t);
    assert_true(best_update(&b, 10, 1.0));
    assert_true(best_update(&b, 20, 0.95)); /* a new best, but not by more than the threshold */
    assert_int_equal(b.bad_evals, 1);
    assert_true(best_update(&b, 30, 0.5));
    assert_int_equal(b.bad_evals, 0);
    assert_false(best_update(&b, 40, 0.5));
    assert_false(best_wants_stop(&b));
    assert_false(best_update(&b, 50, NAN));
    assert_true(best_wants_stop(&b));
    assert_int_equal(b.step, 30);
    assert_true(b.value == 0.5);
}

static void test_train_best__greater_may_be_better(void **state) {
    (void)state;
    Best b;
    TrainingConfig t = {.greater_is_better = TRI_YES, .early_stopping_patience = CONFIG_NULL_INT};
    best_init(&b, &t);
    assert_false(best_update(&b, 1, NAN));
    assert_true(best_update(&b, 2, -3));
    assert_false(best_update(&b, 3, -4));
    assert_true(best_update(&b, 4, -2));
    for (int i = 0; i < 9; i++) best_update(&b, 5 + i, -5);
    assert_false(best_wants_stop(&b));
    assert_int_equal(b.step, 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_train_optim__first_step_moves_by_the_rate),
        cmocka_unit_test(test_train_optim__decay_touches_only_what_decays),
        cmocka_unit_test(test_train_optim__clips_by_the_norm_over_all_groups),
        cmocka_unit_test(test_train_optim__bad_numbers_change_nothing),
        cmocka_unit_test(test_train_optim__registers_under_the_ecosystems_names),
        cmocka_unit_test(test_train_best__takes_the_better_and_counts_patience),
        cmocka_unit_test(test_train_best__greater_may_be_better),
    };
    return cmocka_run_group_tests_name("train_optim", tests, NULL, NULL);
}
