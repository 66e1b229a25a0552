/* manifest: MANIFEST.json of a checkpoint, which says what its files must be.
 *
 *     {"format": 1, "version": "0.1.0", "step": 12,
 *      "files": [{"name": "state-00001.h5", "bytes": 8192, "sha256": "..."}],
 *      "only": "params/",             where it holds the items below that alone; else absent
 *      "run": {...},                  what run.c keeps: config, inputs, offsets of the logs
 *      "sha256": "..."}               of this text without this member
 *
 * It is written last, so a folder with a manifest is complete; its text is canonical, so that any
 * change of it shows. */
#ifndef HONE_TRAIN_MANIFEST_H
#define HONE_TRAIN_MANIFEST_H

#include "core/io/json.h"

#define MANIFEST_NAME "MANIFEST.json"
#define MANIFEST_FORMAT 1

/* Without files: manifest_add_file them. The caller json_free's it. `run` is copied. */
Json *manifest_new(int64_t step, const Json *run);
void manifest_restrict(Json *manifest, const char *prefix); /* "only" */
void manifest_add_file(Json *manifest, const char *name, const void *bytes, size_t n);
/* The text of the file; `manifest` gets its "sha256". */
void manifest_seal(Str *out, Json *manifest);

/* Reads and checks the manifest itself. ERR_DATA with the reason; *newer (may be NULL) tells that
 * it is whole but of a later format. */
Status manifest_read(Json **out, const char *folder, bool *newer);
/* Sizes and digests of every file it names; nothing is parsed. ERR_DATA, or ERR_IO when reading
 * fails. */
Status manifest_check_files(const Json *manifest, const char *folder);

int64_t manifest_step(const Json *manifest);
const char *manifest_only(const Json *manifest); /* NULL: it holds everything */
int64_t manifest_file_count(const Json *manifest);
const char *manifest_file_name(const Json *manifest, int64_t i);

#endif
