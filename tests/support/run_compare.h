/* run_compare: are two run folders of the same config the same run, bit for bit? What a clock said
 * is left out, nothing else: metrics.jsonl row by row, samples.jsonl, final/, and the last
 * checkpoint's state, that is weights, moments, counters and whatever else a module registered. */
#ifndef HONE_TESTS_RUN_COMPARE_H
#define HONE_TESTS_RUN_COMPARE_H

#include "core/file.h"
#include "core/io/json.h"
#include "core/mem.h"
#include "scratch.h"
#include "train/report/metrics.h"
#include "unit.h"

static inline void read_all(Str *out, const char *folder, const char *name) {
    char *path = file_join(folder, name);
    if (file_read(out, path, (size_t)1 << 28) != OK) fail_msg("%s", status_message());
    mem_free(path);
}

/* Rows of metrics.jsonl without clock readings, as text. */
static inline void metrics_without_clock(Str *out, const char *run) {
    Str text = {0};
    read_all(&text, run, "metrics.jsonl");
    int64_t line = 0;
    for (const char *at = str_text(&text); *at;) {
        size_t n = strcspn(at, "\n");
        Json *row = NULL;
        if (json_parse(&row, at, n, "metrics.jsonl", ++line) != OK)
            fail_msg("%s", status_message());
        Json *kept = json_new_object();
        const char *key;
        Json *value;
        for (JsonIter it = {0}; json_next(row, &it, &key, &value);)
            if (!metrics_is_clock(key)) json_set(kept, key, json_clone(value));
        json_dump(out, kept, 0);
        str_append_char(out, '\n');
        json_free(kept);
        json_free(row);
        at += n + (at[n] == '\n');
    }
    str_free(&text);
}

static inline void assert_same_text(const Str *a, const Str *b, const char *what) {
    size_t n = a->len < b->len ? a->len : b->len, i = 0;
    while (i < n && a->data[i] == b->data[i]) i++;
    if (i == a->len && i == b->len) return;
    size_t from = i > 120 ? i - 120 : 0;
    fail_msg("%s differs at byte %zu (%zu and %zu bytes): ...%.240s... and ...%.240s...", what, i,
             a->len, b->len, str_text(a) + from, str_text(b) + from);
}

static inline void assert_same_file(const char *a, const char *b, const char *name) {
    Str x = {0}, y = {0};
    read_all(&x, a, name);
    read_all(&y, b, name);
    assert_same_text(&x, &y, name);
    str_free(&x);
    str_free(&y);
}

/* Every file whose name ends in `suffix` ("": all); returns how many. */
static inline int assert_same_folder(const char *a, const char *b, const char *suffix) {
    FileList x = {0}, y = {0};
    int compared = 0;
    if (file_list(&x, a) != OK || file_list(&y, b) != OK) fail_msg("%s", status_message());
    if (x.count != y.count) fail_msg("%s has %zu files, %s %zu", a, x.count, b, y.count);
    for (size_t i = 0; i < x.count; i++) {
        assert_string_equal(x.names[i], y.names[i]);
        if (!str_ends(x.names[i], suffix)) continue;
        assert_same_file(a, b, x.names[i]);
        compared++;
    }
    file_list_free(&x);
    file_list_free(&y);
    return compared;
}

/* The folder of the newest checkpoint; the caller mem_free's it. */
static inline char *last_checkpoint(const char *run) {
    Str name = {0};
    char *checkpoints = file_join(run, "checkpoints");
    read_all(&name, checkpoints, "latest");
    while (name.len > 0 && name.data[name.len - 1] == '\n') name.data[--name.len] = '\0';
    char *path = file_join(checkpoints, str_text(&name));
    mem_free(checkpoints);
    str_free(&name);
    return path;
}

static inline void assert_same_run(const char *a, const char *b) {
    Str x = {0}, y = {0};
    metrics_without_clock(&x, a);
    metrics_without_clock(&y, b);
    assert_same_text(&x, &y, "metrics.jsonl without clock readings");
    assert_true(x.len > 0);
    str_free(&x);
    str_free(&y);
    assert_same_file(a, b, "samples.jsonl");
    char *one = last_checkpoint(a), *two = last_checkpoint(b);
    assert_string_equal(file_name(one), file_name(two));
    assert_true(assert_same_folder(one, two, ".h5") > 0);
    mem_free(one);
    mem_free(two);
    one = file_join(a, "final");
    two = file_join(b, "final");
    assert_true(assert_same_folder(one, two, "") > 1);
    mem_free(one);
    mem_free(two);
}

#endif
