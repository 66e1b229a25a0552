/* peft_config: adapter_config.json, in and out. */
#include "model/peft/peft_config.h"

#include "core/mem.h"
#include "model/peft/target.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- in
 * ------------------------------------------------------------------------------------------ */

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

/* {"name": number} */
static Status read_numbers(ModuleNumber **out, int *n, const Json *config, const char *key,
                           const char *where) {
    Json *object = NULL, *value;
    const char *name;
    JsonIter it = {0};
    TRY(json_opt(&object, config, key, JSON_KIND_OBJECT, where));
    *out = mem_zalloc((size_t)json_len(object) + 1, sizeof **out);
    while (object && json_next(object, &it, &name, &value)) {
        if (!json_is_num(value))
            return status_fail(ERR_DATA, "%s: `%s`: `%s` must have a number", where, key, name);
        (*out)[(*n)++] = (ModuleNumber){name, json_num(value)};
    }
    return OK;
}

Status peft_config_read(PeftConfigFile *out, const Json *config, const char *where) {
    LoraOptions *opt = &out->lora;
    static const char *const off[] = {"use_dora",
                                      "lora_bias",
                                      "layer_replication",
                                      "target_parameters",
                                      "trainable_token_indices",
                                      "use_qalora",
                                      "alora_invocation_tokens",
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
    TRY(read_numbers(&out->alphas, &opt->n_alphas, config, "alpha_pattern", where));
    opt->alphas = out->alphas;
    if (opt->r < 1 || !(opt->dropout >= 0.0 && opt->dropout < 1.0))
        return status_fail(ERR_DATA,
                           "%s: r %lld, lora_dropout %g: r is at least 1, a dropout lies in "
                           "[0,1)",
                           where, (long long)opt->r, opt->dropout);
    return OK;
}

void peft_config_free(PeftConfigFile *f) {
    mem_free(f->alphas);
    *f = (PeftConfigFile){0};
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
                target_ends_in(b->modules[i].name, last_word(b->modules[j].name)))
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

static Json *number(double x) {
    return x == floor(x) ? json_new_int((int64_t)x) : json_new_num(x);
}

/* Of the modules whose rank (or alpha) is not the adapter's. */
static Json *pattern(const Adapter *a, bool of_ranks) {
    Json *pattern = json_new_object();
    for (int i = 0; i < a->base->n_modules; i++) {
        const LoraPair *p = adapter_pair(a, a->base->modules[i].linear->slot);
        if (!p) continue;
        double own = of_ranks ? (double)p->a.value.shape[0] : p->alpha;
        if (own != (of_ranks ? (double)a->r : a->alpha))
            json_set(pattern, a->base->modules[i].name, number(own));
    }
    return pattern;
}

/* The smallest set of keys that PEFT needs, sorted as PEFT sorts them: old versions refuse unknown
 * ones. */
Json *peft_config_make(const Adapter *a, const Head *head, const char *base_path) {
    Json *j = json_new_object(), *saved = head ? json_new_array() : json_new_null();
    if (head) json_push(saved, json_new_str("score"));
    json_set(j, "alpha_pattern", pattern(a, false));
    json_set(j, "base_model_name_or_path", base_path ? json_new_str(base_path) : json_new_null());
    json_set(j, "bias", json_new_str("none"));
    json_set(j, "fan_in_fan_out", json_new_bool(a->base->arch.spec->conv1d));
    json_set(j, "inference_mode", json_new_bool(true));
    json_set(j, "init_lora_weights", json_new_bool(true));
    json_set(j, "lora_alpha", number(a->alpha));
    json_set(j, "lora_dropout", json_new_num(a->dropout));
    json_set(j, "modules_to_save", saved);
    json_set(j, "peft_type", json_new_str("LORA"));
    json_set(j, "r", json_new_int(a->r));
    json_set(j, "rank_pattern", pattern(a, true));
    json_set(j, "target_modules", target_list(a));
    json_set(j, "task_type", json_new_str(head ? "SEQ_CLS" : a->task_type));
    json_set(j, "use_rslora", json_new_bool(a->use_rslora));
    return j;
}
