/* rows: what data hands to a model. The only type both sides know.
 *
 * A pass is N token rows: S sequences (documents), one after another, without padding. Attention,
 * positions and random streams never cross a sequence, so a sequence is computed the same wherever
 * it stands (law L5) and packing is nothing but more sequences in a pass.
 *
 *     ids        a a a a a | b b b | c c c c
 *     position   0 1 2 3 4 | 0 1 2 | 0 1 2 3
 *     seq_start  0           5       8        12
 *
 * `targets[i]` is the token that row i is asked about, that is ids[i+1] of the same sequence,
 * already shifted (a last row may ask about a token that is no input), or ROWS_NO_TARGET where the
 * row carries no loss (prompt, most last rows). Arrays live on the host and belong to whoever built
 * the Rows; a model only reads them.
 *
 * An encoder-decoder is given two: rows of the decoder, and beside them as `source` those of the
 * encoder, whose sequence s is what the decoder's sequence s is about. A decoder's row 0 is then
 * the model's start token, and its target the first token of the answer.
 */
#ifndef HONE_CORE_ROWS_H
#define HONE_CORE_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#define ROWS_NO_TARGET (-1)

typedef struct Rows {
    int64_t n_rows;            /* N */
    int64_t n_seqs;            /* S */
    const int32_t *ids;        /* [N] token ids, 0 <= id < V */
    const int32_t *positions;  /* [N] place inside the sequence, from 0 */
    const int32_t *targets;    /* [N] or NULL when nothing is asked */
    const bool *valued;        /* [N] rows whose value is asked for; NULL: every row's */
    const int32_t *seq_start;  /* [S+1] first row of each sequence; seq_start[S] = N */
    const int64_t *seq_ids;    /* [S] global row id of each sequence: names its RNG streams */
    const struct Rows *source; /* the encoder's, targets NULL; NULL: a decoder alone */
} Rows;

/* What a pass is asked for: log-probs of the targets, values. */
typedef struct RowsWant {
    bool logp, value;
} RowsWant;
/* Does somebody read the output of row i then? */
bool rows_ask(const Rows *r, int64_t i, RowsWant want);
/* How many rows have a target. */
int64_t rows_count_targets(const Rows *r);
/* CHECKs every invariant above, and that ids and targets lie inside the vocabulary. */
void rows_check(const Rows *r, int64_t vocab);

#endif
