/* The weights of a model, read by their names: model.safetensors beside a good config.json, with a
 * head in it or without, or a whole GGUF file.
 *
 * Parser: model/base.c
 * Parser: model/formats/import.c
 * Parser: model/formats/gguf_import.c
 * Parser: model/head_file.c
 */
#include "fuzz_tensors.h"

#include "model_fixture.h"

static Dev *dev;

static void close_all(void) {
    dev_close(dev);
}

static void open_all(void) {
    CHECK(dev_open(&dev, "ref", 1) == OK, "%s", status_message());
    atexit(close_all);
}

static void look_for_heads(Base *b, const char *folder) {
    for (int kind = 0; kind < 2; kind++) {
        Head *h = NULL;
        if (head_present(folder, kind ? HEAD_VALUE : HEAD_SCORE)) fuzz_accepted++;
        if (fuzz_ok(head_load(&h, b, kind ? HEAD_VALUE : HEAD_SCORE, folder, true))) head_close(h);
        status_clear();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!dev) open_all();
    bool is_gguf = size > 0 && data[0] == 'G';
    fuzz_file("config.json", FUZZ_LLAMA, sizeof FUZZ_LLAMA - 1);
    const char *path = fuzz_file(is_gguf ? "model.gguf" : "model.safetensors", data, size);
    BaseOptions options = {.path = is_gguf ? path : fuzz_folder(), .dtype = DTYPE_F32};
    Base *b = NULL;
    if (!fuzz_ok(base_open(&b, dev, &options))) return 0;
    if (!is_gguf) look_for_heads(b, fuzz_folder());
    base_close(b);
    return 0;
}

static void seed_saved(HeadKind kind) {
    Base *b = NULL;
    Head *h = NULL;
    Str bytes = {0};
    char *folder = file_join(fuzz_folder(), "saved");
    CHECK(fixture_base(&b, dev, FUZZ_LLAMA, false, DTYPE_F32, 1) == OK, "%s", status_message());
    CHECK(head_create(&h, b, kind, HEAD_INIT_NORMAL, 1, false) == OK, "%s", status_message());
    Role role = {.base = b, .head = kind == HEAD_SCORE ? h : NULL};
    CHECK(model_export(&role, folder, DTYPE_F32) == OK, "%s", status_message());
    char *path = file_join(folder, "model.safetensors");
    CHECK(file_read(&bytes, path, 1 << 20) == OK, "%s", status_message());
    fuzz_seed(bytes.data, bytes.len);
    file_remove_tree(folder);
    str_free(&bytes);
    head_close(h);
    base_close(b);
    mem_free(path);
    mem_free(folder);
}

void fuzz_seeds(void) {
    open_all();
    seed_saved(HEAD_SCORE);
    seed_saved(HEAD_VALUE);
    static const char *const names[] = {"llama.f16", "gpt2", "gemma", "falcon_7b"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = str_format("tests/golden/data/gguf_files/%s.gguf", names[i]);
        fuzz_seed_file(path, (size_t)1 << 16);
        mem_free(path);
    }
}

const char *const fuzz_words[] = {"score.weight",
                                  "v_head.summary.weight",
                                  "v_head.summary.bias",
                                  "lm_head.weight",
                                  "model.embed_tokens.weight",
                                  "layers.1",
                                  "\"BF16\"",
                                  "[8,8]",
                                  "[1,8]",
                                  "blk.1.",
                                  "attn_q.bias",
                                  NULL};
