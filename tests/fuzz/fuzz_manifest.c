/* MANIFEST.json of a checkpoint, found by `hone verify` and by a resume. A text that is not what
 * was sealed is refused, so the seal is made again where the input is an object: what is behind it
 * is reached too.
 *
 * Parser: train/manifest.c
 */
#include "fuzz.h"

#include "train/checkpoint.h"
#include "train/manifest.h"

static void look(void) {
    char *folder = file_join(fuzz_folder(), "checkpoints/step-3");
    Json *manifest = NULL;
    bool newer = false;
    if (fuzz_ok(manifest_read(&manifest, folder, &newer))) {
        manifest_step(manifest);
        for (int64_t i = 0; i < manifest_file_count(manifest); i++)
            CHECK(file_name_is_plain(manifest_file_name(manifest, i)), "`%s` reaches elsewhere",
                  manifest_file_name(manifest, i));
    }
    json_free(manifest);
    manifest = NULL;
    fuzz_ok(checkpoint_verify(folder, &manifest));
    json_free(manifest);
    mem_free(folder);
}

static void put(const void *bytes, size_t n) {
    fuzz_file("checkpoints/step-3/state-00001.h5", "state", 5);
    fuzz_file("checkpoints/step-3/" MANIFEST_NAME, bytes, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    put(data, size);
    look();
    Json *j = NULL;
    bool parsed = json_parse(&j, (const char *)data, size, "fuzz", 1) == OK;
    status_clear();
    if (parsed && json_is(j, JSON_KIND_OBJECT)) {
        Str text = {0};
        json_del(j, "sha256");
        manifest_seal(&text, j);
        put(text.data, text.len);
        look();
        str_free(&text);
    }
    json_free(j);
    return 0;
}

void fuzz_seeds(void) {
    fuzz_seed_text("-1");
    Str text = {0};
    Json *run = json_new_object();
    json_set(run, "config", json_new_str("x"));
    Json *manifest = manifest_new(3, run);
    manifest_add_file(manifest, "state-00001.h5", "state", 5);
    manifest_seal(&text, manifest);
    fuzz_seed(text.data, text.len);
    str_free(&text);
    json_free(manifest);
    json_free(run);
}

const char *const fuzz_words[] = {"\"format\": ",
                                  "\"files\": ",
                                  "\"../x\"",
                                  "\"name\": ",
                                  "\"\"",
                                  "\"/etc/passwd\"",
                                  "\"bytes\": ",
                                  "null",
                                  "[]",
                                  "{}",
                                  "-1",
                                  "\"run\": ",
                                  NULL};
