/* peft: adapters as PEFT's files: adapter_config.json and adapter_model.safetensors. Part of the
 * face in model.h. */
#include "core/check.h"
#include "core/file.h"
#include "core/io/json.h"
#include "core/io/safetensors.h"
#include "core/io/tensor_file.h"
#include "core/mem.h"
#include "core/publish.h"
#include "model/head.h"
#include "model/peft/peft_config.h"
#include "model/peft/target.h"

#include <string.h>

#define SCORE_NAME "base_model.model.score.weight"

/* ---- adapter_model.safetensors in
 * ---------------------------------------------------------------- */

static Status check_matrix(const TensorEntry *e, int64_t rows, int64_t cols) {
    if (e->dtype == DTYPE_NONE || !dtype_is_float(e->dtype))
        return status_fail(ERR_DATA, "%s: tensor `%s` is stored as %s; a float type is needed",
                           e->file, e->name, e->dtype_name);
    if (e->rank == 2 && (rows == 0 || e->shape[0] == rows) && e->shape[1] == cols &&
        e->shape[0] > 0)
        return OK;
    return status_fail(ERR_DATA, "%s: tensor `%s` is [%lld,%lld]; this base makes it [%s,%lld]",
                       e->file, e->name, e->rank > 0 ? (long long)e->shape[0] : 0,
                       e->rank > 1 ? (long long)e->shape[1] : 0, rows ? "O" : "r", (long long)cols);
}

/* B's rows are outputs: they lie in the order of the projection's. */
static Status upload_rows(Weight *w, Dev *dev, const RowOrder *order, const TensorEntry *e) {
    void *made, *ours = mem_alloc(e->bytes);
    linear_reorder(order, ours, tensor_entry_values(e, &made), e->shape[0],
                   e->bytes / (size_t)e->shape[0], false);
    Status st = weight_upload(w, dev, e->dtype, ours);
    mem_free(made);
    mem_free(ours);
    return st;
}

/* The pair of one module, when the file has it; counts the tensors used. */
static Status load_pair(Adapter *a, const LoraOptions *opt, const ModuleRef *module,
                        const TensorFile *file, int64_t *used) {
    char *name_a = str_format("base_model.model.%s.lora_A.weight", module->name);
    char *name_b = str_format("base_model.model.%s.lora_B.weight", module->name);
    const TensorEntry *ea = tensor_file_find(file, name_a);
    const TensorEntry *eb = tensor_file_find(file, name_b);
    const Linear *m = module->linear;
    Status st = OK;
    if (!ea && !eb) goto out;
    if (!ea || !eb) {
        st = status_fail(ERR_DATA, "%s: tensor `%s` has no partner `%s`", (ea ? ea : eb)->file,
                         ea ? name_a : name_b, ea ? name_b : name_a);
        goto out;
    }
    TRY_GOTO(check_matrix(ea, 0, m->inputs), st, out);
    TRY_GOTO(check_matrix(eb, m->outputs, ea->shape[0]), st, out);
    double alpha = opt->alpha;
    TRY_GOTO(target_number(&alpha, opt->alphas, opt->n_alphas, module->name), st, out);
    TRY_GOTO(adapter_add_pair(a, module, ea->shape[0], alpha), st, out);
    LoraPair *p = &a->pairs[m->slot];
    TRY_GOTO(upload_rows(&p->a, a->base->dev, &(RowOrder){0}, ea), st, out);
    TRY_GOTO(upload_rows(&p->b, a->base->dev, &m->order, eb), st, out);
    *used += 2;
out:
    mem_free(name_a);
    mem_free(name_b);
    return st;
}

static bool has_place(const Adapter *a, const char *name) {
    for (int i = 0; i < base_slots(a->base); i++)
        if (str_equal(name, a->pairs[i].name_a) || str_equal(name, a->pairs[i].name_b)) return true;
    return str_equal(name, SCORE_NAME);
}

static Status load_pairs(Adapter *a, const LoraOptions *opt, const TensorFile *file,
                         const char *path) {
    int64_t used = 0, n = tensor_file_count(file);
    for (int i = 0; i < a->base->n_modules; i++)
        TRY(load_pair(a, opt, &a->base->modules[i], file, &used));
    if (used == 0)
        return status_fail(ERR_DATA, "%s: no tensor fits a %s; is it an adapter of another model?",
                           path, a->base->info.architecture);
    for (int64_t i = 0; i < n && used < n; i++)
        if (!has_place(a, tensor_file_at(file, i)->name))
            return status_fail(ERR_DATA, "%s: tensor `%s` has no place in this base", path,
                               tensor_file_at(file, i)->name);
    return OK;
}

/* PEFT wrote adapter_model.bin before it wrote safetensors. */
static char *find_weights(const char *folder) {
    char *usual = file_join(folder, "adapter_model.safetensors");
    char *old = file_join(folder, "adapter_model.bin");
    bool is_old = !file_exists(usual) && file_exists(old);
    mem_free(is_old ? usual : old);
    return is_old ? old : usual;
}

Status adapter_load(Adapter **out, Base *b, const char *name, const char *folder, bool trainable) {
    char *config_path = file_join(folder, "adapter_config.json");
    char *weights_path = find_weights(folder);
    Json *config = NULL;
    TensorFile *file = NULL;
    Adapter *a = NULL;
    PeftConfigFile from = {0};
    Status st = OK;
    TRY_GOTO(json_read_file(&config, config_path), st, out);
    TRY_GOTO(peft_config_read(&from, config, config_path), st, out);
    TRY_GOTO(tensor_file_open(&file, weights_path), st, out);
    a = adapter_new(b, name, &from.lora, trainable);
    TRY_GOTO(load_pairs(a, &from.lora, file, weights_path), st, out);
out:
    if (st != OK) {
        adapter_close(a);
        a = NULL;
    }
    *out = a;
    tensor_file_close(file);
    peft_config_free(&from);
    json_free(config);
    mem_free(config_path);
    mem_free(weights_path);
    return st;
}

/* ---- out
 * ----------------------------------------------------------------------------------------- */

static Status save_config(const Adapter *a, const Head *head, const char *folder,
                          const char *base_path) {
    Str text = {0};
    Json *config = peft_config_make(a, head, base_path);
    json_dump(&text, config, 2);
    str_append_char(&text, '\n');
    char *path = file_join(folder, "adapter_config.json");
    Status st = publish_bytes(path, str_text(&text), text.len);
    mem_free(path);
    json_free(config);
    str_free(&text);
    return st;
}

typedef struct SaveItems {
    Dev *dev;
    const Weight **weights;
    const RowOrder **orders; /* NULL: rows as they are */
} SaveItems;

static Status fill_item(void *ctx, int64_t i, void *dst) {
    const SaveItems *s = ctx;
    const RowOrder *order = s->orders[i];
    if (!order) {
        weight_download(s->weights[i], s->dev, DTYPE_F32, dst);
        return OK;
    }
    Tensor t = s->weights[i]->value;
    float *ours = mem_alloc((size_t)tensor_numel(t) * sizeof *ours);
    weight_download(s->weights[i], s->dev, DTYPE_F32, ours);
    linear_reorder(order, dst, ours, t.shape[0], (size_t)t.shape[1] * sizeof *ours, true);
    mem_free(ours);
    return OK;
}

static Status save_weights(const Adapter *a, const Head *head, const char *folder) {
    const Base *b = a->base;
    size_t most = 2 * (size_t)b->n_modules + 1;
    SaveItems s = {.dev = b->dev,
                   .weights = mem_zalloc(most, sizeof *s.weights),
                   .orders = mem_zalloc(most, sizeof *s.orders)};
    SafetensorsItem *items = mem_zalloc(most, sizeof *items);
    int64_t n = 0;
    for (int i = 0; i < base_slots(b); i++) {
        const LoraPair *p = adapter_pair(a, i);
        if (!p) continue;
        s.weights[n] = &p->a;
        items[n++].name = p->name_a;
        s.weights[n] = &p->b;
        s.orders[n] = &p->module->linear->order;
        items[n++].name = p->name_b;
    }
    if (head) {
        s.weights[n] = &head->w;
        items[n++].name = SCORE_NAME;
    }
    for (int64_t i = 0; i < n; i++) {
        items[i].dtype = DTYPE_F32;
        items[i].rank = 2;
        memcpy(items[i].shape, s.weights[i]->value.shape, 2 * sizeof *items[i].shape);
    }
    const char *meta[] = {"format", "pt", NULL};
    char *path = file_join(folder, "adapter_model.safetensors");
    Status st = safetensors_save(
        path, &(SafetensorsSpec){
                  .items = items, .n_items = n, .meta = meta, .fill = fill_item, .ctx = &s});
    mem_free(path);
    mem_free(items);
    mem_free(s.weights);
    mem_free(s.orders);
    return st;
}

Status adapter_save(const Adapter *a, const Head *head, const char *folder, const char *base_path) {
    CHECK(!head || head->kind == HEAD_SCORE, "only a score head goes into an adapter's file");
    TRY(file_make_folders(folder));
    TRY(save_config(a, head, folder, base_path));
    return save_weights(a, head, folder);
}
