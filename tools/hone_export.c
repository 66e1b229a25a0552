/* hone export: a model or an adapter in the formats that others read. */
#include "core/args.h"
#include "core/str.h"
#include "tools/model_out.h"
#include "tools/verbs.h"

typedef Status (*ModelOut)(const ToolModel *m, const char *dtype, const char *output);

static ModelOut find_out(const char *to) {
    if (str_equal(to, "hf")) return model_out_hf;
    if (str_equal(to, "gguf")) return model_out_gguf;
    return str_equal(to, "peft") ? model_out_peft : NULL;
}

Status hone_export(int argc, char **argv) {
    ToolModelOptions o = {.device = "cpu", .takes_source = true};
    const char *to = NULL, *dtype = NULL, *output = NULL;
    bool help = false;
    const Arg args[] = {
        {"--model", ARG_TEXT, &o.model, true,
         "Hugging Face folder, GGUF file, or a run folder, whose final/ is taken"},
        {"--adapter", ARG_TEXT, &o.adapter, false, "PEFT folder over the model; it is merged"},
        {"--to", ARG_TEXT, &to, true, "hf (a folder), gguf (a file) or peft (an adapter's folder)"},
        {"--dtype", ARG_TEXT, &dtype, false,
         "how weights are stored: float32, bfloat16, float16; for gguf also q8_0. Default: as the "
         "model is, for gguf float16"},
        {"--output", ARG_TEXT, &output, true, "what to make"},
        {0},
    };
    TRY(args_parse(&(ArgTable){.program = "hone export",
                               .summary = "A model for other programs, its adapter merged, its "
                                          "tokenizer with it.",
                               .args = args},
                   argc, argv, &help));
    if (help) return OK;
    ModelOut out = find_out(to);
    if (!out) return status_fail(ERR_USAGE, "--to: `%s` is none of hf, gguf, peft", to);
    ToolModel m;
    Status st = tool_model_open(&m, &o);
    if (st == OK) st = out(&m, dtype, output);
    tool_model_close(&m);
    return st;
}
