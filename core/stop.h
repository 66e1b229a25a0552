/* stop: signals become a flag that every long loop asks for.
 *
 * SIGTERM, SIGUSR1, SIGHUP, SIGINT: finish the small thing at hand, save, leave with ERR_STOPPED.
 * A second SIGINT leaves at once with the same code. SIGPIPE is ignored (writes report EPIPE). */
#ifndef HONE_CORE_STOP_H
#define HONE_CORE_STOP_H

#include "core/status.h"

#include <stdbool.h>

void stop_install(void);   /* once, first thing in main */
bool stop_requested(void); /* cheap: one load */
int stop_signal(void);     /* which signal it was; 0: none */
void stop_request(void);   /* as if SIGTERM had come; tests */
void stop_reset(void);     /* tests */
/* ERR_STOPPED with a line that names the signal; for loops before there is anything to save. */
Status stop_status(void);

#endif
