/* base: the inside of a Base (model.h): its architecture, its weights where the layers use them,
 * and one list of all weights under their file names. Whoever goes over the weights (allocation,
 * initialisation, import, export, parameters, digest, cloning, adapters) goes over that list. */
#ifndef HONE_MODEL_BASE_H
#define HONE_MODEL_BASE_H

#include "core/io/json.h"
#include "model/spec.h"
#include "model/stack.h"

typedef enum WeightKind {
    WEIGHT_EMBED,     /* [V,C] */
    WEIGHT_POSITIONS, /* [P,C] */
    WEIGHT_SCALE,     /* [C] of a norm */
    WEIGHT_SHIFT,     /* [C] of a norm */
    WEIGHT_MATRIX,    /* [O,I] */
    WEIGHT_QUERY,     /* [O,I] of the queries alone */
    WEIGHT_RESIDUAL,  /* [O,I] whose output is added to the residual stream */
    WEIGHT_BIAS,      /* [O] */
    WEIGHT_HEAD,      /* [V,C] */
    WEIGHT_DISTANCES, /* [buckets,H] */
} WeightKind;

typedef struct WeightRef {
    char *name; /* in files: "model.layers.0.self_attn.q_proj.weight" */
    Weight *weight;
    WeightKind kind;
    int rank;
    int64_t rows, cols; /* cols 1 for rank 1 */
    bool transposed;    /* files hold it as [cols,rows] */
    RowOrder order;     /* in which files hold its rows */
} WeightRef;

typedef struct ModuleRef {
    char *name; /* "model.layers.0.self_attn.q_proj" */
    Linear *linear;
} ModuleRef;

struct Base {
    Dev *dev;
    ArchConfig arch;
    BaseInfo info;
    Json *config; /* config.json as it was read */
    char *folder; /* where it came from; NULL: random */
    DType dtype;  /* of frozen matrices */
    bool trainable, with_head;
    Stack stack;         /* the decoder */
    Stack encoder;       /* n_layers 0: none; its embedding is the decoder's */
    int64_t slot_layers; /* layers as slots count them (layers/flow.h): each attention is in one */
    Weight head;         /* [V,C]; the embedding's when tied; none without */
    Weight head_bias;    /* [V], or none */
    Tensor inv_freq;     /* [rotary/2] f64, or none */
    Tensor slopes;       /* [H] real, or none */
    const char *trunk;   /* "model.": what stands before the names of all but the head */
    WeightRef *refs;
    int n_refs;
    ModuleRef *modules; /* every projection that an adapter may target */
    int n_modules;
};

static inline bool base_has_encoder(const Base *b) {
    return b->encoder.n_layers > 0;
}

/* The projection that a weight belongs to, or NULL. */
static inline const Linear *base_linear(const Base *b, const WeightRef *ref) {
    for (int i = 0; i < b->n_modules; i++)
        if (&b->modules[i].linear->w == ref->weight) return b->modules[i].linear;
    return NULL;
}

/* Slots that a table by slot needs (layers/flow.h). */
static inline int base_slots(const Base *b) {
    return (int)b->slot_layers * SLOTS_PER_LAYER + SLOTS_BEHIND;
}

/* A weight as files hold it (transposed back, rows in their order), in `dtype`, into to[rows*cols].
 */
void base_read_weight(const Base *b, const WeightRef *ref, DType dtype, void *to);
/* The same of values that are in the caller's hands, ours[rows,cols]. */
void base_file_order(const WeightRef *ref, DType dtype, void *to, const void *ours);
/* The other way: from[rows*cols] as files hold it. */
Status base_write_weight(Base *b, const WeightRef *ref, DType dtype, const void *from);

#endif
