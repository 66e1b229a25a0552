/* container: a data file as a list of rows, each a JSON object, whatever the file looks like.
 *
 *   JSON lines   a row a line
 *   JSON         an array of rows, or one object with an array `Instances`, `data`, `rows` or
 *                `examples` (the rest of it is the head)
 *   CSV          RFC 4180, header line
 *   TSV          tabs, \n \t \\ escapes, header line
 *   text         {"text": ...} a line, a paragraph or the file
 *   Parquet      as the Hub writes it (parquet.h); a row's line is its number
 *
 * Each also compressed by gzip or zstd. Tables and texts are told by the name's ending, the others
 * by the first bytes.
 *
 * Opening only finds where rows begin; container_parse builds one and may run in many threads. */
#ifndef HONE_DATA_CONTAINERS_CONTAINER_H
#define HONE_DATA_CONTAINERS_CONTAINER_H

#include "core/io/json.h"
#include "core/status.h"
#include "data/dataset.h"

typedef struct ContainerOptions {
    DatasetTextBy text_by;
    const char *text_field; /* the key of text rows */
    bool no_header;         /* CSV, TSV: columns are called #1, #2, ... */
    bool assume_text;       /* a file of unknown kind is text, not an error */
} ContainerOptions;

/* Where a row lies: text is neither NUL-terminated nor, outside of JSON, JSON. */
typedef struct ContainerRow {
    const char *text;
    size_t len;
    int64_t line, column; /* of its first byte, from 1 */
} ContainerRow;

typedef struct Container Container;

/* ERR_INPUT: missing; ERR_DATA: damaged, or of a kind that is not read (Arrow, zip, LFS pointers).
 */
Status container_open(Container **out, const char *path, const ContainerOptions *options);
void container_close(Container *c);

const char *container_path(const Container *c);
int64_t container_rows(const Container *c);
ContainerRow container_row(const Container *c, int64_t i);
/* The caller json_free's it. ERR_DATA with `path:line:column`. Not checked to be an object. */
Status container_parse(Json **out, const Container *c, int64_t i);
bool container_is_json(const Container *c); /* are rows' texts JSON (so that keys have places)? */
const Json *
container_head(const Container *c); /* the object around the rows, without them; or NULL */

/* Is the name's ending (before .gz or .zst) one that container_open knows? */
bool container_knows(const char *name);

#endif
