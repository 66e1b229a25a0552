#include "samples.h"

#include "core/io/jsonl.h"
#include "core/mem.h"

Status samples_read(Samples *out, const char *path) {
    *out = (Samples){0};
    Jsonl *in = NULL;
    TRY(jsonl_open(&in, path));
    int64_t n = jsonl_rows(in);
    out->items = mem_zalloc((size_t)n + 1, sizeof *out->items);
    Status st = OK;
    for (int64_t i = 0; i < n && st == OK; i++) {
        Json *row = NULL;
        const char *prompt = NULL, *text = NULL;
        st = jsonl_parse(&row, in, i);
        if (st == OK) st = json_want_str(&prompt, row, "prompt", path);
        if (st == OK) st = json_want_str(&text, row, "completion", path);
        if (st == OK)
            out->items[out->n++] =
                (Sample){mem_strdup(prompt), mem_strdup(text), judge(prompt, text)};
        json_free(row);
    }
    jsonl_close(in);
    return st;
}

void samples_keep(Samples *s, int64_t n) {
    while (s->n > n) {
        Sample *last = &s->items[--s->n];
        mem_free(last->prompt);
        mem_free(last->text);
    }
}

void samples_free(Samples *s) {
    samples_keep(s, 0);
    mem_free(s->items);
    *s = (Samples){0};
}
