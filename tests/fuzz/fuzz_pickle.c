/* The pickle of a file of torch.save, without its ZIP file.
 *
 * Parser: core/io/pickle.c
 */
#include "fuzz.h"

#include "core/io/pickle.h"
#include "core/io/zip.h"

/* What pickle.h says of a tensor; torch_file.c goes by it. */
static void check_tensor(const PickleTensor *t) {
    CHECK(t->name[0] && t->storage[0] && t->type && t->item_bytes > 0, "half a tensor");
    CHECK(str_utf8_valid(t->name, strlen(t->name), NULL), "a name that is no text");
    CHECK(t->n_stored <= INT64_MAX && t->offset <= INT64_MAX, "`%s`: a negative size", t->name);
    CHECK(t->rank >= 0 && t->rank <= PICKLE_MAX_RANK, "`%s`: rank %d", t->name, t->rank);
    for (int i = 0; i < t->rank; i++)
        CHECK(t->shape[i] >= 0 && t->stride[i] >= 0, "`%s`: a negative axis", t->name);
}

static void check_same(const PickleTensor *t, const PickleTensor *u) {
    CHECK(str_equal(t->name, u->name) && str_equal(t->storage, u->storage) && t->type == u->type &&
              t->n_stored == u->n_stored && t->offset == u->offset && t->rank == u->rank &&
              memcmp(t->shape, u->shape, sizeof t->shape) == 0 &&
              memcmp(t->stride, u->stride, sizeof t->stride) == 0,
          "`%s` depends on where the pickle lies", t->name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Pickle p, q;
    /* Twice, at two places: a value that is taken for one of another kind may hold an address. */
    unsigned char *copy = mem_alloc(size + 1);
    memcpy(copy, data, size);
    bool ok = fuzz_ok(pickle_read(&p, data, size, "pytorch_model.bin"));
    CHECK(fuzz_ok(pickle_read(&q, copy, size, "pytorch_model.bin")) == ok, "read once, not twice");
    for (size_t i = 0; ok && i < p.n_tensors; i++) {
        check_tensor(&p.tensors[i]);
        check_same(&p.tensors[i], &q.tensors[i]);
    }
    pickle_close(&p);
    pickle_close(&q);
    mem_free(copy);
    return 0;
}

static void seed_file(const char *name) {
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

/* ---- programs that break one rule ---- */

#define TEXT(n, text) "X" n "\0\0\0" text
#define NUMBERS TEXT("\7", "storage") "ctorch\nFloatStorage\n" TEXT("\1", "0") TEXT("\3", "cpu")
#define STORAGE "(" NUMBERS "K\6tQ"
#define KEY TEXT("\1", "a")
#define REBUILD "ctorch._utils\n_rebuild_tensor_v2\n"
#define PARAMETER "ctorch._utils\n_rebuild_parameter\n"
#define HEAD KEY REBUILD "("
#define SHAPE "K\2K\3\x86K\3K\1\x86"
#define DICT "ccollections\nOrderedDict\n)R"
#define PROGRAM(text) fuzz_seed_bad("\x80\2" text ".", sizeof("\x80\2" text ".") - 1)
#define GOOD(text) fuzz_seed("\x80\2}" text ".", sizeof("\x80\2}" text ".") - 1)
#define BAD(text) PROGRAM("}" text)

static void seed_tensors(void) {
    GOOD(HEAD STORAGE "K\0" SHAPE "\x89" DICT "tRs");
    GOOD(KEY PARAMETER "(" REBUILD "(" STORAGE "K\0" SHAPE "\x89" DICT "tR\x89" DICT "tRs");
    /* a storage that is not ("storage", a type, a name, where, a number) */
    BAD(HEAD "(K\1ctorch\nFloatStorage\n" TEXT("\1", "0") "K\1K\6tQK\0" SHAPE "\x89}tRs");
    BAD(HEAD "(" TEXT("\7", "storage") "K\1" TEXT("\1", "0") "K\1K\6tQK\0" SHAPE "\x89}tRs");
    BAD(HEAD "(" TEXT("\7", "storage") "ccollections\nOrderedDict\n" TEXT(
        "\1", "0") "K\1K\6tQK\0" SHAPE "\x89}tRs");
    BAD(HEAD "(" TEXT("\7", "storage") "ctorch\nFloatStorage\nK\1K\1K\6tQK\0" SHAPE "\x89}tRs");
    BAD(HEAD "(" NUMBERS TEXT("\1", "6") "tQK\0" SHAPE "\x89}tRs");
    BAD(HEAD "(" NUMBERS "J\377\377\377\377tQK\0" SHAPE "\x89}tRs");
    BAD(HEAD "(" NUMBERS "tQK\0" SHAPE "\x89}tRs");
    BAD(HEAD "K\6Q"
             "K\0" SHAPE "\x89}tRs");
    BAD(HEAD "(" TEXT("\7", "storage") "ctorch\nFloatStorage\n" TEXT("\0", "") "K\1K\6tQK\0" SHAPE
                                                                               "\x89}tRs");
    BAD(HEAD "(" TEXT("\7", "storage") "ctorch\nFloatStorage\n" TEXT(
        "\2", "0\0") "K\1K\6tQK\0" SHAPE "\x89}tRs");
    BAD("\x8a\5\377\377\377\177\5Q"); /* a number, like a tuple of five far away */
    /* a tensor that is not (storage, offset, shape, strides, ...) */
    BAD(HEAD "K\6K\0" SHAPE "\x89}tRs");
    BAD(HEAD "}K\0" SHAPE "\x89}tRs");
    BAD(HEAD STORAGE TEXT("\1", "0") SHAPE "\x89}tRs");
    BAD(HEAD STORAGE "J\377\377\377\377" SHAPE "\x89}tRs");
    BAD(HEAD STORAGE "K\0K\6K\1\x89}tRs");
    BAD(HEAD STORAGE "K\0}}\x89}tRs");
    BAD(HEAD STORAGE "K\0K\6\x85}\x89}tRs");
    BAD(HEAD STORAGE "K\0K\2K\3\x86K\1\x85\x89}tRs");
    BAD(HEAD STORAGE "K\0" TEXT("\1", "6") "\x85K\1\x85\x89}tRs");
    BAD(HEAD STORAGE "K\0J\377\377\377\377\x85K\1\x85\x89}tRs");
    BAD(HEAD STORAGE "K\0K\6\x85J\377\377\377\377\x85\x89}tRs");
    BAD(HEAD STORAGE "K\0(K\1K\1K\1K\1K\1K\1K\1K\1K\6t(K\1K\1K\1K\1K\1K\1K\1K\1K\1t\x89}tRs");
    BAD(HEAD STORAGE "K\0(K\1K\1K\1K\1K\1K\1K\1K\1tK\1\x85\x89}tRs");
    BAD(KEY REBUILD "\x8a\5\377\377\377\177\6Rs");
    BAD(HEAD STORAGE "K\0"
                     "tRs");
    BAD(KEY PARAMETER "(K\1\x89}tRs");
    BAD(KEY PARAMETER ")Rs");
}

static void seed_machine(void) {
    BAD("K\1K\2s");     /* a tensor is a number */
    BAD("(tK\1K\2s");   /* items of a tuple */
    BAD("K\1(K\1K\2u"); /* items of a number */
    PROGRAM("(u");
    BAD("(" TEXT("\1", "a") "u"); /* half a pair */
    BAD("(K\1u");                 /* half a pair */
    BAD(TEXT("\1", "a") "(s");    /* a mark for a value */
    BAD("K\1a");                  /* a number in a dict */
    GOOD("](K\1e0");
    BAD("K\1(K\1e"); /* a list that is a number */
    BAD("K\1}b");    /* a state of a number */
    BAD("]K\1R");    /* calls a list */
    BAD("ccollections\nOrderedDict\nK\1R");
    BAD("ccollections\nOrderedDict\nK\1\x85R");
    BAD("K\1K\1\x93"); /* a name that is a number */
    BAD("h\0010");
    BAD("q\7h\0060");
    BAD("0\x87");
    BAD("0s");
    BAD("(\x85");
    BAD("000");
    BAD("\x8a\x09"
        "1234567890");
    BAD(TEXT("\377", "a"));
}

void fuzz_seeds(void) {
    static const char *const names[] = {
        "kinds.bin",          "protocol4.bin",      "llama/pytorch_model.bin", "refused/system.bin",
        "refused/nested.bin", "refused/module.bin", "refused/sparse.bin",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) seed_file(names[i]);
    seed_tensors();
    seed_machine();
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
