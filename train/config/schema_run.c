#include "train/config/schema.h"

#define ROW(path_, type_, field, default_, range_, ...)                                        \
    {                                                                                          \
        .path = path_, .type = type_, .offset = offsetof(Config, run.field), .dflt = default_, \
        .range = range_, .doc = __VA_ARGS__                                                    \
    }

const Key RUN_KEYS[] = {
    ROW("device", KEY_TEXT, device, "auto", NULL,
        "Where to compute: auto, cpu, cuda or cuda:N. auto takes a CUDA device where there is one.",
        .flags = KEY_FREE),
    ROW("threads", KEY_INT, threads, "0", "[0, 4096]",
        "Threads on the CPU; 0 is all cores. Results are the same for any number.",
        .flags = KEY_FREE),
    ROW("seed", KEY_INT, seed, "42", "[0, 9223372036854775807]",
        "Seed of every random choice: new weights, order of the data, dropout, sampling.",
        .flat = "seed"),
    ROW("output_dir", KEY_TEXT, output_dir, "trainer_output", NULL,
        "The run folder: metrics, checkpoints, report, and what comes out in final/.",
        .flat = "output_dir", .flags = KEY_FREE),
    ROW("run_name", KEY_TEXT, run_name, "null", NULL, "A name for reports; null is the folder's.",
        .flat = "run_name", .flags = KEY_FREE | KEY_NULLABLE),
    ROW("resume", KEY_TEXT, resume_from, "auto", NULL,
        "auto goes on from the newest good checkpoint of output_dir, never starts anew, a path "
        "takes that checkpoint.",
        .flags = KEY_FREE),
    ROW("report_to", KEY_LIST, report_to, "[]", NULL,
        "Trackers. metrics.jsonl, TensorBoard events and report.html are always written; others "
        "(wandb, mlflow) are not fed, which one warning says.",
        .flat = "report_to", .flags = KEY_FREE),
    ROW("quiet", KEY_BOOL, quiet, "false", NULL, "Print warnings and errors only.",
        .flags = KEY_FREE),
};
const size_t N_RUN_KEYS = COUNT_OF(RUN_KEYS);
