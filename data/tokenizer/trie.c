#include "data/tokenizer/trie.h"

#include "core/check.h"
#include "core/mem.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define FREE UINT32_MAX
#define PATIENCE 128 /* places tried before the search gives up on what lies behind it */

typedef struct Task { /* keys[from..to) share their first `depth` bytes, which lead to `node` */
    size_t from, to, depth;
    uint32_t node;
} Task;

typedef struct Builder {
    Trie *trie;
    const TrieKey *keys;
    size_t first_free;
    Task *tasks; /* a stack */
    size_t n_tasks, cap;
} Builder;

static int by_text(const void *a, const void *b) {
    const TrieKey *x = a, *y = b;
    size_t n = x->n < y->n ? x->n : y->n;
    int order = memcmp(x->text, y->text, n);
    if (order != 0) return order;
    if (x->n != y->n) return x->n < y->n ? -1 : 1;
    return x->value < y->value ? -1 : x->value > y->value;
}

static void grow(Trie *t, size_t need) {
    if (need <= t->n) return;
    size_t n = t->n == 0 ? 1024 : t->n;
    while (n < need) n *= 2;
    CHECK(n < FREE, "a trie of %zu units", n);
    t->unit = mem_realloc(t->unit, n, sizeof *t->unit);
    for (size_t i = t->n; i < n; i++) t->unit[i] = (TrieUnit){0, FREE, -1};
    t->n = n;
}

static void push(Builder *b, Task task) {
    if (b->n_tasks == b->cap) {
        b->cap = b->cap == 0 ? 256 : b->cap * 2;
        b->tasks = mem_realloc(b->tasks, b->cap, sizeof *b->tasks);
    }
    b->tasks[b->n_tasks++] = task;
}

static bool fits(const Trie *t, size_t base, const unsigned char *labels, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (t->unit[base + labels[i]].owner != FREE) return false;
    }
    return true;
}

/* A base under which the places of all labels are free. */
static uint32_t find_base(Builder *b, const unsigned char *labels, size_t n) {
    Trie *t = b->trie;
    while (t->unit[b->first_free].owner != FREE) {
        b->first_free++;
        grow(t, b->first_free + 512);
    }
    size_t at = b->first_free > labels[0] ? b->first_free : (size_t)labels[0] + 1;
    for (size_t tried = 0;; at++, tried++) {
        grow(t, at + 512);
        if (t->unit[at].owner == FREE && fits(t, at - labels[0], labels, n)) break;
        if (tried == PATIENCE) b->first_free = at;
    }
    return (uint32_t)(at - labels[0]);
}

static unsigned char byte_at(const Builder *b, size_t key, size_t depth) {
    return (unsigned char)b->keys[key].text[depth];
}

/* Gives the node its value and its children, which become tasks. */
static void place(Builder *b, Task task) {
    size_t from = task.from, n = 0;
    unsigned char labels[256];
    while (from < task.to && b->keys[from].n == task.depth) {
        b->trie->unit[task.node].value = b->keys[from++].value;
    }
    for (size_t i = from; i < task.to; i++) {
        unsigned char byte = byte_at(b, i, task.depth);
        if (n == 0 || labels[n - 1] != byte) labels[n++] = byte;
    }
    if (n == 0) return;
    uint32_t base = find_base(b, labels, n);
    b->trie->unit[task.node].base = base;
    for (size_t i = 0; i < n; i++) b->trie->unit[base + labels[i]].owner = task.node;
    for (size_t i = from, k = 0; k < n; k++) {
        size_t end = i;
        while (end < task.to && byte_at(b, end, task.depth) == labels[k]) end++;
        push(b, (Task){i, end, task.depth + 1, base + labels[k]});
        i = end;
    }
}

void trie_build(Trie *t, TrieKey *keys, size_t n) {
    CHECK(t->unit == NULL, "a trie is built once");
    if (n > 0) qsort(keys, n, sizeof *keys, by_text);
    Builder b = {.trie = t, .keys = keys, .first_free = 1};
    grow(t, 1024);
    push(&b, (Task){0, n, 0, TRIE_ROOT});
    while (b.n_tasks > 0) place(&b, b.tasks[--b.n_tasks]);
    mem_free(b.tasks);
}

void trie_free(Trie *t) {
    mem_free(t->unit);
    *t = (Trie){0};
}
