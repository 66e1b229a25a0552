/* torch_file: what torch.save wrote comes back, whatever else is refused, and costs little. */
#include "core/io/pickle.h"
#include "core/io/safetensors.h"
#include "core/io/tensor_file.h"
#include "core/io/torch_file.h"
#include "core/io/zip.h"
#include "scratch.h"
#include "unit.h"
#include "zip_case.h"

#define DATA HONE_SOURCE_DIR "/tests/golden/data/torch_files/"

static size_t numel(const TensorEntry *e) {
    size_t n = 1;
    for (int i = 0; i < e->rank; i++) n *= (size_t)e->shape[i];
    return n;
}

static void expect_same(const TensorEntry *a, const TensorEntry *b) {
    if (!a || a->dtype != b->dtype || a->rank != b->rank || a->bytes != b->bytes)
        fail_msg("%s: %s, rank %d, %zu bytes", b->name, a ? a->dtype_name : "missing",
                 a ? a->rank : 0, a ? a->bytes : 0);
    for (int i = 0; i < a->rank; i++) assert_int_equal(a->shape[i], b->shape[i]);
    void *made;
    const void *values = tensor_entry_values(a, &made);
    if (memcmp(values, b->data, numel(a) * dtype_size(a->dtype)) != 0)
        fail_msg("%s: other values", b->name);
    mem_free(made);
}

static void test_torch_file_open__every_type_and_layout(void **state) {
    (void)state;
    static const char *const FILES[] = {DATA "kinds.bin", DATA "protocol4.bin"};
    Safetensors *want = NULL;
    assert_int_equal(safetensors_open(&want, DATA "kinds.safetensors"), OK);
    for (size_t i = 0; i < 2; i++) {
        TensorFile *f = NULL;
        if (tensor_file_open(&f, FILES[i]) != OK) fail_msg("%s", status_message());
        assert_int_equal(tensor_file_count(f), safetensors_count(want));
        for (int64_t k = 0; k < safetensors_count(want); k++) {
            const TensorEntry *e = safetensors_at(want, k);
            expect_same(tensor_file_find(f, e->name), e);
        }
        /* Rows in order are not copied; one storage serves all that share it. */
        assert_non_null(tensor_file_find(f, "f32")->data);
        assert_ptr_equal(tensor_file_find(f, "f32")->data, tensor_file_find(f, "same")->data);
        assert_ptr_equal((const char *)tensor_file_find(f, "f32")->data + 24,
                         tensor_file_find(f, "rows")->data);
        assert_non_null(tensor_file_find(f, "narrow")->data);
        assert_null(tensor_file_find(f, "permuted")->data);
        tensor_file_close(f);
    }
    safetensors_close(want);
}

static void expect_file(const char *path, Status want, const char *says) {
    TensorFile *f = NULL;
    Status st = tensor_file_open(&f, path);
    if (st != want || (st != OK && !strstr(status_message(), says)))
        fail_msg("%s: %d %s, expected `%s`", path, (int)st, st ? status_message() : "", says);
    tensor_file_close(f);
}

static void test_torch_file_open__refuses_by_name(void **state) {
    (void)state;
    static const struct {
        const char *file, *says;
    } BAD[] = {
        {"system.bin", "asks for `posix.system`"},
        {"eval.bin", "asks for `__builtin__.eval`"},
        {"module.bin", "asks for `torch.nn.modules.linear.Linear`"},
        {"sparse.bin", "asks for `torch._utils._rebuild_sparse_tensor`"},
        {"quantized.bin", "asks for `torch._utils._rebuild_qtensor`"},
        {"nested.bin", "`state_dict` is a dict, not a tensor"},
        {"expanded.bin", "tensor `x`: its axes are neither in order nor transposed"},
        {"strided.bin", "tensor `x`: its axes are neither in order nor transposed"},
        {"before_1.6.bin", "before 1.6"},
        {"compressed.bin", "data.pkl`: is compressed"},
        {"big_endian.bin", "its byte order is not `little`"},
        {"bare_pickle.bin", "not a whole ZIP file"},
    };
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        char *path = str_format("%srefused/%s", DATA, BAD[i].file);
        expect_file(path, ERR_DATA, BAD[i].says);
        mem_free(path);
    }
    char *folder = scratch_new(), *path = scratch_text(folder, "x.pt", "PK");
    expect_file(path, ERR_DATA, "not a whole ZIP file");
    expect_file(folder, ERR_INPUT, "holds no weights");
    mem_free(path);
    scratch_free(folder);
}

static void test_torch_file_open__refuses_every_truncation(void **state) {
    (void)state;
    Str bytes = {0};
    assert_int_equal(file_read(&bytes, DATA "kinds.bin", 1 << 20), OK);
    char *folder = scratch_new();
    for (size_t n = 0; n < bytes.len; n += 3) {
        char *path = scratch_file(folder, "x.bin", bytes.data, n);
        expect_file(path, ERR_DATA, "");
        mem_free(path);
    }
    str_free(&bytes);
    scratch_free(folder);
}

static void test_tensor_file_open__shards(void **state) {
    (void)state;
    char *folder = scratch_new();
    TensorFile *whole = NULL, *parts = NULL;
    assert_int_equal(tensor_file_open(&whole, DATA "llama"), OK);
    assert_int_equal(tensor_file_open(&parts, DATA "llama_sharded"), OK);
    assert_int_equal(tensor_file_count(parts), tensor_file_count(whole));
    for (int64_t i = 0; i < tensor_file_count(whole); i++)
        expect_same(tensor_file_at(parts, i), tensor_file_at(whole, i));
    tensor_file_close(whole);
    tensor_file_close(parts);
    static const struct {
        const char *index;
        Status want;
        const char *says;
    } BAD[] = {
        {"{\"weight_map\": {\"a\": \"../x.bin\"}}", ERR_DATA, "not the plain name of a .bin file"},
        {"{\"weight_map\": {\"a\": \"x.safetensors\"}}", ERR_DATA, "not the plain name of a .bin"},
        {"{\"weight_map\": {\"a\": \"x.bin\"}}", ERR_INPUT, "this shard is missing"},
        {"{\"weight_map\": {\"a\": 1}}", ERR_DATA, "`weight_map.a` must be a string"},
        {"{}", ERR_DATA, "`weight_map` is missing"},
    };
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        mem_free(scratch_text(folder, "pytorch_model.bin.index.json", BAD[i].index));
        expect_file(folder, BAD[i].want, BAD[i].says);
    }
    Str bytes = {0};
    assert_int_equal(file_read(&bytes, DATA "kinds.bin", 1 << 20), OK);
    mem_free(scratch_file(folder, "x.bin", bytes.data, bytes.len));
    expect_file(folder, ERR_DATA, "`weight_map` is missing");
    mem_free(scratch_text(folder, "pytorch_model.bin.index.json",
                          "{\"weight_map\": {\"f32\": \"x.bin\", \"wte\": \"x.bin\"}}"));
    expect_file(folder, ERR_DATA, "tensor `wte` is not in it");
    str_free(&bytes);
    scratch_free(folder);
}

/* ---- ZIP files made by hand (zip_case.h) ---- */

static void expect_zip(const ZipPart *parts, size_t n, bool is_64, const char *says) {
    Str s = zip_of(parts, n, is_64);
    FileMap map = {.data = (const unsigned char *)s.data, .size = s.len};
    Zip z;
    Status st = zip_open(&z, &map, "x.zip");
    if (says ? st != ERR_DATA || !strstr(status_message(), says) : st != OK)
        fail_msg("%d %s, expected %s", (int)st, st ? status_message() : "", says ? says : "OK");
    for (size_t i = 0; i < n && st == OK; i++) {
        const ZipEntry *e = zip_find(&z, parts[i].name);
        assert_int_equal(e->bytes, strlen(parts[i].data));
        assert_memory_equal(e->data, parts[i].data, e->bytes);
    }
    zip_close(&z);
    str_free(&s);
}

static void test_zip_open__rules(void **state) {
    (void)state;
    for (int is_64 = 0; is_64 < 2; is_64++) {
        expect_zip(NULL, 0, is_64, NULL);
        expect_zip((ZipPart[]){{.name = "r/b", .data = "bb"},
                               {.name = "r/a", .data = "aaa"},
                               {.name = "r/none", .data = ""}},
                   3, is_64, NULL);
        expect_zip((ZipPart[]){{.name = "a", .data = "aaa", .method = 8}}, 1, is_64,
                   "`a`: is compressed");
        expect_zip((ZipPart[]){{.name = "a", .data = "aaa", .flags = 1}}, 1, is_64,
                   "`a`: is encrypted");
        expect_zip((ZipPart[]){{.name = "a", .data = "x", .local_name = "b"}}, 1, is_64,
                   "another name beside its bytes");
        expect_zip((ZipPart[]){{.name = "a", .data = "x"}, {.name = "a", .data = "y"}}, 2, is_64,
                   "`a`: is there twice");
        expect_zip(
            (ZipPart[]){{.name = "a", .data = "x"}, {.name = "a", .data = "x", .again = true}}, 2,
            is_64, "overlaps another entry");
        expect_zip((ZipPart[]){{.name = "a", .data = "x", .stored_bytes = 7}}, 1, is_64,
                   "has two sizes");
        expect_zip((ZipPart[]){{.name = "name", .data = "x", .bytes = 2}}, 1, is_64, "lie outside");
        expect_zip((ZipPart[]){{.name = "", .data = "x"}}, 1, is_64, "no proper name");
    }
}

static void test_zip_open__extra_part_behind_its_end(void **state) {
    (void)state;
    expect_zip((ZipPart[]){{.name = "a", .data = "x", .extra_bytes = 25}}, 1, true,
               "has a damaged ZIP64 part");
}

/* Every byte of the directory changed in turn: refused, or what comes out lies within the file. */
static void test_zip_open__changed_directories(void **state) {
    (void)state;
    for (int is_64 = 0; is_64 < 2; is_64++) {
        Str s = zip_of((ZipPart[]){{.name = "r/a", .data = "aaa"}, {.name = "r/b", .data = "bb"}},
                       2, is_64);
        for (size_t i = 0; i < s.len; i++)
            for (int k = 0; k < 4; k++) {
                static const unsigned char with[] = {0x01, 0x80, 0xff, 0x08};
                char before = s.data[i];
                s.data[i] = (char)(before ^ (char)with[k]);
                FileMap map = {.data = (const unsigned char *)s.data, .size = s.len};
                Zip z;
                if (zip_open(&z, &map, "x.zip") == OK)
                    for (size_t e = 0; e < z.n_entries; e++)
                        assert_true(z.entries[e].data >= map.data &&
                                    z.entries[e].bytes <=
                                        (size_t)(map.data + map.size - z.entries[e].data));
                zip_close(&z);
                s.data[i] = before;
            }
        str_free(&s);
    }
}

/* ---- pickles made by hand ---- */

#define TENSOR_HEAD                                                                  \
    "ctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storagectorch\nFloatStorage\nX\1" \
    "\0\0\0000X\3\0\0\0cpuK\6tQ"
#define STATE(value) "\x80\2}X\1\0\0\0a" value "s."

static void expect_pickle(const char *bytes, size_t n, const char *says) {
    Pickle p;
    unsigned char *copy = mem_alloc(n); /* alone, so that a look behind it shows */
    memcpy(copy, bytes, n);
    Status st = pickle_read(&p, copy, n, "x.bin");
    if (says ? st != ERR_DATA || !strstr(status_message(), says) : st != OK)
        fail_msg("%d %s, expected %s", (int)st, st ? status_message() : "", says ? says : "OK");
    pickle_close(&p);
    mem_free(copy);
}

static void test_pickle_read__refuses_hostile_programs(void **state) {
    (void)state;
#define CASE(text, says) \
    { text, sizeof(text) - 1, says }
    static const struct {
        const char *bytes;
        size_t n;
        const char *says;
    } CASES[] = {
        CASE(STATE(TENSOR_HEAD "K\0K\2K\3\x86K\3K\1\x86\x89}tR"), NULL),
        CASE("\x80\2}.", NULL),
        CASE("", "ends too early"),
        CASE("\x80", "ends too early"),
        CASE(".", "takes from an empty stack"),
        CASE("N.", "holds None, not a dict"),
        CASE("(.", "takes a mark for a value"),
        CASE("R.", "takes from an empty stack"),
        CASE("NNR.", "calls what is no callable"),
        CASE("ccollections\nOrderedDict\nNR.", "calls what is no callable"),
        CASE("ccollections\nOrderedDict\nN\x85R.", "OrderedDict with arguments"),
        CASE("ctorch\nFloatStorage\n)R.", "calls what is no callable"),
        CASE("cos\nsystem\nX\4\0\0\0true\x85R.", "asks for `os.system`"),
        CASE("cbuiltins\nexec\n.", "asks for `builtins.exec`"),
        CASE("\x8c\2os\x8c\6system\x93.", "asks for `os.system`"),
        CASE("c__builtin__\ngetattr\n.", "asks for `__builtin__.getattr`"),
        CASE("cmodule\nOrderedDict\n.", "asks for `module.OrderedDict`"),
        CASE("ctorch\nload\n.", "asks for `torch.load`"),
        CASE("cos\nsystem", "ends too early"),
        CASE("NN\x93.", "a name that is no string"),
        CASE("(i__main__\nX\n.", "step 0x69"),               /* INST */
        CASE("(ccollections\nOrderedDict\no.", "step 0x6f"), /* OBJ */
        CASE("\x81.", "step 0x81"),                          /* NEWOBJ */
        CASE("\x92.", "step 0x92"),                          /* NEWOBJ_EX */
        CASE("\x82\1.", "step 0x82"),                        /* EXT1 */
        CASE("P1\n.", "step 0x50"),                          /* PERSID */
        CASE("\x96\1\0\0\0\0\0\0\0x.", "step 0x96"),         /* BYTEARRAY8 */
        CASE("h\0.", "never remembered"),
        CASE("h\5.", "never remembered"),
        CASE("j\xff\xff\xff\xff.", "never remembered"),
        CASE("Nr\xff\xff\xff\xff.", "remembers more values"),
        CASE("q\0.", "takes from an empty stack"),
        CASE("\x94.", "takes from an empty stack"),
        CASE("X\xff\xff\xff\xff.", "ends too early"),
        CASE("\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", "ends too early"),
        CASE("\x8a\x09\1\1\1\1\1\1\1\1\1.", "more than 64 bits"),
        CASE("t.", "a mark that is not there"),
        CASE("\x87.", "takes from an empty stack"),
        CASE("(N\x86.", "a tuple over a mark"),
        CASE("u.", "a mark that is not there"),
        CASE("(NNu.", "takes from an empty stack"),
        CASE("N(NNu.", "sets items of what is no dict"),
        CASE("}(Nu.", "sets items of what is no dict"),
        CASE("s.", "takes from an empty stack"),
        CASE("Nb.", "what is no dict"),
        CASE("a.", "takes from an empty stack"),
        CASE("NNa.", "appends to what is no list"),
        CASE("(Ne.", "appends to what is no list"),
        CASE("NQ.", "a storage is not described"),
        CASE("(X\7\0\0\0storageNX\1\0\0\0000X\3\0\0\0cpuK\6tQ.", "a storage is not described"),
        CASE("(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0000X\3\0\0\0cpuJ\xff\xff\xff\xfftQ.",
             "a storage is not described"),
        CASE("ctorch._utils\n_rebuild_tensor_v2\n)R.", "a tensor is not described"),
        CASE(STATE(TENSOR_HEAD "K\0K\2\x85K\3K\1\x86\x89}tR"), "a tensor is not described"),
        CASE(STATE(TENSOR_HEAD "J\xff\xff\xff\xffK\2\x85K\1\x85\x89}tR"),
             "a tensor is not described"),
        CASE(STATE(TENSOR_HEAD "K\0J\xff\xff\xff\xff\x85K\1\x85\x89}tR"),
             "a tensor is not described"),
        CASE(STATE(TENSOR_HEAD
                   "K\0(K\1K\1K\1K\1K\1K\1K\1K\1K\1t(K\1K\1K\1K\1K\1K\1K\1K\1K\1t\x89}tR"),
             "a tensor is not described"),
        CASE("ctorch._utils\n_rebuild_parameter\nNNN\x87R.", "a parameter is not described"),
        CASE("}K\1Ns.", "no name of a tensor"),
        CASE("}X\0\0\0\0Ns.", "no name of a tensor"),
        CASE("}X\2\0\0\0a\0Ns.", "no name of a tensor"),
        CASE("}X\1\0\0\0\xffNs.", "no name of a tensor"),
        CASE("}X\1\0\0\0aK\1s.", "`a` is a number, not a tensor"),
        /* a dict that holds itself */
        CASE("}q\0X\1\0\0\0ah\0s.", "`a` is a dict, not a tensor"),
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        expect_pickle(CASES[i].bytes, CASES[i].n, CASES[i].says);
}

/* The same step many times over. */
static void expect_many(const char *first, const char *again, size_t n_again, size_t times,
                        const char *says) {
    Str s = {0};
    str_append(&s, first);
    for (size_t i = 0; i < times; i++) str_append_n(&s, again, n_again);
    str_append_char(&s, '.');
    expect_pickle(s.data, s.len, says);
    str_free(&s);
}

static void test_pickle_read__bombs_stay_small(void **state) {
    (void)state;
    const size_t most = PICKLE_MAX_VALUES;
    expect_many("", "(", 1, most + 1, "more values than any model has"); /* a deep stack */
    expect_many("", ")", 1, most + 1, "more values than any model has");
    expect_many("Nq", "\0h", 2, most + 1, "more values than any model has"); /* one value, again */
    /* each tuple holds the one before twice: 2^n leaves, were anybody to count them */
    expect_many("Nq\1", "h\1h\1\x86q\1", 7, 1000, "holds something else");
    /* a memo of the highest place that there is */
    expect_pickle("Nr\xff\xff\x3f\0.", 7, "holds None");
    expect_pickle("Nr\0\0\x40\0.", 7, "remembers more values");
}

/* ---- what a pickle says about storages ---- */

static void expect_tensor(const char *pickle, size_t n, size_t stored, const char *says) {
    Str data = {0};
    for (size_t i = 0; i < stored; i++) str_append_char(&data, 'x');
    Str s = zip_of((ZipPart[]){{.name = "r/data/0", .data = str_text(&data)},
                               {.name = "r/data.pkl", .data = pickle, .n_data = n}},
                   2, false);
    char *folder = scratch_new(), *path = scratch_file(folder, "x.bin", s.data, s.len);
    expect_file(path, says ? ERR_DATA : OK, says ? says : "");
    mem_free(path);
    scratch_free(folder);
    str_free(&s);
    str_free(&data);
}

static void test_torch_file_open__storages(void **state) {
    (void)state;
#define TENSOR(rest, stored, says) \
    { STATE(TENSOR_HEAD rest), sizeof STATE(TENSOR_HEAD rest) - 1, stored, says }
    static const struct {
        const char *pickle;
        size_t n, stored;
        const char *says;
    } CASES[] = {
        TENSOR("K\0K\2K\3\x86K\3K\1\x86\x89}tR", 24, NULL),
        TENSOR("K\0K\3K\2\x86K\1K\3\x86\x89}tR", 24, NULL),
        TENSOR("K\1K\5\x85K\1\x85\x89}tR", 24, NULL),
        TENSOR("K\6K\0\x85K\1\x85\x89}tR", 24, NULL),
        TENSOR("K\0K\2K\3\x86K\3K\1\x86\x89}tR", 23, "its storage has 23 bytes, not 6 x 4"),
        TENSOR("K\0K\2K\3\x86K\3K\1\x86\x89}tR", 28, "its storage has 28 bytes, not 6 x 4"),
        TENSOR("K\1K\2K\3\x86K\3K\1\x86\x89}tR", 24, "reaches out of its storage"),
        TENSOR("K\7K\0\x85K\1\x85\x89}tR", 24, "reaches out of its storage"),
        TENSOR("K\0K\7\x85K\1\x85\x89}tR", 24, "reaches out of its storage"),
        TENSOR("K\0K\2K\3\x86K\1K\1\x86\x89}tR", 24, "neither in order nor transposed"),
        TENSOR("K\0K\2K\2\x86K\3K\1\x86\x89}tR", 24, "neither in order nor transposed"),
        TENSOR("K\0K\2K\3\x86K\0K\0\x86\x89}tR", 24, "neither in order nor transposed"),
        TENSOR("\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7fK\2\x85K\1\x85\x89}tR", 24,
               "reaches out of its storage"),
        TENSOR("K\0\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7fK\3\x86K\3K\1\x86\x89}tR", 24,
               "the number of elements overflows"),
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        expect_tensor(CASES[i].pickle, CASES[i].n, CASES[i].stored, CASES[i].says);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_torch_file_open__every_type_and_layout),
        cmocka_unit_test(test_torch_file_open__refuses_by_name),
        cmocka_unit_test(test_torch_file_open__refuses_every_truncation),
        cmocka_unit_test(test_torch_file_open__storages),
        cmocka_unit_test(test_tensor_file_open__shards),
        cmocka_unit_test(test_zip_open__rules),
        cmocka_unit_test(test_zip_open__extra_part_behind_its_end),
        cmocka_unit_test(test_zip_open__changed_directories),
        cmocka_unit_test(test_pickle_read__refuses_hostile_programs),
        cmocka_unit_test(test_pickle_read__bombs_stay_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
