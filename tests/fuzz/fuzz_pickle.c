/* The pickle of a file of torch.save, without its ZIP file. */
#include "fuzz.h"

#include "core/io/pickle.h"
#include "core/io/zip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Pickle p;
    volatile size_t sum = 0;
    (void)sum;
    if (fuzz_ok(pickle_read(&p, data, size, "pytorch_model.bin")))
        for (size_t i = 0; i < p.n_tensors; i++)
            sum += strlen(p.tensors[i].name) + strlen(p.tensors[i].storage);
    pickle_close(&p);
    return 0;
}

static void seed(const char *name) {
    char *path = str_format(HONE_SOURCE_DIR "/tests/golden/data/torch_files/%s", name);
    FileMap map = {0};
    Zip zip;
    CHECK(file_map(&map, path) == OK && zip_open(&zip, &map, path) == OK, "%s", status_message());
    for (size_t i = 0; i < zip.n_entries; i++)
        if (str_ends(zip.entries[i].name, "/data.pkl"))
            fuzz_seed(zip.entries[i].data, zip.entries[i].bytes);
    zip_close(&zip);
    file_unmap(&map);
    mem_free(path);
}

void fuzz_seeds(void) {
    static const char *const names[] = {
        "kinds.bin",          "protocol4.bin",      "llama/pytorch_model.bin", "refused/system.bin",
        "refused/nested.bin", "refused/module.bin", "refused/sparse.bin",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) seed(names[i]);
}

const char *const fuzz_words[] = {"ctorch\nFloatStorage\n",
                                  "ccollections\nOrderedDict\n)R",
                                  "ctorch._utils\n_rebuild_tensor_v2\n",
                                  "ctorch._utils\n_rebuild_parameter\n",
                                  "X\1",
                                  "q\1",
                                  "h\1",
                                  "tQ",
                                  "tR",
                                  NULL};
