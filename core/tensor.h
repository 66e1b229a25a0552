/* tensor: a view of an array. Never owns, passed by value.
 *
 * Shape letters, the same everywhere:
 *   B batch   T positions  N token rows of a pass  S sequences   C model width   H query heads
 *   K kv heads  D head width  F MLP width  V vocabulary  L layers  R adapter rank  G quantisation
 * group O outputs of a projection   I inputs of a projection Slowest axis first, row-major,
 * contiguous. A tensor field, parameter or local says `// [N,C] real`.
 */
#ifndef HONE_CORE_TENSOR_H
#define HONE_CORE_TENSOR_H

#include "core/dtype.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TENSOR_MAX_RANK 4

/* How a matrix [O,I] lies in memory. LAYOUT_PANEL is what op_pack makes for the GEMM: panels of
 * PANEL_COLS outputs, inside a panel input by input (see kernels/op_matmul.h). LAYOUT_CODES: a
 * quantized one (kernels/quant_weight.h). */
typedef enum TensorLayout { LAYOUT_ROW, LAYOUT_PANEL, LAYOUT_CODES } TensorLayout;

struct QuantScales;

typedef struct Tensor {
    void *data; /* NULL: no tensor (an optional argument left out) */
    DType dtype;
    TensorLayout layout;
    int rank;
    int64_t shape[TENSOR_MAX_RANK];
    const struct QuantScales *scales; /* of LAYOUT_CODES, else NULL */
} Tensor;

Tensor tensor_none(void);
bool tensor_is_none(Tensor t);
Tensor tensor_1d(void *data, DType dtype, int64_t n);
Tensor tensor_2d(void *data, DType dtype, int64_t rows, int64_t cols);
Tensor tensor_3d(void *data, DType dtype, int64_t a, int64_t b, int64_t c);
Tensor tensor_like(void *data, Tensor t); /* same dtype and shape, other memory */

int64_t tensor_numel(Tensor t); /* 1 for rank 0 */
size_t tensor_bytes(Tensor t);  /* of LAYOUT_ROW */
bool tensor_same_shape(Tensor a, Tensor b);

/* Rows first .. first+n-1 of the slowest axis. */
Tensor tensor_rows(Tensor t, int64_t first, int64_t n);
/* The same memory seen as [rows, cols]; the element count must fit. */
Tensor tensor_view_2d(Tensor t, int64_t rows, int64_t cols);

/* "[2048,288] float32" into the caller's buffer; returns it. */
char *tensor_describe(char *buf, size_t cap, Tensor t);

#endif
