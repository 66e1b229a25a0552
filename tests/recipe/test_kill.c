/* The real programs, killed (SIGKILL) or asked to leave (SIGTERM, SIGUSR1, SIGHUP, SIGINT) at
 * random instants, also while they start up and save, and started again until they are done: the
 * same run as an uninterrupted one, bit for bit. With HONE_TESTS_FULL=1 many times. */
#include "core/progress.h"
#include "core/rng.h"
#include "program_run.h"
#include "run_compare.h"

#define MAX_KILLS 12 /* of one run; the next start goes to the end */

static const char sft[] =
    "output_dir: cut\n"
    "threads: 1\n"
    "model: {config: configs/models/llama-smoke.json, tokenizer: configs/smoke/tokenizer}\n"
    "data: {train: configs/smoke/data/completions.jsonl, eval: "
    "configs/smoke/data/completions.jsonl,\n"
    "       max_length: 48, packing: true}\n"
    "training: {per_device_train_batch_size: 2, max_steps: 24, learning_rate: 1.0e-2,\n"
    "           logging_steps: 3, save_steps: 3, eval_steps: 4, save_total_limit: 2,\n"
    "           load_best_model_at_end: true}\n";

static const char reward[] =
    "output_dir: cut\n"
    "threads: 1\n"
    "model: {path: runs/smoke/text}\n"
    "peft: {r: 2, lora_alpha: 4, target_modules: all-linear}\n"
    "data: {train: configs/smoke/data/pairs.jsonl, max_length: 64}\n"
    "training: {per_device_train_batch_size: 4, max_steps: 16, learning_rate: 1.0e-2,\n"
    "           logging_steps: 3, save_steps: 3}\n";

static const char ppo[] =
    "output_dir: cut\n"
    "threads: 1\n"
    "model: {path: runs/smoke/text}\n"
    "data: {train: configs/smoke/data/prompts.jsonl}\n"
    "training: {per_device_train_batch_size: 4, max_steps: 6, learning_rate: 1.0e-3,\n"
    "           logging_steps: 1, save_steps: 2}\n"
    "ppo:\n"
    "  reward: [{command: [sh, reward.sh], weight: 0.1}, {function: ends}]\n"
    "  response_length: 12\n"
    "  num_ppo_epochs: 2\n"
    "  num_mini_batches: 2\n"
    "  num_sample_generations: 3\n"
    "  adap_kl_ctrl: true\n";

/* The number of characters of the line, which changes with the response. */
static const char reward_program[] = "while IFS= read -r line; do echo \"${#line}\"; done\n";

/* A start of the program that gets `number` after `delay_s`, or ends before. */
static int run_cut(const char *folder, const char *program, int number, double delay_s) {
    char *argv[] = {(char *)program, (char *)"run.yaml", NULL};
    pid_t child = program_start(folder, false, argv);
    struct timespec wait = {.tv_sec = (time_t)delay_s,
                            .tv_nsec = (long)((delay_s - (double)(time_t)delay_s) * 1e9)};
    nanosleep(&wait, NULL);
    kill(child, number);
    return program_wait(child);
}

/* Done, left with 75, or the signal came before main: then not a line was logged. */
static void check_end(const char *folder, const char *program, int code, int number) {
    if (code == 0 || code == ERR_STOPPED) return;
    if (code != 128 + number) program_expect(folder, program, code, ERR_STOPPED);
    if (number == SIGKILL) return;
    char *log = program_text(folder, "log");
    if (*log) fail_msg("%s died of signal %d:\n%s", program, number, log);
    mem_free(log);
}

static int cut_until_done(const char *folder, const char *program, double whole_s, uint64_t seed) {
    static const int signals[] = {SIGKILL, SIGKILL, SIGTERM, SIGUSR1, SIGHUP, SIGINT};
    RngStream random = rng_stream(seed, RNG_WORLD, 0);
    int kills = 0;
    for (; kills < MAX_KILLS; kills++) {
        int number = signals[rng_below(&random, sizeof signals / sizeof *signals)];
        int code = run_cut(folder, program, number, rng_next_uniform(&random) * whole_s);
        check_end(folder, program, code, number);
        if (code == 0) return kills;
    }
    char *argv[] = {(char *)program, (char *)"run.yaml", NULL};
    int code = program_wait(program_start(folder, false, argv));
    program_expect(folder, program, code, 0);
    return kills;
}

static void compare(const char *name, const char *yaml, const char *before) {
    char *folder = program_folder(), *program = str_format(HONE_BIN_DIR "/%s", name);
    program_prepare(folder, before);
    mem_free(scratch_text(folder, "run.yaml", yaml));
    mem_free(scratch_text(folder, "reward.sh", reward_program));
    char *whole = file_join(folder, "whole"), *cut = file_join(folder, "cut");
    double start = progress_clock_s();
    int code = program_run(folder, name, "run.yaml", "output_dir=whole", NULL);
    program_expect(folder, name, code, 0);
    double whole_s = progress_clock_s() - start;
    int rounds = getenv("HONE_TESTS_FULL") ? 40 : 2, kills = 0;
    /* A first run may be slower than the others, which are then done before their signal: a few more
     * rounds with earlier signals, until one was hit. */
    for (int round = 0; round < rounds || (kills == 0 && round < rounds + 40); round++) {
        int hit = cut_until_done(folder, program, whole_s, (uint64_t)round);
        if (hit == 0) whole_s /= 2;
        kills += hit;
        assert_same_run(whole, cut);
        assert_int_equal(file_remove_tree(cut), OK);
    }
    print_message("%s: %d kills in %d runs\n", name, kills, rounds);
    assert_true(kills > 0);
    mem_free(whole);
    mem_free(cut);
    mem_free(program);
    scratch_free(folder);
}

static void test_kill__sft(void **state) {
    (void)state;
    compare("sft", sft, "");
}

static void test_kill__reward(void **state) {
    (void)state;
    compare("reward", reward, "1");
}

static void test_kill__ppo(void **state) {
    (void)state;
    compare("ppo", ppo, "1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kill__sft),
        cmocka_unit_test(test_kill__reward),
        cmocka_unit_test(test_kill__ppo),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
