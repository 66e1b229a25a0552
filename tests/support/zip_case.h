/* zip_case: ZIP files made by hand, good ones and such as break a rule. */
#ifndef HONE_TESTS_ZIP_CASE_H
#define HONE_TESTS_ZIP_CASE_H

#include "core/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef struct ZipPart {
    const char *name, *data, *local_name;
    size_t n_data; /* 0: `data` is a text */
    unsigned flags, method;
    uint32_t stored_bytes, bytes; /* 0: as many as there are */
    bool again;                   /* at the place of the part before */
    unsigned extra_bytes;         /* that the part of 64 bits claims; 0: as many as there are */
} ZipPart;

static inline void zip_put(Str *s, uint64_t x, int bytes) {
    for (int i = 0; i < bytes; i++) {
        str_append_char(s, (char)(x & 0xff));
        x >>= 8;
    }
}

static inline size_t zip_part_bytes(const ZipPart *p) {
    return p->n_data ? p->n_data : strlen(p->data);
}

static inline void zip_put_local(Str *s, const ZipPart *p) {
    const char *name = p->local_name ? p->local_name : p->name;
    str_append_n(s, "PK\3\4", 4);
    zip_put(s, 0, 22);
    zip_put(s, strlen(name), 2);
    zip_put(s, 0, 2);
    str_append(s, name);
    str_append_n(s, p->data, zip_part_bytes(p));
}

static inline void zip_put_central(Str *s, const ZipPart *p, uint64_t at, bool is_64) {
    uint64_t n = p->bytes ? p->bytes : zip_part_bytes(p),
             stored = p->stored_bytes ? p->stored_bytes : n;
    str_append_n(s, "PK\1\2", 4);
    zip_put(s, 0, 4);
    zip_put(s, p->flags, 2);
    zip_put(s, p->method, 2);
    zip_put(s, 0, 8);
    zip_put(s, is_64 ? 0xffffffff : stored, 4);
    zip_put(s, is_64 ? 0xffffffff : n, 4);
    zip_put(s, strlen(p->name), 2);
    zip_put(s, is_64 ? 28 : 0, 2);
    zip_put(s, 0, 2 + 2 + 2 + 4);
    zip_put(s, is_64 ? 0xffffffff : at, 4);
    str_append(s, p->name);
    if (!is_64) return;
    zip_put(s, 1, 2);
    zip_put(s, p->extra_bytes ? p->extra_bytes : 24, 2);
    zip_put(s, n, 8);
    zip_put(s, stored, 8);
    zip_put(s, at, 8);
}

static inline Str zip_of(const ZipPart *parts, size_t n, bool is_64) {
    Str s = {0}, central = {0};
    uint64_t at = 0;
    for (size_t i = 0; i < n; i++) {
        if (!parts[i].again) at = s.len;
        zip_put_central(&central, &parts[i], at, is_64);
        if (!parts[i].again) zip_put_local(&s, &parts[i]);
    }
    uint64_t directory = s.len, end64 = directory + central.len;
    str_append_n(&s, str_text(&central), central.len);
    if (is_64) {
        str_append_n(&s, "PK\6\6", 4);
        zip_put(&s, 44, 8);
        zip_put(&s, 0, 12);
        zip_put(&s, n, 8);
        zip_put(&s, n, 8);
        zip_put(&s, central.len, 8);
        zip_put(&s, directory, 8);
        str_append_n(&s, "PK\6\7\0\0\0\0", 8);
        zip_put(&s, end64, 8);
        zip_put(&s, 1, 4);
    }
    str_append_n(&s, "PK\5\6\0\0\0\0", 8);
    zip_put(&s, is_64 ? 0xffff : n, 2);
    zip_put(&s, is_64 ? 0xffff : n, 2);
    zip_put(&s, is_64 ? 0xffffffff : central.len, 4);
    zip_put(&s, is_64 ? 0xffffffff : directory, 4);
    zip_put(&s, 7, 2);
    str_append(&s, "comment");
    str_free(&central);
    return s;
}

#endif
