#include "core/log.h"

#include "core/mem.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static atomic_int lowest = LOG_INFO;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static void (*overlay_clear)(void);
static void (*overlay_redraw)(void);

/* Lines that log_warn_once printed. A few dozen at most: the formats are literals in the code, and
 * past the cap a warning is printed again rather than lost. */
#define ONCE_CAP 256
static char *once[ONCE_CAP];
static int once_count;

void log_set_level(LogLevel level) {
    lowest = (int)level;
}

bool log_shows(LogLevel level) {
    return (int)level >= lowest;
}

void log_set_overlay(void (*clear)(void), void (*redraw)(void)) {
    pthread_mutex_lock(&mutex);
    overlay_clear = clear;
    overlay_redraw = redraw;
    pthread_mutex_unlock(&mutex);
}

static void print_line(LogLevel level, const char *text) {
    static const char *const prefix[] = {"debug: ", "", "warning: ", "error: "};
    if (overlay_clear) overlay_clear();
    fprintf(stderr, "%s%s\n", prefix[level], text);
    if (overlay_redraw) overlay_redraw();
}

static void log_v(LogLevel level, const char *fmt, va_list args)
    __attribute__((format(printf, 2, 0)));
static void log_v(LogLevel level, const char *fmt, va_list args) {
    if (!log_shows(level)) return;
    char text[4096];
    vsnprintf(text, sizeof text, fmt, args);
    pthread_mutex_lock(&mutex);
    print_line(level, text);
    pthread_mutex_unlock(&mutex);
}

#define LOG_FUNCTION(name, level)     \
    void name(const char *fmt, ...) { \
        va_list args;                 \
        va_start(args, fmt);          \
        log_v(level, fmt, args);      \
        va_end(args);                 \
    }

LOG_FUNCTION(log_debug, LOG_DEBUG)
LOG_FUNCTION(log_info, LOG_INFO)
LOG_FUNCTION(log_warn, LOG_WARN)
LOG_FUNCTION(log_error, LOG_ERROR)

/* Notes the text; false when it was there. Under the mutex. */
static bool is_new(const char *text) {
    for (int i = 0; i < once_count; i++)
        if (strcmp(once[i], text) == 0) return false;
    if (once_count < ONCE_CAP) once[once_count++] = mem_strdup(text);
    return true;
}

void log_warn_once(const char *fmt, ...) {
    if (!log_shows(LOG_WARN)) return;
    char text[4096];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    pthread_mutex_lock(&mutex);
    if (is_new(text)) print_line(LOG_WARN, text);
    pthread_mutex_unlock(&mutex);
}
