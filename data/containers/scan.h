/* scan: finds where JSON values begin and end without building them, so that a file is cut into
 * rows in one pass, rows are parsed in parallel, and an error names its place.
 *
 * Lenient on purpose: brackets are counted and strings skipped, nothing else is checked; the strict
 * parser (core/io/json.h) sees every row afterwards. */
#ifndef HONE_DATA_CONTAINERS_SCAN_H
#define HONE_DATA_CONTAINERS_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A cursor over text[0..n): lines and columns count from 1, columns in code points. */
typedef struct Scan {
    const char *text;
    size_t n, at;
    int64_t line, column;
} Scan;

Scan scan_begin(const char *text, size_t n, int64_t line, int64_t column);
/* The byte under the cursor; -1 at the end. */
int scan_peek(const Scan *s);
void scan_step(Scan *s);
void scan_space(Scan *s); /* over blanks and line ends */
/* Over one value; false when the text ends inside it. */
bool scan_value(Scan *s);

/* Puts the cursor on a member's key (its opening quote) or, with `value`, on the value behind it.
 * The cursor stands on the object's '{'. False, with the cursor anywhere, when there is no such
 * key. */
bool scan_member(Scan *s, const char *key, bool value);

#endif
