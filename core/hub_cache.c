#include "core/hub_cache.h"

#include "core/file.h"
#include "core/mem.h"
#include "core/str.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const char *variable(const char *name) {
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static char *cache_folder(void) {
    const char *at;
    if ((at = variable("HF_HUB_CACHE")) != NULL) return mem_strdup(at);
    if ((at = variable("HUGGINGFACE_HUB_CACHE")) != NULL) return mem_strdup(at);
    if ((at = variable("HF_HOME")) != NULL) return file_join(at, "hub");
    if ((at = variable("XDG_CACHE_HOME")) != NULL) return file_join(at, "huggingface/hub");
    at = variable("HOME");
    return file_join(at ? at : "/", ".cache/huggingface/hub");
}

/* Letters, digits, `-`, `_`, `.`, at most one slash between two names. */
static bool is_id(const char *id) {
    int slashes = 0;
    if (!isalnum((unsigned char)id[0])) return false;
    for (const char *c = id; *c; c++) {
        slashes += *c == '/';
        if (!isalnum((unsigned char)*c) && !strchr("-_./", *c)) return false;
    }
    return slashes <= 1 && id[strlen(id) - 1] != '/' && !strstr(id, "..");
}

/* What refs/main says, else the last of snapshots/; NULL when there is neither. */
static char *revision(const char *folder) {
    char *path = file_join(folder, "refs/main"), *snapshots = file_join(folder, "snapshots");
    char *name = NULL;
    Str text = {0};
    FileList list = {0};
    if (file_is_regular(path) && file_read(&text, path, 256) == OK) {
        name = mem_strndup(str_text(&text), strcspn(str_text(&text), " \r\n"));
    } else if (file_is_folder(snapshots) && file_list(&list, snapshots) == OK && list.count > 0) {
        name = mem_strdup(list.names[list.count - 1]);
    }
    file_list_free(&list);
    str_free(&text);
    mem_free(snapshots);
    mem_free(path);
    return name;
}

char *hub_cache_find(const char *kind, const char *id) {
    if (!is_id(id)) return NULL;
    char *cache = cache_folder(), *found = NULL;
    const char *slash = strchr(id, '/');
    char *folder =
        slash ? str_format("%s/%s--%.*s--%s", cache, kind, (int)(slash - id), id, slash + 1)
              : str_format("%s/%s--%s", cache, kind, id);
    char *name = file_is_folder(folder) ? revision(folder) : NULL;
    if (name && file_name_is_plain(name)) {
        found = str_format("%s/snapshots/%s", folder, name);
        if (!file_is_folder(found)) {
            mem_free(found);
            found = NULL;
        }
    }
    mem_free(name);
    mem_free(folder);
    mem_free(cache);
    return found;
}
