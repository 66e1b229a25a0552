/* error_sites: how many different errors a test has seen. Two messages are of one site when they
 * differ in what they name only: the place before the text, numbers, and what stands in `signs`. */
#ifndef HONE_TESTS_ERROR_SITES_H
#define HONE_TESTS_ERROR_SITES_H

#include "core/mem.h"
#include "core/str.h"

#include <ctype.h>
#include <string.h>

typedef struct ErrorSites {
    char **texts; /* [n] */
    size_t n;
} ErrorSites; /* = {0} at start */

/* The message without what it names. */
static inline char *error_site(const char *message) {
    Str out = {0};
    const char *at = strstr(message, ": ");
    for (at = at ? at + 2 : message; *at; at++) {
        if (isdigit((unsigned char)*at)) continue;
        const char *end = *at == '`' ? strchr(at + 1, '`') : NULL;
        if (end) at = end;
        str_append_char(&out, *at);
    }
    return str_take(&out);
}

/* Notes the first line of the message; the rest of a log is not looked at. */
static inline void error_sites_add(ErrorSites *s, const char *message) {
    char *line = mem_strndup(message, strcspn(message, "\n")), *site = error_site(line);
    mem_free(line);
    for (size_t i = 0; i < s->n; i++) {
        if (!str_equal(s->texts[i], site)) continue;
        mem_free(site);
        return;
    }
    s->texts = mem_realloc(s->texts, s->n + 1, sizeof *s->texts);
    s->texts[s->n++] = site;
}

static inline void error_sites_free(ErrorSites *s) {
    for (size_t i = 0; i < s->n; i++) mem_free(s->texts[i]);
    mem_free(s->texts);
    *s = (ErrorSites){0};
}

#endif
