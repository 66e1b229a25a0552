/* status: how a cause outside the program is reported.
 *
 * Two kinds of failure, never mixed: a `Status` says that something outside went wrong (a file, a
 * config, a device); a CHECK (check.h) says that the program itself is wrong, and aborts.
 *
 * A Status is the exit code of the programs (INTERFACE: "Exit codes"), so `main` returns it as it
 * is. Beside it stands one thread-local line of text, set where the failure is found:
 *
 *     return status_fail(ERR_DATA, "%s:%d: `prompt` is missing; each row needs one", path, line);
 *
 * The line says what is wrong, where (file, line, column, key or row), and what to do. Callers pass
 * it on untouched (TRY); they do not wrap it. The first error wins: cleanup never replaces it.
 */
#ifndef HONE_CORE_STATUS_H
#define HONE_CORE_STATUS_H

typedef enum Status {
    OK = 0,
    ERR_USAGE = 2,     /* the command line */
    ERR_DATA = 65,     /* bad data or a damaged file */
    ERR_INPUT = 66,    /* an input is missing */
    ERR_DEVICE = 69,   /* no such device */
    ERR_INTERNAL = 70, /* a defect of ours that could be caught */
    ERR_OS = 71,       /* out of memory, no process, no thread */
    ERR_CREATE = 73,   /* an output cannot be made, or another process owns the run folder */
    ERR_IO = 74,       /* reading or writing failed */
    ERR_STOPPED = 75,  /* stopped by a signal; state is saved, start again to go on */
    ERR_NUMERIC = 76,  /* NaN or Inf where the policy says stop */
    ERR_CONFIG = 78,   /* the configuration */
} Status;

/* Sets the thread's message (printf-like, at most 2047 bytes, one line) and returns `code`. */
Status status_fail(Status code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The thread's message; "" when nothing failed since status_clear. Valid until the next
 * status_fail. */
const char *status_message(void);
void status_clear(void);

/* "bad data", "config", ...: the name of a code, for logs. */
const char *status_name(Status code);

/* Returns from the calling function when `e` failed. */
#define TRY(e)                             \
    do {                                   \
        Status try_st_ = (e);              \
        if (try_st_ != OK) return try_st_; \
    } while (0)

/* Stores the status in `st` and jumps to `label` when `e` failed; the usual label is `out`. */
#define TRY_GOTO(e, st, label)      \
    do {                            \
        (st) = (e);                 \
        if ((st) != OK) goto label; \
    } while (0)

#endif
