/* h5: what is written comes back, equal contents are equal bytes, foreign and damaged files are
 * refused. */
#include "core/io/h5.h"
#include "scratch.h"
#include "unit.h"

#include <malloc.h>
#include <math.h>
#include <time.h>

static const float F[6] = {1, 2, 3, 4, 5, NAN};
static const uint16_t HALVES[4] = {0x3f80, 0xc000, 0x7f80, 0x0001};
static const int64_t I[2] = {INT64_MIN, 7};
static const unsigned char BYTES[3] = {0, 1, 1};

static Tensor view(const void *data, DType dtype, int rank, int64_t a, int64_t b) {
    return (Tensor){.data = (void *)(uintptr_t)data, .dtype = dtype, .rank = rank, .shape = {a, b}};
}

static void build(void **image, size_t *bytes) {
    H5Writer *w = NULL;
    assert_int_equal(h5_writer_open(&w), OK);
    assert_int_equal(h5_put(w, "param/layer.0/lora_A.weight", view(F, DTYPE_F32, 2, 2, 3)), OK);
    assert_int_equal(h5_put(w, "param/bf16", view(HALVES, DTYPE_BF16, 1, 4, 0)), OK);
    assert_int_equal(h5_put(w, "param/f16", view(HALVES, DTYPE_F16, 2, 2, 2)), OK);
    assert_int_equal(h5_put(w, "state/ids", view(I, DTYPE_I64, 1, 2, 0)), OK);
    assert_int_equal(h5_put(w, "state/mask", view(BYTES, DTYPE_BOOL, 1, 3, 0)), OK);
    assert_int_equal(h5_put(w, "state/u8", view(BYTES, DTYPE_U8, 1, 3, 0)), OK);
    assert_int_equal(h5_put(w, "scalar", view(I, DTYPE_I32, 0, 0, 0)), OK);
    assert_int_equal(h5_put(w, "empty", view(NULL, DTYPE_F64, 2, 0, 4)), OK);
    char *big = mem_alloc(100001);
    memset(big, 'x', 100000);
    big[100000] = '\0';
    assert_int_equal(h5_put_attr_str(w, "", "config", big), OK);
    mem_free(big);
    assert_int_equal(h5_put_attr_str(w, "state", "phase", "w\xc3\xb6rter"), OK);
    assert_int_equal(h5_put_attr_str(w, "state", "nothing", ""), OK);
    assert_int_equal(h5_put_attr_i64(w, "only/attributes", "step", -3), OK);
    assert_int_equal(h5_put_attr_f64(w, "param/bf16", "lr", 1e-5), OK);
    assert_int_equal(h5_writer_finish(w, image, bytes), OK);
    h5_writer_close(w);
}

static void check_dataset(const H5Reader *r, const char *path, Tensor want) {
    unsigned char got[64];
    memset(got, 0xab, sizeof got);
    Tensor dst = tensor_like(got, want);
    Status st = h5_get(r, path, dst);
    if (st != OK) fail_msg("%s", status_message());
    if (tensor_numel(want) > 0) assert_memory_equal(got, want.data, tensor_bytes(want));
    assert_int_equal(got[tensor_bytes(want)], 0xab);
}

static void check_contents(const H5Reader *r) {
    assert_int_equal(h5_count(r), 8);
    assert_string_equal(h5_at(r, 0)->path, "empty");
    assert_string_equal(h5_at(r, 7)->path, "state/u8");
    check_dataset(r, "param/layer.0/lora_A.weight", view(F, DTYPE_F32, 2, 2, 3));
    check_dataset(r, "param/bf16", view(HALVES, DTYPE_BF16, 1, 4, 0));
    check_dataset(r, "param/f16", view(HALVES, DTYPE_F16, 2, 2, 2));
    check_dataset(r, "state/ids", view(I, DTYPE_I64, 1, 2, 0));
    check_dataset(r, "state/mask", view(BYTES, DTYPE_BOOL, 1, 3, 0));
    check_dataset(r, "state/u8", view(BYTES, DTYPE_U8, 1, 3, 0));
    check_dataset(r, "scalar", view(I, DTYPE_I32, 0, 0, 0));
    check_dataset(r, "empty", view(NULL, DTYPE_F64, 2, 0, 4));
    assert_null(h5_find(r, "param"));
    assert_int_equal(h5_find(r, "param/f16")->rank, 2);
}

static void check_attributes(const H5Reader *r) {
    char *text = NULL;
    int64_t step = 0;
    double lr = 0;
    assert_int_equal(h5_get_attr_str(&text, r, "", "config"), OK);
    assert_int_equal(strlen(text), 100000);
    mem_free(text);
    assert_int_equal(h5_get_attr_str(&text, r, "state", "phase"), OK);
    assert_string_equal(text, "w\xc3\xb6rter");
    mem_free(text);
    assert_int_equal(h5_get_attr_str(&text, r, "state", "nothing"), OK);
    assert_string_equal(text, "");
    mem_free(text);
    assert_int_equal(h5_get_attr_i64(&step, r, "only/attributes", "step"), OK);
    assert_int_equal(h5_get_attr_f64(&lr, r, "param/bf16", "lr"), OK);
    assert_true(step == -3 && lr == 1e-5);

    assert_int_equal(h5_get_attr_i64(&step, r, "", "gone"), ERR_DATA);
    assert_non_null(strstr(status_message(), "`gone` of `` is missing"));
    assert_int_equal(h5_get_attr_i64(&step, r, "nowhere", "step"), ERR_DATA);
    assert_int_equal(h5_get_attr_i64(&step, r, "param/bf16", "lr"), ERR_DATA);
    assert_int_equal(h5_get_attr_f64(&lr, r, "only/attributes", "step"), ERR_DATA);
    assert_int_equal(h5_get_attr_str(&text, r, "only/attributes", "step"), ERR_DATA);
    assert_null(text);
}

static void test_h5__comes_back_from_a_file_and_from_memory(void **state) {
    (void)state;
    void *image;
    size_t bytes;
    H5Reader *r = NULL;
    build(&image, &bytes);
    char *folder = scratch_new(), *path = scratch_file(folder, "s.h5", image, bytes);
    assert_int_equal(h5_open(&r, path), OK);
    check_contents(r);
    check_attributes(r);
    h5_close(r);
    assert_int_equal(h5_open_image(&r, "image", image, bytes), OK);
    check_contents(r);
    h5_close(r);
    h5_close(NULL);
    mem_free(image);
    mem_free(path);
    scratch_free(folder);
}

static void test_h5_get__compares_before_it_reads(void **state) {
    (void)state;
    void *image;
    size_t bytes;
    H5Reader *r = NULL;
    float data[6];
    build(&image, &bytes);
    assert_int_equal(h5_open_image(&r, "s.h5", image, bytes), OK);
    const char *path = "param/layer.0/lora_A.weight";
    assert_int_equal(h5_get(r, path, view(data, DTYPE_F32, 2, 3, 2)), ERR_DATA);
    assert_non_null(strstr(status_message(), "is [2,3] float32, expected [3,2] float32"));
    assert_int_equal(h5_get(r, path, view(data, DTYPE_I32, 2, 2, 3)), ERR_DATA);
    assert_int_equal(h5_get(r, path, view(data, DTYPE_F32, 1, 6, 0)), ERR_DATA);
    assert_int_equal(h5_get(r, "gone", view(data, DTYPE_F32, 1, 6, 0)), ERR_DATA);
    assert_non_null(strstr(status_message(), "s.h5: `gone`: is missing"));
    h5_close(r);
    mem_free(image);
}

static void test_h5_writer__equal_contents_are_equal_bytes(void **state) {
    (void)state;
    void *a, *b;
    size_t n, m;
    const struct timespec until_another_second = {.tv_sec = 1, .tv_nsec = 10000000};
    mallopt(M_PERTURB, 0x5a); /* fresh memory is full of this ... */
    build(&a, &n);
    nanosleep(&until_another_second, NULL); /* a file has times in whole seconds */
    mallopt(M_PERTURB, 0x33);               /* ... or that */
    build(&b, &m);
    mallopt(M_PERTURB, 0);
    assert_int_equal(n, m);
    assert_memory_equal(a, b, n);
    mem_free(a);
    mem_free(b);
}

static void test_h5_writer__many_tensors_and_large_ones(void **state) {
    (void)state;
    enum { N = 500, LARGE = 3000000 };
    H5Writer *w = NULL;
    H5Reader *r = NULL;
    void *image;
    size_t bytes;
    char path[64];
    float *large = mem_alloc(LARGE * sizeof *large), *back = mem_alloc(LARGE * sizeof *back);
    for (int i = 0; i < LARGE; i++) large[i] = (float)i;
    assert_int_equal(h5_writer_open(&w), OK);
    for (int i = 0; i < N; i++) {
        snprintf(path, sizeof path, "many/tensor.%d", i);
        assert_int_equal(h5_put(w, path, tensor_1d(large + i, DTYPE_F32, i)), OK);
    }
    assert_int_equal(h5_put(w, "large", tensor_1d(large, DTYPE_F32, LARGE)), OK);
    assert_int_equal(h5_writer_finish(w, &image, &bytes), OK);
    h5_writer_close(w);
    assert_int_equal(h5_open_image(&r, "image", image, bytes), OK);
    assert_int_equal(h5_count(r), N + 1);
    assert_int_equal(h5_get(r, "many/tensor.499", tensor_1d(back, DTYPE_F32, 499)), OK);
    assert_memory_equal(back, large + 499, 499 * sizeof *back);
    assert_int_equal(h5_get(r, "large", tensor_1d(back, DTYPE_F32, LARGE)), OK);
    assert_memory_equal(back, large, LARGE * sizeof *back);
    h5_close(r);
    mem_free(image);
    mem_free(large);
    mem_free(back);
}

static void put_twice(void *arg) {
    (void)arg;
    H5Writer *w = NULL;
    h5_writer_open(&w);
    h5_put(w, "a", view(F, DTYPE_F32, 1, 1, 0));
    h5_put(w, "a", view(F, DTYPE_F32, 1, 1, 0));
}

static void test_h5_put__one_name_once(void **state) {
    (void)state;
    assert_true(scratch_aborts(put_twice, NULL));
}

static void test_h5_writer__may_be_left_unfinished(void **state) {
    (void)state;
    H5Writer *w = NULL;
    assert_int_equal(h5_writer_open(&w), OK);
    assert_int_equal(h5_put(w, "a", view(F, DTYPE_F32, 1, 6, 0)), OK);
    h5_writer_close(w);
    h5_writer_close(NULL);
}

static void test_h5_open__refuses_what_is_no_hdf5(void **state) {
    (void)state;
    H5Reader *r = NULL;
    char *folder = scratch_new(), *path = scratch_text(folder, "t.h5", "not HDF5, but long enough");
    assert_int_equal(h5_open(&r, "/nowhere/t.h5"), ERR_INPUT);
    assert_int_equal(h5_open(&r, folder), ERR_DATA);
    assert_int_equal(h5_open(&r, path), ERR_DATA);
    assert_int_equal(h5_open_image(&r, "image", "", 0), ERR_DATA);
    assert_null(r);
    mem_free(path);
    scratch_free(folder);
}

/* Cut anywhere, a file is refused. (Flipped bits are the manifest's business: HDF5 does not see
 * them.) */
static void test_h5_open__refuses_every_truncation(void **state) {
    (void)state;
    void *image;
    size_t bytes;
    H5Reader *r = NULL;
    build(&image, &bytes);
    for (size_t n = 1; n < bytes; n += n < 600 ? 7 : 4099)
        assert_int_equal(h5_open_image(&r, "cut", image, n), ERR_DATA);
    assert_int_equal(h5_open_image(&r, "cut", image, bytes - 1), ERR_DATA);
    mem_free(image);
}

/* Files made by another program, each with one thing that reaches out of it or that is not read. */
static void test_h5_open__refuses_hostile_files(void **state) {
    (void)state;
    static const struct {
        const char *name, *says;
    } FILES[] = {{"soft_link.h5", "soft and external links"},
                 {"external_link.h5", "soft and external links"},
                 {"external_data.h5", "data in other files"},
                 {"virtual.h5", "virtual datasets"},
                 {"gzip.h5", "filtered"},
                 {"rank5.h5", "at most 4 axes"},
                 {"named_type.h5", "neither a dataset nor a group"},
                 {"cycle.h5", "nest too deep"}};
    for (size_t i = 0; i < sizeof FILES / sizeof FILES[0]; i++) {
        char *path = str_format("%s/tests/unit/h5_hostile/%s", HONE_SOURCE_DIR, FILES[i].name);
        H5Reader *r = NULL;
        Status st = h5_open(&r, path);
        if (st != ERR_DATA || !strstr(status_message(), FILES[i].says))
            fail_msg("%s: %d %s", FILES[i].name, (int)st, status_message());
        mem_free(path);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_h5__comes_back_from_a_file_and_from_memory),
        cmocka_unit_test(test_h5_get__compares_before_it_reads),
        cmocka_unit_test(test_h5_writer__equal_contents_are_equal_bytes),
        cmocka_unit_test(test_h5_writer__many_tensors_and_large_ones),
        cmocka_unit_test(test_h5_put__one_name_once),
        cmocka_unit_test(test_h5_writer__may_be_left_unfinished),
        cmocka_unit_test(test_h5_open__refuses_what_is_no_hdf5),
        cmocka_unit_test(test_h5_open__refuses_every_truncation),
        cmocka_unit_test(test_h5_open__refuses_hostile_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
