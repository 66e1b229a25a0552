/* export: a role as a Hugging Face folder (model_export in model.h). */
#include "model/formats/export.h"
#include "core/check.h"
#include "core/file.h"
#include "core/io/json.h"
#include "core/io/safetensors.h"
#include "core/mem.h"
#include "core/publish.h"
#include "model/base.h"
#include "model/head.h"
#include "model/peft/lora.h"

#define SHARD_BYTES ((size_t)5 * 1000 * 1000 * 1000) /* "5GB", transformers' max_shard_size */

/* ---- config.json
 * --------------------------------------------------------------------------------- */

/* Version 4 refuses a longrope with more keys than these. */
static Json *longrope_of_version_4(const Json *parameters) {
    static const char *const keys[] = {"short_factor", "long_factor", "attention_factor"};
    Json *j = json_new_object();
    json_set(j, "type", json_new_str("longrope"));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const Json *value = json_get(parameters, keys[i]);
        if (value && !json_is(value, JSON_KIND_NULL)) json_set(j, keys[i], json_clone(value));
    }
    return j;
}

/* What of the partial turn the readers of version 4 look for. */
static void set_partial(Json *config, Json *parameters, const ArchConfig *c) {
    if (c->spec->defaults.partial_rotary == 0.0) return;
    json_set(parameters, "partial_rotary_factor", json_new_num(c->rope.partial));
    json_set(config, "partial_rotary_factor", json_new_num(c->rope.partial));
    if (c->spec->family != FAMILY_NEOX) return;
    json_set(config, "rotary_pct", json_new_num(c->rope.partial));
    json_set(config, "rotary_emb_base", json_new_num(c->rope.theta));
}

static void set_rope(Json *config, const ArchConfig *c) {
    const RopeConfig *r = &c->rope;
    /* Version 5 keeps everything in rope_parameters, version 4 in rope_theta and rope_scaling. */
    Json *both = json_get(config, "rope_scaling");
    if (!json_is(both, JSON_KIND_OBJECT)) both = json_get(config, "rope_parameters");
    Json *parameters = json_is(both, JSON_KIND_OBJECT) ? json_clone(both) : json_new_object();
    json_del(parameters, "type");
    json_set(parameters, "rope_type", json_new_str(arch_rope_name(r->kind)));
    Json *scaling = json_clone(parameters);
    json_del(scaling, "rope_theta");
    json_del(scaling, "partial_rotary_factor");
    json_set(parameters, "rope_theta", json_new_num(r->theta));
    json_set(config, "rope_theta", json_new_num(r->theta));
    set_partial(config, parameters, c);
    if (r->kind == ROPE_LONGROPE) {
        json_free(scaling);
        scaling = longrope_of_version_4(parameters);
        json_set(config, "original_max_position_embeddings",
                 json_new_int((int64_t)r->original_positions));
    }
    if (r->kind == ROPE_DEFAULT) {
        json_free(scaling);
        scaling = json_new_null();
    }
    json_set(config, "rope_scaling", scaling);
    json_set(config, "rope_parameters", parameters);
}

static void set_classifier(Json *config, const Base *b) {
    Json *id2label = json_new_object(), *label2id = json_new_object();
    json_set(id2label, "0", json_new_str("LABEL_0"));
    json_set(label2id, "LABEL_0", json_new_int(0));
    json_set(config, "id2label", id2label);
    json_set(config, "label2id", label2id);
    json_set(config, "num_labels", json_new_int(1));
    /* A batch needs a padding token; as TRL, the end token stands in. */
    if (b->info.pad_id < 0 && b->info.eos_id >= 0)
        json_set(config, "pad_token_id", json_new_int(b->info.eos_id));
}

static Json *make_config(const Base *b, bool classifier, DType dtype) {
    const ArchConfig *c = &b->arch;
    Json *config = json_clone(b->config), *architectures = json_new_array();
    json_push(architectures,
              json_new_str(classifier ? c->spec->classifier : c->spec->architecture));
    json_set(config, "architectures", architectures);
    json_del(config, "quantization_config"); /* weights are written in full */
    json_set(config, "model_type", json_new_str(c->spec->model_type));
    json_set(config, "dtype", json_new_str(dtype_name(dtype)));
    json_set(config, "torch_dtype", json_new_str(dtype_name(dtype)));
    json_set(config, "tie_word_embeddings", json_new_bool(c->tied));
    if (c->position == POSITION_ROPE) set_rope(config, c);
    if (c->n_encoder_layers)
        json_set(config, "scale_decoder_outputs", json_new_bool(c->scaled_output));
    if (classifier) set_classifier(config, b);
    return config;
}

static Status write_json(const char *folder, const char *name, Json *j) {
    Str text = {0};
    json_dump(&text, j, 2);
    str_append_char(&text, '\n');
    char *path = file_join(folder, name);
    Status st = publish_bytes(path, str_text(&text), text.len);
    mem_free(path);
    str_free(&text);
    json_free(j);
    return st;
}

/* The source's own file, or the token ids of config.json. */
static Status write_generation_config(const Base *b, const char *folder) {
    static const char *const keys[] = {"bos_token_id", "eos_token_id", "pad_token_id"};
    Json *j = NULL;
    char *path = b->folder ? file_join(b->folder, "generation_config.json") : NULL;
    Status st = path && file_exists(path) ? json_read_file(&j, path) : OK;
    mem_free(path);
    TRY(st);
    if (!j) {
        j = json_new_object();
        json_set(j, "_from_model_config", json_new_bool(true));
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
            const Json *id = json_get(b->config, keys[i]);
            if (id && !json_is(id, JSON_KIND_NULL)) json_set(j, keys[i], json_clone(id));
        }
    }
    return write_json(folder, "generation_config.json", j);
}

/* ---- weights
 * ------------------------------------------------------------------------------------- */

typedef struct Export {
    const Role *role;
    DType dtype;
    SafetensorsItem *items;
    const WeightRef **refs; /* NULL: the score head */
    int64_t n;
} Export;

/* w[O,I] += s B A, summed in double and rounded once. */
static void merge_pair(float *w, const Base *b, const LoraPair *p) {
    int64_t r = p->a.value.shape[0], inputs = p->a.value.shape[1], outputs = p->b.value.shape[0];
    float *a = mem_alloc((size_t)(r * inputs) * sizeof *a);
    float *up = mem_alloc((size_t)(outputs * r) * sizeof *up);
    weight_download(&p->a, b->dev, DTYPE_F32, a);
    weight_download(&p->b, b->dev, DTYPE_F32, up);
#pragma omp parallel for schedule(static)
    for (int64_t o = 0; o < outputs; o++) {
        for (int64_t i = 0; i < inputs; i++) {
            double sum = 0.0;
            for (int64_t k = 0; k < r; k++)
                sum += (double)up[o * r + k] * (double)a[k * inputs + i];
            w[o * inputs + i] = (float)((double)w[o * inputs + i] + p->scale * sum);
        }
    }
    mem_free(a);
    mem_free(up);
}

static const LoraPair *pair_beside(const Role *role, const WeightRef *ref) {
    const Linear *m = base_linear(role->base, ref);
    return role->adapter && m ? adapter_pair(role->adapter, m->slot) : NULL;
}

void export_weight(const Role *role, const WeightRef *ref, float *to) {
    const LoraPair *pair = pair_beside(role, ref);
    weight_download(ref->weight, role->base->dev, DTYPE_F32, to);
    if (pair) merge_pair(to, role->base, pair);
}

static Status fill_item(void *ctx, int64_t i, void *dst) {
    const Export *e = ctx;
    const Base *b = e->role->base;
    const WeightRef *ref = e->refs[i];
    if (!ref) {
        weight_download(&e->role->head->w, b->dev, e->dtype, dst);
        return OK;
    }
    const LoraPair *pair = pair_beside(e->role, ref);
    if (!pair) {
        base_read_weight(b, ref, e->dtype, dst);
        return OK;
    }
    size_t n = (size_t)(ref->rows * ref->cols);
    float *w = mem_alloc(n * sizeof *w);
    void *stored = mem_alloc(n * dtype_size(e->dtype));
    export_weight(e->role, ref, w);
    dtype_convert(stored, e->dtype, w, DTYPE_F32, n);
    base_file_order(ref, e->dtype, dst, stored);
    mem_free(stored);
    mem_free(w);
    return OK;
}

static void add_item(Export *e, const char *name, int rank, int64_t rows, int64_t cols,
                     const WeightRef *ref) {
    e->items[e->n] =
        (SafetensorsItem){.name = name, .dtype = e->dtype, .rank = rank, .shape = {rows, cols}};
    e->refs[e->n++] = ref;
}

static Status write_weights(const Role *role, bool classifier, DType dtype, const char *folder) {
    const Base *b = role->base;
    Export e = {.role = role, .dtype = dtype};
    e.items = mem_zalloc((size_t)b->n_refs + 1, sizeof *e.items);
    e.refs = mem_zalloc((size_t)b->n_refs + 1, sizeof *e.refs);
    for (int i = 0; i < b->n_refs; i++) {
        const WeightRef *r = &b->refs[i];
        if (classifier && (r->weight == &b->head || r->weight == &b->head_bias)) continue;
        add_item(&e, r->name, r->rank, r->transposed ? r->cols : r->rows,
                 r->transposed ? r->rows : r->cols, r);
    }
    if (classifier) add_item(&e, "score.weight", 2, 1, b->info.width, NULL);
    const char *meta[] = {"format", "pt", NULL};
    SafetensorsSpec spec = {
        .items = e.items, .n_items = e.n, .meta = meta, .fill = fill_item, .ctx = &e};
    Status st = safetensors_save_in(folder, "model", SHARD_BYTES, &spec);
    mem_free(e.items);
    mem_free(e.refs);
    return st;
}

Status model_export(const Role *role, const char *folder, DType dtype) {
    const Base *b = role->base;
    bool classifier = role->head && role->head->kind == HEAD_SCORE;
    CHECK(classifier || b->with_head, "a trunk without a score head is no model");
    TRY(file_make_folders(folder));
    TRY(write_json(folder, "config.json", make_config(b, classifier, dtype)));
    TRY(write_weights(role, classifier, dtype, folder));
    return classifier ? OK : write_generation_config(b, folder);
}
