/* figures: what the judge says of a set of samples, as JSON. */
#ifndef HONE_QUICKSTART_FIGURES_H
#define HONE_QUICKSTART_FIGURES_H

#include "core/io/json.h"
#include "samples.h"

typedef struct Criterion {
    const char *key, *words; /* "length", "asked length" */
    bool (*holds)(const Verdict *v);
} Criterion;

/* all asked first; ends with a NULL key. */
extern const Criterion criteria[];

/* {<criterion>: {mean, low, high}, "words": mean, "distinct2"}. */
Json *figures_of(const Samples *s);
/* Adds <criterion>: bool to an object. */
void figures_add_verdict(Json *row, const Verdict *v);

#endif
