/* Folders that Transformers and bitsandbytes stored quantized (tests/oracle/quant_folders.py):
 * their log-probs, no further from the truth than bitsandbytes' own; what is wrong with one is
 * named. */
#include "core/io/json.h"
#include "core/io/safetensors.h"
#include "model/base.h"
#include "model_fixture.h"
#include "scratch.h"
#include "unit.h"

#include <math.h>

#define DATA HONE_SOURCE_DIR "/tests/golden/data/quantized/"
static const char *const folders[] = {"nf4", "nf4_double", "fp4", "int8"};
static const char *const storages[] = {"nf4", "nf4 with double quantization", "fp4", "int8"};

static Status open_stored(Base **out, Dev *dev, const char *folder) {
    return base_open(out, dev, &(BaseOptions){.path = folder, .dtype = DTYPE_F32});
}

/* Relative to the truth, over all log-probs of the file. */
static double error_of(Base *b, const Safetensors *numbers) {
    const TensorEntry *e = safetensors_find(numbers, "ids"), *l = safetensors_find(numbers, "logp");
    int64_t seqs = e->shape[0], n = e->shape[1];
    int32_t ids[64];
    double truth[64], logp[32], off = 0, size = 0;
    int64_t seq_id = 1;
    assert_true(e->bytes <= sizeof ids && l->bytes <= sizeof truth);
    memcpy(ids, e->data, e->bytes);
    memcpy(truth, l->data, l->bytes);
    for (int64_t s = 0; s < seqs; s++) {
        FixtureRows rows = fixture_rows(&n, &seq_id, 1, 0, 1);
        int32_t *mine = (int32_t *)(uintptr_t)rows.rows.ids,
                *targets = (int32_t *)(uintptr_t)rows.rows.targets;
        for (int64_t i = 0; i < n; i++) mine[i] = ids[s * n + i];
        for (int64_t i = 0; i + 1 < n; i++) targets[i] = ids[s * n + i + 1];
        Pass *pass = NULL;
        Role role = {.base = b};
        PassLimits limits = {.max_rows = n, .max_seqs = 1};
        assert_int_equal(pass_open(&pass, b->dev, pass_measure(&role, &limits)), OK);
        pass_score(pass, &role, &rows.rows, &(PassOptions){0}, &(PassOut){.logp = logp});
        for (int64_t i = 0; i + 1 < n; i++) {
            double t = truth[s * (n - 1) + i];
            off += (logp[i] - t) * (logp[i] - t);
            size += t * t;
        }
        pass_close(pass);
        fixture_rows_free(&rows);
    }
    return sqrt(off / size);
}

static void test_stored_quantized__log_probs_are_as_good_as_bitsandbytes(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char *folder = str_format(DATA "%s", folders[i]);
        char *path = str_format("%s/numbers.safetensors", folder);
        Safetensors *numbers = NULL;
        double err;
        assert_int_equal(safetensors_open(&numbers, path), OK);
        memcpy(&err, safetensors_find(numbers, "err")->data, sizeof err);
        static const char *const devices[] = {"ref64", "cpu"};
        for (int d = 0; d < 2; d++) {
            Dev *dev = NULL;
            Base *b = NULL;
            assert_int_equal(dev_open(&dev, devices[d], 2), OK);
            if (open_stored(&b, dev, folder) != OK) fail_msg("%s", status_message());
            assert_string_equal(base_info(b)->storage, storages[i]);
            double ours = error_of(b, numbers);
            /* The truth has the scales of INT8 unrounded, and sines of angles in f32. */
            double most = d == 0 ? 3e-7 : 2 * err;
            if (!(ours <= most))
                fail_msg("%s on %s: error %.3g, bitsandbytes %.3g", folders[i], devices[d], ours,
                         err);
            base_close(b);
            dev_close(dev);
        }
        safetensors_close(numbers);
        mem_free(path);
        mem_free(folder);
    }
}

/* ---- damage ---- */

/* A copy of a folder in which each `from` of the file's bytes is `to`, of the same length. */
static char *damaged(const char *name, const char *file, const char *from, const char *to) {
    char *folder = scratch_new();
    static const char *const files[] = {"config.json", "model.safetensors"};
    for (int i = 0; i < 2; i++) {
        char *path = str_format(DATA "%s/%s", name, files[i]);
        Str text = {0};
        assert_int_equal(file_read(&text, path, 1 << 20), OK);
        size_t n = strlen(from), found = 0;
        for (size_t k = 0; str_equal(files[i], file) && k + n <= text.len; k++)
            if (memcmp(text.data + k, from, n) == 0) {
                memcpy(text.data + k, to, n);
                found++;
            }
        assert_true(found > 0 || !str_equal(files[i], file));
        mem_free(scratch_file(folder, files[i], text.data, text.len));
        str_free(&text);
        mem_free(path);
    }
    return folder;
}

static void test_stored_quantized__damage_is_named(void **state) {
    (void)state;
    static const struct {
        const char *folder, *file, *from, *to;
        Status status;
        const char *part;
    } CASES[] = {
        {"nf4", "model.safetensors", "\xb1\x39\x32\xbf", "\xb1\x39\x42\xbf", ERR_DATA,
         "quant_map` is another code book: code 1 is -0.758693, not -0.696193"},
        {"nf4", "model.safetensors", "\"blocksize\": 64", "\"blocksize\": 48", ERR_DATA,
         "`blocksize` is 48; a power of two from 32 to 4096 is needed"},
        {"nf4", "model.safetensors", "\"blocksize\": 64", "\"blocksize\": 16", ERR_DATA,
         "`blocksize` is 16; a power of two"},
        {"nf4", "model.safetensors", "\"blocksize\": 64", "\"blocksize\": 32", ERR_DATA,
         ".absmax` does not hold"},
        {"nf4", "model.safetensors", "\"shape\": [80, 48]", "\"shape\": [48, 80]", ERR_DATA,
         "`shape` is not [80,48]"},
        {"nf4", "model.safetensors", "\"quant_type\": \"nf4\"", "\"quant_type\": \"fp4\"", ERR_DATA,
         "`quant_type` is `fp4` in the state of nf4"},
        {"nf4_double", "model.safetensors", "\"nested_blocksize\": 256",
         "\"nested_blocksize\": 128", ERR_DATA, "`nested_blocksize` is 128; 256 is read"},
        {"nf4_double", "model.safetensors", ".nested_absmax\"", ".nested_absmaz\"", ERR_DATA,
         "is quantized, but `.nested_absmax` is missing"},
        {"int8", "model.safetensors", "q_proj.SCB\"", "q_proj.SCC\"", ERR_DATA,
         "is stored as I8; float32, bfloat16 or float16"},
        {"nf4", "config.json", "\"bitsandbytes\"", "\"bitsandbytez\"", ERR_DATA,
         "`bitsandbytez` is not read, only bitsandbytes is"},
    };
    Dev *dev = NULL;
    assert_int_equal(dev_open(&dev, "ref", 1), OK);
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        char *folder = damaged(CASES[i].folder, CASES[i].file, CASES[i].from, CASES[i].to);
        Base *b = NULL;
        Status st = open_stored(&b, dev, folder);
        if (st != CASES[i].status || !strstr(status_message(), CASES[i].part))
            fail_msg("case %zu: status %d, %s", i, (int)st, status_message());
        base_close(b);
        scratch_free(folder);
    }
    dev_close(dev);
}

static void test_stored_quantized__is_frozen_and_keeps_its_format(void **state) {
    (void)state;
    Dev *dev = NULL;
    Base *b = NULL;
    assert_int_equal(dev_open(&dev, "ref", 1), OK);
    BaseOptions trained = {.path = DATA "nf4", .trainable = true};
    assert_int_equal(base_open(&b, dev, &trained), ERR_CONFIG);
    assert_non_null(strstr(status_message(), "do not train; train an adapter"));
    BaseOptions other = {.path = DATA "nf4", .quant = {.on = true, .kind = QUANT_FP4, .block = 64}};
    assert_int_equal(base_open(&b, dev, &other), ERR_CONFIG);
    assert_non_null(strstr(status_message(), "stored in nf4, and fp4 is asked for"));
    assert_int_equal(open_stored(&b, dev, DATA "nf4"), OK);
    Base *copy = NULL;
    assert_int_equal(base_clone(&copy, b, true), ERR_CONFIG);
    base_close(b);
    dev_close(dev);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stored_quantized__log_probs_are_as_good_as_bitsandbytes),
        cmocka_unit_test(test_stored_quantized__damage_is_named),
        cmocka_unit_test(test_stored_quantized__is_frozen_and_keeps_its_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
