/* safetensors: a header that says where the bytes of each tensor are.
 *
 * Parser: core/io/safetensors.c
 */
#include "fuzz_tensors.h"

#include "core/io/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Safetensors *s = NULL;
    if (!fuzz_ok(safetensors_open(&s, fuzz_file("model.safetensors", data, size)))) return 0;
    int64_t n = safetensors_count(s);
    size_t bytes = 0;
    if (n > 0) fuzz_entries(safetensors_at(s, 0), n, size, true);
    for (int64_t i = 0; i < n; i++) bytes += safetensors_at(s, i)->bytes;
    uint64_t header;
    memcpy(&header, data, sizeof header);
    CHECK(header <= size - 8 && bytes == size - 8 - header, "%zu bytes are in no tensor or two",
          size - 8 - (size_t)header);
    safetensors_meta(s, "format");
    safetensors_close(s);
    return 0;
}

static void seed_by(void (*give)(const void *, size_t), const char *header, size_t n_data) {
    Str file = {0};
    uint64_t n = strlen(header);
    str_append_n(&file, (const char *)&n, sizeof n);
    str_append(&file, header);
    for (size_t i = 0; i < n_data; i++) str_append_n(&file, "\x01", 1);
    give(file.data, file.len);
    str_free(&file);
}

static void seed(const char *header, size_t n_data) {
    seed_by(fuzz_seed, header, n_data);
}

static void seed_bad(const char *header, size_t n_data) {
    seed_by(fuzz_seed_bad, header, n_data);
}

void fuzz_seeds(void) {
    seed("{\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
         "\"b\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[24,32]}}",
         32);
    seed("{\"__metadata__\":{\"format\":\"pt\"},"
         "\"x.weight\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]}}   ",
         8);
    seed("{}", 0);
    seed_bad("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
             "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[2,6]}}",
             6);
    seed_bad("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
             "\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,8]}}",
             8);
    seed_bad("{\"a\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]}}", 7);
    seed_bad("{\"a\":{\"dtype\":\"U8\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}",
             0);
    seed_bad("{\"a\":{\"dtype\":\"F64\",\"shape\":[2305843009213693952],\"data_offsets\":[0,0]}}",
             0);
    seed_bad("{\"a\":{\"dtype\":\"U8\",\"shape\":{},\"data_offsets\":[0,1]}}", 1);
    seed_bad("{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1,1]}}", 1);
    seed_bad("{\"a\":{\"dtype\":\"U8\",\"shape\":[-1,0],\"data_offsets\":[0,0]}}", 0);
    seed_bad("{\"a\":{\"dtype\":\"U8\",\"shape\":[-1,-1],\"data_offsets\":[0,1]}}", 1);
    seed_bad("{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", 1);
}

const char *const fuzz_words[] = {
    "\"F64\"",      "\"F8_E4M3\"", "\"BOOL\"", "\"shape\":[", "\"data_offsets\":[0,0]",
    "__metadata__", "[0,",         "-1",       NULL};
