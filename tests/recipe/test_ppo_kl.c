/* ppo.kl_penalty: full. Nothing before the policy has moved; then, as an estimate from the sampled
 * token is not, at no token below nothing; the reward is made of it. */
#include "ppo_case.h"

static char *folder;

static double last_reward(const Trajectory *t, int64_t row) {
    int64_t i = t->start[row + 1] - 1;
    return t->reward[i] + 0.5 * t->kl[i];
}

static void check(const char *more) {
    PpoCase c;
    char *words = str_format("%s|ppo.kl_penalty=full|ppo.kl_coef=0.5|%s", PPO_CASE_LENGTH, more);
    double sum = 0, estimates = 0;
    ppo_case_open(&c, "cpu", words);
    const Trajectory *t = c.t->trajectory;
    ppo_case_update(&c, 1e-2);
    for (int64_t i = 0; i < t->n_slots; i++) assert_true(t->kl[i] == 0);
    ppo_case_update(&c, 1e-2);
    for (int64_t row = 0; row < t->n_rows; row++) {
        for (int64_t i = t->start[row]; i < t->start[row + 1]; i++) {
            assert_true(t->kl[i] > -1e-6);
            sum += t->kl[i];
            estimates += t->logp[i] - t->ref_logp[i];
            if (i + 1 < t->start[row + 1]) assert_true(t->reward[i] == -0.5 * t->kl[i]);
        }
        assert_true(fabs(last_reward(t, row) - t->score[row]) < 1e-12);
    }
    assert_true(sum > 1e-3);
    assert_true(sum != estimates);
    assert_true(fabs(ppo_case_metric(&c, "objective/kl") - sum / (double)t->n_rows) < 1e-12);
    ppo_case_close(&c);
    mem_free(words);
}

static void test_ppo_kl__full_is_of_the_whole_distribution(void **state) {
    (void)state;
    check("seed=3");
    check("peft.r=2|peft.target_modules=all-linear");
}

static int setup(void **state) {
    (void)state;
    folder = program_folder();
    program_prepare(folder, "1");
    if (chdir(folder) != 0) abort();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    return program_leave(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ppo_kl__full_is_of_the_whole_distribution),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
