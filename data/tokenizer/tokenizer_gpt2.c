/* GPT-2's own files: vocab.json and merges.txt. What they do not say is GPT-2's: cutting, alphabet.
 */
#include "core/file.h"
#include "core/mem.h"
#include "data/tokenizer/tokenizer_parts.h"

#include <string.h>

static Status read_vocab(Tokenizer *t, const char *path) {
    Str text = {0};
    Json *root = NULL;
    Status st = OK;
    TRY_GOTO(file_read(&text, path, TOKENIZER_MAX_FILE), st, out);
    tokenizer_keep_file(t, "vocab.json", &text);
    TRY_GOTO(json_parse(&root, str_text(&text), text.len, path, 1), st, out);
    st = tokenizer_add_vocab(t, root, path);
out:
    json_free(root);
    str_free(&text);
    return st;
}

static Status read_merges(Tokenizer *t, const char *path) {
    Str text = {0};
    Status st = file_read(&text, path, TOKENIZER_MAX_FILE);
    if (st == OK) tokenizer_keep_file(t, "merges.txt", &text);
    uint32_t rank = 0;
    for (size_t at = 0; st == OK && at < text.len;) {
        const char *line = text.data + at;
        const char *end = memchr(line, '\n', text.len - at);
        size_t n = end == NULL ? text.len - at : (size_t)(end - line);
        at += n + 1;
        if (n > 0 && line[n - 1] == '\r') n--;
        if (n == 0 || str_starts(line, "#version")) continue;
        st = tokenizer_add_merge_line(t, line, n, rank++, path);
    }
    str_free(&text);
    return st;
}

Status tokenizer_gpt2_read(Tokenizer *t, const char *path) {
    char *folder = file_folder(path), *merges = file_join(folder, "merges.txt");
    Status st = OK;
    if (!file_is_regular(merges)) {
        st = status_fail(ERR_INPUT, "%s: no such file; vocab.json needs it beside it", merges);
    }
    if (st == OK) st = read_vocab(t, path);
    if (st == OK) st = read_merges(t, merges);
    PretokenizeStep step = {.kind = PRETOKENIZE_BYTE_LEVEL, .behavior = SPLIT_ISOLATED};
    if (st == OK) {
        st = regex_open(&step.regex, PRETOKENIZE_GPT2, sizeof PRETOKENIZE_GPT2 - 1, path);
    }
    if (st == OK) {
        pretokenizer_add(&t->pretokenizer, step);
        detokenizer_add(&t->detokenizer, (DetokenizeStep){.kind = DETOKENIZE_BYTE_LEVEL});
    }
    mem_free(folder);
    mem_free(merges);
    return st;
}
