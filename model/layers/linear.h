/* linear: everything about one projection.
 *
 *     y = x W^T + b + s (drop(x) A^T) B^T
 *
 * W [O,I] in any float dtype, b [O] or none, and when the pass runs an adapter that targets it,
 * LoRA's A [r,I] and B [O,r] (Hu et al. 2021). BA is never formed. A projection may hand its
 * outputs out in parts (q|k|v of GPT-2's c_attn): part p is rows of W, b and B, so each comes out
 * contiguous. */
#ifndef HONE_MODEL_LINEAR_H
#define HONE_MODEL_LINEAR_H

#include "model/layers/flow.h"
#include "model/param.h"

#define LINEAR_PARTS 3

/* Where files hold the rows of a fused q|k|v: ours are all queries, all keys, all values; theirs,
 * for each of `groups` key heads, its queries, its key, its value. groups 0: as ours. */
typedef struct RowOrder {
    int64_t groups, queries, head_dim; /* query heads a group; rows a head */
} RowOrder;

/* to[n rows of `bytes`] = from, from our order to that of files or back. */
void linear_reorder(const RowOrder *order, void *to, const void *from, int64_t n, size_t bytes,
                    bool to_file);

/* row[r] = where files hold our row r, for `n` rows. */
void linear_file_rows(int32_t *row, const RowOrder *order, int64_t n);

typedef struct Linear {
    int slot; /* slot_of(layer, SLOT_...) */
    Weight w; /* [O,I] */
    Weight b; /* [O] real, or none */
    int64_t inputs, outputs;
    int n_parts;
    int64_t part[LINEAR_PARTS]; /* outputs of each part; they add up to `outputs` */
    RowOrder order;
} Linear;

typedef struct LinearSaved {
    Tensor x; /* [N,I] */
    Tensor u; /* [N,r] drop(x) A^T, or none */
} LinearSaved;

/* y[p] [N,part[p]] = ..., or += when `accumulate` (a residual sum). x stays the caller's and must
 * live until backward. */
void linear_fwd(const Flow *f, const Linear *m, const Tensor *y, Tensor x, bool accumulate,
                LinearSaved *s);
/* The same in two steps, for an x in scratch memory: what backward keeps is allocated before the
 * scratch is. The caller makes x again and puts it into the saved before linear_bwd. */
void linear_reserve(const Flow *f, const Linear *m, LinearSaved *s);
void linear_fwd_reserved(const Flow *f, const Linear *m, const Tensor *y, Tensor x, bool accumulate,
                         LinearSaved *s);
/* dx [N,I] += (or none). dy[p] as y. */
void linear_bwd(const Flow *f, const Linear *m, Tensor dx, const Tensor *dy, const LinearSaved *s);

/* Is there a gradient to be made here in this pass? */
bool linear_trains(const Flow *f, const Linear *m);

/* The weight that op_linear_fwd should multiply part p with: packed where the pass has it. */
Tensor linear_weight(const Flow *f, const Linear *m, int part);

#endif
