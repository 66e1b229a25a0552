/* A whole file of torch.save: the ZIP file's directory, the pickle, storages and strides.
 *
 * Parser: core/io/torch_file.c
 * Parser: core/io/zip.c
 * Parser: core/io/tensor_entry.c
 */
#include "fuzz_tensors.h"

#include "core/io/pickle.h"
#include "core/io/tensor_file.h"
#include "core/io/zip.h"

/* Bytes within the file, each in one entry, each entry of another name. */
static void check_zip(const Zip *z, const FileMap *map) {
    for (size_t i = 0; i < z->n_entries; i++) {
        const ZipEntry *e = &z->entries[i];
        CHECK(e->data >= map->data && e->data <= map->data + map->size &&
                  e->bytes <= (size_t)(map->data + map->size - e->data),
              "`%s` lies outside of the file", e->name);
        CHECK(i == 0 || strcmp(z->entries[i - 1].name, e->name) < 0, "`%s` is there twice",
              e->name);
        for (size_t k = 0; k < i; k++)
            CHECK(e->data + e->bytes <= z->entries[k].data ||
                      z->entries[k].data + z->entries[k].bytes <= e->data,
                  "`%s` overlaps `%s`", e->name, z->entries[k].name);
    }
}

/* Storages are there, as large as the pickle says, and hold their tensors. */
static void check_storages(const Zip *z, const ZipEntry *pickle) {
    Pickle p;
    size_t root = strlen(pickle->name) - strlen("data.pkl");
    CHECK(pickle_read(&p, pickle->data, pickle->bytes, "again") == OK, "%s", status_message());
    for (size_t i = 0; i < p.n_tensors; i++) {
        const PickleTensor *t = &p.tensors[i];
        char *name = str_format("%.*sdata/%s", (int)root, pickle->name, t->storage);
        const ZipEntry *e = zip_find(z, name);
        size_t n = fuzz_elements(t->name, t->shape, t->rank), bytes;
        CHECK(e, "`%s` has no storage", t->name);
        CHECK(!__builtin_mul_overflow((size_t)t->n_stored, t->item_bytes, &bytes) &&
                  bytes == e->bytes,
              "`%s`: a storage of %zu bytes", t->name, e->bytes);
        CHECK(t->offset <= t->n_stored && n <= t->n_stored - t->offset,
              "`%s` reaches out of its storage", t->name);
        mem_free(name);
    }
    pickle_close(&p);
}

static bool is_pickle(const char *name) {
    const char *slash = strchr(name, '/');
    return slash && str_equal(slash + 1, "data.pkl");
}

static void check_file(const char *path, bool accepted) {
    FileMap map = {0};
    Zip z;
    CHECK(file_map(&map, path) == OK, "%s", status_message());
    bool is_zip = zip_open(&z, &map, path) == OK;
    CHECK(is_zip || !accepted, "%s", status_message());
    status_clear();
    if (is_zip) check_zip(&z, &map);
    size_t first = 0;
    while (accepted && !is_pickle(z.entries[first].name)) first++;
    if (accepted) check_storages(&z, &z.entries[first]);
    zip_close(&z);
    file_unmap(&map);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    TensorFile *f = NULL;
    const char *path = fuzz_file("pytorch_model.bin", data, size);
    bool accepted = fuzz_ok(tensor_file_open(&f, path));
    check_file(path, accepted);
    int64_t n = accepted ? tensor_file_count(f) : 0;
    if (n > 0) fuzz_entries(tensor_file_at(f, 0), n, size, false);
    tensor_file_close(f);
    return 0;
}

/* ---- files that break one rule ---- */

static void put(Str *s, uint64_t x, size_t bytes) {
    str_append_n(s, (const char *)&x, bytes); /* x86: the lowest byte first */
}

/* A file in the ZIP file `s` and its entry in the directory. */
static void put_part(Str *s, Str *directory, const char *name, const char *data, size_t n) {
    size_t at = s->len;
    str_append_n(s, "PK\3\4", 4);
    put(s, 0, 8);
    put(s, 0, 8);
    put(s, 0, 6);
    put(s, strlen(name), 4);
    str_append(s, name);
    str_append_n(s, data, n);
    str_append_n(directory, "PK\1\2", 4);
    put(directory, 0, 8);
    put(directory, 0, 8);
    put(directory, n, 4);
    put(directory, n, 4);
    put(directory, strlen(name), 8);
    put(directory, 0, 6);
    put(directory, at, 4);
    str_append(directory, name);
}

/* Storage "0" has six numbers of four bytes; `tensor` is what is done with it. */
static void seed_tensor(const char *pickle, size_t n) {
    Str s = {0}, directory = {0};
    put_part(&s, &directory, "r/data.pkl", pickle, n);
    put_part(&s, &directory, "r/data/0", "storage of 24 bytes of F", 24);
    size_t at = s.len;
    str_append_n(&s, directory.data, directory.len);
    str_append_n(&s, "PK\5\6\0\0\0\0", 8);
    put(&s, 2, 2);
    put(&s, 2, 2);
    put(&s, directory.len, 4);
    put(&s, at, 4);
    put(&s, 0, 2);
    fuzz_seed(s.data, s.len);
    str_free(&directory);
    str_free(&s);
}

#define STORAGE(type, count)                              \
    "(X\7\0\0\0storagectorch\n" type "Storage\nX\1\0\0\0" \
    "0X\3\0\0\0cpu" count "tQ"
#define TENSOR(name, storage, offset, shape, strides) \
    "X\1\0\0\0" name "ctorch._utils\n_rebuild_tensor_v2\n(" storage offset shape strides "\x89}tR"
#define SEED(text) seed_tensor("\x80\2}(" text "u.", sizeof("\x80\2}(" text "u.") - 1)
#define TWO_TO_32 "\x8a\5\0\0\0\0\1"
#define TWO_TO_62 "\x8a\x08\0\0\0\0\0\0\0\x40"
#define FLOATS STORAGE("Float", "K\6")

static void seed_rules(void) {
    SEED(TENSOR("a", FLOATS, "K\0", "K\2K\3\x86", "K\3K\1\x86")); /* good */
    SEED(TENSOR("a", FLOATS, "K\1", "K\5\x85", "K\1\x85")
             TENSOR("b", FLOATS, "K\0", "K\3K\2\x86", "K\1K\3\x86"));
    SEED(TENSOR("a", FLOATS, "K\1", "K\6\x85", "K\1\x85"));
    SEED(TENSOR("a", FLOATS, "K\7", "K\0\x85", "K\1\x85"));
    SEED(TENSOR("a", FLOATS, "K\0", "K\7\x85", "K\1\x85"));
    SEED(TENSOR("a", STORAGE("Float", "K\7"), "K\0", "K\7\x85", "K\1\x85"));
    SEED(TENSOR("a", STORAGE("Double", "K\6"), "K\0", "K\6\x85", "K\1\x85"));
    SEED(TENSOR("a", STORAGE("Float", TWO_TO_62), "K\0", "K\6\x85", "K\1\x85"));
    SEED(TENSOR("a", FLOATS, "K\0", TWO_TO_32 TWO_TO_32 "\x86", TWO_TO_32 "K\1\x86"));
    SEED(TENSOR("a", FLOATS, "K\0", "K\2K\3\x86", "K\4K\1\x86"));
    SEED(TENSOR("a", FLOATS, "K\0", "K\3K\3\x86", "K\1K\1\x86"));
    SEED(TENSOR("a", FLOATS, "K\0", "K\6\x85", "K\1\x85")
             TENSOR("a", FLOATS, "K\0", "K\6\x85", "K\1\x85"));
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
    seed_rules();
}

const char *const fuzz_words[] = {"PK\1\2",       "PK\3\4",  "PK\5\6",     "PK\6\6", "PK\6\7",
                                  "kinds/data/0", "K\1\x85", "K\2K\3\x86", "u.",     NULL};
