/* GGUF files: metadata, tensors, the description of a model that is made of them, and a tokenizer.
 *
 * Parser: core/io/gguf.c
 * Parser: core/io/gguf_blocks.c
 * Parser: model/formats/gguf_config.c
 * Parser: data/tokenizer/tokenizer_gguf.c
 */
#include "fuzz_tensors.h"

#include "core/io/gguf.h"
#include "core/io/gguf_save.h"
#include "data/tokenizer/tokenizer.h"
#include "model/formats/gguf_model.h"

static void read_config(const Gguf *g) {
    Json *config = NULL;
    ArchConfig arch;
    if (!fuzz_ok(gguf_config(&config, g))) return;
    fuzz_ok(arch_config_read(&arch, config, gguf_path(g)));
    json_free(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *path = fuzz_file("model.gguf", data, size);
    Gguf *g = NULL;
    if (!fuzz_ok(gguf_open(&g, path))) return 0;
    int64_t n;
    const TensorEntry *entries = gguf_entries(g, &n);
    fuzz_entries(entries, n, size, true);
    read_config(g);
    gguf_close(g);
    FuzzMuted muted = fuzz_mute();
    Tokenizer *t = NULL;
    if (fuzz_ok(tokenizer_open(&t, path))) {
        TokenIds ids = {0};
        Str text = {0};
        fuzz_ok(tokenizer_encode(t, &ids, "a b<s>", 6, TOKENIZER_ADD_SPECIAL));
        fuzz_ok(tokenizer_decode(t, &text, ids.id, ids.n, 0));
        token_ids_free(&ids);
        str_free(&text);
    }
    tokenizer_close(t);
    fuzz_unmute(muted);
    return 0;
}

/* ---- files that break one rule ---- */

static void put(Str *s, uint64_t x, size_t bytes) {
    str_append_n(s, (const char *)&x, bytes); /* x86: the lowest byte first */
}

static void put_text(Str *s, const char *text) {
    put(s, strlen(text), 8);
    str_append(s, text);
}

static Str head(uint64_t n_tensors, uint64_t n_pairs) {
    Str s = {0};
    str_append(&s, "GGUF");
    put(&s, 3, 4);
    put(&s, n_tensors, 8);
    put(&s, n_pairs, 8);
    return s;
}

static void seed_bytes(Str *s, bool is_bad) {
    if (is_bad)
        fuzz_seed_bad(s->data, s->len);
    else
        fuzz_seed(s->data, s->len);
    str_free(s);
}

typedef struct Info {
    const char *name;
    unsigned rank, type;
    uint64_t offset, shape[5];
} Info;

static void seed_infos(const Info *infos, size_t n, size_t data, bool is_bad) {
    Str s = head(n, 0);
    for (size_t i = 0; i < n; i++) {
        put_text(&s, infos[i].name);
        put(&s, infos[i].rank, 4);
        for (unsigned k = 0; k < infos[i].rank; k++) put(&s, infos[i].shape[k], 8);
        put(&s, infos[i].type, 4);
        put(&s, infos[i].offset, 8);
    }
    while (s.len % 32) str_append_char(&s, '\0');
    for (size_t i = 0; i < data; i++) str_append_char(&s, 'x');
    seed_bytes(&s, is_bad);
}

/* Types of tensors: 0 is F32, 8 Q8_0 with 32 values in 34 bytes. */
static void seed_tensor_rules(void) {
    const uint64_t half = (uint64_t)1 << 32;
    seed_infos((Info[]){{"a", 1, 0, 0, {4}}, {"b", 1, 0, 32, {4}}}, 2, 48, false); /* good */
    seed_infos((Info[]){{"t", 2, 0, 0, {4, 2}}}, 1, 31, true);
    seed_infos((Info[]){{"t", 1, 0, 32, {4}}}, 1, 47, true);
    seed_infos((Info[]){{"t", 5, 0, 0, {1, 1, 1, 1, 1}}}, 1, 32, true);
    seed_infos((Info[]){{"t", 2, 0, 0, {half, half}}}, 1, 32, true);
    seed_infos((Info[]){{"t", 2, 0, 0, {half << 30, 1}}}, 1, 32, true);
    seed_infos((Info[]){{"t", 2, 0, 0, {UINT64_MAX, UINT64_MAX}}}, 1, 32, true);
    seed_infos((Info[]){{"t", 2, 0, 0, {4, 0}}}, 1, 32, true);
    seed_infos((Info[]){{"t", 1, 8, 0, {48}}}, 1, 68, true);
    seed_infos((Info[]){{"a name of a tensor has at most sixty-three bytes, which this one exceeds",
                         1,
                         0,
                         0,
                         {4}}},
               1, 32, true);
    seed_infos((Info[]){{"\xff", 1, 0, 0, {4}}}, 1, 32, true);
    seed_infos((Info[]){{"t", 1, 4, 0, {4}}}, 1, 32, true);
    seed_infos((Info[]){{"a", 1, 0, 0, {4}}, {"a", 1, 0, 32, {4}}}, 2, 48, true);
    seed_infos((Info[]){{"a", 1, 0, 0, {9}}, {"b", 1, 0, 32, {4}}}, 2, 80, true);
}

/* One key with `n` bytes behind its type; what asks for the key expects another. */
static void seed_pair(const char *key, unsigned type, const char *value, size_t n, bool is_bad) {
    Str s = head(0, 1);
    put_text(&s, key);
    put(&s, type, 4);
    str_append_n(&s, value, n);
    seed_bytes(&s, is_bad);
}

static void seed_key_rules(void) {
    /* The first two are asked for as a file is opened. */
    static const char *const keys[] = {
        "general.alignment",     "split.count",
        "general.architecture",  "tokenizer.ggml.tokens",
        "tokenizer.ggml.scores", "tokenizer.ggml.token_type",
        "tokenizer.ggml.model",  "tokenizer.chat_template",
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        seed_pair(keys[i], 7, "\1", 1, i < 2);                         /* a bool */
        seed_pair(keys[i], 9, "\4\0\0\0\0\0\0\0\0\0\0\0", 12, i < 2);  /* no u32 */
        seed_pair(keys[i], 9, "\x8\0\0\0\0\0\0\0\0\0\0\0", 12, i < 2); /* no string */
        seed_pair(keys[i], 8, "\0\0\0\0\0\0\0\0", 8, i < 2);           /* "" */
    }
    seed_pair("general.alignment", 4, "\0\0\0\0", 4, true);
    seed_pair("general.alignment", 4, "\3\0\0\0", 4, true);
    seed_pair("a", 9, "\x8\0\0\0\377\377\377\377\377\377\377\x1f", 12, true);
    seed_pair("a", 9,
              "\xa\0\0\0\1\0\0\0\0\0\0\x20"
              "one, not",
              20, true);
    seed_pair("a", 9, "\x9\0\0\0\1\0\0\0\0\0\0\0", 12, true);
    seed_pair("a", 13, "", 0, true);
    Str twice = head(0, 2);
    for (int i = 0; i < 2; i++) {
        put_text(&twice, "a");
        put(&twice, 7, 4);
        put(&twice, 1, 1);
    }
    seed_bytes(&twice, true);
}

static const char *const six_tokens[] = {"<s>", "a", "b", "ab", "\xE2\x96\x81", "<0x41>"};

static void put_wrong(GgufMeta *m, const char *key, int how) {
    switch (how) {
    case 0:
        gguf_meta_i32s(m, key, (int32_t[]){1, 1, 1, 1, 1, 1}, 6);
        return;
    case 1:
        gguf_meta_strings(m, key, six_tokens, 6);
        return;
    case 2:
        gguf_meta_str(m, key, "a b");
        return;
    default:
        gguf_meta_u32(m, key, 1);
    }
}

static void put_key(GgufMeta *m, int key, int wrong, int how) {
    static const char *const names[] = {"tokens", "scores", "token_type", "merges", "bos_token_id"};
    char name[64];
    snprintf(name, sizeof name, "tokenizer.ggml.%s", names[key]);
    if (key == wrong)
        put_wrong(m, name, how);
    else if (key == 0)
        gguf_meta_strings(m, name, six_tokens, 6);
    else if (key == 1)
        gguf_meta_f32s(m, name, (float[]){0, -1, -2, -3, -4, -5}, 6);
    else if (key == 2)
        gguf_meta_i32s(m, name, (int32_t[]){3, 1, 1, 1, 1, 6}, 6);
    else if (key == 3)
        gguf_meta_strings(m, name, (const char *[]){"a b"}, 1);
    else
        gguf_meta_u32(m, name, 0);
}

/* Six tokens of either kind, without tensors; key number `wrong` has another type. */
static void seed_tokenizer(const char *model, int wrong, int how) {
    char *path = file_join(fuzz_folder(), "seed.gguf");
    GgufMeta meta = {0};
    gguf_meta_str(&meta, "tokenizer.ggml.model", model);
    gguf_meta_str(&meta, "tokenizer.ggml.pre", "qwen2");
    for (int key = 0; key < 5; key++) put_key(&meta, key, wrong, how);
    gguf_meta_str(&meta, "tokenizer.chat_template", "{{ bos_token }}");
    CHECK(gguf_save(path, &(GgufSpec){.meta = &meta}) == OK, "%s", status_message());
    Str bytes = {0};
    CHECK(file_read(&bytes, path, 1 << 20) == OK, "%s", status_message());
    fuzz_seed(bytes.data, bytes.len);
    str_free(&bytes);
    gguf_meta_free(&meta);
    mem_free(path);
}

void fuzz_seeds(void) {
    static const char *const names[] = {"llama", "gpt2",       "gemma2", "phi3", "mpt",
                                        "bloom", "falcon_40b", "blocks", "neox", "stablelm"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = str_format("tests/golden/data/gguf_files/%s.gguf", names[i]);
        fuzz_seed_file(path, (size_t)1 << 16);
        mem_free(path);
    }
    for (int wrong = -1; wrong < 5; wrong++)
        for (int how = 0; how < 4; how++) {
            seed_tokenizer("llama", wrong, how);
            seed_tokenizer("gpt2", wrong, how);
        }
    seed_tensor_rules();
    seed_key_rules();
}

const char *const fuzz_words[] = {"general.architecture",
                                  "llama.block_count",
                                  "tokenizer.ggml.tokens",
                                  "rope_freqs.weight",
                                  "yarn",
                                  "longrope",
                                  "general.alignment",
                                  NULL};
