/* yaml: strict YAML 1.2 (core schema) on libyaml's event interface; the only file that includes
 * yaml.h.
 *
 * A document becomes a tree of nodes that remember where they stood. Parsing goes on after an error
 * where it can, and so do the readers of the tree: errors are collected in a YamlErrors and shown
 * all at once, sorted by line, each as `FILE:LINE:COL: what is wrong; what to do`.
 *
 * Refused, because they are mistakes or attacks: files over 1 MiB, more than 32 levels, more than
 * 10,000 nodes (an alias counts as often as the nodes it repeats), more than 64 aliases, an alias
 * inside its own anchor, duplicate keys, keys that are no plain text, merge keys (`<<`), tags other
 * than the core ones (!!str, !!int, ...), several documents, bytes that are no UTF-8.
 */
#ifndef HONE_CORE_IO_YAML_H
#define HONE_CORE_IO_YAML_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define YAML_MAX_BYTES ((size_t)1 << 20)
#define YAML_MAX_DEPTH 32
#define YAML_MAX_NODES 10000
#define YAML_MAX_ALIASES 64

typedef enum YamlKind { YAML_SCALAR, YAML_SEQUENCE, YAML_MAPPING } YamlKind;

typedef struct YamlNode YamlNode;
struct YamlNode {
    YamlKind kind;
    bool quoted;      /* a scalar in quotes or a block: never a number, a bool or null */
    const char *file; /* as messages name it: "runs/a.yaml" or "argument `lr=1`" */
    int line, column; /* from 1; line 0: not from a file, and column is the order of such places */
    char *text;       /* scalar: NUL-terminated UTF-8 */
    size_t n;         /* sequence, mapping: entries */
    YamlNode **keys;  /* mapping: n scalars */
    YamlNode **items; /* sequence: n items; mapping: n values */
};

/* Owns nodes and their text; one store may hold many documents and edits. */
typedef struct YamlStore YamlStore;
YamlStore *yaml_store_open(void);
void yaml_store_close(YamlStore *s);
char *yaml_store_text(YamlStore *s, const char *text); /* a copy that lives as long as the store */
void *yaml_store_alloc(YamlStore *s, size_t n, size_t size); /* cleared */

/* Tags, "!Name", that mappings parsed into this store may carry; they say nothing. NULL-terminated,
 * borrowed. */
void yaml_store_allow(YamlStore *s, const char *const *tags);

/* ---- errors ---- */
typedef struct YamlError {
    char *file;
    int line, column;
    char *text; /* "what is wrong; what to do" */
} YamlError;
typedef struct YamlErrors {
    YamlError *items;
    size_t n, cap;
} YamlErrors; /* = {0} at start */

void yaml_error_at(YamlErrors *e, const char *file, int line, int column, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
void yaml_error(YamlErrors *e, const YamlNode *at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void yaml_errors_sort(YamlErrors *e); /* by file as they appeared, line, column; line 0 last */
/* One error as a line; places from the command line have no LINE:COL. */
void yaml_errors_line(const YamlErrors *e, size_t i, char *buf, size_t cap);
void yaml_errors_free(YamlErrors *e);

/* ---- reading ---- */
/* The document's root; NULL for an empty document and after a syntax error (then *e has grown).
 * `file` names the text in messages and is copied. */
YamlNode *yaml_parse(YamlStore *s, YamlErrors *e, const char *file, const char *bytes, size_t n);
/* ERR_INPUT when there is no such file, ERR_IO when it cannot be read; else OK and as yaml_parse.
 */
Status yaml_read(YamlNode **root, YamlStore *s, YamlErrors *e, const char *path);

/* ---- looking, editing ---- */
YamlNode *yaml_get(const YamlNode *mapping, const char *key); /* NULL when absent */
YamlNode *yaml_key(const YamlNode *mapping, const char *key); /* the key's own node: its place */
bool yaml_is_null(const YamlNode *n);                         /* null, ~ or nothing, unquoted */
YamlNode *yaml_new_scalar(YamlStore *s, const YamlNode *place, const char *text);
YamlNode *yaml_new_mapping(YamlStore *s, const YamlNode *place);
void yaml_set(YamlStore *s, YamlNode *mapping, YamlNode *key,
              YamlNode *value); /* replaces or adds */

/* ---- scalars; the text must be the whole number, independent of the locale ---- */
/* 1e-5  2e-05  3.e-4  .5  1_000_000  +1; finite only; `010` is refused (octal or decimal?). */
bool yaml_to_number(const char *text, double *out);
/* The same grammar where the value is whole and fits: 1e5 and 1_000 are integers. Also 0x1f. */
bool yaml_to_integer(const char *text, int64_t *out);
/* true false True False TRUE FALSE, nothing else (yes, on and 1 are refused). */
bool yaml_to_bool(const char *text, bool *out);
/* The shortest text that reads back as x; whole numbers without a point, 1e-05 as 1e-5. */
void yaml_from_number(char buf[32], double x);

#endif
