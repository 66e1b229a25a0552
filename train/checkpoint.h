/* checkpoint: the registered state on the disk, whole or not at all.
 *
 *     <run>/checkpoints/step-<n>/state-00001.h5 ...   every registered item, HDF5, readable by h5py
 *                              /MANIFEST.json         written last: what the files must be
 * (SHA-256) <run>/checkpoints/latest                        the name of the newest, "step-<n>"
 *     <run>/checkpoints/bad-step-<n>/                 a damaged one, with REASON.txt
 *
 * Save: images are built in memory and written one after another, each at most 256 MiB or one
 * tensor, into a temporary folder; every file is flushed; the manifest comes last; then rename,
 * flush of the parent, `latest`, and only then old ones are deleted: never the best, never the two
 * newest valid ones. Whenever the process dies, the previous or the new checkpoint is whole. Equal
 * states give equal state files, byte for byte.
 *
 * Resume: newest first; manifest, sizes, digests, then names, shapes and dtypes against the
 * registry in full before anything is touched. One that does not verify is renamed bad-step-<n> and
 * the next is tried.
 *
 * Formats: MANIFEST.json has "format": 1; a newer one is refused by name. */
#ifndef HONE_TRAIN_CHECKPOINT_H
#define HONE_TRAIN_CHECKPOINT_H

#include "core/io/json.h"
#include "train/state.h"

typedef struct Checkpoints Checkpoints;

#define CHECKPOINT_IMAGE_BYTES ((size_t)256 << 20)

typedef struct CheckpointOptions {
    const char *folder;  /* the run folder; checkpoints/ is below it */
    int64_t total_limit; /* save_total_limit; 0: keep all */
    double retry_s;      /* after a save that went wrong; 0 is read as 60 */
    size_t image_bytes;  /* 0: CHECKPOINT_IMAGE_BYTES; tests make it small */
} CheckpointOptions;

/* What is saved beside the state and given back on resume: config, digests, file offsets. Opaque
 * here; run.c fills it and judges it (changed config, changed data). */
Status checkpoints_open(Checkpoints **out, State *state, const CheckpointOptions *opt);
void checkpoints_close(Checkpoints *c);

/* Saves as step-<step>; an older one of that step (a save in the middle of a step) is replaced.
 * `meta` (an object, borrowed) goes into the manifest under "run". The old checkpoints stay whole
 * when it fails. */
Status checkpoint_save(Checkpoints *c, int64_t step, const Json *meta);
/* Memory that a save needs at its peak, for the plan. */
size_t checkpoint_bytes(const Checkpoints *c);

/* As checkpoint_save, but a failure is a warning and the next attempt comes retry_s later. */
void checkpoint_try_save(Checkpoints *c, int64_t step, const Json *meta);
bool checkpoint_retry_due(const Checkpoints *c);

/* From now on saves hold the items below `prefix` ("params/") alone; NULL: all. Such a checkpoint
 * cannot be resumed: checkpoint_find passes it over, and says so. `prefix` is borrowed. */
void checkpoint_restrict(Checkpoints *c, const char *prefix);

/* A step that retention must keep (the best so far); -1: none. */
void checkpoint_keep(Checkpoints *c, int64_t step);

/* Finds the newest valid checkpoint and verifies it; nothing is loaded yet. *step is -1 when there
 * is none. `path` NULL: auto (bad ones are renamed and named in a warning); else that very folder,
 * and damage, or one that holds a part alone, is ERR_DATA. *meta (the "run" object) is the caller's
 * to json_free. */
Status checkpoint_find(Checkpoints *c, const char *path, int64_t *step, Json **meta);
/* Puts the state of the found checkpoint back. ERR_DATA when an item is missing, unexpected or has
 * another shape (all are listed). */
Status checkpoint_load(Checkpoints *c);
/* Only items below `prefix` ("params/") of step-<step>, e.g. the best model at the end. */
Status checkpoint_load_part(Checkpoints *c, int64_t step, const char *prefix);

/* For `hone verify` and `hone inspect`: checks a checkpoint folder without a registry. *manifest
 * (may be NULL) is the caller's to json_free. ERR_DATA names the file that is damaged. */
Status checkpoint_verify(const char *folder, Json **manifest);

#endif
