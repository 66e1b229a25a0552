/* The pure functions of PPO against hand-computed values, published examples and finite
 * differences. */
#include "ppo/gae.h"
#include "ppo/kl_control.h"
#include "ppo/ppo_loss.h"
#include "ppo/shaping.h"
#include "unit.h"

#include <math.h>
#include <string.h>

#define NEAR(a, b, tolerance)                                           \
    do {                                                                \
        double near_a = (a), near_b = (b);                              \
        if (!(fabs(near_a - near_b) <= (tolerance)))                    \
            fail_msg("%s = %.12g, expected %.12g", #a, near_a, near_b); \
    } while (0)

static Trajectory *two_rows(int64_t first, int64_t second) {
    Trajectory *t = NULL;
    assert_int_equal(trajectory_open(&t, 2, first + second), OK);
    t->n_rows = 2;
    t->n_slots = first + second;
    t->start[1] = first;
    t->start[2] = first + second;
    for (int64_t i = 0; i < t->n_slots; i++) t->has_token[i] = true;
    return t;
}

/* The textbook definition: A_t = sum_k (gamma lam)^k delta_{t+k}, summed the slow way. */
static void test_ppo_gae__equals_the_sum_of_deltas(void **state) {
    (void)state;
    Trajectory *t = two_rows(5, 3);
    RngStream rng = rng_stream(7, RNG_WORLD, 1);
    for (int64_t i = 0; i < t->n_slots; i++) {
        t->reward[i] = rng_next_uniform(&rng) - 0.5;
        t->value[i] = rng_next_uniform(&rng) - 0.5;
    }
    double gamma = 0.97, lam = 0.9;
    gae(t, gamma, lam);
    for (int64_t row = 0; row < 2; row++) {
        for (int64_t i = t->start[row]; i < t->start[row + 1]; i++) {
            double sum = 0.0, weight = 1.0;
            for (int64_t k = i; k < t->start[row + 1]; k++) {
                double next = k + 1 < t->start[row + 1] ? t->value[k + 1] : 0.0;
                sum += weight * (t->reward[k] + gamma * next - t->value[k]);
                weight *= gamma * lam;
            }
            NEAR(t->advantage[i], sum, 1e-14);
            NEAR(t->ret[i], sum + t->value[i], 1e-14);
        }
    }
    trajectory_close(t);
}

/* Whitening examples of "The N+ Implementation Details of RLHF with PPO" (unbiased variance, mean
 * kept). */
static void test_ppo_whiten__keeps_the_mean_and_is_unbiased(void **state) {
    (void)state;
    double x[9] = {1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 2.0};
    whiten(x, NULL, 9, true);
    NEAR(x[0], 0.1394, 5e-5);
    NEAR(x[1], 0.5046, 5e-5);
    NEAR(x[2], 0.8697, 5e-5);
}

static void test_ppo_moments__masked(void **state) {
    (void)state;
    double x[4] = {1, 2, 3, 4};
    bool mask[4] = {false, true, true, false};
    Moments m = moments_of(x, mask, 4, true);
    NEAR(m.mean, 2.5, 0);
    NEAR(m.var, 0.5, 0);
    whiten(x, mask, 4, false);
    NEAR(x[0], 1.0, 0); /* outside the mask nothing moves */
    NEAR(x[1], -0.5 / sqrt(0.5 + 1e-8), 1e-15);
}

static void test_ppo_kl_estimate__every_form(void **state) {
    (void)state;
    double lp[2][3] = {{.5, .2, .1}, {.6, .2, .1}}, ref[2][3] = {{.4, .3, 0}, {.7, .1, .3}};
    double kl[2][3] = {{.1, -.1, .1}, {-.1, .1, -.2}},
           mse[2][3] = {{.005, .005, .005}, {.005, .005, .02}};
    for (int i = 0; i < 2; i++) {
        for (int j = 0; j < 3; j++) {
            NEAR(kl_estimate(KL_FORM_K1, lp[i][j], ref[i][j]), kl[i][j], 1e-12);
            NEAR(kl_estimate(KL_FORM_ABS, lp[i][j], ref[i][j]), fabs(kl[i][j]), 1e-12);
            NEAR(kl_estimate(KL_FORM_MSE, lp[i][j], ref[i][j]), mse[i][j], 1e-12);
            double r = ref[i][j] - lp[i][j];
            NEAR(kl_estimate(KL_FORM_K3, lp[i][j], ref[i][j]), exp(r) - 1 - r, 1e-12);
        }
    }
}

static void test_ppo_kl_control__moves_only_when_adaptive(void **state) {
    (void)state;
    KlControl c = {.adaptive = true, .target = 6, .horizon = 10000, .coef = 0.2};
    kl_control_update(&c, 100.0, 256); /* error clipped at 0.2 */
    NEAR(c.coef, 0.2 * (1 + 0.2 * 256 / 10000), 1e-15);
    kl_control_update(&c, 5.4, 256); /* -0.1 */
    NEAR(c.coef, 0.2 * (1 + 0.2 * 256 / 10000) * (1 - 0.1 * 256 / 10000), 1e-15);
    KlControl fixed = {.coef = 0.05};
    kl_control_update(&fixed, 100.0, 256);
    NEAR(fixed.coef, 0.05, 0);
}

static void test_ppo_shaping__score_sits_on_the_last_real_token(void **state) {
    (void)state;
    Trajectory *t = two_rows(3, 2);
    for (int64_t i = 0; i < 5; i++) t->logp[i] = -1.0 - 0.1 * (double)i, t->ref_logp[i] = -1.0;
    double raw[2] = {2.0, -1.0};
    bool ended[2] = {true, false};
    ScoreMoments m = {0};
    ScoreShaping s = {.missing_eos_penalty = 1.5};
    shape_scores(t, raw, ended, &m, &s);
    NEAR(t->score[0], 2.0, 0);
    NEAR(t->score[1], -2.5, 0);
    shape_rewards(t, KL_FORM_K1, 0.05, false);
    NEAR(t->reward[0], 0.0, 1e-15);
    NEAR(t->reward[1], -0.05 * -0.1, 1e-15);
    NEAR(t->reward[2], -0.05 * -0.2 + 2.0, 1e-15);
    NEAR(t->reward[4], -0.05 * -0.4 - 2.5, 1e-15);
    RolloutStats stats = rollout_stats(t, 0.05);
    NEAR(stats.kl, (-0.1 - 0.2 - 0.3 - 0.4) / 2, 1e-12);
    NEAR(stats.entropy, (1 + 1.1 + 1.2 + 1.3 + 1.4) / 2, 1e-12);
    NEAR(stats.score, -0.25, 1e-15);
    trajectory_close(t);
}

/* TRL's PAD slot carries score and value but neither KL nor entropy. */
static void test_ppo_shaping__pad_slot_has_no_kl(void **state) {
    (void)state;
    Trajectory *t = two_rows(2, 3);
    t->has_token[1] = false;
    t->logp[1] = -100.0;
    t->score[0] = 1.0;
    shape_rewards(t, KL_FORM_K1, 1.0, false);
    NEAR(t->kl[1], 0.0, 0);
    NEAR(t->reward[1], 1.0, 0);
    NEAR(rollout_stats(t, 1.0).length, 2.0, 0);
    trajectory_close(t);
}

static void test_ppo_shaping__running_moments_equal_those_of_all_scores(void **state) {
    (void)state;
    Trajectory *t = two_rows(1, 1);
    bool ended[2] = {true, true};
    ScoreMoments m = {0};
    ScoreShaping s = {.use_score_scaling = true, .use_score_norm = true, .score_clip = 0.5};
    double all[6] = {1, 4, 2, 2.5, -3, 7};
    for (int i = 0; i < 3; i++) shape_scores(t, all + 2 * i, ended, &m, &s);
    Moments want = moments_of(all, NULL, 6, false);
    NEAR(m.mean, want.mean, 1e-14);
    NEAR(m.var, want.var, 1e-12);
    NEAR(t->score[0], -0.5, 0); /* both beyond the clip */
    NEAR(t->score[1], 0.5, 0);
    trajectory_close(t);
}

/* Every branch of both losses, each with its gradient against a central difference of the loss. */
static void test_ppo_loss__gradients_and_branches(void **state) {
    (void)state;
    PpoLossArgs a = {.cliprange = 0.2,
                     .cliprange_value = 0.2,
                     .vf_coef = 0.1,
                     .policy_scale = 0.25,
                     .value_scale = 0.5};
    double old[] = {-1.0, -1.0, -1.0, -1.0, -1.0, -1.0},
           now[] = {-0.9, -0.5, -1.5, -0.5, -1.5, -1.0};
    double advantage[] = {1.0, 1.0, 1.0, -1.0, -1.0, 2.0};
    PpoStats total = {0};
    double h = 1e-6;
    for (int i = 0; i < 6; i++) {
        PpoStats up = {0}, down = {0};
        ppo_policy_loss(&a, now[i] + h, old[i], advantage[i], &up);
        ppo_policy_loss(&a, now[i] - h, old[i], advantage[i], &down);
        double grad = ppo_policy_loss(&a, now[i], old[i], advantage[i], &total);
        NEAR(grad, (up.policy_loss - down.policy_loss) / (2 * h), 1e-8);
    }
    NEAR(total.clipped, 2,
         0); /* ratio above with A > 0, ratio below with A < 0; not the other two */
    NEAR(total.tokens, 6, 0);
    double old_value[] = {0, 0, 0, 0}, value[] = {0.1, 0.5, 0.5, -0.6},
           ret[] = {1.0, 1.0, -1.0, -2.0};
    for (int i = 0; i < 4; i++) {
        PpoStats up = {0}, down = {0};
        ppo_value_loss(&a, value[i] + h, old_value[i], ret[i], &up);
        ppo_value_loss(&a, value[i] - h, old_value[i], ret[i], &down);
        double grad = ppo_value_loss(&a, value[i], old_value[i], ret[i], &total);
        NEAR(grad, a.vf_coef * (up.value_loss - down.value_loss) / (2 * h), 1e-8);
    }
    NEAR(total.value_clipped, 2, 0);
    NEAR(total.slots, 4, 0);
}

/* At the first epoch nothing has moved: ratio is exactly 1, the rest exactly 0 (law L5). */
static void test_ppo_loss__first_epoch_is_exact(void **state) {
    (void)state;
    PpoLossArgs a = {.cliprange = 0.2,
                     .cliprange_value = 0.2,
                     .vf_coef = 0.1,
                     .policy_scale = 1,
                     .value_scale = 1};
    PpoStats s = {0};
    double grad = ppo_policy_loss(&a, -2.3456789, -2.3456789, 0.7, &s);
    NEAR(s.ratio, 1.0, 0);
    NEAR(s.approxkl + s.policykl + s.clipped, 0.0, 0);
    NEAR(grad, -0.7, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ppo_gae__equals_the_sum_of_deltas),
        cmocka_unit_test(test_ppo_whiten__keeps_the_mean_and_is_unbiased),
        cmocka_unit_test(test_ppo_moments__masked),
        cmocka_unit_test(test_ppo_kl_estimate__every_form),
        cmocka_unit_test(test_ppo_kl_control__moves_only_when_adaptive),
        cmocka_unit_test(test_ppo_shaping__score_sits_on_the_last_real_token),
        cmocka_unit_test(test_ppo_shaping__pad_slot_has_no_kl),
        cmocka_unit_test(test_ppo_shaping__running_moments_equal_those_of_all_scores),
        cmocka_unit_test(test_ppo_loss__gradients_and_branches),
        cmocka_unit_test(test_ppo_loss__first_epoch_is_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
