/* flow: what a layer needs to know of the pass that runs it. One Flow a pass, filled by its owner
 * (pass.c, generate.c), read by every x_fwd and x_bwd.
 *
 * Rules of a module pair: outputs before inputs; x_fwd allocates what backward needs (XSaved) and
 * its scratch from flow->arena; x_bwd allocates between a mark and its release; x_bwd accumulates
 * into dx and into the gradients of weights that train, and the caller has cleared dx. A frozen
 * weight has no gradient tensor and costs no matmul. dx none: nobody below wants it. */
#ifndef HONE_MODEL_FLOW_H
#define HONE_MODEL_FLOW_H

#include "core/arena.h"
#include "kernels/dev.h"
#include "kernels/op_elementwise.h"

struct Adapter;
struct KvBatch;

/* The rows of the pass (core/rows.h) on the device. */
typedef struct FlowRows {
    int64_t n;        /* N */
    Tensor ids;       /* [N] i32 */
    Tensor positions; /* [N] i32 */
    Tensor seq_start; /* [S+1] i32 */
    Tensor seq_ids;   /* [S] i64 */
    Tensor row_seq;   /* [N] i64: seq_ids spread over the rows */
} FlowRows;

/* What cross-attention reads: the encoder's output. */
typedef struct FlowMemory {
    FlowRows rows; /* M of them; sequence s belongs to the pass's sequence s */
    Tensor h;      /* [M,C] */
    Tensor dh;     /* [M,C] += in backward, or none: nothing in the encoder trains */
} FlowMemory;

/* The rows of which the output is read, where that is not all. */
typedef struct FlowAsked {
    Tensor index;  /* [A] i32, ascending: which rows of the pass */
    FlowRows rows; /* A of them; n, positions and row_seq alone */
} FlowAsked;

typedef struct Flow {
    Dev *dev;
    Arena *arena;
    FlowRows rows;
    const struct Adapter *adapter;   /* NULL: the base alone */
    bool save;                       /* a backward follows */
    bool dropout;                    /* dropouts are on */
    uint64_t seed, step;             /* of the dropout streams */
    const struct KvBatch *kv;        /* generation: caches to fill or to read; NULL in training */
    const FlowMemory *memory;        /* NULL: nothing attends to other rows */
    const struct KvBatch *memory_kv; /* kv of cross-attention */
    Tensor bias, dbias;     /* [2M+1,H] by distance, of the stack at hand, or none (op_attn_fwd) */
    const FlowAsked *asked; /* NULL: every row */
    const Tensor *packed;   /* [linear slots * LINEAR_PARTS] LAYOUT_PANEL copies, or NULL */
} Flow;

/* The pass seen from the encoder's rows. */
static inline Flow flow_of_memory(const Flow *f) {
    Flow g = *f;
    g.rows = f->memory->rows;
    return g;
}

/* The pass seen from the rows that are asked. */
static inline Flow flow_of_asked(const Flow *f) {
    Flow g = *f;
    g.asked = NULL;
    if (f->asked) g.rows = f->asked->rows;
    return g;
}

static inline Tensor flow_rows_by(const Flow *f, int64_t cols) {
    return arena_2d(f->arena, dev_real(f->dev), f->rows.n, cols);
}

/* Zeros of the shape. */
Tensor flow_cleared(const Flow *f, Tensor like);
/* x [N,F] -> [A,F], the rows that are asked; x itself where that is all. */
Tensor flow_pick(const Flow *f, Tensor x);

/* Slots of a layer: its linears (and the dropout of their LoRA), then its other dropouts. A slot's
 * number is unique in the model; it names dropout streams, adapter pairs and packed weights. */
enum {
    SLOT_Q, /* or the fused q|k|v */
    SLOT_K,
    SLOT_V,
    SLOT_OUT,
    SLOT_GATE,
    SLOT_UP,
    SLOT_DOWN,
    SLOT_LINEARS, /* how many are linears */
    SLOT_MLP_INNER_DROPOUT = SLOT_LINEARS,
    SLOT_ATTN_DROPOUT = 8,
    SLOT_ATTN_RESID_DROPOUT,
    SLOT_MLP_RESID_DROPOUT,
    SLOTS_PER_LAYER = 16,
};
/* Behind the layers: */
enum {
    SLOT_HEAD,
    SLOT_EMBED_DROPOUT,
    SLOT_PROJECT_IN,
    SLOT_PROJECT_OUT,
    SLOT_FINAL_DROPOUT,
    SLOT_ENCODER_EMBED_DROPOUT,
    SLOT_ENCODER_FINAL_DROPOUT,
    SLOTS_BEHIND
};

static inline int slot_of(int64_t layer, int slot) {
    return (int)layer * SLOTS_PER_LAYER + slot;
}

static inline DropoutKey flow_dropout(const Flow *f, double p, int slot) {
    return (DropoutKey){
        .p = f->dropout ? p : 0.0, .seed = f->seed, .step = f->step, .site = (uint32_t)slot};
}

#endif
