/* Each program, killed at random instants and stopped by signals, then started again until it is
 * done: the same weights, checkpoints, metrics and samples, bit for bit, as a run that nobody
 * disturbed. */
#include "unit.h"

#include "core/file.h"
#include "core/io/jsonl.h"
#include "core/mem.h"
#include "core/progress.h"
#include "scratch.h"
#include "train/report/metrics.h"

#include <errno.h>
#include <time.h>

#define ROUNDS 12 /* disturbed starts before the one that is left alone */

/* The folder where all of it happens; `configs` there leads to the repository's. */
static char *place;

static pid_t start(const char *program, const char *config, const char *output, bool longer) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child != 0) return child;
    int log = -1;
    char *binary = str_format(HONE_BIN_DIR "/%s", program);
    char *path = str_format("configs/smoke/%s", config);
    char *folder = str_format("output_dir=%s", output);
    if (chdir(place) == 0) log = open("log", O_CREAT | O_APPEND | O_WRONLY, 0600);
    if (log < 0 || dup2(log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0) _exit(126);
    if (longer)
        execl(binary, program, path, folder, "training.max_steps=16", "training.save_steps=3",
              "training.logging_steps=1", (char *)NULL);
    else
        execl(binary, program, path, folder, (char *)NULL);
    _exit(127);
}

static int wait_for(pid_t child) {
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void must_run(const char *program, const char *config, const char *output, bool longer) {
    int code = wait_for(start(program, config, output, longer));
    if (code == 0) return;
    Str log = {0};
    char *path = file_join(place, "log");
    assert_int_equal(file_read(&log, path, 1 << 24), OK);
    fail_msg("%s %s left with %d:\n%s", program, config, code, str_text(&log));
}

/* Some milliseconds later, `number` is sent; the exit code, 128 + signal when that ended it. */
static int disturb(const char *program, const char *config, const char *output, double after_s,
                   int number) {
    pid_t child = start(program, config, output, true);
    struct timespec t = {.tv_sec = (time_t)after_s};
    t.tv_nsec = (long)(1e9 * (after_s - (double)t.tv_sec));
    nanosleep(&t, NULL);
    kill(child, number);
    return wait_for(child);
}

/* ---- comparing ------------------------------------------------------------------------------ */

static Str read_file(const char *folder, const char *name) {
    Str text = {0};
    char *path = str_format("%s/%s/%s", place, folder, name);
    if (file_read(&text, path, 1 << 28) != OK) fail_msg("%s", status_message());
    mem_free(path);
    return text;
}

static void assert_same_bytes(const char *a, const char *b, const char *name) {
    Str x = read_file(a, name), y = read_file(b, name);
    if (x.len != y.len || memcmp(str_text(&x), str_text(&y), x.len) != 0)
        fail_msg("%s of %s and of %s differ", name, a, b);
    str_free(&x);
    str_free(&y);
}

static void assert_same_folder(const char *a, const char *b, const char *name) {
    FileList names;
    char *path = str_format("%s/%s/%s", place, a, name);
    assert_int_equal(file_list(&names, path), OK);
    assert_true(names.count > 0);
    for (size_t i = 0; i < names.count; i++) {
        char *file = file_join(name, names.names[i]);
        /* Offsets into files with clock readings are in the manifest. */
        if (!str_equal(names.names[i], "MANIFEST.json")) assert_same_bytes(a, b, file);
        mem_free(file);
    }
    file_list_free(&names);
    mem_free(path);
}

static Str rows_without_clock(const char *folder) {
    Str out = {0};
    char *path = str_format("%s/%s/metrics.jsonl", place, folder);
    Jsonl *rows = NULL;
    assert_int_equal(jsonl_open(&rows, path), OK);
    for (int64_t i = 0; i < jsonl_rows(rows); i++) {
        Json *row = NULL, *kept = json_new_object(), *value;
        const char *key;
        assert_int_equal(jsonl_parse(&row, rows, i), OK);
        for (JsonIter it = {0}; json_next(row, &it, &key, &value);)
            if (!metrics_is_clock(key)) json_set(kept, key, json_clone(value));
        json_dump(&out, kept, 0);
        str_append(&out, "\n");
        json_free(kept);
        json_free(row);
    }
    jsonl_close(rows);
    mem_free(path);
    return out;
}

/* ---- the programs --------------------------------------------------------------------------- */

static void check_program(const char *program, const char *config) {
    char *whole = str_format("runs/whole-%s", program), *cut = str_format("runs/cut-%s", program);
    double began = progress_clock_s();
    must_run(program, config, whole, true);
    double seconds = progress_clock_s() - began;
    RngStream rng = rng_stream(20, RNG_WORLD, rng_hash_name(program));
    int killed = 0, stopped = 0;
    for (int i = 0; i < ROUNDS; i++) {
        int number = i % 2 == 0 ? SIGKILL : i % 4 == 1 ? SIGTERM : SIGUSR1;
        int code = disturb(program, config, cut, 0.7 * seconds * rng_next_uniform(&rng), number);
        if (code == 0) break; /* it was done before */
        if (number == SIGKILL)
            assert_int_equal(code, 128 + SIGKILL);
        else if (code != 128 + number)
            assert_int_equal(code, ERR_STOPPED); /* or not yet listening */
        killed += number == SIGKILL;
        stopped += code == ERR_STOPPED;
    }
    must_run(program, config, cut, true);
    print_message("%s: %.2f s, killed %d times, stopped %d times\n", program, seconds, killed,
                  stopped);
    Str x = rows_without_clock(whole), y = rows_without_clock(cut);
    assert_string_equal(str_text(&x), str_text(&y));
    str_free(&x);
    str_free(&y);
    assert_same_bytes(whole, cut, "samples.jsonl");
    assert_same_folder(whole, cut, "final");
    assert_same_folder(whole, cut, "checkpoints/step-16");
    mem_free(whole);
    mem_free(cut);
}

static void test_checkpoint_programs__sft_goes_on_bit_for_bit(void **state) {
    (void)state;
    check_program("sft", "3_sft_lora.yaml");
}

static void test_checkpoint_programs__reward_goes_on_bit_for_bit(void **state) {
    (void)state;
    check_program("reward", "6_reward_lora.yaml");
}

static void test_checkpoint_programs__ppo_goes_on_bit_for_bit(void **state) {
    (void)state;
    check_program("ppo", "7_ppo_learned.yaml");
}

/* What the three start from. */
static int prepare(void **state) {
    (void)state;
    place = scratch_new();
    char *configs = file_join(place, "configs");
    if (symlink(HONE_SOURCE_DIR "/configs", configs) != 0) return -1;
    mem_free(configs);
    must_run("sft", "1_sft_text.yaml", "runs/smoke/text", false);
    must_run("sft", "2_sft_full.yaml", "runs/smoke/full", false);
    must_run("sft", "3_sft_lora.yaml", "runs/smoke/lora", false);
    must_run("reward", "6_reward_lora.yaml", "runs/smoke/reward-lora", false);
    return 0;
}

static int clean_up(void **state) {
    (void)state;
    scratch_free(place);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checkpoint_programs__sft_goes_on_bit_for_bit),
        cmocka_unit_test(test_checkpoint_programs__reward_goes_on_bit_for_bit),
        cmocka_unit_test(test_checkpoint_programs__ppo_goes_on_bit_for_bit),
    };
    return cmocka_run_group_tests_name("checkpoint_programs", tests, prepare, clean_up);
}
