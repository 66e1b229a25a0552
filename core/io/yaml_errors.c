#include "core/io/yaml.h"

#include "core/mem.h"
#include "core/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void add(YamlErrors *e, const char *file, int line, int column, const char *fmt,
                va_list args) {
    if (e->n == e->cap) {
        e->cap = e->cap ? 2 * e->cap : 8;
        e->items = mem_realloc(e->items, e->cap, sizeof *e->items);
    }
    Str text = {0};
    str_vprintf(&text, fmt, args);
    e->items[e->n++] = (YamlError){
        .file = mem_strdup(file), .line = line, .column = column, .text = str_take(&text)};
}

void yaml_error_at(YamlErrors *e, const char *file, int line, int column, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    add(e, file, line, column, fmt, args);
    va_end(args);
}

void yaml_error(YamlErrors *e, const YamlNode *at, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    add(e, at->file, at->line, at->column, fmt, args);
    va_end(args);
}

static size_t file_rank(const YamlErrors *e, const char *file) {
    size_t i = 0;
    while (strcmp(e->items[i].file, file) != 0) i++;
    return i;
}

typedef struct Ranked {
    size_t rank;
    YamlError error;
} Ranked;

static bool comes_after(const Ranked *a, const Ranked *b) {
    bool a_is_placed = a->error.line > 0, b_is_placed = b->error.line > 0;
    if (a_is_placed != b_is_placed) return b_is_placed;
    if (!a_is_placed) return a->error.column > b->error.column;
    if (a->rank != b->rank) return a->rank > b->rank;
    if (a->error.line != b->error.line) return a->error.line > b->error.line;
    return a->error.column > b->error.column;
}

/* Insertion: stable, and there are few. */
void yaml_errors_sort(YamlErrors *e) {
    Ranked *r = mem_zalloc(e->n + 1, sizeof *r);
    for (size_t i = 0; i < e->n; i++) {
        r[i] = (Ranked){.rank = file_rank(e, e->items[i].file), .error = e->items[i]};
    }
    for (size_t i = 1; i < e->n; i++) {
        Ranked moved = r[i];
        size_t at = i;
        for (; at > 0 && comes_after(&r[at - 1], &moved); at--) r[at] = r[at - 1];
        r[at] = moved;
    }
    for (size_t i = 0; i < e->n; i++) e->items[i] = r[i].error;
    mem_free(r);
}

void yaml_errors_line(const YamlErrors *e, size_t i, char *buf, size_t cap) {
    const YamlError *x = &e->items[i];
    if (x->line > 0)
        snprintf(buf, cap, "%s:%d:%d: %s", x->file, x->line, x->column, x->text);
    else
        snprintf(buf, cap, "%s: %s", x->file, x->text);
}

void yaml_errors_free(YamlErrors *e) {
    for (size_t i = 0; i < e->n; i++) {
        mem_free(e->items[i].file);
        mem_free(e->items[i].text);
    }
    mem_free(e->items);
    *e = (YamlErrors){0};
}
