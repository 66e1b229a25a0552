/* hub_world: a cache of the Hugging Face hub as its client leaves it: hub/KIND--org--name with
 * blobs/ named by what is in them, snapshots/REVISION/ of links to these, refs/main; and behind it
 * in the alphabet a snapshot of another revision, which nobody asked for. */
#ifndef HONE_TESTS_HUB_WORLD_H
#define HONE_TESTS_HUB_WORLD_H

#include "core/sha256.h"
#include "scratch.h"

#define HUB_REVISION "0123456789abcdef0123456789abcdef01234567"

static inline void hub_write(const char *folder, const char *name, const char *data, size_t n) {
    char *path = file_join(folder, name), *above = file_folder(path);
    if (file_make_folders(above) != OK) abort();
    mem_free(scratch_file(folder, name, data, n));
    mem_free(above);
    mem_free(path);
}

/* One file of a repository, `id` with its slash as `--`: "stanfordnlp--imdb". */
static inline void hub_put(const char *hub, const char *kind, const char *id, const char *name,
                           const char *data, size_t n) {
    char *repo = str_format("%s/%s--%s", hub, kind, id), hex[SHA256_HEX];
    sha256_hex(hex, data, n);
    char *blob = str_format("blobs/%s", hex),
         *link_path = str_format("%s/snapshots/%s/%s", repo, HUB_REVISION, name);
    hub_write(repo, blob, data, n);
    hub_write(repo, "refs/main", HUB_REVISION, strlen(HUB_REVISION));
    hub_write(repo, "snapshots/fedcba98/nothing.txt", "", 0);
    Str target = {0};
    str_append(&target, "../../");
    for (const char *c = name; *c; c++) str_append(&target, *c == '/' ? "../" : "");
    str_append(&target, blob);
    char *above = file_folder(link_path);
    if (file_make_folders(above) != OK || symlink(str_text(&target), link_path) != 0) abort();
    str_free(&target);
    mem_free(above);
    mem_free(link_path);
    mem_free(blob);
    mem_free(repo);
}

static inline void hub_put_text(const char *hub, const char *id, const char *name,
                                const char *text) {
    hub_put(hub, "datasets", id, name, text, strlen(text));
}

/* A model folder, as it is. */
static inline void hub_put_model(const char *hub, const char *id, const char *folder) {
    FileList files = {0};
    if (file_list(&files, folder) != OK) abort();
    for (size_t i = 0; i < files.count; i++) {
        Str data = {0};
        char *path = file_join(folder, files.names[i]);
        if (file_read(&data, path, (size_t)1 << 26) != OK) abort();
        hub_put(hub, "models", id, files.names[i], data.data, data.len);
        str_free(&data);
        mem_free(path);
    }
    file_list_free(&files);
}

#endif
