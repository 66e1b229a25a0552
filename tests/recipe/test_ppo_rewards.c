/* Where PPO's rewards come from: outside programs, good and bad; built-in functions; models, also
 * with another tokenizer and as an adapter on the policy's base; sums of them. */
#include "ppo_case.h"

#include <math.h>

enum { T = 6, ROWS = 8, EOS = 1 };

static char *folder; /* of all tests: the working folder, with the smoke models in it */

static const char base[] = "output_dir: run\n"
                           "threads: 1\n"
                           "model: {path: runs/smoke/text}\n"
                           "data: {train: configs/smoke/data/prompts.jsonl}\n"
                           "training: {per_device_train_batch_size: 4, max_steps: 2}\n";

static int count(const char *text, const char *what) {
    int n = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; at += strlen(what)) n++;
    return n;
}

/* ---- outside programs ---------------------------------------------------------------------- */

/* Runs ppo with that `ppo.reward` and returns its exit code; *log is the caller's to mem_free. */
static int run_with(const char *reward, char **log) {
    char *yaml = str_format("%sppo:\n  response_length: 4\n  reward: %s\n", base, reward);
    mem_free(scratch_text(".", "run.yaml", yaml));
    int code = program_run(".", "ppo", "run.yaml", NULL);
    *log = program_text(".", "log");
    mem_free(yaml);
    return code;
}

static void test_ppo_rewards__bad_programs_give_one_line(void **state) {
    (void)state;
    static const struct {
        const char *reward;
        int code;
        const char *says;
    } cases[] = {
        {"{command: [./no-such-program]}", ERR_INPUT, "cannot be started: No such file"},
        {"{command: [./run.yaml]}", ERR_INPUT, "cannot be started: Permission denied"},
        {"{command: 'no-such-program-either'}", ERR_DATA, "ended with code 127"},
        {"{command: [sh, -c, 'exit 0']}", ERR_DATA, "ended with code 0"},
        {"{command: [sh, -c, 'read l; echo 1; read l; exit 3']}", ERR_DATA,
         "ended with code 3 after 1 of 4 answers"},
        {"{command: [sh, -c, 'read l; kill -9 $$']}", ERR_DATA, "was ended by signal 9"},
        {"{command: [sh, -c, 'while read l; do echo good; done']}", ERR_DATA, "`good` for row 1"},
        {"{command: [sh, -c, 'while read l; do echo 1 2; done']}", ERR_DATA, "`1 2`"},
        {"{command: [sh, -c, 'while read l; do echo; done']}", ERR_DATA, "answered ``"},
        {"{command: [sh, -c, 'while read l; do echo nan; done']}", ERR_DATA, "`nan`"},
        {"{command: [sh, -c, 'while read l; do echo 1e999; done']}", ERR_DATA, "`1e999`"},
        {"{command: [sh, -c, 'read l; sleep 100'], timeout_s: 0.2}", ERR_DATA, "no answer for 0.2"},
        {"{command: [sh, -c, 'exec <&-; sleep 100'], timeout_s: 0.2}", ERR_DATA,
         "no answer for 0.2"},
        {"{command: [sh, -c, 'read l; while :; do printf 1; done'], timeout_s: 5}", ERR_DATA,
         "one finite number a line"},
        {"{command: [sh, -c, 'read l; echo 1; exec >&-; sleep 100']}", ERR_DATA,
         "closed its output after 1 of 4"},
        {"{command: [sh, -c, 'while read l; do echo 1; echo 2; done']}", ERR_DATA, "beyond"},
        {"{command: [sh, -c, 'echo ready; while read l; do echo 1; done']}", ERR_DATA, "`ready`"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *log;
        int code = run_with(cases[i].reward, &log);
        if (code != cases[i].code || !strstr(log, cases[i].says) || count(log, "error: ") != 1)
            fail_msg("%s left with %d:\n%s", cases[i].reward, code, log);
        assert_false(file_exists("run/final"));
        assert_int_equal(file_remove_tree("run"), OK);
        mem_free(log);
    }
}

/* Scores of the update that the case is in, from the rewards `words` names. */
static void scores_of(double *out, const char *words, const int32_t *tokens) {
    PpoCase c;
    ppo_case_open(&c, "cpu", words);
    ppo_case_respond(&c, tokens, EOS);
    ppo_case_update(&c, 0.0);
    memcpy(out, c.t->rollout->score, ROWS * sizeof *out);
    ppo_case_close(&c);
}

static const int32_t responses[ROWS * T] = {
    70, 71, 72, 73, 74, 75, 80, 1,  -1, -1, -1, -1, 81, 82, 1,  -1, -1, -1, 1,  -1, -1, -1, -1, -1,
    83, 84, 85, 1,  -1, -1, 86, 87, 88, 89, 1,  -1, 90, 91, 92, 93, 94, 1,  95, 96, 97, 98, 99, 60,
};

/* The program sees prompt, response and row as they are, in order, also when both pipes are full.
 */
static void test_ppo_rewards__a_program_is_asked_in_order(void **state) {
    (void)state;
    double scores[ROWS];
    mem_free(scratch_text(".", "keep.sh",
                          "n=0\nwhile IFS= read -r line; do printf '%s\\n' \"$line\" >>asked; "
                          "n=$((n + 1)); echo \" $n.5 \"; done\n"));
    scores_of(
        scores,
        "ppo.reward={command: [sh, keep.sh], weight: -2}|ppo.local_rollout_forward_batch_size=3",
        responses);
    for (int i = 0; i < ROWS; i++) assert_true(scores[i] == -2.0 * (i + 1.5));
    char *asked = program_text(".", "asked"), *at = asked;
    for (int64_t row = 0; row < ROWS; row++) {
        Json *j = NULL;
        size_t n = strcspn(at, "\n");
        assert_int_equal(json_parse(&j, at, n, "asked", row + 1), OK);
        assert_true(json_is(json_get(j, "prompt"), JSON_KIND_STRING));
        assert_true(json_is(json_get(j, "response"), JSON_KIND_STRING));
        assert_string_equal(json_str(json_get(j, "prompt"), NULL),
                            json_str(json_get(json_get(j, "row"), "prompt"), NULL));
        json_free(j);
        at += n + 1;
    }
    assert_int_equal(*at, '\0');
    mem_free(asked);
}

/* A signal among the answers: what was answered is kept, so no row is asked twice. */
static void test_ppo_rewards__a_row_is_asked_once(void **state) {
    (void)state;
    char *log;
    mem_free(scratch_text(".", "stop.sh",
                          "while IFS= read -r line; do\n"
                          "    echo x >>questions\n"
                          "    if [ ! -e stopped ]; then : >stopped; kill -TERM $PPID; fi\n"
                          "    sleep 0.05\n"
                          "    echo 1\n"
                          "done\n"));
    assert_int_equal(run_with("{command: [sh, stop.sh]}", &log), ERR_STOPPED);
    mem_free(log);
    assert_int_equal(run_with("{command: [sh, stop.sh]}", &log), OK);
    mem_free(log);
    char *questions = program_text(".", "questions");
    /* Two updates of four rows, and two tables of samples of eight. */
    assert_int_equal(strlen(questions), 2 * (2 * 4 + 2 * 8));
    mem_free(questions);
    assert_int_equal(file_remove_tree("run"), OK);
}

static void test_ppo_rewards__the_example_learns(void **state) {
    (void)state;
    char *experiments = file_join(folder, "experiments");
    assert_int_equal(symlink(HONE_SOURCE_DIR "/experiments", experiments), 0);
    mem_free(experiments);
    int code = program_run(".", "ppo", "experiments/own_reward/ppo.yaml", "threads=1", NULL);
    program_expect(".", "ppo", code, 0);
    char *metrics = program_text(".", "runs/own_reward/metrics.jsonl");
    double first = NAN, last = NAN;
    for (const char *at = metrics; (at = strstr(at, "\"objective/scores\": ")) != NULL;) {
        last = strtod(at += strlen("\"objective/scores\": "), NULL);
        if (isnan(first)) first = last;
    }
    if (!(last > first + 0.3)) fail_msg("scores went from %g to %g", first, last);
    mem_free(metrics);
}

/* ---- built-in functions -------------------------------------------------------------------- */

static RewardScorer open_function(RewardFunction function, const Pair *pairs, size_t n) {
    RewardScorer scorer;
    RewardSource source = {
        .kind = REWARD_FUNCTION, .function = function, .args = {(Pair *)pairs, n}, .weight = 1.0};
    reward_function_open(&scorer, &source);
    return scorer;
}

static void test_ppo_rewards__functions(void **state) {
    (void)state;
    static const struct {
        RewardFunction function;
        Pair args[2];
        size_t n_args;
        const char *response;
        double value;
    } cases[] = {
        {REWARD_FN_LENGTH, {{"target", "3"}, {"scale", "2"}}, 2, " one two\nthree  four ", -0.5},
        {REWARD_FN_LENGTH, {{"target", "2"}}, 1, "", -2.0},
        {REWARD_FN_CONTAINS, {{"text", "cat"}}, 1, "concatenate", 1.0},
        {REWARD_FN_CONTAINS, {{"text", "cat"}}, 1, "dog", 0.0},
        {REWARD_FN_OCCURRENCES, {{"text", "ab"}, {"target", "4"}}, 2, "ab abab", 0.75},
        {REWARD_FN_OCCURRENCES, {{"text", "a"}, {"target", "2"}}, 2, "aaaa", 1.0},
        {REWARD_FN_STARTS_WITH, {{"text", "Yes"}}, 1, " \n Yes, it is.", 1.0},
        {REWARD_FN_STARTS_WITH, {{"text", "Yes"}}, 1, "No. Yes", 0.0},
        {REWARD_FN_ENDS, {{0}}, 0, "whatever", 1.0},
        {REWARD_FN_MATCHES_FIELD, {{"field", "answer"}}, 1, "it is 42.", 1.0},
        {REWARD_FN_MATCHES_FIELD, {{"field", "answer"}}, 1, "it is 41.", 0.0},
        {REWARD_FN_MATCHES_FIELD, {{"field", "none"}}, 1, "it is 42.", 0.0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        RewardScorer scorer = open_function(cases[i].function, cases[i].args, cases[i].n_args);
        RewardQuery q = {.prompt = "p",
                         .response = cases[i].response,
                         .row = "{\"answer\": \"42\"}",
                         .ended = true};
        double value = NAN;
        int64_t answered = 0;
        assert_int_equal(scorer.score(scorer.self, &value, &q, 1, &answered), OK);
        if (value != cases[i].value || answered != 1) fail_msg("case %zu: %g", i, value);
        scorer.close(scorer.self);
    }
}

/* ---- models, sums -------------------------------------------------------------------------- */

static void test_ppo_rewards__several_are_summed_by_weight(void **state) {
    (void)state;
    double length[ROWS], model[ROWS], sum[ROWS];
    scores_of(length, "ppo.reward={function: length, target: 2}", responses);
    scores_of(model, "ppo.reward={model: runs/smoke/reward}", responses);
    scores_of(sum,
              "ppo.reward=[{function: length, target: 2, weight: 0.5}, {function: ends}, "
              "{model: runs/smoke/reward, weight: -3}]",
              responses);
    for (int i = 0; i < ROWS; i++) {
        double ends = i > 0 && i < 7;
        assert_true(sum[i] == 0.0 + 0.5 * length[i] + ends + -3.0 * model[i]);
    }
}

/* The smoke rows' own completions, as the policy's ids: texts that every tokenizer cuts its way. */
static void completions(int32_t *tokens) {
    Tokenizer *tok = NULL;
    TokenIds ids = {0};
    assert_int_equal(tokenizer_open(&tok, "configs/smoke/tokenizer"), OK);
    for (int i = 0; i < ROWS; i++) {
        const char *text = i % 2 ? " hill." : " barn";
        token_ids_clear(&ids);
        assert_int_equal(tokenizer_encode(tok, &ids, text, strlen(text), 0), OK);
        assert_true(ids.n < T);
        for (int k = 0; k < T; k++)
            tokens[i * T + k] = k < (int)ids.n ? ids.id[k] : k == (int)ids.n ? EOS : -1;
    }
    token_ids_free(&ids);
    tokenizer_close(tok);
}

/* A reward model with a tokenizer of its own reads the text in its own tokens: the same ones where
 * its vocabulary is only named otherwise, more where it has no merges. */
static void test_ppo_rewards__a_model_with_another_tokenizer(void **state) {
    (void)state;
    int32_t tokens[ROWS * T];
    double same[ROWS], renamed[ROWS], unmerged[ROWS];
    completions(tokens);
    scores_of(same, "ppo.reward={model: runs/smoke/reward}", tokens);
    scores_of(renamed, "ppo.reward={model: renamed}|ppo.value.model=policy", tokens);
    scores_of(unmerged, "ppo.reward={model: unmerged}|ppo.value.model=policy", tokens);
    assert_memory_equal(renamed, same, sizeof same);
    for (int i = 0; i < ROWS; i++) assert_true(unmerged[i] != same[i]);
}

/* The scores that `hone score` writes for rows of JSON lines. */
static void hone_scores(double *out, const char *rows) {
    mem_free(scratch_text(".", "texts.jsonl", rows));
    int code = program_run(".", "hone", "score", "--model", "unmerged", "--data", "texts.jsonl",
                           "--output", "scores.jsonl", NULL);
    program_expect(".", "hone", code, 0);
    char *scores = program_text(".", "scores.jsonl"), *at = scores;
    for (int i = 0; i < ROWS; i++) {
        Json *j = NULL;
        size_t n = strcspn(at, "\n");
        assert_int_equal(json_parse(&j, at, n, "scores", i + 1), OK);
        out[i] = json_num(json_get(j, "score"));
        json_free(j);
        at += n + 1;
    }
    mem_free(scores);
}

/* Its text as a whole is scored: exactly what `hone score` says of it, and of prompt and completion
 * with the EOS that they end with. */
static void test_ppo_rewards__another_tokenizer_scores_the_text(void **state) {
    (void)state;
    int32_t tokens[ROWS * T];
    double unmerged[ROWS], texts[ROWS], parts[ROWS];
    completions(tokens);
    scores_of(unmerged, "ppo.reward={model: unmerged}|ppo.value.model=policy|data.shuffle=false",
              tokens);
    Str whole = {0}, split = {0};
    char *prompts = program_text(".", "configs/smoke/data/prompts.jsonl"), *at = prompts;
    for (int i = 0; i < ROWS; i++) {
        Json *j = NULL;
        size_t n = strcspn(at, "\n");
        const char *answer = i % 2 ? " hill." : " barn";
        assert_int_equal(json_parse(&j, at, n, "prompts", i + 1), OK);
        const char *prompt = json_str(json_get(j, "prompt"), NULL);
        str_printf(&whole, "{\"text\": \"%s%s</s>\"}\n", prompt, answer);
        str_printf(&split, "{\"prompt\": \"%s\", \"completion\": \"%s%s\"}\n", prompt, answer,
                   i % 3 ? "" : "</s>");
        json_free(j);
        at += n + 1;
    }
    hone_scores(texts, str_text(&whole));
    hone_scores(parts, str_text(&split));
    for (int i = 0; i < ROWS; i++)
        if ((float)texts[i] != (float)unmerged[i] || parts[i] != texts[i])
            fail_msg("row %d: %.17g, %.17g, %.17g", i, unmerged[i], texts[i], parts[i]);
    mem_free(prompts);
    str_free(&whole);
    str_free(&split);
}

/* The plan says who shares what. */
static void test_ppo_rewards__an_adapter_shares_the_base(void **state) {
    (void)state;
    int code = program_run(".", "ppo", "configs/smoke/7_ppo_learned.yaml", "--dry-run",
                           "model.path=runs/smoke/full", "ppo.response_length=4", NULL);
    program_expect(".", "ppo", code, 0);
    char *log = program_text(".", "log");
    static const char *const lines[] = {"policy               base A, adapter LoRA\n",
                                        "reference            base A\n",
                                        "value                base A, adapter LoRA, head value\n",
                                        "reward               base A, adapter LoRA, head score\n"};
    for (int i = 0; i < 4; i++)
        if (!strstr(log, lines[i])) fail_msg("no `%s` in\n%s", lines[i], log);
    assert_false(file_exists("runs/smoke/ppo"));
    mem_free(log);
}

static int setup(void **state) {
    (void)state;
    folder = program_folder();
    program_prepare(folder, "12356");
    signal(SIGPIPE, SIG_IGN); /* as stop_install does */
    if (chdir(folder) != 0) abort();
    if (system("cp -r runs/smoke/reward/final renamed && cp -r renamed unmerged && "
               "sed -i 's/\"<pad>\"/\"<filler>\"/' renamed/tokenizer.json "
               "renamed/tokenizer_config.json && "
               "awk '/\"merges\": \\[/ {print \" \\\"merges\\\": []\"; skip = 1} "
               "skip && /^  \\]/ {skip = 0; next} !skip' unmerged/tokenizer.json >cut && "
               "mv cut unmerged/tokenizer.json") != 0)
        abort();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    return program_leave(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ppo_rewards__bad_programs_give_one_line),
        cmocka_unit_test(test_ppo_rewards__a_program_is_asked_in_order),
        cmocka_unit_test(test_ppo_rewards__a_row_is_asked_once),
        cmocka_unit_test(test_ppo_rewards__the_example_learns),
        cmocka_unit_test(test_ppo_rewards__functions),
        cmocka_unit_test(test_ppo_rewards__several_are_summed_by_weight),
        cmocka_unit_test(test_ppo_rewards__a_model_with_another_tokenizer),
        cmocka_unit_test(test_ppo_rewards__another_tokenizer_scores_the_text),
        cmocka_unit_test(test_ppo_rewards__an_adapter_shares_the_base),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
