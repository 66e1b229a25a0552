/* Metrics: rows, what is state between rows, rewinding; TensorBoard's records. */
#include "unit.h"

#include "core/io/jsonl.h"
#include "scratch.h"
#include "train/checkpoint.h"
#include "train/report/metrics.h"
#include "train/report/tensorboard.h"

#include <math.h>
#include <string.h>

static Str read_rows(const char *folder) {
    Str text = {0};
    char *path = file_join(folder, "metrics.jsonl");
    assert_int_equal(file_read(&text, path, 1 << 20), OK);
    mem_free(path);
    return text;
}

static void assert_rows(const char *folder, const char *want) {
    Str text = read_rows(folder);
    assert_string_equal(str_text(&text), want);
    str_free(&text);
}

static void test_train_metrics__row_has_means_and_last_values_in_order(void **state) {
    (void)state;
    char *folder = scratch_new();
    Metrics *m = NULL;
    assert_int_equal(metrics_open(&m, folder), OK);
    metrics_mean(m, "loss", 2);
    metrics_set(m, "time/step_s", 0.5);
    metrics_sum(m, "loss", 2, 3);
    metrics_set(m, "learning_rate", 1e-5);
    metrics_set(m, "learning_rate", 2e-5);
    assert_int_equal(metrics_log(m, 10, 0.5), OK);
    metrics_mean(m, "loss", NAN);
    assert_int_equal(metrics_log(m, 20, 1), OK);
    assert_rows(folder, "{\"step\": 10, \"epoch\": 0.5, \"loss\": 1.0, \"learning_rate\": 2e-05, "
                        "\"time/step_s\": 0.5}\n{\"step\": 20, \"epoch\": 1.0, \"loss\": null}\n");
    assert_true(metrics_last(m, "learning_rate") == 2e-5);
    metrics_close(m);
    scratch_free(folder);
}

static void test_train_metrics__knows_clock_fields(void **state) {
    (void)state;
    static const char *const clocks[] = {"time/rollout", "memory/peak", "eps", "eval_runtime",
                                         "train_samples_per_second"};
    for (int i = 0; i < 5; i++) assert_true(metrics_is_clock(clocks[i]));
    assert_false(metrics_is_clock("loss"));
    assert_false(metrics_is_clock("steps"));
}

/* Stopped between two rows and gone on in another process: the same bytes. */
static void test_train_metrics__resumed_between_rows_logs_the_same(void **state) {
    (void)state;
    char *whole = scratch_new(), *cut = scratch_new();
    for (int resumed = 0; resumed < 2; resumed++) {
        char *folder = resumed ? cut : whole;
        Dev *dev = NULL;
        State *s = NULL;
        Metrics *m = NULL;
        Checkpoints *c = NULL;
        Json *offsets = json_new_object();
        for (int step = 1; step <= 6; step++) {
            if (step == 1 || (resumed && step == 4)) { /* a new process */
                checkpoints_close(c);
                state_close(s);
                metrics_close(m);
                dev_close(dev);
                assert_int_equal(dev_open(&dev, "ref", 1), OK);
                assert_int_equal(state_open(&s, dev), OK);
                assert_int_equal(metrics_open(&m, folder), OK);
                metrics_register(m, s);
                assert_int_equal(checkpoints_open(&c, s, &(CheckpointOptions){.folder = folder}),
                                 OK);
            }
            if (resumed && step == 4) {
                int64_t found;
                Json *meta = NULL;
                assert_int_equal(checkpoint_find(c, NULL, &found, &meta), OK);
                assert_int_equal(checkpoint_load(c), OK);
                assert_int_equal(metrics_rewind(m, meta), OK);
                json_free(meta);
            }
            metrics_mean(m, "loss", 1.0 / (2 + step));
            if (step % 2 == 1) metrics_set(m, "rate", step);
            if (step == 3) {
                assert_int_equal(metrics_mark(m, offsets), OK);
                assert_int_equal(checkpoint_save(c, step, offsets), OK);
                if (resumed) { /* logged by the process that is killed, dropped by the next */
                    metrics_mean(m, "loss", 99);
                    assert_int_equal(metrics_log(m, 4, 4), OK);
                    continue;
                }
            }
            if (step % 2 == 0) assert_int_equal(metrics_log(m, step, step), OK);
        }
        assert_true(fabs(metrics_total_mean(m, "loss") -
                         (1. / 3 + 1. / 4 + 1. / 5 + 1. / 6 + 1. / 7 + 1. / 8) / 6) < 1e-15);
        json_free(offsets);
        checkpoints_close(c);
        state_close(s);
        metrics_close(m);
        dev_close(dev);
    }
    Str a = read_rows(whole), b = read_rows(cut);
    assert_string_equal(str_text(&a), str_text(&b));
    assert_non_null(strstr(str_text(&a), "\"step\": 6"));
    str_free(&a);
    str_free(&b);
    scratch_free(whole);
    scratch_free(cut);
}

/* A name that has no value at the moment of the checkpoint keeps its place in the rows. */
static void test_train_metrics__order_of_keys_outlives_a_resume(void **state) {
    (void)state;
    char *folder = scratch_new();
    for (int resumed = 0; resumed < 2; resumed++) {
        Dev *dev = NULL;
        State *s = NULL;
        Metrics *m = NULL;
        Checkpoints *c = NULL;
        Json *meta = NULL;
        int64_t found;
        assert_int_equal(dev_open(&dev, "ref", 1), OK);
        assert_int_equal(state_open(&s, dev), OK);
        assert_int_equal(metrics_open(&m, folder), OK);
        metrics_register(m, s);
        assert_int_equal(checkpoints_open(&c, s, &(CheckpointOptions){.folder = folder}), OK);
        if (resumed) {
            assert_int_equal(checkpoint_find(c, NULL, &found, &meta), OK);
            assert_int_equal(checkpoint_load(c), OK);
            metrics_mean(m, "loss", 2);
            metrics_set(m, "rate", 2);
        } else {
            metrics_set(m, "rate", 1);
            metrics_mean(m, "loss", 1);
        }
        assert_int_equal(metrics_log(m, resumed + 1, 0), OK);
        assert_int_equal(checkpoint_save(c, resumed + 1, NULL), OK);
        json_free(meta);
        checkpoints_close(c);
        state_close(s);
        metrics_close(m);
        dev_close(dev);
    }
    assert_rows(folder, "{\"step\": 1, \"epoch\": 0.0, \"rate\": 1.0, \"loss\": 1.0}\n"
                        "{\"step\": 2, \"epoch\": 0.0, \"rate\": 2.0, \"loss\": 2.0}\n");
    scratch_free(folder);
}

static void test_train_metrics__crc32c_is_castagnolis(void **state) {
    (void)state;
    assert_int_equal(events_crc32c("123456789", 9), 0xe3069283u); /* RFC 3720's check value */
}

/* Byte for byte what TensorFlow's protobuf and TFRecord writer give for this event. */
static void test_train_metrics__event_is_a_framed_protobuf(void **state) {
    (void)state;
    static const unsigned char want[] = {
#include "event_record.inc"
    };
    Str out = {0};
    events_encode_scalar(&out, 1.5, 300, "train/loss", 0.25f);
    assert_int_equal(out.len, sizeof(want));
    assert_memory_equal(out.data, want, sizeof(want));
    str_free(&out);
}

static void test_train_metrics__event_file_goes_on_at_its_offset(void **state) {
    (void)state;
    char *folder = scratch_new();
    EventFile *e = NULL;
    assert_int_equal(events_open(&e, folder), OK);
    assert_int_equal(events_scalar(e, 1, "a", 1), OK);
    int64_t mark = events_offset(e);
    assert_int_equal(events_scalar(e, 2, "a", 2), OK);
    char *name = mem_strdup(events_name(e));
    events_close(e);
    assert_int_equal(events_open(&e, folder), OK);
    assert_string_equal(events_name(e), name);
    assert_int_equal(events_rewind(e, mark), OK);
    char *path = file_join(folder, name);
    assert_int_equal(file_size(path), mark);
    assert_int_equal(events_rewind(e, mark + 1), ERR_DATA);
    events_close(e);
    mem_free(path);
    mem_free(name);
    scratch_free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_train_metrics__row_has_means_and_last_values_in_order),
        cmocka_unit_test(test_train_metrics__knows_clock_fields),
        cmocka_unit_test(test_train_metrics__resumed_between_rows_logs_the_same),
        cmocka_unit_test(test_train_metrics__order_of_keys_outlives_a_resume),
        cmocka_unit_test(test_train_metrics__crc32c_is_castagnolis),
        cmocka_unit_test(test_train_metrics__event_is_a_framed_protobuf),
        cmocka_unit_test(test_train_metrics__event_file_goes_on_at_its_offset),
    };
    return cmocka_run_group_tests_name("train_metrics", tests, NULL, NULL);
}
