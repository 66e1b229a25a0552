/* hone chat: talk to a model, or to two of them with the same words and the same random numbers.
 *
 * With a chat template the whole conversation is what the model sees; without one each line is
 * continued by itself. */
#include "core/args.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/stop.h"
#include "model/generate.h"
#include "tools/chat_input.h"
#include "tools/open.h"
#include "tools/sampling.h"
#include "tools/verbs.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

typedef struct ChatOptions {
    const char *system;
    int64_t context;
    Sampling sampling;
} ChatOptions;

/* One side of the conversation. */
typedef struct Speaker {
    const char *name;
    ToolModel m;
    Generator *generator;
    int64_t context;    /* positions that it may use */
    Json *messages;     /* NULL: no chat template */
    TokenStream stream; /* of the answer at hand */
    Str answer;
    Status status;
} Speaker;

static void add_message(Json *messages, const char *role, const char *text, size_t n) {
    Json *message = json_new_object();
    json_set(message, "role", json_new_str(role));
    json_set(message, "content", json_new_str_n(text, n));
    json_push(messages, message);
}

static void reset(Speaker *s, const ChatOptions *o) {
    json_free(s->messages);
    s->messages = NULL;
    if (!s->m.tpl) return;
    s->messages = json_new_array();
    if (o->system) add_message(s->messages, "system", o->system, strlen(o->system));
}

static Status speaker_open(Speaker *s, const ToolModelOptions *model, const ChatOptions *o) {
    s->name = model->model;
    TRY(tool_model_open(&s->m, model));
    if (s->m.score)
        return status_fail(ERR_DATA, "%s: a reward model does not write text; use `hone score`",
                           model->model);
    if (o->system && !s->m.tpl)
        return status_fail(ERR_DATA, "%s: has no chat template, so that --system has no place",
                           model->model);
    int64_t positions = base_info(s->m.base)->max_positions;
    s->context = positions > 0 && positions < o->context ? positions : o->context;
    reset(s, o);
    return generator_open(&s->generator, &s->m.role,
                          &(GenLimits){.max_batch = 1, .max_context = s->context});
}

static void speaker_close(Speaker *s) {
    generator_close(s->generator);
    json_free(s->messages);
    str_free(&s->answer);
    str_free(&s->stream.held);
    tool_model_close(&s->m);
}

/* Prints what has been added to the answer since `before`. */
static void print_new(const Speaker *s, size_t before) {
    fwrite(str_text(&s->answer) + before, 1, s->answer.len - before, stdout);
    fflush(stdout);
}

static void on_token(void *ctx, int64_t index, int32_t token, double logp) {
    Speaker *s = ctx;
    size_t before = s->answer.len;
    (void)index;
    (void)logp;
    /* A model's table may be longer than its vocabulary. */
    if (s->status == OK && token < tokenizer_vocab_size(s->m.tok))
        s->status = token_stream_push(&s->stream, &s->answer, token);
    print_new(s, before);
}

static bool should_stop(void *ctx) {
    (void)ctx;
    return stop_requested();
}

/* What the model sees for this turn. */
static Status prompt_ids(TokenIds *ids, const Speaker *s, const char *line) {
    Json *row = json_new_object();
    if (s->messages) {
        Json *messages = json_clone(s->messages);
        add_message(messages, "user", line, strlen(line));
        json_set(row, "messages", messages);
    } else {
        json_set(row, "prompt", json_new_str(line));
    }
    size_t ignored;
    Status st = tool_row_ids(ids, &ignored, row, s->m.tok, s->m.tpl, true, "chat");
    json_free(row);
    if (st != OK || ids->n == 0) return st;
    if ((int64_t)ids->n < s->context) return OK;
    return status_fail(ERR_DATA,
                       "this is %zu tokens, the model has room for %lld; /reset forgets what was "
                       "said",
                       ids->n, (long long)s->context);
}

static Status generate_answer(Speaker *s, const TokenIds *ids, const ChatOptions *o, int64_t turn) {
    int64_t room = s->context - (int64_t)ids->n;
    GenRequest request = {.prompt = ids->id,
                          .n_prompt = (int64_t)ids->n,
                          .max_new_tokens =
                              o->sampling.max_new_tokens < room ? o->sampling.max_new_tokens : room,
                          .temperature = o->sampling.temperature,
                          .top_p = o->sampling.top_p,
                          .top_k = (int32_t)o->sampling.top_k};
    GenOptions options = {.seed = (uint64_t)o->sampling.seed,
                          .step = (uint64_t)turn,
                          .on_token = on_token,
                          .should_stop = should_stop,
                          .ctx = s};
    options.n_stop_ids = (int)tokenizer_eos_list(s->m.tok, &options.stop_ids);
    str_clear(&s->answer);
    str_free(&s->stream.held);
    token_stream_init(&s->stream, s->m.tok, TOKENIZER_SKIP_SPECIAL);
    s->status = OK;
    Status st = generate(s->generator, &request, 1, &options);
    size_t before = s->answer.len;
    token_stream_finish(&s->stream, &s->answer);
    print_new(s, before);
    printf("\n");
    return st == OK ? s->status : st;
}

/* What cannot be asked is not part of the conversation; an answer that Ctrl-C has cut is. */
static Status answer(Speaker *s, const char *line, const ChatOptions *o, int64_t turn) {
    TokenIds ids = {0};
    Status st = prompt_ids(&ids, s, line);
    if (st == OK && ids.n == 0) st = status_fail(ERR_DATA, "the line has no token");
    if (st == OK) {
        st = generate_answer(s, &ids, o, turn);
        if (s->messages) {
            add_message(s->messages, "user", line, strlen(line));
            add_message(s->messages, "assistant", str_text(&s->answer), s->answer.len);
        }
    }
    token_ids_free(&ids);
    return st;
}

/* A person hears what is wrong with a line and types another one; a script stops there. */
static Status turn_of_all(Speaker *speakers, int n, const char *line, const ChatOptions *o,
                          int64_t turn, bool is_person) {
    for (int i = 0; i < n && !stop_requested(); i++) {
        if (n > 1) printf("[%s]\n", speakers[i].name);
        Status st = answer(&speakers[i], line, o, turn);
        if (st == ERR_DATA && is_person)
            log_error("%s", status_message());
        else if (st != OK && st != ERR_STOPPED)
            return st;
    }
    fflush(stdout);
    return OK;
}

static Status talk(Speaker *speakers, int n, const ChatOptions *o) {
    ChatInput in;
    chat_input_open(&in);
    Status st = OK;
    const char *line;
    for (int64_t turn = 0; st == OK && (st = chat_input_line(&in, &line)) == OK && line;) {
        if (str_equal(line, "/quit")) break;
        if (str_equal(line, "/reset"))
            for (int i = 0; i < n; i++) reset(&speakers[i], o);
        else if (line[0])
            st = turn_of_all(speakers, n, line, o, turn++, in.is_person);
        if (stop_signal() == SIGINT) stop_reset(); /* it ended the answer */
    }
    chat_input_close(&in);
    return st;
}

Status hone_chat(int argc, char **argv) {
    ToolModelOptions model = {0}, other = {0};
    ChatOptions o = {
        .context = 4096,
        .sampling = {.max_new_tokens = 256, .temperature = 0.7, .top_p = 1.0, .seed = 42}};
    bool help = false;
    const Arg args[] = {
        {"MODEL", ARG_TEXT, &model.model, true, "model folder, adapter folder, or run folder"},
        {"--compare", ARG_TEXT, &other.model, false,
         "a second model that answers the same, with the same random numbers"},
        {"--system", ARG_TEXT, &o.system, false, "the system message"},
        SAMPLING_ARGS(o.sampling),
        {"--context", ARG_INT, &o.context, false,
         "tokens of a conversation at most, where the model has room for as many"},
        TOOL_MODEL_ARGS(model),
        {0},
    };
    TRY(args_parse(
        &(ArgTable){.program = "hone chat",
                    .summary = "Talk to a model; a line is a turn. /reset forgets what was said, "
                               "/quit or the end of the input leaves. Ctrl-C ends an answer, twice "
                               "the program.",
                    .args = args},
        argc, argv, &help));
    if (help) return OK;
    TRY(sampling_check("chat", &o.sampling));
    if (o.context < 2 || o.context > SAMPLING_MOST_TOKENS)
        return status_fail(ERR_USAGE, "hone chat: --context must be from 2 to %d",
                           SAMPLING_MOST_TOKENS);
    Speaker speakers[2] = {0};
    int n = other.model ? 2 : 1;
    other.dtype = model.dtype;
    other.quantization = model.quantization;
    other.double_quant = model.double_quant;
    other.int8_head = model.int8_head;
    other.device = model.device;
    other.threads = model.threads;
    Status st = speaker_open(&speakers[0], &model, &o);
    if (st == OK && n > 1) st = speaker_open(&speakers[1], &other, &o);
    if (st == OK) st = talk(speakers, n, &o);
    for (int i = 0; i < n; i++) speaker_close(&speakers[i]);
    return st;
}
