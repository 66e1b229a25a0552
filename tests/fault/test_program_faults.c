/* Faults inside of whole runs of all three programs. No memory at the Nth allocation: one line and
 * exit code 71, never a signal. Killed at the Nth call that changes files, of saves, logs and
 * exports alike. After either, the newest checkpoint is whole, and the next start ends as an
 * uninterrupted run does. With HONE_TESTS_FULL=1 at many more places.
 *
 * The allocator that fails stands in for core/mem.c's calls of malloc and its kin; the calls that
 * are killed are those of io_ops. */
#define _DEFAULT_SOURCE 1 /* of core/mem.c */
#include <stddef.h>
void *failing_malloc(size_t bytes);
void *failing_calloc(size_t n, size_t size);
void *failing_realloc(void *p, size_t bytes);
void *failing_aligned_alloc(size_t align, size_t bytes);

/* Before the macros: their own declarations. */
#include <stdlib.h>
#define malloc failing_malloc
#define calloc failing_calloc
#define realloc failing_realloc
#define aligned_alloc failing_aligned_alloc
#include "core/mem.c"
#undef malloc
#undef calloc
#undef realloc
#undef aligned_alloc

#include "ppo/ppo_program.h"
#include "reward/reward_program.h"
#include "sft/sft_program.h"

int sft_main(int argc, char **argv);
int reward_main(int argc, char **argv);
int ppo_main(int argc, char **argv);
#define main sft_main
#define train train_sft
#include "sft/main.c"
#undef train
#undef main
#define main reward_main
#define train train_reward
#include "reward/main.c"
#undef train
#undef main
#define main ppo_main
#define train train_ppo
#include "ppo/main.c"
#undef train
#undef main

#include "core/io_ops.h"
#include "program_run.h"
#include "run_compare.h"
#include "train/checkpoint.h"

static int64_t asked, refused_at; /* 0: none is refused */

static bool refuse(void) {
    int64_t number = __atomic_add_fetch(&asked, 1, __ATOMIC_RELAXED);
    return number == refused_at;
}

void *failing_malloc(size_t bytes) {
    return refuse() ? NULL : malloc(bytes);
}
void *failing_calloc(size_t n, size_t size) {
    return refuse() ? NULL : calloc(n, size);
}
void *failing_realloc(void *p, size_t bytes) {
    return refuse() ? NULL : realloc(p, bytes);
}
void *failing_aligned_alloc(size_t align, size_t bytes) {
    return refuse() ? NULL : aligned_alloc(align, bytes);
}

/* ---- killed before a call, which then never happens, or right behind it ---- */

static IoOps real;
static int64_t called, killed_at;

static void count_call(void) {
    if (__atomic_add_fetch(&called, 1, __ATOMIC_RELAXED) == killed_at) raise(SIGKILL);
}

#define COUNTED(type, name, parameters, arguments) \
    static type counted_##name parameters {        \
        count_call();                              \
        return real.name arguments;                \
    }
COUNTED(int, open, (const char *path, int flags, mode_t mode), (path, flags, mode))
COUNTED(int, truncate, (int fd, off_t bytes), (fd, bytes))
COUNTED(int, fsync, (int fd), (fd))
COUNTED(int, rename, (const char *from, const char *to), (from, to))
COUNTED(int, exchange, (const char *a, const char *b), (a, b))
COUNTED(int, unlink, (const char *path), (path))

/* Half of it is there. */
static ssize_t counted_write(int fd, const void *data, size_t n) {
    if (called + 1 == killed_at) (void)!real.write(fd, data, n / 2);
    count_call();
    return real.write(fd, data, n);
}

static void count_calls(void) {
    real = io_ops;
    io_ops.open = counted_open;
    io_ops.truncate = counted_truncate;
    io_ops.fsync = counted_fsync;
    io_ops.rename = counted_rename;
    io_ops.exchange = counted_exchange;
    io_ops.unlink = counted_unlink;
    io_ops.write = counted_write;
}

/* ---- a run in a child ---- */

typedef enum Fault { FAULT_NO_MEMORY, FAULT_KILL } Fault;

typedef int Program(int argc, char **argv);

/* The program on folder/run.yaml in a child, with its output in folder/log; the exit code, or 128 +
 * signal. at: which call goes wrong; 0: none. *count: calls until it ended; -1 when it did not
 * return. */
static int run(Program *program, const char *folder, const char *output, Fault fault, int64_t at,
               int64_t *count) {
    int back[2];
    if (pipe(back) != 0) abort();
    pid_t child = fork();
    if (child == 0) {
        int log = chdir(folder) == 0 ? open("log", O_CREAT | O_TRUNC | O_WRONLY, 0600) : -1;
        if (log < 0 || dup2(log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0) _exit(126);
        for (int number = 1; number < 32; number++) /* cmocka's handlers are not for the child */
            if (number != SIGKILL && number != SIGSTOP) signal(number, SIG_DFL);
        asked = 0;
        refused_at = fault == FAULT_NO_MEMORY ? at : 0;
        killed_at = fault == FAULT_KILL ? at : 0;
        count_calls();
        char *word = str_format("output_dir=%s", output);
        char *argv[] = {(char *)"program", (char *)"run.yaml", word, NULL};
        int code = program(3, argv);
        int64_t n = fault == FAULT_KILL ? called : asked;
        if (write(back[1], &n, sizeof n) != sizeof n) _exit(126);
        fflush(NULL);
        _exit(code);
    }
    close(back[1]);
    int64_t n = -1;
    if (read(back[0], &n, sizeof n) != sizeof n) n = -1;
    close(back[0]);
    if (count) *count = n;
    return program_wait(child);
}

static int count_errors(const char *log) {
    int n = 0;
    for (const char *at = log; (at = strstr(at, "error: ")) != NULL; at++)
        n += at == log || at[-1] == '\n';
    return n;
}

static void check_refused(const char *folder, int64_t at, int code) {
    char *log = program_text(folder, "log");
    if (code != ERR_OS || count_errors(log) != 1 || !strstr(log, "error: out of memory"))
        fail_msg("allocation %lld: exit code %d\n%s", (long long)at, code, log);
    mem_free(log);
}

/* The newest checkpoint, if there is one, is whole. */
static void check_saved(const char *cut) {
    char *latest = file_join(cut, "checkpoints/latest");
    if (file_exists(latest)) {
        char *folder = last_checkpoint(cut);
        if (checkpoint_verify(folder, NULL) != OK) fail_msg("%s", status_message());
        mem_free(folder);
    }
    mem_free(latest);
}

/* What a killed process had begun is not left beside what the next one made. */
static void check_leftovers(const char *folder) {
    FileList names;
    assert_int_equal(file_list(&names, folder), OK);
    for (size_t i = 0; i < names.count; i++) {
        char *path = file_join(folder, names.names[i]);
        if (str_starts(names.names[i], ".tmp-") || str_starts(names.names[i], ".old-"))
            fail_msg("%s is left", path);
        if (file_is_folder(path)) check_leftovers(path);
        mem_free(path);
    }
    file_list_free(&names);
}

static void walk_fault(Program *program, const char *folder, Fault fault) {
    char *whole = file_join(folder, "whole"), *cut = file_join(folder, "cut");
    int64_t all = 0;
    program_expect(folder, "program", run(program, folder, "whole", fault, 0, &all), 0);
    assert_true(all > 50);
    int64_t places = getenv("HONE_TESTS_FULL") ? 400 : 12, tried = 0;
    int64_t stride = all / places + 1;
    for (int64_t at = 1 + stride / 2; at <= all; at += stride, tried++) {
        int code = run(program, folder, "cut", fault, at, NULL);
        if (fault == FAULT_NO_MEMORY) check_refused(folder, at, code);
        if (fault == FAULT_KILL) assert_int_equal(code, 128 + SIGKILL);
        check_saved(cut);
        program_expect(folder, "program", run(program, folder, "cut", fault, 0, NULL), 0);
        assert_same_run(whole, cut);
        check_leftovers(cut);
        assert_int_equal(file_remove_tree(cut), OK);
    }
    print_message("%s at %lld of %lld calls\n", fault == FAULT_KILL ? "killed" : "no memory",
                  (long long)tried, (long long)all);
    assert_int_equal(file_remove_tree(whole), OK);
    mem_free(whole);
    mem_free(cut);
}

static void walk(Program *program, const char *yaml, const char *before) {
    char *folder = program_folder();
    program_prepare(folder, before);
    mem_free(scratch_text(folder, "run.yaml", yaml));
    walk_fault(program, folder, FAULT_NO_MEMORY);
    walk_fault(program, folder, FAULT_KILL);
    scratch_free(folder);
}

static void test_program_faults__sft(void **state) {
    (void)state;
    walk(sft_main,
         "output_dir: run\n"
         "threads: 1\n"
         "model: {config: configs/models/llama-smoke.json, tokenizer: configs/smoke/tokenizer}\n"
         "data: {train: configs/smoke/data/completions.jsonl, max_length: 48}\n"
         "training: {per_device_train_batch_size: 2, max_steps: 4, logging_steps: 1,\n"
         "           save_steps: 1}\n",
         "");
}

static void test_program_faults__reward(void **state) {
    (void)state;
    walk(reward_main,
         "output_dir: run\n"
         "threads: 1\n"
         "model: {path: runs/smoke/text}\n"
         "peft: {r: 2, lora_alpha: 4, target_modules: all-linear}\n"
         "data: {train: configs/smoke/data/pairs.jsonl, max_length: 64}\n"
         "training: {per_device_train_batch_size: 4, max_steps: 3, logging_steps: 1,\n"
         "           save_steps: 1}\n",
         "1");
}

static void test_program_faults__ppo(void **state) {
    (void)state;
    walk(ppo_main,
         "output_dir: run\n"
         "threads: 1\n"
         "model: {path: runs/smoke/text}\n"
         "data: {train: configs/smoke/data/prompts.jsonl}\n"
         "training: {per_device_train_batch_size: 4, max_steps: 3, logging_steps: 1,\n"
         "           save_steps: 1}\n"
         "ppo: {reward: {function: ends}, response_length: 6, num_ppo_epochs: 2}\n",
         "1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_program_faults__sft),
        cmocka_unit_test(test_program_faults__reward),
        cmocka_unit_test(test_program_faults__ppo),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
