/* Heads as objects: made, read, copied, written. Part of the face in model.h; head.c computes. */
#include "core/check.h"
#include "core/file.h"
#include "core/io/safetensors.h"
#include "core/io/tensor_file.h"
#include "core/mem.h"
#include "core/rng.h"
#include "kernels/ops.h"
#include "model/head.h"

#include <math.h>

static Status head_new(Head **out, Base *b, HeadKind kind, bool trainable) {
    Head *h = mem_zalloc(1, sizeof *h);
    h->base = b;
    h->kind = kind;
    DType real = dev_real(b->dev);
    Status st = weight_alloc(&h->w, b->dev, real, 2, 1, b->info.width, trainable);
    if (st == OK && kind == HEAD_VALUE) st = weight_alloc(&h->b, b->dev, real, 1, 1, 1, trainable);
    if (st == OK && kind == HEAD_VALUE) op_fill(b->dev, h->b.value, 0.0);
    *out = h;
    if (st != OK) {
        head_close(h);
        *out = NULL;
    }
    return st;
}

void head_close(Head *h) {
    if (!h) return;
    dev_free(h->base->dev, h->w.value.data);
    dev_free(h->base->dev, h->b.value.data);
    mem_free(h);
}

static const char *weight_name(HeadKind kind) {
    return kind == HEAD_SCORE ? "score.weight" : "v_head.summary.weight";
}

void head_params(ParamList *list, Head *h) {
    if (!weight_trains(&h->w)) return;
    params_add(list, param_of(weight_name(h->kind), &h->w, true));
    if (h->kind == HEAD_VALUE) params_add(list, param_of("v_head.summary.bias", &h->b, false));
}

Status head_create(Head **out, Base *b, HeadKind kind, HeadInit init, uint64_t seed,
                   bool trainable) {
    TRY(head_new(out, b, kind, trainable));
    int64_t width = b->info.width;
    double std = init == HEAD_INIT_ZERO     ? 0.0
                 : init == HEAD_INIT_NORMAL ? 1.0 / sqrt((double)width + 1.0)
                                            : b->arch.initializer_range;
    double *host = mem_zalloc((size_t)width + 1, sizeof *host);
    RngStream s = rng_stream(seed, RNG_INIT, rng_hash_name(weight_name(kind)) >> 8);
    for (int64_t i = 0; i < width && std > 0.0; i += 2) {
        double z[2];
        uint32_t first = rng_next(&s);
        rng_normal2(z, first, rng_next(&s));
        host[i] = std * z[0];
        host[i + 1] = std * z[1]; /* one beyond the end when the width is odd */
    }
    Status st = weight_upload(&(*out)->w, b->dev, DTYPE_F64, host);
    mem_free(host);
    return st;
}

Status head_clone(Head **out, const Head *from, HeadKind kind, bool trainable) {
    TRY(head_new(out, from->base, kind, trainable));
    Head *h = *out;
    op_copy(h->base->dev, h->w.value, from->w.value);
    if (kind == HEAD_VALUE && from->kind == HEAD_VALUE)
        op_copy(h->base->dev, h->b.value, from->b.value);
    return OK;
}

/* ---- files
 * --------------------------------------------------------------------------------------- */

static Status upload(Weight *w, Dev *dev, const TensorEntry *e) {
    void *made;
    Status st = weight_upload(w, dev, e->dtype, tensor_entry_values(e, &made));
    mem_free(made);
    return st;
}

static Status read_head(Head *h, const TensorEntry *w, const TensorEntry *b) {
    int64_t width = h->base->info.width;
    if (w->rank != 2 || w->shape[0] != 1 || w->shape[1] != width)
        return status_fail(ERR_DATA, "%s: tensor `%s` must be [1,%lld]", w->file, w->name,
                           (long long)width);
    if (w->dtype == DTYPE_NONE || !dtype_is_float(w->dtype))
        return status_fail(ERR_DATA, "%s: tensor `%s` is stored as %s; a float type is needed",
                           w->file, w->name, w->dtype_name);
    TRY(upload(&h->w, h->base->dev, w));
    if (!b || !weight_exists(&h->b)) return OK;
    if (b->rank != 1 || b->shape[0] != 1 || !dtype_is_float(b->dtype))
        return status_fail(ERR_DATA, "%s: tensor `%s` must be [1] of a float type", b->file,
                           b->name);
    return upload(&h->b, h->base->dev, b);
}

/* Looks for a head in one file, and reads it into h unless that is NULL; *found tells. */
static Status try_file(Head *h, HeadKind kind, const char *path, bool *found) {
    static const char *const names[][2] = {
        {"v_head.summary.weight", "v_head.summary.bias"},
        {"score.weight", NULL},
        {"base_model.model.score.weight", NULL},
    };
    TensorFile *file = NULL;
    TRY(tensor_file_open(&file, path));
    Status st = OK;
    for (size_t i = 0; i < sizeof names / sizeof *names && !*found && st == OK; i++) {
        if (kind == HEAD_SCORE && i == 0) continue;
        const TensorEntry *w = tensor_file_find(file, names[i][0]);
        if (!w) continue;
        *found = true;
        if (h) st = read_head(h, w, names[i][1] ? tensor_file_find(file, names[i][1]) : NULL);
    }
    tensor_file_close(file);
    return st;
}

/* Beside the model, in PEFT's file, or in the model's own. */
static Status try_folder(Head *h, HeadKind kind, const char *folder, bool *found) {
    static const char *const files[] = {
        "value_head.safetensors",
        "adapter_model.safetensors",
        "adapter_model.bin",
        "model.safetensors",
        "model.safetensors.index.json",
        "pytorch_model.bin",
        "pytorch_model.bin.index.json",
    };
    Status st = OK;
    *found = false;
    for (size_t i = kind == HEAD_SCORE; i < sizeof files / sizeof *files && !*found && st == OK;
         i++) {
        char *path = file_join(folder, files[i]);
        if (file_exists(path)) st = try_file(h, kind, path, found);
        mem_free(path);
    }
    return st;
}

bool head_present(const char *folder, HeadKind kind) {
    bool found;
    return try_folder(NULL, kind, folder, &found) == OK && found;
}

Status head_load(Head **out, Base *b, HeadKind kind, const char *folder, bool trainable) {
    TRY(head_new(out, b, kind, trainable));
    bool found;
    Status st = try_folder(*out, kind, folder, &found);
    if (st == OK && !found)
        st = status_fail(ERR_DATA, "%s: no %s in it; it is not a %s model", folder,
                         kind == HEAD_SCORE ? "`score.weight`" : "`v_head.summary.weight`",
                         kind == HEAD_SCORE ? "reward" : "value");
    if (st != OK) {
        head_close(*out);
        *out = NULL;
    }
    return st;
}

Status head_save(const Head *h, const char *folder) {
    int64_t width = h->base->info.width;
    float *host = mem_zalloc((size_t)width + 1, sizeof *host);
    weight_download(&h->w, h->base->dev, DTYPE_F32, host);
    if (weight_exists(&h->b)) weight_download(&h->b, h->base->dev, DTYPE_F32, host + width);
    SafetensorsItem items[] = {
        {.name = "v_head.summary.weight",
         .dtype = DTYPE_F32,
         .rank = 2,
         .shape = {1, width},
         .data = host},
        {.name = "v_head.summary.bias",
         .dtype = DTYPE_F32,
         .rank = 1,
         .shape = {1},
         .data = host + width},
    };
    const char *meta[] = {"format", "pt", NULL};
    char *path = file_join(folder, "value_head.safetensors");
    Status st =
        safetensors_save(path, &(SafetensorsSpec){.items = items, .n_items = 2, .meta = meta});
    mem_free(path);
    mem_free(host);
    return st;
}
