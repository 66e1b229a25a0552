/* log: lines for people, on stderr. Machine-readable results go through train/report only. */
#ifndef HONE_CORE_LOG_H
#define HONE_CORE_LOG_H

#include <stdbool.h>

typedef enum LogLevel { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR } LogLevel;

/* Below this level nothing is printed; LOG_INFO at start. `--quiet` sets LOG_WARN. */
void log_set_level(LogLevel level);
bool log_shows(LogLevel level);

/* One line each; a progress line that is on screen is cleared first and redrawn after. */
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));  /* "warning: ..." */
void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* "error: ..." */

/* Same text is printed once a process (for warnings inside loops over rows). */
void log_warn_once(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* What stands on the screen below the log (progress.c): `clear` takes it away before a line is
 * printed, `redraw` puts it back. NULL, NULL when there is none. */
void log_set_overlay(void (*clear)(void), void (*redraw)(void));

#endif
