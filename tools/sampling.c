#include "tools/sampling.h"

Status sampling_check(const char *verb, const Sampling *s) {
    if (s->max_new_tokens < 1 || s->max_new_tokens > SAMPLING_MOST_TOKENS)
        return status_fail(ERR_USAGE, "hone %s: --max-new-tokens must be from 1 to %d", verb,
                           SAMPLING_MOST_TOKENS);
    if (!(s->temperature >= 0) || s->temperature > 1e6)
        return status_fail(ERR_USAGE, "hone %s: --temperature must be from 0 to 1e6", verb);
    if (s->top_k < 0 || s->top_k > INT32_MAX)
        return status_fail(ERR_USAGE, "hone %s: --top-k must not be below 0", verb);
    if (!(s->top_p > 0 && s->top_p <= 1))
        return status_fail(ERR_USAGE, "hone %s: --top-p must be above 0 and at most 1", verb);
    if (s->seed < 0) return status_fail(ERR_USAGE, "hone %s: --seed must not be below 0", verb);
    return OK;
}
