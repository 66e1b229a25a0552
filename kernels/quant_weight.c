#include "kernels/quant_weight.h"

#include "core/check.h"
#include "kernels/op_matmul.h"

#include <string.h>

/* Inputs in 32 bytes of 4-bit codes. */
#define QUAD 4

size_t quant_weight_bytes(QuantKind kind, int64_t outputs, int64_t inputs) {
    int64_t panels = (outputs + PANEL_COLS - 1) / PANEL_COLS, quads = (inputs + QUAD - 1) / QUAD;
    if (kind == QUANT_INT8) return (size_t)(panels * PANEL_COLS * inputs);
    return (size_t)(panels * quads * PANEL_COLS * QUAD / 2);
}

Tensor quant_weight(void *data, const QuantScales *scales, int64_t outputs) {
    DType dtype = scales->kind == QUANT_INT8 ? DTYPE_I8 : DTYPE_U8;
    Tensor t = tensor_2d(data, dtype, outputs, scales->inputs);
    t.layout = LAYOUT_CODES;
    t.scales = scales;
    return t;
}

typedef struct Place {
    size_t byte;
    int shift; /* of the code in it */
} Place;

/* Inputs 0 and 1 of a quad are low halves, 2 and 3 high ones. Of the 16 outputs of an input, 0..3
 * and 8..11 are in the first 16 bytes, the others in the second. */
static Place place_of(const QuantScales *s, int64_t o, int64_t i) {
    int64_t panel = o / PANEL_COLS, lane = o % PANEL_COLS;
    if (s->kind == QUANT_INT8)
        return (Place){.byte = (size_t)((panel * s->inputs + i) * PANEL_COLS + lane)};
    int64_t quad = panel * ((s->inputs + QUAD - 1) / QUAD) + i / QUAD;
    int64_t in_quad = lane % 4 + lane / 4 % 2 * 16 + lane / 8 * 4 + i % 2 * 8;
    return (Place){.byte = (size_t)(quad * PANEL_COLS * QUAD / 2 + in_quad),
                   .shift = i % QUAD < 2 ? 0 : 4};
}

static int code_at(Tensor w, int64_t o, int64_t i) {
    Place p = place_of(w.scales, o, i);
    if (w.scales->kind == QUANT_INT8) return ((const int8_t *)w.data)[p.byte];
    return ((const uint8_t *)w.data)[p.byte] >> p.shift & 15;
}

/* The first weight of row o in the file's matrix. */
static int64_t file_place(const QuantScales *s, int64_t o) {
    return (s->row ? s->row[s->first + o] : s->first + o) * s->inputs;
}

void quant_weight_set(Tensor w, const void *codes) {
    const QuantScales *s = w.scales;
    int64_t outputs = w.shape[0], inputs = s->inputs;
    memset(w.data, 0, quant_weight_bytes(s->kind, outputs, inputs));
#pragma omp parallel for schedule(static)
    for (int64_t first = 0; first < outputs; first += PANEL_COLS) {
        for (int64_t o = first; o < first + PANEL_COLS && o < outputs; o++) {
            int64_t from = file_place(s, o);
            for (int64_t i = 0; i < inputs; i++) {
                Place p = place_of(s, o, i);
                if (s->kind == QUANT_INT8)
                    ((int8_t *)w.data)[p.byte] = ((const int8_t *)codes)[from + i];
                else
                    ((uint8_t *)w.data)[p.byte] |=
                        (uint8_t)(quant_4bit_code(codes, from + i) << p.shift);
            }
        }
    }
}

void quant_weight_get(void *codes, Tensor w) {
    const QuantScales *s = w.scales;
    for (int64_t o = 0; o < w.shape[0]; o++) {
        int64_t to = file_place(s, o);
        for (int64_t i = 0; i < s->inputs; i++) {
            int code = code_at(w, o, i);
            uint8_t *byte = (uint8_t *)codes + (to + i) / 2;
            if (s->kind == QUANT_INT8)
                ((int8_t *)codes)[to + i] = (int8_t)code;
            else
                *byte = (uint8_t)((to + i) % 2 ? (*byte & 0xf0) | code : (*byte & 15) | code << 4);
        }
    }
}

float quant_weight_at(Tensor w, int64_t o, int64_t i) {
    const QuantScales *s = w.scales;
    int code = code_at(w, o, i);
    float value = s->kind == QUANT_INT8 ? (float)code : quant_book(s->kind)[code];
    return value * quant_weight_scale(s, quant_weight_block(s, o, i));
}
