/* block: one layer of the trunk. The wiring of all families so far is
 *     h = x + drop(attention(norm1(x)));  y = h + drop(mlp(norm2(h))). */
#ifndef HONE_MODEL_BLOCK_H
#define HONE_MODEL_BLOCK_H

#include "model/layers/attention.h"
#include "model/layers/mlp.h"
#include "model/layers/norm.h"

typedef struct Block {
    int64_t layer;
    Norm norm1, norm2;
    Attention attention;
    Mlp mlp;
    double resid_dropout;
} Block;

typedef struct BlockSaved {
    NormSaved norm1, norm2;
    AttentionSaved attention;
    MlpSaved mlp;
} BlockSaved;

/* y[N,C] <- x[N,C]; both must live until backward. Everything it allocates stays in the arena. */
void block_fwd(const Flow *f, const Block *m, Tensor y, Tensor x, BlockSaved *s);
/* d[N,C] holds dy and becomes dx; with need_dx false its content is undefined after, and no
 * more is computed than the gradients in this block need. */
void block_bwd(const Flow *f, const Block *m, Tensor d, const BlockSaved *s, bool need_dx);
bool block_trains(const Flow *f, const Block *m);

#endif
