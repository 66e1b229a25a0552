/* Checkpoints: what is saved comes back; what does not fit is refused; what is damaged is passed
 * over. */
#include "unit.h"

#include "core/file.h"
#include "core/io/h5.h"
#include "scratch.h"
#include "state_case.h"
#include "train/checkpoint.h"

#include <stdio.h>

typedef struct Fixture {
    char *folder;
    StateCase a;
    Checkpoints *checkpoints;
} Fixture;

static Fixture *fixture_open(int64_t limit, size_t image_bytes) {
    Fixture *f = mem_zalloc(1, sizeof(*f));
    f->folder = scratch_new();
    state_case_open(&f->a, 5);
    CheckpointOptions opt = {.folder = f->folder, .total_limit = limit, .image_bytes = image_bytes};
    assert_int_equal(checkpoints_open(&f->checkpoints, f->a.state, &opt), OK);
    return f;
}

static void fixture_close(Fixture *f) {
    checkpoints_close(f->checkpoints);
    state_case_close(&f->a);
    scratch_free(f->folder);
    mem_free(f);
}

static void save(Fixture *f, int seed, int64_t step) {
    state_case_fill(&f->a, seed);
    Json *meta = json_new_object();
    json_set(meta, "seed", json_new_int(seed));
    Status st = checkpoint_save(f->checkpoints, step, meta);
    if (st != OK) fail_msg("%s", status_message());
    json_free(meta);
}

static char *path_of(const Fixture *f, const char *name) {
    return str_format("%s/checkpoints/%s", f->folder, name);
}

static bool there_is(const Fixture *f, const char *name) {
    char *path = path_of(f, name);
    bool is = file_exists(path);
    mem_free(path);
    return is;
}

static int64_t find(Fixture *f) {
    int64_t step;
    Json *meta = NULL;
    if (checkpoint_find(f->checkpoints, NULL, &step, &meta) != OK) fail_msg("%s", status_message());
    json_free(meta);
    return step;
}

static void assert_holds(const StateCase *c, int seed) {
    char have[SHA256_HEX], want[SHA256_HEX];
    StateCase fresh;
    state_case_open(&fresh, seed);
    assert_string_equal(state_case_digest(have, c), state_case_digest(want, &fresh));
    state_case_close(&fresh);
}

/* One byte of a file of a checkpoint is changed. */
static void flip(const Fixture *f, const char *name, long at) {
    char *path = path_of(f, name);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    fseek(file, at, at < 0 ? SEEK_END : SEEK_SET);
    int c = fgetc(file);
    fseek(file, -1, SEEK_CUR);
    fputc(c ^ 4, file);
    fclose(file);
    mem_free(path);
}

static void test_train_checkpoint__gives_back_what_was_saved(void **state) {
    (void)state;
    Fixture *f = fixture_open(0, 0);
    save(f, 7, 40);
    state_case_fill(&f->a, 2);
    int64_t step;
    Json *meta = NULL;
    assert_int_equal(checkpoint_find(f->checkpoints, NULL, &step, &meta), OK);
    assert_int_equal(step, 40);
    assert_int_equal(json_int(json_get(meta, "seed")), 7);
    json_free(meta);
    assert_int_equal(checkpoint_load(f->checkpoints), OK);
    assert_holds(&f->a, 7);
    assert_int_equal(f->a.loads, 1);
    fixture_close(f);
}

static void test_train_checkpoint__splits_into_images_and_is_readable_by_name(void **state) {
    (void)state;
    Fixture *f = fixture_open(0, 30); /* the weight has 24 bytes, the bias 12 */
    save(f, 8, 1);                    /* zero rows in the array */
    assert_true(there_is(f, "step-1/state-00002.h5"));
    char *path = path_of(f, "step-1/state-00001.h5");
    H5Reader *r = NULL;
    assert_int_equal(h5_open(&r, path), OK);
    float weight[6];
    assert_int_equal(h5_get(r, "params/layer.0.weight", tensor_2d(weight, DTYPE_F32, 2, 3)), OK);
    assert_true(weight[1] == 81.25f);
    h5_close(r);
    mem_free(path);
    state_case_fill(&f->a, 3);
    assert_int_equal(find(f), 1);
    assert_int_equal(checkpoint_load(f->checkpoints), OK);
    assert_holds(&f->a, 8);
    fixture_close(f);
}

static void test_train_checkpoint__equal_states_give_equal_files(void **state) {
    (void)state;
    char hex[2][SHA256_HEX];
    for (int i = 0; i < 2; i++) {
        Fixture *f = fixture_open(0, 0);
        save(f, 6, 3);
        char *path = path_of(f, "step-3/state-00001.h5");
        assert_int_equal(sha256_file(hex[i], path), OK);
        mem_free(path);
        fixture_close(f);
    }
    assert_string_equal(hex[0], hex[1]);
}

static void assert_latest(const Fixture *f, const char *name) {
    Str text = {0};
    char *path = path_of(f, "latest");
    assert_int_equal(file_read(&text, path, 256), OK);
    assert_string_equal(str_text(&text), name);
    str_free(&text);
    mem_free(path);
}

static void test_train_checkpoint__damaged_newest_falls_back(void **state) {
    (void)state;
    static const struct {
        const char *file;
        long at;
    } damages[] = {
        {"step-2/state-00001.h5", 700}, {"step-2/MANIFEST.json", 15}, {"step-2/MANIFEST.json", -4}};
    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        Fixture *f = fixture_open(0, 0);
        save(f, 1, 1);
        save(f, 2, 2);
        flip(f, damages[i].file, damages[i].at);
        assert_int_equal(find(f), 1);
        assert_false(there_is(f, "step-2"));
        assert_true(there_is(f, "bad-step-2/REASON.txt"));
        assert_latest(f, "step-1\n");
        assert_int_equal(checkpoint_load(f->checkpoints), OK);
        assert_holds(&f->a, 1);
        fixture_close(f);
    }
}

/* Still JSON, still of the right shape: only the seal tells. */
static void test_train_checkpoint__edited_manifest_is_bad(void **state) {
    (void)state;
    Fixture *f = fixture_open(0, 0);
    save(f, 1, 1);
    char *path = path_of(f, "step-1/MANIFEST.json");
    Str text = {0};
    assert_int_equal(file_read(&text, path, 1 << 20), OK);
    long at = (long)(strstr(str_text(&text), "\"step\": 1") - str_text(&text)) + 8;
    flip(f, "step-1/MANIFEST.json", at); /* 1 becomes 5 */
    assert_int_equal(find(f), -1);
    assert_true(there_is(f, "bad-step-1"));
    str_free(&text);
    mem_free(path);
    fixture_close(f);
}

static void test_train_checkpoint__damaged_path_is_bad_data(void **state) {
    (void)state;
    Fixture *f = fixture_open(0, 0);
    save(f, 1, 1);
    flip(f, "step-1/state-00001.h5", 600);
    int64_t step;
    Json *meta = NULL;
    char *path = path_of(f, "step-1");
    assert_int_equal(checkpoint_find(f->checkpoints, path, &step, &meta), ERR_DATA);
    assert_non_null(strstr(status_message(), "state-00001.h5"));
    assert_true(there_is(f, "step-1")); /* not ours to rename */
    mem_free(path);
    fixture_close(f);
}

static void test_train_checkpoint__missing_file_is_bad(void **state) {
    (void)state;
    Fixture *f = fixture_open(0, 30);
    save(f, 1, 1);
    char *path = path_of(f, "step-1/state-00002.h5");
    remove(path);
    mem_free(path);
    assert_int_equal(find(f), -1);
    assert_true(there_is(f, "bad-step-1"));
    fixture_close(f);
}

static void test_train_checkpoint__other_shapes_and_names_are_refused_untouched(void **state) {
    (void)state;
    Fixture *f = fixture_open(0, 0);
    save(f, 4, 9);
    StateCase b;
    memset(&b, 0, sizeof(b));
    assert_int_equal(dev_open(&b.dev, "ref", 1), OK);
    assert_int_equal(state_open(&b.state, b.dev), OK);
    state_tensor(b.state, "params/layer.0.weight", tensor_2d(b.weight, DTYPE_F32, 3, 2));
    state_i64(b.state, "run/step", &b.steps);
    state_i64(b.state, "run/other", &b.n_rows);
    Checkpoints *c = NULL;
    int64_t step;
    Json *meta = NULL;
    CheckpointOptions opt = {.folder = f->folder};
    assert_int_equal(checkpoints_open(&c, b.state, &opt), OK);
    assert_int_equal(checkpoint_find(c, NULL, &step, &meta), OK);
    assert_int_equal(checkpoint_load(c), ERR_DATA);
    static const char *const parts[] = {"params/layer.0.weight is [2,3] float32, not [3,2] float32",
                                        "params/layer.0.bias is not expected",
                                        "run/other is missing"};
    for (int i = 0; i < 3; i++)
        if (strstr(status_message(), parts[i]) == NULL) fail_msg("%s", status_message());
    assert_int_equal(b.steps, 0);
    json_free(meta);
    checkpoints_close(c);
    state_close(b.state);
    dev_close(b.dev);
    fixture_close(f);
}

static void test_train_checkpoint__retention_keeps_newest_and_best(void **state) {
    (void)state;
    Fixture *f = fixture_open(2, 0);
    for (int step = 1; step <= 5; step++) {
        if (step == 2) checkpoint_keep(f->checkpoints, 2);
        save(f, step, step);
    }
    static const bool kept[] = {false, false, true, false, true, true};
    for (int step = 1; step <= 5; step++) {
        char name[16];
        snprintf(name, sizeof(name), "step-%d", step);
        assert_int_equal(there_is(f, name), kept[step]);
    }
    fixture_close(f);
}

static void test_train_checkpoint__retention_spares_the_last_valid_ones(void **state) {
    (void)state;
    Fixture *f = fixture_open(1, 0); /* a limit of one still keeps two that are whole */
    save(f, 1, 1);
    save(f, 2, 2);
    flip(f, "step-2/state-00001.h5", 700);
    save(f, 3, 3);
    assert_true(there_is(f, "step-1"));
    assert_true(there_is(f, "step-3"));
    fixture_close(f);
}

static void test_train_checkpoint__save_of_the_same_step_replaces(void **state) {
    (void)state;
    Fixture *f = fixture_open(0, 0);
    save(f, 1, 4);
    save(f, 6, 4);
    state_case_fill(&f->a, 2);
    assert_int_equal(find(f), 4);
    assert_int_equal(checkpoint_load(f->checkpoints), OK);
    assert_holds(&f->a, 6);
    fixture_close(f);
}

static void test_train_checkpoint__part_leaves_the_rest(void **state) {
    (void)state;
    Fixture *f = fixture_open(0, 0);
    save(f, 1, 1);
    state_case_fill(&f->a, 6);
    assert_int_equal(checkpoint_load_part(f->checkpoints, 1, "params/"), OK);
    assert_true(f->a.weight[0] == 10.25f);
    assert_int_equal(f->a.steps, 1006);
    fixture_close(f);
}

static void test_train_checkpoint__newer_format_is_refused_not_renamed(void **state) {
    (void)state;
    Fixture *f = fixture_open(0, 0);
    save(f, 1, 1);
    /* A manifest as a later version would seal it. */
    char *folder = path_of(f, "step-2"), *path = path_of(f, "step-2/MANIFEST.json");
    assert_int_equal(file_make_folders(folder), OK);
    char hex[SHA256_HEX];
    Json *m = json_new_object();
    json_set(m, "format", json_new_int(2));
    Str text = {0};
    json_dump(&text, m, 2);
    str_append(&text, "\n");
    sha256_hex(hex, text.data, text.len);
    json_set(m, "sha256", json_new_str(hex));
    str_clear(&text);
    json_dump(&text, m, 2);
    str_append(&text, "\n");
    FILE *file = fopen(path, "wb");
    fwrite(text.data, 1, text.len, file);
    fclose(file);
    int64_t step;
    Json *meta = NULL;
    assert_int_equal(checkpoint_find(f->checkpoints, NULL, &step, &meta), ERR_DATA);
    assert_non_null(strstr(status_message(), "format 2"));
    assert_true(there_is(f, "step-2"));
    str_free(&text);
    json_free(m);
    mem_free(path);
    mem_free(folder);
    fixture_close(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_train_checkpoint__gives_back_what_was_saved),
        cmocka_unit_test(test_train_checkpoint__splits_into_images_and_is_readable_by_name),
        cmocka_unit_test(test_train_checkpoint__equal_states_give_equal_files),
        cmocka_unit_test(test_train_checkpoint__damaged_newest_falls_back),
        cmocka_unit_test(test_train_checkpoint__edited_manifest_is_bad),
        cmocka_unit_test(test_train_checkpoint__damaged_path_is_bad_data),
        cmocka_unit_test(test_train_checkpoint__missing_file_is_bad),
        cmocka_unit_test(test_train_checkpoint__other_shapes_and_names_are_refused_untouched),
        cmocka_unit_test(test_train_checkpoint__retention_keeps_newest_and_best),
        cmocka_unit_test(test_train_checkpoint__retention_spares_the_last_valid_ones),
        cmocka_unit_test(test_train_checkpoint__save_of_the_same_step_replaces),
        cmocka_unit_test(test_train_checkpoint__part_leaves_the_rest),
        cmocka_unit_test(test_train_checkpoint__newer_format_is_refused_not_renamed),
    };
    return cmocka_run_group_tests_name("train_checkpoint", tests, NULL, NULL);
}
