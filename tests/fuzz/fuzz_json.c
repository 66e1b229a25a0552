/* JSON: what is read is written and read back as the same text. Lines of it too.
 *
 * Parser: core/io/json.c
 * Parser: core/io/jsonl.c
 */
#include "fuzz.h"

#include "core/io/jsonl.h"

static void round_trip(const Json *j) {
    Str once = {0}, twice = {0};
    Json *again = NULL;
    json_dump(&once, j, 0);
    CHECK(json_parse(&again, str_text(&once), once.len, "dump", 1) == OK, "%s: %s",
          status_message(), str_text(&once));
    json_dump(&twice, again, 0);
    CHECK(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0, "%s became %s",
          str_text(&once), str_text(&twice));
    json_free(again);
    str_free(&once);
    str_free(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Json *j = NULL;
    if (fuzz_ok(json_parse(&j, (const char *)data, size, "fuzz.json", 1))) round_trip(j);
    json_free(j);
    Jsonl *lines = NULL;
    if (!fuzz_ok(jsonl_open_bytes(&lines, "fuzz.jsonl", (const char *)data, size))) return 0;
    for (int64_t i = 0; i < jsonl_rows(lines); i++) {
        j = NULL;
        if (fuzz_ok(jsonl_parse(&j, lines, i))) round_trip(j);
        json_free(j);
    }
    jsonl_close(lines);
    return 0;
}

void fuzz_seeds(void) {
    fuzz_seed_text("{\"a\": [1, -2.5e-3, true, false, null], \"b\": {\"c\": \"\\u00e9\\n\"}}");
    fuzz_seed_text("{\"text\": \"one\"}\n\n{\"text\": \"two\", \"n\": 9223372036854775807}\r\n");
    fuzz_seed_text("\"\\ud83d\\ude00 \xf0\x9f\x98\x80\"");
    fuzz_seed_text("[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]");
}

const char *const fuzz_words[] = {"{\"a\": ",
                                  "[[[[[[[[",
                                  "\\ud800",
                                  "\\udc00",
                                  "\\u0000",
                                  "NaN",
                                  "Infinity",
                                  "1e999",
                                  "-0.0",
                                  "\"\"",
                                  "\"a\": 1, \"a\": 2",
                                  "\xef\xbb\xbf",
                                  "\n",
                                  "null",
                                  NULL};
