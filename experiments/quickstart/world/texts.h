/* texts: what the models of the quickstart learn from, and what they are asked. */
#ifndef HONE_QUICKSTART_TEXTS_H
#define HONE_QUICKSTART_TEXTS_H

#include "core/status.h"

#include <stdint.h>

typedef struct TextOptions {
    const char *output;                          /* folder */
    int64_t n_base, n_demos, n_requests, n_test; /* rows */
    uint64_t seed;
} TextOptions;

/* base.jsonl      {"text"}                  titled stories
 * demos.jsonl     {"prompt", "completion"}  requests answered by hurried writers
 * requests.jsonl  {"prompt"}                requests alone
 * test.jsonl      {"prompt"}                requests whose (hero, animal, thing) no other file has
 */
Status texts_write(const TextOptions *o);

#endif
