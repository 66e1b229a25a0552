#include "tools/child.h"

#include "core/file.h"
#include "core/mem.h"
#include "core/progress.h"
#include "core/stop.h"
#include "core/str.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h> /* Linux: a child is told when its parent dies */
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TICK_MS 200

typedef struct Listener {
    const ChildOptions *o;
    int fd, log;
    Str line;
    Status status; /* of the log */
} Listener;

/* A signal that comes before the program has its own handlers must not be lost: until SIG_DFL it
 * sets our flag, from then on it ends the process. */
_Noreturn static void become(const ChildOptions *o, int write_end, pid_t parent) {
    setpgid(0, 0);
    signal(SIGTERM, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (stop_requested() || getppid() != parent) _exit(ERR_STOPPED);
    int null = open("/dev/null", O_RDONLY);
    signal(SIGPIPE, SIG_DFL); /* what is ignored stays ignored over exec */
    if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(write_end, STDOUT_FILENO) >= 0 &&
        dup2(write_end, STDERR_FILENO) >= 0)
        execv(o->argv[0], o->argv);
    _exit(127);
}

static void end_line(Listener *l) {
    const char *text = str_text(&l->line);
    bool is_progress = str_starts(text, PROGRESS_LINE_PREFIX);
    if (!is_progress && l->status == OK) {
        str_append_char(&l->line, '\n');
        if (write(l->log, l->line.data, l->line.len) != (ssize_t)l->line.len)
            l->status =
                status_fail(ERR_IO, "%s: cannot be written: %s", l->o->log, strerror(errno));
        l->line.data[--l->line.len] = '\0';
    }
    text = str_text(&l->line) + (is_progress ? strlen(PROGRESS_LINE_PREFIX) : 0);
    l->o->on_line(l->o->ctx, text, is_progress);
    str_clear(&l->line);
}

/* What is there now; false at the end. */
static bool listen_once(Listener *l, int wait_ms) {
    char buf[4096];
    struct pollfd p = {.fd = l->fd, .events = POLLIN};
    if (poll(&p, 1, wait_ms) <= 0) return true;
    ssize_t n = read(l->fd, buf, sizeof buf);
    if (n < 0) return errno == EINTR || errno == EAGAIN;
    for (ssize_t i = 0; i < n; i++) {
        if (buf[i] == '\n')
            end_line(l);
        else if (buf[i] != '\0')
            str_append_char(&l->line, buf[i]);
    }
    return n > 0;
}

static int exit_code(int status) {
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Until it has ended. Its own children may keep the pipe open, so the end of the child counts, not
 * the end of what is written. */
static int listen_to(Listener *l, pid_t child) {
    bool told = false, open = true;
    int status = 0;
    for (;;) {
        if (stop_requested() && !told) {
            kill(child, SIGTERM);
            told = true;
        }
        if (open)
            open = listen_once(l, TICK_MS);
        else
            nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
        if (l->o->on_tick) l->o->on_tick(l->o->ctx);
        if (waitpid(child, &status, WNOHANG) == child) break;
    }
    fcntl(l->fd, F_SETFL, O_NONBLOCK);
    for (struct pollfd p = {.fd = l->fd, .events = POLLIN};
         poll(&p, 1, 0) > 0 && (p.revents & POLLIN) && listen_once(l, 0);)
        continue;
    if (l->line.len > 0) end_line(l);
    return exit_code(status);
}

static Status start(pid_t *child, int *read_end, const ChildOptions *o) {
    int ends[2];
    if (pipe(ends) != 0) return status_fail(ERR_OS, "no pipe: %s", strerror(errno));
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    setenv(PROGRESS_LINES_VARIABLE, "1", 1);
    pid_t parent = getpid();
    *child = fork();
    if (*child == 0) become(o, ends[1], parent);
    close(ends[1]);
    *read_end = ends[0];
    if (*child > 0) return OK;
    close(ends[0]);
    return status_fail(ERR_OS, "%s: cannot be started: %s", o->argv[0], strerror(errno));
}

Status child_run(int *code, const ChildOptions *o) {
    *code = -1;
    Listener l = {.o = o, .status = OK};
    char *folder = file_folder(o->log);
    Status st = file_make_folders(folder);
    mem_free(folder);
    TRY(st);
    l.log = open(o->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (l.log < 0)
        return status_fail(ERR_CREATE, "%s: cannot be made: %s", o->log, strerror(errno));
    pid_t child = 0;
    st = start(&child, &l.fd, o);
    if (st == OK) {
        *code = listen_to(&l, child);
        close(l.fd);
        st = l.status;
    }
    close(l.log);
    str_free(&l.line);
    return st;
}
