#include "tools/verbs.h"

#include <stddef.h>

const Verb verbs[] = {
    {"schema", "the JSON Schema of a stage's config, for editors", hone_schema},
    {NULL, NULL, NULL},
};
