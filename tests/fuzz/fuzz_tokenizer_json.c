/* tokenizer.json: vocabulary, merges, normalizer, pre-tokenizer, decoder, added tokens.
 *
 * Parser: data/tokenizer/tokenizer_json.c
 * Parser: data/tokenizer/pretokenize_read.c
 * Parser: data/tokenizer/normalize.c
 * Parser: data/tokenizer/added.c
 * Parser: data/tokenizer/detokenize.c
 */
#include "fuzz_tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_tokenizer_open(fuzz_file("tokenizer.json", data, size));
    return 0;
}

#define VOCAB                                                                                    \
    "\"vocab\": {\"<s>\": 0, \"a\": 1, \"b\": 2, \"ab\": 3, \"\xc4\xa0\": 4, \"\xe2\x96\x81\": " \
    "5, "                                                                                        \
    "\"<0x41>\": 6, \"<unk>\": 7}"
#define ADDED                                                                                  \
    "\"added_tokens\": [{\"id\": 0, \"content\": \"<s>\", \"special\": true, \"normalized\": " \
    "false, \"lstrip\": true, \"rstrip\": false, \"single_word\": false}]"

void fuzz_seeds(void) {
    fuzz_seed_file("configs/smoke/tokenizer/tokenizer.json", 65536);
    fuzz_seed_text("{" ADDED ", \"normalizer\": null, \"pre_tokenizer\": {\"type\": \"ByteLevel\", "
                   "\"add_prefix_space\": false, \"use_regex\": true}, \"decoder\": {\"type\": "
                   "\"ByteLevel\"}, \"post_processor\": null, \"model\": {\"type\": \"BPE\", " VOCAB
                   ", \"merges\": [\"a b\"]}}");
    fuzz_seed_text("{" ADDED ", \"normalizer\": {\"type\": \"Sequence\", \"normalizers\": "
                   "[{\"type\": \"Prepend\", \"prepend\": \"\xe2\x96\x81\"}, {\"type\": "
                   "\"Replace\", \"pattern\": {\"String\": \" \"}, \"content\": "
                   "\"\xe2\x96\x81\"}, {\"type\": \"NFC\"}]}, \"pre_tokenizer\": null, "
                   "\"decoder\": {\"type\": \"Sequence\", \"decoders\": [{\"type\": \"Replace\", "
                   "\"pattern\": {\"String\": \"\xe2\x96\x81\"}, \"content\": \" \"}, {\"type\": "
                   "\"ByteFallback\"}, {\"type\": \"Fuse\"}, {\"type\": \"Strip\", \"content\": \" "
                   "\", \"start\": 1, \"stop\": 0}]}, \"post_processor\": {\"type\": "
                   "\"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"<s>\", "
                   "\"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}], "
                   "\"special_tokens\": {\"<s>\": {\"id\": \"<s>\", \"ids\": [0], \"tokens\": "
                   "[\"<s>\"]}}}, \"model\": {\"type\": \"BPE\", \"unk_token\": \"<unk>\", "
                   "\"fuse_unk\": true, \"byte_fallback\": true, " VOCAB
                   ", \"merges\": [[\"a\", \"b\"]]}}");
    fuzz_seed_text("{\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": "
                   "\"Split\", \"pattern\": {\"Regex\": \"\\\\p{N}{1,3}|\\\\s+(?!\\\\S)\"}, "
                   "\"behavior\": \"Isolated\", \"invert\": false}, {\"type\": \"Digits\", "
                   "\"individual_digits\": true}, {\"type\": \"Punctuation\"}, {\"type\": "
                   "\"Metaspace\", \"replacement\": \"\xe2\x96\x81\", \"prepend_scheme\": "
                   "\"first\", \"split\": true}]}, \"model\": {\"type\": \"BPE\", " VOCAB
                   ", \"merges\": [\"a b\"], \"continuing_subword_prefix\": \"##\", "
                   "\"end_of_word_suffix\": \"</w>\"}}");
    fuzz_seed_text("{\"normalizer\": {\"type\": \"Precompiled\", \"precompiled_charsmap\": "
                   "\"BAAAAAAEAAB4AA==\"}, \"pre_tokenizer\": {\"type\": \"WhitespaceSplit\"}, "
                   "\"decoder\": {\"type\": \"Metaspace\"}, \"model\": {\"type\": \"Unigram\", "
                   "\"unk_id\": 0, \"byte_fallback\": true, \"vocab\": [[\"<unk>\", 0], [\"a\", "
                   "-1.5], [\"aa\", -2], [\"l\", -3], [\"<0x41>\", -4]]}}");
    fuzz_seed_text(
        "{\"normalizer\": {\"type\": \"BertNormalizer\"}, \"pre_tokenizer\": {\"type\": "
        "\"BertPreTokenizer\"}, \"decoder\": {\"type\": \"WordPiece\"}, "
        "\"post_processor\": {\"type\": \"BertProcessing\", \"cls\": [\"a\", 0], \"sep\": "
        "[\"b\", 1]}, \"model\": {\"type\": \"WordPiece\", \"unk_token\": \"a\", "
        "\"continuing_subword_prefix\": \"##\", \"max_input_chars_per_word\": 100, "
        "\"vocab\": {\"a\": 0, \"b\": 1, \"##a\": 2, \"hello\": 3}}}");
}

const char *const fuzz_words[] = {"\"type\": ",
                                  "\"BPE\"",
                                  "\"Lowercase\"",
                                  "\"NFKC\"",
                                  "\"StripAccents\"",
                                  "\"BertNormalizer\"",
                                  "\"ByteLevel\"",
                                  "\"MergedWithNext\"",
                                  "\"Removed\"",
                                  "\"Contiguous\"",
                                  "\"WordPiece\"",
                                  "\"WordLevel\"",
                                  "\"Unigram\"",
                                  "\"Nmt\"",
                                  "\"unk_id\": null",
                                  "\"ignore_merges\": true",
                                  "\"lstrip\": true",
                                  "\"single_word\": true",
                                  "null",
                                  "[]",
                                  "\"\"",
                                  "(a+)+$",
                                  "\"CharDelimiterSplit\"",
                                  "\"WhitespaceSplit\"",
                                  "\"dropout\": 0.5",
                                  NULL};
