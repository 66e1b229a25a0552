/* Every key of every stage, walked by the table itself: misspelt, of a wrong type, out of range,
 * and what --help, the JSON Schema and docs/config.md say of it. */
#include "config_case.h"
#include "core/io/json.h"
#include "train/config/schema.h"
#include "unit.h"

#include <stdlib.h>

/* ---- misspelt keys ---- */

/* One edit of a name, by number: a letter left out, doubled, changed, or swapped with the next. */
static bool edit_name(const char *name, int edit, char out[128]) {
    size_t n = strlen(name), at = n / 2;
    snprintf(out, 128, "%s", name);
    switch (edit) {
    case 0:
        if (n < 3) return false;
        memmove(out + at, out + at + 1, n - at);
        break;
    case 1:
        memmove(out + at + 1, out + at, n - at + 1);
        break;
    case 2:
        out[at] = out[at] == 'x' ? 'y' : 'x';
        break;
    case 3:
        if (n < 3 || out[at] == out[at - 1]) return false;
        out[at] = name[at - 1];
        out[at - 1] = name[at];
        break;
    default:
        abort();
    }
    return true;
}

/* The tree text of one key with a value: "training.x" -> "training:\n  x: VALUE\n". */
static void append_key(Str *out, const char *path, const char *value) {
    const char *dot = strchr(path, '.');
    if (!dot)
        str_printf(out, "%s: %s\n", path, value);
    else
        str_printf(out, "%.*s:\n  %s: %s\n", (int)(dot - path), path, dot + 1, value);
}

/* Is the misspelling itself some other key? */
static bool is_known(Stage stage, const char *path) {
    return schema_key(stage, path) || schema_flat(stage, path) || schema_alias(stage, path) ||
           schema_neutral(stage, path) || schema_is_group(stage, path);
}

static void test_config_keys__misspelt_keys_get_the_right_suggestion(void **state) {
    (void)state;
    int tried = 0, right = 0;
    for (Stage stage = 0; stage < STAGE_COUNT; stage++) {
        const Key *keys[SCHEMA_MAX_KEYS];
        schema_keys(stage, keys);
        for (size_t i = 0; keys[i]; i++) {
            for (int edit = 0; edit < 4; edit++) {
                char leaf[128], path[256], wanted[192];
                const char *name = schema_leaf(keys[i]->path);
                if (!edit_name(name, edit, leaf)) continue;
                snprintf(path, sizeof path, "%.*s%s", (int)(name - keys[i]->path), keys[i]->path,
                         leaf);
                if (is_known(stage, path)) continue;
                Str yaml = {0};
                append_key(&yaml, path, keys[i]->dflt);
                ConfigCase c = config_case(stage, str_text(&yaml), NULL);
                snprintf(wanted, sizeof wanted, "did you mean `%s`?", keys[i]->path);
                bool ok = strstr(str_text(&c.log), wanted) != NULL;
                if (!ok) print_message("%s: %s", path, str_text(&c.log));
                assert_int_equal(c.status, ERR_CONFIG);
                assert_non_null(strstr(str_text(&c.log), "unknown key `"));
                tried++;
                right += ok;
                config_case_close(&c);
                str_free(&yaml);
            }
        }
    }
    print_message("misspelt keys: %d of %d suggestions right\n", right, tried);
    assert_true(tried > 700);
    assert_true(right * 100 >= tried * 95);
}

/* ---- wrong types and ranges ---- */

static const char *wrong_value(const Key *key) {
    switch (key->type) {
    case KEY_BOOL:
    case KEY_TRI:
        return "maybe";
    case KEY_INT:
        return "1.5";
    case KEY_REAL:
    case KEY_STEPS:
        return "10abc";
    case KEY_TEXT:
        return "[a, b]";
    case KEY_CHOICE:
        return "no_such_choice";
    case KEY_LIST:
    case KEY_COMMAND:
        return "{a: b}";
    case KEY_PAIRS:
        return "plain";
    case KEY_RECORDS:
        return "{no_such_key: 1}";
    }
    abort();
}

/* A config that is fine but for one key: exactly one error, at line:col of the value, naming the
 * path. */
static void assert_one_error(Stage stage, const char *path, const char *value) {
    Str yaml = {0};
    append_key(&yaml, path, value);
    bool reward = stage == STAGE_PPO && strcmp(path, "ppo.reward") != 0;
    bool train = strcmp(path, "data.train") != 0;
    ConfigCase c =
        config_case(stage, str_text(&yaml), "model.path=m", train ? "data.train=d.jsonl" : "model.path=m",
                    reward ? "ppo.reward={function: ends}" : "model.path=m", NULL);
    char place[64], name[160];
    snprintf(place, sizeof place, "a.yaml:%d:", strchr(path, '.') ? 2 : 1);
    snprintf(name, sizeof name, "`%s", path);
    bool ok = c.status == ERR_CONFIG && config_case_errors(&c) == 1 &&
              strstr(str_text(&c.log), place) && strstr(str_text(&c.log), name);
    if (!ok) fail_msg("%s: %s: status %d, %s", path, value, (int)c.status, str_text(&c.log));
    config_case_close(&c);
    str_free(&yaml);
}

static void test_config_keys__a_wrong_type_is_one_error_with_place_and_path(void **state) {
    (void)state;
    for (Stage stage = 0; stage < STAGE_COUNT; stage++) {
        const Key *keys[SCHEMA_MAX_KEYS];
        schema_keys(stage, keys);
        for (size_t i = 0; keys[i]; i++) {
            if (strcmp(keys[i]->path, "model.path") == 0) continue; /* the least needs it */
            assert_one_error(stage, keys[i]->path, wrong_value(keys[i]));
        }
    }
}

/* A number just outside one end of "[lo, hi)"; false where that end is infinite. */
static bool outside(const Key *key, bool low, char out[64]) {
    const char *range = key->range, *comma = strchr(range, ',');
    size_t n = strlen(range);
    char end[64];
    if (low)
        snprintf(end, sizeof end, "%.*s", (int)(comma - range - 1), range + 1);
    else
        snprintf(end, sizeof end, "%.*s", (int)(range + n - 1 - (comma + 2)), comma + 2);
    if (strstr(end, "inf") || strcmp(end, "9223372036854775807") == 0) return false;
    bool open = low ? range[0] == '(' : range[n - 1] == ')';
    double x = strtod(end, NULL);
    double step = key->type == KEY_INT ? 1 : 0.5;
    snprintf(out, 64, "%.17g", open ? x : low ? x - step : x + step * (x > 1e15 ? 2 : 1));
    return true;
}

static void test_config_keys__a_number_out_of_range_is_one_error(void **state) {
    (void)state;
    int tried = 0;
    for (Stage stage = 0; stage < STAGE_COUNT; stage++) {
        const Key *keys[SCHEMA_MAX_KEYS];
        schema_keys(stage, keys);
        for (size_t i = 0; keys[i]; i++) {
            char value[64];
            bool number =
                keys[i]->type == KEY_INT || keys[i]->type == KEY_REAL || keys[i]->type == KEY_STEPS;
            if (!number) continue;
            for (int low = 0; low < 2; low++) {
                if (!outside(keys[i], low, value)) continue;
                assert_one_error(stage, keys[i]->path, value);
                tried++;
            }
        }
    }
    assert_true(tried > 150);
}

/* ---- defaults ---- */

static void test_config_keys__defaults_are_the_tables(void **state) {
    (void)state;
    for (Stage stage = 0; stage < STAGE_COUNT; stage++) {
        ConfigCase c = config_case(stage, config_case_least(stage), NULL);
        const ConfigItem *items;
        assert_int_equal(c.status, OK);
        size_t n = config_items(c.cfg, &items), defaults = 0;
        for (size_t i = 0; i < n; i++) {
            const Key *key = schema_key(stage, items[i].path);
            defaults += strcmp(items[i].value, key->dflt) == 0;
        }
        /* Three were given (or two), and a few follow from others. */
        assert_true(defaults + 8 >= n);
        config_case_close(&c);
    }
    static const char *const LR[] = {"2e-5", "0.0001", "0.000003"};
    for (Stage stage = 0; stage < STAGE_COUNT; stage++) {
        ConfigCase c = config_case(stage, config_case_least(stage), NULL);
        double x = strtod(LR[stage], NULL);
        assert_true(c.cfg->training.learning_rate == x);
        config_case_close(&c);
    }
}

/* ---- one table, four faces ---- */

static char *written(void (*write)(Stage, FILE *), Stage stage) {
    Str text = {0};
    char *folder = scratch_new(), *path = file_join(folder, "out");
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    write(stage, f);
    fclose(f);
    assert_int_equal(file_read(&text, path, 1 << 24), OK);
    mem_free(path);
    scratch_free(folder);
    return str_take(&text);
}

static void docs(Stage stage, FILE *f) {
    (void)stage;
    config_docs(f);
}

static const Json *schema_at(const Json *root, const char *path) {
    const Json *at = root;
    for (const char *dot; at; path = dot + 1) {
        dot = strchr(path, '.');
        char *name = mem_strndup(path, dot ? (size_t)(dot - path) : strlen(path));
        at = json_get(json_get(at, "properties"), name);
        mem_free(name);
        if (!dot) return at;
    }
    return NULL;
}

static void test_config_keys__help_schema_and_docs_name_every_key(void **state) {
    (void)state;
    char *doc = written(docs, STAGE_SFT);
    for (Stage stage = 0; stage < STAGE_COUNT; stage++) {
        char *help = written(config_help, stage), *text = written(config_schema, stage);
        Json *schema = NULL;
        assert_int_equal(json_parse(&schema, text, strlen(text), "schema", 1), OK);
        const Key *keys[SCHEMA_MAX_KEYS];
        schema_keys(stage, keys);
        for (size_t i = 0; keys[i]; i++) {
            assert_non_null(strstr(help, keys[i]->path));
            assert_non_null(strstr(help, keys[i]->doc));
            assert_non_null(strstr(doc, keys[i]->path));
            const Json *j = schema_at(schema, keys[i]->path);
            if (!j) fail_msg("the JSON Schema lacks %s", keys[i]->path);
            assert_string_equal(json_str(json_get(j, "description"), NULL), keys[i]->doc);
        }
        json_free(schema);
        mem_free(help);
        mem_free(text);
    }
    mem_free(doc);
}

/* docs/config.md is what the table says; HONE_WRITE_DOCS=1 writes it anew. */
static void test_config_keys__docs_are_up_to_date(void **state) {
    (void)state;
    const char *path = HONE_SOURCE_DIR "/docs/config.md";
    char *now = written(docs, STAGE_SFT);
    if (getenv("HONE_WRITE_DOCS")) {
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fputs(now, f);
        fclose(f);
    }
    Str kept = {0};
    assert_int_equal(file_read(&kept, path, 1 << 24), OK);
    if (strcmp(str_text(&kept), now) != 0) {
        fail_msg("docs/config.md is not what the tables say; run this test with HONE_WRITE_DOCS=1");
    }
    str_free(&kept);
    mem_free(now);
}

static void test_config_keys__no_name_is_there_twice(void **state) {
    (void)state;
    for (Stage stage = 0; stage < STAGE_COUNT; stage++) {
        const Key *keys[SCHEMA_MAX_KEYS];
        size_t n = schema_keys(stage, keys);
        for (size_t i = 0; i < n; i++) {
            for (size_t k = i + 1; k < n; k++)
                assert_string_not_equal(keys[i]->path, keys[k]->path);
            assert_null(schema_neutral(stage, keys[i]->path));
            if (!keys[i]->flat || strcmp(keys[i]->flat, ".") != 0) continue;
            const char *leaf = schema_leaf(keys[i]->path);
            assert_ptr_equal(schema_flat(stage, leaf), keys[i]);
            assert_null(schema_alias(stage, leaf));
            assert_null(schema_neutral(stage, leaf));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_keys__misspelt_keys_get_the_right_suggestion),
        cmocka_unit_test(test_config_keys__a_wrong_type_is_one_error_with_place_and_path),
        cmocka_unit_test(test_config_keys__a_number_out_of_range_is_one_error),
        cmocka_unit_test(test_config_keys__defaults_are_the_tables),
        cmocka_unit_test(test_config_keys__help_schema_and_docs_name_every_key),
        cmocka_unit_test(test_config_keys__docs_are_up_to_date),
        cmocka_unit_test(test_config_keys__no_name_is_there_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
