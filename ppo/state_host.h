/* state_host: host arrays of fixed size as state. */
#ifndef HONE_PPO_STATE_HOST_H
#define HONE_PPO_STATE_HOST_H

#include "train/state.h"

/* Registers the array that *t (rank 1, host memory) shows; *t must outlive the State. */
void state_host(State *state, const char *path, Tensor *t);

#endif
