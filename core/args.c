#include "core/args.h"

#include "core/guess.h"
#include "core/io/yaml.h"
#include "core/mem.h"
#include "core/str.h"

#include <stdio.h>
#include <string.h>

static void print_table(const ArgTable *t) {
    static const char *const words[] = {"", "TEXT", "N", "X", "A [B ...]"};
    printf("usage: %s", t->program);
    for (const Arg *a = t->args; a->name; a++) {
        const char *open = a->required ? "" : "[", *close = a->required ? "" : "]";
        if (a->name[0] != '-')
            printf(" %s%s%s%s", open, a->name, a->kind == ARG_LIST ? "..." : "", close);
        else
            printf(" %s%s%s%s%s", open, a->name, *words[a->kind] ? " " : "", words[a->kind], close);
    }
    printf("\n\n%s\n\n", t->summary);
    for (const Arg *a = t->args; a->name; a++) {
        printf("  %-24s %s", a->name, a->doc);
        if (!a->required && a->kind == ARG_INT)
            printf("; default %lld", (long long)*(const int64_t *)a->to);
        if (!a->required && a->kind == ARG_NUM) printf("; default %g", *(const double *)a->to);
        printf("\n");
    }
    if (t->more) printf("\n%s", t->more);
}

static Status parse_value(const ArgTable *t, const Arg *a, const char *text) {
    bool good = true;
    switch (a->kind) {
    case ARG_FLAG:
        *(bool *)a->to = true;
        return OK;
    case ARG_TEXT:
        *(const char **)a->to = text;
        return OK;
    case ARG_INT:
        good = yaml_to_integer(text, a->to);
        break;
    case ARG_NUM:
        good = yaml_to_number(text, a->to);
        break;
    case ARG_LIST: {
        ArgList *list = a->to;
        list->items = mem_realloc(list->items, (size_t)list->n + 1, sizeof *list->items);
        list->items[list->n++] = text;
        return OK;
    }
    }
    if (good) return OK;
    return status_fail(ERR_USAGE, "%s: %s takes %s, not `%s`", t->program, a->name,
                       a->kind == ARG_INT ? "an integer" : "a number", text);
}

/* The option that the first n bytes of `text` name. */
static const Arg *find_option(const ArgTable *t, const char *text, size_t n) {
    for (const Arg *a = t->args; a->name; a++)
        if (a->name[0] == '-' && strlen(a->name) == n && strncmp(a->name, text, n) == 0) return a;
    return NULL;
}

static const Arg *find_positional(const ArgTable *t, int k) {
    int i = 0;
    for (const Arg *a = t->args; a->name; a++) {
        if (a->name[0] == '-') continue;
        if (i++ == k || a->kind == ARG_LIST) return a;
    }
    return NULL;
}

typedef struct Words {
    int argc, at; /* at: the word that is read now */
    char **argv;
} Words;

/* The value of an option: behind its `=`, or the next word, or for lists all words up to the next
 * option. */
static Status take_value(const ArgTable *t, const Arg *a, Words *w) {
    const char *word = w->argv[w->at], *equals = strchr(word, '=');
    if (a->kind == ARG_FLAG && equals)
        return status_fail(ERR_USAGE, "%s: %s takes no value", t->program, a->name);
    if (a->kind == ARG_FLAG) return parse_value(t, a, NULL);
    if (equals) return parse_value(t, a, equals + 1);
    if (w->at + 1 == w->argc)
        return status_fail(ERR_USAGE, "%s: %s needs a value", t->program, word);
    TRY(parse_value(t, a, w->argv[++w->at]));
    while (a->kind == ARG_LIST && w->at + 1 < w->argc && !str_starts(w->argv[w->at + 1], "--"))
        TRY(parse_value(t, a, w->argv[++w->at]));
    return OK;
}

static Status unknown_option(const ArgTable *t, const char *word) {
    char *name = mem_strndup(word, strcspn(word, "="));
    Guess guess = guess_start(name);
    for (const Arg *a = t->args; a->name; a++)
        if (a->name[0] == '-') guess_try(&guess, a->name, a->name);
    Status st = guess.best[0] ? status_fail(ERR_USAGE, "%s: no option `%s`; did you mean %s?",
                                            t->program, name, guess.best)
                              : status_fail(ERR_USAGE, "%s: no option `%s`; see %s --help",
                                            t->program, name, t->program);
    mem_free(name);
    return st;
}

static Status take_word(const ArgTable *t, Words *w, int *positional, bool *given) {
    const char *word = w->argv[w->at];
    bool is_option = word[0] == '-' && word[1] != '\0'; /* "-" alone is standard input */
    const Arg *a =
        is_option ? find_option(t, word, strcspn(word, "=")) : find_positional(t, (*positional)++);
    if (!a && is_option) return unknown_option(t, word);
    if (!a)
        return status_fail(ERR_USAGE, "%s: too many arguments at `%s`; see %s --help", t->program,
                           word, t->program);
    bool *seen = &given[a - t->args];
    if (*seen && a->kind != ARG_LIST)
        return status_fail(ERR_USAGE, "%s: %s is given twice", t->program, a->name);
    *seen = true;
    return is_option ? take_value(t, a, w) : parse_value(t, a, word);
}

Status args_parse(const ArgTable *t, int argc, char **argv, bool *help) {
    size_t n_args = 0;
    while (t->args[n_args].name) n_args++;
    bool *given = mem_zalloc(n_args + 1, sizeof *given);
    Words w = {.argc = argc, .argv = argv};
    int positional = 0;
    Status st = OK;
    *help = false;
    for (w.at = 1; w.at < argc && st == OK && !*help; w.at++) {
        *help = str_equal(argv[w.at], "--help") || str_equal(argv[w.at], "-h");
        if (!*help) st = take_word(t, &w, &positional, given);
    }
    if (*help) print_table(t);
    for (const Arg *a = t->args; a->name && st == OK && !*help; a++)
        if (a->required && !given[a - t->args])
            st = status_fail(ERR_USAGE, "%s: %s is needed (%s)", t->program, a->name, a->doc);
    mem_free(given);
    return st;
}
