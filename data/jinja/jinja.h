/* jinja: the part of the Jinja template language that chat templates use, with Python's semantics,
 * set up as Transformers does it: trim_blocks, lstrip_blocks, no autoescape, lenient undefined
 * values, immutable sandbox (a template cannot change what it was given), break and continue, and
 * {% generation %}.
 *
 *   statements   for (if, else, unpacking, loop.*), if elif else, set (also blocks, namespace
 *                attributes, unpacking), macro, call, filter, generation, break, continue, raw
 *   expressions  literals, lists, tuples, dicts, slices, calls with keywords, filters, tests,
 *                arithmetic, comparisons, and or not, in, ~, inline if
 *
 * Anything else is refused when the template is read, with its line. A template comes from outside:
 * steps, depth, memory and output are bounded.
 *
 * Each byte of the result says where it comes from: what the template writes, and the variables
 * that are marked as trusted, carry SEGMENT_SPECIAL; what comes out of the data does not; what is
 * written inside
 * {% generation %} carries SEGMENT_MASK.
 */
#ifndef HONE_DATA_JINJA_JINJA_H
#define HONE_DATA_JINJA_JINJA_H

#include "core/io/json.h"
#include "core/status.h"
#include "data/tokenizer/tagged.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Jinja Jinja;

/* `where` names the template in messages: "where:LINE: what". ERR_DATA for what cannot be read. */
Status jinja_open(Jinja **out, const char *source, size_t n, const char *where);
/* The dialect of promptsource: white space stays as it is written (no trim_blocks, no
 * lstrip_blocks); filters `choice` and `most_frequent`; the function `zip`. */
Status jinja_open_prompt(Jinja **out, const char *source, size_t n, const char *where);
void jinja_close(Jinja *j);

/* Does it have a {% generation %} block? */
bool jinja_has_generation(const Jinja *j);

/* A variable of the template. */
typedef struct JinjaVariable {
    const char *name;
    const Json *json; /* a value of the data; or */
    const char *text; /* a text that is trusted like the template itself; or, when both are NULL, */
    bool flag;        /* a boolean */
} JinjaVariable;

/* Appends the result to `out`, tag by tag. ERR_DATA when the template raises or goes wrong,
 * "where:LINE: what". In a list of objects under "messages", `role` is trusted where it is a plain
 * word: templates build control tokens from it. */
Status jinja_render(const Jinja *j, Tagged *out, const JinjaVariable *variables, size_t n);
/* The same for jinja_open_prompt; `choice` draws by seed and row. */
Status jinja_render_prompt(const Jinja *j, Tagged *out, const JinjaVariable *variables, size_t n,
                           uint64_t seed, uint64_t row);

#endif
