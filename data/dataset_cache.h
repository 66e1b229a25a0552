/* Inside data/: tokens kept from one run to the next.
 *
 *     <cache_dir>/<first 32 digits of the key>/tokens.safetensors   all arrays of a Dataset, mapped
 *                                             /SHA256               of that file
 *
 * The key is a digest of everything that the result is a function of: the contents of every file,
 * tokenizer, chat template and promptsource template, and all options. So another file, template or
 * option is another entry, and nothing is ever out of date; what does not verify is made again. A
 * cached data set stays in its file: opening it costs a digest, and no memory but the page cache's.
 * While it is read for the first time its arrays lie in unnamed files of the same folder (spill.h).
 */
#ifndef HONE_DATA_DATASET_CACHE_H
#define HONE_DATA_DATASET_CACHE_H

#include "data/dataset_store.h"

/* Hex. ERR_INPUT, ERR_IO: a file that cannot be read. */
Status dataset_cache_key(char key[SHA256_HEX], const DatasetOptions *o);
/* The folder of a key below o->cache_dir; the caller mem_free's it. */
char *dataset_cache_path(const DatasetOptions *o, const char *key);

/* Fills *d, which is {0}. False when it is not there, or (with a warning) damaged. */
bool dataset_cache_load(Dataset *d, const char *path, const char *key, int32_t vocab);
/* Published whole or not at all. */
Status dataset_cache_save(const Dataset *d, const char *path, const char *key);

#endif
