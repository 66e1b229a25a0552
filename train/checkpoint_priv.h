/* checkpoint_priv: what checkpoint.c (saving) and checkpoint_load.c (finding, loading) share. */
#ifndef HONE_TRAIN_CHECKPOINT_PRIV_H
#define HONE_TRAIN_CHECKPOINT_PRIV_H

#include "train/checkpoint.h"

struct Checkpoints {
    State *state;
    char *folder; /* <run>/checkpoints */
    CheckpointOptions opt;
    int64_t keep_step; /* retention spares it; -1: none */
    const char *only;  /* saves hold the items below it alone; NULL: all */
    double retry_at_s; /* 0: the last save went well */
    /* what checkpoint_find found */
    char *found; /* folder; NULL: none */
    Json *manifest;
};

/* <run>/checkpoints/step-<n>; the caller mem_free's it. */
char *checkpoint_path(const Checkpoints *c, int64_t step);
/* The n of "step-<n>", -1 for other names. */
int64_t checkpoint_step_of(const char *name);
/* All steps that have a folder, newest first; the caller mem_free's the array. */
Status checkpoint_steps(int64_t **steps, size_t *n, const Checkpoints *c);
/* checkpoints/latest names this step, written only where it does not yet. */
Status checkpoint_write_latest(const Checkpoints *c, int64_t step);

#endif
