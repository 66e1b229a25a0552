/* A chat template, read and rendered over a conversation.
 *
 * Parser: data/jinja/jinja.c
 * Parser: data/jinja/jinja_call.c
 * Parser: data/jinja/jinja_eval.c
 * Parser: data/jinja/jinja_exec.c
 * Parser: data/jinja/jinja_expression.c
 * Parser: data/jinja/jinja_filter.c
 * Parser: data/jinja/jinja_lex.c
 * Parser: data/jinja/jinja_parse.c
 * Parser: data/jinja/jinja_pool.c
 * Parser: data/jinja/jinja_print.c
 * Parser: data/jinja/jinja_test.c
 * Parser: data/jinja/jinja_text.c
 * Parser: data/jinja/jinja_value.c
 */
#include "fuzz.h"

#include "data/jinja/jinja.h"

static const char conversation[] =
    "[{\"role\": \"system\", \"content\": \"s\"}, {\"role\": \"user\", \"content\": \"a<|x|>\"}, "
    "{\"role\": \"assistant\", \"content\": [{\"type\": \"text\", \"text\": \"b\"}], "
    "\"tool_calls\": [{\"function\": {\"name\": \"f\", \"arguments\": {\"k\": 1.5}}}]}]";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static Json *messages;
    if (!messages) {
        CHECK(json_parse(&messages, conversation, sizeof conversation - 1, "fuzz", 1) == OK, "%s",
              status_message());
    }
    Jinja *j = NULL;
    if (!fuzz_ok(jinja_open(&j, (const char *)data, size, "fuzz"))) return 0;
    JinjaVariable variables[] = {{.name = "messages", .json = messages},
                                 {.name = "bos_token", .text = "<s>"},
                                 {.name = "add_generation_prompt", .flag = true}};
    Tagged out = {0};
    fuzz_ok(jinja_render(j, &out, variables, 3));
    tagged_free(&out);
    jinja_close(j);
    return 0;
}

void fuzz_seeds(void) {
    fuzz_seed_file("configs/smoke/data/chat.jinja", 8192);
    fuzz_seed_text("{%- for m in messages -%}\n{%- if m['role'] == 'user' and loop.index0 % 2 != 0 "
                   "-%}{{ raise_exception('no') }}{%- elif loop.last %}{{ m.content | trim }}{% "
                   "else %}{% continue %}{% endif %}{% endfor %}");
    fuzz_seed_text("{% macro f(x, y=2) %}{{ x ~ y }}{% endmacro %}{{ f(1) }}{% set ns = "
                   "namespace(n=0) %}{% for i in range(5) %}{% set ns.n = ns.n + i %}{% endfor "
                   "%}{{ ns.n }}{% generation %}x{% endgeneration %}");
    fuzz_seed_text("{{ messages[1:]|length }}{{ messages[0].content[::-1] }}{{ {'a': [1, (2, 3)]} "
                   "| tojson(indent=2) }}{{ 'a,b'.split(',')|join('-')|upper }}");
    fuzz_seed_text("{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') "
                   "| list | first }}{{ 7 // 2 ** 3 - -1 }}{{ 'x' if a is defined else 'y' }}");
    fuzz_seed_text("{% for k, v in messages[0].items() recursive %}{{ k }}={{ v }}{% else %}-{% "
                   "endfor %}{% raw %}{{ }}{% endraw %}{# c #}{{ strftime_now('%Y') }}");
}

const char *const fuzz_words[] = {"{{ ",
                                  " }}",
                                  "{% ",
                                  " %}",
                                  "{%- ",
                                  " -%}",
                                  "{#",
                                  "#}",
                                  "for ",
                                  "endfor",
                                  "if ",
                                  "endif",
                                  "set ",
                                  "macro ",
                                  "endmacro",
                                  "call",
                                  " in ",
                                  " is not ",
                                  " not ",
                                  "loop.",
                                  "range(1000000000)",
                                  "|tojson",
                                  "|length",
                                  "|replace('a', 'bbbbbbbb')",
                                  "|items",
                                  "|sort",
                                  "|indent(99999999)",
                                  "|dictsort",
                                  "|groupby('role')",
                                  ".strip()",
                                  ".split()",
                                  " * 1000000000",
                                  " ** 999999",
                                  "'%s' % ",
                                  "namespace(",
                                  "messages",
                                  "[::-1]",
                                  "[-9223372036854775808]",
                                  "[:",
                                  "//0",
                                  "%0",
                                  "((((((((((((((((",
                                  "not not not not not ",
                                  "f(f(f(",
                                  "{'a': ",
                                  "9223372036854775807",
                                  "break",
                                  NULL};
