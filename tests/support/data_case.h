/* data_case: files of a few lines, opened as data sets with the byte tokenizer (id = byte, 257 =
 * EOS). */
#ifndef HONE_TESTS_DATA_CASE_H
#define HONE_TESTS_DATA_CASE_H

#include "unit.h"

#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/rows.h"
#include "data/batch.h"
#include "data/dataset.h"
#include "data/tokenizer/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CASE_EOS 257

typedef struct DataCase {
    char folder[64], path[128];
    Tokenizer *tok;
    DatasetSource source;
    DatasetOptions options;
    Dataset *data;
} DataCase;

static inline void case_open(DataCase *c, DatasetKind kind) {
    memset(c, 0, sizeof *c);
    log_set_level(LOG_ERROR);
    strcpy(c->folder, "/tmp/hone-data-XXXXXX");
    assert_non_null(mkdtemp(c->folder));
    assert_int_equal(tokenizer_open_bytes(&c->tok), OK);
    c->options = dataset_options_default(kind);
    c->options.tokenizer = c->tok;
    c->source.path = c->path;
    c->options.sources = &c->source;
    c->options.n_sources = 1;
}

/* Writes a file into the case's folder and makes it the source. */
static inline void case_file_n(DataCase *c, const char *name, const char *bytes, size_t n) {
    snprintf(c->path, sizeof c->path, "%s/%s", c->folder, name);
    FILE *f = fopen(c->path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}
static inline void case_file(DataCase *c, const char *name, const char *text) {
    case_file_n(c, name, text, strlen(text));
}

static inline Status case_try(DataCase *c) {
    dataset_close(c->data);
    c->data = NULL;
    c->options.sources = &c->source; /* the case may have been copied */
    c->source.path = c->path;
    return dataset_open(&c->data, &c->options);
}
static inline void case_load(DataCase *c) {
    Status st = case_try(c);
    if (st != OK) fail_msg("%s", status_message());
}
static inline void case_text(DataCase *c, const char *name, const char *text) {
    case_file(c, name, text);
    case_load(c);
}

static inline void case_close(DataCase *c) {
    dataset_close(c->data);
    tokenizer_close(c->tok);
    assert_int_equal(file_remove_tree(c->folder), OK);
}

/* The ids as text; EOS is written $, other ids outside of ASCII ?. */
static inline const char *ids_text(const int32_t *ids, int64_t n) {
    static char text[4096];
    int64_t i = 0;
    for (; i < n && i < (int64_t)sizeof text - 1; i++)
        text[i] = ids[i] == CASE_EOS ? '$' : ids[i] < 128 ? (char)ids[i] : '?';
    text[i] = '\0';
    return text;
}
/* The labels as text: rows without a loss are written '.'. */
static inline const char *labels_text(const int32_t *labels, int64_t n) {
    static char text[4096];
    int64_t i = 0;
    for (; i < n && i < (int64_t)sizeof text - 1; i++)
        text[i] = labels[i] == ROWS_NO_TARGET ? '.' : labels[i] == CASE_EOS ? '$' : (char)labels[i];
    text[i] = '\0';
    return text;
}

#define assert_ids(want, ids, n) assert_string_equal(want, ids_text(ids, n))
#define assert_labels(want, labels, n) assert_string_equal(want, labels_text(labels, n))

#endif
