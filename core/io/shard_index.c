#include "core/io/shard_index.h"

#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"

static Status file_number(int64_t *out, ShardIndex *x, const char *folder, const char *name,
                          const char *ending) {
    for (*out = 0; *out < x->n_files; ++*out)
        if (str_equal(file_name(x->files[*out]), name)) return OK;
    if (!file_name_is_plain(name) || !str_ends(name, ending))
        return status_fail(ERR_DATA, "%s: `%.200s` is not the plain name of a %s file", x->path,
                           name, ending);
    char *path = file_join(folder, name);
    if (!file_exists(path)) {
        Status st = status_fail(ERR_INPUT, "%s: this shard is missing; %s names it", path, x->path);
        mem_free(path);
        return st;
    }
    x->files = mem_realloc(x->files, (size_t)x->n_files + 1, sizeof *x->files);
    x->files[x->n_files++] = path;
    return OK;
}

static Status read_map(ShardIndex *x, const Json *map, const char *folder, const char *ending) {
    const char *name;
    Json *file;
    x->names = mem_zalloc((size_t)json_len(map), sizeof *x->names);
    x->file_of = mem_zalloc((size_t)json_len(map), sizeof *x->file_of);
    for (JsonIter it = {0}; json_next(map, &it, &name, &file); x->n_names++) {
        if (!json_is(file, JSON_KIND_STRING))
            return status_fail(ERR_DATA, "%s: `weight_map.%.200s` must be a string", x->path, name);
        x->names[x->n_names] = name;
        TRY(file_number(&x->file_of[x->n_names], x, folder, json_str(file, NULL), ending));
    }
    return OK;
}

Status shard_index_open(ShardIndex *x, const char *path, const char *ending) {
    Json *map = NULL;
    *x = (ShardIndex){.path = mem_strdup(path)};
    TRY(json_read_file(&x->json, path));
    TRY(json_want(&map, x->json, "weight_map", JSON_KIND_OBJECT, path));
    char *folder = file_folder(path);
    Status st = read_map(x, map, folder, ending);
    mem_free(folder);
    return st;
}

void shard_index_close(ShardIndex *x) {
    for (int64_t i = 0; i < x->n_files; i++) mem_free(x->files[i]);
    mem_free(x->files);
    mem_free(x->names);
    mem_free(x->file_of);
    mem_free(x->path);
    json_free(x->json);
    *x = (ShardIndex){0};
}

Status shard_index_pick(const ShardIndex *x, TensorEntry *out, const TensorEntry *const *entries,
                        const int64_t *n) {
    int64_t in_files = 0;
    for (int64_t i = 0; i < x->n_names; i++) {
        int64_t f = x->file_of[i];
        const TensorEntry *e = tensor_entries_find(entries[f], n[f], x->names[i]);
        if (!e)
            return status_fail(ERR_DATA, "%s: tensor `%.200s` is not in it, but %s says so",
                               x->files[f], x->names[i], x->path);
        out[i] = *e;
    }
    for (int64_t f = 0; f < x->n_files; f++) in_files += n[f];
    if (in_files > x->n_names)
        log_warn("%s: %lld tensors of its files are not listed and not used", x->path,
                 (long long)(in_files - x->n_names));
    tensor_entries_sort(out, x->n_names);
    return OK;
}
