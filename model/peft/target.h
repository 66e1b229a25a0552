/* target: which modules of a base a new adapter gets, by PEFT's rules.
 *
 *     "q_proj"                       modules whose dotted path is it or ends in "." + it
 *     "model.layers.3.mlp.up_proj"   so one module
 *     ".*layers\\.[01]\\..*_proj"     an entry with a character that no path has is a regular
 *                                    expression, and must match a whole path
 */
#ifndef HONE_MODEL_TARGET_H
#define HONE_MODEL_TARGET_H

#include "model/base.h"

/* Marks the modules[n_modules] of the base that the options name. ERR_CONFIG: a name, layer or
 * number that means no module, nothing left, a pattern that is none. */
Status target_select(bool *chosen, const Base *b, const LoraOptions *opt);

/* Is the path the entry, or does it end in "." + entry? (PEFT's rule for lists.) */
bool target_ends_in(const char *path, const char *entry);

/* *out = the first number whose key, a regular expression, means the path or its end behind a ".";
 * left as it is when none does. */
Status target_number(double *out, const ModuleNumber *numbers, int n, const char *path);

#endif
