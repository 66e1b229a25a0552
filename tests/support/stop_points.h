/* stop_points: a whole program in this process, stopped at its n-th question whether to stop.
 *
 * Every long loop asks stop_requested() where it can be left. This header is that question's
 * answer (it stands in for core/stop.c; the linker takes this one), so a test can walk all places
 * at which a signal can take effect, one by one, and at each of them also be killed outright.
 * Include it once, in a test whose program_main is a program's main:
 *
 *     int program_main(int argc, char **argv);
 *     #define main program_main
 *     #include "sft/main.c"
 *     #undef main
 *     #include "stop_points.h"
 */
#ifndef HONE_TESTS_STOP_POINTS_H
#define HONE_TESTS_STOP_POINTS_H

#include "core/stop.h"
#include "run_compare.h"

typedef enum StopWay { STOP_NOT, STOP_SIGNAL, STOP_KILL } StopWay;

static StopWay stop_way;
static int64_t stop_at, stop_asked;
static bool stop_now;

void stop_install(void) {
    signal(SIGPIPE, SIG_IGN);
}

bool stop_requested(void) {
    if (++stop_asked == stop_at && stop_way == STOP_KILL) raise(SIGKILL);
    if (stop_asked == stop_at && stop_way == STOP_SIGNAL) stop_now = true;
    return stop_now;
}

int stop_signal(void) {
    return stop_now ? SIGTERM : 0;
}

void stop_request(void) {
    stop_now = true;
}

void stop_reset(void) {
    stop_now = false;
}

Status stop_status(void) {
    return status_fail(ERR_STOPPED, "stopped at question %lld", (long long)stop_at);
}

/* Runs the program on folder/config with output_dir=run in a child; its output goes to folder/log.
 * Returns the exit code, or 128 + signal. *asked (may be NULL): questions until it ended. */
static inline int stop_points_run(const char *folder, const char *config, const char *run,
                                  StopWay way, int64_t at, int64_t *asked) {
    int back[2];
    if (pipe(back) != 0) abort();
    pid_t child = fork();
    if (child == 0) {
        int log = -1;
        if (chdir(folder) == 0) log = open("log", O_CREAT | O_TRUNC | O_WRONLY, 0600);
        if (log < 0 || dup2(log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0) _exit(126);
        stop_way = way;
        stop_at = at;
        char *output = str_format("output_dir=%s", run);
        char *argv[] = {(char *)"program", (char *)config, output, NULL};
        int code = program_main(3, argv);
        fflush(NULL);
        if (write(back[1], &stop_asked, sizeof stop_asked) != sizeof stop_asked) _exit(126);
        _exit(code);
    }
    close(back[1]);
    int64_t count = 0;
    if (read(back[0], &count, sizeof count) != sizeof count) count = -1; /* killed */
    close(back[0]);
    if (asked) *asked = count;
    int status = 0;
    if (waitpid(child, &status, 0) != child) abort();
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static inline void stop_points_fail(const char *folder, const char *what, int64_t at, int code) {
    Str log = {0};
    read_all(&log, folder, "log");
    fail_msg("%s at question %lld: exit code %d\n%s", what, (long long)at, code, str_text(&log));
}

/* Called on the run folder after a stop, before it goes on; NULL: nobody looks. */
typedef void StopWitness(void *ctx, const char *run);

/* An uninterrupted run; then, for every `stride`-th question, a run that is stopped there by a
 * signal (75, state saved) and one that is killed there, each started again until it is done. All
 * must be the same run. */
static inline void stop_points_walk(const char *folder, const char *config, int64_t first,
                                    int64_t stride, StopWitness *witness, void *ctx) {
    int64_t questions = 0;
    char *whole = file_join(folder, "whole"), *cut = file_join(folder, "cut");
    int code = stop_points_run(folder, config, "whole", STOP_NOT, 0, &questions);
    if (code != 0) stop_points_fail(folder, "uninterrupted", 0, code);
    assert_true(questions > 3);
    for (int64_t at = first; at <= questions; at += stride) {
        for (StopWay way = STOP_SIGNAL; way <= STOP_KILL; way++) {
            const char *what = way == STOP_SIGNAL ? "stopped" : "killed";
            int want = way == STOP_SIGNAL ? ERR_STOPPED : 128 + SIGKILL;
            code = stop_points_run(folder, config, "cut", way, at, NULL);
            /* The last questions come when all steps are done: there is nothing left to stop. */
            bool too_late = way == STOP_SIGNAL && code == 0;
            if (code != want && !too_late) stop_points_fail(folder, what, at, code);
            if (witness && way == STOP_SIGNAL && !too_late) witness(ctx, cut);
            code = stop_points_run(folder, config, "cut", STOP_NOT, 0, NULL);
            if (code != 0) stop_points_fail(folder, "started again", at, code);
            assert_same_run(whole, cut);
            assert_int_equal(file_remove_tree(cut), OK);
        }
    }
    mem_free(whole);
    mem_free(cut);
}

/* The stride of the walk: every place with HONE_TESTS_FULL=1, else about `few` of `all`. */
static inline int64_t stop_points_stride(int64_t usual) {
    return getenv("HONE_TESTS_FULL") ? 1 : usual;
}

#endif
