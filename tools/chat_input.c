#include "tools/chat_input.h"

#include "core/stop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void chat_input_open(ChatInput *in) {
    *in = (ChatInput){.is_person = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)};
}

void chat_input_close(ChatInput *in) {
    str_free(&in->held);
    str_free(&in->line);
}

static void show_prompt(const ChatInput *in) {
    if (!in->is_person) return;
    fputs("> ", stdout);
    fflush(stdout);
}

/* poll comes back at a signal, which read would not. */
static Status wait_for_input(const ChatInput *in) {
    for (;;) {
        struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
        if (stop_requested() && !(in->is_person && stop_signal() == SIGINT)) return stop_status();
        int rc = poll(&p, 1, -1);
        if (rc > 0) return OK;
        if (rc < 0 && errno != EINTR)
            return status_fail(ERR_IO, "standard input: %s", strerror(errno));
        if (stop_signal() != SIGINT || !in->is_person) continue;
        fputs("\n(Ctrl-C again leaves)\n", stdout);
        show_prompt(in);
    }
}

static Status read_more(ChatInput *in) {
    char buf[4096];
    TRY(wait_for_input(in));
    ssize_t n = read(STDIN_FILENO, buf, sizeof buf);
    if (n < 0) return status_fail(ERR_IO, "standard input: %s", strerror(errno));
    if (n == 0)
        in->at_end = true;
    else
        str_append_n(&in->held, buf, (size_t)n);
    return OK;
}

/* Moves the first n bytes of `held` into `line` and drops `skip` more. */
static void take(ChatInput *in, size_t n, size_t skip) {
    str_clear(&in->line);
    str_append_n(&in->line, in->held.data, n);
    if (n > 0 && in->line.data[n - 1] == '\r') in->line.data[--in->line.len] = '\0';
    memmove(in->held.data, in->held.data + n + skip, in->held.len - n - skip);
    in->held.len -= n + skip;
}

Status chat_input_line(ChatInput *in, const char **line) {
    *line = NULL;
    show_prompt(in);
    for (;;) {
        char *end = in->held.len > 0 ? memchr(in->held.data, '\n', in->held.len) : NULL;
        if (end || (in->at_end && in->held.len > 0)) {
            take(in, end ? (size_t)(end - in->held.data) : in->held.len, end ? 1 : 0);
            break;
        }
        if (in->at_end) return OK;
        TRY(read_more(in));
    }
    if (!str_utf8_valid(str_text(&in->line), in->line.len, NULL))
        return status_fail(ERR_DATA, "standard input: a line is no UTF-8");
    if (in->is_person && stop_signal() == SIGINT) stop_reset(); /* came while waiting */
    *line = str_text(&in->line);
    return OK;
}
