/* Data files of every kind: the first byte picks the ending. Every row is parsed.
 *
 * Parser: data/containers/container.c
 * Parser: data/containers/json_rows.c
 * Parser: data/containers/table.c
 * Parser: data/containers/text_rows.c
 * Parser: data/containers/scan.c
 * Parser: data/containers/gunzip.c
 * Parser: data/containers/unzstd.c
 */
#include "fuzz.h"

#include "data/containers/container.h"

static const char *const endings[] = {"a.jsonl", "a.json",     "a.csv",     "a.tsv",
                                      "a.txt",   "a.jsonl.gz", "a.csv.zst", "a.ndjson"};
#define N_ENDINGS (sizeof endings / sizeof *endings)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    const char *path = fuzz_file(endings[data[0] % N_ENDINGS], data + 1, size - 1);
    ContainerOptions options = {.text_by = (DatasetTextBy)(data[0] / 8 % 3),
                                .text_field = "text",
                                .no_header = data[0] / 32 % 2};
    Container *c = NULL;
    if (!fuzz_ok(container_open(&c, path, &options))) return 0;
    for (int64_t i = 0; i < container_rows(c); i++) {
        Json *row = NULL;
        fuzz_ok(container_parse(&row, c, i));
        json_free(row);
    }
    container_close(c);
    return 0;
}

static void seed(char kind, const char *bytes, size_t n) {
    Str text = {0};
    str_append_char(&text, kind);
    str_append_n(&text, bytes, n);
    fuzz_seed(text.data, text.len);
    str_free(&text);
}

#define SEED(kind, text) seed(kind, text, sizeof text - 1)

void fuzz_seeds(void) {
    SEED(0, "{\"text\": \"a\"}\n{\"text\": \"b\", \"n\": [1, {}]}\r\n\n");
    SEED(1, "[{\"text\": \"a\"},\n {\"text\": \"b\"}]");
    SEED(1, "{\"version\": 1, \"data\": [{\"text\": \"a\"}]}");
    SEED(2, "text,n\n\"a, \"\"b\"\"\",1\r\nc,2\n");
    SEED(34, "a,b\nc,d\n");
    SEED(3, "text\tn\na\\tb\t1\n");
    SEED(4, "one\n\ntwo\nthree\n");
    SEED(12, "one\n\ntwo\nthree\n");
    /* printf '{"text": "a"}\n' | gzip -n */
    SEED(5, "\x1f\x8b\x08\0\0\0\0\0\0\x03\xab\x56\x2a\x49\xad\x28\x51\xb2\x52\x50\x4a\x54\xaa\xe5"
            "\x02\0\x58\xf2\x0f\x5f\x0e\0\0\0");
    /* printf 'text,n\na,1\n' | zstd --no-check */
    SEED(6, "\x28\xb5\x2f\xfd\x20\x0b\x59\0\0text,n\na,1\n");
    SEED(7, "\xef\xbb\xbf{\"text\": \"a\"}\n");
}

const char *const fuzz_words[] = {"{\"text\": \"",
                                  "\"}\n",
                                  "[{",
                                  "}, {",
                                  "]}",
                                  "\"\"",
                                  "\t",
                                  "\\t",
                                  "\r\n",
                                  "\xef\xbb\xbf",
                                  "\x1f\x8b\x08",
                                  "\x28\xb5\x2f\xfd",
                                  "PAR1",
                                  "data",
                                  NULL};
