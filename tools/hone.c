/* hone: everything around a run, one verb a file. */
#include "tools/verbs.h"

#include "core/guess.h"
#include "core/log.h"
#include "core/stop.h"
#include "core/str.h"

#include <stdio.h>

static void print_help(FILE *f) {
    fprintf(f, "usage: hone VERB [arguments]    (`hone VERB --help` for one verb)\n\n");
    for (const Verb *v = verbs; v->name; v++) fprintf(f, "  %-16s %s\n", v->name, v->summary);
}

int main(int argc, char **argv) {
    stop_install();
    if (argc < 2) {
        print_help(stderr);
        return ERR_USAGE;
    }
    if (str_equal(argv[1], "--help") || str_equal(argv[1], "-h") || str_equal(argv[1], "help")) {
        print_help(stdout);
        return OK;
    }
    if (str_equal(argv[1], "--version")) {
        printf("hone %s\n", HONE_VERSION);
        return OK;
    }
    for (const Verb *v = verbs; v->name; v++) {
        if (!str_equal(argv[1], v->name)) continue;
        Status st = v->run(argc - 1, argv + 1);
        if (st != OK) log_error("%s", status_message());
        return (int)st;
    }
    Guess guess = guess_start(argv[1]);
    for (const Verb *v = verbs; v->name; v++) guess_try(&guess, v->name, v->name);
    if (guess.best[0])
        log_error("hone: no verb `%s`; did you mean `%s`?", argv[1], guess.best);
    else
        log_error("hone: no verb `%s`; `hone --help` lists them", argv[1]);
    return ERR_USAGE;
}
