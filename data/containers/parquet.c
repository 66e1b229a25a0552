#include "data/containers/parquet.h"

#include "core/check.h"
#include "core/mem.h"
#include "data/containers/parquet_parts.h"

#include <stddef.h>
#include <string.h>

#define MAGIC "PAR1"
#define TAIL ((size_t)8) /* the footer's length, and the magic again */

bool parquet_is(const void *data, size_t n) {
    return n >= 4 && memcmp(data, MAGIC, 4) == 0;
}

/* ---- memory of a row group ---- */

struct ParquetBlock {
    ParquetBlock *next;
    max_align_t bytes[];
};

void *parquet_take(ParquetPool *pool, size_t n, size_t size) {
    size_t bytes;
    if (!mem_mul(&bytes, n, size) || bytes > pool->left) return NULL;
    ParquetBlock *block = mem_zalloc(1, sizeof *block + bytes);
    pool->left -= bytes;
    block->next = pool->blocks;
    pool->blocks = block;
    return block->bytes;
}

void parquet_pool_free(ParquetPool *pool) {
    while (pool->blocks) {
        ParquetBlock *block = pool->blocks;
        pool->blocks = block->next;
        mem_free(block);
    }
}

/* ---- the footer ---- */

static Status fail_footer(const Parquet *p, const char *what) {
    return status_fail(ERR_DATA, "%s: the Parquet file's footer %s; fetch or write it again",
                       p->path, what);
}

/* ColumnMetaData */
static void read_chunk_facts(Thrift *t, ParquetChunk *c, int64_t *type) {
    int64_t data = 0, dictionary = 0, bytes = -1;
    ThriftField f = {0};
    while (thrift_field(t, &f)) {
        if (f.id == 1)
            *type = thrift_int(t, &f);
        else if (f.id == 4)
            c->codec = (int)thrift_int(t, &f);
        else if (f.id == 5)
            c->n_levels = thrift_int(t, &f);
        else if (f.id == 7)
            bytes = thrift_int(t, &f);
        else if (f.id == 9)
            data = thrift_int(t, &f);
        else if (f.id == 11)
            dictionary = thrift_int(t, &f);
        else
            thrift_skip(t, &f);
    }
    int64_t at = dictionary > 0 && dictionary < data ? dictionary : data;
    c->at = at < 0 ? SIZE_MAX : (size_t)at;
    c->bytes = bytes < 0 ? SIZE_MAX : (size_t)bytes;
}

static Status read_chunk(Parquet *p, Thrift *t, ParquetChunk *c, int32_t leaf) {
    ThriftField f = {0};
    int64_t type = -1;
    bool elsewhere = false;
    while (thrift_field(t, &f)) {
        elsewhere |= f.id == 1 || f.id == 8; /* another file's, or encrypted */
        if (f.id == 3 && thrift_struct(t, &f))
            read_chunk_facts(t, c, &type);
        else
            thrift_skip(t, &f);
    }
    if (elsewhere) return fail_footer(p, "tells of encrypted columns, or of other files");
    if (t->bad || type != (int64_t)p->nodes[p->leaf[leaf]].type || c->n_levels < 0)
        return fail_footer(p, "is damaged");
    if (c->at < sizeof MAGIC - 1 || c->at > p->size || c->bytes > p->size - c->at)
        return fail_footer(p, "tells of columns outside of the file");
    return OK;
}

static size_t allowance(const Parquet *p, int64_t group) {
    size_t bytes = 0;
    for (int32_t i = 0; i < p->n_leaves; i++) bytes += p->chunks[group * p->n_leaves + i].bytes;
    if (bytes > p->size) bytes = p->size; /* columns that lie over each other */
    return PARQUET_FREE_BYTES + PARQUET_MOST_GROWTH * bytes;
}

static Status read_group(Parquet *p, Thrift *t, int64_t g) {
    ThriftField f = {0};
    int64_t n_rows = -1, n_columns = -1;
    ParquetChunk *chunks = p->chunks + g * p->n_leaves;
    while (thrift_field(t, &f)) {
        if (f.id == 3) {
            n_rows = thrift_int(t, &f);
        } else if (f.id == 1 && n_columns < 0) {
            n_columns = thrift_structs(t, &f);
            if (n_columns != p->n_leaves)
                return fail_footer(p, "has a row group with other columns than the schema");
            for (int32_t i = 0; i < p->n_leaves; i++) TRY(read_chunk(p, t, &chunks[i], i));
        } else {
            thrift_skip(t, &f);
        }
    }
    if (t->bad || n_rows < 0 || n_columns < 0) return fail_footer(p, "is damaged");
    size_t most = allowance(p, g);
    for (int32_t i = 0; i < p->n_leaves; i++)
        if (chunks[i].n_levels < n_rows || (size_t)chunks[i].n_levels > most)
            return fail_footer(p, "tells of more values than the file can hold");
    p->group_start[g + 1] = p->group_start[g] + n_rows;
    return OK;
}

static Status read_groups(Parquet *p, Thrift *t, const ThriftField *f) {
    int64_t n = thrift_structs(t, f);
    size_t chunks;
    if (t->bad || !p->nodes || p->chunks) return fail_footer(p, "is damaged");
    /* each column of each group takes bytes in the footer */
    if (!mem_mul(&chunks, (size_t)n, (size_t)p->n_leaves) || chunks > (size_t)(t->end - t->at))
        return fail_footer(p, "is damaged");
    p->chunks = mem_zalloc(chunks, sizeof *p->chunks);
    p->group_start = mem_zalloc((size_t)n + 1, sizeof *p->group_start);
    p->n_groups = n;
    for (int64_t g = 0; g < n; g++) TRY(read_group(p, t, g));
    return OK;
}

static Status read_footer(Parquet *p, Thrift *t) {
    ThriftField f = {0};
    int64_t n_rows = -1;
    while (thrift_field(t, &f)) {
        if (f.id == 2)
            TRY(parquet_schema(p, t, &f));
        else if (f.id == 3)
            n_rows = thrift_int(t, &f);
        else if (f.id == 4)
            TRY(read_groups(p, t, &f));
        else
            thrift_skip(t, &f);
    }
    if (t->bad || !p->chunks) return fail_footer(p, "is damaged");
    if (n_rows != p->group_start[p->n_groups])
        return fail_footer(p, "tells of other rows than its row groups hold");
    return OK;
}

static Status find_footer(Parquet *p, Thrift *out, size_t n) {
    uint32_t length;
    const unsigned char *end = p->data + n;
    if (n < TAIL + sizeof MAGIC - 1 || memcmp(end - 4, MAGIC, 4) != 0)
        return fail_footer(p, "is missing: the file is cut off");
    memcpy(&length, end - TAIL, 4);
    if (length > n - TAIL - (sizeof MAGIC - 1)) return fail_footer(p, "is damaged");
    p->size = n - TAIL - length;
    *out = (Thrift){p->data + p->size, end - TAIL, false};
    return OK;
}

Status parquet_open(Parquet **out, const char *path, const void *data, size_t n) {
    *out = NULL;
    Thrift t;
    Parquet *p = mem_zalloc(1, sizeof *p);
    p->path = path;
    p->data = data;
    CHECK(pthread_mutex_init(&p->lock, NULL) == 0, "no lock for %s", path);
    Status st = find_footer(p, &t, n);
    if (st == OK) st = read_footer(p, &t);
    if (st == OK)
        *out = p;
    else
        parquet_close(p);
    return st;
}

/* ---- row groups ---- */

static void group_release(ParquetGroup *g) {
    if (!g || --g->n_users > 0) return;
    parquet_pool_free(&g->pool);
    mem_free(g->columns);
    mem_free(g->error);
    mem_free(g);
}

void parquet_close(Parquet *p) {
    if (!p) return;
    for (size_t i = 0; i < sizeof p->recent / sizeof *p->recent; i++) group_release(p->recent[i]);
    for (int32_t i = 0; i < p->n_nodes; i++) mem_free(p->nodes[i].name);
    pthread_mutex_destroy(&p->lock);
    mem_free(p->nodes);
    mem_free(p->leaf);
    mem_free(p->chunks);
    mem_free(p->group_start);
    mem_free(p);
}

static ParquetGroup *group_load(const Parquet *p, int64_t index) {
    ParquetGroup *g = mem_zalloc(1, sizeof *g);
    Status st = OK;
    g->index = index;
    g->n_rows = p->group_start[index + 1] - p->group_start[index];
    g->pool.left = allowance(p, index);
    g->columns = mem_zalloc((size_t)p->n_leaves, sizeof *g->columns);
    for (int32_t i = 0; i < p->n_leaves && st == OK; i++)
        st = parquet_read_column(&g->columns[i], p, g, i);
    if (st != OK) g->error = mem_strdup(status_message());
    return g;
}

/* Threads that go on in step ask for the rows of at most two groups. The last one is recent[0]. */
static ParquetGroup *group_acquire(Parquet *p, int64_t index) {
    pthread_mutex_lock(&p->lock);
    ParquetGroup *g = p->recent[0];
    if (!g || g->index != index) {
        ParquetGroup *other = p->recent[1];
        p->recent[1] = g;
        if (other && other->index == index) {
            g = other;
        } else {
            group_release(other);
            g = group_load(p, index);
            g->n_users = 1;
        }
        p->recent[0] = g;
    }
    g->n_users++;
    pthread_mutex_unlock(&p->lock);
    return g;
}

static int64_t group_of(const Parquet *p, int64_t row) {
    int64_t low = 0, high = p->n_groups; /* group_start[low] <= row < group_start[high] */
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (p->group_start[middle] <= row)
            low = middle;
        else
            high = middle;
    }
    return low;
}

int64_t parquet_rows(const Parquet *p) {
    return p->group_start[p->n_groups];
}

Status parquet_row(Json **out, Parquet *p, int64_t row) {
    *out = NULL;
    CHECK(row >= 0 && row < parquet_rows(p), "row %lld", (long long)row);
    ParquetGroup *g = group_acquire(p, group_of(p, row));
    Status st = g->error ? status_fail(ERR_DATA, "%s", g->error)
                         : parquet_assemble(out, p, g, row - p->group_start[g->index]);
    pthread_mutex_lock(&p->lock);
    group_release(g);
    pthread_mutex_unlock(&p->lock);
    return st;
}
