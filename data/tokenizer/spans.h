/* spans: what a model makes of a piece: ids, each with the number of text bytes it stands for. */
#ifndef HONE_DATA_TOKENIZER_SPANS_H
#define HONE_DATA_TOKENIZER_SPANS_H

#include <stddef.h>
#include <stdint.h>

typedef struct Spans {
    int32_t *id;     /* [n] */
    uint32_t *bytes; /* [n] they add up to the piece, except where text was dropped */
    size_t n, cap;
} Spans;

void spans_push(Spans *s, int32_t id, uint32_t bytes);
void spans_reserve(Spans *s, size_t more);
void spans_free(Spans *s);

#endif
