/* sampling: how tokens are drawn, as generate and chat are told. */
#ifndef HONE_TOOLS_SAMPLING_H
#define HONE_TOOLS_SAMPLING_H

#include "core/status.h"

#include <stdint.h>

#define SAMPLING_MOST_TOKENS 1000000

typedef struct Sampling {
    int64_t max_new_tokens, top_k, seed;
    double temperature, top_p;
} Sampling;

/* The rows of an option table; what is in `s` before is the default. */
#define SAMPLING_ARGS(s)                                                                    \
    {"--max-new-tokens", ARG_INT, &(s).max_new_tokens, false, "of an answer"},              \
        {"--temperature", ARG_NUM, &(s).temperature, false, "0 is greedy"},                 \
        {"--top-k", ARG_INT, &(s).top_k, false, "keep the k most probable tokens; 0: all"}, \
        {"--top-p", ARG_NUM, &(s).top_p, false,                                             \
         "keep the most probable tokens up to this sum; 1: all"},                           \
    {                                                                                       \
        "--seed", ARG_INT, &(s).seed, false, "of the random numbers"                        \
    }

/* ERR_USAGE that names the option. */
Status sampling_check(const char *verb, const Sampling *s);

#endif
