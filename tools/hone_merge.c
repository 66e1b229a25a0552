/* hone merge: an adapter into its base. */
#include "core/args.h"
#include "tools/model_out.h"
#include "tools/verbs.h"

Status hone_merge(int argc, char **argv) {
    ToolModelOptions o = {.device = "cpu", .takes_source = true};
    const char *dtype = NULL, *output = NULL;
    bool help = false;
    const Arg args[] = {
        {"--model", ARG_TEXT, &o.model, true,
         "the base: Hugging Face folder, GGUF file, run folder"},
        {"--adapter", ARG_TEXT, &o.adapter, true, "PEFT folder over it"},
        {"--dtype", ARG_TEXT, &dtype, false,
         "how weights are stored: float32, bfloat16, float16. Default: as the base is"},
        {"--output", ARG_TEXT, &output, true, "folder to make"},
        {0},
    };
    TRY(args_parse(&(ArgTable){.program = "hone merge",
                               .summary = "A Hugging Face folder of a base with an adapter merged "
                                          "into it.",
                               .args = args},
                   argc, argv, &help));
    if (help) return OK;
    ToolModel m;
    Status st = tool_model_open(&m, &o);
    if (st == OK) st = model_out_hf(&m, dtype, output);
    tool_model_close(&m);
    return st;
}
