/* model_fixture: tiny models and token rows for tests. Configurations are texts of config.json;
 * weights are random from a seed. */
#ifndef HONE_TEST_MODEL_FIXTURE_H
#define HONE_TEST_MODEL_FIXTURE_H

#include "core/mem.h"
#include "core/publish.h"
#include "core/rng.h"
#include "core/rows.h"
#include "core/str.h"
#include "kernels/dev.h"
#include "model/model.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Grouped heads and Llama 3's rope scaling. */
#define CONFIG_LLAMA                                                                              \
    "{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", \"vocab_size\": 61, " \
    "\"hidden_size\": 24, \"intermediate_size\": 40, \"num_hidden_layers\": 2, "                  \
    "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"max_position_embeddings\": 256, "  \
    "\"initializer_range\": 0.2, \"rope_parameters\": {\"rope_type\": \"llama3\", "               \
    "\"rope_theta\": 1000.0, \"factor\": 4.0, \"low_freq_factor\": 1.0, "                         \
    "\"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 32}, "                      \
    "\"tie_word_embeddings\": false}"
/* Tied, biases everywhere, linear rope scaling as version 4 writes it. */
#define CONFIG_LLAMA_TIED                                                                        \
    "{\"architectures\": [\"LlamaForCausalLM\"], \"vocab_size\": 61, \"hidden_size\": 24, "      \
    "\"intermediate_size\": 40, \"num_hidden_layers\": 2, \"num_attention_heads\": 3, "          \
    "\"num_key_value_heads\": 1, \"max_position_embeddings\": 256, \"initializer_range\": 0.2, " \
    "\"rope_theta\": 500.0, \"rope_scaling\": {\"type\": \"linear\", \"factor\": 2.0}, "         \
    "\"attention_bias\": true, \"mlp_bias\": true, \"attention_dropout\": 0.2, "                 \
    "\"tie_word_embeddings\": true}"
#define CONFIG_MISTRAL                                                                           \
    "{\"architectures\": [\"MistralForCausalLM\"], \"vocab_size\": 61, \"hidden_size\": 24, "    \
    "\"intermediate_size\": 40, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, "          \
    "\"num_key_value_heads\": 2, \"max_position_embeddings\": 256, \"initializer_range\": 0.2, " \
    "\"head_dim\": 8, \"sliding_window\": 5}"
#define CONFIG_QWEN2                                                                            \
    "{\"architectures\": [\"Qwen2ForCausalLM\"], \"vocab_size\": 61, \"hidden_size\": 24, "     \
    "\"intermediate_size\": 40, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, "         \
    "\"num_key_value_heads\": 2, \"max_position_embeddings\": 64, \"initializer_range\": 0.2, " \
    "\"use_sliding_window\": true, \"sliding_window\": 4, \"max_window_layers\": 1, "           \
    "\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4.0, "                             \
    "\"original_max_position_embeddings\": 16}}"
#define CONFIG_GPT2                                                                             \
    "{\"architectures\": [\"GPT2LMHeadModel\"], \"model_type\": \"gpt2\", \"vocab_size\": 61, " \
    "\"n_embd\": 24, \"n_layer\": 2, \"n_head\": 3, \"n_positions\": 256, "                     \
    "\"initializer_range\": 0.2, \"bos_token_id\": 0, \"eos_token_id\": 0}"

/* Normed heads that are wider than the model. */
#define CONFIG_QWEN3                                                             \
    "{\"architectures\": [\"Qwen3ForCausalLM\"], \"vocab_size\": 61, "           \
    "\"hidden_size\": 24, \"intermediate_size\": 40, \"num_hidden_layers\": 2, " \
    "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, "                   \
    "\"max_position_embeddings\": 256, \"initializer_range\": 0.2, \"head_dim\": 8}"
#define CONFIG_GEMMA                                                             \
    "{\"architectures\": [\"GemmaForCausalLM\"], \"vocab_size\": 61, "           \
    "\"hidden_size\": 24, \"intermediate_size\": 40, \"num_hidden_layers\": 2, " \
    "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, "                   \
    "\"max_position_embeddings\": 256, \"initializer_range\": 0.2, \"head_dim\": 8}"
/* Soft caps that bite, a window in every other layer. */
#define CONFIG_GEMMA2                                                              \
    "{\"architectures\": [\"Gemma2ForCausalLM\"], \"vocab_size\": 61, "            \
    "\"hidden_size\": 24, \"intermediate_size\": 40, \"num_hidden_layers\": 2, "   \
    "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, "                     \
    "\"max_position_embeddings\": 256, \"initializer_range\": 0.2, \"head_dim\": " \
    "8, \"sliding_window\": 4, \"query_pre_attn_scalar\": 6, "                     \
    "\"attn_logit_softcapping\": 2.0, \"final_logit_softcapping\": 3.0}"
#define CONFIG_PHI                                                                    \
    "{\"architectures\": [\"PhiForCausalLM\"], \"vocab_size\": 61, \"hidden_size\": " \
    "24, \"intermediate_size\": 40, \"num_hidden_layers\": 2, "                       \
    "\"num_attention_heads\": 3, \"max_position_embeddings\": 256, "                  \
    "\"initializer_range\": 0.2, \"partial_rotary_factor\": 0.5, \"qk_layernorm\": "  \
    "true, \"resid_pdrop\": 0.2}"
#define CONFIG_PHI3                                                                    \
    "{\"architectures\": [\"Phi3ForCausalLM\"], \"vocab_size\": 61, \"hidden_size\": " \
    "24, \"intermediate_size\": 40, \"num_hidden_layers\": 2, "                        \
    "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, "                         \
    "\"max_position_embeddings\": 256, \"initializer_range\": 0.2, "                   \
    "\"sliding_window\": 5, \"original_max_position_embeddings\": 256, "               \
    "\"rope_scaling\": {\"type\": \"longrope\", \"short_factor\": [1.0, 1.5, 2.0], "   \
    "\"long_factor\": [1.0, 4.0, 8.0]}}"
#define CONFIG_STABLELM                                                            \
    "{\"architectures\": [\"StableLmForCausalLM\"], \"vocab_size\": 61, "          \
    "\"hidden_size\": 24, \"intermediate_size\": 40, \"num_hidden_layers\": 2, "   \
    "\"num_attention_heads\": 3, \"num_key_value_heads\": 1, "                     \
    "\"max_position_embeddings\": 256, \"initializer_range\": 0.2, "               \
    "\"partial_rotary_factor\": 0.5, \"use_qkv_bias\": true, \"hidden_dropout\": " \
    "0.2}"
#define CONFIG_STABLELM_PARALLEL                                                 \
    "{\"architectures\": [\"StableLmForCausalLM\"], \"vocab_size\": 61, "        \
    "\"hidden_size\": 24, \"intermediate_size\": 40, \"num_hidden_layers\": 2, " \
    "\"num_attention_heads\": 3, \"num_key_value_heads\": 1, "                   \
    "\"max_position_embeddings\": 256, \"initializer_range\": 0.2, "             \
    "\"partial_rotary_factor\": 0.25, \"use_parallel_residual\": true}"
/* As version 4 writes it. */
#define CONFIG_NEOX                                                               \
    "{\"architectures\": [\"GPTNeoXForCausalLM\"], \"vocab_size\": 61, "          \
    "\"hidden_size\": 24, \"intermediate_size\": 40, \"num_hidden_layers\": 2, "  \
    "\"num_attention_heads\": 3, \"max_position_embeddings\": 256, "              \
    "\"initializer_range\": 0.2, \"rotary_pct\": 0.5, \"rotary_emb_base\": 500, " \
    "\"hidden_dropout\": 0.2, \"attention_dropout\": 0.1}"
#define CONFIG_OPT                                                                    \
    "{\"architectures\": [\"OPTForCausalLM\"], \"vocab_size\": 61, \"hidden_size\": " \
    "24, \"num_hidden_layers\": 2, \"num_attention_heads\": 3, \"ffn_dim\": 40, "     \
    "\"max_position_embeddings\": 256, \"init_std\": 0.2}"
#define CONFIG_OPT_350M                                                               \
    "{\"architectures\": [\"OPTForCausalLM\"], \"vocab_size\": 61, \"hidden_size\": " \
    "24, \"num_hidden_layers\": 2, \"num_attention_heads\": 3, \"ffn_dim\": 40, "     \
    "\"max_position_embeddings\": 256, \"init_std\": 0.2, "                           \
    "\"do_layer_norm_before\": false, \"word_embed_proj_dim\": 12}"
/* Clipped, 3 heads. */
#define CONFIG_MPT                                                                    \
    "{\"architectures\": [\"MptForCausalLM\"], \"vocab_size\": 61, \"d_model\": 24, " \
    "\"n_layers\": 2, \"n_heads\": 3, \"initializer_range\": 0.2, \"attn_config\": "  \
    "{\"clip_qkv\": 0.7, \"alibi_bias_max\": 4, \"attn_pdrop\": 0.1}}"
#define CONFIG_FALCON_7B                                                           \
    "{\"architectures\": [\"FalconForCausalLM\"], \"vocab_size\": 61, "            \
    "\"hidden_size\": 24, \"ffn_hidden_size\": 40, \"num_hidden_layers\": 2, "     \
    "\"num_attention_heads\": 3, \"initializer_range\": 0.2, \"hidden_dropout\": " \
    "0.2}"
#define CONFIG_FALCON_40B                                                           \
    "{\"architectures\": [\"FalconForCausalLM\"], \"vocab_size\": 61, "             \
    "\"hidden_size\": 24, \"ffn_hidden_size\": 40, \"num_hidden_layers\": 2, "      \
    "\"num_attention_heads\": 6, \"initializer_range\": 0.2, \"num_kv_heads\": 2, " \
    "\"new_decoder_architecture\": true}"
#define CONFIG_FALCON_ALIBI                                                     \
    "{\"architectures\": [\"FalconForCausalLM\"], \"vocab_size\": 61, "         \
    "\"hidden_size\": 24, \"ffn_hidden_size\": 40, \"num_hidden_layers\": 2, "  \
    "\"num_attention_heads\": 3, \"initializer_range\": 0.2, \"alibi\": true, " \
    "\"multi_query\": false, \"parallel_attn\": false, \"bias\": true}"
#define CONFIG_BLOOM                                                                \
    "{\"architectures\": [\"BloomForCausalLM\"], \"vocab_size\": 61, \"n_embed\": " \
    "24, \"num_hidden_layers\": 2, \"num_attention_heads\": 3, "                    \
    "\"initializer_range\": 0.2}"
/* All of them. */
#define FIXTURE_CONFIGS                                                                           \
    {                                                                                             \
        CONFIG_LLAMA, CONFIG_LLAMA_TIED, CONFIG_MISTRAL, CONFIG_QWEN2, CONFIG_GPT2, CONFIG_QWEN3, \
            CONFIG_GEMMA, CONFIG_GEMMA2, CONFIG_PHI, CONFIG_PHI3, CONFIG_STABLELM,                \
            CONFIG_STABLELM_PARALLEL, CONFIG_NEOX, CONFIG_OPT, CONFIG_OPT_350M, CONFIG_MPT,       \
            CONFIG_FALCON_7B, CONFIG_FALCON_40B, CONFIG_FALCON_ALIBI, CONFIG_BLOOM                \
    }

/* A random base from the text of a config.json. */
static inline Status fixture_base(Base **out, Dev *dev, const char *config, bool trainable,
                                  DType dtype, uint64_t seed) {
    char path[] = "/tmp/hone-config-XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0) return ERR_OS;
    close(fd);
    Status st = publish_bytes(path, config, strlen(config));
    if (st == OK)
        st = base_open(
            out, dev,
            &(BaseOptions){.config = path, .seed = seed, .dtype = dtype, .trainable = trainable});
    unlink(path);
    return st;
}

/* Sequences of the given lengths with random ids below `vocab`; the first `prompt` rows of each
 * have no target. Sequence s is named first_id + s and holds the same ids whatever stands before
 * it. */
typedef struct FixtureRows {
    Rows rows;
    void *memory;
} FixtureRows;

static inline FixtureRows fixture_rows(const int64_t *lengths, const int64_t *seq_ids,
                                       int64_t n_seqs, int64_t prompt, int64_t vocab) {
    int64_t n = 0, at = 0;
    for (int64_t s = 0; s < n_seqs; s++) n += lengths[s];
    int64_t *ids64 = mem_zalloc((size_t)(n_seqs + 3 * n + n_seqs + 1), sizeof *ids64);
    int32_t *ids = (int32_t *)(ids64 + n_seqs), *positions = ids + n, *targets = positions + n;
    int32_t *start = targets + n;
    for (int64_t s = 0; s < n_seqs; s++) {
        RngStream stream = rng_stream(7, RNG_WORLD, (uint64_t)seq_ids[s]);
        ids64[s] = seq_ids[s];
        start[s] = (int32_t)at;
        for (int64_t i = 0; i < lengths[s]; i++, at++) {
            ids[at] = (int32_t)rng_below(&stream, (uint64_t)vocab);
            positions[at] = (int32_t)i;
            targets[at] = ROWS_NO_TARGET;
            if (i > 0 && i - 1 >= prompt) targets[at - 1] = ids[at];
        }
    }
    start[n_seqs] = (int32_t)n;
    return (FixtureRows){.memory = ids64,
                         .rows = {.n_rows = n,
                                  .n_seqs = n_seqs,
                                  .ids = ids,
                                  .positions = positions,
                                  .targets = targets,
                                  .seq_start = start,
                                  .seq_ids = ids64}};
}

static inline void fixture_rows_free(FixtureRows *r) {
    mem_free(r->memory);
}

/* A pass that is just large enough. */
static inline Status fixture_pass(Pass **out, Dev *dev, const Role *role, const Rows *rows,
                                  Recompute recompute) {
    PassLimits limits = {.max_rows = rows->n_rows,
                         .max_seqs = rows->n_seqs,
                         .max_source_rows = rows->source ? rows->source->n_rows : 0,
                         .backward = true,
                         .recompute = recompute};
    return pass_open(out, dev, pass_measure(role, &limits));
}

#endif
