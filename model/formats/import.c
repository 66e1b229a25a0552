#include "model/formats/import.h"

#include "core/check.h"
#include "core/mem.h"
#include "core/str.h"

#include <stdarg.h>
#include <string.h>

/* ---- names
 * --------------------------------------------------------------------------------------- */

typedef struct WeightNames {
    const char *trunk;  /* before all but the head */
    const char *layers; /* "layers": then ".<n>." */
    const char *embed, *positions, *final_norm;
    const char *norm1, *norm2; /* inside a layer, from here on */
    const char *in[3], *out, *gate, *up, *down;
} WeightNames;

static const WeightNames llama_names = {
    .trunk = "model.",
    .layers = "layers",
    .embed = "embed_tokens",
    .final_norm = "norm",
    .norm1 = "input_layernorm",
    .norm2 = "post_attention_layernorm",
    .in = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"},
    .out = "self_attn.o_proj",
    .gate = "mlp.gate_proj",
    .up = "mlp.up_proj",
    .down = "mlp.down_proj",
};
static const WeightNames gpt2_names = {
    .trunk = "transformer.",
    .layers = "h",
    .embed = "wte",
    .positions = "wpe",
    .final_norm = "ln_f",
    .norm1 = "ln_1",
    .norm2 = "ln_2",
    .in = {"attn.c_attn"},
    .out = "attn.c_proj",
    .up = "mlp.c_fc",
    .down = "mlp.c_proj",
};

static const WeightNames *names_of(Family family) {
    switch (family) {
    case FAMILY_LLAMA:
    case FAMILY_MISTRAL:
    case FAMILY_QWEN2:
        return &llama_names;
    case FAMILY_GPT2:
        return &gpt2_names;
    }
    FAIL("family %d has no names", (int)family);
}

/* Tensors that checkpoints hold and nobody needs: recomputed tables, heads that are read elsewhere.
 */
static bool is_ignored(const char *name) {
    static const char *const endings[] = {".rotary_emb.inv_freq", ".attn.bias",
                                          ".attn.masked_bias"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (str_ends(name, endings[i])) return true;
    return str_equal(name, "score.weight") || str_starts(name, "v_head.") ||
           str_equal(name, "lm_head.weight");
}

/* ---- the list
 * ------------------------------------------------------------------------------------ */

static void add_ref(Base *b, WeightRef ref) {
    b->refs = mem_realloc(b->refs, (size_t)b->n_refs + 1, sizeof *b->refs);
    b->refs[b->n_refs++] = ref;
}

static void add_matrix(Base *b, const char *module, Weight *w, WeightKind kind, int64_t rows,
                       int64_t cols, bool transposed) {
    add_ref(b, (WeightRef){.name = str_format("%s.weight", module),
                           .weight = w,
                           .kind = kind,
                           .rank = 2,
                           .rows = rows,
                           .cols = cols,
                           .transposed = transposed});
}

static void add_vector(Base *b, const char *module, const char *what, Weight *w, WeightKind kind,
                       int64_t n) {
    add_ref(b, (WeightRef){.name = str_format("%s.%s", module, what),
                           .weight = w,
                           .kind = kind,
                           .rank = 1,
                           .rows = n,
                           .cols = 1});
}

static void add_norm(Base *b, char *module, Norm *m) {
    add_vector(b, module, "weight", &m->w, WEIGHT_SCALE, b->arch.width);
    if (b->arch.spec->norm_bias) add_vector(b, module, "bias", &m->b, WEIGHT_SHIFT, b->arch.width);
    mem_free(module);
}

static void add_linear(Base *b, char *module, Linear *m, WeightKind kind, bool bias) {
    add_matrix(b, module, &m->w, kind, m->outputs, m->inputs, b->arch.spec->conv1d);
    if (bias) add_vector(b, module, "bias", &m->b, WEIGHT_BIAS, m->outputs);
    b->modules = mem_realloc(b->modules, (size_t)b->n_modules + 1, sizeof *b->modules);
    b->modules[b->n_modules++] = (ModuleRef){.name = module, .linear = m};
}

static void name_block(Base *b, const WeightNames *names, Block *m) {
    const ArchConfig *c = &b->arch;
    char *layer = str_format("%s%s.%lld", names->trunk, names->layers, (long long)m->layer);
    add_norm(b, str_format("%s.%s", layer, names->norm1), &m->norm1);
    for (int i = 0; i < m->attention.n_in; i++)
        add_linear(b, str_format("%s.%s", layer, names->in[i]), &m->attention.in[i], WEIGHT_MATRIX,
                   c->qkv_bias);
    add_linear(b, str_format("%s.%s", layer, names->out), &m->attention.out, WEIGHT_RESIDUAL,
               c->out_bias);
    add_norm(b, str_format("%s.%s", layer, names->norm2), &m->norm2);
    if (m->mlp.gated)
        add_linear(b, str_format("%s.%s", layer, names->gate), &m->mlp.gate, WEIGHT_MATRIX,
                   c->mlp_bias);
    add_linear(b, str_format("%s.%s", layer, names->up), &m->mlp.up, WEIGHT_MATRIX, c->mlp_bias);
    add_linear(b, str_format("%s.%s", layer, names->down), &m->mlp.down, WEIGHT_RESIDUAL,
               c->mlp_bias);
    mem_free(layer);
}

static void add_table(Base *b, char *module, Weight *w, WeightKind kind, int64_t rows) {
    add_matrix(b, module, w, kind, rows, b->arch.width, false);
    mem_free(module);
}

void import_name_weights(Base *b) {
    const ArchConfig *c = &b->arch;
    const WeightNames *names = names_of(c->spec->family);
    b->trunk = names->trunk;
    add_table(b, str_format("%s%s", names->trunk, names->embed), &b->stack.embed, WEIGHT_EMBED,
              c->vocab);
    if (names->positions)
        add_table(b, str_format("%s%s", names->trunk, names->positions), &b->stack.positions,
                  WEIGHT_POSITIONS, c->max_positions);
    for (int64_t l = 0; l < c->n_layers; l++) name_block(b, names, &b->stack.blocks[l]);
    add_norm(b, str_format("%s%s", names->trunk, names->final_norm), &b->stack.final_norm);
    if (b->with_head && !c->tied)
        add_table(b, mem_strdup("lm_head"), &b->head, WEIGHT_HEAD, c->vocab);
}

/* ---- reading
 * ------------------------------------------------------------------------------------- */

/* The name in the file: as it is, or without the trunk's prefix. */
static const SafetensorsEntry *find_weight(const Base *b, const Safetensors *file,
                                           const char *name) {
    const SafetensorsEntry *e = safetensors_find(file, name);
    if (!e && str_starts(name, b->trunk)) e = safetensors_find(file, name + strlen(b->trunk));
    return e;
}

static Status wrong_shape(const SafetensorsEntry *e, int64_t rows, int64_t cols, int rank) {
    Str has = {0};
    for (int i = 0; i < e->rank; i++)
        str_printf(&has, "%s%lld", i ? "," : "", (long long)e->shape[i]);
    Status st =
        rank == 1
            ? status_fail(ERR_DATA, "%s: tensor `%s` is [%s]; config.json makes it [%lld]", e->file,
                          e->name, str_text(&has), (long long)rows)
            : status_fail(ERR_DATA, "%s: tensor `%s` is [%s]; config.json makes it [%lld,%lld]",
                          e->file, e->name, str_text(&has), (long long)rows, (long long)cols);
    str_free(&has);
    return st;
}

static Status import_one(Base *b, const WeightRef *r, const SafetensorsEntry *e) {
    int64_t rows = r->transposed ? r->cols : r->rows, cols = r->transposed ? r->rows : r->cols;
    bool fits = e->rank == r->rank && e->shape[0] == rows && (r->rank == 1 || e->shape[1] == cols);
    if (!fits) return wrong_shape(e, rows, cols, r->rank);
    if (e->dtype == DTYPE_NONE || !dtype_is_float(e->dtype))
        return status_fail(ERR_DATA,
                           "%s: tensor `%s` is stored as %s; float32, bfloat16 or float16 "
                           "is needed",
                           e->file, e->name, e->dtype_name);
    return base_write_weight(b, r, e->dtype, e->data);
}

static bool has_place(const Base *b, const Safetensors *file, const SafetensorsEntry *e) {
    for (int i = 0; i < b->n_refs; i++)
        if (find_weight(b, file, b->refs[i].name) == e) return true;
    return is_ignored(e->name);
}

Status import_weights(Base *b, const Safetensors *file) {
    const char *where = safetensors_count(file) ? safetensors_at(file, 0)->file : b->folder;
    int64_t used = 0;
    for (int i = 0; i < b->n_refs; i++) {
        const SafetensorsEntry *e = find_weight(b, file, b->refs[i].name);
        if (!e)
            return status_fail(ERR_DATA,
                               "%s: tensor `%s` is missing; config.json says %s with %lld "
                               "layers",
                               where, b->refs[i].name, b->arch.spec->architecture,
                               (long long)b->arch.n_layers);
        TRY(import_one(b, &b->refs[i], e));
        used++;
    }
    if (used == safetensors_count(file)) return OK;
    for (int64_t i = 0; i < safetensors_count(file); i++)
        if (!has_place(b, file, safetensors_at(file, i)))
            return status_fail(ERR_DATA, "%s: tensor `%s` has no place in a %s made by config.json",
                               safetensors_at(file, i)->file, safetensors_at(file, i)->name,
                               b->arch.spec->architecture);
    return OK;
}
