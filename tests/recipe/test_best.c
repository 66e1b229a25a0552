/* load_best_model_at_end and early stopping in all three programs: what final/ holds are the
 * parameters of the best evaluated step, as its checkpoint has them. And runs that are shorter than
 * eval_steps: their last step is evaluated. */
#include "core/io/h5.h"
#include "core/io/safetensors.h"
#include "program_run.h"
#include "run_compare.h"

static char *folder; /* of all tests: the working folder, with the smoke models in it */

/* An integer member of final/trainer_state.json. */
static int64_t state_int(const char *key) {
    Json *j = NULL;
    char *text = program_text("run", "final/trainer_state.json");
    assert_int_equal(json_parse(&j, text, strlen(text), "trainer_state.json", 1), OK);
    if (!json_is(json_get(j, key), JSON_KIND_INT)) fail_msg("no `%s` in %s", key, text);
    int64_t value = json_int(json_get(j, key));
    mem_free(text);
    json_free(j);
    return value;
}

/* The steps that were evaluated, in metrics.jsonl. */
static int evaluations(const char *metric, double *values) {
    char *text = program_text("run", "metrics.jsonl");
    char *key = str_format("\"%s\": ", metric);
    int n = 0;
    for (const char *at = text; (at = strstr(at, key)) != NULL;)
        values[n++] = strtod(at += strlen(key), NULL);
    mem_free(key);
    mem_free(text);
    return n;
}

/* Tensor `name` of final/FILE is `path` of the checkpoint of step `step`, bit for bit. */
static bool is_of_step(const char *file, const char *name, int64_t step, const char *path) {
    Safetensors *final = NULL;
    H5Reader *h5 = NULL;
    char *state = str_format("run/checkpoints/step-%lld/state-00001.h5", (long long)step);
    char *weights = str_format("run/final/%s", file);
    if (h5_open(&h5, state) != OK || safetensors_open(&final, weights) != OK)
        fail_msg("%s", status_message());
    const TensorEntry *e = safetensors_find(final, name);
    if (!e || !h5_find(h5, path)) fail_msg("no `%s` or no `%s`", name, path);
    Tensor t = {.data = mem_zalloc(e->bytes, 1), .dtype = DTYPE_F32, .rank = e->rank};
    memcpy(t.shape, e->shape, sizeof t.shape);
    assert_int_equal(h5_get(h5, path, t), OK);
    bool same = memcmp(t.data, e->data, e->bytes) == 0;
    mem_free(t.data);
    mem_free(weights);
    mem_free(state);
    safetensors_close(final);
    h5_close(h5);
    return same;
}

typedef struct BestCase {
    const char *program, *yaml, *metric;
    const char *file, *name, *path; /* a tensor of final/ and of the checkpoint */
} BestCase;

/* "Better" is turned around or needs an impossible gain, so that patience ends the run. */
static const BestCase cases[] = {
    {"sft",
     "model: {path: runs/smoke/text}\n"
     "data: {train: configs/smoke/data/completions.jsonl, eval: "
     "configs/smoke/data/completions.jsonl,"
     " max_length: 24}\n"
     "training: {per_device_train_batch_size: 4, max_steps: 8, learning_rate: 1.0e-2, eval_steps: "
     "1,"
     " save_steps: 100, load_best_model_at_end: true, greater_is_better: true,"
     " early_stopping_patience: 2}\n",
     "eval_loss", "model.safetensors", "model.norm.weight", "params/model.norm.weight"},
    {"reward",
     "model: {path: runs/smoke/text}\n"
     "peft: {r: 2, target_modules: [q_proj]}\n"
     "data: {train: configs/smoke/data/pairs.jsonl, eval: configs/smoke/data/pairs.jsonl,"
     " max_length: 64}\n"
     "training: {per_device_train_batch_size: 4, max_steps: 8, learning_rate: 1.0e-2, eval_steps: "
     "2,"
     " save_steps: 100, load_best_model_at_end: true, metric_for_best_model: margin,"
     " greater_is_better: false, early_stopping_patience: 2}\n",
     "eval_margin", "adapter_model.safetensors", "base_model.model.score.weight",
     "params/score.weight"},
    {"ppo",
     "model: {path: runs/smoke/text}\n"
     "data: {train: configs/smoke/data/prompts.jsonl, eval: configs/smoke/data/prompts.jsonl}\n"
     "training: {per_device_train_batch_size: 4, max_steps: 8, learning_rate: 1.0e-2, eval_steps: "
     "1,"
     " save_steps: 100, load_best_model_at_end: true, early_stopping_patience: 2,"
     " early_stopping_threshold: 1000}\n"
     "ppo: {reward: {function: length, target: 4}, response_length: 6, num_sample_generations: "
     "0}\n",
     "eval_objective/scores", "model.safetensors", "model.norm.weight", "params/model.norm.weight"},
};

static void check(const BestCase *c) {
    double values[16];
    char *yaml = str_format("output_dir: run\nthreads: 1\n%s", c->yaml);
    mem_free(scratch_text(".", "run.yaml", yaml));
    mem_free(yaml);
    program_expect(".", c->program, program_run(".", c->program, "run.yaml", NULL), 0);
    char *log = program_text(".", "log");
    if (!strstr(log, "stops early after step")) fail_msg("%s:\n%s", c->program, log);
    /* The first is the best that patience knows; two that are not better end the run. */
    int n = evaluations(c->metric, values);
    assert_int_equal(n, 3);
    int64_t best = state_int("best_global_step"), every = str_equal(c->program, "reward") ? 2 : 1;
    int64_t last = every * n;
    assert_int_equal(state_int("global_step"), best);
    assert_in_range(best, every, last);
    if (!str_equal(c->program, "ppo")) assert_int_equal(best, every);
    assert_true(is_of_step(c->file, c->name, best, c->path));
    assert_true(best == last || !is_of_step(c->file, c->name, last, c->path));
    mem_free(log);
    assert_int_equal(file_remove_tree("run"), OK);
}

static void test_best__sft(void **state) {
    (void)state;
    check(&cases[0]);
}

static void test_best__reward(void **state) {
    (void)state;
    check(&cases[1]);
}

static void test_best__ppo(void **state) {
    (void)state;
    check(&cases[2]);
}

/* The row of the evaluation says the last step. */
static void test_best__a_short_run_is_evaluated_at_its_end(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const BestCase *c = &cases[i];
        double values[16];
        char *yaml = str_format("output_dir: run\nthreads: 1\n%s", c->yaml);
        mem_free(scratch_text(".", "run.yaml", yaml));
        mem_free(yaml);
        int code = program_run(".", c->program, "run.yaml", "training.max_steps=2",
                               "training.eval_steps=100", NULL);
        program_expect(".", c->program, code, 0);
        assert_int_equal(evaluations(c->metric, values), 1);
        assert_int_equal(state_int("best_global_step"), 2);
        assert_int_equal(file_remove_tree("run"), OK);
    }
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
        cmocka_unit_test(test_best__sft),
        cmocka_unit_test(test_best__reward),
        cmocka_unit_test(test_best__ppo),
        cmocka_unit_test(test_best__a_short_run_is_evaluated_at_its_end),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
