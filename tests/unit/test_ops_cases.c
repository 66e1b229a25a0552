/* The list of cases is complete: every op of OPS(X) has one, and together they reach the branches
 * that the contracts name. An op, or a branch, without a case fails here by name. */
#include "op_cases_rows.h"

static bool names_op(const char *list, const char *op) {
    size_t length = strlen(op);
    for (const char *at = list; at && (at = strstr(at, op)); at += length) {
        bool starts = at == list || at[-1] == ' ', ends = at[length] == 0 || at[length] == ' ';
        if (starts && ends) return true;
    }
    return false;
}

static bool has_case(const char *op) {
    for (int i = 0; i < op_cases()->n; i++) {
        const OpCase *c = &op_cases()->at[i];
        if (names_op(c->fwd_ops, op) || (c->bwd && names_op(c->bwd_ops, op))) return true;
    }
    return false;
}

static void test_ops_cases__every_op_has_one(void **state) {
    (void)state;
    int missing = 0;
#define HAS_CASE(name, parameters)                                                \
    if (!has_case(#name)) {                                                       \
        print_error("op `%s` has no case in tests/support/op_cases*.h\n", #name); \
        missing++;                                                                \
    }
    OPS(HAS_CASE)
    assert_int_equal(missing, 0);
}

static bool ends_in(const char *name, const char *end) {
    size_t n = strlen(name), m = strlen(end);
    return n >= m && strcmp(name + n - m, end) == 0;
}

/* Called by the backward of a case, which the gradient check runs? */
static bool in_gradient_check(const char *op) {
    bool forward = ends_in(op, "_fwd");
    for (int i = 0; i < op_cases()->n; i++) {
        const OpCase *c = &op_cases()->at[i];
        if (c->bwd && names_op(forward ? c->fwd_ops : c->bwd_ops, op)) return true;
    }
    return false;
}

static void test_ops_cases__every_pair_has_a_gradient(void **state) {
    (void)state;
    int missing = 0;
#define HAS_GRADIENT(name, parameters)                                             \
    bool name##_is_of_a_pair = ends_in(#name, "_fwd") || ends_in(#name, "_bwd") || \
                               ends_in(#name, "_dx") || ends_in(#name, "_dw");     \
    if (name##_is_of_a_pair && !in_gradient_check(#name)) {                        \
        print_error("op `%s` is in no gradient check\n", #name);                   \
        missing++;                                                                 \
    }
    OPS(HAS_GRADIENT)
    assert_int_equal(missing, 0);
}

/* ---- branches ---- */

#define IS(op) (c->fwd == op##_case_fwd)
#define REACHED(name, condition)        \
    static bool name(const OpCase *c) { \
        return condition;               \
    }

static int64_t longest(const OpCase *c) {
    int64_t most = 0;
    const OpArg *a = &c->arg[ATTN_START];
    for (int64_t s = 0; s + 1 < a->list_length; s++)
        if (a->list[s + 1] - a->list[s] > (double)most)
            most = (int64_t)(a->list[s + 1] - a->list[s]);
    return most;
}

static bool has_sequence_of_one(const OpCase *c) {
    const OpArg *a = &c->arg[ATTN_START];
    for (int64_t s = 0; s + 1 < a->list_length; s++)
        if (a->list[s + 1] - a->list[s] <= 1) return true;
    return false;
}

REACHED(linear_bias, IS(linear) && !c->arg[3].absent)
REACHED(linear_no_bias, IS(linear) && c->arg[3].absent)
REACHED(linear_accumulate, IS(linear) && c->args.linear.accumulate && c->bwd)
REACHED(linear_accumulate_panels,
        IS(linear) && c->args.linear.accumulate && c->arg[2].layout == LAYOUT_PANEL)
REACHED(linear_alpha, IS(linear) && c->args.linear.alpha < 1 && !c->arg[3].absent)
REACHED(linear_half, IS(linear) && c->arg[2].dtype == DTYPE_F16)
REACHED(linear_bfloat, IS(linear) && c->arg[2].dtype == DTYPE_BF16)
REACHED(linear_ragged_outputs, IS(linear) && c->arg[2].shape[0] % PANEL_COLS != 0)
REACHED(embed_accumulate, IS(embed) && c->args.plain.accumulate && c->bwd)
REACHED(dropout_on, IS(dropout) && c->args.dropout.p > 0)
REACHED(dropout_off, IS(dropout) && c->args.dropout.p <= 0)
REACHED(norm_frozen_bias, IS(norm) && !c->arg[4].absent && !c->arg[4].diff)
REACHED(norm_weight_plus, IS(norm) && c->args.norm.weight_plus > 0)
REACHED(rope_interleaved, IS(rope) && c->args.rope.interleaved)
REACHED(rope_inverse, IS(rope) && c->args.rope.inverse)
REACHED(rope_partial, IS(rope) && 2 * c->arg[2].shape[0] < c->args.rope.head_dim)
REACHED(rope_scaled, IS(rope) && c->args.rope.attention_scaling > 1)
REACHED(attn_sequence_of_one, IS(attn) && has_sequence_of_one(c))
REACHED(attn_two_blocks, IS(attn) && longest(c) > 2 * ATTN_BLOCK)
REACHED(attn_window, IS(attn) && c->args.attn.window > 1 && c->args.attn.window < longest(c))
REACHED(attn_window_past_block,
        IS(attn) && c->args.attn.window > ATTN_BLOCK && longest(c) > 2 * ATTN_BLOCK)
REACHED(attn_cap, IS(attn) && c->args.attn.soft_cap > 0)
REACHED(attn_alibi, IS(attn) && !c->arg[ATTN_SLOPES].absent)
REACHED(attn_dropout, IS(attn) && c->args.attn.dropout.p > 0)
REACHED(attn_no_ids, IS(attn) && c->arg[ATTN_IDS].absent)
REACHED(attn_three_on_one, IS(attn) && c->args.attn.n_heads == 3 && c->args.attn.n_kv_heads == 1)
REACHED(attn_both_ways, IS(attn) && c->args.attn.bidirectional && c->arg[ATTN_KEY_START].absent)
REACHED(attn_keys_elsewhere, IS(attn) && !c->arg[ATTN_KEY_START].absent)
REACHED(attn_bias_clamped,
        IS(attn) && !c->arg[ATTN_BIAS].absent && c->arg[ATTN_BIAS].shape[0] / 2 < ATTN_BLOCK / 2)
REACHED(attn_bias_past_block,
        IS(attn) && !c->arg[ATTN_BIAS].absent && c->arg[ATTN_BIAS].shape[0] / 2 > ATTN_BLOCK)
REACHED(decode_bias, IS(decode) && !c->arg[7].absent)
REACHED(decode_window, IS(decode) && c->args.attn.window > 0 && c->args.attn.soft_cap > 0)
REACHED(logp_entropy, IS(logp) && !c->arg[1].absent)
REACHED(logp_no_entropy, IS(logp) && c->arg[1].absent)
REACHED(logp_cap, IS(logp) && c->args.logp.soft_cap > 0)
REACHED(logp_temperature, IS(logp) && c->args.logp.inv_temperature > 1)
REACHED(logp_smoothed, IS(logp) && c->args.logp.smoothing > 0 && c->args.logp.soft_cap <= 0)
REACHED(adamw_decay, IS(adamw) && c->args.adamw.weight_decay > 0)
REACHED(adamw_first, IS(adamw) && c->args.adamw.step == 1)

static void test_ops_cases__reach_every_branch(void **state) {
    (void)state;
#define BRANCH(name) \
    { #name, name }
    static const struct {
        const char *name;
        bool (*reached)(const OpCase *c);
    } branches[] = {BRANCH(linear_bias),
                    BRANCH(linear_no_bias),
                    BRANCH(linear_accumulate),
                    BRANCH(linear_accumulate_panels),
                    BRANCH(linear_alpha),
                    BRANCH(linear_half),
                    BRANCH(linear_bfloat),
                    BRANCH(linear_ragged_outputs),
                    BRANCH(embed_accumulate),
                    BRANCH(dropout_on),
                    BRANCH(dropout_off),
                    BRANCH(norm_frozen_bias),
                    BRANCH(norm_weight_plus),
                    BRANCH(rope_interleaved),
                    BRANCH(rope_inverse),
                    BRANCH(rope_partial),
                    BRANCH(rope_scaled),
                    BRANCH(attn_sequence_of_one),
                    BRANCH(attn_two_blocks),
                    BRANCH(attn_window),
                    BRANCH(attn_window_past_block),
                    BRANCH(attn_cap),
                    BRANCH(attn_alibi),
                    BRANCH(attn_dropout),
                    BRANCH(attn_no_ids),
                    BRANCH(attn_three_on_one),
                    BRANCH(attn_both_ways),
                    BRANCH(attn_keys_elsewhere),
                    BRANCH(attn_bias_clamped),
                    BRANCH(attn_bias_past_block),
                    BRANCH(decode_bias),
                    BRANCH(decode_window),
                    BRANCH(logp_entropy),
                    BRANCH(logp_no_entropy),
                    BRANCH(logp_cap),
                    BRANCH(logp_temperature),
                    BRANCH(logp_smoothed),
                    BRANCH(adamw_decay),
                    BRANCH(adamw_first)};
    for (size_t b = 0; b < sizeof branches / sizeof branches[0]; b++) {
        int found = 0;
        for (int i = 0; i < op_cases()->n; i++) found += branches[b].reached(&op_cases()->at[i]);
        if (!found) fail_msg("no case reaches %s", branches[b].name);
    }
}

/* A gather must have rows that nobody reads, an embedding ids that come twice and ids that never
 * do. */
static void test_ops_cases__indices_repeat_where_they_may(void **state) {
    (void)state;
    for (int i = 0; i < op_cases()->n; i++) {
        const OpCase *c = &op_cases()->at[i];
        if (!IS(embed) && !IS(gather)) continue;
        OpValues in;
        int count[64] = {0}, never = 0, twice = 0;
        op_values_make(&in, c);
        for (int64_t r = 0; r < c->arg[2].shape[0]; r++) count[(int)in.t[2][r]]++;
        for (int64_t k = 0; k < c->arg[2].limit; k++) {
            never += count[k] == 0;
            twice += count[k] > 1;
        }
        assert_true(never > 0);
        assert_int_equal(twice > 0, IS(embed));
        op_values_free(&in);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ops_cases__every_op_has_one),
        cmocka_unit_test(test_ops_cases__every_pair_has_a_gradient),
        cmocka_unit_test(test_ops_cases__reach_every_branch),
        cmocka_unit_test(test_ops_cases__indices_repeat_where_they_may),
    };
    return cmocka_run_group_tests_name("ops cases", tests, NULL, NULL);
}
