/* bench_tokenize MODEL TEXTS TIMES: encodes the rows of TEXTS, JSON lines of {"text"}, TIMES times
 * on OMP_NUM_THREADS threads, after once unmeasured. One line of JSON: the seconds of each time,
 * and how many ids came. */
#include "bench.h"
#include "core/check.h"
#include "core/io/jsonl.h"
#include "core/mem.h"
#include "data/tokenizer/tokenizer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct Texts {
    Json **row; /* [n] */
    int64_t n;
} Texts;

static Status read_texts(Texts *t, const char *path) {
    Jsonl *in = NULL;
    TRY(jsonl_open(&in, path));
    Status st = OK;
    t->row = mem_zalloc((size_t)jsonl_rows(in), sizeof(Json *));
    for (; t->n < jsonl_rows(in) && st == OK; t->n++) st = jsonl_parse(&t->row[t->n], in, t->n);
    jsonl_close(in);
    return st;
}

static int64_t encode_all(const Tokenizer *tok, const Texts *t) {
    int64_t n_ids = 0;
#pragma omp parallel for schedule(dynamic, 16) reduction(+ : n_ids)
    for (int64_t i = 0; i < t->n; i++) {
        TokenIds ids = {0};
        size_t n = 0;
        const char *text = json_str(json_get(t->row[i], "text"), &n);
        Status st = tokenizer_encode(tok, &ids, text, n, TOKENIZER_PARSE_SPECIAL);
        CHECK(st == OK, "%s", status_message());
        n_ids += (int64_t)ids.n;
        token_ids_free(&ids);
    }
    return n_ids;
}

static Status run(const char *model, const char *path, int64_t times) {
    Tokenizer *tok = NULL;
    Texts texts = {0};
    TRY(tokenizer_open(&tok, model));
    Status st = read_texts(&texts, path);
    int64_t n_ids = st == OK ? encode_all(tok, &texts) : 0;
    for (int64_t i = 0; i < times && st == OK; i++) {
        double start = bench_now();
        encode_all(tok, &texts);
        printf("%s%.6f", i == 0 ? "{\"times\": [" : ", ", bench_now() - start);
    }
    if (st == OK) printf("], \"peak_bytes\": null, \"ids\": %" PRId64 "}\n", n_ids);
    for (int64_t i = 0; i < texts.n; i++) json_free(texts.row[i]);
    mem_free(texts.row);
    tokenizer_close(tok);
    return st;
}

int main(int argc, char **argv) {
    if (argc != 4 || run(argv[1], argv[2], atoll(argv[3])) != OK) {
        fprintf(stderr, "%s\n", argc == 4 ? status_message() : "bench_tokenize MODEL TEXTS TIMES");
        return 1;
    }
    return 0;
}
