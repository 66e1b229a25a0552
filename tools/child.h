/* child: runs a program and listens to what it says.
 *
 * Both its outputs come line by line to `on_line` and go into a log file. The programs of Hone are
 * asked for progress lines in a form of their own (core/progress.h), which are told apart and not
 * logged. The child has a process group of its own, so that Ctrl-C at the terminal reaches us
 * alone; when we are asked to stop, it gets a SIGTERM, and it gets one when we die. */
#ifndef HONE_TOOLS_CHILD_H
#define HONE_TOOLS_CHILD_H

#include "core/status.h"

#include <stdbool.h>

typedef struct ChildOptions {
    char *const *argv; /* argv[0] is a path; ends with a NULL */
    const char *log;   /* appended to */
    void (*on_line)(void *ctx, const char *line, bool is_progress);
    void (*on_tick)(void *ctx); /* a few times a second */
    void *ctx;
} ChildOptions;

/* *code: what it left with; 128 + the number of a signal that ended it. ERR_OS when it cannot be
 * started, ERR_CREATE or ERR_IO for the log. */
Status child_run(int *code, const ChildOptions *o);

#endif
