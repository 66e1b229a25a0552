/* safetensors: a header that says where the bytes of each tensor are. */
#include "fuzz.h"

#include "core/io/safetensors.h"

/* Every byte that an entry claims is read, so that one outside of the file shows. */
static unsigned sum_entry(const TensorEntry *e) {
    unsigned sum = 0;
    for (size_t i = 0; i < e->bytes; i++) sum += ((const unsigned char *)e->data)[i];
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Safetensors *s = NULL;
    volatile unsigned sum = 0;
    (void)sum;
    if (!fuzz_ok(safetensors_open(&s, fuzz_file("model.safetensors", data, size)))) return 0;
    for (int64_t i = 0; i < safetensors_count(s); i++) {
        const TensorEntry *e = safetensors_at(s, i);
        sum += sum_entry(e);
        CHECK(safetensors_find(s, e->name) == e, "`%s` is not found", e->name);
    }
    safetensors_meta(s, "format");
    safetensors_close(s);
    return 0;
}

static void seed(const char *header, size_t n_data) {
    Str file = {0};
    uint64_t n = strlen(header);
    str_append_n(&file, (const char *)&n, sizeof n);
    str_append(&file, header);
    for (size_t i = 0; i < n_data; i++) str_append_n(&file, "\x01", 1);
    fuzz_seed(file.data, file.len);
    str_free(&file);
}

void fuzz_seeds(void) {
    seed("{\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
         "\"b\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[24,32]}}",
         32);
    seed("{\"__metadata__\":{\"format\":\"pt\"},"
         "\"x.weight\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]}}   ",
         8);
    seed("{}", 0);
}

const char *const fuzz_words[] = {
    "\"F64\"",      "\"F8_E4M3\"", "\"BOOL\"", "\"shape\":[", "\"data_offsets\":[0,0]",
    "__metadata__", "[0,",         "-1",       NULL};
