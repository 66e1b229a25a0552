#include "core/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void check_fail(const char *file, int line, const char *cond, const char *fmt, ...) {
    /* One write, so that threads that fail together do not mix their lines. */
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    fflush(stdout);
    fprintf(stderr, "internal error: %s:%d: %s: %s\n", file, line, cond, text);
    abort();
}
