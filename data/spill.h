/* spill: arrays that grow in unnamed files, so that what a large data set becomes while it is read
 * is no memory that the process must hold: the kernel writes its pages out where it needs them. A
 * file has no name once it is open, and goes with the process.
 *
 * Without a folder (spill NULL), and where the disk has no room, an array lies in memory. */
#ifndef HONE_DATA_SPILL_H
#define HONE_DATA_SPILL_H

#include <stddef.h>

typedef struct Spill Spill;

Spill *spill_open(const char *folder); /* made where it is missing; NULL: arrays in memory */
void spill_close(Spill *s);            /* after its arrays are freed */

/* As mem_realloc of `bytes`: contents stay, the place may change. p NULL: a new one. */
void *spill_grow(Spill *s, void *p, size_t bytes);
void spill_free(Spill *s, void *p);

#endif
