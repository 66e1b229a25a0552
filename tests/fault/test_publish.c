/* publish: whatever I/O call is the last one, or fails, the old or the new is there whole. */
#include "core/io_ops.h"
#include "core/log.h"
#include "scratch.h"
#include "unit.h"

#include <errno.h>

/* ---- the faulty system --------------------------------------------------------------------------
 */

typedef enum Fault { FAULT_NONE, FAULT_KILL_BEFORE, FAULT_KILL_AFTER, FAULT_ERROR } Fault;

static IoOps real;
static struct {
    Fault fault;
    int at;      /* the call that it hits, from 1 */
    bool sticky; /* and all after it */
    int error;
    int calls;
    bool must_tell; /* the call that was hit is one whose failure counts */
    bool no_exchange;
    bool short_writes;
    Str names; /* of the calls */
} plan;

/* Counts a call. True: it must fail with plan.error. */
static bool hit(const char *name) {
    str_printf(&plan.names, "%s ", name);
    bool now = ++plan.calls == plan.at || (plan.sticky && plan.calls > plan.at && plan.at > 0);
    if (now && plan.fault == FAULT_KILL_BEFORE) raise(SIGKILL);
    if (!now || plan.fault != FAULT_ERROR) return false;
    /* What cannot be removed is a matter for later, and a file system may have no reservation;
     * everything else makes the saving fail. */
    bool harmless = strcmp(name, "unlink") == 0 || strcmp(name, "rmdir") == 0 ||
                    (strcmp(name, "allocate") == 0 && plan.error == EOPNOTSUPP);
    if (!harmless) plan.must_tell = true;
    errno = plan.error;
    return true;
}

static void after(void) {
    if (plan.calls == plan.at && plan.fault == FAULT_KILL_AFTER) raise(SIGKILL);
}

#define FAULTY(name, params, args)    \
    static int faulty_##name params { \
        if (hit(#name)) return -1;    \
        int rc = real.name args;      \
        after();                      \
        return rc;                    \
    }

FAULTY(open, (const char *path, int flags, mode_t mode), (path, flags, mode))
FAULTY(allocate, (int fd, off_t bytes), (fd, bytes))
FAULTY(truncate, (int fd, off_t bytes), (fd, bytes))
FAULTY(fsync, (int fd), (fd))
FAULTY(mkdir, (const char *path, mode_t mode), (path, mode))
FAULTY(rename, (const char *from, const char *to), (from, to))
FAULTY(unlink, (const char *path), (path))
FAULTY(rmdir, (const char *path), (path))

/* A failed close has closed all the same. */
static int faulty_close(int fd) {
    bool fails = hit("close");
    int error = errno, rc = real.close(fd);
    after();
    if (!fails) return rc;
    errno = error;
    return -1;
}

static int faulty_exchange(const char *a, const char *b) {
    if (plan.no_exchange) {
        errno = ENOSYS;
        return -1;
    }
    if (hit("exchange")) return -1;
    int rc = real.exchange(a, b);
    after();
    return rc;
}

static ssize_t faulty_write(int fd, const void *data, size_t n) {
    if (hit("write")) return -1;
    if (plan.short_writes && plan.calls % 2) {
        errno = EINTR;
        return -1;
    }
    ssize_t done = real.write(fd, data, plan.short_writes && n > 3 ? 3 : n);
    after();
    return done;
}

static void make_faulty(void) {
    io_ops = (IoOps){.open = faulty_open,
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

/* ---- what is published ---- */

typedef struct Job {
    const char *target;
    Status (*act)(const char *target);
    /* 'o' old, 'n' new, '-' nothing, 'x' something else */
    char (*look)(const char *target);
    bool had_old;
} Job;

static Status save_file(const char *target) {
    return publish_bytes(target, "new contents", 12);
}

static bool holds(const Str *s, const char *text) {
    return s->len == strlen(text) && memcmp(str_text(s), text, s->len) == 0;
}

static char look_at_text(const char *path, const char *old, const char *new) {
    Str s = {0};
    if (!file_exists(path)) return '-';
    char found = 'x';
    if (file_read(&s, path, 1000) == OK) found = holds(&s, old) ? 'o' : holds(&s, new) ? 'n' : 'x';
    str_free(&s);
    return found;
}

static char look_at_file(const char *target) {
    return look_at_text(target, "old", "new contents");
}

static Status fill_folder(PublishFolder *d) {
    TRY(publish_bytes_in(d, "a", "new a", 5));
    TRY(publish_bytes_in(d, "sub/b", "new b", 5));
    PublishFile *f = NULL;
    TRY(publish_open_in(&f, d, "c", 100)); /* more is reserved than written */
    Status st = publish_write(f, "new", 3);
    if (st == OK) st = publish_write(f, " c", 2);
    if (st == OK) st = publish_commit(f);
    publish_close(f);
    return st;
}

static Status save_folder(const char *target) {
    PublishFolder *d = NULL;
    TRY(publish_folder_open(&d, target, true));
    Status st = fill_folder(d);
    if (st == OK) st = publish_folder_commit(d);
    publish_folder_close(d);
    return st;
}

static char look_at_folder(const char *target) {
    static const char *const NAMES[] = {"a", "sub/b", "c"};
    char found = '\0';
    if (!file_exists(target)) return '-';
    for (int i = 0; i < 3; i++) {
        char *path = file_join(target, NAMES[i]);
        char *new = str_format("new %c", "abc"[i]), *old = str_format("old %c", "abc"[i]);
        char one = look_at_text(path, old, new);
        if (found && one != found) one = 'x';
        found = one;
        mem_free(path);
        mem_free(new);
        mem_free(old);
    }
    return found == '-' ? 'x' : found;
}

static void put_old(const Job *job) {
    if (job->look == look_at_file) {
        mem_free(scratch_text("", job->target, "old"));
        return;
    }
    char *sub = file_join(job->target, "sub");
    assert_int_equal(file_make_folders(sub), OK);
    mem_free(scratch_text(job->target, "a", "old a"));
    mem_free(scratch_text(job->target, "c", "old c"));
    mem_free(scratch_text(sub, "b", "old b"));
    mem_free(sub);
}

/* ---- the grid ---- */

/* The child's exit code is the status; 200 for success, 201 for success that hides a failed call.
 */
static void run_job(void *arg) {
    const Job *job = arg;
    make_faulty();
    Status st = job->act(job->target);
    _exit(st != OK ? (int)st : plan.must_tell ? 201 : 200);
}

static void count_calls(void *arg) {
    const Job *job = arg;
    make_faulty();
    if (job->act(job->target) != OK) _exit(0);
    _exit(plan.calls);
}

static int count_hidden(const char *folder) {
    FileList names;
    int hidden = 0;
    assert_int_equal(file_list(&names, folder), OK);
    for (size_t i = 0; i < names.count; i++) hidden += names.names[i][0] == '.';
    file_list_free(&names);
    return hidden;
}

/* One trial in a fresh folder: the fault, a look, then cleaning up and a second, faultless try. */
static void try_once(const Job *job, const char *what) {
    char *folder = scratch_new();
    char *target = file_join(folder, "target");
    Job here = *job;
    here.target = target;
    if (job->had_old) put_old(&here);
    int status = scratch_run_child(run_job, &here);
    char found = job->look(target);
    bool killed = WIFSIGNALED(status), done = WIFEXITED(status) && WEXITSTATUS(status) == 200;
    if (killed && WTERMSIG(status) != SIGKILL) fail_msg("%s: crashed", what);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 201) fail_msg("%s: not reported", what);
    char before = job->had_old ? 'o' : '-';
    bool aside = plan.no_exchange && found == '-' && (killed || plan.sticky);
    if (found != 'n' && found != before && !aside) fail_msg("%s: found %c", what, found);
    if (done && found != 'n') fail_msg("%s: says it is done, found %c", what, found);
    if (!killed && !done && WEXITSTATUS(status) != ERR_IO && WEXITSTATUS(status) != ERR_CREATE)
        fail_msg("%s: status %d", what, WEXITSTATUS(status));
    if (plan.fault == FAULT_ERROR && !plan.sticky && !done && found == before &&
        count_hidden(folder) != 0)
        fail_msg("%s: left something behind", what);

    assert_int_equal(publish_clean(folder), OK);
    assert_int_equal(count_hidden(folder), 0);
    found = job->look(target);
    if (found != 'n' && found != before) fail_msg("%s: after cleaning %c", what, found);
    assert_int_equal(job->act(target), OK);
    assert_int_equal(job->look(target), 'n');
    assert_int_equal(count_hidden(folder), 0);
    mem_free(target);
    scratch_free(folder);
}

static int calls_of(const Job *job) {
    char *folder = scratch_new(), *target = file_join(folder, "target");
    Job here = *job;
    here.target = target;
    if (job->had_old) put_old(&here);
    int status = scratch_run_child(count_calls, &here);
    mem_free(target);
    scratch_free(folder);
    return WEXITSTATUS(status);
}

static void try_all(const Job *job, bool no_exchange, int at_least) {
    static const int ERRORS[] = {ENOSPC, EIO, EDQUOT};
    char what[64];
    memset(&plan, 0, sizeof plan);
    plan.no_exchange = no_exchange;
    int calls = calls_of(job);
    assert_true(calls >= at_least);
    for (int at = 1; at <= calls; at++) {
        plan.at = at;
        for (int mode = 0; mode < 2; mode++) {
            plan.fault = mode ? FAULT_KILL_AFTER : FAULT_KILL_BEFORE;
            snprintf(what, sizeof what, "kill %s call %d", mode ? "after" : "before", at);
            try_once(job, what);
        }
        plan.fault = FAULT_ERROR;
        for (int i = 0; i < 6; i++) {
            plan.error = ERRORS[i / 2];
            plan.sticky = i % 2;
            snprintf(what, sizeof what, "%s at call %d%s", strerror(plan.error), at,
                     plan.sticky ? " and on" : "");
            try_once(job, what);
        }
        plan.sticky = false;
    }
    print_message("%d calls, %d trials\n", calls, calls * 8);
}

static void test_publish_bytes__old_or_new_at_every_call(void **state) {
    (void)state;
    Job job = {.act = save_file, .look = look_at_file};
    try_all(&job, false, 8);
    job.had_old = true;
    try_all(&job, false, 8);
}

static void test_publish_folder__old_or_new_at_every_call(void **state) {
    (void)state;
    Job job = {.act = save_folder, .look = look_at_folder};
    try_all(&job, false, 20);
    job.had_old = true;
    try_all(&job, false, 25);
}

static void test_publish_folder__without_exchange(void **state) {
    (void)state;
    Job job = {.act = save_folder, .look = look_at_folder, .had_old = true};
    try_all(&job, true, 25);
}

/* Bytes before the name, the name before its folder: what a power cut would punish otherwise. */
static void test_publish__flushes_in_order(void **state) {
    (void)state;
    char *folder = scratch_new(), *file = file_join(folder, "file"),
         *target = file_join(folder, "target");
    memset(&plan, 0, sizeof plan);
    make_faulty();
    Status st = publish_bytes(file, "x", 1);
    str_append(&plan.names, "| ");
    if (st == OK) st = save_folder(target);
    io_ops = real;
    assert_int_equal(st, OK);
#define WRITTEN "open allocate write fsync close "
#define FOLDER_FLUSHED "open fsync close "
    assert_string_equal(
        plan.names.data,
        WRITTEN "rename " FOLDER_FLUSHED "| mkdir " WRITTEN "mkdir " WRITTEN
                "open allocate write write truncate fsync close " FOLDER_FLUSHED FOLDER_FLUSHED
                "rename " FOLDER_FLUSHED);
    str_free(&plan.names);
    mem_free(file);
    mem_free(target);
    scratch_free(folder);
}

static void test_publish__short_writes_and_interruptions_do_no_harm(void **state) {
    (void)state;
    memset(&plan, 0, sizeof plan);
    plan.short_writes = true;
    Job job = {.act = save_folder, .look = look_at_folder};
    char *folder = scratch_new(), *target = file_join(folder, "target");
    job.target = target;
    int status = scratch_run_child(run_job, &job);
    assert_int_equal(WEXITSTATUS(status), 200);
    assert_int_equal(look_at_folder(target), 'n');
    mem_free(target);
    scratch_free(folder);
}

/* The disk's reservation is only asked for; where a file system has none, writing goes on. */
static void test_publish__goes_on_without_reservation(void **state) {
    (void)state;
    memset(&plan, 0, sizeof plan);
    plan.fault = FAULT_ERROR;
    plan.error = EOPNOTSUPP;
    char *folder = scratch_new(), *target = file_join(folder, "target");
    Job job = {.act = save_file, .look = look_at_file, .target = target};
    plan.at = 2; /* open, then allocate */
    int status = scratch_run_child(run_job, &job);
    assert_int_equal(WEXITSTATUS(status), 200);
    assert_int_equal(look_at_file(target), 'n');
    mem_free(target);
    scratch_free(folder);
}

/* ---- places where nothing can be made ---- */

static void test_publish__refuses_wrong_targets(void **state) {
    (void)state;
    char *folder = scratch_new(), *file = scratch_text(folder, "file", "x");
    char *below = file_join(file, "sub/target");
    PublishFolder *d = NULL;
    assert_int_equal(publish_bytes(folder, "x", 1), ERR_CREATE);
    assert_int_equal(publish_bytes(below, "x", 1), ERR_CREATE);
    assert_int_equal(publish_folder_open(&d, file, true), ERR_CREATE);
    assert_int_equal(publish_folder_open(&d, below, true), ERR_CREATE);
    assert_int_equal(publish_folder_open(&d, folder, false), ERR_CREATE);
    assert_null(d);
    assert_int_equal(count_hidden(folder), 0);
    publish_close(NULL);
    publish_folder_close(NULL);
    mem_free(below);
    mem_free(file);
    scratch_free(folder);
}

static void test_publish_folder__goes_away_when_it_is_not_committed(void **state) {
    (void)state;
    char *folder = scratch_new(), *target = file_join(folder, "new/target");
    char *source = scratch_text(folder, "source", "copied");
    PublishFolder *d = NULL;
    assert_int_equal(publish_folder_open(&d, target, false), OK);
    assert_int_equal(publish_copy_in(d, "deep/copy", source), OK);
    char *copy = file_join(publish_folder_path(d), "deep/copy");
    assert_int_equal(look_at_text(copy, "copied", ""), 'o');
    assert_int_equal(publish_copy_in(d, "copy", "/nowhere"), ERR_INPUT);
    publish_folder_close(d);
    assert_false(file_exists(copy) || file_exists(target));
    mem_free(copy);
    mem_free(source);
    mem_free(target);
    scratch_free(folder);
}

/* A killed process leaves its pages to the kernel, so flushing for real would only cost time here.
 */
static int no_fsync(int fd) {
    (void)fd;
    return 0;
}

static int remember_table(void **state) {
    (void)state;
    io_ops.fsync = no_fsync;
    real = io_ops;
    log_set_level(LOG_ERROR);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_publish_bytes__old_or_new_at_every_call),
        cmocka_unit_test(test_publish_folder__old_or_new_at_every_call),
        cmocka_unit_test(test_publish_folder__without_exchange),
        cmocka_unit_test(test_publish__flushes_in_order),
        cmocka_unit_test(test_publish__short_writes_and_interruptions_do_no_harm),
        cmocka_unit_test(test_publish__goes_on_without_reservation),
        cmocka_unit_test(test_publish__refuses_wrong_targets),
        cmocka_unit_test(test_publish_folder__goes_away_when_it_is_not_committed),
    };
    return cmocka_run_group_tests(tests, remember_table, NULL);
}
