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
                         .backward = true,
                         .recompute = recompute};
    return pass_open(out, dev, pass_measure(role, &limits));
}

#endif
