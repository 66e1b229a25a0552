/* A reward from an outside program, over pipes. Both directions are served by one poll loop, so
 * that neither side can block the other however much it buffers. */
#include "ppo/reward_source.h"

#include "core/file.h"
#include "core/mem.h"
#include "core/progress.h"
#include "core/stop.h"
#include "core/str.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef struct CommandReward {
    const char *name; /* argv[0], for messages; borrowed from the config */
    pid_t pid;
    int to, from; /* pipes */
    double timeout_s;
    Str unread; /* bytes of answers that came early */
} CommandReward;

static void command_close(void *self) {
    CommandReward *c = self;
    if (c->to >= 0) close(c->to); /* end of input: a well-behaved program ends by itself */
    if (c->from >= 0) close(c->from);
    if (c->pid > 0) {
        int status;
        for (int i = 0; i < 20; i++) {
            if (waitpid(c->pid, &status, WNOHANG) != 0) break;
            if (i == 10) kill(c->pid, SIGTERM);
            if (i == 19) {
                kill(c->pid, SIGKILL);
                waitpid(c->pid, &status, 0);
            }
            nanosleep(&(struct timespec){.tv_nsec = 50 * 1000 * 1000}, NULL);
        }
    }
    str_free(&c->unread);
    mem_free(c);
}

/* How a child that closed its output ended, as text. */
static Status ended_early(CommandReward *c, int64_t answered, int64_t n) {
    int status = 0;
    pid_t got = waitpid(c->pid, &status, 0);
    if (got == c->pid) c->pid = 0;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (code == 127)
        return status_fail(ERR_INPUT,
                           "ppo.reward.command: `%s` cannot be started; is the path right "
                           "and the file executable?",
                           c->name);
    return status_fail(ERR_DATA,
                       "ppo.reward.command: `%s` ended with code %d after %lld of %lld answers; "
                       "it must answer one number a line for each row it reads",
                       c->name, code, (long long)answered, (long long)n);
}

static void write_query(Str *out, const RewardQuery *q) {
    str_append(out, "{\"prompt\": ");
    json_dump_str(out, q->prompt, strlen(q->prompt));
    str_append(out, ", \"response\": ");
    json_dump_str(out, q->response, strlen(q->response));
    if (q->row) str_printf(out, ", \"row\": %s", q->row);
    str_append(out, "}\n");
}

/* A line as a number, blanks around it allowed. */
static Status read_answer(double *out, const CommandReward *c, const char *line, int64_t row) {
    char *end = NULL;
    errno = 0;
    double x = strtod(line, &end);
    while (*end == ' ' || *end == '\t' || *end == '\r') end++;
    if (end == line || *end || !isfinite(x))
        return status_fail(ERR_DATA,
                           "ppo.reward.command: `%s` answered `%.60s` for row %lld of this "
                           "batch; it must answer one finite number a line",
                           c->name, line, (long long)row + 1);
    *out = x;
    return OK;
}

/* Takes whole lines out of `unread`. */
static Status take_answers(CommandReward *c, double *out, int64_t *answered, int64_t n) {
    size_t start = 0;
    Status st = OK;
    for (size_t i = 0; i < c->unread.len && *answered < n && st == OK; i++) {
        if (c->unread.data[i] != '\n') continue;
        c->unread.data[i] = '\0';
        st = read_answer(&out[*answered], c, c->unread.data + start, *answered);
        (*answered)++;
        start = i + 1;
    }
    Str rest = {0};
    str_append_n(&rest, str_text(&c->unread) + start, c->unread.len - start);
    str_free(&c->unread);
    c->unread = rest;
    return st;
}

static Status command_score(void *self, double *out, const RewardQuery *queries, int64_t n) {
    CommandReward *c = self;
    Str text = {0};
    for (int64_t i = 0; i < n; i++) write_query(&text, &queries[i]);
    size_t sent = 0;
    int64_t answered = 0;
    double last_s = progress_clock_s();
    Status st = OK;
    TRY_GOTO(take_answers(c, out, &answered, n), st, out);
    while (answered < n) {
        struct pollfd fds[2] = {{c->from, POLLIN, 0}, {c->to, POLLOUT, 0}};
        int ready = poll(fds, sent < text.len ? 2 : 1, 200);
        if (stop_requested()) {
            st = stop_status();
            goto out;
        }
        if (ready < 0 && errno != EINTR) {
            st = status_fail(ERR_OS, "ppo.reward.command: poll: %s", strerror(errno));
            goto out;
        }
        if (ready <= 0) {
            if (progress_clock_s() - last_s <= c->timeout_s) continue;
            st = status_fail(ERR_DATA,
                             "ppo.reward.command: `%s` gave no answer for %g s (row %lld of this "
                             "batch); it must flush after each line, or raise timeout_s",
                             c->name, c->timeout_s, (long long)answered + 1);
            goto out;
        }
        if (sent < text.len && (fds[1].revents & POLLOUT)) {
            ssize_t k = write(c->to, text.data + sent, text.len - sent);
            if (k > 0) sent += (size_t)k;
        }
        if (fds[0].revents & (POLLIN | POLLHUP)) {
            char buffer[4096];
            ssize_t k = read(c->from, buffer, sizeof buffer);
            if (k == 0) {
                st = ended_early(c, answered, n);
                goto out;
            }
            if (k > 0) {
                str_append_n(&c->unread, buffer, (size_t)k);
                last_s = progress_clock_s();
                TRY_GOTO(take_answers(c, out, &answered, n), st, out);
            }
        }
    }
out:
    str_free(&text);
    return st;
}

static _Noreturn void run_child(const RewardSource *config, const int in[2], const int back[2]) {
    dup2(in[0], STDIN_FILENO);
    dup2(back[1], STDOUT_FILENO);
    close(in[0]);
    close(in[1]);
    close(back[0]);
    close(back[1]);
    signal(SIGPIPE, SIG_DFL);
    /* A Ctrl-C is for us: the child lives until its input ends. */
    setpgid(0, 0);
    execvp(config->command.items[0], config->command.items);
    _exit(127);
}

Status reward_command_open(RewardScorer *out, const RewardSource *config) {
    int in[2], back[2];
    if (pipe(in) != 0) return status_fail(ERR_OS, "ppo.reward.command: pipe: %s", strerror(errno));
    if (pipe(back) != 0) {
        close(in[0]);
        close(in[1]);
        return status_fail(ERR_OS, "ppo.reward.command: pipe: %s", strerror(errno));
    }
    /* argv of execvp ends in NULL */
    pid_t pid = fork();
    if (pid == 0) run_child(config, in, back);
    close(in[0]);
    close(back[1]);
    fcntl(in[1], F_SETFL, O_NONBLOCK);
    fcntl(in[1], F_SETFD, FD_CLOEXEC);
    fcntl(back[0], F_SETFD, FD_CLOEXEC);
    CommandReward *c = mem_zalloc(1, sizeof *c);
    *c = (CommandReward){.name = config->command.items[0],
                         .pid = pid,
                         .to = in[1],
                         .from = back[0],
                         .timeout_s = config->timeout_s};
    *out = (RewardScorer){command_score, command_close, c, config->weight};
    return pid > 0 ? OK : status_fail(ERR_OS, "ppo.reward.command: fork: %s", strerror(errno));
}
