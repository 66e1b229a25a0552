#include "core/io/tensor_file.h"

#include "core/check.h"
#include "core/file.h"
#include "core/io/gguf.h"
#include "core/io/safetensors.h"
#include "core/io/shard_index.h"
#include "core/io/torch_file.h"
#include "core/mem.h"

struct TensorFile {
    Safetensors *safetensors;
    TorchFile **torch; /* [n_torch] */
    int64_t n_torch;
    Gguf *gguf;
    TensorEntry *entries; /* [n_entries] by name, of all of them */
    int64_t n_entries;
};

/* ---- safetensors ---- */

static Status open_safetensors(TensorFile *f, const char *path) {
    TRY(safetensors_open(&f->safetensors, path));
    f->n_entries = safetensors_count(f->safetensors);
    f->entries = mem_alloc((size_t)f->n_entries * sizeof *f->entries);
    for (int64_t i = 0; i < f->n_entries; i++) f->entries[i] = *safetensors_at(f->safetensors, i);
    return OK;
}

/* ---- torch.save, GGUF ---- */

static void copy_entries(TensorFile *f, const TensorEntry *entries) {
    f->entries = mem_alloc((size_t)f->n_entries * sizeof *f->entries);
    for (int64_t i = 0; i < f->n_entries; i++) f->entries[i] = entries[i];
}

static Status add_torch(TensorFile *f, const char *path) {
    f->torch = mem_realloc(f->torch, (size_t)f->n_torch + 1, sizeof(TorchFile *));
    TRY(torch_file_open(&f->torch[f->n_torch], path));
    f->n_torch++;
    return OK;
}

static Status open_torch(TensorFile *f, const char *path) {
    TRY(add_torch(f, path));
    const TensorEntry *entries = torch_file_entries(f->torch[0], &f->n_entries);
    copy_entries(f, entries);
    return OK;
}

static Status open_torch_shards(TensorFile *f, const ShardIndex *index) {
    const TensorEntry **entries = mem_zalloc((size_t)index->n_files, sizeof *entries);
    int64_t *n = mem_zalloc((size_t)index->n_files, sizeof *n);
    Status st = OK;
    for (int64_t i = 0; i < index->n_files && st == OK; i++) {
        st = add_torch(f, index->files[i]);
        if (st == OK) entries[i] = torch_file_entries(f->torch[i], &n[i]);
    }
    f->entries = mem_alloc((size_t)index->n_names * sizeof *f->entries);
    if (st == OK) st = shard_index_pick(index, f->entries, entries, n);
    if (st == OK) f->n_entries = index->n_names;
    mem_free(entries);
    mem_free(n);
    return st;
}

static Status open_torch_index(TensorFile *f, const char *path) {
    ShardIndex index;
    Status st = shard_index_open(&index, path, ".bin");
    if (st == OK) st = open_torch_shards(f, &index);
    shard_index_close(&index);
    return st;
}

static Status open_gguf(TensorFile *f, const char *path) {
    TRY(gguf_open(&f->gguf, path));
    const TensorEntry *entries = gguf_entries(f->gguf, &f->n_entries);
    copy_entries(f, entries);
    return OK;
}

/* ---- whichever it is ---- */

static const struct {
    const char *ending;
    Status (*open)(TensorFile *f, const char *path);
} KINDS[] = {
    {".safetensors", open_safetensors},
    {".safetensors.index.json", open_safetensors},
    {".bin", open_torch},
    {".pt", open_torch},
    {".pth", open_torch},
    {".bin.index.json", open_torch_index},
    {".gguf", open_gguf},
};
#define N_KINDS (sizeof KINDS / sizeof *KINDS)

bool tensor_file_is_named(const char *path) {
    for (size_t i = 0; i < N_KINDS; i++)
        if (str_ends(path, KINDS[i].ending)) return true;
    return false;
}

static Status open_by_name(TensorFile *f, const char *path) {
    for (size_t i = 0; i < N_KINDS; i++)
        if (str_ends(path, KINDS[i].ending)) return KINDS[i].open(f, path);
    return status_fail(ERR_DATA, "%s: is no file of weights (.safetensors, .bin, .pt, .pth, .gguf)",
                       path);
}

/* The caller mem_free's it; NULL when the folder holds none of the names. */
static char *find_in_folder(const char *folder) {
    static const char *const NAMES[] = {"model.safetensors",         "model.safetensors.index.json",
                                        "pytorch_model.bin",         "pytorch_model.bin.index.json",
                                        "adapter_model.safetensors", "adapter_model.bin"};
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        char *path = file_join(folder, NAMES[i]);
        if (file_exists(path)) return path;
        mem_free(path);
    }
    return NULL;
}

Status tensor_file_open(TensorFile **out, const char *path) {
    *out = NULL;
    char *file = file_is_folder(path) ? find_in_folder(path) : mem_strdup(path);
    if (!file)
        return status_fail(
            ERR_INPUT,
            "%s: holds no weights (model.safetensors, pytorch_model.bin, an index of "
            "one of them, or adapter_model.safetensors)",
            path);
    TensorFile *f = mem_zalloc(1, sizeof *f);
    Status st = open_by_name(f, file);
    mem_free(file);
    if (st == OK)
        *out = f;
    else
        tensor_file_close(f);
    return st;
}

void tensor_file_close(TensorFile *f) {
    if (!f) return;
    safetensors_close(f->safetensors);
    for (int64_t i = 0; i < f->n_torch; i++) torch_file_close(f->torch[i]);
    mem_free(f->torch);
    gguf_close(f->gguf);
    mem_free(f->entries);
    mem_free(f);
}

int64_t tensor_file_count(const TensorFile *f) {
    return f->n_entries;
}

const TensorEntry *tensor_file_at(const TensorFile *f, int64_t i) {
    CHECK(i >= 0 && i < f->n_entries, "%lld of %lld", (long long)i, (long long)f->n_entries);
    return &f->entries[i];
}

const TensorEntry *tensor_file_find(const TensorFile *f, const char *name) {
    return tensor_entries_find(f->entries, f->n_entries, name);
}
