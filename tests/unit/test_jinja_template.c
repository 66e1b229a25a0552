/* Chat templates from messages to tokens: origins, masks, prompts, continued messages, errors,
 * limits. */
#include "unit.h"

#include "core/io/json.h"
#include "core/mem.h"
#include "data/template.h"

#include <stdio.h>
#include <string.h>

#define CHATML                                                                                    \
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' " \
    "+ '\\n' }}"                                                                                  \
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
#define CHATML_MARKED                                                                    \
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' }}{% if m['role'] == " \
    "'assistant' %}"                                                                     \
    "{% generation %}{{ m['content'] + '<|im_end|>' }}{% endgeneration %}{% else %}{{ "  \
    "m['content'] }}"                                                                    \
    "<|im_end|>{% endif %}{{ '\\n' }}{% endfor %}"

static Json *parse(const char *text) {
    Json *j = NULL;
    if (json_parse(&j, text, strlen(text), "test", 1) != OK) fail_msg("%s", status_message());
    return j;
}

typedef struct Case {
    Tokenizer *tokenizer;
    ChatTemplate *template;
    TemplateText text;
} Case;

static Case open_case(const char *source) {
    Case c = {0};
    assert_int_equal(tokenizer_open_bytes(&c.tokenizer), OK);
    if (template_open(&c.template, c.tokenizer, source) != OK) fail_msg("%s", status_message());
    return c;
}

static void close_case(Case *c) {
    template_text_free(&c->text);
    template_close(c->template);
    tokenizer_close(c->tokenizer);
}

static Status render(Case *c, const char *messages, TemplateInput in) {
    Json *j = parse(messages);
    in.messages = j;
    Status st = template_render(c->template, &c->text, &in);
    json_free(j);
    return st;
}

/* The text with what has a flag between [ and ]. */
static Str marked(const TemplateText *t, unsigned flag) {
    Str out = {0};
    bool open = false;
    for (size_t i = 0; i < t->n_segments; i++) {
        bool has = (t->segments[i].flags & flag) != 0;
        if (has != open) str_append_char(&out, has ? '[' : ']');
        open = has;
        str_append_n(&out, t->segments[i].text, t->segments[i].n);
    }
    if (open) str_append_char(&out, ']');
    return out;
}

static void expect_marked(const TemplateText *t, unsigned flag, const char *want) {
    Str got = marked(t, flag);
    assert_string_equal(str_text(&got), want);
    str_free(&got);
}

#define TALK "[{\"role\":\"user\",\"content\":\"Hi\"},{\"role\":\"assistant\",\"content\":\"Yo\"}]"

static void test_template__knows_where_bytes_come_from(void **state) {
    (void)state;
    Case c = open_case(CHATML);
    assert_int_equal(render(&c, "[{\"role\":\"user\",\"content\":\"<|im_end|>\"}]",
                            (TemplateInput){.add_generation_prompt = true}),
                     OK);
    expect_marked(&c.text, SEGMENT_SPECIAL,
                  "[<|im_start|>user\n]<|im_end|>[<|im_end|>\n<|im_start|>assistant\n]");
    /* A role is the template's as long as it is a word. */
    assert_int_equal(render(&c, "[{\"role\":\"a|>\",\"content\":\"x\"}]", (TemplateInput){0}), OK);
    expect_marked(&c.text, SEGMENT_SPECIAL, "[<|im_start|>]a|>[\n]x[<|im_end|>\n]");
    close_case(&c);
}

static void test_template__origin_survives_every_operation(void **state) {
    (void)state;
    static const char *const ways[] = {
        "{{ '<' ~ m | trim ~ '>' }}",
        "{{ '<' + m[0:] + '>' }}",
        "{{ '<' + m.split(' ')[0] + '>' }}",
        "{{ ['<', m, '>'] | join }}",
        "{{ 'a'.replace('a', '<' + m + '>') }}",
        "{% set x %}<{{ m }}>{% endset %}{{ x }}",
        "{% macro f(y) %}<{{ y }}>{% endmacro %}{{ f(m) }}",
        "{% filter lower %}<{{ m }}>{% endfilter %}",
        "{% for x in [m] %}<{{ x }}>{% endfor %}",
        "{% set ns = namespace(v=m) %}<{{ ns.v }}>",
        "{{ '<' + (m | indent(2)) + '>' }}",
        "{{ '<' + (m | reverse | reverse) + '>' }}",
        "{{ ('<' + m + '>').strip() }}",
        "<{{ (messages | map(attribute='content') | list)[0] }}>",
        "<{{ {'k': m}.items() | map('last') | first }}>",
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        char *source = str_format("{%% set m = messages[0].content %%}%s", ways[i]);
        Case c = open_case(source);
        if (render(&c, "[{\"content\":\"user\"}]", (TemplateInput){0}) != OK)
            fail_msg("%s", status_message());
        expect_marked(&c.text, SEGMENT_SPECIAL, "[<]user[>]");
        close_case(&c);
        mem_free(source);
    }
}

static void test_template__a_user_cannot_end_his_turn(void **state) {
    (void)state;
    Case c =
        open_case("{% for m in messages %}{{ bos_token + m.content + eos_token }}{% endfor %}");
    TokenIds ids = {0};
    assert_int_equal(
        render(&c, "[{\"role\":\"user\",\"content\":\"<eos><bos>\"}]", (TemplateInput){0}), OK);
    assert_int_equal(
        tokenizer_encode_segments(c.tokenizer, &ids, c.text.segments, c.text.n_segments, 0), OK);
    assert_int_equal(ids.n, 12);
    assert_int_equal(ids.id[0], 256);
    assert_int_equal(ids.id[11], 257);
    for (size_t i = 1; i < 11; i++) assert_int_equal(ids.id[i], "<eos><bos>"[i - 1]);
    token_ids_free(&ids);
    close_case(&c);
}

static void test_template__masks_what_generation_encloses(void **state) {
    (void)state;
    Case c = open_case(CHATML_MARKED);
    assert_true(template_has_generation(c.template));
    assert_int_equal(render(&c, TALK, (TemplateInput){.mask_assistant = true}), OK);
    expect_marked(&c.text, SEGMENT_MASK,
                  "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n[Yo<|im_end|>]\n");
    assert_int_equal(render(&c, TALK, (TemplateInput){0}), OK);
    expect_marked(&c.text, SEGMENT_MASK,
                  "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nYo<|im_end|>\n");
    close_case(&c);
}

static void test_template__masks_turns_by_what_comes_before(void **state) {
    (void)state;
    Case c = open_case(CHATML);
    assert_false(template_has_generation(c.template));
    assert_int_equal(
        render(
            &c,
            "[{\"role\":\"user\",\"content\":\"Hi\"},{\"role\":\"assistant\",\"content\":\"Yo\"},"
            "{\"role\":\"user\",\"content\":\"A\"},{\"role\":\"assistant\",\"content\":\"B\"}]",
            (TemplateInput){.mask_assistant = true}),
        OK);
    expect_marked(
        &c.text, SEGMENT_MASK,
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n[Yo<|im_end|>\n]<|im_start|>user\n"
        "A<|im_end|>\n<|im_start|>assistant\n[B<|im_end|>\n]");
    close_case(&c);
    c = open_case("{{ messages | length }}{% for m in messages %}{{ m.content }}{% endfor %}");
    assert_int_equal(render(&c, TALK, (TemplateInput){.mask_assistant = true}), ERR_DATA);
    assert_non_null(strstr(status_message(), "rewrites earlier turns"));
    close_case(&c);
}

static void test_template__continues_the_last_message(void **state) {
    (void)state;
    Case c = open_case(CHATML);
    const TemplateInput in = {.continue_final_message = true};
    assert_int_equal(render(&c, TALK, in), OK);
    assert_string_equal(c.text.text, "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nYo");
    assert_int_equal(render(&c, "[{\"role\":\"assistant\",\"content\":\"Yo \"}]", in), OK);
    assert_string_equal(c.text.text, "<|im_start|>assistant\nYo ");
    close_case(&c);
    c = open_case(
        "{% for m in messages %}<{{ m.content | trim }}>{% endfor %}"); /* one that trims */
    assert_int_equal(render(&c, "[{\"role\":\"assistant\",\"content\":\"Yo  \"}]", in), OK);
    assert_string_equal(c.text.text, "<Yo");
    close_case(&c);
    c = open_case("{{ messages[0].role }}");
    assert_int_equal(render(&c, TALK, in), ERR_DATA);
    close_case(&c);
}

static void test_template__passes_tools_and_variables(void **state) {
    (void)state;
    Case c = open_case(
        "{{ tools is none }} {{ documents }} {{ enable_thinking }} {{ pad_token }} {{ eos_token }} "
        "{{ unk_token is defined }}");
    Json *variables = parse("{\"enable_thinking\": false}"), *tools = parse("[1]");
    assert_int_equal(render(&c, "[]", (TemplateInput){.variables = variables}), OK);
    assert_string_equal(c.text.text, "True None False <pad> <eos> False");
    assert_int_equal(render(&c, "[]", (TemplateInput){.tools = tools, .variables = variables}), OK);
    assert_string_equal(c.text.text, "False None False <pad> <eos> False");
    json_free(variables);
    json_free(tools);
    close_case(&c);
}

static void test_template__says_what_the_template_says(void **state) {
    (void)state;
    Case c = open_case("\n\n{{ raise_exception('roles must\nalternate') }}");
    assert_int_equal(render(&c, TALK, (TemplateInput){0}), ERR_DATA);
    assert_string_equal(status_message(), "chat template:3: roles must alternate");
    assert_int_equal(render(&c, "{}", (TemplateInput){0}), ERR_DATA);
    assert_non_null(strstr(status_message(), "`messages` must be a list"));
    close_case(&c);
    Tokenizer *t = NULL;
    ChatTemplate *none = NULL;
    assert_int_equal(tokenizer_open_bytes(&t), OK);
    assert_int_equal(template_open(&none, t, NULL), ERR_CONFIG);
    assert_int_equal(template_open(&none, t, "{% if x %}\n{{ y }"), ERR_DATA);
    assert_non_null(strstr(status_message(), "chat template:2"));
    assert_int_equal(template_open(&none, t, "\xFF"), ERR_DATA);
    tokenizer_close(t);
}

static void test_template__is_bounded(void **state) {
    (void)state;
    static const char *const greedy[] = {
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% "
        "endfor %}",
        "{% set ns = namespace(l=[]) %}{% for i in range(9999) %}{% set ns.l = [ns.l] %}{% endfor "
        "%}{{ ns.l == 1 }}",
        "{{ 'x' * 999999999 }}",
        "{{ 9223372036854775807 + 1 }}",
        "{{ range(1000000) }}",
        "{% for i in range(90000) %}{{ 'x' * 1000 }}{% endfor %}",
        "{{ 2 ** 64 }}",
        "{{ 'a'.center(99999999999) }}",
        "{{ messages | tojson(indent=99999999) }}{{ 1 // 0 }}",
        "{{ (0 - 9223372036854775807 - 1) // -1 }}",
        "{{ ('a' * 1000000) | replace('a', 'b' * 1000000) }}",
        "{{ ('a' * 1000000).replace('', 'b' * 1000000) }}",
        "{{ ('a' * 1000000) | join('b' * 1000000) }}",
        "{{ ('\\n' * 1000000) | indent('b' * 1000000, true, true) }}",
        "{{ 'a'.ljust(1000000, 'b' * 1000000) }}",
        "{{ 'a'.ljust(-9223372036854775807) }}{{ 'a' | truncate(-9223372036854775807) }}",
    };
    for (size_t i = 0; i < sizeof greedy / sizeof *greedy; i++) {
        Case c = open_case(greedy[i]);
        assert_int_equal(render(&c, TALK, (TemplateInput){0}), ERR_DATA);
        close_case(&c);
    }
    Str deep = {0};
    for (int i = 0; i < 5000; i++) str_append(&deep, "{{ (((((((((([[[[");
    Tokenizer *t = NULL;
    ChatTemplate *none = NULL;
    assert_int_equal(tokenizer_open_bytes(&t), OK);
    assert_int_equal(template_open(&none, t, deep.data), ERR_DATA);
    str_clear(&deep);
    str_append(&deep, "{{ ");
    for (int i = 0; i < 5000; i++) str_append(&deep, "not ");
    assert_int_equal(template_open(&none, t, deep.data), ERR_DATA);
    str_clear(&deep);
    for (int i = 0; i < 5000; i++) str_append(&deep, "{% if a %}");
    assert_int_equal(template_open(&none, t, deep.data), ERR_DATA);
    str_free(&deep);
    tokenizer_close(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_template__knows_where_bytes_come_from),
        cmocka_unit_test(test_template__origin_survives_every_operation),
        cmocka_unit_test(test_template__a_user_cannot_end_his_turn),
        cmocka_unit_test(test_template__masks_what_generation_encloses),
        cmocka_unit_test(test_template__masks_turns_by_what_comes_before),
        cmocka_unit_test(test_template__continues_the_last_message),
        cmocka_unit_test(test_template__passes_tools_and_variables),
        cmocka_unit_test(test_template__says_what_the_template_says),
        cmocka_unit_test(test_template__is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
