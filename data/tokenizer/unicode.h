/* unicode: characters as tokenizers see them. The only file that knows utf8proc. */
#ifndef HONE_DATA_TOKENIZER_UNICODE_H
#define HONE_DATA_TOKENIZER_UNICODE_H

#include "core/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the character that starts with this byte, for text that is known to be UTF-8. */
size_t unicode_length(unsigned char first);
/* The character at text[0..n), which is known to be UTF-8 and not empty; *length gets its bytes. */
uint32_t unicode_decode(const char *text, size_t n, size_t *length);
/* The last character of text[0..n). */
uint32_t unicode_decode_last(const char *text, size_t n, size_t *length);
/* Bytes of the extended grapheme cluster that begins at text[0..n), which is not empty. */
size_t unicode_cluster(const char *text, size_t n);

bool unicode_is_space(uint32_t c);       /* White_Space */
bool unicode_is_blank(uint32_t c);       /* as Python's str.isspace: also U+001C to U+001F */
bool unicode_is_letter(uint32_t c);      /* L* */
bool unicode_is_numeric(uint32_t c);     /* N* */
bool unicode_is_punctuation(uint32_t c); /* P*, or any ASCII sign */
bool unicode_is_mark(uint32_t c);        /* M* */
bool unicode_is_thin_mark(uint32_t c);   /* Mn: marks that take no space */
bool unicode_is_control(uint32_t c);     /* Cc, Cf, Co, except tab, LF and CR */
bool unicode_is_assigned(uint32_t c);    /* not Cn */
bool unicode_is_word(uint32_t c);        /* \w of Unicode regular expressions */
bool unicode_is_upper(uint32_t c);       /* Lu or Lt */
uint32_t unicode_lower(uint32_t c);
/* The full mapping: U+0130 is the one character that gives two. */
void unicode_append_lower(Str *out, uint32_t c);
uint32_t unicode_upper(uint32_t c);

typedef enum UnicodeForm { UNICODE_NFC, UNICODE_NFD, UNICODE_NFKC, UNICODE_NFKD } UnicodeForm;

/* Appends the normalised text; `text` is UTF-8. */
void unicode_normalize(Str *out, const char *text, size_t n, UnicodeForm form);

/* Appends text[0..n) with each wrong byte sequence replaced by U+FFFD, as Rust's and Python's
 * decoders do (one for each maximal prefix of a character). Unless `finish`, an incomplete
 * character at the very end is left alone. Returns how many bytes were taken. */
size_t unicode_append_lossy(Str *out, const char *text, size_t n, bool finish);

#endif
