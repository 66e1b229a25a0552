/* Templates of promptsource: the rows that P3 publishes come out of the genuine files again, byte
 * for byte; what is left out, refused and drawn. */
#include "data_case.h"

#include "core/io/json.h"

/* The ids of an item as text; EOS as <|endoftext|>, which the applied rows have. */
static char *item_text(const DataCase *c, int64_t item) {
    DatasetExample x = dataset_get(c->data, item);
    Str out = {0};
    for (int64_t i = 0; i < x.n_ids; i++) {
        if (x.ids[i] < 256)
            str_append_char(&out, (char)x.ids[i]);
        else
            str_append(&out, "<|endoftext|>");
    }
    return str_take(&out);
}

static char *template_file(const DataCase *c, const char *text) {
    char *path = file_join(c->folder, "templates.yaml");
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    return path;
}

static const char yaml[] =
    "dataset: d\n"
    "templates:\n"
    "  a-1: !Template\n"
    "    answer_choices: no ||| yes\n"
    "    id: a-1\n"
    "    jinja: \"{{ text }}  \\n{{ \\\"Good\\\" }}? ||| \\n{{ answer_choices[label] }} \"\n"
    "    metadata: !TemplateMetadata\n"
    "      languages:\n"
    "      - en\n"
    "    name: good or not\n"
    "    reference: ''\n"
    "  b-2: !Template\n"
    "    answer_choices: null\n"
    "    id: b-2\n"
    "    jinja: '{% if label == 1 %}\n\n"
    "      Say: {{ text | upper }}\n\n"
    "      |||\n\n"
    "      {{ [\"x\", \"y\", \"z\"] | choice }}{% endif %}'\n"
    "    name: only good ones\n"
    "  c-3: !Template\n"
    "    answer_choices: '{{ first }} ||| {{ second }}'\n"
    "    id: c-3\n"
    "    jinja: '{% for a, b in zip(answer_choices, [1, 2]) %}{{ b }}{{ a }} {% endfor %}{{ [3, 1, "
    "3, "
    "1] | most_frequent | join }}'\n"
    "    name: prompt alone\n"
    "  d-4: !Template\n"
    "    id: d-4\n"
    "    jinja: '{{ text }} ||| a ||| b'\n"
    "    name: three parts\n"
    "  e-5: !Template\n"
    "    id: e-5\n"
    "    jinja: '{{ text }} ||| {{ \"\" if label else text -}} .{{ label }}{{ none }}'\n"
    "    name: long ones\n";

static void open_case(DataCase *c, DatasetKind kind, char **path, const char *name) {
    case_open(c, kind);
    *path = template_file(c, yaml);
    c->source.promptsource = *path;
    c->source.promptsource_name = name;
}

static void test_data_promptsource__prompt_and_completion(void **state) {
    (void)state;
    DataCase c;
    char *path;
    open_case(&c, DATASET_SFT, &path, "good or not");
    case_text(&c, "rows.jsonl",
              "{\"text\": \" fine ||| day \", \"label\": 1, \"id\": 3}\n"
              "{\"text\": \"bad\", \"label\": 0, \"id\": 4}\n");
    static const char *const want[] = {"fine ||| day   \nGood?\nyes<|endoftext|>",
                                       "bad  \nGood?\nno<|endoftext|>"};
    for (int i = 0; i < 2; i++) {
        char *text = item_text(&c, i);
        assert_string_equal(want[i], text);
        mem_free(text);
    }
    assert_int_equal(dataset_item_targets(c.data, 1), 3); /* "no" and EOS */
    c.source.promptsource_name = "a-1";                   /* its id */
    case_load(&c);
    /* By a column map; nothing of the prompt's row is lost. */
    const DatasetColumn columns[] = {{"text", "review"}};
    c.source.columns = columns;
    c.source.n_columns = 1;
    c.options.kind = DATASET_PROMPT;
    case_text(&c, "rows.jsonl", "{\"review\": \"so so\", \"label\": 0}\n");
    assert_string_equal(dataset_get(c.data, 0).prompt, "so so  \nGood?\n");
    mem_free(path);
    case_close(&c);
}

/* A template that writes nothing leaves the row out; what is drawn depends on seed and row. */
static void test_data_promptsource__left_out_and_drawn(void **state) {
    (void)state;
    DataCase c;
    char *path;
    Str rows = {0};
    int seen[3] = {0}, other = 0;
    open_case(&c, DATASET_SFT, &path, "only good ones");
    for (int i = 0; i < 60; i++) str_printf(&rows, "{\"text\": \"t\", \"label\": %d}\n", i % 2);
    case_text(&c, "rows.jsonl", str_text(&rows));
    assert_int_equal(dataset_size(c.data), 30);
    assert_int_equal(dataset_counts(c.data)->empty, 30);
    char *first[30];
    for (int i = 0; i < 30; i++) {
        first[i] = item_text(&c, i);
        assert_true(str_starts(first[i], "Say: T\n"));
        seen[first[i][7] - 'x']++;
    }
    assert_true(seen[0] > 3 && seen[1] > 3 && seen[2] > 3);
    for (uint64_t seed = 0; seed < 2; seed++) {
        c.options.seed = seed;
        case_load(&c);
        for (int i = 0; i < 30; i++) {
            char *again = item_text(&c, i);
            if (seed == 0) assert_string_equal(first[i], again);
            other += strcmp(first[i], again) != 0;
            mem_free(again);
        }
    }
    assert_true(other > 5);
    for (int i = 0; i < 30; i++) mem_free(first[i]);
    str_free(&rows);
    mem_free(path);
    case_close(&c);
}

/* Text of n characters, a blank after every seven; as promptsource prints it. */
static void long_text(Str *text, Str *printed, size_t n) {
    for (size_t i = 0; i < n; i++) str_append(text, i % 8 == 7 ? " " : "\xC3\xA9");
    str_append_n(printed, str_text(text), n > 2053 ? 255 * 15 - 1 : text->len);
    if (n > 2053) str_append(printed, "...");
}

static void test_data_promptsource__long_values_are_cut(void **state) {
    (void)state;
    static const size_t lengths[] = {2046, 2052, 2053, 2054, 3000};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        DataCase c;
        char *path;
        Str text = {0}, printed = {0}, row = {0};
        long_text(&text, &printed, lengths[i]);
        open_case(&c, DATASET_SFT, &path, "long ones");
        c.options.max_length = 0;
        str_printf(&row, "{\"text\": \"%s\", \"label\": 0}\n", str_text(&text));
        case_text(&c, "rows.jsonl", str_text(&row));
        char *got = item_text(&c, 0);
        char *want =
            str_format("%s\n%s.0None<|endoftext|>", str_text(&printed), str_text(&printed));
        assert_string_equal(got, want);
        mem_free(got);
        mem_free(want);
        mem_free(path);
        str_free(&text);
        str_free(&printed);
        str_free(&row);
        case_close(&c);
    }
}

static void test_data_promptsource__a_prompt_alone(void **state) {
    (void)state;
    DataCase c;
    char *path;
    open_case(&c, DATASET_PROMPT, &path, "prompt alone");
    case_text(&c, "rows.jsonl", "{\"first\": \"p ||| q\", \"second\": \"r\"}\n");
    assert_string_equal(dataset_get(c.data, 0).prompt, "1p ||| q 2r 31");
    mem_free(path);
    case_close(&c);
}

static void test_data_promptsource__refusals(void **state) {
    (void)state;
    static const struct {
        const char *yaml, *name, *row;
        Status code;
        const char *says;
    } cases[] = {
        {yaml, "nope", "{\"text\": \"a\"}", ERR_CONFIG, "no template `nope` of "},
        {yaml, NULL, "{\"text\": \"a\"}", ERR_CONFIG, "there are: `good or not`, `only good ones`"},
        {yaml, "three parts", "{\"text\": \"a\"}", ERR_DATA,
         "rows.jsonl:1:1: the template gives 3"},
        {yaml, "prompt alone", "{\"first\": \"a\"}", ERR_DATA, "the template gives 1 parts"},
        {yaml, "good or not", "{\"answer_choices\": [], \"text\": \"a\"}", ERR_DATA,
         "rows.jsonl:1:2: the column `answer_choices`"},
        {"templates: {a: !Template {jinja: '{% for %}', name: a}}", "a", "{\"text\": \"a\"}",
         ERR_DATA, "templates.yaml (a):1:"},
        {"templates: {a: !Other {jinja: x, name: a}}", "a", "{\"text\": \"a\"}", ERR_DATA,
         "templates.yaml:1:16: the tag `!Other` is not read"},
        {"templates: {a: !Template {name: a}}", "a", "{\"text\": \"a\"}", ERR_DATA,
         "has no `jinja`"},
        {"dataset: x", "a", "{\"text\": \"a\"}", ERR_DATA, "it is no file of promptsource"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        DataCase c;
        case_open(&c, DATASET_SFT);
        char *path = template_file(&c, cases[i].yaml);
        c.source.promptsource = path;
        c.source.promptsource_name = cases[i].name;
        case_file(&c, "rows.jsonl", cases[i].row);
        Status st = case_try(&c);
        if (st != cases[i].code || !strstr(status_message(), cases[i].says))
            fail_msg("%zu: %d, %s", i, st, status_message());
        c.source.format = "text";
        assert_int_equal(case_try(&c), ERR_CONFIG);
        mem_free(path);
        case_close(&c);
    }
}

/* ---- the genuine files ---- */

#define P3 HONE_SHARED_DIR "/data/p3/"

/* How an applied row is taken apart again: the template's own words around its variables. */
typedef struct Applied {
    const char *rows, *templates, *name;
    const char *before, *between, *after; /* words; `between` NULL: one variable */
    const char *variables[2];
    const char *answers[4]; /* none: the completion is a variable */
    const char *answer;     /* its name */
    bool list;              /* the variable is a list, joined by ", " */
} Applied;

static const Applied applied[] = {
    {"ag_news_classify",
     "ag_news",
     "classify",
     "",
     NULL,
     " \nWhat label best describes this news article?",
     {"text"},
     {"World politics", "Sports", "Business", "Science and technology"},
     NULL,
     false},
    {"ag_news_which_section_choices",
     "ag_news",
     "which_section_choices",
     "",
     NULL,
     " \n\nWhich of the following sections of a newspaper would this article likely appear in? "
     "World "
     "News, Sports, Business, or Science and Technology?",
     {"text"},
     {"World News", "Sports", "Business", "Science and Technology"},
     NULL,
     false},
    {"common_gen_Given_concepts_type_1",
     "common_gen",
     "Given concepts type 1",
     "Given the list of concepts: ",
     NULL,
     "; \nGenerate a sentence with all the concepts :",
     {"concepts"},
     {0},
     "target",
     true},
    {"glue_mrpc_equivalent",
     "glue/mrpc",
     "equivalent",
     "Are the following two sentences \"equivalent\" or \"not equivalent\"?\n",
     "\n",
     "",
     {"sentence1", "sentence2"},
     {"not equivalent", "equivalent"},
     NULL,
     false},
    {"imdb_Movie_Expressed_Sentiment",
     "imdb",
     "Movie Expressed Sentiment",
     "",
     NULL,
     " The sentiment expressed for the movie is",
     {"text"},
     {"negative", "positive"},
     NULL,
     false},
    {"imdb_Reviewer_Enjoyment",
     "imdb",
     "Reviewer Enjoyment",
     "",
     NULL,
     " How does the reviewer feel about the movie?",
     {"text"},
     {"They didn't like it!", "They loved it"},
     NULL,
     false},
    {"imdb_Reviewer_Opinion_bad_good_choices",
     "imdb",
     "Reviewer Opinion bad good choices",
     "",
     NULL,
     " Did the reviewer find this movie good or bad?",
     {"text"},
     {"bad", "good"},
     NULL,
     false},
    {"rotten_tomatoes_Movie_Expressed_Sentiment",
     "rotten_tomatoes",
     "Movie Expressed Sentiment",
     "",
     NULL,
     " The sentiment expressed for the movie is",
     {"text"},
     {"negative", "positive"},
     NULL,
     false},
    {"rotten_tomatoes_Reviewer_Enjoyment",
     "rotten_tomatoes",
     "Reviewer Enjoyment",
     "",
     NULL,
     " How does the reviewer feel about the movie?",
     {"text"},
     {"They didn't like it", "They loved it"},
     NULL,
     false},
    {"rotten_tomatoes_Text_Expressed_Sentiment",
     "rotten_tomatoes",
     "Text Expressed Sentiment",
     "",
     NULL,
     " What is the sentiment expressed in this text?",
     {"text"},
     {"negative", "positive"},
     NULL,
     false},
    {"samsum_Summarize_",
     "samsum",
     "Summarize:",
     "Summarize: ",
     NULL,
     "",
     {"dialogue"},
     {0},
     "summary",
     false},
    {"xsum_DOC_tldr",
     "xsum",
     "DOC_tldr",
     "",
     NULL,
     "\n\nTL;DR:",
     {"document"},
     {0},
     "summary",
     false},
};

static Json *list_of(const char *text, size_t n) {
    Json *list = json_new_array();
    for (const char *at = text, *end = text + n; at <= end;) {
        const char *comma = strstr(at, ", ");
        if (!comma || comma > end) comma = end;
        json_push(list, json_new_str_n(at, (size_t)(comma - at)));
        at = comma + 2;
    }
    return list;
}

/* The raw row of an applied one, as a line. */
static void take_apart(Str *out, const Applied *a, const char *prompt, const char *completion) {
    Json *row = json_new_object();
    size_t n = strlen(prompt) - 1; /* the newline at the end */
    assert_true(str_starts(prompt, a->before));
    prompt += strlen(a->before);
    n -= strlen(a->before) + strlen(a->after);
    assert_true(strncmp(prompt + n, a->after, strlen(a->after)) == 0);
    size_t first = a->between ? (size_t)(strstr(prompt, a->between) - prompt) : n;
    json_set(row, a->variables[0],
             a->list ? list_of(prompt, first) : json_new_str_n(prompt, first));
    if (a->between) {
        size_t skip = first + strlen(a->between);
        json_set(row, a->variables[1], json_new_str_n(prompt + skip, n - skip));
    }
    size_t length = (size_t)(strstr(completion, "<|endoftext|>") - completion);
    if (a->answer) json_set(row, a->answer, json_new_str_n(completion, length));
    for (int k = 0; !a->answer && k < 4 && a->answers[k]; k++)
        if (strlen(a->answers[k]) == length && strncmp(a->answers[k], completion, length) == 0)
            json_set(row, "label", json_new_int(k));
    json_dump(out, row, 0);
    str_append_char(out, '\n');
    json_free(row);
}

static void test_data_promptsource__gives_the_rows_of_p3(void **state) {
    (void)state;
    if (!file_is_folder(P3)) {
        print_message("skipped: no data in %s\n", P3);
        skip();
    }
    int64_t same = 0;
    for (size_t i = 0; i < sizeof applied / sizeof *applied; i++) {
        const Applied *a = &applied[i];
        char *path = str_format(P3 "t0_train/%s.jsonl", a->rows);
        char *templates = str_format(P3 "promptsource_templates/%s/templates.yaml", a->templates);
        Str text = {0}, raw = {0};
        char *want[256];
        int64_t n = 0;
        assert_int_equal(file_read(&text, path, 1 << 24), OK);
        for (const char *at = str_text(&text); *at; at += strcspn(at, "\n") + 1) {
            Json *row = NULL;
            assert_int_equal(json_parse(&row, at, strcspn(at, "\n"), path, n + 1), OK);
            const char *prompt = json_str(json_get(row, "prompt"), NULL);
            const char *completion = json_str(json_get(row, "completion"), NULL);
            take_apart(&raw, a, prompt, completion);
            want[n++] = str_format("%s%s", prompt, completion);
            json_free(row);
        }
        DataCase c;
        case_open(&c, DATASET_SFT);
        c.options.max_length = 0;
        c.source.promptsource = templates;
        c.source.promptsource_name = a->name;
        case_text(&c, "raw.jsonl", str_text(&raw));
        assert_int_equal(dataset_size(c.data), n);
        for (int64_t k = 0; k < n; k++) {
            char *got = item_text(&c, k);
            if (strcmp(got, want[k]) != 0) fail_msg("%s, row %lld: %s", a->rows, (long long)k, got);
            same++;
            mem_free(got);
            mem_free(want[k]);
        }
        case_close(&c);
        str_free(&raw);
        str_free(&text);
        mem_free(templates);
        mem_free(path);
    }
    assert_int_equal(same, 12 * 200);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_data_promptsource__prompt_and_completion),
        cmocka_unit_test(test_data_promptsource__left_out_and_drawn),
        cmocka_unit_test(test_data_promptsource__long_values_are_cut),
        cmocka_unit_test(test_data_promptsource__a_prompt_alone),
        cmocka_unit_test(test_data_promptsource__refusals),
        cmocka_unit_test(test_data_promptsource__gives_the_rows_of_p3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
