#include "ppo/state_host.h"

#include <string.h>

static Tensor host_get(void *ctx) {
    return *(Tensor *)ctx;
}

static Status host_set(void *ctx, Tensor saved) {
    Tensor *t = ctx;
    if (tensor_numel(saved) != tensor_numel(*t))
        return status_fail(ERR_DATA,
                           "the checkpoint's rollout has another size than this config's; "
                           "resume with the same batch sizes and response_length");
    memcpy(t->data, saved.data, tensor_bytes(*t));
    return OK;
}

void state_host(State *state, const char *path, Tensor *t) {
    StateArray array = {.dtype = t->dtype, .rank = 1, .get = host_get, .set = host_set, .ctx = t};
    state_array(state, path, &array);
}
