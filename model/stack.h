/* stack: embeddings, blocks, final norm: a decoder, or the encoder beside one. Activation
 * checkpointing lives here and nowhere else: RECOMPUTE_NONE   every block keeps what its backward
 * needs RECOMPUTE_BLOCK  only the input of each block is kept; backward runs block_fwd again first
 * The same code makes the same numbers twice, so gradients are bitwise equal either way. */
#ifndef HONE_MODEL_STACK_H
#define HONE_MODEL_STACK_H

#include "model/layers/block.h"
#include "model/model.h"

typedef struct Stack {
    int64_t n_layers, width;
    Weight embed;       /* [V,E]; E is C unless projected */
    double embed_scale; /* what it is multiplied by */
    Norm embed_norm;    /* of the embedded rows; without a weight: none */
    Linear project_in;  /* [C,E]; no outputs: none */
    Linear project_out; /* [E,C], behind the final norm; no outputs: none */
    Weight positions;   /* [offset + P,C], or none */
    int64_t position_offset;
    double embed_dropout, final_dropout;
    int embed_slot, final_slot; /* their slots (layers/flow.h) */
    Weight distances;           /* [buckets,H] biases of its blocks' attention, or none, and */
    Tensor distance_ids;        /* [2M+1] i32 which of them a distance has; the base's */
    double out_scale;           /* what the output is multiplied by */
    Block *blocks;              /* [n_layers] */
    Norm final_norm;            /* without a weight: none */
} Stack;

typedef struct StackSaved {
    BlockSaved *blocks; /* [n_layers], the pass's; used without recompute */
    Tensor
        *inputs; /* [n_layers + 1] [N,C]: input of each block, then of the final norm; the pass's */
    NormSaved embed_norm, final_norm;
    LinearSaved project_in, project_out;
    Tensor bias; /* [2M+1,H] or none */
    Recompute recompute;
} StackSaved;

/* NEFTune (Jain et al. 2023): uniform noise of size alpha / sqrt(length * C) on the embeddings. */
typedef struct StackNoise {
    double alpha;
    const Rows *rows;
    double *drawn; /* [STACK_NOISE_SIZE] and */
    void *real;    /* [STACK_NOISE_SIZE] real: host scratch of the pass */
} StackNoise;
#define STACK_NOISE_SIZE 16384

/* h[N,E]: the output; [A,E] of the rows that are asked. noise may be NULL. */
void stack_fwd(const Flow *f, const Stack *m, Tensor h, const StackNoise *noise, StackSaved *s);
/* dh, as h, is used up. */
void stack_bwd(const Flow *f, const Stack *m, Tensor dh, const StackSaved *s);
/* Does anything in it train, so that dh is wanted? */
bool stack_trains(const Flow *f, const Stack *m);

#endif
