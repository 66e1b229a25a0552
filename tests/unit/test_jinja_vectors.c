/* What Jinja2 makes of the same templates: golden renderings (tests/oracle/tokenizers_jinja.py),
 * and the vectors beside the vocabularies: units, conversations, forty models' own templates. */
#include "unit.h"

#include "core/file.h"
#include "core/io/json.h"
#include "core/mem.h"
#include "data/jinja/jinja.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VECTORS HONE_SHARED_DIR "/tokenizers/chat_templates/"

static Json *read_json(const char *path) {
    Json *j = NULL;
    if (json_read_file(&j, path) != OK) fail_msg("%s", status_message());
    return j;
}

static Status render(Str *out, const Json *source, const Json *const *contexts, size_t n_contexts) {
    JinjaVariable v[64];
    size_t n = 0, length = 0;
    for (size_t i = 0; i < n_contexts; i++) {
        JsonIter it = {0};
        const char *name;
        Json *value;
        while (json_next(contexts[i], &it, &name, &value) && n < 64) {
            v[n++] = (JinjaVariable){.name = name, .json = value};
        }
    }
    const char *text = json_str(source, &length);
    Jinja *j = NULL;
    Tagged t = {0};
    Status st = jinja_open(&j, text, length, "template");
    if (st == OK) st = jinja_render(j, &t, v, n);
    if (st == OK) str_append_n(out, str_text(&t.text), t.text.len);
    tagged_free(&t);
    jinja_close(j);
    return st;
}

/* `expected` null: it must fail. Returns 1 when it is otherwise. */
static int differs(const char *name, const Json *source, const Json *const *contexts,
                   size_t n_contexts, const Json *expected) {
    Str out = {0};
    size_t n = 0;
    Status st = render(&out, source, contexts, n_contexts);
    bool good;
    if (json_is(expected, JSON_KIND_STRING)) {
        const char *want = json_str(expected, &n);
        good = st == OK && out.len == n && memcmp(str_text(&out), want, n) == 0;
        if (!good)
            print_error("%s\n wanted %s\n got    %s\n", name, want,
                        st == OK ? str_text(&out) : status_message());
    } else {
        good = st == ERR_DATA;
        if (!good) print_error("%s: should fail, gives %s\n", name, str_text(&out));
    }
    str_free(&out);
    return good ? 0 : 1;
}

static void test_jinja__renders_as_jinja2(void **state) {
    (void)state;
    Json *golden = read_json(HONE_SOURCE_DIR "/tests/golden/data/jinja.json");
    const Json *context = json_get(golden, "context"), *cases = json_get(golden, "cases");
    int wrong = 0;
    assert_true(json_len(cases) >= 70);
    for (int64_t i = 0; i < json_len(cases); i++) {
        const Json *c = json_at(cases, i), *source = json_get(c, "template");
        wrong += differs(json_str(source, NULL), source, &context, 1, json_get(c, "expected"));
    }
    assert_int_equal(wrong, 0);
    json_free(golden);
}

static void need_vectors(void) {
    if (file_is_folder(VECTORS)) return;
    print_message("skipped: the vectors are not there (%s)\n", VECTORS);
    skip();
}

/* {name: {<template>, <context>, <expected>}} */
static void check_vectors(const char *file, const char *template, const char *context,
                          const char *expected, int64_t at_least) {
    need_vectors();
    char *path = str_format(VECTORS "%s", file);
    Json *all = read_json(path), *v;
    JsonIter it = {0};
    const char *name;
    int wrong = 0;
    assert_true(json_len(all) >= at_least);
    while (json_next(all, &it, &name, &v)) {
        const Json *variables = json_get(v, context);
        wrong += differs(name, json_get(v, template), &variables, 1, json_get(v, expected));
    }
    assert_int_equal(wrong, 0);
    json_free(all);
    mem_free(path);
}

static void test_jinja__agrees_with_conversations_end_to_end(void **state) {
    (void)state;
    check_vectors("hf_e2e_vectors.json", "chat_template", "data", "target", 35);
}

/* One unit case has a NUL in a key, which our JSON does not have: those that can be read. */
static void test_jinja__agrees_with_the_unit_vectors(void **state) {
    (void)state;
    need_vectors();
    Str text = {0};
    assert_int_equal(file_read(&text, VECTORS "jinja_unit_vectors.json", 1 << 20), OK);
    for (char *at = strstr(text.data, "\\u0000"); at != NULL; at = strstr(at, "\\u0000")) {
        memcpy(at, "\\u0001", 6); /* on both sides: in the context and in what is expected */
    }
    Json *all = NULL, *v;
    if (json_parse(&all, text.data, text.len, "vectors", 1) != OK) fail_msg("%s", status_message());
    JsonIter it = {0};
    const char *name;
    int wrong = 0;
    assert_int_equal(json_len(all), 98);
    while (json_next(all, &it, &name, &v)) {
        const Json *variables = json_get(v, "context");
        wrong += differs(name, json_get(v, "template"), &variables, 1, json_get(v, "expected"));
    }
    assert_int_equal(wrong, 0);
    json_free(all);
    str_free(&text);
}

static void test_jinja__renders_forty_models_templates(void **state) {
    (void)state;
    need_vectors();
    setenv("SOURCE_DATE_EPOCH", "1721995200", 1); /* 2024-07-26, the date of the vectors */
    Json *all = read_json(VECTORS "model_templates_rendered.json"), *model;
    const Json *meta = json_get(all, "meta"), *contexts = json_get(meta, "contexts");
    Json *names = json_new_object();
    json_set(names, "bos_token", json_clone(json_get(meta, "bos_token")));
    json_set(names, "eos_token", json_clone(json_get(meta, "eos_token")));
    JsonIter it = {0};
    const char *name;
    int wrong = 0, count = 0;
    while (json_next(json_get(all, "templates"), &it, &name, &model)) {
        JsonIter inner = {0};
        const char *which;
        Json *c;
        while (json_next(json_get(model, "cases"), &inner, &which, &c)) {
            const Json *variables[2] = {names, json_get(contexts, which)};
            wrong +=
                differs(name, json_get(model, "template"), variables, 2, json_get(c, "expected"));
            count++;
        }
    }
    assert_int_equal(wrong, 0);
    assert_true(count >= 150);
    json_free(names);
    json_free(all);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jinja__renders_as_jinja2),
        cmocka_unit_test(test_jinja__agrees_with_the_unit_vectors),
        cmocka_unit_test(test_jinja__agrees_with_conversations_end_to_end),
        cmocka_unit_test(test_jinja__renders_forty_models_templates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
