/* block: one layer of the trunk. With branch(x) = drop(post(sub-layer(x))), post only in a
 * sandwich, sequential    h = x + attention branch(norm1(x));  y = h + mlp branch(norm2(h))
 * (with cross-attention its branch stands between the two)
 *     parallel      y = x + attention branch(norm1(x)) + mlp branch(norm2(x)), or norm1 for both
 *     post-norm     h = norm1(x + attention branch(x));  y = norm2(h + mlp branch(h)) */
#ifndef HONE_MODEL_BLOCK_H
#define HONE_MODEL_BLOCK_H

#include "model/layers/attention.h"
#include "model/layers/mlp.h"
#include "model/layers/norm.h"

typedef enum BlockWiring { BLOCK_SEQUENTIAL, BLOCK_PARALLEL, BLOCK_POST_NORM } BlockWiring;

/* The branches; what a block has twice is an array over them. */
typedef enum BlockBranch {
    BRANCH_ATTENTION,
    BRANCH_CROSS, /* sequential only, in a decoder beside an encoder */
    BRANCH_MLP,
    BLOCK_BRANCHES
} BlockBranch;

typedef struct Block {
    int64_t layer;
    BlockWiring wiring;
    bool one_norm;    /* parallel: both branches read norm[BRANCH_ATTENTION] */
    bool one_dropout; /* one mask for both branches */
    bool sandwich;
    Norm norm[BLOCK_BRANCHES], post[BLOCK_BRANCHES];
    bool crosses; /* it has BRANCH_CROSS */
    Attention attention, cross;
    Mlp mlp;
    double dropout[BLOCK_BRANCHES];
} Block;

typedef struct BlockSaved {
    NormSaved norm[BLOCK_BRANCHES], post[BLOCK_BRANCHES];
    AttentionSaved attention, cross;
    MlpSaved mlp;
} BlockSaved;

/* y[N,C] <- x[N,C]; both must live until backward. Everything it allocates stays in the arena.
 * Where the flow names rows that are asked, y is [A,C] and the block must be one that narrows:
 * after the attention it computes nothing else. */
void block_fwd(const Flow *f, const Block *m, Tensor y, Tensor x, BlockSaved *s);
/* d holds dy and is used up. dx is d itself, or, where the block narrowed, zeros [N,C]. With
 * need_dx false its content is undefined after, and no more is computed than the gradients in this
 * block need. */
void block_bwd(const Flow *f, const Block *m, Tensor dx, Tensor d, const BlockSaved *s,
               bool need_dx);
bool block_narrows(const Block *m);
bool block_trains(const Flow *f, const Block *m);

#endif
