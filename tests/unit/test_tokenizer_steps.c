/* Each normalizer, pre-tokenizer and decoder by itself, as Hugging Face's library does it
 * (tests/oracle/tokenizers_golden.py). */
#include "unit.h"

#include "core/io/json.h"
#include "core/mem.h"
#include "data/tokenizer/detokenize.h"
#include "data/tokenizer/normalize.h"
#include "data/tokenizer/pretokenize.h"

#include <stdio.h>
#include <string.h>

typedef struct Fixture {
    Json *golden;
    const Json *texts, *cases;
    RegexScratch regex;
} Fixture;

static int set_up(void **state) {
    Fixture *f = mem_zalloc(1, sizeof *f);
    const char *path = HONE_SOURCE_DIR "/tests/golden/data/tokenizers/steps.json";
    if (json_read_file(&f->golden, path) != OK) fail_msg("%s", status_message());
    f->texts = json_get(f->golden, "texts");
    f->cases = json_get(f->golden, "cases");
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    Fixture *f = *state;
    json_free(f->golden);
    regex_scratch_free(&f->regex);
    mem_free(f);
    return 0;
}

/* The i-th case of a kind from *at on; NULL after the last. */
static const Json *next_case(const Fixture *f, const char *kind, int64_t *at) {
    while (*at < json_len(f->cases)) {
        const Json *c = json_at(f->cases, (*at)++);
        if (str_equal(json_str(json_get(c, "kind"), NULL), kind)) return c;
    }
    return NULL;
}

static int report(const Json *spec, const char *text, const char *want, const char *got) {
    Str shown = {0};
    json_dump(&shown, spec, 0);
    print_error("%s on `%s`: wanted `%s`, got `%s`\n", str_text(&shown), text, want, got);
    str_free(&shown);
    return 1;
}

static int check_normalizer(Fixture *f, const Json *c) {
    Normalizer z = {0};
    NormalizeScratch w = {0};
    int wrong = 0;
    if (normalizer_read(&z, json_get(c, "spec"), "test") != OK) fail_msg("%s", status_message());
    for (int64_t i = 0; i < json_len(f->texts); i++) {
        size_t n = 0, want_n = 0;
        const char *text = json_str(json_at(f->texts, i), &n);
        const char *want = json_str(json_at(json_get(c, "want"), i), &want_n);
        for (int tagged = 0; tagged < 2 && n > 0; tagged++) {
            Tagged in = {.uniform = !tagged}, out = {.uniform = !tagged};
            tagged_append(&in, text, n, 1);
            assert_int_equal(normalizer_apply(&z, &w, &f->regex, &out, &in, 0, n), OK);
            bool same = out.text.len == want_n && memcmp(str_text(&out.text), want, want_n) == 0;
            if (!same) wrong += report(json_get(c, "spec"), text, want, str_text(&out.text));
            for (size_t k = 0; tagged && k < out.text.len; k++) assert_int_equal(out.tag[k], 1);
            tagged_free(&in);
            tagged_free(&out);
        }
    }
    normalizer_free(&z);
    normalize_scratch_free(&w);
    return wrong;
}

static void test_normalizer__each_kind_as_the_reference(void **state) {
    Fixture *f = *state;
    int wrong = 0, count = 0;
    int64_t at = 0;
    for (const Json *c; (c = next_case(f, "normalizer", &at)) != NULL; count++)
        wrong += check_normalizer(f, c);
    assert_int_equal(wrong, 0);
    assert_int_equal(count, 17);
}

/* The pieces with | between. */
static void join_pieces(Str *out, const Tagged *text, const Pieces *pieces) {
    for (size_t i = 0; i < pieces->n; i++) {
        if (i > 0) str_append_char(out, '|');
        str_append_n(out, text->text.data + pieces->piece[i].at, pieces->piece[i].n);
    }
}

static int check_pretokenizer(Fixture *f, const Json *c) {
    Pretokenizer p = {0};
    PretokenizeScratch w = {0};
    int wrong = 0;
    if (pretokenizer_read(&p, json_get(c, "spec"), "test") != OK) fail_msg("%s", status_message());
    for (int64_t i = 0; i < json_len(f->texts); i++) {
        size_t n = 0, part_n = 0;
        const char *text = json_str(json_at(f->texts, i), &n);
        const Json *parts = json_at(json_get(c, "want"), i);
        Tagged in = {.uniform = true};
        Pieces pieces = {0};
        Str want = {0}, got = {0};
        if (n == 0) continue;
        tagged_append(&in, text, n, 0);
        pieces_push(&pieces, (Piece){0, n, -1, true});
        assert_int_equal(pretokenizer_apply(&p, &w, &f->regex, &in, &pieces), OK);
        join_pieces(&got, &in, &pieces);
        for (int64_t k = 0; k < json_len(parts); k++) {
            const char *part = json_str(json_at(parts, k), &part_n);
            if (k > 0) str_append_char(&want, '|');
            str_append_n(&want, part, part_n);
        }
        bool same = want.len == got.len && memcmp(str_text(&want), str_text(&got), want.len) == 0;
        if (!same) wrong += report(json_get(c, "spec"), text, str_text(&want), str_text(&got));
        tagged_free(&in);
        pieces_free(&pieces);
        str_free(&want);
        str_free(&got);
    }
    pretokenizer_free(&p);
    pretokenize_scratch_free(&w);
    return wrong;
}

static void test_pretokenizer__each_kind_as_the_reference(void **state) {
    Fixture *f = *state;
    int wrong = 0, count = 0;
    int64_t at = 0;
    for (const Json *c; (c = next_case(f, "pre_tokenizer", &at)) != NULL; count++) {
        wrong += check_pretokenizer(f, c);
    }
    assert_int_equal(wrong, 0);
    assert_int_equal(count, 33);
}

static void test_decoder__each_kind_as_the_reference(void **state) {
    Fixture *f = *state;
    int wrong = 0, count = 0;
    int64_t at = 0;
    for (const Json *c; (c = next_case(f, "decoder", &at)) != NULL; count++) {
        Detokenizer d = {0};
        Str out = {0};
        TokenStream s = {0};
        const Json *tokens = json_get(c, "tokens");
        if (detokenizer_read(&d, json_get(c, "spec"), "test") != OK)
            fail_msg("%s", status_message());
        for (int64_t i = 0; i < json_len(tokens); i++) {
            size_t n = 0;
            const char *token = json_str(json_at(tokens, i), &n);
            detokenizer_push(&d, &s, &out, token, n);
        }
        detokenizer_finish(&d, &s, &out);
        const char *want = json_str(json_get(c, "want"), NULL);
        if (!str_equal(str_text(&out), want))
            wrong += report(json_get(c, "spec"), "tokens", want, str_text(&out));
        detokenizer_free(&d);
        str_free(&out);
        str_free(&s.held);
    }
    assert_int_equal(wrong, 0);
    assert_int_equal(count, 11);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_normalizer__each_kind_as_the_reference, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_pretokenizer__each_kind_as_the_reference, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_decoder__each_kind_as_the_reference, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
