/* added: tokens that are found in the text before the model sees it. Matching is leftmost, and
 * among those that begin at the same byte the longest. */
#ifndef HONE_DATA_TOKENIZER_ADDED_H
#define HONE_DATA_TOKENIZER_ADDED_H

#include "data/tokenizer/tagged.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct AddedToken {
    int32_t id;
    bool special;     /* a control token */
    bool normalized;  /* looked for in normalised text, else in the raw text */
    bool lstrip;      /* takes blanks before it along */
    bool rstrip;      /* takes blanks after it along */
    bool single_word; /* not inside a word */
    bool in_model;    /* the model's vocabulary has it too */
    bool verbatim;    /* looked for in normalised text, but not normalised itself */
} AddedToken;

/* A byte trie over one kind (raw or normalised). */
typedef struct AddedNode {
    int32_t child, sibling; /* first child; next with the same parent; -1 */
    int32_t token;          /* index into the tokens, -1: no token ends here */
    unsigned char byte;
} AddedNode;

typedef struct AddedSet {
    const AddedToken *tokens; /* borrowed */
    AddedNode *nodes;         /* [n_nodes] */
    size_t n_nodes, cap;
    int32_t root[256]; /* node of each first byte, -1 */
} AddedSet;

void added_init(AddedSet *s, const AddedToken *tokens);
void added_free(AddedSet *s);
/* `text` is what is looked for (not empty): the token's text, or that after normalising. */
void added_insert(AddedSet *s, int32_t token, const char *text, size_t n);

/* Cuts the piece of `text` into pieces of text and tokens, appended to `out`. A special token is
 * found only where all its bytes are tagged SEGMENT_SPECIAL. */
void added_split(const AddedSet *s, const Tagged *text, Piece piece, Pieces *out);

#endif
