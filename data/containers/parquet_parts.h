/* Inside parquet: the schema as a tree, and a row group's columns in memory. */
#ifndef HONE_DATA_CONTAINERS_PARQUET_PARTS_H
#define HONE_DATA_CONTAINERS_PARQUET_PARTS_H

#include "data/containers/parquet.h"
#include "data/containers/thrift.h"

#include <pthread.h>

#define PARQUET_MOST_NODES 4096
#define PARQUET_MOST_DEPTH 48 /* of JSON values there are JSON_MAX_DEPTH levels */

/* The numbers of the format. */
typedef enum ParquetType {
    PARQUET_BOOL,
    PARQUET_INT32,
    PARQUET_INT64,
    PARQUET_INT96,
    PARQUET_FLOAT,
    PARQUET_DOUBLE,
    PARQUET_BYTES,
    PARQUET_FIXED,
    PARQUET_GROUP = -1, /* no column, but what holds some */
} ParquetType;

typedef enum ParquetRepeat {
    PARQUET_REQUIRED,
    PARQUET_OPTIONAL,
    PARQUET_REPEATED,
} ParquetRepeat;

/* What a node's values stand for; the rest is said by the type. */
typedef enum ParquetMeaning {
    PARQUET_PLAIN,
    PARQUET_TEXT,
    PARQUET_UNSIGNED,
    PARQUET_DECIMAL,
    PARQUET_FLOAT16,
    PARQUET_UUID,
    PARQUET_LIST,
    PARQUET_MAP,
} ParquetMeaning;

/* A node of the schema; in preorder, so a subtree is a range. */
typedef struct ParquetNode {
    char *name;
    ParquetType type;
    ParquetRepeat repeat;
    ParquetMeaning meaning;
    int32_t width;              /* PARQUET_FIXED: bytes of a value */
    int32_t scale;              /* PARQUET_DECIMAL */
    int32_t end;                /* the node behind its subtree */
    int32_t first_leaf, n_leaf; /* the columns below, or itself */
    uint8_t def, rep;           /* levels (of Dremel) at which it is there */
} ParquetNode;

/* A column's part of a row group. */
typedef struct ParquetChunk {
    size_t at, bytes; /* pages in the file */
    int64_t n_levels;
    int codec;
} ParquetChunk;

typedef struct ParquetText {
    const char *at;
    size_t n;
} ParquetText;

/* A place for each level, also where it holds no value. Integers are sign-extended. */
typedef union ParquetValue {
    int64_t number;
    float single;
    double real;
} ParquetValue;

/* One of the two is set: texts for PARQUET_BYTES and PARQUET_FIXED. */
typedef struct ParquetValues {
    ParquetValue *number;
    ParquetText *text;
} ParquetValues;

typedef struct ParquetColumn {
    uint8_t *def, *rep; /* [n] NULL where the column has no such levels */
    ParquetValues values;
    int64_t n;
    int64_t *row; /* [rows+1] each row's first level; NULL: one level a row */
} ParquetColumn;

/* What a row group took, and how many bytes it may still take. */
typedef struct ParquetBlock ParquetBlock;
typedef struct ParquetPool {
    size_t left;
    ParquetBlock *blocks;
} ParquetPool;

typedef struct ParquetGroup {
    int64_t index;
    int64_t n_rows;
    int n_users; /* the threads that read it, and the place in `recent` */
    ParquetColumn *columns;
    ParquetPool pool;
    char *error; /* NULL, or why it cannot be read */
} ParquetGroup;

struct Parquet {
    const char *path;
    const unsigned char *data;
    size_t size; /* up to the footer */
    ParquetNode *nodes;
    int32_t n_nodes;
    int32_t *leaf; /* [n_leaves] nodes */
    int32_t n_leaves;
    ParquetChunk *chunks; /* [n_groups][n_leaves] */
    int64_t *group_start; /* [n_groups+1] rows before */
    int64_t n_groups;
    pthread_mutex_t lock; /* of what follows */
    ParquetGroup *recent[2];
};

/* Cleared memory that lives as long as the pool; NULL when the file's size does not explain it. */
void *parquet_take(ParquetPool *pool, size_t n, size_t size);
void parquet_pool_free(ParquetPool *pool);

/* parquet_schema.c: the schema's list of a footer, into p->nodes and p->leaf. */
Status parquet_schema(Parquet *p, Thrift *t, const ThriftField *f);
/* "a.list.element"; the caller mem_free's it. */
char *parquet_column_name(const Parquet *p, int32_t leaf);

/* parquet_pages.c: one column of a row group. ERR_DATA with file, column and page. */
Status parquet_read_column(ParquetColumn *out, const Parquet *p, ParquetGroup *g, int32_t leaf);

/* parquet_values.c: these give NULL, or what is wrong. */

/* `n` values of an encoding, one after the other, from data that ends at `end`. */
typedef struct ParquetSource {
    const unsigned char *at, *end;
    const ParquetNode *node;
    ParquetPool *pool;
    ParquetValues dictionary; /* [n_dictionary] */
    int64_t n_dictionary;
} ParquetSource;
const char *parquet_values(ParquetValues out, int64_t n, const ParquetSource *s, int encoding);

/* The hybrid of runs and packed bits, for levels of 0 .. most. */
const char *parquet_levels(uint8_t *out, int64_t n, const unsigned char *at,
                           const unsigned char *end, unsigned most);

/* parquet_rows.c: row `row` of the group, as an object. */
Status parquet_assemble(Json **out, const Parquet *p, const ParquetGroup *g, int64_t row);

#endif
