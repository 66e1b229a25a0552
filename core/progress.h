/* progress: one line that says how far a phase is, how fast, and how long it still takes.
 *
 *     sft      [=========>          ]  412/1000  41 %  8.3 steps/s  1:11 left  loss 2.114
 *
 * On a terminal the line is redrawn in place (at most ten times a second) and log lines go above
 * it. Elsewhere it is a plain line every few seconds. Silent when the log level is above LOG_INFO.
 * One is active at a time. Not for use from several threads.
 *
 * A program that runs others sets PROGRESS_LINES_VARIABLE in their environment: then the lines come
 * twice a second, each behind PROGRESS_LINE_PREFIX, for it to read. */
#ifndef HONE_CORE_PROGRESS_H
#define HONE_CORE_PROGRESS_H

#include <stdint.h>

#define PROGRESS_LINES_VARIABLE "HONE_PROGRESS_LINES"
#define PROGRESS_LINE_PREFIX "progress: "

typedef struct Progress {
    const char *label; /* borrowed */
    const char *unit;  /* borrowed: "steps", "rows", "tokens" */
    int64_t total;     /* 0: not known */
    int64_t first;     /* where this process started (a resumed run): the rate counts from here */
    int64_t done;
    double started_s, drawn_s; /* monotonic clock */
    char note[96];
    char shown[256]; /* what stands on the terminal */
} Progress;

void progress_begin(Progress *p, const char *label, const char *unit, int64_t total, int64_t first);
/* `note` may be NULL (keeps the last one): "loss 2.114". */
void progress_update(Progress *p, int64_t done, const char *note);
/* Leaves one final line on the screen, with the time it took. */
void progress_end(Progress *p);

/* Seconds on a clock that only goes forward; the one clock of the project. */
double progress_clock_s(void);
/* "0:07", "1:11", "2:03:09" into the caller's buffer; returns it. */
char *progress_duration(char *buf, int cap, double seconds);

#endif
