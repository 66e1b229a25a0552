/* What rows mean: JSON lines of any format, read as each of the three kinds of data. */
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!tokenizer) open_all();
    if (size == 0) return 0;
    DatasetSource source = {.path = fuzz_file("a.jsonl", data + 1, size - 1)};
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
