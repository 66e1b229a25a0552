#include "core/arena.h"

#include "core/check.h"

#include <stdint.h>

/* Where a measuring arena pretends to lie. Nobody may read there; it only has to be aligned and not
 * NULL, so that code which asks "is there a tensor?" takes the same way as in the real run. */
#define MEASURE_BASE ((uintptr_t)1 << 44)

static size_t round_up(size_t n) {
    return (n + (ARENA_ALIGN - 1)) / ARENA_ALIGN * ARENA_ALIGN;
}

void arena_init(Arena *a, const char *name, void *memory, size_t cap) {
    CHECK((uintptr_t)memory % ARENA_ALIGN == 0, "%s: memory at %p is not aligned to %d", name,
          memory, ARENA_ALIGN);
    *a = (Arena){.name = name, .base = memory, .cap = cap};
}

void arena_init_measure(Arena *a, const char *name) {
    *a = (Arena){
        .name = name, .base = (unsigned char *)MEASURE_BASE, .cap = SIZE_MAX / 2, .measure = true};
}

void *arena_alloc(Arena *a, size_t bytes) {
    /* Zero bytes still take a step, so that two tensors never share an address. */
    size_t step = round_up(bytes == 0 ? 1 : bytes);
    CHECK(bytes < SIZE_MAX / 4 && step <= a->cap - a->used,
          "arena %s is full: %zu more bytes, %zu of %zu used", a->name, bytes, a->used, a->cap);
    unsigned char *p = a->base + a->used;
    a->used += step;
    if (a->used > a->peak) a->peak = a->used;
    return p;
}

Tensor arena_1d(Arena *a, DType dtype, int64_t n) {
    return arena_like(a, tensor_1d(NULL, dtype, n));
}

Tensor arena_2d(Arena *a, DType dtype, int64_t rows, int64_t cols) {
    return arena_like(a, tensor_2d(NULL, dtype, rows, cols));
}

Tensor arena_like(Arena *a, Tensor t) {
    return tensor_like(arena_alloc(a, tensor_bytes(t)), t);
}

size_t arena_mark(const Arena *a) {
    return a->used;
}

void arena_release(Arena *a, size_t mark) {
    CHECK(mark <= a->used, "arena %s: mark %zu lies above %zu used", a->name, mark, a->used);
    a->used = mark;
}
