/* Learning rates against transformers' schedules. The expected factors are what the functions of
 * transformers 5.24's optimization.py return in Python for the same arguments. */
#include "unit.h"

#include "train/schedule.h"

#include <math.h>
#include <string.h>

#define BASE 2e-4

typedef struct Case {
    const char *name;
    LrScheduler kind;
    double warmup;
    int64_t total;
    Pair kwargs[4];
    size_t n_kwargs;
    int64_t steps[6];
    double factors[6];
} Case;

static const Case cases[] = {
#include "schedule_cases.inc"
};

static Schedule open_case(const Case *c) {
    Schedule s;
    TrainingConfig t = {.learning_rate = BASE,
                        .lr_scheduler_type = c->kind,
                        .warmup_steps = c->warmup,
                        .lr_scheduler_kwargs = {(Pair *)c->kwargs, c->n_kwargs}};
    assert_int_equal(schedule_init(&s, &t, c->total), OK);
    return s;
}

static void test_train_schedule__gives_transformers_rates(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        Schedule s = open_case(&cases[i]);
        for (int k = 0; k < 6; k++) {
            double want = BASE * cases[i].factors[k];
            double got = schedule_lr(&s, cases[i].steps[k]);
            if (fabs(got - want) > 1e-15 * BASE)
                fail_msg("%s at step %lld: %.17g, transformers gives %.17g", cases[i].name,
                         (long long)cases[i].steps[k], got, want);
        }
    }
}

static Status init_with(LrScheduler kind, Pair *kwargs, size_t n) {
    Schedule s;
    TrainingConfig t = {
        .learning_rate = BASE, .lr_scheduler_type = kind, .lr_scheduler_kwargs = {kwargs, n}};
    return schedule_init(&s, &t, 100);
}

static void test_train_schedule__refuses_arguments_that_do_not_fit(void **state) {
    (void)state;
    char power[] = "power", min_lr[] = "min_lr", min_lr_rate[] = "min_lr_rate", lr_end[] = "lr_end";
    char decay[] = "num_decay_steps", type[] = "decay_type", one[] = "1", small[] = "1e-5",
         tenth[] = "0.1", ten[] = "10", odd[] = "cubic";
    Pair unknown[] = {{power, one}};
    assert_int_equal(init_with(LR_COSINE, unknown, 1), ERR_CONFIG);
    assert_non_null(strstr(status_message(), "lr_scheduler_kwargs.power"));
    assert_int_equal(init_with(LR_POLYNOMIAL, unknown, 1), OK);
    assert_int_equal(init_with(LR_COSINE_WITH_MIN_LR, NULL, 0), ERR_CONFIG);
    Pair both[] = {{min_lr, small}, {min_lr_rate, tenth}};
    assert_int_equal(init_with(LR_COSINE_WITH_MIN_LR, both, 2), ERR_CONFIG);
    assert_int_equal(init_with(LR_COSINE_WITH_MIN_LR, both, 1), OK);
    Pair high[] = {{lr_end, one}};
    assert_int_equal(init_with(LR_POLYNOMIAL, high, 1), ERR_CONFIG);
    assert_int_equal(init_with(LR_WARMUP_STABLE_DECAY, NULL, 0), ERR_CONFIG);
    Pair shape[] = {{decay, ten}, {type, odd}};
    assert_int_equal(init_with(LR_WARMUP_STABLE_DECAY, shape, 2), ERR_CONFIG);
    assert_non_null(strstr(status_message(), "cubic"));
}

static void test_train_schedule__share_of_warmup_is_rounded_up(void **state) {
    (void)state;
    Schedule s;
    TrainingConfig t = {
        .learning_rate = BASE, .lr_scheduler_type = LR_LINEAR, .warmup_steps = 0.03};
    assert_int_equal(schedule_init(&s, &t, 101), OK);
    assert_int_equal(s.warmup_steps, 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_train_schedule__gives_transformers_rates),
        cmocka_unit_test(test_train_schedule__refuses_arguments_that_do_not_fit),
        cmocka_unit_test(test_train_schedule__share_of_warmup_is_rounded_up),
    };
    return cmocka_run_group_tests_name("train_schedule", tests, NULL, NULL);
}
