/* hone generate: samples of prompts. */
#include "core/args.h"
#include "core/check.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/progress.h"
#include "core/stop.h"
#include "model/generate.h"
#include "tools/open.h"
#include "tools/row_stream.h"
#include "tools/sampling.h"
#include "tools/verbs.h"

#include <string.h>

typedef struct Prompts {
    Json **shown; /* as the output has it */
    TokenIds *ids;
    int64_t n;
} Prompts;

typedef struct GenerateOptions {
    const char *prompt, *data, *output;
    int64_t copies, batch;
    Sampling sampling;
} GenerateOptions;

#define MOST 1000000

/* Finished rows wait here until those before them are written, so that the output keeps the input's
 * order. */
typedef struct Sink {
    const Tokenizer *tok;
    const Prompts *prompts;
    int64_t copies, n, next;
    Json **rows;
    RowSink *out;
    Status status;
    Progress progress;
    int64_t done, n_tokens;
} Sink;

static Json *result_row(const Sink *s, int64_t index, const GenResult *r) {
    Json *row = json_new_object(), *logprobs = json_new_array();
    Str text = {0};
    Status st = tool_decode(s->tok, &text, r->tokens, (size_t)r->n, TOKENIZER_SKIP_SPECIAL);
    CHECK(st == OK, "%s", status_message()); /* only ids of the tokenizer are left */
    json_set(row, "prompt", json_clone(s->prompts->shown[index / s->copies]));
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
        if (s->status == OK) s->status = row_sink_write(s->out, s->rows[s->next]);
        json_free(s->rows[s->next]);
        s->rows[s->next++] = NULL;
    }
    s->done++;
    s->n_tokens += result->n;
    if (s->n > 1) progress_update(&s->progress, s->done, NULL);
}

static bool should_stop(void *ctx) {
    (void)ctx;
    return stop_requested();
}

typedef struct PromptReader {
    Prompts *to;
    const ToolModel *m;
    int64_t max_new_tokens;
} PromptReader;

static Status check_length(const PromptReader *r, const TokenIds *ids, const char *where) {
    int64_t limit = base_info(r->m->base)->position_limit;
    if (ids->n == 0) return status_fail(ERR_DATA, "%s: the prompt has no token", where);
    if (limit == 0 || (int64_t)ids->n + r->max_new_tokens <= limit) return OK;
    return status_fail(ERR_DATA,
                       "%s: %zu tokens and %lld new ones are more than the %lld positions of the "
                       "model; lower --max-new-tokens",
                       where, ids->n, (long long)r->max_new_tokens, (long long)limit);
}

/* The prompt as the output shows it: its own text, else what its tokens say. */
static Json *shown_prompt(const Json *row, const TokenIds *ids, const Tokenizer *tok) {
    const Json *prompt = json_get(row, "prompt"), *text = json_get(row, "text");
    const Json *own = json_is(text, JSON_KIND_STRING) ? text : prompt;
    if (json_is(own, JSON_KIND_STRING) && !json_get(row, "input_ids")) return json_clone(own);
    Str decoded = {0};
    Status st = tool_decode(tok, &decoded, ids->id, ids->n, 0);
    CHECK(st == OK, "%s", status_message());
    Json *out = json_new_str_n(str_text(&decoded), decoded.len);
    str_free(&decoded);
    return out;
}

/* A completion that stands beside the prompt is not part of it. */
static Status add_prompt(void *ctx, RowSink *out, const Json *in, const char *where) {
    PromptReader *r = ctx;
    Prompts *p = r->to;
    (void)out;
    p->shown = mem_realloc(p->shown, (size_t)p->n + 1, sizeof *p->shown);
    p->ids = mem_realloc(p->ids, (size_t)p->n + 1, sizeof *p->ids);
    TokenIds *ids = &p->ids[p->n];
    *ids = (TokenIds){0};
    Json *row = json_clone(in);
    json_del(row, "completion");
    size_t ignored;
    Status st = tool_row_ids(ids, &ignored, row, r->m->tok, r->m->tpl, true, where);
    if (st == OK && base_info(r->m->base)->n_encoder_layers && !json_get(row, "input_ids"))
        tool_end_text(ids, r->m->tok);
    if (st == OK) st = check_length(r, ids, where);
    p->shown[p->n++] = st == OK ? shown_prompt(row, ids, r->m->tok) : NULL;
    json_free(row);
    return st;
}

static Status read_prompts(Prompts *p, const GenerateOptions *o, const ToolModel *m) {
    PromptReader reader = {.to = p, .m = m, .max_new_tokens = o->sampling.max_new_tokens};
    if (!o->prompt) return rows_each(o->data, NULL, add_prompt, &reader, NULL);
    Json *row = json_new_object();
    json_set(row, "prompt", json_new_str(o->prompt));
    Status st = add_prompt(&reader, NULL, row, "--prompt");
    json_free(row);
    return st;
}

static Status run_requests(Sink *s, const ToolModel *m, const GenerateOptions *o) {
    const Prompts *p = s->prompts;
    int64_t longest = 1;
    for (int64_t i = 0; i < p->n; i++)
        if ((int64_t)p->ids[i].n > longest) longest = (int64_t)p->ids[i].n;
    GenLimits limits = {.max_batch = s->n < o->batch ? s->n : o->batch,
                        .max_context = longest + o->sampling.max_new_tokens};
    GenRequest *requests = mem_zalloc((size_t)s->n, sizeof *requests);
    for (int64_t i = 0; i < s->n; i++)
        requests[i] = (GenRequest){.prompt = p->ids[i / s->copies].id,
                                   .n_prompt = (int64_t)p->ids[i / s->copies].n,
                                   .row_id = i,
                                   .max_new_tokens = o->sampling.max_new_tokens,
                                   .temperature = o->sampling.temperature,
                                   .top_p = o->sampling.top_p,
                                   .top_k = (int32_t)o->sampling.top_k};
    const int32_t *stop_ids = NULL;
    GenOptions options = {.seed = (uint64_t)o->sampling.seed,
                          .n_stop_ids = (int)tokenizer_eos_list(m->tok, &stop_ids),
                          .plain_logp = true,
                          .on_done = on_done,
                          .should_stop = should_stop,
                          .ctx = s};
    options.stop_ids = stop_ids;
    Generator *g = NULL;
    Status st = generator_open(&g, &m->role, &limits);
    if (s->n > 1) progress_begin(&s->progress, "generate", "rows", s->n, 0);
    double start = progress_clock_s();
    if (st == OK) st = generate(g, requests, s->n, &options);
    double seconds = progress_clock_s() - start;
    if (s->n > 1) progress_end(&s->progress);
    if (st == OK && s->status == OK)
        log_info("%lld tokens in %.3f s, %.4g tokens/s", (long long)s->n_tokens, seconds,
                 (double)s->n_tokens / seconds);
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
    if (st == OK) st = row_sink_open(&s.out, o->output);
    if (st == OK && s.n > 0) st = run_requests(&s, m, o);
    if (st == OK) st = row_sink_commit(s.out);
    row_sink_close(s.out);
    for (int64_t i = 0; i < s.n; i++) json_free(s.rows[i]);
    mem_free(s.rows);
    for (int64_t i = 0; i < p.n; i++) {
        json_free(p.shown[i]);
        token_ids_free(&p.ids[i]);
    }
    mem_free(p.shown);
    mem_free(p.ids);
    return st;
}

Status hone_generate(int argc, char **argv) {
    ToolModelOptions model = {.takes_source = true};
    GenerateOptions o = {
        .output = "-",
        .copies = 1,
        .batch = 64,
        .sampling = {.max_new_tokens = 128, .temperature = 1.0, .top_p = 1.0, .seed = 42}};
    bool help = false;
    const Arg args[] = {
        {"--model", ARG_TEXT, &model.model, true, "model folder, adapter folder, or run folder"},
        {"--prompt", ARG_TEXT, &o.prompt, false, "one prompt"},
        {"--data", ARG_TEXT, &o.data, false,
         "JSON lines of {\"prompt\"}, {\"text\"}, {\"messages\"} or {\"input_ids\"}; - is standard "
         "input"},
        {"--output", ARG_TEXT, &o.output, false, "JSON lines; default standard output"},
        SAMPLING_ARGS(o.sampling),
        {"--num-return-sequences", ARG_INT, &o.copies, false, "samples of each prompt"},
        {"--batch-size", ARG_INT, &o.batch, false, "rows at a time"},
        TOOL_MODEL_ARGS(model),
        {0},
    };
    TRY(args_parse(
        &(ArgTable){.program = "hone generate",
                    .summary = "Samples: {\"prompt\", \"completion\", \"output_ids\", "
                               "\"logprobs\", \"finish_reason\"} a row, in the order of the input.",
                    .args = args},
        argc, argv, &help));
    if (help) return OK;
    if (!o.prompt == !o.data)
        return status_fail(ERR_USAGE, "hone generate: give --prompt or --data");
    if (o.copies < 1 || o.copies > MOST || o.batch < 1 || o.batch > MOST)
        return status_fail(ERR_USAGE,
                           "hone generate: --num-return-sequences and --batch-size must be from 1 "
                           "to %d",
                           MOST);
    TRY(sampling_check("generate", &o.sampling));
    ToolModel m;
    Status st = tool_model_open(&m, &model);
    if (st == OK && m.score)
        st = status_fail(ERR_DATA, "%s: a reward model does not write text; use `hone score`",
                         model.model);
    if (st == OK) st = generate_all(&m, &o);
    tool_model_close(&m);
    return st;
}
