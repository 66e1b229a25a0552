#include "data/containers/unzstd.h"

#include <zstd.h>

bool unzstd_is(const unsigned char *data, size_t n) {
    return n >= 4 && data[0] == 0x28 && data[1] == 0xb5 && data[2] == 0x2f && data[3] == 0xfd;
}

Status unzstd_bytes(Str *out, const char *path, const unsigned char *data, size_t n, size_t most) {
    ZSTD_DStream *z = ZSTD_createDStream();
    if (!z) return status_fail(ERR_OS, "zstd does not start");
    ZSTD_inBuffer in = {data, n, 0};
    size_t first = out->len, left = 1, chunk = ZSTD_DStreamOutSize();
    Status st = OK;
    while (st == OK && (in.pos < n || left > 0)) {
        str_reserve(out, chunk);
        ZSTD_outBuffer to = {out->data + out->len, chunk, 0};
        size_t before = in.pos;
        left = ZSTD_decompressStream(z, &to, &in);
        out->len += ZSTD_isError(left) ? 0 : to.pos;
        out->data[out->len] = '\0';
        if (ZSTD_isError(left))
            st = status_fail(ERR_DATA, "%s: damaged zstd data (%s); fetch it again", path,
                             ZSTD_getErrorName(left));
        else if (left > 0 && to.pos == 0 && in.pos == before)
            st = status_fail(ERR_DATA,
                             "%s: the zstd data is cut off after %zu bytes; fetch it again", path,
                             out->len - first);
        else if (out->len - first > most)
            st = status_fail(ERR_DATA, "%s: more than %zu bytes when unpacked; unpack and split it",
                             path, most);
    }
    ZSTD_freeDStream(z);
    return st;
}

bool unzstd_exact(unsigned char *out, size_t size, const unsigned char *data, size_t n) {
    return ZSTD_decompress(out, size, data, n) == size;
}
