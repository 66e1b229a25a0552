/* str: a growable string of bytes. `Str s = {0};` is an empty one; str_free gives the memory back.
 * Bytes may hold NULs; after every call that adds, `data[len]` is a NUL that does not count. */
#ifndef HONE_CORE_STR_H
#define HONE_CORE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct Str {
    char *data; /* NULL while nothing was ever added: use str_text for a C string */
    size_t len, cap;
} Str;

void str_free(Str *s);              /* empties it too; it may be used again */
void str_clear(Str *s);             /* length 0, memory kept */
const char *str_text(const Str *s); /* never NULL */
char *str_take(Str *s);             /* the caller mem_free's it; `s` is empty after. Never NULL */

void str_reserve(Str *s, size_t more); /* room for `more` bytes after len */
void str_append(Str *s, const char *text);
void str_append_n(Str *s, const void *bytes, size_t n);
void str_append_char(Str *s, char c);
void str_printf(Str *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void str_vprintf(Str *s, const char *fmt, va_list args) __attribute__((format(printf, 2, 0)));

/* A code point as UTF-8 (1 to 4 bytes; U+FFFD for what is no scalar value). */
void str_append_utf8(Str *s, unsigned code_point);

/* The printf of a heap string; the caller mem_free's it. */
char *str_format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Small tests on C strings that everybody needs. */
bool str_equal(const char *a, const char *b); /* NULL equals only NULL */
bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);

/* Is it well-formed UTF-8 (no overlong forms, no surrogates, at most U+10FFFF)? On false, *bad is
 * the offset of the first wrong byte (bad may be NULL). */
bool str_utf8_valid(const char *bytes, size_t n, size_t *bad);

#endif
