/* hone verify: are the checkpoints and the result of a run what was written? */
#include "core/args.h"
#include "core/file.h"
#include "core/io/json.h"
#include "core/io/tensor_file.h"
#include "core/mem.h"
#include "tools/verbs.h"
#include "train/checkpoint.h"
#include "train/run.h"

#include <stdio.h>

typedef struct Verdict {
    int good, bad;
    Status worst; /* the first that was not OK */
} Verdict;

static void judge(Verdict *v, const char *path, Status st) {
    printf("%-8s  %s%s%s\n", st == OK ? "whole" : "damaged", path, st == OK ? "" : ": ",
           st == OK ? "" : status_message());
    if (st == OK)
        v->good++;
    else if (v->bad++ == 0)
        v->worst = st;
}

static Status verify_checkpoints(Verdict *v, const char *run) {
    char *folder = file_join(run, "checkpoints");
    FileList names = {0};
    Status st = file_is_folder(folder) ? file_list(&names, folder) : OK;
    for (size_t i = 0; i < names.count; i++) {
        char *path = file_join(folder, names.names[i]);
        if (str_starts(names.names[i], "step-")) judge(v, path, checkpoint_verify(path, NULL));
        mem_free(path);
    }
    file_list_free(&names);
    mem_free(folder);
    return st;
}

/* The tensors must be readable, and the digest the one that the run has noted at its end. */
static Status check_final(const char *final, const char *noted) {
    TensorFile *s = NULL;
    char hex[65];
    TRY(tensor_file_open(&s, final));
    tensor_file_close(s);
    TRY(run_digest_path(hex, final));
    if (str_equal(hex, noted)) return OK;
    return status_fail(ERR_DATA,
                       "its files are not those that the run has written (SHA-256 %s, "
                       "not %s)",
                       hex, noted);
}

static Status verify_final(Verdict *v, const char *run) {
    char *path = file_join(run, "run.json"), *final = file_join(run, "final");
    Json *info = NULL;
    const char *noted = NULL;
    Status st = json_read_file(&info, path);
    if (st == OK) st = json_opt_str(&noted, info, "output", path);
    if (st == OK && noted && !file_is_folder(final))
        judge(v, final, status_fail(ERR_DATA, "is missing, but the run has ended"));
    else if (st == OK && noted)
        judge(v, final, check_final(final, noted));
    json_free(info);
    mem_free(final);
    mem_free(path);
    return st;
}

Status hone_verify(int argc, char **argv) {
    const char *run = NULL;
    bool help = false;
    const Arg args[] = {
        {"RUN", ARG_TEXT, &run, true, "run folder, or one checkpoint"},
        {0},
    };
    TRY(args_parse(
        &(ArgTable){.program = "hone verify",
                    .summary = "Compares every checkpoint, and final/, with what was noted when "
                               "they were written. Changes nothing.",
                    .args = args},
        argc, argv, &help));
    if (help) return OK;
    if (!file_is_folder(run)) return status_fail(ERR_INPUT, "%s: no such folder", run);
    Verdict v = {0};
    char *manifest = file_join(run, "MANIFEST.json"), *info = file_join(run, "run.json");
    Status st = OK;
    if (file_exists(manifest))
        judge(&v, run, checkpoint_verify(run, NULL));
    else if (!file_exists(info))
        st = status_fail(ERR_DATA, "%s: is no run folder (no run.json) and no checkpoint", run);
    else
        st = verify_checkpoints(&v, run);
    if (st == OK && !file_exists(manifest)) st = verify_final(&v, run);
    if (st == OK && v.bad > 0)
        st = status_fail(v.worst,
                         "%s: %d of %d damaged; a run that is started again passes damaged "
                         "checkpoints over",
                         run, v.bad, v.good + v.bad);
    else if (st == OK && v.good == 0)
        st = status_fail(ERR_DATA, "%s: has no checkpoint and no final/ yet", run);
    mem_free(info);
    mem_free(manifest);
    return st;
}
