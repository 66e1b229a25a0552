#include "core/stop.h"

#include "core/check.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static volatile sig_atomic_t requested; /* number of the signal; 0: none */

/* Only what is allowed in a handler: a flag, or the door. */
static void on_signal(int number) {
    if (number == SIGINT && requested == SIGINT) _exit(ERR_STOPPED);
    requested = number;
}

void stop_install(void) {
    static const int SIGNALS[] = {SIGTERM, SIGUSR1, SIGHUP, SIGINT};
    /* SA_RESTART: library code that does not expect EINTR (HDF5, stdio) is not disturbed; loops ask
     * stop_requested() instead. */
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof SIGNALS / sizeof SIGNALS[0]; i++) {
        int rc = sigaction(SIGNALS[i], &action, NULL);
        CHECK(rc == 0, "sigaction(%d)", SIGNALS[i]);
    }
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
}

bool stop_requested(void) {
    return requested != 0;
}

int stop_signal(void) {
    return requested;
}

void stop_request(void) {
    requested = SIGTERM;
}

void stop_reset(void) {
    requested = 0;
}

static const char *signal_name(int number) {
    switch (number) {
    case SIGTERM:
        return "SIGTERM";
    case SIGUSR1:
        return "SIGUSR1";
    case SIGHUP:
        return "SIGHUP";
    case SIGINT:
        return "SIGINT";
    default:
        return "a signal";
    }
}

Status stop_status(void) {
    return status_fail(ERR_STOPPED, "stopped by %s; start the same command again to go on",
                       signal_name(requested));
}
