/* stage_screen: what is seen of a stage while it runs: one line, with the rate and the time left
 * that its program tells. Warnings and errors of the program stand above it. On a terminal the line
 * is redrawn in place; elsewhere it comes every few seconds. Goes to stderr. */
#ifndef HONE_TOOLS_STAGE_SCREEN_H
#define HONE_TOOLS_STAGE_SCREEN_H

#include <stdbool.h>
#include <stdint.h>

#define STAGE_SCREEN_TAIL 8

typedef struct StageScreen {
    char label[64];
    char note[256];                    /* the program's last progress line, else its last line */
    char tail[STAGE_SCREEN_TAIL][256]; /* its last lines, a ring: shown when it goes wrong */
    int n_tail;
    bool has_progress, has_error, terminal;
    double started_s, drawn_s;
} StageScreen;

/* `number` of `total`: shown when total > 0. */
void stage_screen_begin(StageScreen *s, const char *name, int64_t seed, bool show_seed, int number,
                        int total);
void stage_screen_line(StageScreen *s, const char *line, bool is_progress);
void stage_screen_tick(StageScreen *s);
/* Leaves a line with the time it took when the stage is done; shows the program's last lines when
 * it went wrong and had no error line of its own. */
void stage_screen_end(StageScreen *s, bool done, bool show_tail);

#endif
