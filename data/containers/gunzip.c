#include "data/containers/gunzip.h"

#include "core/check.h"

#define ZLIB_CONST /* zlib's input is const */
#include <stdint.h>
#include <zlib.h>

#define CHUNK ((size_t)1 << 18)

bool gunzip_is(const unsigned char *data, size_t n) {
    return n >= 2 && data[0] == 0x1f && data[1] == 0x8b;
}

/* zlib counts in unsigned int; larger inputs are handed over in parts. */
static void feed(z_stream *z, const unsigned char *data, size_t n, size_t *given) {
    if (z->avail_in > 0 || *given == n) return;
    size_t part = n - *given < CHUNK ? n - *given : CHUNK;
    z->next_in = data + *given;
    z->avail_in = (uInt)part;
    *given += part;
}

Status gunzip_bytes(Str *out, const char *path, const unsigned char *data, size_t n) {
    z_stream z = {0};
    size_t given = 0;
    Status st = OK;
    if (inflateInit2(&z, 15 + 16) != Z_OK) return status_fail(ERR_OS, "zlib does not start");
    for (;;) {
        feed(&z, data, n, &given);
        str_reserve(out, CHUNK);
        z.next_out = (Bytef *)out->data + out->len;
        z.avail_out = (uInt)CHUNK;
        int code = inflate(&z, Z_NO_FLUSH);
        out->len += CHUNK - z.avail_out;
        out->data[out->len] = '\0';
        if (code == Z_STREAM_END) {
            bool more = z.avail_in > 0 || given < n;
            if (!more) break;
            if (inflateReset(&z) == Z_OK) continue; /* the next member */
        }
        if (code == Z_BUF_ERROR || (code == Z_OK && z.avail_in == 0 && given == n && z.avail_out)) {
            st = status_fail(ERR_DATA,
                             "%s: the gzip data is cut off after %zu bytes; fetch it again", path,
                             out->len);
            break;
        }
        if (code != Z_OK) {
            st = status_fail(ERR_DATA, "%s: damaged gzip data (%s); fetch it again", path,
                             z.msg ? z.msg : "unknown");
            break;
        }
        if (out->len > GUNZIP_MAX) {
            st = status_fail(ERR_DATA, "%s: more than %zu bytes when unpacked; unpack and split it",
                             path, GUNZIP_MAX);
            break;
        }
    }
    inflateEnd(&z);
    return st;
}

bool gunzip_exact(unsigned char *out, size_t size, const unsigned char *data, size_t n) {
    z_stream z = {.next_in = data, .avail_in = (uInt)n, .next_out = out, .avail_out = (uInt)size};
    CHECK(n <= INT32_MAX && size <= INT32_MAX, "%zu bytes to %zu", n, size);
    if (inflateInit2(&z, 15 + 32) != Z_OK) return false;
    int code = inflate(&z, Z_FINISH);
    while (code == Z_STREAM_END && z.avail_in > 0 && inflateReset(&z) == Z_OK)
        code = inflate(&z, Z_FINISH); /* the next member */
    inflateEnd(&z);
    return code == Z_STREAM_END && z.avail_out == 0;
}
