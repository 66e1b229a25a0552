#include "model/param.h"

#include "core/check.h"
#include "core/mem.h"
#include "kernels/ops.h"
#include "model/quantized.h"

void params_add(ParamList *list, Param p) {
    if (list->n == list->cap) {
        list->cap = list->cap ? 2 * list->cap : 64;
        list->items = mem_realloc(list->items, (size_t)list->cap, sizeof(Param));
    }
    list->items[list->n++] = p;
}

void params_free(ParamList *list) {
    mem_free(list->items);
    *list = (ParamList){0};
}

void params_zero_grad(Dev *dev, const ParamList *list) {
    for (int i = 0; i < list->n; i++) op_fill(dev, list->items[i].grad, 0.0);
}

int64_t params_count(const ParamList *list) {
    int64_t n = 0;
    for (int i = 0; i < list->n; i++) n += tensor_numel(list->items[i].value);
    return n;
}

Param param_of(const char *name, const Weight *w, bool decay) {
    CHECK(weight_trains(w), "%s is frozen", name);
    return (Param){.name = name, .value = w->value, .grad = w->grad, .decay = decay};
}

static Tensor shaped(void *data, DType dtype, int rank, int64_t rows, int64_t cols) {
    return rank == 1 ? tensor_1d(data, dtype, rows) : tensor_2d(data, dtype, rows, cols);
}

Status weight_alloc(Weight *w, Dev *dev, DType dtype, int rank, int64_t rows, int64_t cols,
                    bool trainable) {
    size_t bytes = dtype_size(dtype) * (size_t)rows * (size_t)(rank == 1 ? 1 : cols);
    size_t half = (bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    void *p = NULL;
    TRY(dev_alloc(&p, dev, trainable ? 2 * half : half));
    w->value = shaped(p, dtype, rank, rows, cols);
    w->grad = tensor_none();
    if (trainable) {
        w->grad = tensor_like((unsigned char *)p + half, w->value);
        op_fill(dev, w->grad, 0.0);
    }
    return OK;
}

void weight_free(Weight *w, Dev *dev) {
    if (w->quant)
        quantized_free(w, dev);
    else
        dev_free(dev, w->value.data);
    *w = (Weight){0};
}

size_t weight_bytes(const Weight *w) {
    if (w->quant) return w->quant->bytes;
    return tensor_bytes(w->value) + (weight_trains(w) ? tensor_bytes(w->grad) : 0);
}

Status weight_upload(Weight *w, Dev *dev, DType dtype, const void *from) {
    if (w->quant) return quantized_upload(w, dev, dtype, from);
    Tensor t = w->value;
    if (dtype == t.dtype) {
        dev_upload(dev, t, from);
        return dev_check(dev);
    }
    void *host = mem_aligned(tensor_bytes(t));
    dtype_convert(host, t.dtype, from, dtype, (size_t)tensor_numel(t));
    dev_upload(dev, t, host);
    mem_free(host);
    return dev_check(dev);
}

void weight_download(const Weight *w, Dev *dev, DType dtype, void *to) {
    Tensor t = w->value;
    if (w->quant) {
        quantized_download(w, dev, dtype, to);
        return;
    }
    if (dtype == t.dtype) {
        dev_download(dev, to, t);
        return;
    }
    void *host = mem_aligned(tensor_bytes(t));
    dev_download(dev, host, t);
    dtype_convert(to, dtype, host, t.dtype, (size_t)tensor_numel(t));
    mem_free(host);
}
