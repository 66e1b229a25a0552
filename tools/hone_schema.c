/* hone schema: the JSON Schema of a stage's config. */
#include "core/args.h"
#include "tools/verbs.h"
#include "train/config/config.h"

#include <stdio.h>

Status hone_schema(int argc, char **argv) {
    const char *name = NULL;
    bool help = false;
    Stage stage;
    const Arg args[] = {
        {"STAGE", ARG_TEXT, &name, true, "sft, reward or ppo"},
        {0},
    };
    TRY(args_parse(&(ArgTable){.program = "hone schema",
                               .summary = "The JSON Schema of a config, for editors: put `# "
                                          "yaml-language-server: $schema=FILE` on its first line.",
                               .args = args},
                   argc, argv, &help));
    if (help) return OK;
    if (!stage_by_name(name, &stage))
        return status_fail(ERR_USAGE,
                           "hone schema: there is no stage `%s`; there are sft, reward "
                           "and ppo",
                           name);
    config_schema(stage, stdout);
    return OK;
}
