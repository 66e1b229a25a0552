/* open: a model, its tokenizer and rows of input, for the verbs that run one. */
#ifndef HONE_TOOLS_OPEN_H
#define HONE_TOOLS_OPEN_H

#include "core/io/jsonl.h"
#include "data/template.h"
#include "data/tokenizer/tokenizer.h"
#include "model/model.h"
#include "stage/place.h"

typedef struct ToolModel {
    ModelPlace place;
    Dev *dev;
    Tokenizer *tok;
    ChatTemplate *tpl; /* NULL: none */
    Base *base;
    Adapter *adapter;
    Head *score; /* a reward model's; NULL: a language model */
    Role role;
} ToolModel;

typedef struct ToolModelOptions {
    const char *model, *adapter; /* names or folders; a run folder's final/ is taken */
    const char *dtype;           /* NULL: float32 on a CPU */
    const char *quantization;    /* NULL, "nf4", "fp4" or "int8" */
    bool double_quant, int8_head;
    const char *device; /* NULL: auto */
    int64_t threads;
    bool takes_source; /* the verb knows what to do with an encoder-decoder */
} ToolModelOptions;

/* The rows of an option table for all but the model. */
#define TOOL_MODEL_ARGS(o)                                                                   \
    {"--adapter", ARG_TEXT, &(o).adapter, false, "PEFT folder over the model"},              \
        {"--dtype", ARG_TEXT, &(o).dtype, false,                                             \
         "how weights are stored: float32 (default on a CPU), bfloat16, float16"},           \
        {"--quantization", ARG_TEXT, &(o).quantization, false,                               \
         "store projections as nf4, fp4 or int8"},                                           \
        {"--double-quant", ARG_FLAG, &(o).double_quant, false,                               \
         "quantize the scales of nf4 and fp4 too"},                                          \
        {"--int8-head", ARG_FLAG, &(o).int8_head, false, "store the output head in 8 bits"}, \
        {"--device", ARG_TEXT, &(o).device, false, "auto (default) or cpu"}, {               \
        "--threads", ARG_INT, &(o).threads, false, "0: all"                                  \
    }

Status tool_model_open(ToolModel *out, const ToolModelOptions *o);
void tool_model_close(ToolModel *m);

/* Tokenizer (and template, if any) of a model's folder, without its weights. */
Status tool_tokenizer_open(Tokenizer **tok, ChatTemplate **tpl, const char *model);

/* A row's ids: {"input_ids"}, {"text"}, {"prompt", "completion"} or {"messages"}; appended to ids.
 * *n_prompt: how many belong to the prompt. `where` is for messages. */
Status tool_row_ids(TokenIds *ids, size_t *n_prompt, const Json *row, const Tokenizer *tok,
                    const ChatTemplate *tpl, bool add_generation_prompt, const char *where);

/* As an encoder-decoder learns a text: EOS stands at its end. */
void tool_end_text(TokenIds *ids, const Tokenizer *tok);
/* A row of an encoder-decoder: {"prompt", "completion"}, each tokenised alone and ended, or
 * {"input_ids", "labels"} as they are. */
Status tool_pair_ids(TokenIds *source, TokenIds *labels, const Json *row, const Tokenizer *tok,
                     const char *where);

/* tokenizer_decode of the ids that the tokenizer has: a model's table may be longer. */
Status tool_decode(const Tokenizer *tok, Str *text, const int32_t *ids, size_t n, unsigned flags);

/* Ids as a JSON array. */
Json *tool_json_ids(const int32_t *ids, size_t n);

#endif
