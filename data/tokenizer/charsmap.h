/* charsmap: SentencePiece's compiled normalisation rules ("nmt_nfkc" and its kin): prefixes of a
 * text and what is put in their place.
 *
 * The blob is: u32 size of the trie in bytes, the trie (a Darts double array of u32, little-endian,
 * whose values are offsets), then the replacements, each with a NUL.
 */
#ifndef HONE_DATA_TOKENIZER_CHARSMAP_H
#define HONE_DATA_TOKENIZER_CHARSMAP_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct Charsmap Charsmap;

/* Of several rules that fit the shortest counts (as Hugging Face's `tokenizers` takes it), or the
 * longest (as SentencePiece does). */
typedef enum CharsmapMatch { CHARSMAP_SHORTEST, CHARSMAP_LONGEST } CharsmapMatch;

/* Copies the blob. ERR_DATA when it is damaged. */
Status charsmap_open(Charsmap **out, const char *bytes, size_t n, const char *where);
void charsmap_close(Charsmap *c);

/* The rule for the beginning of text[0..n): how many bytes it takes (0: there is none) and what
 * stands for them, borrowed, UTF-8, NUL-terminated, perhaps empty. */
size_t charsmap_find(const Charsmap *c, CharsmapMatch match, const char *text, size_t n,
                     const char **replacement);

#endif
