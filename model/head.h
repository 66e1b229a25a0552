/* head: from the trunk's output to numbers per token row, and back.
 *
 * One walk serves scoring, token losses and sequence losses: it takes chunks of rows, computes
 * their logits once, asks the TokenLoss for gradients, and goes straight back. [N,V] never exists;
 * a chunk's logits do, and become their own gradient in place. Scoring is the walk with a loss that
 * only reads. */
#ifndef HONE_MODEL_HEAD_H
#define HONE_MODEL_HEAD_H

#include "model/base.h"
#include "model/layers/flow.h"

struct Head {
    Base *base;
    HeadKind kind;
    Weight w; /* [1,C] real */
    Weight b; /* [1] real, HEAD_VALUE only */
};

/* Rows of a chunk: logits stay below HEAD_CHUNK_SIZE elements (64 MiB of float), rows between these
 * bounds. Each chunk packs the head anew and adds to the whole of its gradient, so few large ones
 * are faster. */
#define HEAD_CHUNK_MAX 1024
#define HEAD_CHUNK_MIN 64
#define HEAD_CHUNK_SIZE (32 << 20)

/* Host staging of one chunk; a pass has one. */
typedef struct HeadStage {
    int32_t row[HEAD_CHUNK_MAX], target[HEAD_CHUNK_MAX], argmax[HEAD_CHUNK_MAX];
    int32_t place[HEAD_CHUNK_MAX]; /* of the row among those that are asked */
    double logp[HEAD_CHUNK_MAX], entropy[HEAD_CHUNK_MAX], value[HEAD_CHUNK_MAX];
    double dlogp[HEAD_CHUNK_MAX], dentropy[HEAD_CHUNK_MAX], dvalue[HEAD_CHUNK_MAX];
    double kl[HEAD_CHUNK_MAX];
    double real[HEAD_CHUNK_MAX]; /* what crosses to or from the device */
} HeadStage;

typedef struct HeadWalk {
    const Flow *flow;
    const Role *role;
    const Rows *rows;
    HeadStage *stage;
    double temperature, label_smoothing;
    RowsWant want;  /* log-probs of rows with a target; the role's head on those valued */
    RowsWant asked; /* what the trunk's forward was asked: h has these rows */
    bool want_entropy, want_argmax;
    bool backward; /* read the loss's gradients and go back */
    Tensor h;      /* [A,C] the trunk's output on the rows that are asked */
    Tensor dh;     /* [A,C] +=, or none when nothing below trains */
    const TokenLoss *loss;
    /* KL of this role's distribution to another's, on rows with a target; NULL: not asked. */
    const Role *against;
    Tensor h_against; /* [A,C] of its trunk */
} HeadWalk;

void head_walk(const HeadWalk *w);

/* logits[n,V] of the language-model head, packed where the flow has it. */
void head_logits(const Flow *f, const Base *b, Tensor logits, Tensor h);

#endif
