#include "model/quantized.h"

#include "core/check.h"
#include "core/mem.h"

#include <math.h>
#include <string.h>

static bool holds_words(const char *name, const char *part) {
    size_t n = strlen(part);
    for (const char *p = strstr(name, part); p; p = strstr(p + 1, part))
        if ((p == name || p[-1] == '.') && (p[n] == '.' || p[n] == '\0')) return true;
    return false;
}

bool quantized_skips(const QuantOptions *options, const char *module) {
    for (int i = 0; i < options->n_skips; i++)
        if (holds_words(module, options->skips[i])) return true;
    return false;
}

/* One block of memory from which arrays are taken; start NULL: they are only counted. */
typedef struct Cut {
    unsigned char *start;
    size_t used;
} Cut;

static void *take(Cut *c, size_t bytes) {
    void *p = c->start ? c->start + c->used : NULL;
    c->used += (bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    return p;
}

static void lay_out(Quantized *q, const Linear *m, bool nested, unsigned char *start) {
    QuantScales *s = &q->scales[0];
    Cut c = {.start = start};
    void *codes[LINEAR_PARTS];
    for (int p = 0; p < q->n_parts; p++)
        codes[p] = take(&c, quant_weight_bytes(s->kind, m->part[p], q->cols));
    size_t blocks = (size_t)q->blocks, rows = (size_t)q->rows;
    if (nested) {
        s->absmax_code = take(&c, blocks);
        s->nested = take(&c, (blocks / QUANT_NESTED_BLOCK + 1) * sizeof *s->nested);
    } else {
        s->absmax = take(&c, blocks * sizeof *s->absmax);
    }
    if (m->order.groups) s->row = take(&c, rows * sizeof *s->row);
    q->bytes = c.used;
    int64_t first = 0;
    for (int p = 0; p < q->n_parts; p++) {
        q->scales[p] = *s;
        q->scales[p].first = first;
        q->part[p] = quant_weight(codes[p], &q->scales[p], m->part[p]);
        first += m->part[p];
    }
}

Status quantized_alloc(Weight *w, Dev *dev, const QuantOptions *options, const char *name,
                       DType from, const Linear *m) {
    CHECK(dev_is_host(dev), "device `%s` reads no codes yet", dev_name(dev));
    QuantKind kind = options->kind;
    Quantized *q = mem_zalloc(1, sizeof *q);
    *q = (Quantized){
        .name = name, .from = from, .rows = m->outputs, .cols = m->inputs, .n_parts = m->n_parts};
    bool nested = options->nested && kind != QUANT_INT8;
    int64_t block = kind == QUANT_INT8 ? m->inputs : options->block;
    q->scales[0] = (QuantScales){.kind = kind, .inputs = m->inputs, .block = block};
    q->blocks = quant_blocks(q->rows * q->cols, block);
    lay_out(q, m, nested, NULL);
    void *memory = NULL;
    Status st = dev_alloc(&memory, dev, q->bytes);
    if (st != OK) {
        mem_free(q);
        return st;
    }
    memset(memory, 0, q->bytes); /* what lies between the arrays is digested too */
    lay_out(q, m, nested, memory);
    if (m->order.groups) linear_file_rows(q->scales[0].row, &m->order, q->rows);
    w->quant = q;
    w->value = q->part[0];
    w->value.shape[0] = q->rows;
    w->grad = tensor_none();
    return OK;
}

Status quantized_alloc_head(Weight *w, Dev *dev, const char *name, DType from, int64_t rows,
                            int64_t cols) {
    const Linear head = {.inputs = cols, .outputs = rows, .n_parts = 1, .part = {rows}};
    return quantized_alloc(w, dev, &(QuantOptions){.kind = QUANT_INT8}, name, from, &head);
}

Status quantized_copy_head(Weight *w, Dev *dev, const Weight *embedding) {
    Tensor t = embedding->value;
    TRY(quantized_alloc_head(w, dev, "lm_head.weight", t.dtype, t.shape[0], t.shape[1]));
    void *values = mem_alloc(tensor_bytes(t));
    dev_download(dev, values, t);
    Status st = quantized_upload(w, dev, t.dtype, values);
    mem_free(values);
    return st;
}

void quantized_free(Weight *w, Dev *dev) {
    dev_free(dev, w->quant->part[0].data);
    mem_free(w->quant);
    *w = (Weight){0};
}

/* The file's matrix in f32, of what would have been stored without quantization. */
static float *file_matrix(const Quantized *q, DType dtype, const void *from) {
    size_t n = (size_t)(q->rows * q->cols), row = (size_t)q->cols * sizeof(float);
    float *x = mem_alloc(n * sizeof *x);
    dtype_convert(x, DTYPE_F32, from, dtype, n);
    if (q->from != DTYPE_F32 && q->from != dtype) {
        uint16_t *half = mem_alloc(n * sizeof *half);
        dtype_convert(half, q->from, x, DTYPE_F32, n);
        dtype_convert(x, DTYPE_F32, half, q->from, n);
        mem_free(half);
    }
    const int32_t *place = q->scales[0].row;
    if (!place) return x;
    float *turned = mem_alloc(n * sizeof *turned);
    for (int64_t r = 0; r < q->rows; r++) memcpy(turned + place[r] * q->cols, x + r * q->cols, row);
    mem_free(x);
    return turned;
}

static Status check_finite(const Quantized *q, const float *x) {
    for (int64_t i = 0; i < q->rows * q->cols; i++)
        if (!isfinite(x[i]))
            return status_fail(ERR_DATA, "tensor `%s` holds %g at [%lld,%lld]; it has no scale",
                               q->name, (double)x[i], (long long)(i / q->cols),
                               (long long)(i % q->cols));
    return OK;
}

static void quantize(Quantized *q, const float *x) {
    QuantScales *s = &q->scales[0];
    size_t n = (size_t)(q->rows * q->cols);
    uint8_t *codes = mem_alloc(n);
    float *absmax = s->absmax ? s->absmax : mem_alloc((size_t)q->blocks * sizeof *absmax);
    if (s->kind == QUANT_INT8)
        quant_int8((int8_t *)codes, absmax, x, q->rows, q->cols);
    else
        quant_4bit(codes, absmax, x, (int64_t)n, s->block, s->kind);
    if (!s->absmax) {
        float mean = quant_nest(s->absmax_code, s->nested, absmax, q->blocks);
        for (int p = 0; p < q->n_parts; p++) q->scales[p].mean = mean;
        mem_free(absmax);
    }
    for (int p = 0; p < q->n_parts; p++) quant_weight_set(q->part[p], codes);
    mem_free(codes);
}

Status quantized_upload(Weight *w, Dev *dev, DType dtype, const void *from) {
    float *x = file_matrix(w->quant, dtype, from);
    Status st = check_finite(w->quant, x);
    if (st == OK) quantize(w->quant, x);
    mem_free(x);
    return st == OK ? dev_check(dev) : st;
}

void quantized_download(const Weight *w, Dev *dev, DType dtype, void *to) {
    (void)dev;
    const Quantized *q = w->quant;
    float *row = mem_alloc((size_t)q->cols * sizeof *row);
    char *at = to;
    for (int p = 0; p < q->n_parts; p++) {
        for (int64_t o = 0; o < q->part[p].shape[0]; o++) {
            for (int64_t i = 0; i < q->cols; i++) row[i] = quant_weight_at(q->part[p], o, i);
            dtype_convert(at, dtype, row, DTYPE_F32, (size_t)q->cols);
            at += (size_t)q->cols * dtype_size(dtype);
        }
    }
    mem_free(row);
}
