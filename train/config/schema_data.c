#include "train/config/schema.h"

#define FIELD(path_, type_, field, default_, range_, ...)                                         \
    {                                                                                             \
        .path = path_, .type = type_, .offset = offsetof(DatasetConfig, field), .dflt = default_, \
        .range = range_, .doc = __VA_ARGS__                                                       \
    }

static const Key DATASET_KEYS[] = {
    FIELD("path", KEY_TEXT, path, "null", NULL,
          "A file, a glob, or a folder with train.jsonl, test.jsonl (any container).",
          .flags = KEY_NULLABLE),
    FIELD("format", KEY_TEXT, format, "auto", NULL,
          "What rows mean (text, prompt_completion, messages, alpaca, preference, hh_rlhf, prompt, "
          "tokenized, ...); auto looks at the first row."),
    FIELD("split", KEY_TEXT, split, "null", NULL, "Which file of a folder; null is train.",
          .flags = KEY_NULLABLE),
    FIELD("columns", KEY_PAIRS, columns, "{}", NULL,
          "Which column of the file is read as which: {prompt: question, completion: answer}."),
    FIELD("weight", KEY_REAL, weight, "1", "(0, 1000]",
          "Times each row is seen in an epoch: 0.5 is half of the rows, 2 is each row twice.",
          .flat = "fraction"),
    FIELD("prompt_template", KEY_TEXT, prompt_template, "null", NULL,
          "Fills the prompt from columns: \"Q: {question}\\nA:\"; {{ is a brace.",
          .flags = KEY_NULLABLE),
    FIELD("completion_template", KEY_TEXT, completion_template, "null", NULL,
          "Fills the completion from columns.", .flags = KEY_NULLABLE),
    FIELD(
        "promptsource", KEY_TEXT, promptsource, "null", NULL,
        "A templates.yaml of promptsource: its template makes prompt and completion from columns, "
        "each value cut at 2,048 characters as there.",
        .flags = KEY_NULLABLE),
    FIELD("promptsource_name", KEY_TEXT, promptsource_name, "null", NULL,
          "Which of its templates, by name or id; null is the only one.", .flags = KEY_NULLABLE),
    FIELD("data_dir", KEY_TEXT, data_dir, "null", NULL, "TRL: folder inside path.",
          .flags = KEY_NULLABLE),
    FIELD("data_files", KEY_TEXT, data_files, "null", NULL,
          "TRL: file inside path, or, where path is json, csv, text or parquet, the file itself.",
          .flags = KEY_NULLABLE),
    FIELD("name", KEY_TEXT, name, "null", NULL,
          "TRL: configuration of a data set; here a folder inside path.", .flags = KEY_NULLABLE),
};
static const Record DATASET = {sizeof(DatasetConfig), DATASET_KEYS, COUNT_OF(DATASET_KEYS)};

#define ROW(path_, type_, field, default_, range_, ...)                                         \
    {                                                                                           \
        .path = path_, .type = type_, .offset = offsetof(Config, data.field), .dflt = default_, \
        .range = range_, .doc = __VA_ARGS__                                                     \
    }

const Key DATA_KEYS[] = {
    ROW("data.train", KEY_RECORDS, train, "[]", NULL,
        "The training data: a path, {path, format, ...}, or a list of them that is mixed.",
        .flat = "datasets", .record = &DATASET),
    ROW("data.eval", KEY_RECORDS, eval, "[]", NULL,
        "Data to evaluate on during training; turns evaluation on.", .record = &DATASET),
    ROW("data.dataset_test_split", KEY_TEXT, dataset_test_split, "test", NULL,
        "Split of the training data's folder that is evaluated on where evaluation is asked for "
        "without data.eval.",
        .flat = "."),
    ROW("data.test_split_size", KEY_REAL, test_split_size, "null", "(0, 1000000000]",
        "Sets rows of data.train apart, a share (0.1) or a number (200), drawn by data_seed, and "
        "evaluates on them.",
        .flat = ".", .flags = KEY_NULLABLE),
    ROW("data.root", KEY_TEXT, root, "null", NULL,
        "Folder in which names that are no local path are looked up, before the Hugging Face "
        "cache.",
        .flags = KEY_NULLABLE | KEY_FREE),
    ROW("data.cache_dir", KEY_TEXT, cache_dir, "null", NULL,
        "Folder in which tokens are kept for the next run with the same data, tokenizer, template "
        "and options; null keeps none.",
        .flags = KEY_NULLABLE | KEY_FREE),
    ROW("data.max_length", KEY_INT, max_length, "1024", "[1, 2147483647]",
        "Longest sequence in tokens: longer ones are cut (sft) or dropped and counted (reward). "
        "null: no limit.",
        .flat = ".", .stages = ON_SFT | ON_REWARD, .flags = KEY_NULLABLE),
    ROW("data.max_length", KEY_INT, max_length, "null", "[1, 2147483647]",
        "Longest prompt in tokens: longer ones are dropped and counted. null: no limit.",
        .flat = ".", .stages = ON_PPO, .flags = KEY_NULLABLE),
    ROW("data.truncation_mode", KEY_CHOICE, truncation_mode, "keep_start", "keep_start|keep_end",
        "Which end of a long row is kept.", .flat = ".", .stages = ON_SFT),
    ROW("data.packing", KEY_BOOL, packing, "false", NULL,
        "Put several rows in one of max_length; attention never crosses them.", .flat = ".",
        .stages = ON_SFT),
    ROW("data.packing_strategy", KEY_CHOICE, packing_strategy, "bfd",
        "bfd|bfd_split=bfd-requeue|wrapped",
        "bfd: best fit, long rows cut; bfd_split: long rows go on in another; wrapped: end to end, "
        "cut anywhere.",
        .flat = ".", .stages = ON_SFT),
    ROW("data.eval_packing", KEY_TRI, eval_packing, "null", NULL,
        "Pack evaluation data too; null is as data.packing.", .flat = ".", .stages = ON_SFT),
    ROW("data.on_bad_row", KEY_CHOICE, on_bad_row, "error", "error|skip",
        "A row that cannot be read: stop with its place, or skip and count it.",
        .trl = "no such policy"),
    ROW("data.max_bad_fraction", KEY_REAL, max_bad_fraction, "0.001", "[0, 1]",
        "With skip: more bad rows than this share is an error."),
    ROW("data.shuffle", KEY_BOOL, shuffle, "true", NULL,
        "New order each epoch, from the seed; false is file order."),
    ROW("data.chat_template_path", KEY_TEXT, chat_template_path, "null", NULL,
        "A .jinja file, or a tokenizer folder whose chat template is taken.", .flat = ".",
        .flags = KEY_NULLABLE),
    ROW("data.dataset_text_field", KEY_TEXT, dataset_text_field, "text", NULL,
        "Column of plain text.", .flat = ".", .stages = ON_SFT),
    ROW("data.eos_token", KEY_TEXT, eos_token, "null", NULL,
        "Token that ends a row instead of the tokenizer's own; must be in the vocabulary.",
        .flat = ".", .stages = ON_SFT | ON_REWARD, .flags = KEY_NULLABLE),
    ROW("data.text_documents", KEY_BOOL, text_documents, "false", NULL,
        "A plain text file is one document, not one row a line.", .stages = ON_SFT),
    ROW("data.parse_special", KEY_BOOL, parse_special, "false", NULL,
        "Let special tokens written in chat messages become tokens."),
};
const size_t N_DATA_KEYS = COUNT_OF(DATA_KEYS);
