/* zip: the directory of a ZIP file whose files are stored as they are, as torch.save writes one.
 * Nothing is unpacked: an entry's bytes are read where they lie. ZIP64 too.
 *
 * ERR_DATA: no ZIP file, cut short, an entry that is compressed or encrypted (named), bytes outside
 * of the file or in two entries, a name twice.
 */
#ifndef HONE_CORE_IO_ZIP_H
#define HONE_CORE_IO_ZIP_H

#include "core/file.h"

typedef struct ZipEntry {
    char *name;
    const unsigned char *data; /* into the caller's bytes */
    size_t bytes;
} ZipEntry;

typedef struct Zip {
    ZipEntry *entries; /* by name */
    size_t n_entries;
} Zip;

/* `map` stays the caller's and must live as long; `path` is for messages. Close in any case. */
Status zip_open(Zip *out, const FileMap *map, const char *path);
void zip_close(Zip *z);
const ZipEntry *zip_find(const Zip *z, const char *name); /* NULL: none */

#endif
