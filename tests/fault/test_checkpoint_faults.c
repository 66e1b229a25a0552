/* Faults of a save: the process ends, or the disk refuses, at every single I/O call. Whatever
 * happens, the newest checkpoint that verifies is the old one or the new one, whole, and a refusal
 * is reported. */
#include "unit.h"

#include "core/io_ops.h"
#include "core/log.h"
#include "state_case.h"
#include "scratch.h"
#include "train/checkpoint.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- a table of calls that counts, and fails or kills at the Nth ---------------------------- */

typedef enum Fault {
    FAULT_NONE,
    FAULT_KILL_BEFORE,
    FAULT_KILL_AFTER,
    FAULT_ONCE,
    FAULT_STICKY
} Fault;

static IoOps real;
static Fault fault;
static int fault_at, fault_errno, calls;

static void die(void) {
    kill(getpid(), SIGKILL);
}

/* True when this call is to fail. */
static bool before(void) {
    calls++;
    if (fault == FAULT_KILL_BEFORE && calls == fault_at) die();
    bool hit =
        (fault == FAULT_ONCE && calls == fault_at) || (fault == FAULT_STICKY && calls >= fault_at);
    if (hit) errno = fault_errno;
    return hit;
}

static void after(void) {
    if (fault == FAULT_KILL_AFTER && calls == fault_at) die();
}

#define WRAPPED(type, name, parameters, arguments) \
    static type faulty_##name parameters {         \
        if (before()) return -1;                   \
        type result = real.name arguments;         \
        after();                                   \
        return result;                             \
    }
WRAPPED(int, open, (const char *path, int flags, mode_t mode), (path, flags, mode))
WRAPPED(int, allocate, (int fd, off_t bytes), (fd, bytes))
WRAPPED(int, truncate, (int fd, off_t bytes), (fd, bytes))
WRAPPED(int, fsync, (int fd), (fd))
WRAPPED(int, mkdir, (const char *path, mode_t mode), (path, mode))
WRAPPED(int, rename, (const char *from, const char *to), (from, to))
WRAPPED(int, exchange, (const char *a, const char *b), (a, b))
WRAPPED(int, unlink, (const char *path), (path))
WRAPPED(int, rmdir, (const char *path), (path))

/* A failing disk has often taken part of it. */
static ssize_t faulty_write(int fd, const void *data, size_t n) {
    if (before()) {
        if (n > 1) (void)!real.write(fd, data, n / 2);
        errno = fault_errno;
        return -1;
    }
    if (fault == FAULT_KILL_AFTER && calls == fault_at) {
        (void)!real.write(fd, data, n / 2);
        die();
    }
    return real.write(fd, data, n);
}

/* The descriptor is gone even when close reports an error. */
static int faulty_close(int fd) {
    bool fails = before();
    int result = real.close(fd);
    after();
    if (fails) errno = fault_errno;
    return fails ? -1 : result;
}

/* A killed process loses nothing that the kernel has; only power does. Thousands of flushes would
 * take minutes. */
static int no_fsync(int fd) {
    (void)fd;
    return 0;
}

static void inject(Fault f, int at, int error) {
    fault = f;
    fault_at = at;
    fault_errno = error;
    calls = 0;
    if (real.open == NULL) {
        real = io_ops;
        real.fsync = no_fsync;
    }
    io_ops = f == FAULT_NONE ? real
                             : (IoOps){.open = faulty_open,
                                       .write = faulty_write,
                                       .allocate = faulty_allocate,
                                       .truncate = faulty_truncate,
                                       .fsync = faulty_fsync,
                                       .close = faulty_close,
                                       .mkdir = faulty_mkdir,
                                       .rename = faulty_rename,
                                       .exchange = faulty_exchange,
                                       .unlink = faulty_unlink,
                                       .rmdir = faulty_rmdir};
}

/* ---- one trial ------------------------------------------------------------------------------ */

#define IMAGE_BYTES 30 /* several files a checkpoint */

static Status save_one(const char *folder, int seed, int64_t step) {
    StateCase c;
    Checkpoints *checkpoints = NULL;
    state_case_open(&c, seed);
    CheckpointOptions opt = {.folder = folder, .total_limit = 2, .image_bytes = IMAGE_BYTES};
    Status st = checkpoints_open(&checkpoints, c.state, &opt);
    if (st == OK) st = checkpoint_save(checkpoints, step, NULL);
    checkpoints_close(checkpoints);
    state_case_close(&c);
    return st;
}

/* The step that a resume takes, loaded and compared with what was saved there. */
static int64_t resume(const char *folder) {
    StateCase c, want;
    Checkpoints *checkpoints = NULL;
    Json *meta = NULL;
    int64_t step = -1;
    char a[SHA256_HEX], b[SHA256_HEX];
    state_case_open(&c, 0);
    CheckpointOptions opt = {.folder = folder, .total_limit = 2, .image_bytes = IMAGE_BYTES};
    assert_int_equal(checkpoints_open(&checkpoints, c.state, &opt), OK);
    assert_int_equal(checkpoint_find(checkpoints, NULL, &step, &meta), OK);
    if (step >= 0) {
        assert_int_equal(checkpoint_load(checkpoints), OK);
        state_case_open(&want, (int)step);
        assert_string_equal(state_case_digest(a, &c), state_case_digest(b, &want));
        state_case_close(&want);
    }
    json_free(meta);
    checkpoints_close(checkpoints);
    state_case_close(&c);
    return step;
}

/* Three checkpoints are there, so that the save under test also deletes one; the newest is 3. */
static char *prepare(void) {
    char *folder = scratch_new();
    inject(FAULT_NONE, 0, 0);
    for (int step = 1; step <= 3; step++) assert_int_equal(save_one(folder, step, step), OK);
    return folder;
}

static int count_calls(void) {
    char *folder = prepare();
    inject(FAULT_ONCE, 1 << 30, EIO);
    assert_int_equal(save_one(folder, 4, 4), OK);
    int n = calls;
    inject(FAULT_NONE, 0, 0);
    scratch_free(folder);
    return n;
}

/* In a child, which dies or comes back with the status of the save. */
static int try_save(const char *folder, Fault f, int at, int error) {
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        log_set_level(LOG_ERROR);
        inject(f, at, error);
        _exit(save_one(folder, 4, 4) == OK ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void test_checkpoint_faults__killed_at_every_call_old_or_new_is_whole(void **state) {
    (void)state;
    int n = count_calls(), old = 0, new = 0;
    assert_true(n > 20);
    for (int kind = FAULT_KILL_BEFORE; kind <= FAULT_KILL_AFTER; kind++) {
        for (int at = 1; at <= n; at++) {
            char *folder = prepare();
            int status = try_save(folder, (Fault)kind, at, 0);
            assert_true(WIFSIGNALED(status));
            int64_t step = resume(folder);
            if (step != 3 && step != 4)
                fail_msg("call %d: resumed at step %lld", at, (long long)step);
            old += step == 3;
            new += step == 4;
            /* What was left half done does not disturb the next save. */
            assert_int_equal(save_one(folder, 5, 5), OK);
            assert_int_equal(resume(folder), 5);
            scratch_free(folder);
        }
    }
    print_message("%d calls a save; %d resumes from the old, %d from the new\n", n, old, new);
    assert_true(old > 0 && new > 0);
}

static void try_errors(Fault f, int error) {
    int n = count_calls(), reported = 0;
    for (int at = 1; at <= n; at++) {
        char *folder = prepare();
        int status = try_save(folder, f, at, error);
        assert_true(WIFEXITED(status)); /* never a signal */
        bool failed = WEXITSTATUS(status) != 0;
        reported += failed;
        int64_t step = resume(folder);
        if (step != (failed ? step : 4) || (step != 3 && step != 4))
            fail_msg("call %d: %s, resumed at step %lld", at, failed ? "failed" : "saved",
                     (long long)step);
        assert_int_equal(save_one(folder, 5, 5), OK);
        assert_int_equal(resume(folder), 5);
        scratch_free(folder);
    }
    print_message("%s, %s: %d calls, %d reported\n", strerror(error),
                  f == FAULT_ONCE ? "once" : "from then on", n, reported);
    assert_true(reported > n / 2);
}

static void test_checkpoint_faults__full_disk_is_reported_and_loses_nothing(void **state) {
    (void)state;
    try_errors(FAULT_STICKY, ENOSPC);
}

static void test_checkpoint_faults__failing_disk_is_reported_and_loses_nothing(void **state) {
    (void)state;
    try_errors(FAULT_ONCE, EIO);
}

/* ---- damage --------------------------------------------------------------------------------- */

static void flip_bit(const char *path, int64_t bit) {
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    fseek(file, (long)(bit / 8), SEEK_SET);
    int c = fgetc(file);
    fseek(file, (long)(bit / 8), SEEK_SET);
    fputc(c ^ (1 << (bit % 8)), file);
    fclose(file);
}

/* Bits spread evenly over each file of a checkpoint, each flipped, detected and flipped back. */
static void test_checkpoint_faults__every_flipped_bit_is_seen(void **state) {
    (void)state;
    char *folder = scratch_new();
    inject(FAULT_NONE, 0, 0);
    assert_int_equal(save_one(folder, 1, 1), OK);
    char *step = file_join(folder, "checkpoints/step-1");
    FileList names;
    int trials = 0;
    assert_int_equal(file_list(&names, step), OK);
    for (size_t i = 0; i < names.count; i++) {
        char *path = file_join(step, names.names[i]);
        int64_t bits = 8 * file_size(path), stride = bits / 200;
        for (int64_t bit = 0; bit<bits; bit += stride> 0 ? stride : 1) {
            flip_bit(path, bit);
            if (checkpoint_verify(step, NULL) == OK)
                fail_msg("%s: bit %lld went unseen", path, (long long)bit);
            flip_bit(path, bit);
            trials++;
        }
        mem_free(path);
    }
    assert_int_equal(checkpoint_verify(step, NULL), OK);
    print_message("%d flips in %d files\n", trials, (int)names.count);
    file_list_free(&names);
    mem_free(step);
    scratch_free(folder);
}

static void test_checkpoint_faults__truncated_files_are_seen(void **state) {
    (void)state;
    char *folder = scratch_new();
    inject(FAULT_NONE, 0, 0);
    assert_int_equal(save_one(folder, 1, 1), OK);
    char *step = file_join(folder, "checkpoints/step-1");
    char *path = file_join(step, "state-00001.h5");
    for (int64_t size = file_size(path) - 1; size > 0; size -= 512) {
        assert_int_equal(truncate(path, (off_t)size), 0);
        assert_int_equal(checkpoint_verify(step, NULL), ERR_DATA);
    }
    mem_free(path);
    mem_free(step);
    scratch_free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checkpoint_faults__killed_at_every_call_old_or_new_is_whole),
        cmocka_unit_test(test_checkpoint_faults__full_disk_is_reported_and_loses_nothing),
        cmocka_unit_test(test_checkpoint_faults__failing_disk_is_reported_and_loses_nothing),
        cmocka_unit_test(test_checkpoint_faults__every_flipped_bit_is_seen),
        cmocka_unit_test(test_checkpoint_faults__truncated_files_are_seen),
    };
    return cmocka_run_group_tests_name("checkpoint_faults", tests, NULL, NULL);
}
