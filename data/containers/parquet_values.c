/* Encodings of values and levels. All numbers are little-endian, as this machine's. */
#include "core/check.h"
#include "core/mem.h"
#include "data/containers/parquet_parts.h"

#include <string.h>

#define CUT "its data is cut off"

enum {
    PLAIN,
    PLAIN_DICTIONARY = 2,
    RLE,
    DELTA_PACKED = 5,
    DELTA_LENGTHS,
    DELTA_BYTES,
    RLE_DICTIONARY,
    STREAM_SPLIT,
};

/* ---- bits ---- */

/* `width` bits at bit `from` of the n bytes at `at`, which hold them. */
static uint64_t bits_at(const unsigned char *at, size_t n, size_t from, unsigned width) {
    size_t byte = from / 8;
    unsigned shift = from % 8;
    uint64_t value = 0;
    size_t have = n - byte < 8 ? n - byte : 8;
    memcpy(&value, at + byte, have);
    value >>= shift;
    if (shift + width > 64) value |= (uint64_t)at[byte + 8] << (64 - shift);
    return width == 64 ? value : value & (((uint64_t)1 << width) - 1);
}

/* Runs of one value, and groups of eight packed values, in turn. */
typedef struct Hybrid {
    Thrift in;
    unsigned width;
    uint64_t n_run, n_packed; /* left of the run in hand: one of the two is 0 */
    uint64_t value;           /* of the run */
    const unsigned char *packed;
    size_t packed_bytes, packed_bit;
} Hybrid;

static Hybrid hybrid_begin(const unsigned char *at, const unsigned char *end, unsigned width) {
    return (Hybrid){.in = {at, end, false}, .width = width};
}

static bool next_run(Hybrid *h) {
    uint64_t head = thrift_varint(&h->in);
    size_t left = (size_t)(h->in.end - h->in.at);
    if (h->in.bad) return false;
    if (head & 1) {
        uint64_t groups = head >> 1;
        if (h->width > 0 && groups > left) groups = left / h->width + 1; /* the last may be cut */
        size_t bytes = (size_t)groups * h->width;
        if (bytes > left) bytes = left;
        h->packed = h->in.at;
        h->packed_bytes = bytes;
        h->packed_bit = 0;
        h->n_packed = h->width > 0 ? bytes * 8 / h->width : groups * 8;
        h->in.at += bytes;
        return true;
    }
    size_t bytes = (h->width + 7) / 8;
    if (bytes > left) return false;
    h->value = 0;
    memcpy(&h->value, h->in.at, bytes);
    h->in.at += bytes;
    h->n_run = head >> 1;
    return true;
}

static bool hybrid_next(Hybrid *h, uint64_t *value) {
    while (h->n_run == 0 && h->n_packed == 0)
        if (!next_run(h)) return false;
    if (h->n_run > 0) {
        h->n_run--;
        *value = h->value;
        return true;
    }
    h->n_packed--;
    *value = h->width ? bits_at(h->packed, h->packed_bytes, h->packed_bit, h->width) : 0;
    h->packed_bit += h->width;
    return true;
}

const char *parquet_levels(uint8_t *out, int64_t n, const unsigned char *at,
                           const unsigned char *end, unsigned most) {
    unsigned width = 0;
    while (most >> width) width++;
    Hybrid h = hybrid_begin(at, end, width);
    for (int64_t i = 0; i < n; i++) {
        uint64_t level;
        if (!hybrid_next(&h, &level)) return "its levels are cut off";
        if (level > most) return "a level is above what the schema allows";
        out[i] = (uint8_t)level;
    }
    return NULL;
}

/* ---- plain ---- */

static size_t width_of(const ParquetNode *node) {
    switch (node->type) {
    case PARQUET_INT32:
    case PARQUET_FLOAT:
        return 4;
    case PARQUET_INT64:
    case PARQUET_DOUBLE:
        return 8;
    case PARQUET_INT96:
        return 12;
    case PARQUET_FIXED:
        return (size_t)node->width;
    case PARQUET_BOOL:
    case PARQUET_BYTES:
    case PARQUET_GROUP:
        break;
    }
    return 0; /* of no fixed width */
}

/* Nanoseconds since 1970 of Julian day and nanoseconds in it; what no such time is wraps around. */
static int64_t from_int96(const unsigned char *at) {
    uint64_t in_day;
    uint32_t day;
    memcpy(&in_day, at, 8);
    memcpy(&day, at + 8, 4);
    return (int64_t)(((uint64_t)day - 2440588) * UINT64_C(86400000000000) + in_day);
}

static ParquetValue number_at(const unsigned char *at, ParquetType type) {
    ParquetValue v = {0};
    int32_t small;
    switch (type) {
    case PARQUET_INT32:
        memcpy(&small, at, 4);
        v.number = small;
        return v;
    case PARQUET_FLOAT:
        memcpy(&v.single, at, 4);
        return v;
    case PARQUET_INT64:
    case PARQUET_DOUBLE:
        memcpy(&v, at, 8);
        return v;
    case PARQUET_INT96:
        v.number = from_int96(at);
        return v;
    default:
        FAIL("type %d is no number", (int)type);
    }
}

static const char *plain_bytes(ParquetText *out, int64_t n, const ParquetSource *s) {
    const unsigned char *at = s->at;
    for (int64_t i = 0; i < n; i++) {
        uint32_t length;
        if (s->end - at < 4) return CUT;
        memcpy(&length, at, 4);
        at += 4;
        if (length > (size_t)(s->end - at)) return "a text is longer than the page";
        out[i] = (ParquetText){(const char *)at, length};
        at += length;
    }
    return NULL;
}

static const char *plain(ParquetValues out, int64_t n, const ParquetSource *s) {
    size_t left = (size_t)(s->end - s->at), width = width_of(s->node);
    if (s->node->type == PARQUET_BYTES) return plain_bytes(out.text, n, s);
    if (s->node->type == PARQUET_BOOL) {
        if ((size_t)n > left * 8) return CUT;
        for (int64_t i = 0; i < n; i++) out.number[i].number = s->at[i / 8] >> i % 8 & 1;
        return NULL;
    }
    if ((size_t)n > left / width) return CUT;
    for (int64_t i = 0; i < n; i++) {
        const unsigned char *at = s->at + (size_t)i * width;
        if (s->node->type == PARQUET_FIXED)
            out.text[i] = (ParquetText){(const char *)at, width};
        else
            out.number[i] = number_at(at, s->node->type);
    }
    return NULL;
}

/* ---- dictionary, runs ---- */

static const char *from_dictionary(ParquetValues out, int64_t n, const ParquetSource *s) {
    if (n == 0) return NULL;
    if (s->at == s->end) return CUT;
    if (s->at[0] > 32) return "the width of its dictionary's indices is impossible";
    Hybrid h = hybrid_begin(s->at + 1, s->end, s->at[0]);
    for (int64_t i = 0; i < n; i++) {
        uint64_t k;
        if (!hybrid_next(&h, &k)) return CUT;
        if (k >= (uint64_t)s->n_dictionary) return "an index is outside of the dictionary";
        if (out.text)
            out.text[i] = s->dictionary.text[k];
        else
            out.number[i] = s->dictionary.number[k];
    }
    return NULL;
}

static const char *bool_runs(ParquetValues out, int64_t n, const ParquetSource *s) {
    uint32_t length;
    if (s->end - s->at < 4) return CUT;
    memcpy(&length, s->at, 4);
    if (length > (size_t)(s->end - s->at) - 4) return CUT;
    Hybrid h = hybrid_begin(s->at + 4, s->at + 4 + length, 1);
    for (int64_t i = 0; i < n; i++) {
        uint64_t bit;
        if (!hybrid_next(&h, &bit)) return CUT;
        out.number[i].number = (int64_t)bit & 1;
    }
    return NULL;
}

/* ---- differences ---- */

/* One block: the least difference, a width for each miniblock, the miniblocks. Returns the values
 * that it gave, or -1. Sums wrap around by the format's rule. */
static int64_t delta_block(Thrift *t, int64_t *out, int64_t n, uint64_t n_mini, uint64_t per_mini,
                           uint64_t *last) {
    uint64_t least = (uint64_t)thrift_zigzag(t);
    const unsigned char *widths = t->at;
    if (t->bad || n_mini > (size_t)(t->end - t->at)) return -1;
    t->at += n_mini;
    int64_t made = 0;
    for (uint64_t m = 0; m < n_mini && made < n; m++) {
        unsigned width = widths[m];
        size_t left = (size_t)(t->end - t->at);
        if (width > 64) return -1;
        int64_t count = n - made < (int64_t)per_mini ? n - made : (int64_t)per_mini;
        size_t whole = (size_t)per_mini / 8 * width;
        size_t bytes = whole < left ? whole : left; /* some writers cut the last one short */
        if ((size_t)count * width > bytes * 8) return -1;
        for (int64_t i = 0; i < count; i++) {
            uint64_t more = width ? bits_at(t->at, bytes, (size_t)i * width, width) : 0;
            *last += least + more;
            out[made++] = (int64_t)*last;
        }
        t->at += bytes;
    }
    return made;
}

/* `n` integers; *next is where their data ends. */
static const char *delta_packed(int64_t *out, int64_t n, const unsigned char *at,
                                const unsigned char *end, const unsigned char **next) {
    Thrift t = {at, end, false};
    uint64_t block = thrift_varint(&t), n_mini = thrift_varint(&t), total = thrift_varint(&t);
    uint64_t last = (uint64_t)thrift_zigzag(&t);
    if (t.bad) return CUT;
    if (block == 0 || block > 1 << 20 || n_mini == 0 || block % n_mini || block / n_mini % 8)
        return "the blocks of its differences are impossible";
    if (total != (uint64_t)n) return "it holds another number of values than it says";
    int64_t made = 0;
    if (n > 0) out[made++] = (int64_t)last;
    while (made < n) {
        int64_t got = delta_block(&t, out + made, n - made, n_mini, block / n_mini, &last);
        if (got < 0) return CUT;
        made += got;
    }
    *next = t.at;
    return NULL;
}

static const char *delta_numbers(ParquetValues out, int64_t n, const ParquetSource *s) {
    const unsigned char *next;
    _Static_assert(sizeof(ParquetValue) == sizeof(int64_t), "a value is written as an integer");
    const char *wrong = delta_packed(&out.number->number, n, s->at, s->end, &next);
    if (wrong || s->node->type == PARQUET_INT64) return wrong;
    for (int64_t i = 0; i < n; i++)
        out.number[i].number = (int32_t)(uint32_t)(uint64_t)out.number[i].number;
    return NULL;
}

/* Lengths as differences, then all texts end to end. */
static const char *delta_lengths(ParquetText *out, int64_t n, const ParquetSource *s,
                                 const unsigned char *at) {
    int64_t *length = parquet_take(s->pool, (size_t)n, sizeof *length);
    if (!length) return "more values than the file can hold";
    const char *wrong = delta_packed(length, n, at, s->end, &at);
    for (int64_t i = 0; i < n && !wrong; i++) {
        if (length[i] < 0 || length[i] > s->end - at) return "a text is longer than the page";
        out[i] = (ParquetText){(const char *)at, (size_t)length[i]};
        at += length[i];
    }
    return wrong;
}

/* Each text is the start of the one before, and what follows it. */
static const char *delta_bytes(ParquetText *out, int64_t n, const ParquetSource *s) {
    const unsigned char *at = s->at;
    int64_t *same = parquet_take(s->pool, (size_t)n, sizeof *same);
    if (!same) return "more values than the file can hold";
    const char *wrong = delta_packed(same, n, s->at, s->end, &at);
    if (!wrong) wrong = delta_lengths(out, n, s, at);
    if (wrong) return wrong;
    size_t total = 0, before = 0;
    for (int64_t i = 0; i < n; i++) {
        if (same[i] < 0 || (size_t)same[i] > before) return "a text shares more than there is";
        before = (size_t)same[i] + out[i].n;
        if (s->node->type == PARQUET_FIXED && before != (size_t)s->node->width) return CUT;
        total += before;
        if (total > s->pool->left) return "more text than the file can hold";
    }
    char *to = parquet_take(s->pool, total, 1);
    if (!to) return "more text than the file can hold";
    for (int64_t i = 0; i < n; i++) {
        size_t shared = (size_t)same[i];
        if (shared > 0) memcpy(to, out[i - 1].at, shared);
        memcpy(to + shared, out[i].at, out[i].n);
        out[i] = (ParquetText){to, shared + out[i].n};
        to += out[i].n;
    }
    return NULL;
}

/* First bytes of all values, then second bytes, ... */
static const char *stream_split(ParquetValues out, int64_t n, const ParquetSource *s) {
    size_t width = width_of(s->node), left = (size_t)(s->end - s->at);
    if ((size_t)n > left / width) return CUT;
    unsigned char *joined = parquet_take(s->pool, (size_t)n, width);
    if (!joined) return "more values than the file can hold";
    for (size_t k = 0; k < width; k++)
        for (size_t i = 0; i < (size_t)n; i++) joined[i * width + k] = s->at[k * (size_t)n + i];
    ParquetSource whole = *s;
    whole.at = joined;
    whole.end = joined + (size_t)n * width;
    return plain(out, n, &whole);
}

const char *parquet_values(ParquetValues out, int64_t n, const ParquetSource *s, int encoding) {
    ParquetType type = s->node->type;
    bool integer = type == PARQUET_INT32 || type == PARQUET_INT64;
    if (n == 0) return NULL;
    switch (encoding) {
    case PLAIN:
        return plain(out, n, s);
    case PLAIN_DICTIONARY:
    case RLE_DICTIONARY:
        return from_dictionary(out, n, s);
    case RLE:
        if (type == PARQUET_BOOL) return bool_runs(out, n, s);
        break;
    case DELTA_PACKED:
        if (integer) return delta_numbers(out, n, s);
        break;
    case DELTA_LENGTHS:
        if (type == PARQUET_BYTES) return delta_lengths(out.text, n, s, s->at);
        break;
    case DELTA_BYTES:
        if (out.text) return delta_bytes(out.text, n, s);
        break;
    case STREAM_SPLIT:
        if (width_of(s->node) > 0) return stream_split(out, n, s);
        break;
    default:
        break;
    }
    return "its encoding is unknown, or not one of this type";
}
