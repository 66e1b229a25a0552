/* What rows mean: JSON lines of any format, read as each of the three kinds of data. The first byte
 * picks options; a letter behind it picks a format by its place in the table, else it is told by
 * the row.
 *
 * Parser: data/dataset_read.c
 * Parser: data/formats/format.c
 * Parser: data/formats/format_instruct.c
 * Parser: data/formats/format_oasst.c
 * Parser: data/formats/format_pairs.c
 * Parser: data/formats/format_several.c
 * Parser: data/formats/format_text.c
 * Parser: data/formats/format_votes.c
 * Parser: data/formats/record.c
 */
#include "fuzz.h"

#include "data/dataset.h"
#include "data/template.h"
#include "data/tokenizer/tokenizer.h"

static Tokenizer *tokenizer;
static ChatTemplate *chat;

static void close_all(void) {
    template_close(chat);
    tokenizer_close(tokenizer);
}

static void open_all(void) {
    CHECK(tokenizer_open_bytes(&tokenizer) == OK, "%s", status_message());
    CHECK(template_open(&chat, tokenizer,
                        "{% for m in messages %}<{{ m.role }}>{{ m['content'] }}{% endfor %}") ==
              OK,
          "%s", status_message());
    atexit(close_all);
}

static const char *pick_format(const uint8_t *data, size_t size, size_t *skip) {
    const char *const *names = dataset_format_names();
    if (size < 2 || data[1] < 'a') return NULL;
    for (int i = data[1] - 'a'; *names; names++, i--)
        if (i == 0) {
            *skip = 2;
            return *names;
        }
    return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!tokenizer) open_all();
    if (size == 0) return 0;
    size_t skip = 1;
    const char *format = pick_format(data, size, &skip);
    DatasetSource source = {.path = fuzz_file("a.jsonl", data + skip, size - skip),
                            .format = format};
    for (int kind = DATASET_SFT; kind <= DATASET_PROMPT; kind++) {
        DatasetOptions options = dataset_options_default((DatasetKind)kind);
        options.sources = &source;
        options.n_sources = 1;
        options.tokenizer = tokenizer;
        options.chat_template = chat;
        options.max_length = data[0] % 4 == 0 ? 0 : 16 * (data[0] % 4);
        options.packing = kind == DATASET_SFT && data[0] / 4 % 2;
        options.on_bad_row = data[0] / 8 % 2 ? DATASET_BAD_SKIP : DATASET_BAD_ERROR;
        Dataset *d = NULL;
        fuzz_ok(dataset_open(&d, &options));
        dataset_close(d);
    }
    return 0;
}

static void seed_named(const char *format, const char *row) {
    const char *const *names = dataset_format_names();
    size_t i = 0;
    while (!str_equal(names[i], format)) i++;
    char *text = str_format("8%c%s", (int)('a' + i), row);
    fuzz_seed_text(text);
    mem_free(text);
}

void fuzz_seeds(void) {
    fuzz_seed_text("1{\"text\": \"one\"}\n{\"text\": \"two two\"}\n");
    fuzz_seed_text("6{\"prompt\": \"a\", \"completion\": \"b\"}\n");
    fuzz_seed_text("0{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": "
                   "\"assistant\", \"content\": \"b\"}]}\n");
    fuzz_seed_text("8{\"instruction\": \"a\", \"input\": \"\", \"output\": \"b\"}\n");
    fuzz_seed_text(
        "9{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"c\", \"margin\": 0.5}\n");
    fuzz_seed_text(
        "8{\"chosen\": \"\\n\\nHuman: a\\n\\nAssistant: b\", \"rejected\": \"\\n\\nHuman: "
        "a\\n\\nAssistant: c\"}\n");
    fuzz_seed_text("0{\"chosen\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": "
                   "\"assistant\", \"content\": \"b\"}], \"rejected\": [{\"from\": \"human\", "
                   "\"value\": \"a\"}, {\"from\": \"gpt\", \"value\": \"c\"}]}\n");
    fuzz_seed_text("8{\"input_ids\": [1, 2, 3], \"labels\": [-100, 2, 3]}\n");
    fuzz_seed_text("8{\"chosen_input_ids\": [1, 2], \"rejected_input_ids\": [1, 3]}\n");
    fuzz_seed_text("8{\"question\": \"q\", \"answers\": [{\"text\": \"a\", \"pm_score\": 3}, "
                   "{\"text\": \"b\", \"pm_score\": 1}]}\n");
    fuzz_seed_text("8{\"history\": \"h\", \"human_ref_A\": \"a\", \"human_ref_B\": \"b\", "
                   "\"labels\": 1, \"score_A\": 2, \"score_B\": 1}\n");
    fuzz_seed_text("8{\"info\": {\"post\": \"p\", \"title\": \"t\", \"subreddit\": \"s\"}, "
                   "\"summaries\": [{\"text\": \"a\"}, {\"text\": \"b\"}], \"choice\": 0}\n");
    fuzz_seed_text("8{\"instruction\": \"i\", \"input\": \"\", \"output_1\": \"a\", \"output_2\": "
                   "\"b\", \"preference\": 1}\n");
    fuzz_seed_text("8{\"question\": \"q\", \"response_j\": \"a\", \"response_k\": \"b\"}\n");
    fuzz_seed_text("8{\"instruction\": \"i\", \"completions\": [{\"response\": \"a\", "
                   "\"annotations\": {\"h\": {\"Rating\": \"4\"}}}, {\"response\": \"b\", "
                   "\"annotations\": {\"h\": {\"Rating\": \"N/A\"}, \"t\": {\"Rating\": 2}}}]}\n");
    fuzz_seed_text(
        "8{\"prompt\": {\"role\": \"prompter\", \"text\": \"p\", \"replies\": [{\"role\": "
        "\"assistant\", \"text\": \"a\", \"rank\": 0, \"deleted\": false, \"replies\": "
        "[{\"role\": \"prompter\", \"text\": \"q\", \"replies\": []}]}, {\"role\": "
        "\"assistant\", \"text\": \"b\", \"rank\": 1, \"replies\": []}]}}\n");
    fuzz_seed_text("8{\"instruction\": \"i\", \"output\": [\"a\", \"b\", \"c\"]}\n");
    fuzz_seed_text("8{\"Definition\": [\"d\"], \"Instances\": [{\"input\": \"a\", \"output\": "
                   "[\"b\"]}, {\"input\": \"c\", \"output\": \"d\"}]}");
    fuzz_seed_text("8{\"instruction\": \"i\", \"instances\": [{\"input\": \"a\", \"output\": "
                   "\"b\"}, {\"output\": \"c\"}]}\n");
    fuzz_seed_text("8{\"instruction\": \"i\", \"context\": \"c\", \"response\": \"r\"}\n");
    fuzz_seed_text("8{\"inputs_pretokenized\": \"a\", \"targets_pretokenized\": \"b\"}\n");
    fuzz_seed_text("8{\"inputs\": \"a\", \"targets\": \"b\"}\n");
    fuzz_seed_text("8{\"text\": \"### Human: a### Assistant: b### Human: c### Assistant: d\"}\n");
    seed_named("guanaco", "{\"text\": \"### Human: a### Assistant: b\"}\n");
    seed_named("hh_rlhf", "{\"chosen\": \"\\n\\nHuman: a\\n\\nAssistant: b\", \"rejected\": "
                          "\"\\n\\nHuman: a\\n\\nAssistant: \"}\n");
}

const char *const fuzz_words[] = {"\"role\": ",
                                  "\"content\": ",
                                  "null",
                                  "[]",
                                  "{}",
                                  "\"\"",
                                  "-100",
                                  "\"completion_mask\": [0, 1]",
                                  "\"tools\": \"[]\"",
                                  "\"chat_template_kwargs\": {\"a\": 1}",
                                  "\\u0000",
                                  "<eos>",
                                  "}\n{",
                                  "1e9",
                                  NULL};
