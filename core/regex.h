/* regex: patterns of tokenizer files (Oniguruma's dialect) and of module names, on PCRE2. The only
 * file that knows PCRE2. Patterns come from outside: what they may cost is bounded. */
#ifndef HONE_CORE_REGEX_H
#define HONE_CORE_REGEX_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct Regex Regex;
/* Working memory of one thread, for any number of patterns. Start with {0}. */
typedef struct RegexScratch {
    void *match, *context, *stack;
} RegexScratch;

/* ERR_DATA "where: ..." for a pattern that is wrong or means something else in the two dialects. */
Status regex_open(Regex **out, const char *pattern, size_t n, const char *where);
void regex_close(Regex *r);
void regex_scratch_free(RegexScratch *w);

/* The first match at or after `from` in text[0..n), which is UTF-8. *found says whether there is
 * one. ERR_DATA when the pattern costs more than it may. */
Status regex_find(const Regex *r, RegexScratch *w, const char *text, size_t n, size_t from,
                  bool *found, size_t *start, size_t *end);

#endif
