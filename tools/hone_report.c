/* hone report: one page over run folders. */
#include "core/args.h"
#include "core/file.h"
#include "core/mem.h"
#include "tools/verbs.h"
#include "train/report/page.h"

#include <stdio.h>

Status hone_report(int argc, char **argv) {
    ArgList runs = {0};
    const char *output = "report.html", *title = NULL, *result = NULL;
    bool help = false;
    const Arg args[] = {
        {"RUN", ARG_LIST, &runs, true, "run folders; those of one stage are drawn as one band"},
        {"--output", ARG_TEXT, &output, false, "default report.html"},
        {"--title", ARG_TEXT, &title, false, "default: the first folder"},
        {"--result", ARG_TEXT, &result, false,
         "JSON with summary, table, samples, kl_curve for the first screen"},
        {0},
    };
    TRY(args_parse(&(ArgTable){.program = "hone report",
                               .summary =
                                   "One self-contained page over runs: curves, samples, memory, "
                                   "lineage, configs, timings.",
                               .args = args},
                   argc, argv, &help));
    if (help) return OK;
    Json *extra = NULL;
    PageRun *pages = mem_zalloc((size_t)runs.n + 1, sizeof *pages);
    PageInput in = {.title = title, .runs = pages, .n_runs = runs.n};
    Status st = OK;
    for (int i = 0; i < runs.n && st == OK; i++) {
        char *info = file_join(runs.items[i], "run.json");
        if (!file_is_regular(info))
            st = status_fail(ERR_INPUT, "%s: is no run folder (no run.json)", runs.items[i]);
        pages[i] = (PageRun){.folder = runs.items[i], .seed = -1};
        mem_free(info);
    }
    if (st == OK && result) st = json_read_file(&extra, result);
    in.result = extra;
    if (st == OK) st = page_write(output, &in);
    if (st == OK) printf("%s\n", output);
    json_free(extra);
    mem_free(pages);
    mem_free(runs.items);
    return st;
}
