/* hone train-tokenizer: a byte-level BPE from text. */
#include "core/args.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/publish.h"
#include "core/stop.h"
#include "tools/open.h"
#include "tools/row_stream.h"
#include "tools/verbs.h"

#define MAX_TEXT ((size_t)4 << 30)

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

static Status collect_row(void *ctx, RowSink *out, const Json *row, const char *where) {
    (void)out;
    (void)where;
    collect_strings(ctx, row);
    return OK;
}

/* Checked here, where the file's name is known. */
static Status read_text(Str *out, const char *path) {
    size_t bad;
    if (str_ends(path, ".jsonl")) return rows_each(path, NULL, collect_row, out, NULL);
    TRY(file_read(out, path, MAX_TEXT));
    if (str_utf8_valid(str_text(out), out->len, &bad)) return OK;
    return status_fail(ERR_DATA, "%s: is not UTF-8 at byte %zu", path, bad);
}

typedef struct Texts {
    Str *text; /* [n] one a file */
    TokenizerInput *input;
    size_t n, bytes;
} Texts;

static Status read_texts(Texts *t, const ArgList *files) {
    t->text = mem_zalloc((size_t)files->n + 1, sizeof *t->text);
    t->input = mem_zalloc((size_t)files->n + 1, sizeof *t->input);
    for (int i = 0; i < files->n; i++) {
        Str *text = &t->text[t->n];
        TRY(read_text(text, files->items[i]));
        t->input[t->n++] = (TokenizerInput){str_text(text), text->len};
        t->bytes += text->len;
    }
    return t->bytes > 0 ? OK : status_fail(ERR_DATA, "%s: there is no text", files->items[0]);
}

static void free_texts(Texts *t, int n_files) {
    for (int i = 0; t->text && i < n_files; i++) str_free(&t->text[i]);
    mem_free(t->text);
    mem_free(t->input);
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
            .program = "hone train-tokenizer",
            .summary =
                "Learns a byte-level BPE tokenizer; <s>, </s> and <pad> are its special tokens.",
            .args = args},
        argc, argv, &help));
    if (help) return OK;
    static const char *const special[] = {"<s>", "</s>", "<pad>"};
    if (vocab < 260 || vocab > 1 << 20)
        return status_fail(ERR_USAGE,
                           "hone train-tokenizer: --vocab-size must be from 260 to 1048576");
    Texts texts = {0};
    Str source = {0};
    PublishFolder *folder = NULL;
    Status st = OK;
    TRY_GOTO(read_texts(&texts, &data), st, out);
    if (chat_template) TRY_GOTO(file_read(&source, chat_template, (size_t)1 << 20), st, out);
    TokenizerTraining how = {.vocab_size = (int32_t)vocab,
                             .min_frequency = 2,
                             .special = special,
                             .n_special = 3,
                             .bos = "<s>",
                             .eos = "</s>",
                             .pad = "<pad>",
                             .chat_template = chat_template ? str_text(&source) : NULL};
    TRY_GOTO(publish_folder_open(&folder, output, false), st, out);
    TRY_GOTO(tokenizer_train_bpe(publish_folder_path(folder), &how, texts.input, texts.n), st, out);
    TRY_GOTO(stop_requested() ? stop_status() : OK, st, out);
    TRY_GOTO(publish_folder_commit(folder), st, out);
out:
    publish_folder_close(folder);
    str_free(&source);
    free_texts(&texts, data.n);
    mem_free(data.items);
    return st;
}
