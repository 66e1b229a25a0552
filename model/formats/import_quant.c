#include "model/formats/import_quant.h"

#include "core/mem.h"
#include "core/str.h"
#include "model/quantized.h"

#include <math.h>
#include <string.h>

Status import_quant_config(bool *stored, const Json *config, const BaseOptions *opt,
                           const char *where) {
    const Json *q = json_get(config, "quantization_config");
    const char *method = "bitsandbytes", *type = "fp4";
    bool is_8bit = false;
    *stored = json_is(q, JSON_KIND_OBJECT);
    if (!*stored) return OK;
    TRY(json_opt_str(&method, q, "quant_method", where));
    TRY(json_opt_str(&type, q, "bnb_4bit_quant_type", where));
    TRY(json_opt_bool(&is_8bit, q, "load_in_8bit", where));
    if (is_8bit) type = quant_name(QUANT_INT8);
    if (!str_equal(method, "bitsandbytes"))
        return status_fail(ERR_DATA,
                           "%s: `quantization_config`: `%s` is not read, only bitsandbytes is; use "
                           "the original checkpoint",
                           where, method);
    if (opt->trainable)
        return status_fail(ERR_CONFIG,
                           "%s: `quantization_config`: the weights are stored quantized and do not "
                           "train; train an adapter (peft), or use the original checkpoint",
                           where);
    if (opt->quant.on && !str_equal(type, quant_name(opt->quant.kind)))
        return status_fail(
            ERR_CONFIG,
            "%s: `quantization_config`: the weights are stored in %s, and %s is asked "
            "for; leave one of them out",
            where, type, quant_name(opt->quant.kind));
    return OK;
}

/* ---- what stands beside a weight ---- */

static const TensorEntry *beside(const TensorFile *file, const char *name, const char *more) {
    char *whole = str_format("%s%s", name, more);
    const TensorEntry *e = tensor_file_find(file, whole);
    mem_free(whole);
    return e;
}

/* The tensor's name without its last word: "model.layers.0.mlp.up_proj." */
static const TensorEntry *of_module(const TensorFile *file, const char *weight, const char *word) {
    const char *dot = strrchr(weight, '.');
    char *whole = str_format("%.*s%s", dot ? (int)(dot + 1 - weight) : 0, weight, word);
    const TensorEntry *e = tensor_file_find(file, whole);
    mem_free(whole);
    return e;
}

static const char *const beside_4bit[] = {".absmax",
                                          ".quant_map",
                                          ".nested_absmax",
                                          ".nested_quant_map",
                                          ".quant_state.bitsandbytes__nf4",
                                          ".quant_state.bitsandbytes__fp4"};

bool import_quant_owns(const TensorFile *file, const char *name) {
    for (size_t i = 0; i < sizeof beside_4bit / sizeof *beside_4bit; i++) {
        if (!str_ends(name, beside_4bit[i])) continue;
        char *weight = mem_strndup(name, strlen(name) - strlen(beside_4bit[i]));
        bool owns = tensor_file_find(file, weight) != NULL;
        mem_free(weight);
        return owns;
    }
    return (str_ends(name, ".SCB") || str_ends(name, ".weight_format")) &&
           of_module(file, name, "weight") != NULL;
}

static Status want(const TensorEntry *weight, const TensorEntry *e, const char *what, DType dtype,
                   int64_t n) {
    if (!e)
        return status_fail(ERR_DATA, "%s: tensor `%s` is quantized, but `%s` is missing",
                           weight->file, weight->name, what);
    if (e->dtype != dtype || e->bytes != (size_t)n * dtype_size(dtype) || !e->data)
        return status_fail(ERR_DATA, "%s: tensor `%s` does not hold %lld numbers of %s", e->file,
                           e->name, (long long)n, dtype_name(dtype));
    return OK;
}

/* A table of the file against ours; torch rounds its last bit by the processor. */
static Status check_book(const TensorEntry *e, const float *ours, int n) {
    for (int i = 0; i < n; i++) {
        float theirs;
        memcpy(&theirs, (const char *)e->data + (size_t)i * sizeof theirs, sizeof theirs);
        if (!(fabsf(theirs - ours[i]) <= 1e-6F))
            return status_fail(ERR_DATA,
                               "%s: tensor `%s` is another code book: code %d is %g, not %g",
                               e->file, e->name, i, (double)theirs, (double)ours[i]);
    }
    return OK;
}

/* ---- 4 bits ---- */

static Status check_state(const StoredQuant *s, const Json *state, const WeightRef *ref,
                          const char *where) {
    const char *type = NULL;
    int64_t nested_block = QUANT_NESTED_BLOCK, block = s->format.block;
    TRY(json_want_str(&type, state, "quant_type", where));
    TRY(json_opt_int(&nested_block, state, "nested_blocksize", where));
    const Json *shape = json_get(state, "shape");
    bool fits = json_len(shape) == 2 && json_is(json_at(shape, 0), JSON_KIND_INT) &&
                json_is(json_at(shape, 1), JSON_KIND_INT) &&
                json_int(json_at(shape, 0)) == ref->rows &&
                json_int(json_at(shape, 1)) == ref->cols;
    if (!fits)
        return status_fail(ERR_DATA, "%s: `shape` is not [%lld,%lld], what config.json makes it",
                           where, (long long)ref->rows, (long long)ref->cols);
    if (!str_equal(type, quant_name(s->format.kind)))
        return status_fail(ERR_DATA, "%s: `quant_type` is `%s` in the state of %s", where, type,
                           quant_name(s->format.kind));
    if (block < 32 || block > 4096 || (block & (block - 1)) != 0)
        return status_fail(ERR_DATA,
                           "%s: `blocksize` is %lld; a power of two from 32 to 4096 is needed",
                           where, (long long)block);
    if (nested_block != QUANT_NESTED_BLOCK)
        return status_fail(ERR_DATA, "%s: `nested_blocksize` is %lld; %d is read", where,
                           (long long)nested_block, QUANT_NESTED_BLOCK);
    return OK;
}

static Status read_state(StoredQuant *out, const TensorEntry *state, const WeightRef *ref) {
    Json *json = NULL;
    char *where = str_format("%s: tensor `%s`", state->file, state->name);
    Status st = json_parse(&json, state->data, state->bytes, where, 1);
    if (st == OK) st = json_want_int(&out->format.block, json, "blocksize", where);
    if (st == OK) st = check_state(out, json, ref, where);
    if (st == OK && out->format.nested)
        st = json_want_num(&out->mean, json, "nested_offset", where);
    json_free(json);
    mem_free(where);
    return st;
}

static Status find_4bit(StoredQuant *out, const TensorFile *file, const TensorEntry *e,
                        const WeightRef *ref) {
    int64_t n = ref->rows * ref->cols;
    const TensorEntry *nf4 = beside(file, e->name, ".quant_state.bitsandbytes__nf4");
    const TensorEntry *state = nf4 ? nf4 : beside(file, e->name, ".quant_state.bitsandbytes__fp4");
    const TensorEntry *book = beside(file, e->name, ".quant_map");
    out->format = (QuantOptions){
        .on = true, .kind = nf4 ? QUANT_NF4 : QUANT_FP4, .nested = out->absmax->dtype == DTYPE_U8};
    if (!state || state->dtype != DTYPE_U8 || !state->data)
        return status_fail(ERR_DATA,
                           "%s: tensor `%s` has no `quant_state.bitsandbytes__nf4` or `__fp4`",
                           e->file, e->name);
    TRY(read_state(out, state, ref));
    if (!e->data || e->bytes != (size_t)(n + 1) / 2)
        return status_fail(ERR_DATA, "%s: tensor `%s` has %zu bytes; %lld numbers of 4 bits do not",
                           e->file, e->name, e->bytes, (long long)n);
    int64_t blocks = quant_blocks(n, out->format.block);
    TRY(want(e, book, ".quant_map", DTYPE_F32, 16));
    TRY(check_book(book, quant_book(out->format.kind), 16));
    TRY(want(e, out->absmax, ".absmax", out->format.nested ? DTYPE_U8 : DTYPE_F32, blocks));
    if (!out->format.nested) return OK;
    out->nested = beside(file, e->name, ".nested_absmax");
    book = beside(file, e->name, ".nested_quant_map");
    TRY(want(e, out->nested, ".nested_absmax", DTYPE_F32,
             quant_blocks(blocks, QUANT_NESTED_BLOCK)));
    TRY(want(e, book, ".nested_quant_map", DTYPE_F32, 256));
    return check_book(book, quant_dynamic_map(true), 256);
}

/* ---- 8 bits ---- */

static Status find_8bit(StoredQuant *out, const TensorFile *file, const TensorEntry *e,
                        const WeightRef *ref) {
    const TensorEntry *format = of_module(file, e->name, "weight_format");
    out->format = (QuantOptions){.on = true, .kind = QUANT_INT8};
    TRY(want(e, e, "weight", DTYPE_I8, ref->rows * ref->cols));
    TRY(want(e, out->absmax, "SCB", DTYPE_F32, ref->rows));
    if (format && format->data && format->bytes > 0 && *(const char *)format->data != 0)
        return status_fail(ERR_DATA,
                           "%s: tensor `%s` lies in tiles (weight_format %d); only rows are read",
                           e->file, e->name, *(const char *)format->data);
    return OK;
}

Status import_quant_find(StoredQuant *out, const TensorFile *file, const TensorEntry *e,
                         const WeightRef *ref) {
    *out = (StoredQuant){.codes = e};
    if (ref->rank != 2) return OK;
    out->absmax = beside(file, e->name, ".absmax");
    if (out->absmax) return find_4bit(out, file, e, ref);
    out->absmax = of_module(file, e->name, "SCB");
    return out->absmax ? find_8bit(out, file, e, ref) : OK;
}

void import_quant_load(Weight *w, const StoredQuant *from) {
    Quantized *q = w->quant;
    QuantScales *s = &q->scales[0];
    if (from->format.nested) {
        memcpy(s->absmax_code, from->absmax->data, from->absmax->bytes);
        memcpy(s->nested, from->nested->data, from->nested->bytes);
        for (int p = 0; p < q->n_parts; p++) q->scales[p].mean = (float)from->mean;
    } else {
        memcpy(s->absmax, from->absmax->data, from->absmax->bytes);
    }
    for (int p = 0; p < q->n_parts; p++) quant_weight_set(q->part[p], from->codes->data);
}
