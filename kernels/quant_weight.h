/* quant_weight: a frozen weight [O,I] in few bits, as op_linear_fwd and op_linear_dx read it.
 *
 *     w[o][i] = value of its code * scale of its block, rounded to f32 once
 *
 * The tensor's layout is LAYOUT_CODES, its dtype DTYPE_U8 (NF4, FP4) or DTYPE_I8 (LLM.int8); `data`
 * are the codes, `scales` the rest. Codes lie in panels of PANEL_COLS outputs, zero past the last:
 *   INT8      input by input, 16 codes side by side, as LAYOUT_PANEL
 *   NF4, FP4  four inputs at a time in 32 bytes: what a shuffle of bytes widens to floats in order
 * Scales stay as they were made: blocks are runs of the matrix as it stood in its file, row by row,
 * whatever the order of rows here. */
#ifndef HONE_KERNELS_QUANT_WEIGHT_H
#define HONE_KERNELS_QUANT_WEIGHT_H

#include "core/quant.h"
#include "core/tensor.h"

typedef struct QuantScales {
    QuantKind kind;
    int64_t inputs;       /* I */
    int64_t block;        /* weights under one scale, a power of two; INT8: I */
    float *absmax;        /* [blocks], or NULL: nested */
    uint8_t *absmax_code; /* [blocks] */
    float *nested;        /* [blocks / QUANT_NESTED_BLOCK, rounded up] */
    float mean;
    int64_t first; /* our row 0 of a part is row `first` of the whole */
    int32_t *row;  /* the file's row of each of the whole's rows; NULL: the same */
} QuantScales;

/* Bytes of the codes of outputs x inputs. */
size_t quant_weight_bytes(QuantKind kind, int64_t outputs, int64_t inputs);

/* The tensor over codes that stand at `data`. */
Tensor quant_weight(void *data, const QuantScales *scales, int64_t outputs);

/* Codes as quant_4bit or quant_int8 made them of the whole matrix as it stood in its file; those of
 * the rows of w are put where they belong, or taken from there. */
void quant_weight_set(Tensor w, const void *codes);
void quant_weight_get(void *codes, Tensor w);

/* Which scale weight [o][i] of a part has. */
static inline int64_t quant_weight_block(const QuantScales *s, int64_t o, int64_t i) {
    int64_t row = s->row ? s->row[s->first + o] : s->first + o;
    return (row * s->inputs + i) / s->block;
}
static inline float quant_weight_scale(const QuantScales *s, int64_t block) {
    if (s->kind == QUANT_INT8) return s->absmax[block] * (1.0F / 127.0F);
    if (s->absmax) return s->absmax[block];
    return quant_unnest(s->absmax_code[block], s->nested[block / QUANT_NESTED_BLOCK], s->mean);
}

/* w[o][i]: the specification. */
float quant_weight_at(Tensor w, int64_t o, int64_t i);

#endif
