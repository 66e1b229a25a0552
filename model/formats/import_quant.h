/* import_quant: weights that a checkpoint stores quantized, as bitsandbytes writes them.
 *
 *   4 bits   X.weight               bytes of codes, two each (any dtype)
 *            X.weight.absmax        f32 [blocks]; u8 with double quantization, and then
 *            X.weight.nested_absmax f32, .nested_quant_map f32 [256]
 *            X.weight.quant_map     f32 [16]
 *            X.weight.quant_state.bitsandbytes__nf4 (or __fp4): JSON of quant_type, blocksize,
 *            shape, ...
 *
 *   8 bits   X.weight               i8 [O,I]
 *            X.SCB                  f32 [O]
 *            X.weight_format        u8: 0, by rows
 */
#ifndef HONE_MODEL_IMPORT_QUANT_H
#define HONE_MODEL_IMPORT_QUANT_H

#include "core/io/json.h"
#include "core/io/tensor_file.h"
#include "model/base.h"

typedef struct StoredQuant {
    QuantOptions format; /* format.on false: the weight is not stored so */
    const TensorEntry *codes, *absmax, *nested;
    double mean;
} StoredQuant;

/* Does config.json say that weights are stored quantized? ERR_DATA: by something else than
 * bitsandbytes; ERR_CONFIG: they are to be trained, or quantized in another format. */
Status import_quant_config(bool *stored, const Json *config, const BaseOptions *opt,
                           const char *where);

/* How the file stores the weight `e` of `ref`, checked in full: shape, sizes, code book. */
Status import_quant_find(StoredQuant *out, const TensorFile *file, const TensorEntry *e,
                         const WeightRef *ref);
/* Does a tensor of that name belong to one which is stored quantized? */
bool import_quant_owns(const TensorFile *file, const char *name);
/* Into a weight that quantized_alloc made for the format. */
void import_quant_load(Weight *w, const StoredQuant *from);

#endif
