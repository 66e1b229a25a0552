/* The index of a model in several files: the first byte picks whose, safetensors' or torch's.
 *
 * Parser: core/io/shard_index.c
 */
#include "fuzz_tensors.h"

#include "core/io/tensor_file.h"

#define SHARD                                                                              \
    "\x40\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"U8\",\"shape\":[2,2],\"data_offsets\":[0,4]}} " \
    "        1234"
#define OTHER                                                                              \
    "\x40\0\0\0\0\0\0\0{\"b\":{\"dtype\":\"U8\",\"shape\":[2,2],\"data_offsets\":[0,4]}} " \
    "        5678"

static void copy(const char *from, const char *name) {
    Str bytes = {0};
    char *path = file_join(HONE_SOURCE_DIR "/tests/golden/data/torch_files", from);
    CHECK(file_read(&bytes, path, 1 << 20) == OK, "%s", status_message());
    fuzz_file(name, bytes.data, bytes.len);
    str_free(&bytes);
    mem_free(path);
}

static void write_shards(void) {
    static bool done;
    if (done) return;
    done = true;
    fuzz_file("0/model-00001-of-00002.safetensors", SHARD, sizeof SHARD - 1);
    fuzz_file("0/model-00002-of-00002.safetensors", OTHER, sizeof OTHER - 1);
    copy("kinds.bin", "1/kinds.bin");
    copy("protocol4.bin", "1/protocol4.bin");
    fuzz_file("kinds.bin", "above", 5);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    write_shards();
    const char *path =
        fuzz_file(data[0] % 2 ? "1/pytorch_model.bin.index.json" : "0/model.safetensors.index.json",
                  data + 1, size - 1);
    TensorFile *f = NULL;
    if (!fuzz_ok(tensor_file_open(&f, path))) return 0;
    if (tensor_file_count(f) > 0)
        fuzz_entries(tensor_file_at(f, 0), tensor_file_count(f), (size_t)1 << 20, false);
    tensor_file_close(f);
    return 0;
}

void fuzz_seeds(void) {
    fuzz_seed_text("0{\"metadata\": {\"total_size\": 8}, \"weight_map\": {\"a\": "
                   "\"model-00001-of-00002.safetensors\", \"b\": "
                   "\"model-00002-of-00002.safetensors\"}}");
    fuzz_seed_text("0{\"weight_map\": {\"b\": \"model-00002-of-00002.safetensors\"}}");
    fuzz_seed_text("1{\"weight_map\": {\"f32\": \"kinds.bin\", \"permuted\": \"protocol4.bin\"}}");
    fuzz_seed_text("1{\"weight_map\": {\"f32\": \"../kinds.bin\"}}");
    fuzz_seed_text("0{\"weight_map\": {\"a\": \"model-00002-of-00002.safetensors\"}}");
    fuzz_seed_text("0{\"weight_map\": {\"a\": 1}}");
    fuzz_seed_text("0{\"weight_map\": {}}");
}

const char *const fuzz_words[] = {"../",
                                  "\"weight_map\": ",
                                  ".safetensors",
                                  ".bin",
                                  "\"model-00001-of-00002.safetensors\"",
                                  "\"kinds.bin\"",
                                  "\\u0000",
                                  "{}",
                                  "null",
                                  NULL};
