#include "data/containers/thrift.h"

#define MOST_LEVELS 32 /* of structs and lists that are skipped */

enum { STOP, TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT };

static uint64_t fail(Thrift *t) {
    t->bad = true;
    t->at = t->end;
    return 0;
}

static unsigned next_byte(Thrift *t) {
    return t->at < t->end ? *t->at++ : (unsigned)fail(t);
}

uint64_t thrift_varint(Thrift *t) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        unsigned byte = next_byte(t);
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return t->bad ? 0 : value;
    }
    return fail(t);
}

int64_t thrift_zigzag(Thrift *t) {
    uint64_t value = thrift_varint(t);
    return (int64_t)(value >> 1 ^ (0 - (value & 1)));
}

bool thrift_field(Thrift *t, ThriftField *f) {
    unsigned byte = next_byte(t);
    if (t->bad || byte == STOP) return false;
    f->type = (int)(byte & 15);
    int64_t id = byte >> 4 ? f->id + (int64_t)(byte >> 4) : thrift_zigzag(t);
    if (id < 0 || id > INT16_MAX || f->type > STRUCT) fail(t);
    f->id = (int)id;
    return !t->bad;
}

int64_t thrift_int(Thrift *t, const ThriftField *f) {
    if (f->type == BYTE) return (int8_t)next_byte(t);
    if (f->type < I16 || f->type > I64) return (int64_t)fail(t);
    return thrift_zigzag(t);
}

bool thrift_bool(Thrift *t, const ThriftField *f) {
    if (f->type != TRUE && f->type != FALSE) fail(t);
    return f->type == TRUE;
}

static const char *bytes(Thrift *t, size_t *n) {
    uint64_t length = thrift_varint(t);
    if (length > (uint64_t)(t->end - t->at)) length = fail(t);
    const char *text = (const char *)t->at;
    *n = (size_t)length;
    t->at += length;
    return text;
}

const char *thrift_text(Thrift *t, const ThriftField *f, size_t *n) {
    if (f->type != BINARY) fail(t);
    return bytes(t, n);
}

bool thrift_struct(Thrift *t, const ThriftField *f) {
    if (f->type != STRUCT) fail(t);
    return !t->bad;
}

/* Every element takes a byte at least. */
static int64_t list_header(Thrift *t, int *type) {
    unsigned byte = next_byte(t);
    uint64_t n = byte >> 4 == 15 ? thrift_varint(t) : byte >> 4;
    *type = (int)(byte & 15);
    return n > (uint64_t)(t->end - t->at) ? (int64_t)fail(t) : (int64_t)n;
}

int64_t thrift_structs(Thrift *t, const ThriftField *f) {
    int type;
    if (f->type != LIST) return (int64_t)fail(t);
    int64_t n = list_header(t, &type);
    return n > 0 && type != STRUCT ? (int64_t)fail(t) : n;
}

static void skip(Thrift *t, int type, int level);

/* An element of a list: there a truth is a byte, while a field holds it in its header. */
static void skip_element(Thrift *t, int type, int level) {
    if (type == TRUE || type == FALSE)
        next_byte(t);
    else
        skip(t, type, level);
}

static void skip_map(Thrift *t, int level) {
    uint64_t n = thrift_varint(t);
    if (n == 0) return;
    unsigned types = next_byte(t);
    for (uint64_t i = 0; i < n && !t->bad; i++) {
        skip_element(t, (int)(types >> 4), level);
        skip_element(t, (int)(types & 15), level);
    }
}

static void skip(Thrift *t, int type, int level) {
    ThriftField f = {0};
    size_t n;
    if (level > MOST_LEVELS) fail(t);
    switch (type) {
    case TRUE:
    case FALSE:
        return;
    case BYTE:
        next_byte(t);
        return;
    case I16:
    case I32:
    case I64:
        thrift_varint(t);
        return;
    case DOUBLE:
        for (int i = 0; i < 8; i++) next_byte(t);
        return;
    case BINARY:
        bytes(t, &n);
        return;
    case LIST:
    case SET:
        for (int64_t left = list_header(t, &type); left > 0 && !t->bad; left--)
            skip_element(t, type, level + 1);
        return;
    case MAP:
        skip_map(t, level + 1);
        return;
    case STRUCT:
        while (thrift_field(t, &f)) skip(t, f.type, level + 1);
        return;
    default:
        fail(t);
    }
}

void thrift_skip(Thrift *t, const ThriftField *f) {
    skip(t, f->type, 0);
}
