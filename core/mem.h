/* mem: the host heap. Running out of memory ends the process with one line and exit code 71
 * (ERR_OS): everything on disk is crash-safe (publish.h), so there is nothing to unwind, and no
 * caller has to carry an error that it cannot treat. Big or growing things belong into an arena. */
#ifndef HONE_CORE_MEM_H
#define HONE_CORE_MEM_H

#include <stdbool.h>
#include <stddef.h>

void *mem_alloc(size_t bytes);           /* not cleared; zero bytes give a valid address */
void *mem_zalloc(size_t n, size_t size); /* cleared; n * size is checked for overflow */
void *mem_realloc(void *p, size_t n, size_t size);
char *mem_strdup(const char *s);
char *mem_strndup(const char *s, size_t n); /* n bytes and a NUL; bytes may hold NULs */
void mem_free(void *p);                     /* NULL is fine; for all of the above and below */

/* 64-byte aligned, for arenas and packed weights, in huge pages where the system has them and it is
 * worth one; cleared pages come from the system at first touch. Zero bytes give a valid address.
 * The second gives NULL where the first ends the process. */
void *mem_aligned(size_t bytes);
void *mem_try_aligned(size_t bytes);

/* Checked arithmetic for sizes that come from files; false on overflow, *out untouched. */
bool mem_mul(size_t *out, size_t a, size_t b);
bool mem_add(size_t *out, size_t a, size_t b);

#endif
