/* locate: from what a user calls his data to the files that hold it. */
#ifndef HONE_DATA_CONTAINERS_LOCATE_H
#define HONE_DATA_CONTAINERS_LOCATE_H

#include "core/file.h"
#include "core/status.h"

/* `path` is a file, a glob, or a folder of which the files of `split` (NULL: "train") are taken:
 * those that its README.md names (card.h), else those called <split>.*, <split>-* or <split>_*, in
 * the folder itself or its `data/`, else all of `<split>/`, else all below it whose path has the
 * split as a word (best_replies_train.jsonl; eval is `test`, dev is `validation`), else, for
 * `train`, all where no path says a split. A path is looked for in the working folder, then below
 * `root` (or NULL), then in the Hugging Face cache: `org/name`, `name`, and behind it a file or
 * folder inside or a configuration. Sorted by bytes; at least one. ERR_INPUT, with what to do. */
Status locate_files(FileList *out, const char *path, const char *split, const char *root);

#endif
