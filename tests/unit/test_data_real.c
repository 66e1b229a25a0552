/* Genuine files of the field load, with as many rows as their collection's index says. Skipped
 * where the collection is absent. */
#include "data_case.h"

#include "data/template.h"

#define DATA HONE_SHARED_DIR "/data/"

typedef struct RealFile {
    const char *path;
    DatasetKind kind;
    DatasetColumn columns[2];
    int64_t rows, kept;
} RealFile;

#define SFT DATASET_SFT
#define PAIR DATASET_PREFERENCE
#define PROMPT DATASET_PROMPT
#define NO_MAP         \
    {                  \
        { NULL, NULL } \
    }
#define MAP(a, b)           \
    {                       \
        {"prompt", a}, {    \
            "completion", b \
        }                   \
    }

static const RealFile files[] = {
    {"alpaca/alpaca_4500.json", SFT, NO_MAP, 4500, 4500},
    {"alpaca/alpaca_4500.json", PROMPT, NO_MAP, 4500, 4500},
    {"alpaca/alpaca_en_demo.json", SFT, NO_MAP, 999, 999},
    {"alpaca/alpaca_zh_demo.json", SFT, NO_MAP, 1000, 1000},
    {"dolly_hhrlhf/*.jsonl", SFT, NO_MAP, 900, 900},
    {"hh_rlhf/harmless-base/test.part_a.jsonl.gz", PAIR, NO_MAP, 1850, 1850},
    {"hh_rlhf/harmless-base/test.part_a.jsonl.gz", PROMPT, NO_MAP, 1850, 1850},
    {"llms_from_scratch/instruction-data.part_a.json", SFT, NO_MAP, 990, 990},
    /* six pairs have the same text twice */
    {"llms_from_scratch/instruction-data-with-preference.part_a.json", PAIR, NO_MAP, 990, 984},
    {"stack_exchange_paired/stack_exchange_paired_tiny.json", PAIR, NO_MAP, 25, 25},
    {"schema_examples/tldr_comparison.jsonl", PAIR, NO_MAP, 1, 1},
    {"schema_examples/shp.jsonl", PAIR, NO_MAP, 1, 1},
    {"schema_examples/alpaca_farm_preference.json", PAIR, NO_MAP, 2, 2},
    {"p3/t0_train/*.jsonl", SFT, NO_MAP, 5008, 5008},
    {"p3/converted/p3_fields.jsonl", SFT, NO_MAP, 508, 508},
    {"guanaco_format/converted/openassistant_guanaco_text.jsonl", SFT, NO_MAP, 477, 477},
    {"natural_instructions/tasks/task1146_country_capital.json", SFT, NO_MAP, 231, 231},
    {"natural_instructions/tasks_fi/fin-translated-task1318_country_national_dish.json", SFT,
     NO_MAP, 163, 163},
    {"sentiment/imdb_1600.jsonl", SFT, NO_MAP, 1600, 1600},
    {"sentiment/sst2_train_2000.jsonl", SFT, NO_MAP, 2000, 2000},
    {"gsm8k/train.jsonl", SFT, MAP("question", "answer"), 7473, 7473},
    {"flan/cot_data/qasc_train.tsv", SFT, MAP("#1", "#2"), 1084, 1084},
    {"eval/mmlu/dev/abstract_algebra_dev.csv", SFT, MAP("#1", "#6"), 5, 5},
    {"eval/ifeval/input_data.part_a.jsonl", PROMPT, NO_MAP, 433, 433},
    {"text/c4_demo.jsonl", SFT, NO_MAP, 300, 300},
    {"self_instruct/data/seed_tasks.jsonl", SFT, NO_MAP, 175, 175},
    {"self_instruct/human_eval/user_oriented_instructions.jsonl", SFT, NO_MAP, 252, 252},
    {"formats/alpaca_flat_50.parquet", SFT, NO_MAP, 50, 50},
};

static void test_data_real__files_load_with_their_row_counts(void **state) {
    (void)state;
    if (!file_is_folder(DATA)) {
        print_message("skipped: no data in %s\n", DATA);
        skip();
    }
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const RealFile *f = &files[i];
        DataCase c;
        case_open(&c, f->kind);
        c.options.max_length = 0;
        if (f->columns[0].name) {
            c.source.columns = f->columns;
            c.source.n_columns = 2;
        }
        snprintf(c.path, sizeof c.path, DATA "%s", f->path);
        case_load(&c);
        const DatasetCounts *n = dataset_counts(c.data);
        if (n->rows != f->rows || n->kept != f->kept)
            fail_msg("%s: %lld rows, %lld kept; wanted %lld, %lld", f->path, (long long)n->rows,
                     (long long)n->kept, (long long)f->rows, (long long)f->kept);
        case_close(&c);
    }
}

/* Every two of a list are a pair; half of the rows have turns before. */
static void test_data_real__ranked_lists(void **state) {
    (void)state;
    DataCase c;
    case_open(&c, PAIR);
    snprintf(c.path, sizeof c.path, DATA "oasst/oaast_rm_zh.part_a.json");
    if (!file_exists(c.path)) {
        case_close(&c);
        print_message("skipped: no %s\n", DATA "oasst/oaast_rm_zh.part_a.json");
        skip();
    }
    c.options.max_length = 0;
    case_load(&c);
    const DatasetCounts *n = dataset_counts(c.data);
    assert_int_equal(n->rows, 634);
    assert_int_equal(n->kept + n->identical, 1514);
    case_close(&c);
}

/* 80 trees of ranked replies: 632 pairs, 80 conversations, 80 prompts. */
static void test_data_real__trees(void **state) {
    (void)state;
    static const struct {
        DatasetKind kind;
        int64_t kept;
    } uses[] = {{PAIR, 632}, {SFT, 80}, {PROMPT, 80}};
    for (size_t i = 0; i < sizeof uses / sizeof *uses; i++) {
        DataCase c;
        ChatTemplate *t;
        case_open(&c, uses[i].kind);
        snprintf(c.path, sizeof c.path, DATA "oasst/en_100_tree.part_a.jsonl");
        if (!file_exists(c.path)) {
            case_close(&c);
            print_message("skipped: no %s\n", DATA "oasst/en_100_tree.part_a.jsonl");
            skip();
        }
        assert_int_equal(template_open(&t, c.tok,
                                       "{% for m in messages %}{{ m['role'] }}: "
                                       "{{ m['content'] }}\n{% endfor %}"),
                         OK);
        c.options.chat_template = t;
        c.options.max_length = 0;
        case_load(&c);
        assert_int_equal(dataset_counts(c.data)->rows, 80);
        assert_int_equal(dataset_counts(c.data)->kept + dataset_counts(c.data)->identical,
                         uses[i].kept);
        template_close(t);
        case_close(&c);
    }
}

/* The book is one document: every byte is there, and packing cuts it into rows of the same length.
 */
static void test_data_real__a_book_as_one_document(void **state) {
    (void)state;
    DataCase c;
    case_open(&c, SFT);
    snprintf(c.path, sizeof c.path, DATA "text/tinyshakespeare.txt");
    if (!file_exists(c.path)) {
        case_close(&c);
        print_message("skipped: no %s\n", DATA "text/tinyshakespeare.txt");
        skip();
    }
    c.options.text_by = DATASET_TEXT_DOCUMENT;
    c.options.packing = true;
    c.options.packing_strategy = PACK_WRAPPED;
    c.options.max_length = 1000;
    case_load(&c);
    assert_int_equal(dataset_counts(c.data)->tokens, file_size(c.path) + 1); /* and EOS */
    assert_int_equal(dataset_size(c.data), (1115394 + 1 + 999) / 1000);
    DatasetExample x = dataset_get(c.data, 0);
    assert_int_equal(x.n_ids, 1000);
    assert_int_equal(x.n_seqs, 1);
    case_close(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_data_real__files_load_with_their_row_counts),
        cmocka_unit_test(test_data_real__ranked_lists),
        cmocka_unit_test(test_data_real__trees),
        cmocka_unit_test(test_data_real__a_book_as_one_document),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
