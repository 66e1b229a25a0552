#include "model/peft/lora.h"

#include "core/mem.h"
#include "core/rng.h"
#include "core/str.h"
#include "kernels/ops.h"
#include "model/peft/target.h"

#include <math.h>

const LoraPair *adapter_pair(const Adapter *a, int slot) {
    const LoraPair *p = &a->pairs[slot];
    return weight_exists(&p->a) ? p : NULL;
}

Adapter *adapter_new(Base *b, const char *name, const LoraOptions *opt, bool trainable) {
    Adapter *a = mem_zalloc(1, sizeof *a);
    *a = (Adapter){.base = b,
                   .name = mem_strdup(name),
                   .task_type = mem_strdup(opt->task_type ? opt->task_type : "CAUSAL_LM"),
                   .r = opt->r,
                   .alpha = opt->alpha,
                   .dropout = opt->dropout,
                   .use_rslora = opt->use_rslora,
                   .trainable = trainable};
    a->pairs = mem_zalloc((size_t)base_slots(b), sizeof *a->pairs);
    return a;
}

void adapter_close(Adapter *a) {
    if (!a) return;
    for (int i = 0; i < base_slots(a->base); i++) {
        dev_free(a->base->dev, a->pairs[i].a.value.data);
        dev_free(a->base->dev, a->pairs[i].b.value.data);
        mem_free(a->pairs[i].name_a);
        mem_free(a->pairs[i].name_b);
    }
    mem_free(a->pairs);
    mem_free(a->name);
    mem_free(a->task_type);
    mem_free(a);
}

Status adapter_add_pair(Adapter *a, const ModuleRef *module, int64_t r, double alpha) {
    const Linear *m = module->linear;
    LoraPair *p = &a->pairs[m->slot];
    Dev *dev = a->base->dev;
    p->module = module;
    p->dropout = a->dropout;
    p->alpha = alpha;
    p->scale = alpha / (a->use_rslora ? sqrt((double)r) : (double)r);
    p->name_a = str_format("base_model.model.%s.lora_A.weight", module->name);
    p->name_b = str_format("base_model.model.%s.lora_B.weight", module->name);
    TRY(weight_alloc(&p->b, dev, dev_real(dev), 2, m->outputs, r, a->trainable));
    return weight_alloc(&p->a, dev, dev_real(dev), 2, r, m->inputs, a->trainable);
}

void adapter_params(ParamList *list, Adapter *a) {
    for (int i = 0; i < a->base->n_modules; i++) {
        const LoraPair *p = adapter_pair(a, a->base->modules[i].linear->slot);
        if (!p || !weight_trains(&p->a)) continue;
        params_add(list, param_of(p->name_a, &p->a, true));
        params_add(list, param_of(p->name_b, &p->b, true));
    }
}

/* ---- a new adapter
 * ------------------------------------------------------------------------------- */

/* Kaiming uniform with a = sqrt(5) is U(-1/sqrt(I), 1/sqrt(I)). */
static void draw_uniform(float *to, int64_t n, double bound, RngStream *s) {
    for (int64_t i = 0; i < n; i++) to[i] = (float)(bound * (2.0 * rng_next_uniform(s) - 1.0));
}

static void draw_gaussian(float *to, int64_t n, double deviation, RngStream *s) {
    double z[2];
    for (int64_t i = 0; i < n; i++) {
        if (i % 2 == 0) {
            uint32_t first = rng_next(s);
            rng_normal2(z, first, rng_next(s));
        }
        to[i] = (float)(deviation * z[i % 2]);
    }
}

static Status init_pair(Adapter *a, LoraPair *p, const LoraOptions *opt) {
    int64_t n = tensor_numel(p->a.value), r = p->a.value.shape[0], inputs = p->a.value.shape[1];
    RngStream s = rng_stream(opt->seed, RNG_INIT, rng_hash_name(p->name_a) >> 8);
    float *host = mem_alloc((size_t)n * sizeof *host);
    if (opt->gaussian)
        draw_gaussian(host, n, 1.0 / (double)r, &s);
    else
        draw_uniform(host, n, 1.0 / sqrt((double)inputs), &s);
    Status st = weight_upload(&p->a, a->base->dev, DTYPE_F32, host);
    mem_free(host);
    op_fill(a->base->dev, p->b.value, 0.0);
    return st;
}

static Status check_options(const LoraOptions *opt) {
    if (opt->r < 1)
        return status_fail(ERR_CONFIG, "LoRA r is %lld; it must be at least 1", (long long)opt->r);
    if (!(opt->dropout >= 0.0 && opt->dropout < 1.0))
        return status_fail(ERR_CONFIG, "LoRA dropout is %g; it must lie in [0,1)", opt->dropout);
    return OK;
}

/* The pair of one module, with its own rank and alpha where the options name it. */
static Status create_pair(Adapter *a, const ModuleRef *module, const LoraOptions *opt) {
    double r = (double)opt->r, alpha = opt->alpha;
    TRY(target_number(&r, opt->ranks, opt->n_ranks, module->name));
    TRY(target_number(&alpha, opt->alphas, opt->n_alphas, module->name));
    TRY(adapter_add_pair(a, module, (int64_t)r, alpha));
    return init_pair(a, &a->pairs[module->linear->slot], opt);
}

Status adapter_create(Adapter **out, Base *b, const char *name, const LoraOptions *opt) {
    *out = NULL;
    TRY(check_options(opt));
    bool *chosen = mem_zalloc((size_t)b->n_modules, sizeof *chosen);
    Adapter *a = adapter_new(b, name, opt, true);
    Status st = target_select(chosen, b, opt);
    for (int i = 0; st == OK && i < b->n_modules; i++)
        if (chosen[i]) st = create_pair(a, &b->modules[i], opt);
    mem_free(chosen);
    if (st != OK)
        adapter_close(a);
    else
        *out = a;
    return st;
}
