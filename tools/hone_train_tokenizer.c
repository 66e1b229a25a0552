/* hone train-tokenizer: a byte-level BPE from text. */
#include "core/file.h"
#include "core/mem.h"
#include "core/publish.h"
#include "tools/args.h"
#include "tools/open.h"
#include "tools/verbs.h"

/* Every string of a JSON value: rows of any format are text. */
static void collect_strings(Str *out, const Json *j) {
    if (json_is(j, JSON_KIND_STRING)) {
        size_t n;
        const char *s = json_str(j, &n);
        str_append_n(out, s, n);
        str_append_char(out, '\n');
    }
    for (int64_t i = 0; json_is(j, JSON_KIND_ARRAY) && i < json_len(j); i++)
        collect_strings(out, json_at(j, i));
    JsonIter it = {0};
    const char *key;
    Json *value;
    while (json_is(j, JSON_KIND_OBJECT) && json_next(j, &it, &key, &value))
        collect_strings(out, value);
}

static Status read_texts(Str *out, const char *path) {
    if (!str_ends(path, ".jsonl")) return file_read(out, path, (size_t)4 << 30);
    Jsonl *in = NULL;
    TRY(jsonl_open(&in, path));
    Status st = OK;
    for (int64_t i = 0; i < jsonl_rows(in) && st == OK; i++) {
        Json *row = NULL;
        st = jsonl_parse(&row, in, i);
        if (st == OK) collect_strings(out, row);
        json_free(row);
    }
    jsonl_close(in);
    return st;
}

Status hone_train_tokenizer(int argc, char **argv) {
    ArgList data = {0};
    int64_t vocab = 0;
    const char *output = NULL, *chat_template = NULL;
    bool help = false;
    const Arg args[] = {
        {"--data", ARG_LIST, &data, true, "text files, or .jsonl whose strings are taken"},
        {"--vocab-size", ARG_INT, &vocab, true,
         "ids in all, special tokens and 256 bytes included"},
        {"--output", ARG_TEXT, &output, true,
         "folder for tokenizer.json and tokenizer_config.json"},
        {"--chat-template", ARG_TEXT, &chat_template, false,
         "file with a chat template to put beside it"},
        {0},
    };
    TRY(args_parse(
        &(ArgTable){
            "train-tokenizer",
            "Learns a byte-level BPE tokenizer; <s>, </s> and <pad> are its special tokens.", args},
        argc, argv, &help));
    if (help) return OK;
    static const char *const special[] = {"<s>", "</s>", "<pad>"};
    if (vocab < 260 || vocab > 1 << 20)
        return status_fail(ERR_USAGE,
                           "hone train-tokenizer: --vocab-size must be from 260 to 1048576");
    Str text = {0}, source = {0};
    PublishFolder *folder = NULL;
    Status st = OK;
    for (int i = 0; i < data.n; i++) TRY_GOTO(read_texts(&text, data.items[i]), st, out);
    if (chat_template) TRY_GOTO(file_read(&source, chat_template, (size_t)1 << 20), st, out);
    TokenizerTraining how = {.vocab_size = (int32_t)vocab,
                             .min_frequency = 2,
                             .special = special,
                             .n_special = 3,
                             .bos = "<s>",
                             .eos = "</s>",
                             .pad = "<pad>",
                             .chat_template = chat_template ? str_text(&source) : NULL};
    TokenizerInput input = {str_text(&text), text.len};
    TRY_GOTO(publish_folder_open(&folder, output, true), st, out);
    TRY_GOTO(tokenizer_train_bpe(publish_folder_path(folder), &how, &input, 1), st, out);
    TRY_GOTO(publish_folder_commit(folder), st, out);
out:
    publish_folder_close(folder);
    str_free(&source);
    str_free(&text);
    mem_free(data.items);
    return st;
}
