/* PPO goes on bit for bit (law L3), stopped or killed at each place where it can be left: inside a
 * rollout, between two chunks of rows that a reward answers, between minibatches and epochs, in an
 * evaluation, while samples are written. */
int program_main(int argc, char **argv);
#define main program_main
#include "ppo/main.c"
#undef main

#include "core/io/h5.h"
#include "program_run.h"
#include "stop_points.h"

/* All weights; a learned reward beside a function; every controller moves. */
static const char full[] = "output_dir: whole\n"
                           "threads: 1\n"
                           "seed: 5\n"
                           "model: {path: runs/smoke/text}\n"
                           "data:\n"
                           "  train: configs/smoke/data/prompts.jsonl\n"
                           "  eval: eval.jsonl\n"
                           "training:\n"
                           "  per_device_train_batch_size: 2\n"
                           "  gradient_accumulation_steps: 3\n"
                           "  max_steps: 3\n"
                           "  learning_rate: 1.0e-3\n"
                           "  logging_steps: 2\n"
                           "  eval_steps: 2\n"
                           "  save_steps: 2\n"
                           "  metric_for_best_model: objective/scores\n"
                           "  load_best_model_at_end: true\n"
                           "ppo:\n"
                           "  reward:\n"
                           "    - {function: length, target: 4, scale: 2}\n"
                           "    - {model: runs/smoke/reward, weight: 0.25}\n"
                           "  response_length: 4\n"
                           "  local_rollout_forward_batch_size: 4\n"
                           "  num_ppo_epochs: 2\n"
                           "  num_mini_batches: 3\n"
                           "  num_sample_generations: 2\n"
                           "  missing_eos_penalty: 1.0\n"
                           "  use_score_scaling: true\n"
                           "  use_score_norm: true\n"
                           "  whiten_rewards: true\n"
                           "  adap_kl_ctrl: true\n";

static const char eval_prompts[] = "{\"prompt\": \"Why?\"}\n{\"prompt\": \"Name a fruit.\"}\n";

static const char lora[] =
    "output_dir: whole\n"
    "threads: 1\n"
    "model: {path: runs/smoke/lora}\n"
    "peft: {r: 2, lora_alpha: 4, lora_dropout: 0.1, target_modules: all-linear}\n"
    "data: {train: configs/smoke/data/prompts.jsonl}\n"
    "training: {per_device_train_batch_size: 4, max_steps: 3, learning_rate: 1.0e-2,\n"
    "           logging_steps: 1, save_steps: 2}\n"
    "ppo: {reward: {model: runs/smoke/reward-lora}, response_length: 4, num_ppo_epochs: 3,\n"
    "      num_mini_batches: 2, num_sample_generations: 2, kl_estimator: k3, target_kl: 0.001}\n";

/* Where PPO was left, read from the checkpoints that the stops made. */
typedef struct Places {
    int in_rollout, in_scoring, between_minibatches, between_epochs, between_updates;
} Places;

static int64_t saved_int(const H5Reader *h5, const char *path) {
    int64_t value = -1;
    assert_int_equal(h5_get(h5, path, (Tensor){.data = &value, .dtype = DTYPE_I64}), OK);
    return value;
}

/* How many of the rows are marked. */
static int64_t saved_marks(const H5Reader *h5, const char *path, int64_t *rows) {
    uint8_t marks[64];
    *rows = h5_find(h5, path)->shape[0];
    assert_in_range(*rows, 1, 64);
    assert_int_equal(h5_get(h5, path, tensor_1d(marks, DTYPE_U8, *rows)), OK);
    int64_t n = 0;
    for (int64_t i = 0; i < *rows; i++) n += marks[i];
    return n;
}

static void look(void *ctx, const char *run) {
    Places *p = ctx;
    char *latest = file_join(run, "checkpoints/latest");
    bool saved = file_exists(latest);
    mem_free(latest);
    if (!saved) return; /* a stop while opening: nothing is left behind */
    H5Reader *h5 = NULL;
    char *folder = last_checkpoint(run), *path = file_join(folder, "state-00001.h5");
    assert_int_equal(h5_open(&h5, path), OK);
    int64_t phase = saved_int(h5, "ppo/phase"), rows = 0;
    int64_t minibatch = saved_int(h5, "ppo/minibatch"), epoch = saved_int(h5, "ppo/epoch");
    bool fresh = saved_int(h5, "ppo/rollout_of") == saved_int(h5, "run/step") + 1;
    int64_t done = saved_marks(h5, "ppo/rollout/done", &rows);
    int64_t scored = saved_marks(h5, "ppo/rollout/scored", &rows);
    bool sampling = phase == PPO_PHASE_ROLLOUT && fresh;
    p->in_rollout += sampling && done > 0 && done < rows;
    p->in_scoring += sampling && scored > 0 && scored < rows;
    p->between_minibatches += phase == PPO_PHASE_OPTIMISE && minibatch > 0;
    p->between_epochs += phase == PPO_PHASE_OPTIMISE && minibatch == 0 && epoch > 0;
    p->between_updates += phase == PPO_PHASE_ROLLOUT && !fresh;
    h5_close(h5);
    mem_free(path);
    mem_free(folder);
}

static Places walk(const char *yaml, const char *before, int64_t first, int64_t usual) {
    Places places = {0};
    char *folder = program_folder();
    program_prepare(folder, before);
    mem_free(scratch_text(folder, "eval.jsonl", eval_prompts));
    mem_free(scratch_text(folder, "run.yaml", yaml));
    stop_points_walk(folder, "run.yaml", first, stop_points_stride(usual), look, &places);
    scratch_free(folder);
    return places;
}

static void test_resume_ppo__full(void **state) {
    (void)state;
    /* Six questions in a row belong to the minibatches of an update: no stride of 4 leaves them
     * out. */
    Places p = walk(full, "125", 1, 4);
    assert_true(p.in_rollout > 0);
    assert_true(p.in_scoring > 0);
    assert_true(p.between_minibatches > 0);
    assert_true(p.between_updates > 0);
}

static void test_resume_ppo__lora(void **state) {
    (void)state;
    Places p = walk(lora, "1236", 2, 3);
    assert_true(p.between_minibatches > 0);
    assert_true(p.between_epochs > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resume_ppo__full),
        cmocka_unit_test(test_resume_ppo__lora),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
