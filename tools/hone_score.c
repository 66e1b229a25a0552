/* hone score: log-probs of each token under a language model, or the score of a reward model. */
#include "core/args.h"
#include "core/mem.h"
#include "tools/open.h"
#include "tools/row_stream.h"
#include "tools/verbs.h"

/* Host arrays of one sequence. */
typedef struct Sequence {
    const ToolModel *m;
    int32_t *positions, *targets, *decoder; /* decoder: ids behind the start token */
    double *number;                         /* log-probs or values, a row each */
    size_t cap;
    Pass *pass;
    size_t pass_rows, pass_source_rows;
} Sequence;

static void reserve(Sequence *s, size_t n) {
    if (n <= s->cap) return;
    s->positions = mem_realloc(s->positions, n, sizeof *s->positions);
    s->targets = mem_realloc(s->targets, n, sizeof *s->targets);
    s->decoder = mem_realloc(s->decoder, n, sizeof *s->decoder);
    s->number = mem_realloc(s->number, n, sizeof *s->number);
    s->cap = n;
}

static size_t with_room(size_t n) {
    return n < 256 ? 256 : n * 2;
}

/* The pass grows with the longest row so far; rows come one at a time, so a row alone decides (law
 * L5). n_source: of an encoder; 0 without. */
static Status pass_for(Sequence *s, size_t n, size_t n_source) {
    if (n <= s->pass_rows && n_source <= s->pass_source_rows) return OK;
    pass_close(s->pass);
    s->pass = NULL;
    if (n > s->pass_rows) s->pass_rows = with_room(n);
    if (n_source > s->pass_source_rows) s->pass_source_rows = with_room(n_source);
    PassLimits limits = {.max_rows = (int64_t)s->pass_rows,
                         .max_seqs = 1,
                         .max_source_rows = (int64_t)s->pass_source_rows};
    return pass_open(&s->pass, s->m->dev, pass_measure(&s->m->role, &limits));
}

static Status run_pass(Sequence *s, const TokenIds *ids) {
    size_t n = ids->n;
    const ToolModel *m = s->m;
    reserve(s, n);
    TRY(pass_for(s, n, 0));
    for (size_t i = 0; i < n; i++) {
        s->positions[i] = (int32_t)i;
        s->targets[i] = i + 1 < n ? ids->id[i + 1] : ROWS_NO_TARGET;
    }
    int32_t start[2] = {0, (int32_t)n};
    int64_t seq_id = 0;
    Rows rows = {.n_rows = (int64_t)n,
                 .n_seqs = 1,
                 .ids = ids->id,
                 .positions = s->positions,
                 .targets = m->score ? NULL : s->targets,
                 .seq_start = start,
                 .seq_ids = &seq_id};
    PassOptions options = {.temperature = 1.0};
    PassOut out = {.logp = m->score ? NULL : s->number, .value = m->score ? s->number : NULL};
    pass_score(s->pass, &m->role, &rows, &options, &out);
    return dev_check(m->dev);
}

/* Log-probs of the labels, each given the source and those before it. */
static Status run_pair(Sequence *s, const TokenIds *source, const TokenIds *labels) {
    const ToolModel *m = s->m;
    size_t n = labels->n, longest = source->n > n ? source->n : n;
    reserve(s, longest);
    TRY(pass_for(s, n, source->n));
    for (size_t i = 0; i < longest; i++) s->positions[i] = (int32_t)i;
    for (size_t i = 0; i < n; i++)
        s->decoder[i] = i ? labels->id[i - 1] : base_info(m->base)->decoder_start_id;
    int32_t start[2] = {0, (int32_t)n}, source_start[2] = {0, (int32_t)source->n};
    int64_t seq_id = 0;
    Rows read = {.n_rows = (int64_t)source->n,
                 .n_seqs = 1,
                 .ids = source->id,
                 .positions = s->positions,
                 .seq_start = source_start,
                 .seq_ids = &seq_id};
    Rows rows = {.n_rows = (int64_t)n,
                 .n_seqs = 1,
                 .ids = s->decoder,
                 .positions = s->positions,
                 .targets = labels->id,
                 .seq_start = start,
                 .seq_ids = &seq_id,
                 .source = &read};
    PassOptions options = {.temperature = 1.0};
    pass_score(s->pass, &m->role, &rows, &options, &(PassOut){.logp = s->number});
    return dev_check(m->dev);
}

static Status score_pair(Sequence *s, RowSink *out, const Json *in, const char *where) {
    TokenIds source = {0}, labels = {0};
    Status st = tool_pair_ids(&source, &labels, in, s->m->tok, where);
    if (st == OK) st = run_pair(s, &source, &labels);
    if (st == OK) {
        Json *row = json_new_object(), *list = json_new_array();
        for (size_t i = 0; i < labels.n; i++) json_push(list, json_new_f32((float)s->number[i]));
        json_set(row, "input_ids", tool_json_ids(source.id, source.n));
        json_set(row, "labels", tool_json_ids(labels.id, labels.n));
        json_set(row, "logprobs", list);
        st = row_sink_write(out, row);
        json_free(row);
    }
    token_ids_free(&source);
    token_ids_free(&labels);
    return st;
}

static void add_numbers(Json *row, const Sequence *s, size_t n) {
    if (s->m->score) {
        json_set(row, "score", json_new_f32((float)s->number[n - 1]));
        return;
    }
    Json *list = json_new_array();
    json_push(list, json_new_null());
    for (size_t i = 0; i + 1 < n; i++) json_push(list, json_new_f32((float)s->number[i]));
    json_set(row, "logprobs", list);
}

static Status check_length(const Sequence *s, const TokenIds *ids, const char *where) {
    int64_t limit = base_info(s->m->base)->position_limit;
    if (ids->n == 0) return status_fail(ERR_DATA, "%s: the row has no token", where);
    if (limit == 0 || (int64_t)ids->n <= limit) return OK;
    return status_fail(ERR_DATA, "%s: %zu tokens are more than the %lld positions of the model",
                       where, ids->n, (long long)limit);
}

/* A reward model has learned to judge whole answers: behind a completion that has no EOS of its own
 * stands one, as in its training data. */
static void end_completion(TokenIds *ids, const Json *row, const Tokenizer *tok) {
    int32_t eos = tokenizer_eos(tok);
    bool is_completion = json_get(row, "completion") && !json_get(row, "input_ids") &&
                         !json_get(row, "text") && !json_get(row, "messages");
    if (is_completion && eos != TOKEN_NONE && ids->n > 0 && ids->id[ids->n - 1] != eos)
        token_ids_push(ids, eos, false);
}

static Status score_row(void *ctx, RowSink *out, const Json *in, const char *where) {
    Sequence *s = ctx;
    if (base_info(s->m->base)->n_encoder_layers) return score_pair(s, out, in, where);
    TokenIds ids = {0};
    size_t n_prompt;
    Status st = tool_row_ids(&ids, &n_prompt, in, s->m->tok, s->m->tpl, false, where);
    if (st == OK && s->m->score) end_completion(&ids, in, s->m->tok);
    if (st == OK) st = check_length(s, &ids, where);
    if (st == OK) st = run_pass(s, &ids);
    if (st == OK) {
        Json *row = json_new_object();
        json_set(row, "input_ids", tool_json_ids(ids.id, ids.n));
        add_numbers(row, s, ids.n);
        st = row_sink_write(out, row);
        json_free(row);
    }
    token_ids_free(&ids);
    return st;
}

Status hone_score(int argc, char **argv) {
    ToolModelOptions model = {.takes_source = true};
    const char *data = NULL, *output = "-";
    bool help = false;
    const Arg args[] = {
        {"--model", ARG_TEXT, &model.model, true, "model folder, adapter folder, or run folder"},
        {"--data", ARG_TEXT, &data, true,
         "JSON lines of {\"text\"}, {\"input_ids\"}, {\"prompt\", \"completion\"} or "
         "{\"messages\"}"},
        {"--output", ARG_TEXT, &output, false, "JSON lines; default standard output"},
        TOOL_MODEL_ARGS(model),
        {0},
    };
    TRY(args_parse(
        &(ArgTable){
            .program = "hone score",
            .summary =
                "A language model: {\"input_ids\", \"logprobs\": [null, ...]}, the "
                "log-prob of each token given those before it. A reward "
                "model: {\"input_ids\", \"score\"}, of a prompt and completion with EOS behind it. "
                "An encoder-decoder, of {\"prompt\", \"completion\"} or {\"input_ids\", "
                "\"labels\"}: "
                "{\"input_ids\", \"labels\", \"logprobs\"}, of each label.",
            .args = args},
        argc, argv, &help));
    if (help) return OK;
    ToolModel m;
    RowSink *out = NULL;
    Sequence s = {.m = &m};
    Status st = OK;
    TRY_GOTO(tool_model_open(&m, &model), st, out);
    TRY_GOTO(row_sink_open(&out, output), st, out);
    TRY_GOTO(rows_each(data, "score", score_row, &s, out), st, out);
    st = row_sink_commit(out);
out:
    row_sink_close(out);
    pass_close(s.pass);
    mem_free(s.positions);
    mem_free(s.targets);
    mem_free(s.decoder);
    mem_free(s.number);
    tool_model_close(&m);
    return st;
}
