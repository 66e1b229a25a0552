/* pairs: preferences for the reward model, labelled by the judge. */
#ifndef HONE_QUICKSTART_PAIRS_H
#define HONE_QUICKSTART_PAIRS_H

#include "core/status.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct PairOptions {
    const char *samples, *output; /* several samples of each prompt stand one after another */
    int64_t n;                    /* pairs wanted, at most */
    uint64_t seed;
    double flip;         /* share of labels turned round */
    bool shuffle_labels; /* a control: every label by a coin */
} PairOptions;

/* Of two samples of one prompt the one with everything that was asked (fluent and all four
 * criteria) is chosen, the other one lacks something. Lengths are balanced: a pair in which the
 * chosen text is longer is matched by one in which it is shorter. Rows: {"prompt", "chosen",
 * "rejected", "flipped"}. */
Status pairs_write(const PairOptions *o);

#endif
