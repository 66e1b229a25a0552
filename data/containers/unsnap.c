#include "data/containers/unsnap.h"

#include "data/containers/thrift.h"

#include <string.h>

/* `n` bytes, the lowest first. */
static size_t number(const unsigned char *at, size_t n) {
    size_t value = 0;
    for (size_t i = 0; i < n; i++) value |= (size_t)at[i] << 8 * i;
    return value;
}

/* One element: bytes that stand there, or a copy of bytes before. */
typedef struct Element {
    size_t length, back; /* back 0: a literal */
    size_t extra;        /* bytes of the tag behind its first */
} Element;

static Element element_of(const unsigned char *at, size_t left) {
    Element e = {.length = (size_t)(at[0] >> 2) + 1};
    switch (at[0] & 3) {
    case 0:
        e.extra = e.length > 60 ? e.length - 60 : 0;
        if (e.extra < left && e.extra > 0) e.length = number(at + 1, e.extra) + 1;
        return e;
    case 1:
        e.extra = 1;
        e.length = (size_t)(at[0] >> 2 & 7) + 4;
        if (left > 1) e.back = (size_t)(at[0] >> 5) << 8 | at[1];
        return e;
    default:
        e.extra = (at[0] & 3) == 2 ? 2 : 4;
        if (e.extra < left) e.back = number(at + 1, e.extra);
        return e;
    }
}

bool unsnap_exact(unsigned char *out, size_t size, const unsigned char *data, size_t n) {
    Thrift head = {data, data + n, false};
    uint64_t told = thrift_varint(&head);
    if (head.bad || told != size) return false;
    const unsigned char *at = head.at, *end = data + n;
    size_t made = 0;
    while (at < end) {
        bool literal = (at[0] & 3) == 0;
        Element e = element_of(at, (size_t)(end - at));
        if (e.extra >= (size_t)(end - at) || e.length > size - made) return false;
        at += 1 + e.extra;
        if (literal) {
            if (e.length > (size_t)(end - at)) return false;
            memcpy(out + made, at, e.length);
            at += e.length;
        } else {
            if (e.back == 0 || e.back > made) return false;
            /* the copy may reach into what it writes: that repeats a pattern */
            if (e.back >= e.length)
                memcpy(out + made, out + made - e.back, e.length);
            else
                for (size_t i = 0; i < e.length; i++) out[made + i] = out[made + i - e.back];
        }
        made += e.length;
    }
    return made == size;
}
