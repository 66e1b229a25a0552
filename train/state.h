/* state: the registry of everything that a run must remember.
 *
 * Each module registers what it would lose when the process dies, once, under a path; a checkpoint
 * is nothing but everything that is registered, and a resume puts it all back. There is no second
 * list: what is not here is a function of (config, seed, step).
 *
 *     state_tensor(s, "params/model.norm.weight", t);      device memory, fixed shape
 *     state_i64(s, "sft/num_tokens", &num_tokens);         host scalars
 *     state_array(s, "ppo/rollout/tokens", &(StateArray){...});   host arrays whose length changes
 *
 * Paths are relative, "group/name"; names of tensors are the ecosystem's ("params/" + PEFT or
 * Hugging Face name). They become HDF5 datasets of the same path. A path that is registered twice
 * is a programmer error. What is registered must outlive the State. */
#ifndef HONE_TRAIN_STATE_H
#define HONE_TRAIN_STATE_H

#include "core/status.h"
#include "core/tensor.h"
#include "kernels/dev.h"

typedef struct State State;

/* Host data of changing length. Both calls happen between steps, from the main thread. */
typedef struct StateArray {
    DType dtype;
    int rank;
    /* A view of the host data as it is now, valid until the object changes. Zero rows are fine. */
    Tensor (*get)(void *ctx);
    /* Takes the saved data over (copies; `saved` is freed after). dtype and rank are checked
     * before; shapes are the owner's to check: ERR_DATA with a line when they cannot be. */
    Status (*set)(void *ctx, Tensor saved);
    void *ctx;
} StateArray;

Status state_open(State **out, Dev *dev);
void state_close(State *s);

void state_tensor(State *s, const char *path, Tensor t);
void state_i64(State *s, const char *path, int64_t *value);
void state_f64(State *s, const char *path, double *value);
void state_array(State *s, const char *path, const StateArray *a);

/* Called after a load, once, e.g. to rebuild packed copies of weights. */
void state_after_load(State *s, void (*fn)(void *ctx), void *ctx);

/* ---- for checkpoint.c: the registered things, in the order of their registration ---- */

typedef enum StateKind { STATE_TENSOR, STATE_SCALAR, STATE_ARRAY } StateKind;

typedef struct StateItem {
    char *path;
    StateKind kind;
    Tensor tensor; /* device tensor; or a host scalar of rank 0 (I64, F64) */
    StateArray array;
} StateItem;

int64_t state_count(const State *s);
const StateItem *state_at(const State *s, int64_t i);
/* dtype and shape as they are now; no data. */
Tensor state_shape(const State *s, int64_t i);
/* The item in host memory. `*buffer` is the caller's to mem_free after use (NULL where the data
 * could be shown as it is). */
Tensor state_view(const State *s, int64_t i, void **buffer);
/* `saved.data` is host memory; shapes of tensors and scalars must agree (CHECK: checkpoint.c
 * compares first). */
Status state_write(State *s, int64_t i, Tensor saved);
void state_loaded(State *s);        /* runs the state_after_load calls */
size_t state_bytes(const State *s); /* as they are now, for the plan */

#endif
