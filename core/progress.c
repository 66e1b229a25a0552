#include "core/progress.h"

#include "core/log.h"
#include "core/str.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define TERMINAL_EVERY_S 0.1
#define PLAIN_EVERY_S 5.0
#define ASKED_EVERY_S 0.5
#define BAR_CELLS 20

static Progress *active; /* the one on the screen; NULL: none */

double progress_clock_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

char *progress_duration(char *buf, int cap, double seconds) {
    long s = seconds > 0 && seconds < 1e9 ? lround(seconds) : 0;
    if (s >= 3600)
        snprintf(buf, (size_t)cap, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(buf, (size_t)cap, "%ld:%02ld", s / 60, s % 60);
    return buf;
}

static bool on_terminal(void) {
    const char *term = getenv("TERM");
    return isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
}

/* Does a program that runs this one read the lines? */
static bool is_asked(void) {
    return getenv(PROGRESS_LINES_VARIABLE) != NULL;
}

static int terminal_columns(void) {
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
    return 80;
}

/* ---- the line ---- */

static void append_bar(Str *s, double part) {
    int full = (int)(part * BAR_CELLS);
    str_append(s, "  [");
    for (int i = 0; i < BAR_CELLS; i++) str_append_char(s, i < full ? '=' : i == full ? '>' : ' ');
    str_append_char(s, ']');
}

static void append_rate(Str *s, const Progress *p, double rate) {
    str_printf(s, "  %.*f %s/s", rate < 10 ? 2 : rate < 100 ? 1 : 0, rate, p->unit);
}

static void make_line(Str *s, const Progress *p, double now, bool bar) {
    char time_text[32];
    int64_t here = p->done - p->first; /* by this process */
    double rate = here > 0 && now > p->started_s ? (double)here / (now - p->started_s) : 0;
    double part = p->total > 0 ? (double)p->done / (double)p->total : 0;
    str_printf(s, "%-8s", p->label);
    if (bar && p->total > 0) append_bar(s, part);
    if (p->total > 0)
        str_printf(s, "  %lld/%lld  %d %%", (long long)p->done, (long long)p->total,
                   (int)(100 * part));
    else
        str_printf(s, "  %lld %s", (long long)p->done, p->unit);
    if (rate > 0) append_rate(s, p, rate);
    if (rate > 0 && p->total > p->done)
        str_printf(
            s, "  %s left",
            progress_duration(time_text, sizeof time_text, (double)(p->total - p->done) / rate));
    if (p->note[0]) str_printf(s, "  %s", p->note);
}

/* ---- the screen ---- */

static void clear_line(void) {
    fputs("\r\033[K", stderr);
}

static void redraw_line(void) {
    if (active) fputs(active->shown, stderr);
}

/* Cuts the line to the window: one that wraps could not be cleared. Bytes of a character stay
 * together. */
static void show(Progress *p, const Str *line) {
    size_t most = (size_t)terminal_columns() - 1;
    if (most >= sizeof p->shown) most = sizeof p->shown - 1;
    size_t n = line->len < most ? line->len : most;
    while (n > 0 && n < line->len && ((unsigned char)line->data[n] & 0xc0) == 0x80) n--;
    clear_line();
    memcpy(p->shown, line->data, n);
    p->shown[n] = '\0';
    redraw_line();
}

static void print_line(const Str *line) {
    if (is_asked() && log_shows(LOG_INFO))
        fprintf(stderr, PROGRESS_LINE_PREFIX "%s\n", str_text(line));
    else
        log_info("%s", str_text(line));
}

static double every_s(void) {
    return on_terminal() ? TERMINAL_EVERY_S : is_asked() ? ASKED_EVERY_S : PLAIN_EVERY_S;
}

static void draw(Progress *p, double now) {
    Str line = {0};
    bool terminal = on_terminal();
    p->drawn_s = now;
    make_line(&line, p, now, terminal);
    if (terminal &&
        line.len >= (size_t)terminal_columns()) { /* the words matter more than the bar */
        str_clear(&line);
        make_line(&line, p, now, false);
    }
    if (terminal)
        show(p, &line);
    else
        print_line(&line);
    str_free(&line);
}

void progress_begin(Progress *p, const char *label, const char *unit, int64_t total,
                    int64_t first) {
    double now = progress_clock_s();
    *p = (Progress){.label = label,
                    .unit = unit,
                    .total = total,
                    .first = first,
                    .done = first,
                    .started_s = now,
                    .drawn_s = now};
    active = p;
    if (!log_shows(LOG_INFO) || !on_terminal()) return;
    log_set_overlay(clear_line, redraw_line);
    draw(p, now);
}

void progress_update(Progress *p, int64_t done, const char *note) {
    p->done = done;
    if (note) snprintf(p->note, sizeof p->note, "%s", note);
    if (!log_shows(LOG_INFO)) return;
    double now = progress_clock_s();
    if (now - p->drawn_s >= every_s()) draw(p, now);
}

void progress_end(Progress *p) {
    char took[32];
    Str line = {0};
    double now = progress_clock_s(), seconds = now - p->started_s;
    int64_t here = p->done - p->first;
    bool was_drawn = p->shown[0] != '\0';
    active = NULL;
    log_set_overlay(NULL, NULL);
    if (was_drawn) clear_line();
    str_printf(&line, "%-8s  %lld %s in %s", p->label, (long long)p->done, p->unit,
               progress_duration(took, sizeof took, seconds));
    if (here > 0 && seconds > 0) append_rate(&line, p, (double)here / seconds);
    if (p->note[0]) str_printf(&line, "  %s", p->note);
    print_line(&line);
    str_free(&line);
}
