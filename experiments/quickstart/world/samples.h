/* samples: texts with their prompts, as `hone generate` writes them. */
#ifndef HONE_QUICKSTART_SAMPLES_H
#define HONE_QUICKSTART_SAMPLES_H

#include "core/status.h"
#include "judge.h"

typedef struct Sample {
    char *prompt, *text;
    Verdict verdict;
} Sample;

typedef struct Samples {
    Sample *items;
    int64_t n;
} Samples;

/* Rows {"prompt", "completion"}; each is judged. */
Status samples_read(Samples *out, const char *path);
/* Drops all but the first n. */
void samples_keep(Samples *s, int64_t n);
void samples_free(Samples *s);

#endif
