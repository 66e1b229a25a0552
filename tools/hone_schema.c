#include "tools/verbs.h"
#include "train/config/config.h"

#include <stdio.h>

Status hone_schema(int argc, char **argv) {
    Stage stage;
    if (argc != 2 || !stage_by_name(argv[1], &stage))
        return status_fail(ERR_USAGE, "usage: hone schema sft|reward|ppo");
    config_schema(stage, stdout);
    return OK;
}
