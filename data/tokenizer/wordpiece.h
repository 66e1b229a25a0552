/* wordpiece: the longest token that begins the word, then the longest that continues it ("##ing"),
 * and so on; a word that cannot be covered so is one unknown token.
 *
 * WordLevel, whose words are tokens as they stand or unknown, is the same without continuing. */
#ifndef HONE_DATA_TOKENIZER_WORDPIECE_H
#define HONE_DATA_TOKENIZER_WORDPIECE_H

#include "core/status.h"
#include "data/tokenizer/spans.h"
#include "data/tokenizer/trie.h"
#include "data/tokenizer/vocab.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORDPIECE_MAX_PIECE 1024              /* bytes of a token: what a byte of text can cost */
#define WORDPIECE_MAX_TEXT ((size_t)16 << 20) /* bytes of all tokens together */

typedef struct WordPiece {
    const Vocab *vocab; /* borrowed */
    int32_t unk;
    char *prefix;       /* of tokens that continue a word; "" where they look like the others */
    int64_t max_chars;  /* longer words are unknown */
    bool whole;         /* WordLevel */
    const bool *hidden; /* [vocab size] ids that the model never gives; borrowed */
    Trie first, next;   /* tokens that begin a word; that continue it, without their prefix */
} WordPiece;

void wordpiece_free(WordPiece *m);
/* Call once, when vocabulary, `hidden` and fields are complete. ERR_DATA when a token is too long
 * to be safe. */
Status wordpiece_prepare(WordPiece *m, const char *where);

/* Appends the tokens of a piece (UTF-8, not empty). */
void wordpiece_encode(const WordPiece *m, Spans *out, const char *piece, size_t n);

#endif
