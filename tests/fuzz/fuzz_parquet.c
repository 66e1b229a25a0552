/* Parquet files: footer, pages, encodings, levels. The first and the last rows are built.
 *
 * Parser: data/containers/parquet.c
 * Parser: data/containers/parquet_pages.c
 * Parser: data/containers/parquet_rows.c
 * Parser: data/containers/parquet_schema.c
 * Parser: data/containers/parquet_values.c
 * Parser: data/containers/thrift.c
 * Parser: data/containers/unsnap.c
 */
#include "fuzz.h"

#include "data/containers/parquet.h"

#define MOST_ROWS 100

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Parquet *p = NULL;
    if (!fuzz_ok(parquet_open(&p, "a.parquet", data, size))) return 0;
    int64_t n = parquet_rows(p);
    for (int64_t i = 0; i < n; i++) {
        if (i == MOST_ROWS && n > 2 * MOST_ROWS) i = n - MOST_ROWS;
        Json *row = NULL;
        if (fuzz_ok(parquet_row(&row, p, i))) CHECK(row, "row %lld is missing", (long long)i);
        json_free(row);
    }
    parquet_close(p);
    return 0;
}

void fuzz_seeds(void) {
    static const char *const names[] = {
        "nested.v1_snappy", "nested.v2_zstd",   "nested.v1_none",  "numbers.v1_gzip",
        "numbers.v1_delta", "numbers.v2_split", "texts.v2_snappy", "texts.v1_lengths",
        "texts.v2_prefix",  "others.v1_none",   "stamps.int96",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = str_format("tests/golden/data/parquet/%s.parquet", names[i]);
        fuzz_seed_file(path, (size_t)1 << 16);
        mem_free(path);
    }
    /* one column and one page each: a change there is one of what matters */
    FileList files = {0};
    CHECK(file_list(&files, HONE_SOURCE_DIR "/tests/golden/data/parquet_hostile") == OK, "%s",
          status_message());
    for (size_t i = 0; i < files.count; i++) {
        char *path = file_join("tests/golden/data/parquet_hostile", files.names[i]);
        if (str_ends(path, ".parquet")) fuzz_seed_file(path, (size_t)1 << 16);
        mem_free(path);
    }
    file_list_free(&files);
}

const char *const fuzz_words[] = {
    "PAR1", "element", "\x15\x04\x15", "\x15\x80\x80\x80\x80\x10", "\x19\x1c", "\x2c\x15", NULL};
