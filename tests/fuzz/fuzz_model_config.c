/* config.json of a model.
 *
 * Parser: model/spec.c
 * Parser: model/spec_families.c
 * Parser: model/spec_positions.c
 */
#include "fuzz.h"

#include "model/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Json *j = NULL;
    ArchConfig config;
    if (!fuzz_ok(json_parse(&j, (const char *)data, size, "config.json", 1))) return 0;
    if (fuzz_ok(arch_config_read(&config, j, "config.json"))) {
        CHECK(config.vocab > 0 && config.width > 0 && config.n_layers > 0 &&
                  config.n_layers <= ARCH_MAX_LAYERS && config.n_heads > 0 &&
                  config.n_kv_heads > 0 && config.n_heads % config.n_kv_heads == 0 &&
                  config.head_dim > 0 && config.mlp_width > 0,
              "a size that cannot be was accepted");
        if (config.position == POSITION_ROPE) {
            double *f = mem_zalloc((size_t)config.rotary / 2, sizeof *f);
            arch_rope_frequencies(f, &config);
            mem_free(f);
        }
    }
    json_free(j);
    return 0;
}

void fuzz_seeds(void) {
    fuzz_seed_file("configs/models/llama-smoke.json", 8192);
    fuzz_seed_text("{\"architectures\": [\"GPT2LMHeadModel\"], \"model_type\": \"gpt2\", "
                   "\"vocab_size\": 320, \"n_embd\": 16, \"n_layer\": 1, \"n_head\": 2, "
                   "\"n_positions\": 8, \"attn_pdrop\": 0.1, \"activation_function\": "
                   "\"gelu_new\", \"n_inner\": null}");
    fuzz_seed_text("{\"model_type\": \"phi3\", \"hidden_size\": 8, \"num_attention_heads\": 2, "
                   "\"rope_scaling\": {\"type\": \"su\", \"short_factor\": [1, 2.5], "
                   "\"long_factor\": [1, 9]}, \"layer_types\": [\"full_attention\"]}");
    fuzz_seed_text("{\"model_type\": \"falcon\", \"n_embed\": 8, \"n_head\": 2, \"n_head_kv\": "
                   "1, \"alibi\": true, \"multi_query\": false, \"rotary_pct\": 0.5}");
    fuzz_seed_text("{\"model_type\": \"mpt\", \"attn_config\": {\"clip_qkv\": 6, "
                   "\"softmax_scale\": 0.5, \"alibi_bias_max\": 8}}");
    fuzz_seed_text("{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", "
                   "\"hidden_size\": 64, \"intermediate_size\": 128, \"num_hidden_layers\": 2, "
                   "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"vocab_size\": 100, "
                   "\"rope_theta\": 500000.0, \"rope_scaling\": {\"rope_type\": \"llama3\", "
                   "\"factor\": 8.0, \"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0, "
                   "\"original_max_position_embeddings\": 8192}, \"eos_token_id\": [1, 2]}");
    fuzz_seed_text("{\"architectures\": [\"Qwen2ForCausalLM\"], \"model_type\": \"qwen2\", "
                   "\"hidden_size\": 64, \"intermediate_size\": 128, \"num_hidden_layers\": 2, "
                   "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"vocab_size\": 100, "
                   "\"use_sliding_window\": true, \"sliding_window\": 8, \"max_window_layers\": 1, "
                   "\"rope_parameters\": {\"rope_type\": \"yarn\", \"factor\": 4.0, "
                   "\"original_max_position_embeddings\": 32, \"rope_theta\": 10000.0}}");
}

const char *const fuzz_words[] = {"\"rope_scaling\": ",
                                  "\"type\": \"linear\"",
                                  "\"factor\": ",
                                  "\"dynamic\"",
                                  "\"head_dim\": ",
                                  "\"hidden_act\": ",
                                  "null",
                                  "[]",
                                  "{}",
                                  "\"silu\"",
                                  "\"layer_types\": []",
                                  "\"tie_word_embeddings\": ",
                                  "MistralForCausalLM",
                                  "ForSequenceClassification",
                                  NULL};
