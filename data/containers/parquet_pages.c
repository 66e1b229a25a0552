/* The pages of a column: header, unpacking, levels, values. */
#include "core/mem.h"
#include "data/containers/gunzip.h"
#include "data/containers/parquet_parts.h"
#include "data/containers/unsnap.h"
#include "data/containers/unzstd.h"

#include <stdio.h>
#include <string.h>

enum { CODEC_NONE, CODEC_SNAPPY, CODEC_GZIP, CODEC_ZSTD = 6 };
enum { PAGE_DATA, PAGE_INDEX, PAGE_DICTIONARY, PAGE_DATA_V2 };
enum { ENCODING_RLE = 3 };

#define TOO_MUCH "more than the file's size explains; write it with smaller row groups"

typedef struct PageHeader {
    int64_t type, unpacked, packed;
    int64_t n, encoding;
    int64_t def_encoding, rep_encoding; /* v1 */
    int64_t def_bytes, rep_bytes;       /* v2 */
    bool is_packed;                     /* v2 */
} PageHeader;

/* A column in work. */
typedef struct Pages {
    const ParquetNode *node;
    int codec;
    ParquetColumn *out;
    ParquetSource source; /* dictionary, and the page's values */
    int64_t made, total;  /* levels */
    int64_t page;
} Pages;

/* ---- headers ---- */

/* The fields of the three kinds of header have different numbers. */
static void read_kind(Thrift *t, PageHeader *h, int kind) {
    enum { V1 = 5, DICTIONARY = 7 };
    ThriftField f = {0};
    while (thrift_field(t, &f)) {
        if (f.id == 1)
            h->n = thrift_int(t, &f);
        else if (f.id == (kind == V1 || kind == DICTIONARY ? 2 : 4))
            h->encoding = thrift_int(t, &f);
        else if (kind == V1 && f.id == 3)
            h->def_encoding = thrift_int(t, &f);
        else if (kind == V1 && f.id == 4)
            h->rep_encoding = thrift_int(t, &f);
        else if (kind != V1 && f.id == 5)
            h->def_bytes = thrift_int(t, &f);
        else if (kind != V1 && f.id == 6)
            h->rep_bytes = thrift_int(t, &f);
        else if (kind != V1 && f.id == 7)
            h->is_packed = thrift_bool(t, &f);
        else
            thrift_skip(t, &f);
    }
}

static const char *read_header(Thrift *t, PageHeader *h) {
    *h = (PageHeader){.type = -1, .n = -1, .is_packed = true};
    ThriftField f = {0};
    while (thrift_field(t, &f)) {
        if (f.id == 1)
            h->type = thrift_int(t, &f);
        else if (f.id == 2)
            h->unpacked = thrift_int(t, &f);
        else if (f.id == 3)
            h->packed = thrift_int(t, &f);
        else if ((f.id == 5 || f.id == 7 || f.id == 8) && thrift_struct(t, &f))
            read_kind(t, h, f.id);
        else
            thrift_skip(t, &f);
    }
    if (t->bad) return "its header is damaged";
    if (h->packed < 0 || h->packed > t->end - t->at) return "it reaches behind the column's end";
    if (h->unpacked < 0 || h->unpacked > INT32_MAX || h->packed > INT32_MAX)
        return "its size is impossible";
    return NULL;
}

/* ---- unpacking ---- */

static const char *unpack(Pages *r, const unsigned char **at, size_t *n, size_t unpacked) {
    unsigned char *to = NULL;
    bool good = false;
    if (r->codec == CODEC_NONE || *n == 0) return NULL;
    if (r->codec == CODEC_SNAPPY || r->codec == CODEC_GZIP || r->codec == CODEC_ZSTD) {
        to = parquet_take(r->source.pool, unpacked, 1);
        if (!to) return TOO_MUCH;
    }
    switch (r->codec) {
    case CODEC_SNAPPY:
        good = unsnap_exact(to, unpacked, *at, *n);
        break;
    case CODEC_GZIP:
        good = gunzip_exact(to, unpacked, *at, *n);
        break;
    case CODEC_ZSTD:
        good = unzstd_exact(to, unpacked, *at, *n);
        break;
    default:
        return "its compression is not read (LZO, Brotli or LZ4); write it with snappy or zstd";
    }
    if (!good) return "its compressed data is damaged";
    *at = to;
    *n = unpacked;
    return NULL;
}

/* ---- a data page ---- */

/* v1: levels stand behind their length. */
static const char *cut_levels(const unsigned char **at, const unsigned char *end,
                              const unsigned char **levels_end) {
    uint32_t length;
    if (end - *at < 4) return "its levels are cut off";
    memcpy(&length, *at, 4);
    *at += 4;
    if (length > (size_t)(end - *at)) return "its levels are cut off";
    *levels_end = *at + length;
    return NULL;
}

/* Repetition first, then definition; *at moves behind them. */
static const char *read_levels(Pages *r, const PageHeader *h, const unsigned char **at,
                               const unsigned char *end) {
    uint8_t *const out[] = {r->out->rep, r->out->def};
    const unsigned most[] = {r->node->rep, r->node->def};
    const int64_t encoding[] = {h->rep_encoding, h->def_encoding};
    const int64_t bytes[] = {h->rep_bytes, h->def_bytes};
    for (int i = 0; i < 2; i++) {
        const unsigned char *levels_end = *at;
        const char *wrong = NULL;
        if (h->type == PAGE_DATA_V2) {
            if (bytes[i] < 0 || bytes[i] > end - *at) return "its levels are cut off";
            levels_end += bytes[i];
        } else if (out[i]) {
            if (encoding[i] != ENCODING_RLE) return "its levels are bit-packed, the way of old";
            wrong = cut_levels(at, end, &levels_end);
        }
        if (!wrong && out[i])
            wrong = parquet_levels(out[i] + r->made, h->n, *at, levels_end, most[i]);
        if (wrong) return wrong;
        *at = levels_end;
    }
    return NULL;
}

/* Decodes into the first places, then moves each value to the level that it belongs to. */
static const char *read_values(Pages *r, const PageHeader *h) {
    ParquetValues to = r->out->values;
    const uint8_t *def = r->out->def ? r->out->def + r->made : NULL;
    int64_t n = h->n;
    if (to.text) to.text += r->made;
    if (to.number) to.number += r->made;
    for (int64_t i = 0; def && i < h->n; i++) n -= def[i] < r->node->def;
    const char *wrong = parquet_values(to, n, &r->source, (int)h->encoding);
    for (int64_t i = h->n; !wrong && n < i && i-- > 0;) {
        if (def[i] < r->node->def) continue;
        n--;
        if (to.text)
            to.text[i] = to.text[n];
        else
            to.number[i] = to.number[n];
    }
    return wrong;
}

/* v1 packs levels and values together, v2 the values only, and perhaps not even those. */
static const char *read_data(Pages *r, const PageHeader *h, const unsigned char *at) {
    const unsigned char *body = at;
    size_t n = (size_t)h->packed, unpacked = (size_t)h->unpacked;
    bool v1 = h->type == PAGE_DATA;
    const char *wrong = NULL;
    if (h->n < 0 || h->n > r->total - r->made) return "it has more values than its column";
    if (h->encoding < 0 || h->encoding > 64) return "its encoding is unknown";
    if (v1) wrong = unpack(r, &body, &n, unpacked);
    const unsigned char *end = body + n;
    if (!wrong) wrong = read_levels(r, h, &body, end);
    if (wrong) return wrong;
    if (!v1 && h->is_packed) {
        size_t levels = (size_t)(body - at);
        if (levels > unpacked) return "its size is impossible";
        n = (size_t)(end - body);
        wrong = unpack(r, &body, &n, unpacked - levels);
        end = body + n;
    }
    r->source.at = body;
    r->source.end = end;
    if (!wrong) wrong = read_values(r, h);
    r->made += h->n;
    return wrong;
}

/* ---- a column ---- */

static ParquetValues take_values(ParquetPool *pool, const ParquetNode *node, int64_t n) {
    ParquetValues v = {0};
    if (node->type == PARQUET_BYTES || node->type == PARQUET_FIXED)
        v.text = parquet_take(pool, (size_t)n, sizeof *v.text);
    else
        v.number = parquet_take(pool, (size_t)n, sizeof *v.number);
    return v;
}

static const char *read_dictionary(Pages *r, const PageHeader *h, const unsigned char *at) {
    size_t n = (size_t)h->packed;
    if (r->source.dictionary.text || r->source.dictionary.number)
        return "it is a second dictionary";
    if (h->encoding != 0 && h->encoding != 2) return "its encoding is none of a dictionary's";
    if (h->n < 0) return "its header is damaged";
    const char *wrong = unpack(r, &at, &n, (size_t)h->unpacked);
    if (wrong) return wrong;
    if ((size_t)h->n > n * 8) return "it has more values than bytes";
    ParquetValues values = take_values(r->source.pool, r->node, h->n);
    if (!values.text && !values.number) return TOO_MUCH;
    r->source.at = at;
    r->source.end = at + n;
    wrong = parquet_values(values, h->n, &r->source, 0);
    if (wrong) return wrong;
    r->source.dictionary = values;
    r->source.n_dictionary = h->n;
    return NULL;
}

static const char *read_pages(Pages *r, const unsigned char *at, const unsigned char *end) {
    for (; r->made < r->total; r->page++) {
        PageHeader h;
        Thrift t = {at, end, false};
        if (at == end) return "the column ends before its last value";
        const char *wrong = read_header(&t, &h);
        if (wrong) return wrong;
        if (h.type == PAGE_DATA || h.type == PAGE_DATA_V2)
            wrong = read_data(r, &h, t.at);
        else if (h.type == PAGE_DICTIONARY)
            wrong = read_dictionary(r, &h, t.at);
        else if (h.type != PAGE_INDEX)
            wrong = "its kind is unknown";
        if (wrong) return wrong;
        at = t.at + h.packed;
    }
    return NULL;
}

/* Where each row begins. */
static const char *find_rows(ParquetColumn *c, ParquetPool *pool, int64_t n_rows) {
    int64_t rows = 0;
    if (!c->rep) return c->n == n_rows ? NULL : "the column has another number of rows than others";
    c->row = parquet_take(pool, (size_t)n_rows + 1, sizeof *c->row);
    if (!c->row) return TOO_MUCH;
    for (int64_t i = 0; i < c->n; i++) {
        if (c->rep[i] > 0) {
            if (rows == 0) return "the column begins inside of a row";
            continue;
        }
        if (rows == n_rows) return "the column has more rows than others";
        c->row[rows++] = i;
    }
    c->row[n_rows] = c->n;
    return rows == n_rows ? NULL : "the column has fewer rows than others";
}

static bool take_column(ParquetColumn *c, ParquetPool *pool, const ParquetNode *node) {
    size_t n = (size_t)c->n;
    if (node->def > 0 && !(c->def = parquet_take(pool, n, 1))) return false;
    if (node->rep > 0 && !(c->rep = parquet_take(pool, n, 1))) return false;
    c->values = take_values(pool, node, c->n);
    return c->values.text || c->values.number;
}

Status parquet_read_column(ParquetColumn *out, const Parquet *p, ParquetGroup *g, int32_t leaf) {
    const ParquetChunk *chunk = &p->chunks[g->index * p->n_leaves + leaf];
    const ParquetNode *node = &p->nodes[p->leaf[leaf]];
    *out = (ParquetColumn){.n = chunk->n_levels};
    Pages r = {.node = node,
               .codec = chunk->codec,
               .out = out,
               .source = {.node = node, .pool = &g->pool},
               .total = chunk->n_levels};
    const char *wrong = take_column(out, &g->pool, node) ? NULL : TOO_MUCH;
    bool in_pages = !wrong;
    const unsigned char *at = p->data + chunk->at;
    if (!wrong) wrong = read_pages(&r, at, at + chunk->bytes);
    in_pages = in_pages && wrong;
    if (!wrong) wrong = find_rows(out, &g->pool, g->n_rows);
    if (!wrong) return OK;
    char page[48] = "";
    if (in_pages) snprintf(page, sizeof page, ", page %lld", (long long)r.page + 1);
    char *name = parquet_column_name(p, leaf);
    Status st = status_fail(ERR_DATA, "%s: row group %lld, column `%s`%s: %s", p->path,
                            (long long)g->index + 1, name, page, wrong);
    mem_free(name);
    return st;
}
