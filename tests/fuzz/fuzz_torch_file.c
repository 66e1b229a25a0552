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
#include "zip_case.h"

/* Bytes before the directory, each in one entry, each entry of another name. */
static void check_zip(const Zip *z, const FileMap *map) {
    const unsigned char *end = map->data + map->size - 22;
    while (memcmp(end, "PK\5\6", 4) != 0 ||
           (end[20] | end[21] << 8) != map->data + map->size - 22 - end)
        end--;
    uint32_t directory;
    memcpy(&directory, end + 16, sizeof directory);
    size_t room = directory < map->size ? directory : map->size;
    for (size_t i = 0; i < z->n_entries; i++) {
        const ZipEntry *e = &z->entries[i];
        CHECK(e->data >= map->data && e->data <= map->data + room &&
                  e->bytes <= (size_t)(map->data + room - e->data),
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
        size_t last = 0; /* else there are holes, or elements that are one */
        for (int k = 0; n > 0 && k < t->rank; k++)
            last += (size_t)(t->shape[k] - 1) * (size_t)t->stride[k];
        CHECK(n == 0 || last == n - 1, "`%s`: element %zu of %zu", t->name, last, n);
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

static void seed_zip_as(const ZipPart *parts, size_t n, bool is_64, bool is_bad) {
    Str s = zip_of(parts, n, is_64);
    (is_bad ? fuzz_seed_bad : fuzz_seed)(s.data, s.len);
    str_free(&s);
}

static void seed_zip(const ZipPart *parts, size_t n, bool is_bad) {
    seed_zip_as(parts, n, false, is_bad);
    seed_zip_as(parts, n, true, is_bad);
}

/* What is done with storage "0", which has six numbers of four bytes. */
static void seed_tensor(const char *pickle, size_t n, bool is_bad) {
    seed_zip((ZipPart[]){{.name = "r/data.pkl", .data = pickle, .n_data = n},
                         {.name = "r/data/0", .data = "storage of 24 bytes of F"}},
             2, is_bad);
}

static void seed_parts(void) {
    static const char empty[] = "\x80\2}.";
#define PICKLE {.name = "r/data.pkl", .data = empty}
    seed_zip((ZipPart[]){PICKLE, {.name = "r/a", .data = "aaa", .bytes = 4}}, 2, true);
    seed_zip((ZipPart[]){PICKLE, {.name = "r/a", .data = "aaa", .bytes = 0x7fffffff}}, 2, true);
    seed_zip((ZipPart[]){{.name = "r/data.pkl", .data = empty, .bytes = 40},
                         {.name = "r/a", .data = "aaa"}},
             2, true);
    seed_zip((ZipPart[]){PICKLE, {.name = "r/a", .data = "x"}, {.name = "r/a", .data = "y"}}, 3,
             true);
    seed_zip((ZipPart[]){PICKLE,
                         {.name = "r/a", .data = "x"},
                         {.name = "r/a", .data = "x", .again = true}},
             3, true);
    seed_zip_as((ZipPart[]){PICKLE, {.name = "r/a", .data = "x", .extra_bytes = 25}}, 2, true,
                true);
    seed_zip_as((ZipPart[]){PICKLE, {.name = "r/a", .data = "x", .extra_bytes = 8}}, 2, true, true);
}

/* Numbers of a good file that say more than there is: places are counted from its end, whose
 * record has 22 bytes and a comment of 7, below the entry of `r/a` in the directory. */
static void seed_numbers(void) {
    static const struct {
        size_t back, bytes;
        uint64_t value;
    } changes[] = {
        {29 - 8, 4, 3 | 3 << 16}, /* entries */
        {29 - 12, 4, 0x7fffffff}, /* bytes of the directory (too many, too few) ... */
        {29 - 12, 4, 46 + 10 + 46 + 3 - 4},
        {29 - 16, 4, 0x7fffffff}, /* ... and its place */
        {78 - 28, 2, 0xffff},     /* of the entry: name, extra part, comment */
        {78 - 30, 2, 1},
        {78 - 32, 2, 1},
        {78 - 32, 2, 0xffff},
        {78 - 42, 4, 0x7fffffff}, /* where its bytes are */
        {78 - 42, 4, 80},
        {78 + 56 + 36 - 28, 2, 1}, /* beside them: an extra part */
        {78 + 56 + 36 - 28, 2, 0xffff},
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        Str s = zip_of(
            (ZipPart[]){{.name = "r/data.pkl", .data = "\x80\2}."}, {.name = "r/a", .data = "aaa"}},
            2, false);
        memcpy(s.data + s.len - changes[i].back, &changes[i].value, changes[i].bytes);
        fuzz_seed_bad(s.data, s.len);
        str_free(&s);
    }
}

#define STORAGE(type, count)                              \
    "(X\7\0\0\0storagectorch\n" type "Storage\nX\1\0\0\0" \
    "0X\3\0\0\0cpu" count "tQ"
#define TENSOR(name, storage, offset, shape, strides) \
    "X\1\0\0\0" name "ctorch._utils\n_rebuild_tensor_v2\n(" storage offset shape strides "\x89}tR"
#define SEED(text, is_bad) \
    seed_tensor("\x80\2}(" text "u.", sizeof("\x80\2}(" text "u.") - 1, is_bad)
#define TWO_TO_32 "\x8a\5\0\0\0\0\1"
#define TWO_TO_62_AND_6 "\x8a\x08\6\0\0\0\0\0\0\x40"
#define FLOATS STORAGE("Float", "K\6")

static void seed_rules(void) {
    SEED(TENSOR("a", FLOATS, "K\0", "K\2K\3\x86", "K\3K\1\x86"), false);
    SEED(TENSOR("a", FLOATS, "K\1", "K\5\x85", "K\1\x85")
             TENSOR("b", FLOATS, "K\0", "K\3K\2\x86", "K\1K\3\x86"),
         false);
    SEED(TENSOR("a", FLOATS, "K\1", "K\6\x85", "K\1\x85"), true);
    SEED(TENSOR("a", FLOATS, "K\7", "K\0\x85", "K\1\x85"), true);
    SEED(TENSOR("a", FLOATS, "K\0", "K\7\x85", "K\1\x85"), true);
    SEED(TENSOR("a", STORAGE("Float", "K\7"), "K\0", "K\7\x85", "K\1\x85"), true);
    SEED(TENSOR("a", STORAGE("Double", "K\6"), "K\0", "K\6\x85", "K\1\x85"), true);
    SEED(TENSOR("a", STORAGE("Float", TWO_TO_62_AND_6), "K\0", "K\6\x85", "K\1\x85"), true);
    SEED(TENSOR("a", FLOATS, "K\0", TWO_TO_32 TWO_TO_32 "\x86", TWO_TO_32 "K\1\x86"), true);
    SEED(TENSOR("a", FLOATS, "K\0", "K\2K\3\x86", "K\4K\1\x86"), true);
    SEED(TENSOR("a", FLOATS, "K\0", "K\3K\3\x86", "K\1K\1\x86"), true);
    SEED(TENSOR("a", FLOATS, "K\0", "K\6\x85", "K\1\x85")
             TENSOR("a", FLOATS, "K\0", "K\6\x85", "K\1\x85"),
         true);
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
    seed_parts();
    seed_numbers();
}

const char *const fuzz_words[] = {"PK\1\2",       "PK\3\4",  "PK\5\6",     "PK\6\6", "PK\6\7",
                                  "kinds/data/0", "K\1\x85", "K\2K\3\x86", "u.",     NULL};
