/* Models with several end tokens (Llama 3's eos_token_id is a list): each of them ends a response
 * in ppo, and keeps it from the penalty for endless ones; also where the policy is an adapter,
 * whose folder has the tokenizer but not the list. */
#include "ppo_case.h"

enum { T = 6, ROWS = 8, EOS = 1, FIRST = 100, LAST = 179 };

static bool is_end(int32_t id) {
    return id == EOS || (id >= FIRST && id <= LAST);
}

static bool is_eos(int32_t id) {
    return id == EOS;
}

/* The smoke models, whose base says that a quarter of the vocabulary ends a response. */
static int setup(void **state) {
    (void)state;
    program_prepare(*state = program_folder(), "123");
    if (chdir(*state) != 0) abort();
    Str list = {0};
    str_append(&list, "{\"eos_token_id\": [1");
    for (int id = FIRST; id <= LAST; id++) str_printf(&list, ", %d", id);
    str_append(&list, "]}");
    mem_free(scratch_text("runs/smoke/full/final", "generation_config.json", str_text(&list)));
    str_free(&list);
    return 0;
}

static int teardown(void **state) {
    if (chdir("/") != 0) abort();
    scratch_free(*state);
    return 0;
}

/* What became of the rows of an update: of each kind there must be some. */
typedef struct Kinds {
    int by_eos, by_other, at_once, full;
} Kinds;

/* A response is cut at its first end token, and nowhere else; only those without one pay. */
static void check_rows(const PpoCase *c, bool (*ends)(int32_t), Kinds *kinds) {
    const Rollout *r = c->t->rollout;
    for (int64_t i = 0; i < r->n; i++) {
        const int32_t *token = r->tokens + i * r->response_length;
        int32_t n = r->length[i];
        for (int32_t k = 0; k + 1 < n; k++) assert_false(ends(token[k]));
        bool ended = ends(token[n - 1]);
        assert_true(ended || n == T);
        assert_int_equal(r->ended[i], ended);
        assert_true(c->t->trajectory->score[i] == r->score[i] - (ended ? 0.0 : 10.0));
        kinds->by_eos += token[n - 1] == EOS;
        kinds->by_other += ended && token[n - 1] != EOS;
        kinds->at_once += ended && n == 1;
        kinds->full += !ended;
    }
}

static void run(const char *words, bool (*ends)(int32_t), Kinds *kinds) {
    PpoCase c;
    char *all = str_format("%s|ppo.missing_eos_penalty=10|ppo.temperature=3|ppo.num_ppo_epochs=1|"
                           "model.path=%s",
                           PPO_CASE_LENGTH, words);
    double eos = 0.0;
    *kinds = (Kinds){0};
    ppo_case_open(&c, "cpu", all);
    for (int update = 0; update < 8; update++) {
        ppo_case_update(&c, 0.0);
        check_rows(&c, ends, kinds);
        eos += ppo_case_metric(&c, "val/num_eos_tokens");
    }
    assert_true(eos == kinds->by_eos + kinds->by_other);
    ppo_case_close(&c);
    mem_free(all);
}

static void check_list(const char *words) {
    Kinds k;
    run(words, is_end, &k);
    if (!k.by_other || !k.at_once || !k.full)
        fail_msg("%s: %d by eos, %d by others, %d at once, %d full", words, k.by_eos, k.by_other,
                 k.at_once, k.full);
}

static void test_ppo_stops__each_end_token_ends(void **state) {
    (void)state;
    check_list("runs/smoke/full");
}

static void test_ppo_stops__an_adapter_has_its_bases(void **state) {
    (void)state;
    check_list("runs/smoke/lora");
}

/* TRL asks for the tokenizer's own alone. */
static void test_ppo_stops__compat_knows_one(void **state) {
    (void)state;
    Kinds k;
    run("runs/smoke/full|ppo.trl_compat=true|ppo.num_mini_batches=1", is_eos, &k);
    assert_int_equal(k.by_other, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ppo_stops__each_end_token_ends),
        cmocka_unit_test(test_ppo_stops__an_adapter_has_its_bases),
        cmocka_unit_test(test_ppo_stops__compat_knows_one),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
