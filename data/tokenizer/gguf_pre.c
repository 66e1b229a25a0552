#include "data/tokenizer/gguf_pre.h"

#include "core/str.h"

#define NFC "{\"type\":\"NFC\"}"
#define BYTES(regex)                                                                  \
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_" \
    "regex\":" regex "}"
#define SPLIT(regex)                                                                        \
    "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":" \
    "\"" regex "\"},\"behavior\":\"Isolated\",\"invert\":false}," BYTES("false") "]}"

#define GPT2 BYTES("true")
/* GPT-4's, with up to `digits` digits together */
#define CL100K(digits)                                                                         \
    SPLIT("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|" digits "| ?" \
          "[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+")
/* GPT-4o's: a capital begins a word */
#define UPPER "[\\\\p{Lu}\\\\p{Lt}\\\\p{Lm}\\\\p{Lo}\\\\p{M}]"
#define LOWER "[\\\\p{Ll}\\\\p{Lm}\\\\p{Lo}\\\\p{M}]"
#define O200K(ending, digits)                                                     \
    SPLIT("[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?" UPPER "*" LOWER "+" ending             \
          "|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?" UPPER "+" LOWER "*" ending "|" digits \
          "| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n/]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+")
#define DIGITS                                                                                   \
    "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\",\"individual_digits\":true}" \
    "," GPT2 "]}"
#define FALCON                                                                              \
    "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Punctuation\",\"behavior\":"     \
    "\"Contiguous\"}," GPT2 ",{\"type\":\"Digits\",\"individual_digits\":false},{\"type\":" \
    "\"Split\",\"pattern\":{\"Regex\":\"[0-9][0-9][0-9]\"},\"behavior\":\"Isolated\","      \
    "\"invert\":false}]}"
#define BLOOM SPLIT(" ?[^(\\\\s|.,!?…。，、।۔،)]+")

static const GgufPre PRES[] = {
    {"gpt-2", NULL, GPT2, false, false},
    {"phi-2", NULL, GPT2, false, false},
    {"mpt", NFC, GPT2, false, false},
    {"olmo", NFC, GPT2, false, false},
    {"llama-bpe", NULL, CL100K("\\\\p{N}{1,3}"), true, true},
    {"llama3", NULL, CL100K("\\\\p{N}{1,3}"), true, true},
    {"llama-v3", NULL, CL100K("\\\\p{N}{1,3}"), true, true},
    {"dbrx", NULL, CL100K("\\\\p{N}{1,3}"), false, false},
    {"smaug-bpe", NULL, CL100K("\\\\p{N}{1,3}"), false, false},
    {"qwen2", NFC, CL100K("\\\\p{N}"), false, false},
    {"deepseek-r1-qwen", NFC, CL100K("\\\\p{N}"), false, false},
    {"stablelm2", NULL, CL100K("\\\\p{N}"), false, false},
    {"starcoder", NULL, DIGITS, false, false},
    {"refact", NULL, DIGITS, false, false},
    {"smollm", NULL, DIGITS, false, false},
    {"falcon", NULL, FALCON, false, false},
    {"bloom", NULL, BLOOM, false, false},
    {"gpt-4o", NULL, O200K("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", "\\\\p{N}{1,3}"), false, false},
    {"tekken", NULL, O200K("", "\\\\p{N}"), true, true},
};
#define N_PRES (sizeof PRES / sizeof *PRES)

const GgufPre *gguf_pre_find(const char *name) {
    for (size_t i = 0; i < N_PRES; i++)
        if (str_equal(PRES[i].name, name)) return &PRES[i];
    return NULL;
}

const GgufPre *gguf_pre_at(size_t i) {
    return i < N_PRES ? &PRES[i] : NULL;
}

char *gguf_pre_names(void) {
    Str names = {0};
    for (size_t i = 0; i < N_PRES; i++) str_printf(&names, "%s%s", i ? ", " : "", PRES[i].name);
    return str_take(&names);
}
