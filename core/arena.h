/* arena: bump allocation with marks, and a measure mode that only counts.
 *
 *     base ──────────────── used ───────────── peak ─────────── cap
 *          live allocations       free again         never used yet
 *
 * Life: arena_init on memory of the caller's (device or host), allocate, arena_mark, allocate
 * scratch, arena_release(mark). Nothing is freed one by one. In measure mode there is no memory:
 * addresses are made up (never to be read) and `peak` tells how much the same calls will need; the
 * plan runs the real code with a measuring device (kernels/dev.h) and then allocates exactly that.
 * Running over `cap` is a programmer error (the plan was wrong) and CHECKs with the arena's name.
 */
#ifndef HONE_CORE_ARENA_H
#define HONE_CORE_ARENA_H

#include "core/tensor.h"

#include <stdbool.h>
#include <stddef.h>

#define ARENA_ALIGN 64

typedef struct Arena {
    const char *name; /* for messages and the memory plan */
    unsigned char *base;
    size_t cap, used, peak; /* bytes */
    bool measure;
} Arena;

void arena_init(Arena *a, const char *name, void *memory, size_t cap);
void arena_init_measure(Arena *a, const char *name);

/* ARENA_ALIGN-aligned, not cleared, never NULL (zero bytes give a valid address). */
void *arena_alloc(Arena *a, size_t bytes);
Tensor arena_1d(Arena *a, DType dtype, int64_t n);
Tensor arena_2d(Arena *a, DType dtype, int64_t rows, int64_t cols);
Tensor arena_like(Arena *a, Tensor t);

size_t arena_mark(const Arena *a);
void arena_release(Arena *a, size_t mark); /* everything allocated after the mark is gone */

#endif
