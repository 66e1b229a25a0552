/* file, sha256, lock, stop, progress. Pseudo-terminals belong to XSI, not to plain POSIX. */
#define _XOPEN_SOURCE 700
#include "core/lock.h"
#include "core/log.h"
#include "core/progress.h"
#include "core/sha256.h"
#include "core/stop.h"
#include "scratch.h"
#include "unit.h"

#include <math.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>

/* ---- file ---- */

static void expect_text(char *made, const char *want) {
    assert_string_equal(made, want);
    mem_free(made);
}

static void test_file__paths(void **state) {
    (void)state;
    expect_text(file_join("a", "b"), "a/b");
    expect_text(file_join("a/", "b"), "a/b");
    expect_text(file_join("", "b"), "b");
    expect_text(file_join(NULL, "b"), "b");
    expect_text(file_join("a", "/b"), "/b");
    expect_text(file_folder("a/b/c"), "a/b");
    expect_text(file_folder("a/b/"), "a");
    expect_text(file_folder("c"), ".");
    expect_text(file_folder("/c"), "/");
    expect_text(file_folder("/"), "/");
    expect_text(file_folder("a//b"), "a");
    assert_string_equal(file_name("a/b"), "b");
    assert_string_equal(file_name("b"), "b");
    assert_true(file_name_is_plain("model-00001.safetensors") && file_name_is_plain("..."));
    assert_false(file_name_is_plain("") || file_name_is_plain(".") || file_name_is_plain("..") ||
                 file_name_is_plain("a/b") || file_name_is_plain("/a"));
}

static void test_file_read__caps_and_says_why_not(void **state) {
    (void)state;
    char *folder = scratch_new(), *path = scratch_text(folder, "f", "0123456789");
    Str s = {0};
    str_append(&s, ">");
    assert_int_equal(file_read(&s, path, 10), OK);
    assert_string_equal(s.data, ">0123456789");
    assert_int_equal(file_read(&s, path, 9), ERR_DATA);
    assert_int_equal(file_read(&s, "/nowhere/f", 9), ERR_INPUT);
    assert_int_equal(file_read(&s, folder, 9), ERR_DATA);
    char *below = file_join(path, "below");
    assert_int_equal(file_read(&s, below, 9), ERR_INPUT);
    assert_int_equal(file_size(path), 10);
    assert_int_equal(file_size(below), -1);
    mem_free(below);
    str_free(&s);
    mem_free(path);
    scratch_free(folder);
}

static void test_file_map__maps_also_what_is_empty(void **state) {
    (void)state;
    char *folder = scratch_new(), *full = scratch_text(folder, "f", "abc"),
         *empty = scratch_text(folder, "e", "");
    FileMap m;
    assert_int_equal(file_map(&m, full), OK);
    assert_true(m.size == 3 && memcmp(m.data, "abc", 3) == 0);
    file_unmap(&m);
    assert_int_equal(file_map(&m, empty), OK);
    assert_true(m.size == 0 && m.data);
    file_unmap(&m);
    file_unmap(&m);
    assert_int_equal(file_map(&m, folder), ERR_DATA);
    assert_int_equal(file_map(&m, "/nowhere/f"), ERR_INPUT);
    mem_free(full);
    mem_free(empty);
    scratch_free(folder);
}

static void test_file__folders_lists_and_globs(void **state) {
    (void)state;
    char *folder = scratch_new(), *deep = file_join(folder, "x/y/z");
    assert_int_equal(file_make_folders(deep), OK);
    assert_int_equal(file_make_folders(deep), OK);
    assert_true(file_is_folder(deep) && !file_is_regular(deep));
    char *b = scratch_text(deep, "b.txt", ""), *a = scratch_text(deep, "a.txt", "");
    assert_int_equal(file_make_folders(a), ERR_CREATE);
    FileList l;
    assert_int_equal(file_list(&l, deep), OK);
    assert_int_equal(l.count, 2);
    assert_string_equal(l.names[0], "a.txt");
    file_list_free(&l);
    char *pattern = file_join(deep, "*.txt"), *nothing = file_join(deep, "*.csv");
    assert_int_equal(file_glob(&l, pattern), OK);
    assert_true(l.count == 2 && strcmp(l.names[0], a) == 0 && strcmp(l.names[1], b) == 0);
    file_list_free(&l);
    assert_int_equal(file_glob(&l, nothing), OK);
    assert_int_equal(l.count, 0);
    assert_int_equal(file_list(&l, "/nowhere"), ERR_INPUT);
    mem_free(pattern);
    mem_free(nothing);
    mem_free(a);
    mem_free(b);
    mem_free(deep);
    scratch_free(folder);
}

static void test_file_real__gives_one_name(void **state) {
    (void)state;
    char *folder = scratch_new(), *link = file_join(folder, "link");
    char *dotted = file_join(folder, "./x/../link"), *x = file_join(folder, "x");
    assert_int_equal(file_make_folders(x), OK);
    assert_int_equal(symlink(x, link), 0);
    expect_text(file_real(dotted), x);
    expect_text(file_real("/nowhere/./f"), "/nowhere/./f");
    mem_free(dotted);
    mem_free(link);
    mem_free(x);
    scratch_free(folder);
}

static void test_file_remove_tree__does_not_follow_links(void **state) {
    (void)state;
    char *folder = scratch_new(), *keep = file_join(folder, "keep"), *go = file_join(folder, "go");
    assert_int_equal(file_make_folders(keep), OK);
    assert_int_equal(file_make_folders(go), OK);
    char *kept = scratch_text(keep, "f", "x"), *link = file_join(go, "link");
    assert_int_equal(symlink(keep, link), 0);
    assert_int_equal(file_remove_tree(go), OK);
    assert_int_equal(file_remove_tree(go), OK);
    assert_true(file_exists(kept) && !file_exists(go));
    mem_free(kept);
    mem_free(link);
    mem_free(keep);
    mem_free(go);
    scratch_free(folder);
}

/* ---- sha256 ---- */

/* FIPS 180-4's own examples (CSRC), and a million times "a". */
static void check_published(void) {
    char hex[SHA256_HEX];
    sha256_hex(hex, "", 0);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sha256_hex(hex, "abc", 3);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    const char *two = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    sha256_hex(hex, two, 56);
    assert_string_equal(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    char *million = mem_alloc(1000000);
    memset(million, 'a', 1000000);
    sha256_hex(hex, million, 1000000);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    mem_free(million);
}

static void check_published_in_child(void *arg) {
    (void)arg;
    setenv("HONE_ISA", "portable", 1);
    check_published();
    _exit(42); /* a failed assertion would end the child otherwise */
}

static void test_sha256__published_answers_on_both_paths(void **state) {
    (void)state;
    /* First, so that this process has not yet chosen its path when the child is made. */
    assert_int_equal(WEXITSTATUS(scratch_run_child(check_published_in_child, NULL)), 42);
    check_published();
}

static void test_sha256__does_not_depend_on_how_it_is_cut(void **state) {
    (void)state;
    unsigned char data[300], whole[32], pieces[32];
    for (int i = 0; i < 300; i++) data[i] = (unsigned char)(i * 7);
    for (size_t n = 0; n <= 300; n += 13) {
        sha256_bytes(whole, data, n);
        for (size_t step = 1; step < 140; step += 9) {
            Sha256 s;
            sha256_init(&s);
            for (size_t at = 0; at < n; at += step)
                sha256_update(&s, data + at, n - at < step ? n - at : step);
            sha256_final(&s, pieces);
            assert_memory_equal(whole, pieces, 32);
        }
    }
}

static void test_sha256_file__hashes_or_says_what_is_missing(void **state) {
    (void)state;
    char hex[SHA256_HEX], *folder = scratch_new(), *path = scratch_text(folder, "f", "abc");
    assert_int_equal(sha256_file(hex, path), OK);
    assert_true(str_starts(hex, "ba7816bf"));
    assert_int_equal(sha256_file(hex, "/nowhere/f"), ERR_INPUT);
    mem_free(path);
    scratch_free(folder);
}

/* ---- lock ---- */

static void try_lock(void *path) {
    Lock *l = NULL;
    Status st = lock_open(&l, path);
    _exit(st == OK ? 0 : st == ERR_CREATE && strstr(status_message(), "process ") ? 73 : 1);
}

static void lock_and_die(void *path) {
    Lock *l = NULL;
    if (lock_open(&l, path) == OK) raise(SIGKILL);
}

static void test_lock__has_one_owner_who_may_die(void **state) {
    (void)state;
    char *folder = scratch_new(), *path = file_join(folder, "run/run.lock");
    Lock *l = NULL;
    scratch_run_child(lock_and_die, path);
    assert_true(file_exists(path)); /* left over, and no hindrance */
    assert_int_equal(lock_open(&l, path), OK);
    Str owner = {0};
    char *pid = str_format("process %ld,", (long)getpid());
    assert_int_equal(file_read(&owner, path, 1000), OK);
    assert_non_null(strstr(owner.data, pid));
    assert_int_equal(WEXITSTATUS(scratch_run_child(try_lock, path)), 73);
    lock_close(l);
    assert_int_equal(WEXITSTATUS(scratch_run_child(try_lock, path)), 0);
    lock_close(NULL);

    char *below = file_join(path, "sub/run.lock");
    assert_int_equal(lock_open(&l, below), ERR_CREATE);
    assert_null(l);
    mem_free(below);
    mem_free(pid);
    str_free(&owner);
    mem_free(path);
    scratch_free(folder);
}

/* ---- stop
 * ------------------------------------------------------------------------------------------------
 */

static void stop_by(void *number) {
    stop_install();
    stop_reset();
    if (stop_requested()) _exit(1);
    raise(*(int *)number);
    if (!stop_requested()) _exit(2);
    if (stop_status() != ERR_STOPPED) _exit(3);
    raise(SIGPIPE); /* ignored */
    _exit(strstr(status_message(), *(int *)number == SIGTERM ? "SIGTERM" : "SIG") ? 42 : 4);
}

static void terminate_twice(void *arg) {
    (void)arg;
    stop_install();
    raise(SIGTERM);
    raise(SIGTERM);
    raise(SIGINT);
    _exit(42); /* still there, and saving */
}

static void interrupt_twice(void *arg) {
    (void)arg;
    stop_install();
    raise(SIGINT);
    raise(SIGINT);
    _exit(1);
}

static void test_stop__signals_become_a_flag(void **state) {
    (void)state;
    static const int SIGNALS[] = {SIGTERM, SIGUSR1, SIGHUP, SIGINT};
    for (int i = 0; i < 4; i++) {
        int number = SIGNALS[i];
        int status = scratch_run_child(stop_by, &number);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 42);
    }
    assert_int_equal(WEXITSTATUS(scratch_run_child(terminate_twice, NULL)), 42);
    int status = scratch_run_child(interrupt_twice, NULL);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 75);
    stop_request();
    assert_true(stop_requested());
    stop_reset();
    assert_false(stop_requested());
}

/* ---- progress ---- */

static void test_progress_duration__reads_as_a_clock(void **state) {
    (void)state;
    char text[32];
    assert_string_equal(progress_duration(text, 32, 7.2), "0:07");
    assert_string_equal(progress_duration(text, 32, 71), "1:11");
    assert_string_equal(progress_duration(text, 32, 7389), "2:03:09");
    assert_string_equal(progress_duration(text, 32, -1), "0:00");
    assert_string_equal(progress_duration(text, 32, (double)INFINITY), "0:00");
    double a = progress_clock_s();
    assert_true(progress_clock_s() >= a);
}

static void report_to_file(void *path) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(fd, STDERR_FILENO);
    Progress p;
    progress_begin(&p, "sft", "steps", 60040, 40000);
    p.drawn_s += 60; /* however long a busy machine takes from here to there */
    progress_update(&p, 40001, "loss 2.5"); /* too soon for a line */
    p.drawn_s -= 66;
    p.started_s -= 9999.6;
    progress_update(&p, 60000, NULL);
    progress_end(&p);
    log_set_level(LOG_WARN);
    progress_begin(&p, "quiet", "steps", 1, 0);
    p.drawn_s -= 6;
    progress_update(&p, 1, NULL);
    progress_end(&p);
    _exit(0);
}

static void report_to_asker(void *path) {
    setenv(PROGRESS_LINES_VARIABLE, "1", 1);
    report_to_file(path);
}

static void expect_report(void (*report)(void *), const char *want) {
    char *folder = scratch_new(), *path = file_join(folder, "err");
    scratch_run_child(report, path);
    Str text = {0};
    assert_int_equal(file_read(&text, path, 1000), OK);
    assert_string_equal(text.data, want);
    str_free(&text);
    mem_free(path);
    scratch_free(folder);
}

/* 20,000 steps of this process in 10,000 s, 40 to go: 2 a second, 20 s left. */
static void test_progress__plain_lines_without_a_terminal(void **state) {
    (void)state;
#define LINE "sft       60000/60040  99 %  2.00 steps/s  0:20 left  loss 2.5\n"
#define LAST "sft       60000 steps in 2:46:40  2.00 steps/s  loss 2.5\n"
    expect_report(report_to_file, LINE LAST);
    expect_report(report_to_asker, PROGRESS_LINE_PREFIX LINE PROGRESS_LINE_PREFIX LAST);
}

/* The other end of a terminal of that many columns, which the child writes to. */
static int open_terminal(unsigned short columns, char **slave) {
    struct winsize size = {.ws_row = 24, .ws_col = columns};
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    assert_int_equal(ioctl(master, TIOCSWINSZ, &size), 0);
    *slave = mem_strdup(ptsname(master));
    return master;
}

static void draw_on_terminal(void *slave) {
    int fd = open(slave, O_RDWR | O_NOCTTY);
    dup2(fd, STDERR_FILENO);
    setenv("TERM", "xterm", 1);
    Progress p;
    progress_begin(&p, "quickly", "steps", 4, 0);
    p.drawn_s += 60; /* however long a busy machine takes from here to there */
    progress_update(&p, 1, "not yet drawn");
    p.drawn_s -= 61;
    progress_update(&p, 2, "half");
    log_info("a line");
    progress_end(&p);
    log_set_level(LOG_WARN);
    progress_begin(&p, "quiet", "steps", 4, 0);
    p.drawn_s -= 1;
    progress_update(&p, 2, NULL);
    progress_end(&p);
    tcdrain(STDERR_FILENO);
    _exit(0);
}

static char *draw(unsigned short columns) {
    char *slave, buffer[4096];
    int master = open_terminal(columns, &slave);
    int keep = open(slave, O_RDWR | O_NOCTTY); /* else the text is gone with the child */
    scratch_run_child(draw_on_terminal, slave);
    Str text = {0};
    do { /* the kernel hands a terminal's text over in parts: up to the end of the last line */
        ssize_t n = read(master, buffer, sizeof buffer);
        assert_true(n > 0);
        str_append_n(&text, buffer, (size_t)n);
    } while (!strstr(text.data, " steps in ") || text.data[text.len - 1] != '\n');
    close(keep);
    close(master);
    mem_free(slave);
    return str_take(&text);
}

static void test_progress__redraws_one_line_on_a_terminal(void **state) {
    (void)state;
    char *text = draw(200);
    assert_non_null(strstr(text, "\r\033[Kquickly   [>                   ]  0/4  0 %\r\033[K"));
    assert_non_null(strstr(text, "quickly   [==========>         ]  2/4  50 %  "));
    assert_non_null(strstr(text, "  half\r\033[Ka line\r\nquickly   [")); /* and it is back */
    assert_non_null(strstr(text, "\r\033[Kquickly   2 steps in 0:00"));
    assert_null(strstr(text, "not yet drawn"));
    assert_null(strstr(text, "quiet"));
    mem_free(text);
    text = draw(20);
    /* No bar, and nothing in the last column. */
    assert_non_null(strstr(text, "\r\033[Kquickly   2/4  50 %\r\033[Ka line"));
    mem_free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file__paths),
        cmocka_unit_test(test_file_read__caps_and_says_why_not),
        cmocka_unit_test(test_file_map__maps_also_what_is_empty),
        cmocka_unit_test(test_file__folders_lists_and_globs),
        cmocka_unit_test(test_file_real__gives_one_name),
        cmocka_unit_test(test_file_remove_tree__does_not_follow_links),
        cmocka_unit_test(test_sha256__published_answers_on_both_paths),
        cmocka_unit_test(test_sha256__does_not_depend_on_how_it_is_cut),
        cmocka_unit_test(test_sha256_file__hashes_or_says_what_is_missing),
        cmocka_unit_test(test_lock__has_one_owner_who_may_die),
        cmocka_unit_test(test_stop__signals_become_a_flag),
        cmocka_unit_test(test_progress_duration__reads_as_a_clock),
        cmocka_unit_test(test_progress__plain_lines_without_a_terminal),
        cmocka_unit_test(test_progress__redraws_one_line_on_a_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
