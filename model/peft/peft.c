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
#include "model/peft/lora.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SCORE_NAME "base_model.model.score.weight"

/* ---- adapter_config.json in
 * ---------------------------------------------------------------------- */

static Status refuse(const char *where, const char *key, const char *what) {
    return status_fail(ERR_DATA, "%s: `%s`: %s is not supported; plain LoRA is", where, key, what);
}

/* A switch that changes the mathematics must be off. */
static Status want_off(const Json *config, const char *key, const char *where) {
    const Json *j = json_get(config, key);
    bool off = !j || json_is(j, JSON_KIND_NULL) || (json_is(j, JSON_KIND_BOOL) && !json_bool(j)) ||
               (json_is(j, JSON_KIND_OBJECT) && json_len(j) == 0) ||
               (json_is(j, JSON_KIND_ARRAY) && json_len(j) == 0);
    return off ? OK : refuse(where, key, "this variant");
}

static Status check_saved_modules(const Json *config, const char *where) {
    const Json *list = json_get(config, "modules_to_save");
    for (int64_t i = 0; i < json_len(list); i++) {
        const Json *j = json_at(list, i);
        const char *name = json_is(j, JSON_KIND_STRING) ? json_str(j, NULL) : "";
        /* PEFT itself puts both names in for SEQ_CLS. */
        if (!str_equal(name, "score") && !str_equal(name, "classifier"))
            return status_fail(ERR_DATA,
                               "%s: `modules_to_save` holds `%s`; only `score` is supported", where,
                               name);
    }
    return OK;
}

static Status read_config(LoraOptions *opt, const Json *config, const char *where) {
    static const char *const off[] = {"use_dora",          "lora_bias",
                                      "alpha_pattern",     "layer_replication",
                                      "target_parameters", "trainable_token_indices",
                                      "use_qalora",        "alora_invocation_tokens",
                                      "use_bdlora"};
    const char *type = NULL, *bias = "none";
    if (!json_is(config, JSON_KIND_OBJECT))
        return status_fail(ERR_DATA, "%s: the file must hold a JSON object", where);
    TRY(json_want_str(&type, config, "peft_type", where));
    if (!str_equal(type, "LORA")) return refuse(where, "peft_type", type);
    for (size_t i = 0; i < sizeof off / sizeof *off; i++) TRY(want_off(config, off[i], where));
    TRY(json_opt_str(&bias, config, "bias", where));
    if (!str_equal(bias, "none")) return refuse(where, "bias", bias);
    TRY(check_saved_modules(config, where));
    *opt = (LoraOptions){.r = 8, .alpha = 8.0};
    TRY(json_opt_int(&opt->r, config, "r", where));
    TRY(json_opt_num(&opt->alpha, config, "lora_alpha", where));
    TRY(json_opt_num(&opt->dropout, config, "lora_dropout", where));
    TRY(json_opt_bool(&opt->use_rslora, config, "use_rslora", where));
    TRY(json_opt_str(&opt->task_type, config, "task_type", where));
    if (opt->r < 1 || !(opt->dropout >= 0.0 && opt->dropout < 1.0))
        return status_fail(ERR_DATA,
                           "%s: r %lld, lora_dropout %g: r is at least 1, a dropout lies in "
                           "[0,1)",
                           where, (long long)opt->r, opt->dropout);
    return OK;
}

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
static Status load_pair(Adapter *a, const ModuleRef *module, const TensorFile *file,
                        int64_t *used) {
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
    TRY_GOTO(adapter_add_pair(a, module, ea->shape[0]), st, out);
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

static Status load_pairs(Adapter *a, const TensorFile *file, const char *path) {
    int64_t used = 0, n = tensor_file_count(file);
    for (int i = 0; i < a->base->n_modules; i++)
        TRY(load_pair(a, &a->base->modules[i], file, &used));
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
    LoraOptions opt;
    Status st = OK;
    TRY_GOTO(json_read_file(&config, config_path), st, out);
    TRY_GOTO(read_config(&opt, config, config_path), st, out);
    TRY_GOTO(tensor_file_open(&file, weights_path), st, out);
    a = adapter_new(b, name, &opt, trainable);
    TRY_GOTO(load_pairs(a, file, weights_path), st, out);
out:
    if (st != OK) {
        adapter_close(a);
        a = NULL;
    }
    *out = a;
    tensor_file_close(file);
    json_free(config);
    mem_free(config_path);
    mem_free(weights_path);
    return st;
}

/* ---- out
 * ----------------------------------------------------------------------------------------- */

static bool is_targeted(const Adapter *a, const ModuleRef *m) {
    return adapter_pair(a, m->linear->slot) != NULL;
}

static const char *last_word(const char *path) {
    return strrchr(path, '.') + 1;
}

/* Would the last words of the targeted modules select exactly these modules? */
static bool words_suffice(const Adapter *a) {
    const Base *b = a->base;
    for (int i = 0; i < b->n_modules; i++) {
        if (is_targeted(a, &b->modules[i])) continue;
        for (int j = 0; j < b->n_modules; j++)
            if (is_targeted(a, &b->modules[j]) &&
                lora_target_matches(b->modules[i].name, last_word(b->modules[j].name)))
                return false;
    }
    return true;
}

static int compare_names(const void *x, const void *y) {
    return strcmp(*(const char *const *)x, *(const char *const *)y);
}

/* Suffixes where they say it all, else whole paths; sorted, each once. */
static Json *target_list(const Adapter *a) {
    const Base *b = a->base;
    bool words = words_suffice(a);
    const char **names = mem_zalloc((size_t)b->n_modules, sizeof *names);
    size_t n = 0;
    for (int i = 0; i < b->n_modules; i++)
        if (is_targeted(a, &b->modules[i]))
            names[n++] = words ? last_word(b->modules[i].name) : b->modules[i].name;
    qsort(names, n, sizeof *names, compare_names);
    Json *list = json_new_array();
    for (size_t i = 0; i < n; i++)
        if (i == 0 || !str_equal(names[i], names[i - 1])) json_push(list, json_new_str(names[i]));
    mem_free(names);
    return list;
}

static Json *rank_pattern(const Adapter *a) {
    Json *pattern = json_new_object();
    for (int i = 0; i < a->base->n_modules; i++) {
        const LoraPair *p = adapter_pair(a, a->base->modules[i].linear->slot);
        if (p && p->a.value.shape[0] != a->r)
            json_set(pattern, a->base->modules[i].name, json_new_int(p->a.value.shape[0]));
    }
    return pattern;
}

/* The smallest set of keys that PEFT needs, sorted as PEFT sorts them: old versions refuse unknown
 * ones. */
static Json *make_config(const Adapter *a, const Head *head, const char *base_path) {
    bool whole = a->alpha == floor(a->alpha);
    Json *j = json_new_object(), *saved = head ? json_new_array() : json_new_null();
    if (head) json_push(saved, json_new_str("score"));
    json_set(j, "base_model_name_or_path", base_path ? json_new_str(base_path) : json_new_null());
    json_set(j, "bias", json_new_str("none"));
    json_set(j, "fan_in_fan_out", json_new_bool(a->base->arch.spec->conv1d));
    json_set(j, "inference_mode", json_new_bool(true));
    json_set(j, "init_lora_weights", json_new_bool(true));
    json_set(j, "lora_alpha", whole ? json_new_int((int64_t)a->alpha) : json_new_num(a->alpha));
    json_set(j, "lora_dropout", json_new_num(a->dropout));
    json_set(j, "modules_to_save", saved);
    json_set(j, "peft_type", json_new_str("LORA"));
    json_set(j, "r", json_new_int(a->r));
    json_set(j, "rank_pattern", rank_pattern(a));
    json_set(j, "target_modules", target_list(a));
    json_set(j, "task_type", json_new_str(head ? "SEQ_CLS" : a->task_type));
    json_set(j, "use_rslora", json_new_bool(a->use_rslora));
    return j;
}

static Status save_config(const Adapter *a, const Head *head, const char *folder,
                          const char *base_path) {
    Str text = {0};
    Json *config = make_config(a, head, base_path);
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
