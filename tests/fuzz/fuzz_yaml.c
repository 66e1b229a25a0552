/* YAML: any bytes become a tree or errors with a place.
 *
 * Parser: core/io/yaml.c
 * Parser: core/io/yaml_errors.c
 * Parser: core/io/yaml_scalar.c
 */
#include "fuzz.h"

#include "core/io/yaml.h"

static void walk(const YamlNode *n, int depth) {
    CHECK(depth <= YAML_MAX_DEPTH, "deeper than it may be");
    double number;
    int64_t integer;
    bool flag;
    if (n->kind == YAML_SCALAR) {
        char text[32];
        if (yaml_to_number(n->text, &number)) {
            double again = 0;
            yaml_from_number(text, number);
            CHECK(yaml_to_number(text, &again) && again == number, "%s became %s", n->text, text);
        }
        yaml_to_integer(n->text, &integer);
        yaml_to_bool(n->text, &flag);
        return;
    }
    for (size_t i = 0; i < n->n; i++) walk(n->items[i], depth + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    YamlStore *store = yaml_store_open();
    YamlErrors errors = {0};
    YamlNode *root = yaml_parse(store, &errors, "fuzz.yaml", (const char *)data, size);
    if (root) walk(root, 0);
    yaml_errors_sort(&errors);
    for (size_t i = 0; i < errors.n; i++) {
        char line[512];
        yaml_errors_line(&errors, i, line, sizeof line);
        CHECK(line[0], "an error without a line");
    }
    fuzz_accepted += errors.n == 0;
    yaml_errors_free(&errors);
    yaml_store_close(store);
    return 0;
}

void fuzz_seeds(void) {
    fuzz_seed_text("a: 1\nb: [x, 'y', \"z\\u00e9\"]\nc: {d: 1e-5, e: null, f: ~}\n");
    fuzz_seed_text("a: &x {b: 1}\nc: *x\nd: |\n  block\n  text\ne: >-\n  folded\n  text\n");
    fuzz_seed_text("- 1_000\n- 0x1f\n- .5\n- !!str 5\n- !!int 6\n- - nested\n  - list\n");
    fuzz_seed_file("configs/smoke/1_sft_text.yaml", 4096);
    for (size_t n = 510; n <= 514; n++) { /* numbers about as long as they may be */
        char text[3 + 514] = "a: ";
        memset(text + 3, '1', n);
        fuzz_seed(text, 3 + n);
    }
}

const char *const fuzz_words[] = {
    "&a ",  "*a",    "<<: ", "---\n", "...\n",   "!!str ",       "!!float ", "? ",   ": ",
    "- ",   "|\n",   ">-\n", "\t",    "\\u0000", "%YAML",        "[[[[",     "{{{{", "null",
    "true", "1e999", ".inf", "0x",    "0o7",     "\xef\xbb\xbf", NULL};
