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

#define LONGEST_ANSWER 4096 /* bytes of a line; more is no number */
#define POLL_MS 100         /* how often a signal is looked for */
#define DRAIN_S 2.0 /* after a signal: for answers under way, so that no row is asked twice */

typedef struct CommandReward {
    const char *name; /* argv[0], for messages; borrowed from the config */
    pid_t pid;        /* 0: it has ended and was waited for */
    int to, from;     /* pipes */
    double timeout_s;
    Str unread; /* bytes of an answer that has not ended */
} CommandReward;

/* ---- the process --------------------------------------------------------------------------- */

/* Waits at most `seconds` for the end of the process; *status as waitpid gives it. */
static bool reap(CommandReward *c, double seconds, int *status) {
    double start = progress_clock_s();
    while (c->pid > 0) {
        if (waitpid(c->pid, status, WNOHANG) != 0) {
            c->pid = 0;
            break;
        }
        if (progress_clock_s() - start > seconds) return false;
        nanosleep(&(struct timespec){.tv_nsec = 2 * 1000 * 1000}, NULL);
    }
    return true;
}

static void command_close(void *self) {
    CommandReward *c = self;
    int status;
    if (c->to >= 0) close(c->to); /* end of input: a well-behaved program ends by itself */
    if (c->from >= 0) close(c->from);
    if (!reap(c, 0.5, &status)) kill(-c->pid, SIGTERM);
    if (!reap(c, 0.5, &status)) {
        kill(-c->pid, SIGKILL);
        waitpid(c->pid, &status, 0);
    }
    str_free(&c->unread);
    mem_free(c);
}

/* A pipe whose ends no other program inherits. */
static Status open_pipe(int ends[2]) {
    if (pipe(ends) != 0)
        return status_fail(ERR_OS, "ppo.reward.command: pipe: %s", strerror(errno));
    for (int i = 0; i < 2; i++) fcntl(ends[i], F_SETFD, FD_CLOEXEC);
    return OK;
}

static void close_pipe(const int ends[2]) {
    for (int i = 0; i < 2; i++)
        if (ends[i] >= 0) close(ends[i]);
}

/* Becomes the program; what keeps it from that is told through `told`. */
static _Noreturn void run_child(char *const *argv, int in, int out, int told) {
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    signal(SIGPIPE, SIG_DFL);
    /* A group of its own: a Ctrl-C is for us, the program lives until its input ends. */
    setpgid(0, 0);
    execvp(argv[0], argv);
    int why = errno;
    ssize_t n = write(told, &why, sizeof why);
    _exit(n == sizeof why ? 127 : 126);
}

static Status start(CommandReward *c, char *const *argv, const int in[2], const int back[2],
                    int told[2]) {
    int why = 0, status;
    c->pid = fork();
    if (c->pid == 0) run_child(argv, in[0], back[1], told[1]);
    if (c->pid < 0) return status_fail(ERR_OS, "ppo.reward.command: fork: %s", strerror(errno));
    setpgid(c->pid, c->pid); /* whoever of the two comes first */
    close(told[1]);          /* the child's end closes when it has become the program */
    told[1] = -1;
    ssize_t n;
    do n = read(told[0], &why, sizeof why);
    while (n < 0 && errno == EINTR);
    if (n != sizeof why) return OK;
    reap(c, 10.0, &status);
    return status_fail(ERR_INPUT, "ppo.reward.command: `%s` cannot be started: %s", c->name,
                       strerror(why));
}

/* How a child that closed its output ended, as text. */
static Status ended_early(CommandReward *c, int64_t answered, int64_t n) {
    int status = 0;
    bool ended = reap(c, 1.0, &status);
    Str how = {0};
    if (!ended)
        str_append(&how, "closed its output");
    else if (WIFEXITED(status))
        str_printf(&how, "ended with code %d", WEXITSTATUS(status));
    else
        str_printf(&how, "was ended by signal %d", WTERMSIG(status));
    if (n > 0)
        str_printf(&how, " after %lld of %lld answers", (long long)answered, (long long)n);
    else
        str_append(&how, " before it was asked");
    Status st = status_fail(ERR_DATA,
                            "ppo.reward.command: `%s` %s; it must answer one number a line for "
                            "each line it reads, until its input ends",
                            c->name, str_text(&how));
    str_free(&how);
    return st;
}

/* ---- questions and answers ----------------------------------------------------------------- */

static void write_query(Str *out, const RewardQuery *q) {
    str_append(out, "{\"prompt\": ");
    json_dump_str(out, q->prompt, strlen(q->prompt));
    str_append(out, ", \"response\": ");
    json_dump_str(out, q->response, strlen(q->response));
    if (q->row) str_printf(out, ", \"row\": %s", q->row);
    str_append(out, "}\n");
}

/* A batch of questions on its way. */
typedef struct Exchange {
    CommandReward *c;
    Str text; /* all questions */
    size_t sent;
    double *out;         /* [n] */
    int64_t n, answered; /* n: how many are asked */
} Exchange;

static Status bad_answer(const Exchange *x, const char *line) {
    return status_fail(ERR_DATA,
                       "ppo.reward.command: `%s` answered `%.60s` for row %lld of %lld; it must "
                       "answer one finite number a line",
                       x->c->name, line, (long long)x->answered + 1, (long long)x->n);
}

static Status too_many(const CommandReward *c, const char *line) {
    return status_fail(ERR_DATA,
                       "ppo.reward.command: `%s` answered `%.60s` beyond the lines that it was "
                       "given; it must answer one number a line",
                       c->name, line);
}

/* A line as a number, blanks around it allowed. */
static Status read_answer(Exchange *x, const char *line) {
    char *end = NULL;
    double value = strtod(line, &end);
    while (*end == ' ' || *end == '\t' || *end == '\r') end++;
    if (end == line || *end || !isfinite(value)) return bad_answer(x, line);
    x->out[x->answered++] = value;
    return OK;
}

/* Takes whole lines out of `unread`. */
static Status take_answers(Exchange *x) {
    Str *unread = &x->c->unread;
    Status st = OK;
    size_t start = 0;
    for (size_t i = 0; i < unread->len && st == OK; i++) {
        if (unread->data[i] != '\n') continue;
        unread->data[i] = '\0';
        const char *line = unread->data + start;
        st = x->answered < x->n ? read_answer(x, line) : too_many(x->c, line);
        start = i + 1;
    }
    Str rest = {0};
    str_append_n(&rest, str_text(unread) + start, unread->len - start);
    str_free(unread);
    *unread = rest;
    if (st == OK && rest.len > LONGEST_ANSWER) st = bad_answer(x, str_text(unread));
    return st;
}

static Status receive(Exchange *x) {
    char buffer[4096];
    ssize_t k = read(x->c->from, buffer, sizeof buffer);
    if (k == 0) return ended_early(x->c, x->answered, x->n);
    if (k < 0) return OK; /* EINTR: poll again */
    str_append_n(&x->c->unread, buffer, (size_t)k);
    return take_answers(x);
}

static void send(Exchange *x) {
    ssize_t k = write(x->c->to, x->text.data + x->sent, x->text.len - x->sent);
    if (k > 0) x->sent += (size_t)k;
    /* It reads no more: what it still answers, or how it ended, tells. */
    if (k < 0 && errno == EPIPE) x->sent = x->text.len;
}

static Status serve(Exchange *x, int wait_ms) {
    struct pollfd fds[2] = {{x->c->from, POLLIN, 0}, {x->c->to, POLLOUT, 0}};
    int ready = poll(fds, x->sent < x->text.len ? 2 : 1, wait_ms);
    if (ready < 0 && errno != EINTR)
        return status_fail(ERR_OS, "ppo.reward.command: poll: %s", strerror(errno));
    if (ready <= 0) return OK;
    if (fds[1].revents) send(x);
    return fds[0].revents ? receive(x) : OK;
}

static Status too_slow(const Exchange *x) {
    return status_fail(ERR_DATA,
                       "ppo.reward.command: `%s` gave no answer for %g s (row %lld of %lld); it "
                       "must flush after each line, or timeout_s must be higher",
                       x->c->name, x->c->timeout_s, (long long)x->answered + 1, (long long)x->n);
}

/* Nothing may have come unasked, or every later answer would be another row's. */
static Status check_silence(Exchange *x) {
    TRY(serve(x, 0));
    if (x->c->unread.len > 0) return too_many(x->c, str_text(&x->c->unread));
    return OK;
}

static Status command_score(void *self, double *out, const RewardQuery *queries, int64_t n,
                            int64_t *answered) {
    Exchange x = {.c = self, .out = out};
    Status st = check_silence(&x);
    x.n = n;
    for (int64_t i = 0; i < n && st == OK; i++) write_query(&x.text, &queries[i]);
    double last_s = progress_clock_s(), stop_s = 0.0;
    while (x.answered < n && st == OK) {
        int64_t before = x.answered;
        st = serve(&x, POLL_MS);
        double now_s = progress_clock_s();
        if (x.answered > before) last_s = now_s;
        if (stop_s == 0.0 && stop_requested()) stop_s = now_s;
        if (x.answered == n || st != OK) break;
        if (stop_s > 0.0 && now_s - stop_s > DRAIN_S)
            st = stop_status();
        else if (now_s - last_s > x.c->timeout_s)
            st = too_slow(&x);
    }
    *answered = x.answered;
    str_free(&x.text);
    return st;
}

Status reward_command_open(RewardScorer *out, const RewardSource *config) {
    int in[2] = {-1, -1}, back[2] = {-1, -1}, told[2] = {-1, -1};
    size_t words = config->command.n;
    char **argv = mem_zalloc(words + 1, sizeof *argv); /* ends in NULL, as execvp wants it */
    memcpy(argv, config->command.items, words * sizeof *argv);
    CommandReward *c = mem_zalloc(1, sizeof *c);
    *c = (CommandReward){
        .name = config->command.items[0], .to = -1, .from = -1, .timeout_s = config->timeout_s};
    Status st = open_pipe(in);
    if (st == OK) st = open_pipe(back);
    if (st == OK) st = open_pipe(told);
    if (st == OK) st = start(c, argv, in, back, told);
    close_pipe(told);
    mem_free(argv);
    if (st != OK) {
        close_pipe(in);
        close_pipe(back);
        c->pid = 0;
        command_close(c);
        return st;
    }
    close(in[0]);
    close(back[1]);
    c->to = in[1];
    c->from = back[0];
    fcntl(c->to, F_SETFL, O_NONBLOCK);
    *out = (RewardScorer){command_score, command_close, c, config->weight};
    return OK;
}
