/* What a conversation goes through around its template, as Transformers does it. */
#include "unit.h"

#include "core/mem.h"
#include "data/template.h"

#include <string.h>

/* Renders; `want` NULL: it must be refused, with `part` in the line. */
static void expect(const char *source, const char *messages, bool continued, const char *want,
                   const char *part) {
    Tokenizer *tok = NULL;
    ChatTemplate *t = NULL;
    Json *list = NULL;
    TemplateText text = {0};
    assert_int_equal(tokenizer_open(&tok, "bytes"), OK);
    assert_int_equal(template_open(&t, tok, source), OK);
    if (json_parse(&list, messages, strlen(messages), "test", 1) != OK)
        fail_msg("%s", status_message());
    TemplateInput in = {.messages = list, .continue_final_message = continued};
    Status st = template_render(t, &text, &in);
    if (want != NULL) {
        if (st != OK) fail_msg("%s", status_message());
        assert_string_equal(text.text, want);
    } else {
        assert_int_equal(st, ERR_DATA);
        assert_non_null(strstr(status_message(), part));
    }
    template_text_free(&text);
    json_free(list);
    template_close(t);
    tokenizer_close(tok);
}

#define EACH(what) "{% for m in messages %}" what "{% endfor %}"

static void test_template__reasoning_goes_by_all_its_names(void **state) {
    (void)state;
    static const char both[] = EACH("{{ m.reasoning_content }}|{{ m.thinking }};");
    expect(both, "[{\"role\":\"user\"},{\"reasoning\":\"r\"}]", false, "|;r|r;", NULL);
    expect(both, "[{\"thinking\":\"t\",\"reasoning\":\"r\"}]", false, "t|t;", NULL);
    expect(both, "[{\"reasoning_content\":\"c\",\"thinking\":\"t\"}]", false, "c|t;", NULL);
    expect(both, "[{\"reasoning_content\":null,\"reasoning\":\"r\"}]", false, "r|r;", NULL);
    expect(EACH("{{ m | tojson }}"), "[{\"role\":\"a\",\"reasoning\":\"r\"}]", false,
           "{\"thinking\": \"r\", \"role\": \"a\", \"reasoning\": \"r\", \"reasoning_content\": "
           "\"r\"}",
           NULL);
}

static void test_template__the_last_message_is_continued(void **state) {
    (void)state;
#define LAST(text) \
    "[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"a\",\"content\":\"" text "\"}]"
    expect(EACH("<{{ m.content }}>"), LAST("so \\n"), true, "<q><so \n", NULL);
    expect(EACH("<{{ m.content | trim }}>"), LAST("so \\u001c\\n"), true, "<q><so", NULL);
    expect(EACH("<{{ m.role }}>"), LAST("so"), true, NULL, "does not write out");
    expect(EACH("<{{ m.content.split('x') | last }}>"), LAST("axb"), true, NULL, "as it is");
}

static void test_template__blanks_are_pythons(void **state) {
    (void)state;
    expect(EACH("[{{ m.content.strip() }}][{{ m.content.split() | join('-') }}]"),
           "[{\"content\":\"\\u001c a\\u001fb\\u2003\"}]", false,
           "[a\x1f"
           "b][a-b]",
           NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_template__reasoning_goes_by_all_its_names),
        cmocka_unit_test(test_template__the_last_message_is_continued),
        cmocka_unit_test(test_template__blanks_are_pythons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
