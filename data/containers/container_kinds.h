/* Inside containers/: what the kinds share. */
#ifndef HONE_DATA_CONTAINERS_CONTAINER_KINDS_H
#define HONE_DATA_CONTAINERS_CONTAINER_KINDS_H

#include "core/file.h"
#include "data/containers/container.h"
#include "data/containers/parquet.h"

typedef enum ContainerKind {
    CONTAINER_JSON, /* lines, an array, or one object: rows are JSON texts */
    CONTAINER_TABLE,
    CONTAINER_TEXT,
    CONTAINER_PARQUET, /* `rows` stays empty */
} ContainerKind;

struct Container {
    char *path;
    ContainerKind kind;
    FileMap map;
    Str unzipped;
    const char *data; /* what is read: the map or the unzipped bytes, behind a BOM */
    size_t size;
    ContainerRow *rows;
    int64_t n_rows, cap_rows;
    Json *head;
    char *text_field;
    char separator; /* CONTAINER_TABLE */
    Json *columns;  /* CONTAINER_TABLE: names in order; NULL without a header */
    int64_t n_columns;
    Parquet *parquet; /* CONTAINER_PARQUET */
};

void container_add(Container *c, ContainerRow row);

Status json_rows_index(Container *c);
Status json_rows_parse(Json **out, const Container *c, const ContainerRow *row);

Status table_index(Container *c, bool header);
Status table_parse(Json **out, const Container *c, const ContainerRow *row);

void text_rows_index(Container *c, DatasetTextBy by);
Status text_rows_parse(Json **out, const Container *c, const ContainerRow *row);

/* ERR_DATA at the first wrong byte. */
Status container_check_utf8(const Container *c, const ContainerRow *row);

#endif
