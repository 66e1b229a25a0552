#include "tools/stage_screen.h"

#include "core/log.h"
#include "core/progress.h"
#include "core/stop.h"
#include "core/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define TERMINAL_EVERY_S 0.2
#define PLAIN_EVERY_S 10.0

static char shown[512]; /* on the terminal now; log lines go above it */

static void clear_line(void) {
    if (shown[0]) fputs("\r\033[K", stderr);
}

static void redraw_line(void) {
    fputs(shown, stderr);
}

static size_t columns(void) {
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1) return size.ws_col;
    return 80;
}

/* At most `most` bytes of `text`, whole characters. */
static void copy_cut(char *to, size_t most, const char *text) {
    size_t n = strlen(text), k = n < most ? n : most;
    while (k > 0 && k < n && ((unsigned char)text[k] & 0xc0) == 0x80) k--;
    memcpy(to, text, k);
    to[k] = '\0';
}

static void draw(StageScreen *s, double now) {
    char took[32];
    Str line = {0};
    s->drawn_s = now;
    progress_duration(took, sizeof took, now - s->started_s);
    str_printf(&line, "%s  %s  %s", s->label, took, s->note);
    if (s->terminal) {
        clear_line();
        size_t most = columns() - 1;
        copy_cut(shown, most < sizeof shown - 1 ? most : sizeof shown - 1, str_text(&line));
        redraw_line();
    } else {
        log_info("%s", str_text(&line));
    }
    str_free(&line);
}

void stage_screen_begin(StageScreen *s, const char *name, int64_t seed, bool show_seed, int number,
                        int total) {
    const char *term = getenv("TERM");
    double now = progress_clock_s();
    *s = (StageScreen){.terminal = isatty(STDERR_FILENO) && term && !str_equal(term, "dumb"),
                       .started_s = now,
                       .drawn_s = now};
    Str label = {0};
    if (total > 0) str_printf(&label, "[%d/%d] ", number, total);
    str_printf(&label, "%-10s", name);
    if (show_seed) str_printf(&label, "  seed %lld", (long long)seed);
    copy_cut(s->label, sizeof s->label - 1, str_text(&label));
    str_free(&label);
    shown[0] = '\0';
    if (!s->terminal || total == 0) return;
    log_set_overlay(clear_line, redraw_line);
    draw(s, now);
}

/* A progress line begins with a label of the program's own: the stage's name says it already. */
static const char *without_label(const char *line) {
    const char *at = line + strcspn(line, " ");
    at += strspn(at, " ");
    return *at ? at : line;
}

void stage_screen_line(StageScreen *s, const char *line, bool is_progress) {
    static const char warning[] = "warning: ", error[] = "error: ";
    if (is_progress) {
        s->has_progress = true;
        copy_cut(s->note, sizeof s->note - 1, without_label(line));
        return;
    }
    if (line[strspn(line, " \r")] == '\0') return;
    copy_cut(s->tail[s->n_tail++ % STAGE_SCREEN_TAIL], sizeof s->tail[0] - 1, line);
    if (str_starts(line, warning)) {
        log_warn("%s", line + sizeof warning - 1);
    } else if (str_starts(line, error)) { /* that it was stopped is ours to say */
        s->has_error = true;
        if (!stop_requested()) log_error("%s", line + sizeof error - 1);
    } else if (!s->has_progress) {
        copy_cut(s->note, sizeof s->note - 1, line);
    }
}

void stage_screen_tick(StageScreen *s) {
    double now = progress_clock_s();
    if (now - s->drawn_s >= (s->terminal ? TERMINAL_EVERY_S : PLAIN_EVERY_S)) draw(s, now);
}

void stage_screen_end(StageScreen *s, bool done, bool show_tail) {
    char took[32];
    clear_line();
    shown[0] = '\0';
    log_set_overlay(NULL, NULL);
    progress_duration(took, sizeof took, progress_clock_s() - s->started_s);
    if (done) log_info("%s  %s  %s", s->label, took, s->note);
    if (done || !show_tail || s->has_error) return;
    int first = s->n_tail > STAGE_SCREEN_TAIL ? s->n_tail - STAGE_SCREEN_TAIL : 0;
    for (int i = first; i < s->n_tail; i++) log_info("  %s", s->tail[i % STAGE_SCREEN_TAIL]);
}
