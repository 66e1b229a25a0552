/* trl_world: tiny models and data sets under the names that TRL's examples use, in a cache of the
 * Hugging Face hub that HF_HOME names. Where the files lie, and what their columns are called, is
 * as on the Hub; the container is JSON lines. */
#ifndef HONE_TESTS_TRL_WORLD_H
#define HONE_TESTS_TRL_WORLD_H

#include "core/io/json.h"
#include "hub_world.h"
#include "program_run.h"

#define TRL_ROWS 24 /* of each training split; the other has 5 */

static const char TRL_CHAT_TEMPLATE[] =
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] "
    "+ "
    "'<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' "
    "}}{% endif %}";

/* The smoke tokenizer with the tokens of ChatML and of Pythia, and the chat template. */
static inline void trl_make_tokenizer(const char *folder) {
    Json *json = NULL, *config = NULL;
    static const char *const TOKENS[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
    assert_int_equal(json_read_file(&json, "configs/smoke/tokenizer/tokenizer.json"), OK);
    assert_int_equal(json_read_file(&config, "configs/smoke/tokenizer/tokenizer_config.json"), OK);
    for (int i = 0; i < 3; i++) {
        Json *token = json_clone(json_at(json_get(json, "added_tokens"), 0));
        json_set(token, "id", json_new_int(320 + i));
        json_set(token, "content", json_new_str(TOKENS[i]));
        json_push(json_get(json, "added_tokens"), token);
    }
    json_set(config, "chat_template", json_new_str(TRL_CHAT_TEMPLATE));
    json_set(config, "eos_token", json_new_str("<|endoftext|>"));
    json_del(config, "bos_token");
    Str text = {0};
    json_dump(&text, json, 0);
    hub_write(folder, "tokenizer/tokenizer.json", str_text(&text), text.len);
    str_clear(&text);
    json_dump(&text, config, 0);
    hub_write(folder, "tokenizer/tokenizer_config.json", str_text(&text), text.len);
    str_free(&text);
    json_free(json);
    json_free(config);
}

#define COMMON_CONFIG "\"vocab_size\": 323, \"bos_token_id\": 320, \"eos_token_id\": 320, "
#define LLAMA_CONFIG                                                                          \
    COMMON_CONFIG "\"hidden_size\": 16, \"intermediate_size\": 24, \"num_hidden_layers\": 2," \
                  " \"num_attention_heads\": 2, \"num_key_value_heads\": 1,"                  \
                  " \"max_position_embeddings\": 2048, \"rms_norm_eps\": 1e-6,"
#define OPT_CONFIG                                                                    \
    COMMON_CONFIG "\"architectures\": [\"OPTForCausalLM\"], \"model_type\": \"opt\"," \
                  " \"hidden_size\": 16, \"ffn_dim\": 24, \"num_hidden_layers\": 2,"  \
                  " \"num_attention_heads\": 2, \"max_position_embeddings\": 2048,"   \
                  " \"activation_function\": \"relu\", \"enable_bias\": true, \"dropout\": 0.1,"

typedef struct TrlModel {
    const char *id, *config;
} TrlModel;

static const char TRL_QWEN2[] = "{" LLAMA_CONFIG "\"architectures\": [\"Qwen2ForCausalLM\"],"
                                " \"model_type\": \"qwen2\", \"tie_word_embeddings\": true}";
static const char TRL_LLAMA[] = "{" LLAMA_CONFIG "\"architectures\": [\"LlamaForCausalLM\"],"
                                " \"model_type\": \"llama\", \"tie_word_embeddings\": false}";
static const char TRL_NEOX[] =
    "{" COMMON_CONFIG "\"architectures\": [\"GPTNeoXForCausalLM\"], \"model_type\": \"gpt_neox\","
    " \"hidden_size\": 16, \"intermediate_size\": 24, \"num_hidden_layers\": 2,"
    " \"num_attention_heads\": 2, \"max_position_embeddings\": 2048, \"hidden_act\": \"gelu\","
    " \"layer_norm_eps\": 1e-5, \"rotary_pct\": 0.25, \"rotary_emb_base\": 10000,"
    " \"use_parallel_residual\": true, \"tie_word_embeddings\": false}";

static const TrlModel TRL_MODELS[] = {
    {"Qwen--Qwen2-0.5B", TRL_QWEN2},
    {"Qwen--Qwen2-0.5B-Instruct", TRL_QWEN2},
    {"Qwen--Qwen2.5-0.5B", TRL_QWEN2},
    {"Qwen--Qwen2.5-3B-Instruct", TRL_QWEN2},
    {"trl-internal-testing--tiny-Qwen2ForCausalLM-2.5", TRL_QWEN2},
    {"HuggingFaceM4--tiny-random-LlamaForCausalLM", TRL_LLAMA},
    {"meta-llama--Llama-2-7b-hf", TRL_LLAMA},
    {"facebook--opt-125m",
     "{" OPT_CONFIG "\"do_layer_norm_before\": true, \"word_embed_proj_dim\": 16}"},
    {"facebook--opt-350m",
     "{" OPT_CONFIG "\"do_layer_norm_before\": false, \"word_embed_proj_dim\": 8}"},
    {"EleutherAI--pythia-160m", TRL_NEOX},
    {"EleutherAI--pythia-1b-deduped", TRL_NEOX},
    {"cleanrl--EleutherAI_pythia-1b-deduped__sft__tldr", TRL_NEOX},
};

static inline void trl_make_models(const char *hub, const char *folder) {
    trl_make_tokenizer(folder);
    for (size_t i = 0; i < sizeof TRL_MODELS / sizeof *TRL_MODELS; i++) {
        hub_write(folder, "config.json", TRL_MODELS[i].config, strlen(TRL_MODELS[i].config));
        int code = program_run(folder, "hone", "init", "--config", "config.json", "--tokenizer",
                               "tokenizer", "--output", "made", NULL);
        program_expect(folder, TRL_MODELS[i].id, code, 0);
        hub_put_model(hub, TRL_MODELS[i].id, "made");
        assert_int_equal(file_remove_tree("made"), OK);
    }
    int code = program_run(folder, "reward", "--model_name_or_path",
                           "cleanrl/EleutherAI_pythia-1b-deduped__sft__tldr", "--dataset_name",
                           "trl-lib/ultrafeedback_binarized", "--output_dir", "rm", "--max_steps",
                           "1", "--quiet", NULL);
    program_expect(folder, "reward model", code, 0);
    hub_put_model(hub, "cleanrl--EleutherAI_pythia-1b-deduped__reward__tldr", "rm/final");
}

/* `n` rows of a file: in `row` %d is a number and %s a text of its own length. */
static inline void trl_put_rows(const char *hub, const char *id, const char *name, const char *row,
                                int n) {
    static const char *const WORDS[] = {"cat", "hill", "lake", "old dog", "barn by the wood"};
    Str text = {0};
    for (int i = 0; i < n; i++) {
        Str words = {0};
        for (int k = 0; k <= i % 7; k++)
            str_printf(&words, "%s%s", k ? " the " : "The ", WORDS[(i + k) % 5]);
        for (const char *c = row; *c; c++) {
            if (*c == '%') {
                str_append(&text, str_text(&words));
            } else {
                str_append_char(&text, *c);
            }
        }
        str_append_char(&text, '\n');
        str_free(&words);
    }
    hub_put_text(hub, id, name, str_text(&text));
    str_free(&text);
}

typedef struct TrlData {
    const char *id, *train, *test, *row;
} TrlData;

#define TURNS(a, b)                                                                              \
    "[{\"role\": \"user\", \"content\": \"" a "\"}, {\"role\": \"assistant\", \"content\": \"" b \
    "\"}]"
#define IMDB_ROW "{\"text\": \"%. A film.\", \"label\": 0}"
#define ZEN "trl-internal-testing--zen"

static const TrlData TRL_DATA[] = {
    {"stanfordnlp--imdb", "plain_text/train-00000-of-00001.jsonl",
     "plain_text/test-00000-of-00001.jsonl", IMDB_ROW},
    {"imdb", "plain_text/train-00000-of-00001.jsonl", "plain_text/test-00000-of-00001.jsonl",
     IMDB_ROW},
    {"trl-lib--Capybara", "data/train-00000-of-00001.jsonl", "data/test-00000-of-00001.jsonl",
     "{\"source\": \"Airoboros\", \"messages\": " TURNS("Where is %?",
                                                        "At %.") ", \"num_turns\": 1}"},
    {"open-thoughts--OpenThoughts-114k", "data/train-00000-of-00006.jsonl",
     "metadata/train-00000-of-00012.jsonl",
     "{\"system\": \"Think.\", \"conversations\": [{\"from\": \"user\", \"value\": \"Where is "
     "%?\"}, {\"from\": \"assistant\", \"value\": \"At %.\"}]}"},
    {"timdettmers--openassistant-guanaco", "openassistant_best_replies_train.jsonl",
     "openassistant_best_replies_eval.jsonl",
     "{\"text\": \"### Human: Where is %?### Assistant: At %.\"}"},
    {"trl-lib--ultrafeedback_binarized", "data/train-00000-of-00001.jsonl",
     "data/test-00000-of-00001.jsonl",
     "{\"chosen\": " TURNS("Where is %?", "At %.") ", \"rejected\": " TURNS(
         "Where is %?", "No.") ", \"score_chosen\": 8.0, \"score_rejected\": 2.0}"},
    {"Anthropic--hh-rlhf", "harmless-base/train.jsonl", "harmless-base/test.jsonl",
     "{\"chosen\": \"\\n\\nHuman: Where is %?\\n\\nAssistant: At %.\", \"rejected\": "
     "\"\\n\\nHuman: Where is %?\\n\\nAssistant: No.\"}"},
    {"trl-lib--tldr", "data/train-00000-of-00001.jsonl", "data/validation-00000-of-00001.jsonl",
     "{\"prompt\": \"SUBREDDIT: r/cats\\n\\nTITLE: %\\n\\nTL;DR:\", \"completion\": \" %.\"}"},
    {"trl-internal-testing--tldr-preference-sft-trl-style", "data/train-00000-of-00001.jsonl",
     "data/validation-00000-of-00001.jsonl", "{\"messages\": " TURNS("TITLE: %", " %.") "}"},
    {"trl-internal-testing--descriptiveness-sentiment-trl-style",
     "data/descriptiveness-00000-of-00001.jsonl", "data/sentiment-00000-of-00001.jsonl",
     "{\"prompt\": \"%\", \"chosen\": " TURNS("%", "At %.") ", \"rejected\": " TURNS("%",
                                                                                     "No.") "}"},
    {ZEN, "standard_language_modeling/train-00000-of-00001.jsonl",
     "standard_language_modeling/test-00000-of-00001.jsonl", "{\"text\": \"%.\"}"},
    {ZEN, "standard_prompt_only/train-00000-of-00001.jsonl",
     "standard_prompt_only/test-00000-of-00001.jsonl", "{\"prompt\": \"% is\"}"},
    {ZEN, "standard_preference/train-00000-of-00001.jsonl",
     "standard_preference/test-00000-of-00001.jsonl",
     "{\"prompt\": \"% is\", \"chosen\": \" good.\", \"rejected\": \" %.\"}"},
    {ZEN, "standard_implicit_prompt_preference/train-00000-of-00001.jsonl",
     "standard_implicit_prompt_preference/test-00000-of-00001.jsonl",
     "{\"chosen\": \"% is good.\", \"rejected\": \"% is %.\"}"},
};

static inline void trl_card_split(Str *out, const char *split, const char *path) {
    str_printf(out, "  - split: %s\n    path: %s-*\n", split, path);
}

/* The README.md of the data sets whose files cannot be found by their names alone. */
static inline void trl_make_cards(const char *hub) {
    Str card = {0};
    str_append(&card, "---\nlicense: other\ntags: [a, a]\nconfigs:\n- config_name: plain_text\n"
                      "  data_files:\n");
    trl_card_split(&card, "train", "plain_text/train");
    trl_card_split(&card, "test", "plain_text/test");
    str_append(&card, "  default: true\ntrain-eval-index:\n- config: plain_text\n---\n# IMDb\n");
    hub_put_text(hub, "stanfordnlp--imdb", "README.md", str_text(&card));
    hub_put_text(hub, "imdb", "README.md", str_text(&card));
    hub_put_text(
        hub, "open-thoughts--OpenThoughts-114k", "README.md",
        "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: "
        "data/train-*\n- config_name: metadata\n  data_files:\n  - split: train\n    "
        "path: metadata/train-*\nlicense: apache-2.0\n---\n");
    str_clear(&card);
    str_append(&card, "---\nconfigs:\n");
    for (size_t i = 0; i < sizeof TRL_DATA / sizeof *TRL_DATA; i++) {
        if (!str_equal(TRL_DATA[i].id, ZEN)) continue;
        char *name = mem_strndup(TRL_DATA[i].train, strcspn(TRL_DATA[i].train, "/"));
        char *train = str_format("%s/train", name), *test = str_format("%s/test", name);
        str_printf(&card, "- config_name: %s\n  data_files:\n", name);
        trl_card_split(&card, "train", train);
        trl_card_split(&card, "test", test);
        mem_free(train);
        mem_free(test);
        mem_free(name);
    }
    str_append(&card, "---\n");
    hub_put_text(hub, ZEN, "README.md", str_text(&card));
    str_free(&card);
}

/* A new folder, which becomes the working one, with `configs` and the cache in it. */
static inline char *trl_world_open(void) {
    char *folder = program_folder();
    if (chdir(folder) != 0) abort();
    char *home = file_join(folder, "home"), *hub = file_join(home, "hub");
    setenv("HF_HOME", home, 1);
    unsetenv("HF_HUB_CACHE");
    unsetenv("HUGGINGFACE_HUB_CACHE");
    for (size_t i = 0; i < sizeof TRL_DATA / sizeof *TRL_DATA; i++) {
        trl_put_rows(hub, TRL_DATA[i].id, TRL_DATA[i].train, TRL_DATA[i].row, TRL_ROWS);
        trl_put_rows(hub, TRL_DATA[i].id, TRL_DATA[i].test, TRL_DATA[i].row, 5);
    }
    trl_make_cards(hub);
    trl_make_models(hub, folder);
    mem_free(hub);
    mem_free(home);
    return folder;
}

#endif
