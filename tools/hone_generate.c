/* hone generate: samples of prompts. */
#include "core/mem.h"
#include "core/progress.h"
#include "core/stop.h"
#include "model/generate.h"
#include "tools/args.h"
#include "tools/open.h"
#include "tools/verbs.h"

#include <string.h>

typedef struct Prompts {
    char **text; /* as shown in the output */
    TokenIds *ids;
    int64_t n;
} Prompts;

typedef struct GenerateOptions {
    const char *prompt, *data, *output;
    int64_t max_new_tokens, top_k, seed, copies, batch;
    double temperature, top_p;
} GenerateOptions;

/* Finished rows wait here until those before them are written, so that the output keeps the input's
 * order. */
typedef struct Sink {
    const Tokenizer *tok;
    const Prompts *prompts;
    int64_t copies, n, next;
    Json **rows;
    JsonlWriter *out;
    Status status;
    Progress progress;
    int64_t done;
} Sink;

static Json *result_row(const Sink *s, int64_t index, const GenResult *r) {
    Json *row = json_new_object(), *logprobs = json_new_array();
    Str text = {0};
    /* The engine only makes ids of the vocabulary; an odd tokenizer shows as an empty completion.
     */
    if (tokenizer_decode(s->tok, &text, r->tokens, (size_t)r->n, TOKENIZER_SKIP_SPECIAL) != OK)
        str_clear(&text);
    json_set(row, "prompt", json_new_str(s->prompts->text[index / s->copies]));
    json_set(row, "completion", json_new_str_n(str_text(&text), text.len));
    json_set(row, "output_ids", tool_json_ids(r->tokens, (size_t)r->n));
    for (int64_t i = 0; i < r->n; i++) json_push(logprobs, json_new_f32((float)r->logp[i]));
    json_set(row, "logprobs", logprobs);
    json_set(row, "finish_reason", json_new_str(r->stopped ? "stop" : "length"));
    str_free(&text);
    return row;
}

static void on_done(void *ctx, int64_t index, const GenResult *result) {
    Sink *s = ctx;
    s->rows[index] = result_row(s, index, result);
    while (s->next < s->n && s->rows[s->next]) {
        if (s->status == OK) s->status = jsonl_write(s->out, s->rows[s->next]);
        json_free(s->rows[s->next]);
        s->rows[s->next++] = NULL;
    }
    progress_update(&s->progress, ++s->done, NULL);
}

static bool should_stop(void *ctx) {
    (void)ctx;
    return stop_requested();
}

static Status add_prompt(Prompts *p, const Json *row, const ToolModel *m, const char *where) {
    p->text = mem_realloc(p->text, (size_t)p->n + 1, sizeof *p->text);
    p->ids = mem_realloc(p->ids, (size_t)p->n + 1, sizeof *p->ids);
    p->ids[p->n] = (TokenIds){0};
    size_t ignored;
    Status st = tool_row_ids(&p->ids[p->n], &ignored, row, m->tok, m->tpl, true, where);
    if (st == OK && p->ids[p->n].n == 0)
        st = status_fail(ERR_DATA, "%s: the prompt has no token", where);
    const Json *prompt = json_get(row, "prompt"), *text = json_get(row, "text");
    Str shown = {0};
    if (json_is(prompt, JSON_KIND_STRING))
        str_append(&shown, json_str(prompt, NULL));
    else if (json_is(text, JSON_KIND_STRING))
        str_append(&shown, json_str(text, NULL));
    else if (st == OK)
        st = tokenizer_decode(m->tok, &shown, p->ids[p->n].id, p->ids[p->n].n, 0);
    p->text[p->n++] = str_take(&shown);
    return st;
}

static Status read_prompts(Prompts *p, const GenerateOptions *o, const ToolModel *m) {
    Status st = OK;
    if (o->prompt) {
        Json *row = json_new_object();
        json_set(row, "prompt", json_new_str(o->prompt));
        st = add_prompt(p, row, m, "--prompt");
        json_free(row);
        return st;
    }
    Jsonl *in = NULL;
    TRY(jsonl_open(&in, o->data));
    for (int64_t i = 0; i < jsonl_rows(in) && st == OK; i++) {
        Json *row = NULL;
        st = jsonl_parse(&row, in, i);
        char *where = str_format("%s:%lld", jsonl_path(in), (long long)jsonl_row(in, i).line);
        if (st == OK) st = add_prompt(p, row, m, where);
        mem_free(where);
        json_free(row);
    }
    jsonl_close(in);
    return st;
}

static Status run_requests(Sink *s, const ToolModel *m, const GenerateOptions *o) {
    const Prompts *p = s->prompts;
    int64_t longest = 1;
    for (int64_t i = 0; i < p->n; i++)
        if ((int64_t)p->ids[i].n > longest) longest = (int64_t)p->ids[i].n;
    GenLimits limits = {.max_batch = s->n < o->batch ? s->n : o->batch,
                        .max_context = longest + o->max_new_tokens};
    GenRequest *requests = mem_zalloc((size_t)s->n, sizeof *requests);
    for (int64_t i = 0; i < s->n; i++)
        requests[i] = (GenRequest){.prompt = p->ids[i / s->copies].id,
                                   .n_prompt = (int64_t)p->ids[i / s->copies].n,
                                   .row_id = i,
                                   .max_new_tokens = o->max_new_tokens,
                                   .temperature = o->temperature,
                                   .top_p = o->top_p,
                                   .top_k = (int32_t)o->top_k};
    const int32_t *stop_ids = NULL;
    GenOptions options = {.seed = (uint64_t)o->seed,
                          .n_stop_ids = (int)tokenizer_eos_list(m->tok, &stop_ids),
                          .on_done = on_done,
                          .should_stop = should_stop,
                          .ctx = s};
    options.stop_ids = stop_ids;
    Generator *g = NULL;
    Status st = generator_open(&g, &m->role, &limits);
    progress_begin(&s->progress, "generate", "rows", s->n, 0);
    if (st == OK) st = generate(g, requests, s->n, &options);
    if (s->n > 1) progress_end(&s->progress);
    generator_close(g);
    mem_free(requests);
    return st == OK ? s->status : st;
}

static Status generate_all(const ToolModel *m, const GenerateOptions *o) {
    Prompts p = {0};
    Sink s = {.tok = m->tok, .prompts = &p, .copies = o->copies};
    Status st = read_prompts(&p, o, m);
    s.n = p.n * o->copies;
    s.rows = mem_zalloc((size_t)s.n + 1, sizeof *s.rows);
    if (st == OK) st = jsonl_writer_open(&s.out, o->output, 0);
    if (st == OK && s.n > 0) st = run_requests(&s, m, o);
    jsonl_writer_close(s.out);
    for (int64_t i = 0; i < s.n; i++) json_free(s.rows[i]);
    mem_free(s.rows);
    for (int64_t i = 0; i < p.n; i++) {
        mem_free(p.text[i]);
        token_ids_free(&p.ids[i]);
    }
    mem_free(p.text);
    mem_free(p.ids);
    return st;
}

Status hone_generate(int argc, char **argv) {
    ToolModelOptions model = {0};
    GenerateOptions o = {.output = "-",
                         .max_new_tokens = 128,
                         .temperature = 1.0,
                         .top_p = 1.0,
                         .seed = 42,
                         .copies = 1,
                         .batch = 64};
    bool help = false;
    const Arg args[] = {
        {"--model", ARG_TEXT, &model.model, true, "model folder, adapter folder, or run folder"},
        {"--adapter", ARG_TEXT, &model.adapter, false, "PEFT folder over it"},
        {"--prompt", ARG_TEXT, &o.prompt, false, "one prompt"},
        {"--data", ARG_TEXT, &o.data, false,
         "JSON lines of {\"prompt\"}, {\"text\"}, {\"messages\"} or {\"input_ids\"}; - is standard "
         "input"},
        {"--output", ARG_TEXT, &o.output, false, "JSON lines; default standard output"},
        {"--max-new-tokens", ARG_INT, &o.max_new_tokens, false, "default 128"},
        {"--temperature", ARG_NUM, &o.temperature, false, "default 1; 0 is greedy"},
        {"--top-k", ARG_INT, &o.top_k, false, "keep the k most probable tokens; default 0: all"},
        {"--top-p", ARG_NUM, &o.top_p, false,
         "keep the most probable tokens up to this sum; default 1: all"},
        {"--seed", ARG_INT, &o.seed, false, "default 42"},
        {"--num-return-sequences", ARG_INT, &o.copies, false, "samples of each prompt; default 1"},
        {"--batch-size", ARG_INT, &o.batch, false, "rows at a time; default 64"},
        {"--dtype", ARG_TEXT, &model.dtype, false,
         "how weights are stored: float32 (default), bfloat16, float16"},
        {"--device", ARG_TEXT, &model.device, false, "auto (default), cpu, cuda"},
        {"--threads", ARG_INT, &model.threads, false, "default 0: all"},
        {0},
    };
    TRY(args_parse(&(ArgTable){"generate",
                               "Samples: {\"prompt\", \"completion\", \"output_ids\", "
                               "\"logprobs\", \"finish_reason\"} a row, in the order of the input.",
                               args},
                   argc, argv, &help));
    if (help) return OK;
    if (!o.prompt == !o.data)
        return status_fail(ERR_USAGE, "hone generate: give --prompt or --data");
    if (o.max_new_tokens < 1 || o.copies < 1 || o.batch < 1 || o.temperature < 0.0 || o.top_k < 0 ||
        o.top_p <= 0.0 || o.top_p > 1.0)
        return status_fail(ERR_USAGE,
                           "hone generate: --max-new-tokens, --num-return-sequences and "
                           "--batch-size must be at least 1, "
                           "--temperature and --top-k not below 0, --top-p above 0 and at most 1");
    ToolModel m;
    Status st = tool_model_open(&m, &model);
    if (st == OK && m.score)
        st = status_fail(ERR_DATA, "%s: a reward model does not write text; use `hone score`",
                         model.model);
    if (st == OK) st = generate_all(&m, &o);
    tool_model_close(&m);
    return st;
}
