/* quantized: the weight of a projection in few bits, made tensor by tensor while a base is loaded.
 *
 * What a file holds of one tensor is rounded to the base's dtype, quantized as it stands there, and
 * laid out for the ops (kernels/quant_weight.h): codes by part and in our order of rows, scales as
 * they were made. A whole base in full precision is never there. */
#ifndef HONE_MODEL_QUANTIZED_H
#define HONE_MODEL_QUANTIZED_H

#include "kernels/quant_weight.h"
#include "model/layers/linear.h"

typedef struct Quantized {
    const char *name; /* of the tensor, for messages */
    DType from;       /* what is quantized */
    int64_t rows, cols, blocks;
    int n_parts;
    QuantScales scales[LINEAR_PARTS]; /* by part; their arrays are shared */
    Tensor part[LINEAR_PARTS];
    size_t bytes; /* of codes and scales, one block from part[0].data */
} Quantized;

/* Is the module left as it is? Its name holds one of the skips, word for word, as transformers
 * compares them. */
bool quantized_skips(const QuantOptions *options, const char *module);

/* Sets w->value and w->quant. */
Status quantized_alloc(Weight *w, Dev *dev, const QuantOptions *options, const char *name,
                       DType from, const Linear *m);
/* A head [rows,cols] in INT8. */
Status quantized_alloc_head(Weight *w, Dev *dev, const char *name, DType from, int64_t rows,
                            int64_t cols);
/* The same with the values of an embedding that is tied to it and stays as it is. */
Status quantized_copy_head(Weight *w, Dev *dev, const Weight *embedding);
void quantized_free(Weight *w, Dev *dev);

/* weight_upload and weight_download of such a weight. ERR_DATA: a number that is not finite. */
Status quantized_upload(Weight *w, Dev *dev, DType dtype, const void *from);
void quantized_download(const Weight *w, Dev *dev, DType dtype, void *to);

#endif
