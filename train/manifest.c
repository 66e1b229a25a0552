#include "train/manifest.h"

#include "core/check.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/sha256.h"

#include <string.h>

Json *manifest_new(int64_t step, const Json *run) {
    Json *m = json_new_object();
    json_set(m, "format", json_new_int(MANIFEST_FORMAT));
    json_set(m, "version", json_new_str(HONE_VERSION));
    json_set(m, "step", json_new_int(step));
    json_set(m, "files", json_new_array());
    json_set(m, "run", run != NULL ? json_clone(run) : json_new_object());
    return m;
}

void manifest_restrict(Json *manifest, const char *prefix) {
    json_set(manifest, "only", json_new_str(prefix));
}

void manifest_add_file(Json *manifest, const char *name, const void *bytes, size_t n) {
    char hex[SHA256_HEX];
    sha256_hex(hex, bytes, n);
    Json *file = json_new_object();
    json_set(file, "name", json_new_str(name));
    json_set(file, "bytes", json_new_int((int64_t)n));
    json_set(file, "sha256", json_new_str(hex));
    json_push(json_get(manifest, "files"), file);
}

static void dump(Str *out, const Json *manifest) {
    json_dump(out, manifest, 2);
    str_append_char(out, '\n');
}

void manifest_seal(Str *out, Json *manifest) {
    char hex[SHA256_HEX];
    Str text = {0};
    json_del(manifest, "sha256");
    dump(&text, manifest);
    sha256_hex(hex, text.data, text.len);
    str_free(&text);
    json_set(manifest, "sha256", json_new_str(hex));
    dump(out, manifest);
}

/* ---- checking ------------------------------------------------------------------------------ */

/* Seals a copy again: equal text means that nothing was changed since it was written. */
static bool is_sealed(const Json *manifest, const Str *text) {
    Str again = {0};
    Json *copy = json_clone(manifest);
    manifest_seal(&again, copy);
    bool same = again.len == text->len && memcmp(again.data, text->data, text->len) == 0;
    json_free(copy);
    str_free(&again);
    return same;
}

static Status check_file_entry(const Json *file, const char *where) {
    const char *name, *digest;
    int64_t bytes;
    TRY(json_want_str(&name, file, "name", where));
    TRY(json_want_str(&digest, file, "sha256", where));
    TRY(json_want_int(&bytes, file, "bytes", where));
    if (!file_name_is_plain(name))
        return status_fail(ERR_DATA, "%s: `%s` is no plain file name", where, name);
    return OK;
}

static Status check_structure(const Json *m, const char *where, bool *newer) {
    int64_t format, step;
    Json *files, *run;
    TRY(json_want_int(&format, m, "format", where));
    *newer = format > MANIFEST_FORMAT;
    if (format != MANIFEST_FORMAT)
        return status_fail(ERR_DATA, "%s: format %lld; this version of the program reads format %d",
                           where, (long long)format, MANIFEST_FORMAT);
    TRY(json_want_int(&step, m, "step", where));
    TRY(json_want(&run, m, "run", JSON_KIND_OBJECT, where));
    TRY(json_want(&files, m, "files", JSON_KIND_ARRAY, where));
    for (int64_t i = 0; i < json_len(files); i++) TRY(check_file_entry(json_at(files, i), where));
    return OK;
}

static Status parse_checked(Json **out, const Str *text, const char *path, bool *newer) {
    TRY(json_parse(out, str_text(text), text->len, path, 1));
    if (!json_is(*out, JSON_KIND_OBJECT))
        return status_fail(ERR_DATA, "%s: holds no JSON object; the checkpoint is damaged", path);
    if (!is_sealed(*out, text))
        return status_fail(ERR_DATA, "%s: was changed after it was written", path);
    return check_structure(*out, path, newer);
}

Status manifest_read(Json **out, const char *folder, bool *newer) {
    bool dummy;
    if (newer == NULL) newer = &dummy;
    *newer = false;
    *out = NULL;
    char *path = file_join(folder, MANIFEST_NAME);
    Str text = {0};
    Status st;
    if (!file_exists(path))
        st = status_fail(ERR_DATA, "%s: is missing; the checkpoint is not complete", path);
    else
        st = file_read(&text, path, (size_t)64 << 20);
    if (st == OK) st = parse_checked(out, &text, path, newer);
    if (st != OK) {
        json_free(*out);
        *out = NULL;
    }
    str_free(&text);
    mem_free(path);
    return st;
}

static Status check_file(const Json *entry, const char *path) {
    char hex[SHA256_HEX];
    int64_t bytes = json_int(json_get(entry, "bytes"));
    int64_t found = file_size(path);
    if (found < 0) return status_fail(ERR_DATA, "%s: is missing", path);
    if (found != bytes)
        return status_fail(ERR_DATA, "%s: has %lld bytes, not %lld", path, (long long)found,
                           (long long)bytes);
    TRY(sha256_file(hex, path));
    if (!str_equal(hex, json_str(json_get(entry, "sha256"), NULL)))
        return status_fail(ERR_DATA, "%s: is damaged (its SHA-256 differs from the manifest's)",
                           path);
    return OK;
}

Status manifest_check_files(const Json *manifest, const char *folder) {
    for (int64_t i = 0; i < manifest_file_count(manifest); i++) {
        char *path = file_join(folder, manifest_file_name(manifest, i));
        Status st = check_file(json_at(json_get(manifest, "files"), i), path);
        mem_free(path);
        TRY(st);
    }
    return OK;
}

int64_t manifest_step(const Json *manifest) {
    return json_int(json_get(manifest, "step"));
}

const char *manifest_only(const Json *manifest) {
    const Json *only = json_get(manifest, "only");
    return json_is(only, JSON_KIND_STRING) ? json_str(only, NULL) : NULL;
}

int64_t manifest_file_count(const Json *manifest) {
    return json_len(json_get(manifest, "files"));
}

const char *manifest_file_name(const Json *manifest, int64_t i) {
    return json_str(json_get(json_at(json_get(manifest, "files"), i), "name"), NULL);
}
