/* TRL's PPO trainer has fifteen known defects, B1 to B15 of docs/ppo_and_trl.md. One test for each
 * shows that it is not here; where trl_compat reproduces one, the same test shows that too. */
#include "core/io/h5.h"
#include "ppo_case.h"
#include "run_compare.h"

enum { T = 6, ROWS = 8, EOS = 1 };

static char *folder; /* of all tests: the working folder, with the smoke models in it */

/* Rows of all lengths; the first and the last are not ended. */
static const int32_t responses[ROWS * T] = {
    70, 71, 72, 73, 74, 75, /* row 0 */
    80, 1,  -1, -1, -1, -1, /* row 1 */
    81, 82, 1,  -1, -1, -1, /* row 2 */
    1,  -1, -1, -1, -1, -1, /* row 3 */
    83, 84, 85, 1,  -1, -1, /* row 4 */
    86, 87, 88, 89, 1,  -1, /* row 5 */
    90, 91, 92, 93, 94, 1,  /* row 6 */
    95, 96, 97, 98, 99, 60, /* row 7 */
};

#define COMPAT "ppo.trl_compat=true|ppo.reward={model: runs/smoke/reward}"

/* B1. num_mini_batches is the number of optimizer steps of an epoch, and every cell of the
 * statistics counts. */
static void test_defects__b1_minibatches_step(void **state) {
    (void)state;
    PpoCase c;
    ppo_case_open(&c, "cpu", PPO_CASE_LENGTH "|ppo.num_mini_batches=4|ppo.num_ppo_epochs=3");
    ppo_case_update(&c, 0.0);
    assert_int_equal(optim_steps(c.t->optim), 12);
    assert_true(ppo_case_metric(&c, "val/ratio") == 1.0);
    ppo_case_close(&c);

    ppo_case_open(&c, "cpu", COMPAT "|ppo.num_mini_batches=4|ppo.num_ppo_epochs=3");
    ppo_case_update(&c, 0.0);
    assert_int_equal(optim_steps(c.t->optim), 3);
    /* A quarter of the cells of its table is filled. */
    assert_true(fabs(ppo_case_metric(&c, "val/ratio") - 0.25) < 1e-12);
    ppo_case_close(&c);
}

/* How far the policy moves in an update whose gradient is far above max_grad_norm. With a large
 * epsilon Adam's step is proportional to the gradient. */
static double moved(const char *words) {
    PpoCase c;
    ppo_case_open(&c, "ref64", words);
    const ParamList *list = &c.p.roles.policy_params;
    Tensor t = list->items[0].value;
    size_t n = (size_t)tensor_numel(t);
    double *before = mem_zalloc(n, sizeof *before), sum = 0.0;
    memcpy(before, t.data, n * sizeof *before);
    ppo_case_update(&c, 1e-3);
    for (size_t i = 0; i < n; i++) sum += fabs(((double *)t.data)[i] - before[i]);
    mem_free(before);
    ppo_case_close(&c);
    return sum;
}

/* B2. max_grad_norm clips. */
static void test_defects__b2_gradients_are_clipped(void **state) {
    (void)state;
#define STEEP                                                                  \
    "|training.adam_epsilon=1000|ppo.num_ppo_epochs=1|ppo.num_mini_batches=1|" \
    "training.max_grad_norm="
    double free_step = moved(PPO_CASE_LENGTH STEEP "0");
    assert_true(free_step > 0.0);
    assert_true(moved(PPO_CASE_LENGTH STEEP "1e-6") < 1e-2 * free_step);
    double compat = moved(COMPAT STEEP "0");
    assert_true(moved(COMPAT STEEP "1e-6") == compat);
}

static size_t activation_bytes(const char *words) {
    PpoCase c;
    ppo_case_open(&c, "cpu", words);
    size_t bytes = plan_purpose(&c.p.plan, PLAN_ACTIVATIONS);
    ppo_case_close(&c);
    return bytes;
}

/* B3. gradient_checkpointing does something (and changes no bit: test_ranks). */
static void test_defects__b3_checkpointing_saves_memory(void **state) {
    (void)state;
#define LONG "|ppo.response_length=64|training.gradient_checkpointing="
    size_t kept = activation_bytes(PPO_CASE_LENGTH LONG "false");
    assert_true(activation_bytes(PPO_CASE_LENGTH LONG "true") < kept);
}

/* B4. bf16 is not silently something else: here the device computes float32, which is said. */
static void test_defects__b4_bf16_is_not_silent(void **state) {
    (void)state;
    int code = program_run(".", "ppo", "configs/smoke/8_ppo_function.yaml", "output_dir=bf16",
                           "training.bf16=true", "training.max_steps=1", NULL);
    program_expect(".", "ppo", code, 0);
    char *log = program_text(".", "log");
    assert_non_null(strstr(log, "bf16"));
    assert_non_null(strstr(log, "float32"));
    mem_free(log);
}

/* B5. A checkpoint holds everything (that it is enough: test_resume_ppo). */
static void test_defects__b5_checkpoints_are_whole(void **state) {
    (void)state;
    static const char *const wanted[] = {
        "params/model.norm.weight",
        "params/value/model.norm.weight",
        "params/value/v_head.summary.weight",
        "optim/m/model.norm.weight",
        "optim/v/value/model.norm.weight",
        "optim/step",
        "ppo/episode",
        "ppo/kl_coef",
        "ppo/score_mean",
        "ppo/rollout/tokens",
        "ppo/trajectory/logp",
    };
    H5Reader *h5 = NULL;
    int code = program_run(".", "ppo", "configs/smoke/8_ppo_function.yaml", "output_dir=whole",
                           "training.max_steps=1", NULL);
    program_expect(".", "ppo", code, 0);
    char *checkpoint = last_checkpoint("whole"), *path = file_join(checkpoint, "state-00001.h5");
    assert_int_equal(h5_open(&h5, path), OK);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (!h5_find(h5, wanted[i])) fail_msg("%s is not in the checkpoint", wanted[i]);
    h5_close(h5);
    mem_free(path);
    mem_free(checkpoint);
}

/* Where row `row` has its score: the slot whose reward is not the KL penalty alone. */
static int64_t slot_of_score(const PpoCase *c, int64_t row) {
    const Trajectory *tr = c->t->trajectory;
    int64_t found = -1;
    for (int64_t i = tr->start[row]; i < tr->start[row + 1]; i++) {
        if (tr->reward[i] == -c->t->kl.coef * tr->kl[i]) continue;
        assert_int_equal(found, -1);
        assert_true(tr->reward[i] == -c->t->kl.coef * tr->kl[i] + tr->score[row]);
        found = i - tr->start[row];
    }
    return found;
}

/* B6. The score is on the last token; no state behind it is trained. */
static void test_defects__b6_the_score_is_on_the_last_token(void **state) {
    (void)state;
    PpoCase c;
    ppo_case_open(&c, "cpu", "ppo.reward={model: runs/smoke/reward}");
    ppo_case_respond(&c, responses, EOS);
    ppo_case_update(&c, 0.0);
    for (int64_t i = 0; i < ROWS; i++) {
        int64_t length = c.t->rollout->length[i];
        assert_int_equal(c.t->trajectory->start[i + 1] - c.t->trajectory->start[i], length);
        assert_int_equal(slot_of_score(&c, i), length - 1);
    }
    ppo_case_close(&c);

    ppo_case_open(&c, "cpu", COMPAT);
    ppo_case_respond(&c, responses, EOS);
    ppo_case_update(&c, 0.0);
    for (int64_t i = 0; i < ROWS; i++) {
        int64_t length = c.t->rollout->length[i];
        assert_int_equal(slot_of_score(&c, i), length < T ? length : T - 1);
    }
    ppo_case_close(&c);
}

/* B7. The penalty is for rows that the configured stop token did not end. */
static void test_defects__b7_the_penalty_follows_the_stop_token(void **state) {
    (void)state;
    enum { STOP = 99 };
    int32_t tokens[ROWS * T];
    PpoCase c;
    /* Row 7 ends in 99, row 3 in EOS (which is nothing special then), row 0 in neither. */
    memcpy(tokens, responses, sizeof tokens);
    tokens[7 * T + 4] = STOP;
    tokens[7 * T + 5] = -1;
    for (int compat = 0; compat < 2; compat++) {
        ppo_case_open(&c, "cpu",
                      compat ? COMPAT "|ppo.stop_token=null|ppo.stop_token_id=99|"
                                      "ppo.missing_eos_penalty=10"
                             : "ppo.reward={model: runs/smoke/reward}|ppo.stop_token=null|"
                               "ppo.stop_token_id=99|ppo.missing_eos_penalty=10");
        ppo_case_respond(&c, tokens, STOP);
        ppo_case_update(&c, 0.0);
        for (int64_t i = 0; i < ROWS; i++) {
            bool ended = compat ? i > 0 && i < 7 : i == 7;
            double raw = c.t->rollout->score[i];
            assert_true(c.t->trajectory->score[i] == raw - (ended ? 0.0 : 10.0));
        }
        ppo_case_close(&c);
    }
}

/* B8. Advantages are whitened over all tokens of the update, whatever it is cut into (two ranks:
 * test_ranks). */
static void test_defects__b8_whitening_is_global(void **state) {
    (void)state;
    PpoCase c;
    ppo_case_open(&c, "cpu", "ppo.reward={model: runs/smoke/reward}");
    ppo_case_respond(&c, responses, EOS);
    ppo_case_update(&c, 0.0);
    Moments m = moments_of(c.t->trajectory->advantage, NULL, c.t->trajectory->n_slots, true);
    assert_true(fabs(m.mean) < 1e-12);
    assert_true(fabs(m.var - 1.0) < 1e-6);
    ppo_case_close(&c);
}

/* B9. Before the first step the policy is the one that sampled: exactly, in float32. */
static void test_defects__b9_the_first_ratio_is_one(void **state) {
    (void)state;
    for (int device = 0; device < 3; device++) {
        static const char *const devices[] = {"cpu", "ref", "ref64"};
        PpoCase c;
        ppo_case_open(&c, devices[device],
                      PPO_CASE_LENGTH "|ppo.num_ppo_epochs=1|ppo.num_mini_batches=1");
        for (int update = 0; update < 3; update++) {
            ppo_case_update(&c, 1e-2);
            assert_true(ppo_case_metric(&c, "val/ratio") == 1.0);
            assert_true(ppo_case_metric(&c, "policy/approxkl_avg") == 0.0);
            assert_true(ppo_case_metric(&c, "policy/clipfrac_avg") == 0.0);
            assert_true(ppo_case_metric(&c, "val/clipfrac_avg") == 0.0);
            assert_true(ppo_case_metric(&c, "val/rollout_logp_diff") == 0.0);
            assert_true(update > 0 || ppo_case_metric(&c, "objective/kl") == 0.0);
        }
        ppo_case_close(&c);
    }
}

/* B10. Statistics are over tokens: no PAD counts. */
static void test_defects__b10_statistics_leave_pads_out(void **state) {
    (void)state;
    PpoCase c;
    double mean[2], entropy[2];
    for (int compat = 0; compat < 2; compat++) {
        ppo_case_open(&c, "cpu", compat ? COMPAT : "ppo.reward={model: runs/smoke/reward}");
        ppo_case_respond(&c, responses, EOS);
        ppo_case_update(&c, 1e-2);
        entropy[compat] = ppo_case_metric(&c, "objective/entropy");
        mean[compat] = ppo_case_metric(&c, "tokens/responses_len_mean");
        ppo_case_close(&c);
    }
    assert_true(entropy[0] > 0.0);
    /* TRL counts -1 for each PAD (and divides by a temperature that is 1e-7 higher). */
    assert_true(fabs(entropy[1] - (entropy[0] - (T - mean[0]))) < 1e-4);
    assert_true(mean[0] == (6 + 2 + 3 + 1 + 4 + 5 + 6 + 6) / 8.0);
}

/* B11. No [B,T,V] of log-probs is kept: 64 rows of 112 tokens over 320 ids would be 9 MiB,
 * more than twice what the whole program plans beside its cache of keys and values. */
static void test_defects__b11_logits_are_not_kept(void **state) {
    (void)state;
    PpoCase c;
    ppo_case_open(&c, "cpu",
                  PPO_CASE_LENGTH "|ppo.response_length=112|training.per_device_train_batch_size=1|"
                                  "training.gradient_accumulation_steps=64");
    size_t kept = (size_t)64 * 112 * 320 * sizeof(float);
    size_t planned = plan_total(&c.p.plan) - plan_purpose(&c.p.plan, PLAN_KV_CACHE);
    assert_true(planned < kept / 2);
    ppo_case_close(&c);
}

/* B12. With LoRA one base serves policy, reference, value and reward. */
static void test_defects__b12_one_base_serves_four_roles(void **state) {
    (void)state;
    PpoCase c;
    ppo_case_open(&c, "cpu",
                  "model.path=runs/smoke/full|peft.r=2|ppo.reward={model: runs/smoke/reward-lora}");
    const PpoRoles *r = &c.p.roles;
    assert_int_equal(r->n_owned, 0);
    assert_ptr_equal(r->ref_role.base, r->policy_role.base);
    assert_ptr_equal(r->value_role.base, r->policy_role.base);
    assert_ptr_equal(r->reward[0].base, r->policy_role.base);
    assert_null(r->ref_role.adapter);
    assert_true(base_is_frozen(r->policy_role.base));
    ppo_case_close(&c);
}

/* B13. A reward may be a function, a program or a model with a tokenizer of its own (each by
 * itself: test_ppo_rewards). */
static void test_defects__b13_rewards_of_any_kind(void **state) {
    (void)state;
    PpoCase c;
    ppo_case_open(&c, "cpu",
                  "ppo.reward=[{function: length, target: 3}, {command: [sh, -c, 'while read l; do "
                  "echo 2; done'], weight: 0.5}, {model: other-tokenizer, weight: 2}]");
    ppo_case_update(&c, 1e-3);
    assert_int_equal(c.t->n_scorers, 3);
    assert_non_null(c.p.roles.reward[2].tok);
    ppo_case_close(&c);
}

/* B14. The end of the data is no end of a batch: six rows of eight an update, over it and over it.
 */
static void test_defects__b14_every_update_is_whole(void **state) {
    (void)state;
    PpoCase c;
    ppo_case_open(&c, "cpu", PPO_CASE_LENGTH "|training.gradient_accumulation_steps=3");
    int64_t seen[ROWS] = {0};
    for (int64_t update = 0; update < 4; update++) {
        ppo_case_update(&c, 1e-3);
        assert_int_equal(optim_steps(c.t->optim), 4 * (update + 1));
        for (int64_t i = 0; i < 6; i++) seen[c.t->items[i]]++;
    }
    for (int64_t i = 0; i < ROWS; i++) assert_int_equal(seen[i], 3);
    assert_int_equal(c.t->episode, 24);
    ppo_case_close(&c);
}

/* B15. A token weighs the same in every micro-batch. */
static void test_defects__b15_micro_batches_do_not_weigh(void **state) {
    (void)state;
    static const char *const cuts[] = {
        "|training.per_device_train_batch_size=1|training.gradient_accumulation_steps=8",
        "|training.per_device_train_batch_size=8|training.gradient_accumulation_steps=1"};
    for (int compat = 0; compat < 2; compat++) {
        double loss[2], value[2];
        for (int cut = 0; cut < 2; cut++) {
            PpoCase c;
            char *words =
                str_format("%s%s|ppo.num_ppo_epochs=1|ppo.num_mini_batches=1",
                           compat ? COMPAT : "ppo.reward={model: runs/smoke/reward}", cuts[cut]);
            ppo_case_open(&c, "ref64", words);
            mem_free(words);
            ppo_case_respond(&c, responses, EOS);
            ppo_case_update(&c, 1e-3);
            loss[cut] = ppo_case_metric(&c, "loss/policy_avg");
            value[cut] = ppo_case_metric(&c, "loss/value_avg");
            ppo_case_close(&c);
        }
        bool same = fabs(loss[0] - loss[1]) < 1e-12 && fabs(value[0] - value[1]) < 1e-12;
        assert_int_equal(same, !compat);
    }
}

static int setup(void **state) {
    (void)state;
    folder = program_folder();
    program_prepare(folder, "1256");
    if (chdir(folder) != 0) abort();
    /* The reward model with the first tokenizer's words under other ids would be another model; one
     * more token is another tokenizer already. */
    if (system("cp -r runs/smoke/reward/final other-tokenizer && "
               "sed -i 's/\"<pad>\"/\"<filler>\"/' other-tokenizer/tokenizer.json "
               "other-tokenizer/tokenizer_config.json") != 0)
        abort();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    return program_leave(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defects__b1_minibatches_step),
        cmocka_unit_test(test_defects__b2_gradients_are_clipped),
        cmocka_unit_test(test_defects__b3_checkpointing_saves_memory),
        cmocka_unit_test(test_defects__b4_bf16_is_not_silent),
        cmocka_unit_test(test_defects__b5_checkpoints_are_whole),
        cmocka_unit_test(test_defects__b6_the_score_is_on_the_last_token),
        cmocka_unit_test(test_defects__b7_the_penalty_follows_the_stop_token),
        cmocka_unit_test(test_defects__b8_whitening_is_global),
        cmocka_unit_test(test_defects__b9_the_first_ratio_is_one),
        cmocka_unit_test(test_defects__b10_statistics_leave_pads_out),
        cmocka_unit_test(test_defects__b11_logits_are_not_kept),
        cmocka_unit_test(test_defects__b12_one_base_serves_four_roles),
        cmocka_unit_test(test_defects__b13_rewards_of_any_kind),
        cmocka_unit_test(test_defects__b14_every_update_is_whole),
        cmocka_unit_test(test_defects__b15_micro_batches_do_not_weigh),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
