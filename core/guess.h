/* guess: "did you mean ...?", the name that a misspelt one is nearest to.
 *
 *     Guess g = guess_start("--modle");
 *     for each known name: guess_try(&g, name, name);
 *     if (g.best[0]) say(g.best);
 */
#ifndef HONE_CORE_GUESS_H
#define HONE_CORE_GUESS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct Guess {
    const char *name; /* what was written; the caller's */
    int distance;     /* of the best so far */
    size_t common;    /* its letters in common at the start: breaks ties */
    char best[128];   /* "": nothing is near enough */
} Guess;

Guess guess_start(const char *name);

/* `name` is compared, `shown` is what the message would say. */
void guess_try(Guess *g, const char *name, const char *shown);

#endif
