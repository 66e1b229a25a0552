#include "tools/args.h"

#include "core/check.h"
#include "core/mem.h"
#include "core/str.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static void print_table(const ArgTable *t) {
    static const char *const words[] = {"", "TEXT", "N", "X", "A [B ...]"};
    printf("usage: hone %s", t->verb);
    for (const Arg *a = t->args; a->name; a++) {
        const char *open = a->required ? "" : "[", *close = a->required ? "" : "]";
        if (a->name[0] != '-')
            printf(" %s%s%s%s", open, a->name, a->kind == ARG_LIST ? "..." : "", close);
        else
            printf(" %s%s%s%s%s", open, a->name, *words[a->kind] ? " " : "", words[a->kind], close);
    }
    printf("\n\n%s\n\n", t->summary);
    for (const Arg *a = t->args; a->name; a++) printf("  %-24s %s\n", a->name, a->doc);
}

static Status parse_value(const ArgTable *t, const Arg *a, const char *text) {
    char *end = NULL;
    errno = 0;
    switch (a->kind) {
    case ARG_FLAG:
        *(bool *)a->to = true;
        return OK;
    case ARG_TEXT:
        *(const char **)a->to = text;
        return OK;
    case ARG_INT:
        *(int64_t *)a->to = strtoll(text, &end, 10);
        break;
    case ARG_NUM:
        *(double *)a->to = strtod(text, &end);
        break;
    case ARG_LIST: {
        ArgList *list = a->to;
        list->items = mem_realloc(list->items, (size_t)list->n + 1, sizeof *list->items);
        list->items[list->n++] = text;
        return OK;
    }
    }
    if (end == text || *end || errno)
        return status_fail(ERR_USAGE, "hone %s: %s takes a number, not `%s`", t->verb, a->name,
                           text);
    return OK;
}

static const Arg *find_option(const ArgTable *t, const char *text, size_t n) {
    for (const Arg *a = t->args; a->name; a++)
        if (a->name[0] == '-' && str_starts(text, a->name) && a->name[n] == '\0') return a;
    return NULL;
}

static size_t name_length(const char *text) {
    size_t n = 0;
    while (text[n] && text[n] != '=') n++;
    return n;
}

static const Arg *find_positional(const ArgTable *t, int k) {
    int i = 0;
    for (const Arg *a = t->args; a->name; a++) {
        if (a->name[0] == '-') continue;
        if (i++ == k || a->kind == ARG_LIST) return a;
    }
    return NULL;
}

Status args_parse(const ArgTable *t, int argc, char **argv, bool *help) {
    bool *given = mem_zalloc(64, sizeof *given);
    int positional = 0;
    Status st = OK;
    *help = false;
    for (int i = 1; i < argc && st == OK; i++) {
        const char *text = argv[i];
        if (str_equal(text, "--help") || str_equal(text, "-h")) {
            print_table(t);
            *help = true;
            goto out;
        }
        bool is_option = text[0] == '-' && text[1] == '-';
        size_t n = name_length(text);
        const Arg *a = is_option ? find_option(t, text, n) : find_positional(t, positional++);
        if (!a) {
            st = status_fail(ERR_USAGE, "hone %s: %s `%s`; see hone %s --help", t->verb,
                             is_option ? "no option" : "too many arguments at", text, t->verb);
            break;
        }
        given[a - t->args] = true;
        if (!is_option)
            st = parse_value(t, a, text);
        else if (text[n] == '=')
            st = parse_value(t, a, text + n + 1);
        else if (a->kind == ARG_FLAG)
            st = parse_value(t, a, NULL);
        else if (i + 1 == argc)
            st = status_fail(ERR_USAGE, "hone %s: %s needs a value", t->verb, text);
        else {
            do st = parse_value(t, a, argv[++i]);
            while (st == OK && a->kind == ARG_LIST && i + 1 < argc &&
                   !str_starts(argv[i + 1], "--"));
        }
    }
    for (const Arg *a = t->args; a->name && st == OK; a++)
        if (a->required && !given[a - t->args])
            st = status_fail(ERR_USAGE, "hone %s: %s is needed (%s)", t->verb, a->name, a->doc);
out:
    mem_free(given);
    return st;
}
