/* Which files a tokenizer is made of, and the order in which they are read. */
#include "core/file.h"
#include "core/mem.h"
#include "data/tokenizer/bpe_write.h"
#include "data/tokenizer/tokenizer_parts.h"

#include <string.h>

static Tokenizer *tokenizer_new(void) {
    Tokenizer *t = mem_zalloc(1, sizeof *t);
    t->bos = t->eos = t->pad = t->unk = TOKEN_NONE;
    t->bpe.unk = t->unigram.unk = t->wordpiece.unk = -1;
    t->is_added = mem_zalloc(VOCAB_MAX_ID / 8, 1);
    pthread_mutex_init(&t->lock, NULL);
    return t;
}

void tokenizer_keep_file(Tokenizer *t, const char *name, const Str *bytes) {
    if (t->n_files == t->files_cap) {
        t->files_cap = t->files_cap == 0 ? 8 : t->files_cap * 2;
        t->files = mem_realloc(t->files, t->files_cap, sizeof *t->files);
    }
    TokenizerFile *f = &t->files[t->n_files++];
    *f = (TokenizerFile){.name = mem_strdup(name)};
    str_append_n(&f->bytes, str_text(bytes), bytes->len);
}

static void settle_digest(Tokenizer *t) {
    Sha256 s;
    unsigned char digest[32];
    sha256_init(&s);
    for (size_t i = 0; i < t->n_files; i++) {
        uint64_t n = t->files[i].bytes.len;
        sha256_update(&s, t->files[i].name, strlen(t->files[i].name) + 1);
        sha256_update(&s, &n, sizeof n);
        sha256_update(&s, str_text(&t->files[i].bytes), t->files[i].bytes.len);
    }
    sha256_final(&s, digest);
    sha256_to_hex(t->digest, digest);
}

static Status open_json(Tokenizer *t, const char *path) {
    Str text = {0};
    Json *root = NULL;
    Status st = OK;
    TRY_GOTO(file_read(&text, path, TOKENIZER_MAX_FILE), st, out);
    tokenizer_keep_file(t, "tokenizer.json", &text);
    TRY_GOTO(json_parse(&root, str_text(&text), text.len, path, 1), st, out);
    st = tokenizer_json_read(t, root, path);
out:
    json_free(root);
    str_free(&text);
    return st;
}

static Status open_model(Tokenizer *t, const char *path) {
    Str bytes = {0};
    bool t5 = str_equal(file_name(path), "spiece.model"); /* T5's name for the same thing */
    Status st = file_read(&bytes, path, TOKENIZER_MAX_FILE);
    if (st == OK) {
        tokenizer_keep_file(t, t5 ? "spiece.model" : "tokenizer.model", &bytes);
        bool protobuf = bytes.len > 0 && bytes.data[0] == 0x0A; /* field 1 comes first */
        st = protobuf ? sentencepiece_read(t, (const unsigned char *)bytes.data, bytes.len, path)
                      : tiktoken_read(t, str_text(&bytes), bytes.len, path);
    }
    str_free(&bytes);
    return st;
}

typedef struct TokenizerSource {
    const char *name; /* of the file in the folder */
    Status (*open)(Tokenizer *t, const char *path);
} TokenizerSource;

/* In the order of preference. */
static const TokenizerSource sources[] = {
    {"tokenizer.json", open_json},
    {"tokenizer.model", open_model},
    {"spiece.model", open_model},
    {"vocab.json", tokenizer_gpt2_read},
};
#define N_SOURCES (sizeof sources / sizeof *sources)

static Status find_source(const TokenizerSource **out, char **path, char **folder,
                          const char *given) {
    if (!file_exists(given)) {
        return status_fail(ERR_INPUT, "%s: no such file or folder; a tokenizer is wanted", given);
    }
    if (file_is_folder(given)) {
        for (size_t i = 0; i < N_SOURCES; i++) {
            char *candidate = file_join(given, sources[i].name);
            if (file_is_regular(candidate)) {
                *out = &sources[i];
                *path = candidate;
                *folder = mem_strdup(given);
                return OK;
            }
            mem_free(candidate);
        }
        return status_fail(ERR_INPUT,
                           "%s: the folder holds no tokenizer (tokenizer.json, tokenizer.model or "
                           "vocab.json with merges.txt)",
                           given);
    }
    const char *name = file_name(given);
    *out = &sources[0]; /* any other name that ends in .json is a tokenizer.json */
    if (!str_ends(name, ".json")) *out = &sources[1];
    if (str_equal(name, "vocab.json")) *out = &sources[3];
    *path = mem_strdup(given);
    *folder = file_folder(given);
    return OK;
}

static Status open_gguf(Tokenizer **out, const char *path) {
    Tokenizer *t = tokenizer_new();
    Status st = tokenizer_gguf_read(t, path);
    if (st == OK) st = tokenizer_finish(t, path);
    if (st == OK) {
        settle_digest(t);
        *out = t;
    } else {
        tokenizer_close(t);
    }
    return st;
}

Status tokenizer_open(Tokenizer **out, const char *given) {
    *out = NULL;
    if (str_equal(given, "bytes")) return tokenizer_open_bytes(out);
    if (str_ends(given, ".gguf") && file_is_regular(given)) return open_gguf(out, given);
    const TokenizerSource *source = NULL;
    char *path = NULL, *folder = NULL;
    TRY(find_source(&source, &path, &folder, given));
    Status st = OK;
    Tokenizer *t = tokenizer_new();
    TRY_GOTO(source->open(t, path), st, out);
    TRY_GOTO(tokenizer_config_read(t, folder), st, out);
    TRY_GOTO(tokenizer_finish(t, path), st, out);
    settle_digest(t);
    *out = t;
    t = NULL;
out:
    tokenizer_close(t);
    mem_free(path);
    mem_free(folder);
    return st;
}

Status tokenizer_open_bytes(Tokenizer **out) {
    static const char *const special[] = {"<bos>", "<eos>", "<pad>"};
    TokenizerTraining how = {
        .special = special, .n_special = 3, .bos = "<bos>", .eos = "<eos>", .pad = "<pad>"};
    Str json = {0}, config = {0};
    Json *root = NULL;
    Status st = OK;
    Tokenizer *t = tokenizer_new();
    bpe_write_bytes(&json, &how);
    bpe_write_config(&config, &how);
    tokenizer_keep_file(t, "tokenizer.json", &json);
    tokenizer_keep_file(t, "tokenizer_config.json", &config);
    TRY_GOTO(json_parse(&root, str_text(&json), json.len, "bytes", 1), st, out);
    TRY_GOTO(tokenizer_json_read(t, root, "bytes"), st, out);
    tokenizer_set_name(t, "bos_token", how.bos);
    tokenizer_set_name(t, "eos_token", how.eos);
    tokenizer_set_name(t, "pad_token", how.pad);
    tokenizer_settle_names(t);
    TRY_GOTO(tokenizer_finish(t, "bytes"), st, out);
    settle_digest(t);
    *out = t;
    t = NULL;
out:
    tokenizer_close(t);
    json_free(root);
    str_free(&json);
    str_free(&config);
    return st;
}
