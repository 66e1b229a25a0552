/* card: what the README.md of a data set says about its files, as the Hub reads it:
 *
 *   configs:
 *   - config_name: plain_text
 *     data_files:
 *     - split: train
 *       path: plain_text/train-*
 *     default: true
 */
#ifndef HONE_DATA_CONTAINERS_CARD_H
#define HONE_DATA_CONTAINERS_CARD_H

#include "core/file.h"
#include "core/status.h"

#include <stdbool.h>

/* The data files of `split` in the configuration `name` (NULL: the default one, or the only one),
 * added to *out; *says is false, and nothing is added, where there is no card, or none that
 * describes files, or it has no configuration of that name. ERR_INPUT when it says that there is no
 * such split, or that one of several configurations must be chosen. */
Status card_files(FileList *out, bool *says, const char *folder, const char *name,
                  const char *split);

#endif
