#include "data/containers/locate.h"

#include "core/mem.h"
#include "data/containers/container.h"

#include <stdlib.h>
#include <string.h>

static void list_add(FileList *l, char *path) {
    l->names = mem_realloc(l->names, l->count + 1, sizeof *l->names);
    l->names[l->count++] = path;
}

static bool of_split(const char *name, const char *split) {
    size_t n = strlen(split);
    return strncmp(name, split, n) == 0 && name[n] != '\0' && strchr(".-_", name[n]);
}

/* Adds the data files of `folder` that belong to the split (NULL: all); false when it cannot be
 * read. */
static Status add_folder(FileList *out, const char *folder, const char *split) {
    FileList names = {0};
    TRY(file_list(&names, folder));
    for (size_t i = 0; i < names.count; i++) {
        if (!container_knows(names.names[i]) || (split && !of_split(names.names[i], split)))
            continue;
        char *path = file_join(folder, names.names[i]);
        if (file_is_regular(path))
            list_add(out, path);
        else
            mem_free(path);
    }
    file_list_free(&names);
    return OK;
}

static Status add_subfolder(FileList *out, const char *folder, const char *sub, const char *split) {
    Status st = OK;
    char *path = file_join(folder, sub);
    if (file_is_folder(path)) st = add_folder(out, path, split);
    mem_free(path);
    return st;
}

static Status fail_split(const char *folder, const char *split) {
    FileList there = {0};
    Str names = {0};
    if (add_folder(&there, folder, NULL) != OK) return ERR_INPUT;
    for (size_t i = 0; i < there.count && i < 8; i++)
        str_printf(&names, "%s%s", i ? ", " : "", file_name(there.names[i]));
    Status st = status_fail(
        ERR_INPUT,
        "%s: no data file of the split `%s` here (%s%s); name a file, a glob or a `split`", folder,
        split, there.count ? "there are: " : "there is none at all", str_text(&names));
    file_list_free(&there);
    str_free(&names);
    return st;
}

static Status locate_folder(FileList *out, const char *folder, const char *split) {
    TRY(add_folder(out, folder, split));
    if (out->count == 0) TRY(add_subfolder(out, folder, "data", split));
    if (out->count == 0) TRY(add_subfolder(out, folder, split, NULL));
    return out->count > 0 ? OK : fail_split(folder, split);
}

/* The newest-sorting snapshot of a data set `org/name` in the Hugging Face cache, or NULL. */
static char *hub_snapshot(const char *id) {
    const char *slash = strchr(id, '/');
    if (!slash || slash == id || strchr(slash + 1, '/') || id[0] == '.') return NULL;
    const char *hub = getenv("HF_HOME"), *home = getenv("HOME");
    char *pattern = hub ? str_format("%s/hub/datasets--%.*s--%s/snapshots/*", hub,
                                     (int)(slash - id), id, slash + 1)
                        : str_format("%s/.cache/huggingface/hub/datasets--%.*s--%s/snapshots/*",
                                     home ? home : "", (int)(slash - id), id, slash + 1);
    FileList found = {0};
    char *snapshot = NULL;
    if (file_glob(&found, pattern) == OK && found.count > 0)
        snapshot = mem_strdup(found.names[found.count - 1]);
    file_list_free(&found);
    mem_free(pattern);
    return snapshot;
}

static Status fail_missing(const char *path, const char *root) {
    const char *slash = strchr(path, '/');
    bool may_be_id = path[0] != '/' && path[0] != '.' && slash && !strchr(slash + 1, '/') &&
                     !container_knows(path);
    if (may_be_id)
        return status_fail(ERR_INPUT,
                           "%s: no such file or folder, and no such data set in the Hugging Face "
                           "cache; fetch it with `hf download --repo-type dataset %s`",
                           path, path);
    return status_fail(ERR_INPUT, "%s: no such file or folder%s%s", path,
                       root && path[0] != '/' ? ", also not below " : "",
                       root && path[0] != '/' ? root : "");
}

/* One place to look; *found tells whether the path means anything there. */
static Status locate_at(FileList *out, const char *path, const char *split, bool *found) {
    *found = true;
    if (file_is_folder(path)) return locate_folder(out, path, split);
    if (file_exists(path)) {
        list_add(out, mem_strdup(path));
        return OK;
    }
    if (strpbrk(path, "*?[")) TRY(file_glob(out, path));
    *found = out->count > 0;
    return OK;
}

Status locate_files(FileList *out, const char *path, const char *split, const char *root) {
    *out = (FileList){0};
    if (!split) split = "train";
    bool found;
    Status st = locate_at(out, path, split, &found);
    if (st == OK && !found && root && path[0] != '/') {
        char *below = file_join(root, path);
        st = locate_at(out, below, split, &found);
        mem_free(below);
    }
    if (st == OK && !found) {
        char *snapshot = hub_snapshot(path);
        st = snapshot ? locate_folder(out, snapshot, split) : fail_missing(path, root);
        mem_free(snapshot);
    }
    if (st != OK) file_list_free(out);
    return st;
}
