/* promptsource: templates of BigScience's promptsource (`templates.yaml`) applied to rows, as its
 * Template.apply does: answer_choices is rendered and cut at "|||", then the template, whose parts
 * are prompt and completion, each stripped. What a "{{ }}" of the template prints ends before the
 * word that goes beyond 2,048 characters, with "..." (up to five more are let through). "|||" that
 * comes out of the data cuts nothing. A prompt that a completion follows ends with a newline, as
 * the applied rows of P3 do that Self-Instruct trained on. A row for which the template writes
 * nothing, or an empty part, is left out, as T0 does. */
#ifndef HONE_DATA_FORMATS_PROMPTSOURCE_H
#define HONE_DATA_FORMATS_PROMPTSOURCE_H

#include "core/status.h"

#include <stdint.h>

typedef struct Promptsource Promptsource;

/* The template called `name` (its name or id; NULL: the only one) of the file. `seed` draws for
 * |choice. ERR_INPUT: no such file; ERR_DATA: it is no such file, or the template cannot be read;
 * ERR_CONFIG: no template of that name, with the names that there are. */
Status promptsource_open(Promptsource **out, const char *path, const char *name, uint64_t seed);
void promptsource_close(Promptsource *p);

#endif
