/* base64: bytes written in letters, as tokenizer files hold them. */
#ifndef HONE_DATA_TOKENIZER_BASE64_H
#define HONE_DATA_TOKENIZER_BASE64_H

#include "core/str.h"

#include <stdbool.h>
#include <stddef.h>

/* Appends the bytes. False, with some of them appended, when the text is no base64; the padding
 * `=` may be missing. */
bool base64_append(Str *out, const char *text, size_t n);

#endif
