/* hone inspect: what lies at a path. */
#include "core/args.h"
#include "tools/inspect.h"
#include "tools/verbs.h"

#include <stdio.h>

Status hone_inspect(int argc, char **argv) {
    const char *path = NULL;
    bool help = false;
    const Arg args[] = {
        {"PATH", ARG_TEXT, &path, true,
         "run folder, checkpoint, model, adapter, tokenizer, .safetensors, .gguf, .bin or .h5 "
         "file"},
        {0},
    };
    TRY(args_parse(&(ArgTable){.program = "hone inspect",
                               .summary =
                                   "What is there: steps, inputs and digests, tensors with their "
                                   "shapes and sizes, special tokens.",
                               .args = args},
                   argc, argv, &help));
    if (help) return OK;
    Str out = {0};
    Status st = inspect_path(&out, path);
    fputs(str_text(&out), stdout); /* also what was found before an error */
    str_free(&out);
    return st;
}
