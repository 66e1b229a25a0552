/* The files beside a tokenizer: the first byte picks which one the input is.
 *
 * Parser: data/tokenizer/tokenizer_config.c
 * Parser: data/tokenizer/tokenizer_gpt2.c
 */
#include "fuzz_tokenizer.h"

static const char *const names[] = {"tokenizer_config.json",
                                    "special_tokens_map.json",
                                    "generation_config.json",
                                    "config.json",
                                    "chat_template.jinja",
                                    "vocab.json",
                                    "merges.txt",
                                    "added_tokens.json"};
#define N_NAMES (sizeof names / sizeof *names)
#define FIRST_GPT2 5 /* with these there is no tokenizer.json */

static const char whole[] =
    "{\"added_tokens\": [{\"id\": 0, \"content\": \"<s>\", \"special\": true}], \"pre_tokenizer\": "
    "{\"type\": \"ByteLevel\"}, \"decoder\": {\"type\": \"ByteLevel\"}, \"model\": {\"type\": "
    "\"BPE\", \"vocab\": {\"<s>\": 0, \"a\": 1, \"b\": 2, \"ab\": 3}, \"merges\": [\"a b\"]}}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    size_t which = data[0] % N_NAMES;
    file_remove_tree(fuzz_folder());
    if (which < FIRST_GPT2) {
        fuzz_file("tokenizer.json", whole, sizeof whole - 1);
    } else {
        static const char vocab[] = "{\"<|endoftext|>\": 0, \"a\": 1, \"b\": 2, \"ab\": 3}";
        static const char merges[] = "#version: 0.2\na b\n";
        fuzz_file("vocab.json", vocab, sizeof vocab - 1);
        fuzz_file("merges.txt", merges, sizeof merges - 1);
    }
    fuzz_file(names[which], data + 1, size - 1);
    fuzz_tokenizer_open(fuzz_folder());
    return 0;
}

void fuzz_seeds(void) {
    fuzz_seed_text("@{\"bos_token\": \"<s>\", \"eos_token\": {\"content\": \"ab\", \"lstrip\": "
                   "false}, \"model_max_length\": 1e30, \"add_bos_token\": true, "
                   "\"additional_special_tokens\": [\"b\"], \"chat_template\": [{\"name\": "
                   "\"default\", \"template\": \"{{ bos_token }}\"}], \"added_tokens_decoder\": "
                   "{\"1\": {\"content\": \"a\", \"special\": true}}}");
    fuzz_seed_text("A{\"pad_token\": \"a\", \"additional_special_tokens\": [\"<s>\"]}");
    fuzz_seed_text("B{\"eos_token_id\": [1, 2], \"bos_token_id\": 0}");
    fuzz_seed_text("C{\"eos_token_id\": 1, \"vocab_size\": 4}");
    fuzz_seed_text("D{% for m in messages %}{{ m.content }}{% endfor %}");
    fuzz_seed_text("E{\"<|endoftext|>\": 0, \"a\": 1, \"b\": 2, \"ab\": 3}");
    fuzz_seed_text("F#version: 0.2\na b\n");
    fuzz_seed_text("G{\"<new>\": 4}");
}

const char *const fuzz_words[] = {"null",    "\"\"",       "[]",
                                  "{}",      "<s>",        "\"content\": ",
                                  "[1, -1]", "2147483647", "\"added_tokens_decoder\": {",
                                  "a  b\n",  "#",          NULL};
