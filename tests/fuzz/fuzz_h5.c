/* HDF5: a file that nobody vouches for.
 *
 * Parser: core/io/h5_read.c
 * Parser: core/io/h5_types.c
 */
#include "fuzz.h"

#include "core/io/h5.h"

/* The library itself loses memory where it finds a file damaged; what is ours is still looked at.
 */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) {
    return "leak:libhdf5";
}

#define MOST_ELEMENTS 4096

static void read_entry(const H5Reader *r, const H5Entry *e) {
    int64_t n = 1;
    for (int i = 0; i < e->rank; i++) {
        CHECK(e->shape[i] >= 0, "a negative size");
        if (e->shape[i] > MOST_ELEMENTS) return;
        n *= e->shape[i];
        if (n > MOST_ELEMENTS) return;
    }
    if (e->dtype == DTYPE_NONE) return;
    void *memory = mem_zalloc((size_t)n + 1, dtype_size(e->dtype));
    Tensor t = {.data = memory, .dtype = e->dtype, .rank = e->rank};
    memcpy(t.shape, e->shape, sizeof t.shape);
    fuzz_ok(h5_get(r, e->path, t));
    mem_free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    H5Reader *r = NULL;
    if (!fuzz_ok(h5_open_image(&r, "fuzz.h5", data, size))) return 0;
    for (int64_t i = 0; i < h5_count(r); i++) read_entry(r, h5_at(r, i));
    char *text = NULL;
    int64_t integer;
    double number;
    if (fuzz_ok(h5_get_attr_str(&text, r, "", "name"))) mem_free(text);
    fuzz_ok(h5_get_attr_i64(&integer, r, "", "step"));
    fuzz_ok(h5_get_attr_f64(&number, r, "params", "lr"));
    h5_close(r);
    return 0;
}

void fuzz_seeds(void) {
    float values[6] = {1, 2, 3, 4, 5, 6};
    int64_t counts[2] = {7, 8};
    H5Writer *w = NULL;
    void *image = NULL;
    size_t n = 0;
    Tensor a = {.data = values, .dtype = DTYPE_F32, .rank = 2, .shape = {2, 3}};
    Tensor deep = {.data = values, .dtype = DTYPE_F32, .rank = 4, .shape = {1, 2, 1, 3}};
    CHECK(h5_writer_open(&w) == OK && h5_put(w, "params/a", a) == OK, "%s", status_message());
    CHECK(h5_put(w, "params/deep", deep) == OK, "%s", status_message());
    CHECK(h5_put(w, "counts", tensor_1d(counts, DTYPE_I64, 2)) == OK, "%s", status_message());
    CHECK(h5_put_attr_str(w, "", "name", "toy") == OK && h5_put_attr_i64(w, "", "step", 3) == OK &&
              h5_put_attr_f64(w, "params", "lr", 0.5) == OK,
          "%s", status_message());
    CHECK(h5_writer_finish(w, &image, &n) == OK, "%s", status_message());
    h5_writer_close(w);
    fuzz_seed(image, n);
    mem_free(image);
}

const char *const fuzz_words[] = {
    "\x89HDF\r\n\x1a\n", "SNOD",   "TREE", "HEAP", "OHDR", "FRHP", "GCOL",
    "params/a",          "counts", NULL};
