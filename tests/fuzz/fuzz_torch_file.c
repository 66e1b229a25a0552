/* A whole file of torch.save: the ZIP file's directory, the pickle, storages and strides. */
#include "fuzz.h"

#include "core/io/tensor_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    TensorFile *f = NULL;
    volatile unsigned sum = 0;
    (void)sum;
    if (!fuzz_ok(tensor_file_open(&f, fuzz_file("pytorch_model.bin", data, size)))) return 0;
    for (int64_t i = 0; i < tensor_file_count(f); i++) {
        const TensorEntry *e = tensor_file_at(f, i);
        if (e->dtype == DTYPE_NONE) continue;
        void *made;
        const unsigned char *values = tensor_entry_values(e, &made);
        for (size_t k = 0; k < e->bytes; k++) sum += values[k];
        mem_free(made);
    }
    tensor_file_close(f);
    return 0;
}

void fuzz_seeds(void) {
    static const char *const names[] = {
        "kinds.bin",           "protocol4.bin",          "refused/expanded.bin",
        "refused/strided.bin", "refused/compressed.bin",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = str_format("tests/golden/data/torch_files/%s", names[i]);
        fuzz_seed_file(path, (size_t)1 << 16);
        mem_free(path);
    }
}

const char *const fuzz_words[] = {"PK\1\2", "PK\3\4",       "PK\5\6", "PK\6\6",
                                  "PK\6\7", "kinds/data/0", NULL};
