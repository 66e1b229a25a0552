/* hone score: log-probs of each token under a language model, or the score of a reward model. */
#include "core/mem.h"
#include "tools/args.h"
#include "tools/open.h"
#include "tools/verbs.h"

/* Host arrays of one sequence. */
typedef struct Sequence {
    int32_t *positions, *targets;
    double *number; /* log-probs or values, a row each */
    size_t cap;
    Pass *pass;
    size_t pass_rows;
} Sequence;

static void reserve(Sequence *s, size_t n) {
    if (n <= s->cap) return;
    s->positions = mem_realloc(s->positions, n, sizeof *s->positions);
    s->targets = mem_realloc(s->targets, n, sizeof *s->targets);
    s->number = mem_realloc(s->number, n, sizeof *s->number);
    s->cap = n;
}

/* The pass grows with the longest row so far; rows come one at a time, so a row alone decides (law
 * L5). */
static Status pass_for(Sequence *s, const ToolModel *m, size_t n) {
    if (n <= s->pass_rows) return OK;
    pass_close(s->pass);
    s->pass = NULL;
    s->pass_rows = n < 256 ? 256 : n * 2;
    PassLimits limits = {.max_rows = (int64_t)s->pass_rows, .max_seqs = 1};
    return pass_open(&s->pass, m->dev, pass_measure(&m->role, &limits));
}

static Status score_ids(Json *row, Sequence *s, const ToolModel *m, const TokenIds *ids) {
    size_t n = ids->n;
    reserve(s, n);
    TRY(pass_for(s, m, n));
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
    TRY(dev_check(m->dev));
    json_set(row, "input_ids", tool_json_ids(ids->id, n));
    if (m->score) {
        json_set(row, "score", json_new_f32((float)s->number[n - 1]));
        return OK;
    }
    Json *list = json_new_array();
    json_push(list, json_new_null());
    for (size_t i = 0; i + 1 < n; i++) json_push(list, json_new_f32((float)s->number[i]));
    json_set(row, "logprobs", list);
    return OK;
}

static Status score_row(JsonlWriter *w, Sequence *s, const ToolModel *m, const Json *in,
                        const char *where) {
    TokenIds ids = {0};
    size_t n_prompt;
    Status st = tool_row_ids(&ids, &n_prompt, in, m->tok, m->tpl, false, where);
    if (st == OK && ids.n == 0) st = status_fail(ERR_DATA, "%s: the row has no token", where);
    if (st == OK) {
        Json *row = json_new_object();
        st = score_ids(row, s, m, &ids);
        if (st == OK) st = jsonl_write(w, row);
        json_free(row);
    }
    token_ids_free(&ids);
    return st;
}

Status hone_score(int argc, char **argv) {
    ToolModelOptions model = {0};
    const char *data = NULL, *output = "-";
    bool help = false;
    const Arg args[] = {
        {"--model", ARG_TEXT, &model.model, true, "model folder, adapter folder, or run folder"},
        {"--adapter", ARG_TEXT, &model.adapter, false, "PEFT folder over it"},
        {"--data", ARG_TEXT, &data, true,
         "JSON lines of {\"text\"}, {\"input_ids\"}, {\"prompt\", \"completion\"} or "
         "{\"messages\"}"},
        {"--output", ARG_TEXT, &output, false, "JSON lines; default standard output"},
        {"--dtype", ARG_TEXT, &model.dtype, false,
         "how weights are stored: float32 (default), bfloat16, float16"},
        {"--device", ARG_TEXT, &model.device, false, "auto (default), cpu, cuda"},
        {"--threads", ARG_INT, &model.threads, false, "default 0: all"},
        {0},
    };
    TRY(args_parse(&(ArgTable){"score",
                               "A language model: {\"input_ids\", \"logprobs\": [null, ...]}, the "
                               "log-prob of each token given those before it. A reward "
                               "model: {\"input_ids\", \"score\"}.",
                               args},
                   argc, argv, &help));
    if (help) return OK;
    ToolModel m;
    Jsonl *in = NULL;
    JsonlWriter *w = NULL;
    Sequence s = {0};
    Status st = OK;
    TRY_GOTO(tool_model_open(&m, &model), st, out);
    TRY_GOTO(jsonl_open(&in, data), st, out);
    TRY_GOTO(jsonl_writer_open(&w, output, 0), st, out);
    for (int64_t i = 0; i < jsonl_rows(in) && st == OK; i++) {
        Json *row = NULL;
        TRY_GOTO(jsonl_parse(&row, in, i), st, out);
        char *where = str_format("%s:%lld", jsonl_path(in), (long long)jsonl_row(in, i).line);
        st = score_row(w, &s, &m, row, where);
        mem_free(where);
        json_free(row);
    }
out:
    jsonl_writer_close(w);
    jsonl_close(in);
    pass_close(s.pass);
    mem_free(s.positions);
    mem_free(s.targets);
    mem_free(s.number);
    tool_model_close(&m);
    return st;
}
