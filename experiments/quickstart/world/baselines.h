/* baselines: what a preference can be told by without reading: length, and which words occur. */
#ifndef HONE_QUICKSTART_BASELINES_H
#define HONE_QUICKSTART_BASELINES_H

#include "core/status.h"

typedef struct Baselines {
    double longer_wins;  /* accuracy on the clean pairs; equal lengths count half */
    double bag_of_words; /* logistic regression on word counts (chosen minus rejected), fitted on
                            the training pairs */
} Baselines;

/* Files of {"prompt", "chosen", "rejected"} rows. */
Status baselines_measure(Baselines *out, const char *train_pairs, const char *clean_pairs);

#endif
