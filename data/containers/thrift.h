/* thrift: reading Thrift's compact protocol, as far as Parquet's metadata uses it. Nothing is
 * copied; the first wrong byte sets `bad`, after which every call gives zero and every loop ends,
 * so that a caller looks at `bad` once, behind its last read.
 *
 *     ThriftField f = {0};
 *     while (thrift_field(&t, &f))
 *         if (f.id == 3) rows = thrift_int(&t, &f);
 *         else thrift_skip(&t, &f); */
#ifndef HONE_DATA_CONTAINERS_THRIFT_H
#define HONE_DATA_CONTAINERS_THRIFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Thrift {
    const unsigned char *at, *end;
    bool bad;
} Thrift;

/* The field in hand: its number, and the kind of value that follows. */
typedef struct ThriftField {
    int id, type;
} ThriftField;

uint64_t thrift_varint(Thrift *t); /* LEB128, also outside of the protocol */
int64_t thrift_zigzag(Thrift *t);

/* The next field of the struct in hand; false behind the last. Each must be read or skipped. */
bool thrift_field(Thrift *t, ThriftField *f);
void thrift_skip(Thrift *t, const ThriftField *f);

/* The field's value; a value of another kind is a wrong byte. */
int64_t thrift_int(Thrift *t, const ThriftField *f);
bool thrift_bool(Thrift *t, const ThriftField *f);
const char *thrift_text(Thrift *t, const ThriftField *f, size_t *n); /* borrowed, without NUL */
bool thrift_struct(Thrift *t, const ThriftField *f);                 /* its fields follow */
/* How many structs follow; never more than there are bytes left. */
int64_t thrift_structs(Thrift *t, const ThriftField *f);

#endif
