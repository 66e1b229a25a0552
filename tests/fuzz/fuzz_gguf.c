/* GGUF files: metadata, tensors, the description of a model that is made of them, and a tokenizer.
 */
#include "fuzz.h"

#include "core/io/gguf.h"
#include "core/io/gguf_save.h"
#include "data/tokenizer/tokenizer.h"
#include "model/formats/gguf_model.h"

static unsigned sum_entry(const TensorEntry *e) {
    unsigned sum = 0;
    if (e->dtype == DTYPE_NONE) {
        for (size_t i = 0; i < e->bytes; i++) sum += ((const unsigned char *)e->stored)[i];
        return sum;
    }
    void *made;
    const unsigned char *values = tensor_entry_values(e, &made);
    size_t n = dtype_size(e->dtype);
    for (int i = 0; i < e->rank; i++) n *= (size_t)e->shape[i];
    for (size_t i = 0; i < n; i++) sum += values[i];
    mem_free(made);
    return sum;
}

static void read_config(const Gguf *g) {
    Json *config = NULL;
    ArchConfig arch;
    if (!fuzz_ok(gguf_config(&config, g))) return;
    fuzz_ok(arch_config_read(&arch, config, gguf_path(g)));
    json_free(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *path = fuzz_file("model.gguf", data, size);
    volatile unsigned sum = 0;
    Gguf *g = NULL;
    if (!fuzz_ok(gguf_open(&g, path))) return 0;
    int64_t n;
    const TensorEntry *entries = gguf_entries(g, &n);
    for (int64_t i = 0; i < n; i++) sum += sum_entry(&entries[i]);
    (void)sum;
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

/* Six tokens of either kind, without tensors. */
static void seed_tokenizer(const char *model) {
    const char *const tokens[] = {"<s>", "a", "b", "ab", "\xE2\x96\x81", "<0x41>"};
    char *path = file_join(fuzz_folder(), "seed.gguf");
    GgufMeta meta = {0};
    gguf_meta_str(&meta, "tokenizer.ggml.model", model);
    gguf_meta_str(&meta, "tokenizer.ggml.pre", "qwen2");
    gguf_meta_strings(&meta, "tokenizer.ggml.tokens", tokens, 6);
    gguf_meta_f32s(&meta, "tokenizer.ggml.scores", (float[]){0, -1, -2, -3, -4, -5}, 6);
    gguf_meta_i32s(&meta, "tokenizer.ggml.token_type", (int32_t[]){3, 1, 1, 1, 1, 6}, 6);
    gguf_meta_strings(&meta, "tokenizer.ggml.merges", (const char *[]){"a b"}, 1);
    gguf_meta_u32(&meta, "tokenizer.ggml.bos_token_id", 0);
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
    seed_tokenizer("llama");
    seed_tokenizer("gpt2");
}

const char *const fuzz_words[] = {"general.architecture",
                                  "llama.block_count",
                                  "tokenizer.ggml.tokens",
                                  "rope_freqs.weight",
                                  "yarn",
                                  "longrope",
                                  "general.alignment",
                                  NULL};
