/* The course of a run: when it logs, evaluates and saves; resume; best; early stopping; the folder.
 */
#include "unit.h"

#include "core/io/h5.h"
#include "core/io/jsonl.h"
#include "core/log.h"
#include "run_compare.h"
#include "toy_run.h"

/* Every step logged, evaluation and checkpoint every third step, ten steps. */
static const char yaml[] =
    "model: {path: m}\ndata: {train: d.jsonl, eval: e.jsonl}\n"
    "training: {max_steps: 10, logging_steps: 1, eval_steps: 3, save_steps: 3}\n";

static ConfigCase config_for(const char *folder, const char *a, const char *b, const char *c) {
    char *output = str_format("output_dir=%s", folder);
    ConfigCase cfg = config_case(STAGE_SFT, yaml, output, a, a ? b : NULL, a && b ? c : NULL, NULL);
    mem_free(output);
    if (cfg.status != OK) fail_msg("%s", str_text(&cfg.log));
    return cfg;
}

/* One process. The toy's text of weights, which the caller mem_free's, or NULL. */
static Status run_in(Toy *t, const char *folder, const char *a, const char *b, const char *c) {
    ConfigCase cfg = config_for(folder, a, b, c);
    Status st = toy_run(t, &cfg);
    config_case_close(&cfg);
    return st;
}

static Str file_of(const char *folder, const char *name) {
    Str text = {0};
    char *path = file_join(folder, name);
    if (file_read(&text, path, 1 << 24) != OK) fail_msg("%s", status_message());
    mem_free(path);
    return text;
}

static bool there_is(const char *folder, const char *name) {
    char *path = file_join(folder, name);
    bool is = file_exists(path);
    mem_free(path);
    return is;
}

static int64_t count_rows(const char *folder, const char *key) {
    Str rows = {0};
    metrics_without_clock(&rows, folder);
    int64_t n = 0;
    char *quoted = str_format("\"%s\":", key);
    for (const char *at = str_text(&rows); (at = strstr(at, quoted)) != NULL; at++) n++;
    mem_free(quoted);
    str_free(&rows);
    return n;
}

static void test_train_run__logs_evaluates_and_saves_when_it_is_time(void **state) {
    (void)state;
    char *folder = scratch_new();
    Toy t = {.stop_in_eval = -1};
    assert_int_equal(
        run_in(&t, folder, "training.logging_steps=4", "training.logging_first_step=true", NULL),
        OK);
    assert_int_equal(count_rows(folder, "learning_rate"), 3); /* 1, 4, 8 */
    assert_int_equal(count_rows(folder, "eval_loss"), 4);     /* 3, 6, 9, and the last: 10 */
    assert_int_equal(count_rows(folder, "train_loss"), 1);
    assert_true(there_is(folder, "checkpoints/step-9/MANIFEST.json"));
    assert_true(there_is(folder, "checkpoints/step-10/MANIFEST.json")); /* the last */
    assert_false(there_is(folder, "checkpoints/step-8"));
    assert_true(there_is(folder, "report.html"));
    Str final = file_of(folder, "final/trainer_state.json");
    assert_non_null(strstr(str_text(&final), "\"global_step\": 10"));
    str_free(&final);
    mem_free(t.wrote);
    scratch_free(folder);
}

static void test_train_run__epoch_strategies_follow_epochs(void **state) {
    (void)state;
    char *folder = scratch_new();
    Toy t = {.stop_in_eval = -1};
    assert_int_equal(run_in(&t, folder, "training.eval_strategy=epoch",
                            "training.save_strategy=epoch", "training.logging_strategy=epoch"),
                     OK);
    assert_int_equal(t.evals, 3); /* steps 4 and 8, and the last */
    assert_int_equal(count_rows(folder, "learning_rate"), 2);
    assert_true(there_is(folder, "checkpoints/step-4"));
    assert_true(there_is(folder, "checkpoints/step-10"));
    assert_false(there_is(folder, "checkpoints/step-3"));
    mem_free(t.wrote);
    scratch_free(folder);
}

/* Stopped after every step, and inside evaluations: the same bytes in the end. */
static void test_train_run__stopped_and_resumed_is_the_same_run(void **state) {
    (void)state;
    char *whole = scratch_new();
    Toy t = {.stop_in_eval = -1};
    assert_int_equal(run_in(&t, whole, "training.eval_on_start=true", NULL, NULL), OK);
    mem_free(t.wrote);
    for (int in_eval = 0; in_eval < 2; in_eval++) {
        char *cut = scratch_new();
        for (int64_t step = in_eval ? 0 : 1; step < 10; step += in_eval ? 3 : 1) {
            Toy part = {.stop_at = in_eval ? 0 : step, .stop_in_eval = in_eval ? step : -1};

            Status st = run_in(&part, cut, "training.eval_on_start=true", NULL, NULL);
            if (st != ERR_STOPPED)
                fail_msg("step %lld: %d %s", (long long)step, st, status_message());
            assert_null(part.wrote);
        }
        Toy last = {.stop_in_eval = -1};
        assert_int_equal(run_in(&last, cut, "training.eval_on_start=true", NULL, NULL), OK);
        assert_same_run(whole, cut);
        mem_free(last.wrote);
        scratch_free(cut);
    }
    scratch_free(whole);
}

static void test_train_run__signal_saves_where_it_is(void **state) {
    (void)state;
    char *folder = scratch_new();
    Toy t = {.stop_in_eval = -1, .stop_at = 4};
    assert_int_equal(run_in(&t, folder, NULL, NULL, NULL), ERR_STOPPED);
    assert_true(there_is(folder, "checkpoints/step-4/MANIFEST.json"));
    Str page = file_of(folder, "report.html");
    assert_non_null(strstr(str_text(&page), "running\">stopped<"));
    assert_null(strstr(str_text(&page), "http-equiv=\"refresh\""));
    str_free(&page);
    scratch_free(folder);
}

/* Where an epoch ended is remembered: the evaluation that the signal cut off is made up for. */
static void test_train_run__epoch_evaluation_is_made_up_for(void **state) {
    (void)state;
    char *folder = scratch_new();
    static char epoch[] = "training.eval_strategy=epoch";
    Toy a = {.stop_in_eval = 4}, b = {.stop_in_eval = -1, .stop_at = 6}, c = {.stop_in_eval = -1};
    assert_int_equal(run_in(&a, folder, epoch, NULL, NULL), ERR_STOPPED);
    assert_int_equal(a.evals, 0);
    assert_int_equal(run_in(&b, folder, epoch, NULL, NULL), ERR_STOPPED);
    assert_int_equal(b.evals, 1); /* step 4 */
    assert_int_equal(run_in(&c, folder, epoch, NULL, NULL), OK);
    assert_int_equal(c.evals, 2); /* step 8 and the last, and not in the middle of an epoch */
    mem_free(c.wrote);
    scratch_free(folder);
}

static void die_at_8(Toy *t) {
    if (run_step(t->run) == 8) kill(getpid(), SIGKILL);
}

static void child_saves_the_model_alone(void *arg) {
    Toy t = {.each_step = die_at_8, .stop_in_eval = -1};
    run_in(&t, arg, "training.save_only_model=true", NULL, NULL);
}

/* Its checkpoints are enough for the best model, not for going on; a signal's are whole. */
static void test_train_run__save_only_model(void **state) {
    (void)state;
    static char only[] = "training.save_only_model=true",
                best[] = "training.load_best_model_at_end=true";
    char *whole = scratch_new(), *plain = scratch_new(), *cut = scratch_new();
    Toy a = {.stop_in_eval = -1}, b = {.stop_in_eval = -1}, c = {.stop_in_eval = -1};
    assert_int_equal(run_in(&a, whole, only, best, NULL), OK);
    assert_int_equal(run_in(&b, plain, best, NULL, NULL), OK);
    assert_string_equal(a.wrote, b.wrote);
    H5Reader *h5 = NULL;
    char *path = str_format("%s/checkpoints/step-9/state-00001.h5", whole);
    assert_int_equal(h5_open(&h5, path), OK);
    assert_non_null(h5_find(h5, "params/weight"));
    assert_int_equal(h5_count(h5), 1);
    h5_close(h5);
    mem_free(path);
    /* Killed: nothing to go on from, so it begins again. */
    assert_true(WIFSIGNALED(scratch_run_child(child_saves_the_model_alone, cut)));
    assert_true(there_is(cut, "checkpoints/step-6/MANIFEST.json"));
    char *arg = str_format("--resume=%s/checkpoints/step-6", cut);
    assert_int_equal(run_in(&c, cut, only, arg, NULL), ERR_DATA);
    if (!strstr(status_message(), "step-6 holds params/ alone (save_only_model)"))
        fail_msg("%s", status_message());
    mem_free(arg);
    assert_int_equal(run_in(&c, cut, only, NULL, NULL), OK);
    assert_int_equal(count_rows(cut, "learning_rate"), 10);
    /* Stopped: goes on from there. */
    char *stopped = scratch_new();
    Toy d = {.stop_in_eval = -1, .stop_at = 7}, e = {.stop_in_eval = -1};
    assert_int_equal(run_in(&d, stopped, only, NULL, NULL), ERR_STOPPED);
    assert_int_equal(run_in(&e, stopped, only, NULL, NULL), OK);
    assert_int_equal(e.evals, 2); /* 9 and 10, not 3 and 6 again */
    assert_same_run(cut, stopped);
    mem_free(a.wrote);
    mem_free(b.wrote);
    mem_free(c.wrote);
    mem_free(e.wrote);
    scratch_free(whole);
    scratch_free(plain);
    scratch_free(cut);
    scratch_free(stopped);
}

static void stop_early_at_2(Toy *t) {
    if (run_step(t->run) == 2) run_stop_early(t->run, "enough");
}

/* However short the run, whatever the delay, and where it stops early: what final/ holds was
 * evaluated, once. */
static void test_train_run__last_step_is_evaluated(void **state) {
    (void)state;
    static char *const args[][2] = {
        {(char *)"training.eval_steps=100", NULL},
        {(char *)"training.eval_steps=100", (char *)"training.eval_delay=50"},
        {(char *)"training.eval_strategy=epoch", (char *)"training.max_steps=3"},
        {(char *)"training.eval_steps=5", (char *)"training.eval_delay=8"},
    };
    for (size_t i = 0; i < sizeof args / sizeof *args; i++) {
        char *folder = scratch_new();
        Toy t = {.stop_in_eval = -1};
        assert_int_equal(run_in(&t, folder, args[i][0], args[i][1], NULL), OK);
        assert_int_equal(t.evals, 1);
        mem_free(t.wrote);
        scratch_free(folder);
    }
    char *folder = scratch_new();
    Toy early = {.stop_in_eval = -1, .each_step = stop_early_at_2};
    assert_int_equal(run_in(&early, folder, NULL, NULL, NULL), OK);
    assert_int_equal(early.evals, 1);
    mem_free(early.wrote);
    scratch_free(folder);
    folder = scratch_new();
    Toy none = {.stop_in_eval = -1};
    assert_int_equal(run_in(&none, folder, "training.eval_strategy=no", NULL, NULL), OK);
    assert_int_equal(none.evals, 0);
    mem_free(none.wrote);
    scratch_free(folder);
}

/* A signal inside the last evaluation: the run is not done, and makes it when it goes on. */
static void test_train_run__last_evaluation_is_made_up_for(void **state) {
    (void)state;
    char *whole = scratch_new(), *cut = scratch_new();
    static char rarely[] = "training.eval_steps=100";
    Toy a = {.stop_in_eval = -1}, b = {.stop_in_eval = 10}, c = {.stop_in_eval = -1};
    assert_int_equal(run_in(&a, whole, rarely, NULL, NULL), OK);
    assert_int_equal(run_in(&b, cut, rarely, NULL, NULL), ERR_STOPPED);
    assert_int_equal(b.evals, 0);
    assert_int_equal(run_in(&c, cut, rarely, NULL, NULL), OK);
    assert_int_equal(c.evals, 1);
    assert_same_run(whole, cut);
    mem_free(a.wrote);
    mem_free(c.wrote);
    scratch_free(whole);
    scratch_free(cut);
}

static void test_train_run__best_outlives_a_resume(void **state) {
    (void)state;
    char *folder = scratch_new();
    static char best[] = "training.load_best_model_at_end=true",
                limit[] = "training.save_total_limit=2", each[] = "training.eval_steps=1";
    Toy a = {.stop_in_eval = -1, .stop_at = 7}, b = {.stop_in_eval = -1};
    assert_int_equal(run_in(&a, folder, best, limit, each), ERR_STOPPED);
    assert_int_equal(run_in(&b, folder, best, limit, each), OK);
    assert_true(there_is(folder, "checkpoints/step-5"));
    Str final = file_of(folder, "final/trainer_state.json");
    assert_non_null(strstr(str_text(&final), "\"global_step\": 5"));
    str_free(&final);
    mem_free(b.wrote);
    scratch_free(folder);
}

static void test_train_run__changed_input_is_refused(void **state) {
    (void)state;
    char *folder = scratch_new();
    Toy a = {.stop_in_eval = -1, .stop_at = 4}, b = {.stop_in_eval = -1, .base_digest = "bbbb"};
    assert_int_equal(run_in(&a, folder, NULL, NULL, NULL), ERR_STOPPED);
    assert_int_equal(run_in(&b, folder, NULL, NULL, NULL), ERR_CONFIG);
    assert_non_null(strstr(status_message(), "model (base) has other contents"));
    scratch_free(folder);
}

static void die_at_7(Toy *t) {
    if (run_step(t->run) == 7) kill(getpid(), SIGKILL);
}

typedef struct Child {
    const char *folder;
} Child;

static void child_dies(void *arg) {
    Toy t = {.each_step = die_at_7, .stop_in_eval = -1};
    run_in(&t, ((Child *)arg)->folder, NULL, NULL, NULL);
}

/* Rows that were logged after the last checkpoint are logged again, not twice. */
static void test_train_run__killed_goes_on_from_the_last_checkpoint(void **state) {
    (void)state;
    char *whole = scratch_new(), *cut = scratch_new();
    Toy a = {.stop_in_eval = -1}, b = {.stop_in_eval = -1};
    assert_int_equal(run_in(&a, whole, NULL, NULL, NULL), OK);
    Child child = {cut};
    int status = scratch_run_child(child_dies, &child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(count_rows(cut, "learning_rate"), 7);
    assert_int_equal(run_in(&b, cut, NULL, NULL, NULL), OK);
    assert_same_run(whole, cut);
    mem_free(a.wrote);
    mem_free(b.wrote);
    scratch_free(whole);
    scratch_free(cut);
}

static void test_train_run__finished_says_so_and_does_nothing(void **state) {
    (void)state;
    char *folder = scratch_new();
    Toy a = {.stop_in_eval = -1}, b = {.stop_in_eval = -1};
    assert_int_equal(run_in(&a, folder, NULL, NULL, NULL), OK);
    Str before = file_of(folder, "metrics.jsonl");
    assert_int_equal(run_in(&b, folder, NULL, NULL, NULL), OK);
    Str after = file_of(folder, "metrics.jsonl");
    assert_string_equal(str_text(&before), str_text(&after));
    assert_null(b.wrote);
    /* Killed just before run.json could say so. */
    Str info = file_of(folder, "run.json");
    char *status = strstr(info.data, "\"finished\"");
    assert_non_null(status);
    memcpy(status, "\"killed!!\"", strlen("\"finished\""));
    mem_free(scratch_file(folder, "run.json", info.data, info.len));
    str_free(&info);
    assert_int_equal(run_in(&b, folder, NULL, NULL, NULL), OK);
    info = file_of(folder, "run.json");
    assert_non_null(strstr(str_text(&info), "\"status\": \"finished\""));
    str_free(&info);
    /* Of another config it is not this run. */
    assert_int_equal(run_in(&b, folder, "training.learning_rate=0.5", NULL, NULL), ERR_CONFIG);
    assert_non_null(strstr(status_message(), "training.learning_rate"));
    /* Started over: the old one is kept beside. */
    assert_int_equal(run_in(&b, folder, "training.learning_rate=0.5", "--resume=never", NULL), OK);
    assert_true(there_is(folder, "old-1/final/trainer_state.json"));
    assert_true(there_is(folder, "old-1/metrics.jsonl"));
    str_free(&before);
    str_free(&after);
    mem_free(a.wrote);
    mem_free(b.wrote);
    scratch_free(folder);
}

static void test_train_run__changed_config_is_refused_with_every_difference(void **state) {
    (void)state;
    char *folder = scratch_new();
    Toy a = {.stop_at = 4, .stop_in_eval = -1}, b = {.stop_in_eval = -1};
    assert_int_equal(run_in(&a, folder, NULL, NULL, NULL), ERR_STOPPED);
    assert_int_equal(
        run_in(&b, folder, "training.learning_rate=0.5", "training.weight_decay=0.25", NULL),
        ERR_CONFIG);
    if (!strstr(status_message(), "learning_rate") || !strstr(status_message(), "weight_decay"))
        fail_msg("%s", status_message());
    /* What does not change the result may change. */
    assert_int_equal(run_in(&b, folder, "training.save_total_limit=2", NULL, NULL), OK);
    mem_free(b.wrote);
    scratch_free(folder);
}

static void test_train_run__best_is_taken_and_kept(void **state) {
    (void)state;
    char *folder = scratch_new(), *plain = scratch_new();
    Toy a = {.stop_in_eval = -1}, b = {.stop_in_eval = -1, .stop_at = 0};
    assert_int_equal(run_in(&a, folder, "training.load_best_model_at_end=true",
                            "training.save_total_limit=1", "training.eval_steps=2"),
                     OK);
    Str final = file_of(folder, "final/trainer_state.json");
    assert_non_null(strstr(str_text(&final), "\"global_step\": 4")); /* 4 and 6 are as good */
    assert_true(there_is(folder, "checkpoints/step-4"));
    assert_false(there_is(folder, "checkpoints/step-3"));
    str_free(&final);
    /* The same weights as a run that ends there. */
    assert_int_equal(run_in(&b, plain, "training.max_steps=4", NULL, NULL), OK);
    assert_string_equal(a.wrote, b.wrote);
    mem_free(a.wrote);
    mem_free(b.wrote);
    scratch_free(folder);
    scratch_free(plain);
}

static void test_train_run__stops_early_when_patience_is_used_up(void **state) {
    (void)state;
    char *folder = scratch_new();
    Toy t = {.stop_in_eval = -1};
    assert_int_equal(run_in(&t, folder, "training.load_best_model_at_end=true",
                            "training.early_stopping_patience=2", "training.eval_steps=1"),
                     OK);
    assert_int_equal(t.evals, 7); /* best at 5, then two that are worse */
    Str final = file_of(folder, "final/trainer_state.json");
    assert_non_null(strstr(str_text(&final), "\"global_step\": 5"));
    str_free(&final);
    mem_free(t.wrote);
    scratch_free(folder);
}

static void test_train_run__unknown_metric_names_what_there_is(void **state) {
    (void)state;
    char *folder = scratch_new();
    Toy t = {.stop_in_eval = -1};
    assert_int_equal(run_in(&t, folder, "training.load_best_model_at_end=true",
                            "training.metric_for_best_model=bleu", NULL),
                     ERR_CONFIG);
    assert_non_null(strstr(status_message(), "bleu"));
    assert_non_null(strstr(status_message(), "eval_loss"));
    scratch_free(folder);
}

static void test_train_run__bad_numbers_stop_it_and_leave_the_checkpoint(void **state) {
    (void)state;
    char *folder = scratch_new();
    Toy t = {.stop_in_eval = -1, .bad_at = 5};
    assert_int_equal(run_in(&t, folder, NULL, NULL, NULL), ERR_NUMERIC);
    assert_non_null(strstr(status_message(), "step 5"));
    assert_non_null(strstr(status_message(), "layer 3"));
    assert_true(there_is(folder, "checkpoints/step-3"));
    assert_false(there_is(folder, "final"));
    scratch_free(folder);
}

static void test_train_run__folder_has_one_owner(void **state) {
    (void)state;
    char *folder = scratch_new();
    ConfigCase cfg = config_for(folder, NULL, NULL, NULL);
    Run *first = NULL, *second = NULL;
    assert_int_equal(run_open(&first, cfg.cfg), OK);
    assert_int_equal(run_open(&second, cfg.cfg), ERR_CREATE);
    assert_null(second);
    run_close(first);
    assert_int_equal(run_open(&second, cfg.cfg), OK);
    run_close(second);
    config_case_close(&cfg);
    scratch_free(folder);
}

static void test_train_run__resume_from_a_path_branches(void **state) {
    (void)state;
    char *folder = scratch_new(), *branch = scratch_new();
    Toy a = {.stop_in_eval = -1}, b = {.stop_in_eval = -1}, c = {.stop_in_eval = -1};
    assert_int_equal(run_in(&a, folder, NULL, NULL, NULL), OK);
    char *arg = str_format("--resume=%s/checkpoints/step-6", folder);
    assert_int_equal(run_in(&b, branch, arg, NULL, NULL), OK);
    assert_string_equal(a.wrote, b.wrote);
    assert_int_equal(count_rows(branch, "learning_rate"), 4); /* 7 to 10 */
    char *bytes = str_format("%s/checkpoints/step-6/state-00001.h5", folder);
    assert_int_equal(truncate(bytes, 600), 0);
    char *other = scratch_new();
    assert_int_equal(run_in(&c, other, arg, NULL, NULL), ERR_DATA);
    mem_free(bytes);
    mem_free(arg);
    mem_free(a.wrote);
    mem_free(b.wrote);
    scratch_free(folder);
    scratch_free(branch);
    scratch_free(other);
}

/* Back to an earlier checkpoint of its own: what was later steps aside, rows are not logged twice.
 */
static void test_train_run__resume_from_its_own_earlier_checkpoint(void **state) {
    (void)state;
    char *folder = scratch_new();
    Toy a = {.stop_in_eval = -1, .stop_at = 8}, b = {.stop_in_eval = -1};
    assert_int_equal(run_in(&a, folder, NULL, NULL, NULL), ERR_STOPPED);
    char *arg = str_format("--resume=%s/./checkpoints/step-3/", folder);
    assert_int_equal(run_in(&b, folder, arg, NULL, NULL), OK);
    assert_int_equal(count_rows(folder, "learning_rate"), 10);
    assert_true(there_is(folder, "old-1/step-6"));
    assert_true(there_is(folder, "checkpoints/step-6")); /* made again */
    mem_free(arg);
    mem_free(b.wrote);
    scratch_free(folder);
}

static void test_train_run__digest_follows_contents_not_places(void **state) {
    (void)state;
    char *a = scratch_new(), *b = scratch_new(), x[65], y[65];
    mem_free(scratch_text(a, "model.safetensors", "weights"));
    mem_free(scratch_text(b, "model.safetensors", "weights"));
    mem_free(scratch_text(b, "README", "anything"));
    assert_int_equal(run_digest_path(x, a), OK);
    assert_int_equal(run_digest_path(y, b), OK);
    assert_string_equal(x, y);
    mem_free(scratch_text(b, "model.safetensors", "Weights"));
    assert_int_equal(run_digest_path(y, b), OK);
    assert_string_not_equal(x, y);
    assert_int_equal(run_digest_path(y, "no/such"), ERR_INPUT);
    scratch_free(a);
    scratch_free(b);
}

static int quiet(void **state) {
    (void)state;
    log_set_level(LOG_ERROR);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_train_run__logs_evaluates_and_saves_when_it_is_time),
        cmocka_unit_test(test_train_run__epoch_strategies_follow_epochs),
        cmocka_unit_test(test_train_run__stopped_and_resumed_is_the_same_run),
        cmocka_unit_test(test_train_run__signal_saves_where_it_is),
        cmocka_unit_test(test_train_run__epoch_evaluation_is_made_up_for),
        cmocka_unit_test(test_train_run__save_only_model),
        cmocka_unit_test(test_train_run__last_step_is_evaluated),
        cmocka_unit_test(test_train_run__last_evaluation_is_made_up_for),
        cmocka_unit_test(test_train_run__best_outlives_a_resume),
        cmocka_unit_test(test_train_run__changed_input_is_refused),
        cmocka_unit_test(test_train_run__killed_goes_on_from_the_last_checkpoint),
        cmocka_unit_test(test_train_run__finished_says_so_and_does_nothing),
        cmocka_unit_test(test_train_run__changed_config_is_refused_with_every_difference),
        cmocka_unit_test(test_train_run__best_is_taken_and_kept),
        cmocka_unit_test(test_train_run__stops_early_when_patience_is_used_up),
        cmocka_unit_test(test_train_run__unknown_metric_names_what_there_is),
        cmocka_unit_test(test_train_run__bad_numbers_stop_it_and_leave_the_checkpoint),
        cmocka_unit_test(test_train_run__folder_has_one_owner),
        cmocka_unit_test(test_train_run__resume_from_a_path_branches),
        cmocka_unit_test(test_train_run__resume_from_its_own_earlier_checkpoint),
        cmocka_unit_test(test_train_run__digest_follows_contents_not_places),
    };
    return cmocka_run_group_tests_name("train_run", tests, quiet, NULL);
}
