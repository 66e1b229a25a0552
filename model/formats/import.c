#include "model/formats/import.h"
#include "model/formats/import_quant.h"

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
    const char *embed, *embed_norm, *positions, *final_norm, *head, *project_in, *project_out;
    const char *distances; /* of the first layer */
    /* Inside a layer, from here on: */
    const char *norm[BLOCK_BRANCHES], *post[BLOCK_BRANCHES], *head_norm[2];
    const char *in[3], *out, *cross_in[3], *cross_out, *gate, *up, *down;
} WeightNames;

static const WeightNames llama_names = {
    .trunk = "model.",
    .layers = "layers",
    .embed = "embed_tokens",
    .final_norm = "norm",
    .head = "lm_head",
    .norm = {[BRANCH_ATTENTION] = "input_layernorm", [BRANCH_MLP] = "post_attention_layernorm"},
    .head_norm = {"self_attn.q_norm", "self_attn.k_norm"},
    .in = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"},
    .out = "self_attn.o_proj",
    .gate = "mlp.gate_proj",
    .up = "mlp.up_proj",
    .down = "mlp.down_proj",
};
static const WeightNames gemma2_names = {
    .trunk = "model.",
    .layers = "layers",
    .embed = "embed_tokens",
    .final_norm = "norm",
    .head = "lm_head",
    .norm = {[BRANCH_ATTENTION] = "input_layernorm", [BRANCH_MLP] = "pre_feedforward_layernorm"},
    .head_norm = {"self_attn.q_norm", "self_attn.k_norm"},
    .post = {[BRANCH_ATTENTION] = "post_attention_layernorm",
             [BRANCH_MLP] = "post_feedforward_layernorm"},
    .in = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"},
    .out = "self_attn.o_proj",
    .gate = "mlp.gate_proj",
    .up = "mlp.up_proj",
    .down = "mlp.down_proj",
};
static const WeightNames phi_names = {
    .trunk = "model.",
    .layers = "layers",
    .embed = "embed_tokens",
    .final_norm = "final_layernorm",
    .head = "lm_head",
    .norm = {"input_layernorm"},
    .head_norm = {"self_attn.q_layernorm", "self_attn.k_layernorm"},
    .in = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"},
    .out = "self_attn.dense",
    .up = "mlp.fc1",
    .down = "mlp.fc2",
};
static const WeightNames phi3_names = {
    .trunk = "model.",
    .layers = "layers",
    .embed = "embed_tokens",
    .final_norm = "norm",
    .head = "lm_head",
    .norm = {[BRANCH_ATTENTION] = "input_layernorm", [BRANCH_MLP] = "post_attention_layernorm"},
    .head_norm = {"self_attn.q_norm", "self_attn.k_norm"},
    .in = {"self_attn.qkv_proj"},
    .out = "self_attn.o_proj",
    .up = "mlp.gate_up_proj",
    .down = "mlp.down_proj",
};
static const WeightNames gpt2_names = {
    .trunk = "transformer.",
    .layers = "h",
    .embed = "wte",
    .positions = "wpe",
    .final_norm = "ln_f",
    .head = "lm_head",
    .norm = {[BRANCH_ATTENTION] = "ln_1", [BRANCH_MLP] = "ln_2"},
    .in = {"attn.c_attn"},
    .out = "attn.c_proj",
    .up = "mlp.c_fc",
    .down = "mlp.c_proj",
};
static const WeightNames neox_names = {
    .trunk = "gpt_neox.",
    .layers = "layers",
    .embed = "embed_in",
    .final_norm = "final_layer_norm",
    .head = "embed_out",
    .norm = {[BRANCH_ATTENTION] = "input_layernorm", [BRANCH_MLP] = "post_attention_layernorm"},
    .in = {"attention.query_key_value"},
    .out = "attention.dense",
    .up = "mlp.dense_h_to_4h",
    .down = "mlp.dense_4h_to_h",
};
static const WeightNames opt_names = {
    .trunk = "model.decoder.",
    .layers = "layers",
    .embed = "embed_tokens",
    .positions = "embed_positions",
    .final_norm = "final_layer_norm",
    .head = "lm_head",
    .norm = {[BRANCH_ATTENTION] = "self_attn_layer_norm", [BRANCH_MLP] = "final_layer_norm"},
    .in = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"},
    .out = "self_attn.out_proj",
    .up = "fc1",
    .down = "fc2",
    .project_in = "project_in",
    .project_out = "project_out",
};
static const WeightNames mpt_names = {
    .trunk = "transformer.",
    .layers = "blocks",
    .embed = "wte",
    .final_norm = "norm_f",
    .head = "lm_head",
    .norm = {[BRANCH_ATTENTION] = "norm_1", [BRANCH_MLP] = "norm_2"},
    .in = {"attn.Wqkv"},
    .out = "attn.out_proj",
    .up = "ffn.up_proj",
    .down = "ffn.down_proj",
};
/* BLOOM, and Falcon whose blocks have one norm or two in a row. */
static const WeightNames bloom_names = {
    .trunk = "transformer.",
    .layers = "h",
    .embed = "word_embeddings",
    .embed_norm = "word_embeddings_layernorm",
    .final_norm = "ln_f",
    .head = "lm_head",
    .norm = {[BRANCH_ATTENTION] = "input_layernorm", [BRANCH_MLP] = "post_attention_layernorm"},
    .in = {"self_attention.query_key_value"},
    .out = "self_attention.dense",
    .up = "mlp.dense_h_to_4h",
    .down = "mlp.dense_4h_to_h",
};
static const WeightNames falcon40_names = {
    .trunk = "transformer.",
    .layers = "h",
    .embed = "word_embeddings",
    .embed_norm = "word_embeddings_layernorm",
    .final_norm = "ln_f",
    .head = "lm_head",
    .norm = {[BRANCH_ATTENTION] = "ln_attn", [BRANCH_MLP] = "ln_mlp"},
    .in = {"self_attention.query_key_value"},
    .out = "self_attention.dense",
    .up = "mlp.dense_h_to_4h",
    .down = "mlp.dense_4h_to_h",
};
/* The encoder-decoder's tables outside of both, the encoder, and the decoder. */
static const WeightNames t5_names = {.trunk = "", .embed = "shared", .head = "lm_head"};
static const WeightNames t5_encoder_names = {
    .trunk = "encoder.",
    .layers = "block",
    .final_norm = "final_layer_norm",
    .distances = "layer.0.SelfAttention.relative_attention_bias",
    .norm = {[BRANCH_ATTENTION] = "layer.0.layer_norm", [BRANCH_MLP] = "layer.1.layer_norm"},
    .in = {"layer.0.SelfAttention.q", "layer.0.SelfAttention.k", "layer.0.SelfAttention.v"},
    .out = "layer.0.SelfAttention.o",
    .gate = "layer.1.DenseReluDense.wi_0",
    .up = "layer.1.DenseReluDense.wi_1",
    .down = "layer.1.DenseReluDense.wo",
};
static const WeightNames t5_decoder_names = {
    .trunk = "decoder.",
    .layers = "block",
    .final_norm = "final_layer_norm",
    .distances = "layer.0.SelfAttention.relative_attention_bias",
    .norm = {"layer.0.layer_norm", "layer.1.layer_norm", "layer.2.layer_norm"},
    .in = {"layer.0.SelfAttention.q", "layer.0.SelfAttention.k", "layer.0.SelfAttention.v"},
    .out = "layer.0.SelfAttention.o",
    .cross_in = {"layer.1.EncDecAttention.q", "layer.1.EncDecAttention.k",
                 "layer.1.EncDecAttention.v"},
    .cross_out = "layer.1.EncDecAttention.o",
    .gate = "layer.2.DenseReluDense.wi_0",
    .up = "layer.2.DenseReluDense.wi_1",
    .down = "layer.2.DenseReluDense.wo",
};

/* llama.cpp's, the same for all families. */
static const WeightNames gguf_names = {
    .trunk = "",
    .layers = "blk",
    .embed = "token_embd",
    .embed_norm = "token_embd_norm",
    .positions = "position_embd",
    .final_norm = "output_norm",
    .head = "output",
    .norm = {[BRANCH_ATTENTION] = "attn_norm", [BRANCH_MLP] = "ffn_norm"},
    .post = {[BRANCH_ATTENTION] = "post_attention_norm", [BRANCH_MLP] = "post_ffw_norm"},
    .head_norm = {"attn_q_norm", "attn_k_norm"},
    .in = {"attn_q", "attn_k", "attn_v"},
    .out = "attn_output",
    .gate = "ffn_gate",
    .up = "ffn_up",
    .down = "ffn_down",
};

static const WeightNames *names_of(const ArchConfig *c) {
    switch (c->spec->family) {
    case FAMILY_LLAMA:
    case FAMILY_MISTRAL:
    case FAMILY_QWEN2:
    case FAMILY_QWEN3:
    case FAMILY_GEMMA:
    case FAMILY_STABLELM:
        return &llama_names;
    case FAMILY_GEMMA2:
        return &gemma2_names;
    case FAMILY_PHI:
        return &phi_names;
    case FAMILY_PHI3:
        return &phi3_names;
    case FAMILY_GPT2:
        return &gpt2_names;
    case FAMILY_NEOX:
        return &neox_names;
    case FAMILY_OPT:
        return &opt_names;
    case FAMILY_MPT:
        return &mpt_names;
    case FAMILY_BLOOM:
        return &bloom_names;
    case FAMILY_T5:
        return &t5_names;
    case FAMILY_FALCON:
        return c->wiring == BLOCK_PARALLEL && !c->one_norm ? &falcon40_names : &bloom_names;
    }
    FAIL("family %d has no names", (int)c->spec->family);
}

/* Tensors that checkpoints hold and nobody needs: recomputed tables, heads that are read elsewhere.
 */
static bool is_ignored(const char *name) {
    static const char *const endings[] = {
        ".rotary_emb.inv_freq",   ".attn.bias",
        ".attn.masked_bias",      ".attention.bias",
        ".attention.masked_bias", ".EncDecAttention.relative_attention_bias.weight"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (str_ends(name, endings[i])) return true;
    return str_equal(name, "score.weight") || str_starts(name, "v_head.") ||
           str_starts(name, "lm_head.") || str_equal(name, "embed_out.weight");
}

/* ---- the list
 * ------------------------------------------------------------------------------------ */

static void add_ref(Base *b, WeightRef ref) {
    b->refs = mem_realloc(b->refs, (size_t)b->n_refs + 1, sizeof *b->refs);
    b->refs[b->n_refs++] = ref;
}

static void add_matrix(Base *b, const char *module, Weight *w, WeightKind kind, int64_t rows,
                       int64_t cols, bool transposed, RowOrder order) {
    add_ref(b, (WeightRef){.name = str_format("%s.weight", module),
                           .weight = w,
                           .kind = kind,
                           .rank = 2,
                           .rows = rows,
                           .cols = cols,
                           .transposed = transposed,
                           .order = order});
}

static void add_vector(Base *b, const char *module, const char *what, Weight *w, WeightKind kind,
                       int64_t n, RowOrder order) {
    add_ref(b, (WeightRef){.name = str_format("%s.%s", module, what),
                           .weight = w,
                           .kind = kind,
                           .rank = 1,
                           .rows = n,
                           .cols = 1,
                           .order = order});
}

static void add_norm(Base *b, char *module, Norm *m) {
    const RowOrder none = {0};
    add_vector(b, module, "weight", &m->w, WEIGHT_SCALE, m->width, none);
    if (b->arch.spec->norm_bias) add_vector(b, module, "bias", &m->b, WEIGHT_SHIFT, m->width, none);
    mem_free(module);
}

static void add_linear(Base *b, char *module, Linear *m, WeightKind kind, bool bias) {
    add_matrix(b, module, &m->w, kind, m->outputs, m->inputs, b->arch.spec->conv1d, m->order);
    if (bias) add_vector(b, module, "bias", &m->b, WEIGHT_BIAS, m->outputs, m->order);
    b->modules = mem_realloc(b->modules, (size_t)b->n_modules + 1, sizeof *b->modules);
    b->modules[b->n_modules++] = (ModuleRef){.name = module, .linear = m};
}

static void name_attention(Base *b, const WeightNames *names, const char *layer, Attention *m) {
    const ArchConfig *c = &b->arch;
    for (int i = 0; i < m->n_in; i++)
        add_linear(b, str_format("%s.%s", layer, m->cross ? names->cross_in[i] : names->in[i]),
                   &m->in[i], i == 0 && m->n_in > 1 ? WEIGHT_QUERY : WEIGHT_MATRIX, c->qkv_bias);
    for (int i = 0; i < 2 && m->qk_norm; i++)
        add_norm(b, str_format("%s.%s", layer, names->head_norm[i]), &m->head_norm[i]);
    add_linear(b, str_format("%s.%s", layer, m->cross ? names->cross_out : names->out), &m->out,
               WEIGHT_RESIDUAL, c->out_bias);
}

static void name_mlp(Base *b, const WeightNames *names, const char *layer, Mlp *m) {
    bool bias = b->arch.mlp_bias;
    if (m->gated && !m->fused)
        add_linear(b, str_format("%s.%s", layer, names->gate), &m->gate, WEIGHT_MATRIX, bias);
    add_linear(b, str_format("%s.%s", layer, names->up), &m->up, WEIGHT_MATRIX, bias);
    add_linear(b, str_format("%s.%s", layer, names->down), &m->down, WEIGHT_RESIDUAL, bias);
}

static void name_branch_norms(Base *b, const WeightNames *names, const char *layer, Block *m,
                              BlockBranch at) {
    if (at == BRANCH_ATTENTION || !m->one_norm)
        add_norm(b, str_format("%s.%s", layer, names->norm[at]), &m->norm[at]);
    if (m->sandwich) add_norm(b, str_format("%s.%s", layer, names->post[at]), &m->post[at]);
}

static void add_table(Base *b, char *module, Weight *w, WeightKind kind, int64_t rows,
                      int64_t width) {
    add_matrix(b, module, w, kind, rows, width, false, (RowOrder){0});
    mem_free(module);
}

static void name_block(Base *b, const WeightNames *names, Block *m, int64_t index) {
    char *layer = str_format("%s%s.%lld", names->trunk, names->layers, (long long)index);
    name_branch_norms(b, names, layer, m, BRANCH_ATTENTION);
    name_attention(b, names, layer, &m->attention);
    if (m->crosses) {
        name_branch_norms(b, names, layer, m, BRANCH_CROSS);
        name_attention(b, names, layer, &m->cross);
    }
    name_branch_norms(b, names, layer, m, BRANCH_MLP);
    name_mlp(b, names, layer, &m->mlp);
    mem_free(layer);
}

/* Blocks and the norm behind them. */
static void name_blocks(Base *b, const WeightNames *n, Stack *s) {
    const ArchConfig *c = &b->arch;
    if (n->distances)
        add_table(b, str_format("%s%s.0.%s", n->trunk, n->layers, n->distances), &s->distances,
                  WEIGHT_DISTANCES, c->buckets, c->n_heads);
    for (int64_t l = 0; l < s->n_layers; l++) name_block(b, n, &s->blocks[l], l);
    if (c->final_norm) add_norm(b, str_format("%s%s", n->trunk, n->final_norm), &s->final_norm);
}

/* Two stacks, whose MLPs without a gate have one `wi`. */
static void name_both_stacks(Base *b) {
    WeightNames encoder = t5_encoder_names, decoder = t5_decoder_names;
    if (!b->arch.gated) {
        encoder.up = "layer.1.DenseReluDense.wi";
        decoder.up = "layer.2.DenseReluDense.wi";
    }
    name_blocks(b, &encoder, &b->encoder);
    name_blocks(b, &decoder, &b->stack);
}

/* Fills refs and modules. */
static void name_weights(Base *b, const WeightNames *n) {
    const ArchConfig *c = &b->arch;
    Stack *s = &b->stack;
    add_table(b, str_format("%s%s", n->trunk, n->embed), &s->embed, WEIGHT_EMBED, c->vocab,
              c->embed_width);
    if (c->spec->embed_norm)
        add_norm(b, str_format("%s%s", n->trunk, n->embed_norm), &s->embed_norm);
    if (c->embed_width != c->width)
        add_linear(b, str_format("%s%s", n->trunk, n->project_in), &s->project_in, WEIGHT_MATRIX,
                   false);
    if (c->position == POSITION_LEARNED)
        add_table(b, str_format("%s%s", n->trunk, n->positions), &s->positions, WEIGHT_POSITIONS,
                  c->spec->position_offset + c->max_positions, c->width);
    if (c->n_encoder_layers)
        name_both_stacks(b);
    else
        name_blocks(b, n, s);
    if (c->embed_width != c->width)
        add_linear(b, str_format("%s%s", n->trunk, n->project_out), &s->project_out, WEIGHT_MATRIX,
                   false);
    if (b->with_head && !c->tied)
        add_table(b, mem_strdup(n->head), &b->head, WEIGHT_HEAD, c->vocab, c->embed_width);
    if (b->with_head && c->head_bias)
        add_vector(b, n->head, "bias", &b->head_bias, WEIGHT_BIAS, c->vocab, (RowOrder){0});
}

void import_name_weights(Base *b) {
    b->trunk = names_of(&b->arch)->trunk;
    name_weights(b, names_of(&b->arch));
}

char **import_gguf_names(const Base *b) {
    WeightNames names = gguf_names;
    if (b->arch.qkv != QKV_SEPARATE) names.in[0] = "attn_qkv";
    if (names_of(&b->arch) == &falcon40_names) {
        names.norm[BRANCH_ATTENTION] = "attn_norm_2";
        names.norm[BRANCH_MLP] = "attn_norm";
    }
    /* The same walk over a copy, for its names alone. */
    Base copy = *b;
    copy.refs = NULL;
    copy.modules = NULL;
    copy.n_refs = copy.n_modules = 0;
    name_weights(&copy, &names);
    CHECK(copy.n_refs == b->n_refs, "%d weights are %d there", b->n_refs, copy.n_refs);
    char **list = mem_zalloc((size_t)b->n_refs, sizeof *list);
    for (int i = 0; i < copy.n_refs; i++) list[i] = copy.refs[i].name;
    for (int i = 0; i < copy.n_modules; i++) mem_free(copy.modules[i].name);
    mem_free(copy.refs);
    mem_free(copy.modules);
    return list;
}

/* ---- reading
 * ------------------------------------------------------------------------------------- */

static bool is_same(const TensorEntry *a, const TensorEntry *b) {
    return a->dtype == b->dtype && a->bytes == b->bytes && memcmp(a->data, b->data, a->bytes) == 0;
}

/* Encoder-decoders hold the embedding under up to three names; copies of it are no tensors of their
 * own. */
static const char *const embed_copies[] = {"encoder.embed_tokens.weight",
                                           "decoder.embed_tokens.weight"};
enum { N_EMBED_COPIES = sizeof embed_copies / sizeof *embed_copies };

static const TensorEntry *find_shared(const TensorFile *file) {
    const TensorEntry *e = tensor_file_find(file, "shared.weight");
    for (int i = 0; i < N_EMBED_COPIES && !e; i++) e = tensor_file_find(file, embed_copies[i]);
    return e;
}

/* The name in the file: as it is, or without the trunk's prefix or the first words of it. */
static const TensorEntry *find_weight(const Base *b, const TensorFile *file, const char *name) {
    if (base_has_encoder(b) && str_equal(name, "shared.weight")) return find_shared(file);
    const TensorEntry *e = tensor_file_find(file, name);
    if (!str_starts(name, b->trunk)) return e;
    for (const char *p = b->trunk; !e && *p; p++)
        if (*p == '.') e = tensor_file_find(file, name + (p - b->trunk) + 1);
    return e;
}

bool import_has_other_head(const TensorFile *file) {
    const TensorEntry *head = tensor_file_find(file, "lm_head.weight"), *e = find_shared(file);
    return head && !(e && is_same(head, e));
}

bool import_finds_head(const TensorFile *file) {
    return tensor_file_find(file, "lm_head.weight") || tensor_file_find(file, "embed_out.weight");
}

static Status wrong_shape(const TensorEntry *e, int64_t rows, int64_t cols, int rank) {
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

static Status check_one(const WeightRef *r, const TensorEntry *e) {
    int64_t rows = r->transposed ? r->cols : r->rows, cols = r->transposed ? r->rows : r->cols;
    bool fits = e->rank == r->rank && e->shape[0] == rows && (r->rank == 1 || e->shape[1] == cols);
    if (!fits) return wrong_shape(e, rows, cols, r->rank);
    if (e->dtype == DTYPE_NONE || !dtype_is_float(e->dtype))
        return status_fail(ERR_DATA,
                           "%s: tensor `%s` is stored as %s; float32, bfloat16 or float16 "
                           "is needed",
                           e->file, e->name, e->dtype_name);
    return OK;
}

static bool has_place(const Base *b, const TensorFile *file, const TensorEntry *e) {
    for (int i = 0; i < b->n_refs; i++)
        if (find_weight(b, file, b->refs[i].name) == e) return true;
    for (int i = 0; i < N_EMBED_COPIES && base_has_encoder(b); i++)
        if (str_equal(e->name, embed_copies[i]) && is_same(e, find_shared(file))) return true;
    if (import_quant_owns(file, e->name)) return true;
    return is_ignored(e->name);
}

const TensorEntry *import_find(const Base *b, const TensorFile *file, const WeightRef *ref) {
    return find_weight(b, file, ref->name);
}

Status import_check(const Base *b, const TensorFile *file) {
    const char *where = tensor_file_count(file) ? tensor_file_at(file, 0)->file : b->folder;
    int64_t used = 0, quantized = 0;
    for (int i = 0; i < b->n_refs; i++) {
        const TensorEntry *e = find_weight(b, file, b->refs[i].name);
        if (!e)
            return status_fail(ERR_DATA,
                               "%s: tensor `%s` is missing; config.json says %s with %lld "
                               "layers",
                               where, b->refs[i].name, b->arch.spec->architecture,
                               (long long)b->arch.n_layers);
        StoredQuant stored;
        TRY(import_quant_find(&stored, file, e, &b->refs[i]));
        if (!stored.format.on) TRY(check_one(&b->refs[i], e));
        quantized += stored.format.on;
        used++;
    }
    if (quantized == 0 && json_is(json_get(b->config, "quantization_config"), JSON_KIND_OBJECT))
        return status_fail(ERR_DATA,
                           "%s: no tensor is quantized, but config.json has `quantization_config`; "
                           "take it out",
                           where);
    if (used == tensor_file_count(file)) return OK;
    for (int64_t i = 0; i < tensor_file_count(file); i++)
        if (!has_place(b, file, tensor_file_at(file, i)))
            return status_fail(ERR_DATA, "%s: tensor `%s` has no place in a %s made by config.json",
                               tensor_file_at(file, i)->file, tensor_file_at(file, i)->name,
                               b->arch.spec->architecture);
    return OK;
}

Status import_weights(Base *b, const TensorFile *file) {
    Status st = OK;
    for (int i = 0; i < b->n_refs && st == OK; i++) {
        const TensorEntry *e = find_weight(b, file, b->refs[i].name);
        StoredQuant stored;
        TRY(import_quant_find(&stored, file, e, &b->refs[i]));
        if (stored.format.on) {
            import_quant_load(b->refs[i].weight, &stored);
            tensor_entry_forget(e);
            continue;
        }
        void *made;
        st = base_write_weight(b, &b->refs[i], e->dtype, tensor_entry_values(e, &made));
        mem_free(made);
        tensor_entry_forget(e);
    }
    return st;
}
