/* stage_run: a stage of an experiment for one seed: its command, its folder, and whether it is
 * done.
 *
 * Its digest is the SHA-256 of what is done: program, config text (with its includes), resolved
 * overrides or arguments, contents of the listed inputs, digests of the stages it needs. It does
 * not say where: an experiment's folder may be moved. <stage folder>/stage.json keeps digest and
 * state; it is written when the stage starts and again when it has ended. */
#ifndef HONE_TOOLS_STAGE_RUN_H
#define HONE_TOOLS_STAGE_RUN_H

#include "core/sha256.h"
#include "tools/experiment.h"

typedef enum StageState {
    STAGE_NEW,     /* nothing there */
    STAGE_DONE,    /* finished with this digest, its outputs are there */
    STAGE_BEGUN,   /* this digest, not finished: a trainer goes on, others start again */
    STAGE_CHANGED, /* of another digest: set aside, then new */
} StageState;

typedef struct StageRun {
    const ExperimentStage *stage;
    int64_t seed;
    char *folder;
    char **argv; /* [argc] and a NULL; argv[0] is the program's path */
    int argc;
    char **outputs; /* [n_outputs] paths that must be there afterwards */
    int n_outputs;
    char *show; /* path or NULL */
    char digest[SHA256_HEX];
    StageState state;
    double seconds; /* spent on it so far */
} StageRun;

/* Stage `k` for a seed; `earlier` holds the k runs before it. Errors in the experiment are
 * collected; ERR_CREATE when the folder holds something else; ERR_IO. */
Status stage_run_init(StageRun *out, Experiment *e, int k, int64_t seed, const StageRun *earlier);
void stage_run_free(StageRun *r);

/* Makes the folder ready: what is of another digest goes to <seed folder>/old/, what a program that
 * cannot resume has left is removed; stage.json says that the stage has begun. */
Status stage_run_prepare(StageRun *r);
/* Writes stage.json after the program; `done`: finished. */
Status stage_run_mark(StageRun *r, bool done);
/* ERR_DATA when a listed output is missing. */
Status stage_run_check_outputs(const StageRun *r);

#endif
