/* A templates.yaml of promptsource, applied to a row.
 *
 * Parser: data/formats/promptsource.c
 */
#include "fuzz.h"

#include "data/dataset.h"
#include "data/tokenizer/tokenizer.h"

static const char row[] = "{\"premise\": \"a ||| b\", \"hypothesis\": \"\", \"label\": 1, "
                          "\"choices\": [\"yes\", \"no\"], \"answer\": {\"text\": null}}\n";

static Tokenizer *tokenizer;

static void close_all(void) {
    tokenizer_close(tokenizer);
}

static void open_all(void) {
    CHECK(tokenizer_open_bytes(&tokenizer) == OK, "%s", status_message());
    fuzz_file("a.jsonl", row, sizeof row - 1);
    atexit(close_all);
}

static void use(DatasetKind kind, const char *rows, const char *templates, const char *name) {
    DatasetSource source = {.path = rows, .promptsource = templates, .promptsource_name = name};
    DatasetOptions options = dataset_options_default(kind);
    options.sources = &source;
    options.n_sources = 1;
    options.tokenizer = tokenizer;
    Dataset *d = NULL;
    fuzz_ok(dataset_open(&d, &options));
    dataset_close(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!tokenizer) open_all();
    char *rows = file_join(fuzz_folder(), "a.jsonl");
    const char *templates = fuzz_file("templates.yaml", data, size);
    use(DATASET_SFT, rows, templates, NULL);
    use(DATASET_PROMPT, rows, templates, "x");
    mem_free(rows);
    return 0;
}

#define ONE(fields)                                                        \
    "dataset: d\ntemplates:\n  u-1: !Template\n    id: u-1\n    name: x\n" \
    "    metadata: !TemplateMetadata\n      original_task: true\n" fields

void fuzz_seeds(void) {
    fuzz_seed_text(ONE("    answer_choices: Yes ||| No\n    jinja: \"{{premise}} {{hypothesis}}? "
                       "||| {{ answer_choices[label] }}\"\n"));
    fuzz_seed_text(ONE("    answer_choices: \"{{choices | join('|||')}}\"\n    jinja: '{% if label "
                       "== 1 %}{{premise -}} ||| {{choices | choice}}{% endif %}'\n"));
    fuzz_seed_text(ONE("    jinja: |-\n      {% set a = choices[0] %}{{a}} {{answer.text}}\n"));
    fuzz_seed_text(ONE("    jinja: a ||| b\n  u-2: !Template\n    name: y\n    jinja: b ||| c\n"));
    fuzz_seed_text("templates: {}\n");
}

const char *const fuzz_words[] = {"|||",
                                  "{{ ",
                                  "}}",
                                  "-}}",
                                  "{% for c in choices %}",
                                  "{% endfor %}",
                                  "answer_choices",
                                  "| choice",
                                  "| join('|||')",
                                  "!Template",
                                  "!!python/object:os.system",
                                  "jinja: ",
                                  "premise",
                                  "range(1000000000)",
                                  "* 1000000000",
                                  NULL};
