/* args: the options of a program or a verb, from one table: parsing and --help. */
#ifndef HONE_CORE_ARGS_H
#define HONE_CORE_ARGS_H

#include "core/status.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum ArgKind { ARG_FLAG, ARG_TEXT, ARG_INT, ARG_NUM, ARG_LIST } ArgKind;

typedef struct ArgList {
    const char **items;
    int n;
} ArgList;

/* `to`: bool *, const char **, int64_t *, double *, ArgList * by kind; it keeps its value when the
 * option is not given. */
typedef struct Arg {
    const char *name; /* "--model", or "PATH" for what stands without a dash, in order */
    ArgKind kind;
    void *to;
    bool required;
    const char *doc;
} Arg;

typedef struct ArgTable {
    const char *program; /* as it is called: "hone generate" */
    const char *summary;
    const Arg *args;  /* ends with a NULL name */
    const char *more; /* what --help says below the table, whole lines; or NULL */
} ArgTable;

/* argv[0] is not looked at. ERR_USAGE names what is wrong. --help prints the table and sets *help;
 * the caller then returns OK. An option may be given once, a list as often as one likes. */
Status args_parse(const ArgTable *t, int argc, char **argv, bool *help);

#endif
