/* param: weights inside the model and the list of those that train.
 *
 * A Weight is a tensor and, when it trains, its gradient. Frozen means that there is no gradient
 * tensor, and then no matmul for it is ever issued. */
#ifndef HONE_MODEL_PARAM_H
#define HONE_MODEL_PARAM_H

#include "model/model.h"

typedef struct Weight {
    Tensor value;            /* none: the architecture has no such weight */
    Tensor grad;             /* none: frozen */
    struct Quantized *quant; /* in few bits (model/quantized.h): value's codes by part; else NULL */
} Weight;

static inline bool weight_exists(const Weight *w) {
    return !tensor_is_none(w->value);
}
static inline bool weight_trains(const Weight *w) {
    return !tensor_is_none(w->grad);
}

/* A Param of a Weight that trains. */
Param param_of(const char *name, const Weight *w, bool decay);

/* Device memory for value [shape of `like`] in dtype, and a cleared gradient when `trainable`. One
 * block, which weight_free frees. */
Status weight_alloc(Weight *w, Dev *dev, DType dtype, int rank, int64_t rows, int64_t cols,
                    bool trainable);
void weight_free(Weight *w, Dev *dev);
size_t weight_bytes(const Weight *w); /* of value and gradient on the device */

/* Values through the host: `from` holds numel elements of `dtype`; converted to the weight's own.
 */
Status weight_upload(Weight *w, Dev *dev, DType dtype, const void *from);
/* Into the caller's array of numel elements of `dtype`. */
void weight_download(const Weight *w, Dev *dev, DType dtype, void *to);

#endif
