/* lock: one process owns a run folder. The lock is the kernel's (an open-file-description lock), so
 * it is gone when its owner is, however that ended; the file's text only says who it was. */
#ifndef HONE_CORE_LOCK_H
#define HONE_CORE_LOCK_H

#include "core/status.h"

typedef struct Lock Lock;

/* Takes `path` ("run/run.lock"). ERR_CREATE with the owner's host, pid and start time when another
 * live process has it, or when the file cannot be made. */
Status lock_open(Lock **out, const char *path);
void lock_close(Lock *l); /* gives it up; the file stays */

#endif
