/* APPNOTE.TXT of PKWARE 6.3.10, sections 4.3 and 4.5.3. */
#include "core/io/zip.h"

#include "core/io/little.h"
#include "core/mem.h"

#include <stdlib.h>
#include <string.h>

#define END_BYTES 22U /* end of central directory, without its comment */
#define END_COMMENT_MAX 65535U
#define LOCATOR_BYTES 20U /* stands right before it in a ZIP64 */
#define END64_BYTES 56U
#define CENTRAL_BYTES 46U /* a file's entry in the directory, without name, extra, comment */
#define LOCAL_BYTES 30U   /* what stands before its bytes */
#define EXTRA_ZIP64 1U
#define ENTRIES_MAX 1000000U
#define FLAG_ENCRYPTED 1U
#define NO_U32 0xffffffffU /* the number stands in the ZIP64 part */

typedef struct Directory {
    uint64_t at, bytes, n_entries;
} Directory;

static Status damaged(const char *path, const char *what) {
    return status_fail(ERR_DATA, "%s: damaged ZIP file: %s; get it again", path, what);
}

static bool signed_by(const unsigned char *p, const char *two) {
    return p[0] == 'P' && p[1] == 'K' && p[2] == (unsigned char)two[0] &&
           p[3] == (unsigned char)two[1];
}

/* ---- where the directory is ---- */

static const unsigned char *find_end(const FileMap *m) {
    if (m->size < END_BYTES) return NULL;
    size_t most = m->size - END_BYTES < END_COMMENT_MAX ? m->size - END_BYTES : END_COMMENT_MAX;
    const unsigned char *last = m->data + m->size - END_BYTES;
    for (size_t back = 0; back <= most; back++) {
        const unsigned char *p = last - back;
        if (signed_by(p, "\5\6") && little_u16(p + 20) == back) return p;
    }
    return NULL;
}

static Status read_end64(Directory *d, const FileMap *m, const unsigned char *end,
                         const char *path) {
    size_t before = (size_t)(end - m->data);
    if (before < LOCATOR_BYTES || !signed_by(end - LOCATOR_BYTES, "\6\7")) return OK;
    uint64_t at = little_u64(end - LOCATOR_BYTES + 8);
    if (at > before || before - at < LOCATOR_BYTES + END64_BYTES ||
        !signed_by(m->data + at, "\6\6"))
        return damaged(path, "the end of its ZIP64 directory is not where it should be");
    const unsigned char *p = m->data + at;
    *d = (Directory){
        .n_entries = little_u64(p + 32), .bytes = little_u64(p + 40), .at = little_u64(p + 48)};
    return OK;
}

static Status find_directory(Directory *d, const FileMap *m, const char *path) {
    const unsigned char *end = find_end(m);
    if (!end)
        return status_fail(ERR_DATA, "%s: not a whole ZIP file: it has no directory at its end",
                           path);
    *d = (Directory){.n_entries = little_u16(end + 10),
                     .bytes = little_u32(end + 12),
                     .at = little_u32(end + 16)};
    TRY(read_end64(d, m, end, path));
    size_t before = (size_t)(end - m->data);
    if (d->at > before || d->bytes > before - d->at)
        return damaged(path, "its directory lies outside of it");
    if (d->n_entries > ENTRIES_MAX || d->n_entries * CENTRAL_BYTES > d->bytes)
        return damaged(path, "its directory is too short for the entries it counts");
    return OK;
}

/* ---- an entry ---- */

/* Numbers that do not fit 32 bits, in this order, only those that are marked. */
static bool read_extra(uint64_t *numbers[3], const unsigned char *extra, size_t n) {
    while (n >= 4) {
        size_t id = little_u16(extra), bytes = little_u16(extra + 2);
        if (bytes > n - 4) return false;
        const unsigned char *p = extra + 4;
        for (size_t i = 0; id == EXTRA_ZIP64 && i < 3; i++) {
            if (*numbers[i] != NO_U32) continue;
            if (bytes < 8) return false;
            *numbers[i] = little_u64(p);
            p += 8;
            bytes -= 8;
        }
        if (id == EXTRA_ZIP64) return true;
        extra += 4 + bytes;
        n -= 4 + bytes;
    }
    return *numbers[0] != NO_U32 && *numbers[1] != NO_U32 && *numbers[2] != NO_U32;
}

static Status fail_entry(const char *path, const ZipEntry *e, const char *what) {
    return status_fail(ERR_DATA, "%s: entry `%.200s`: %s", path, e->name, what);
}

/* Its bytes stand behind a header of its own, whose name and extra part may have other lengths than
 * in the directory. */
static Status find_bytes(ZipEntry *e, const FileMap *m, uint64_t at, uint64_t bytes,
                         uint64_t directory, const char *path) {
    if (at > directory || directory - at < LOCAL_BYTES || !signed_by(m->data + at, "\3\4"))
        return fail_entry(path, e, "is not where the directory says");
    const unsigned char *p = m->data + at;
    size_t name = little_u16(p + 26), extra = little_u16(p + 28);
    uint64_t room = directory - at - LOCAL_BYTES;
    if (name + extra > room || bytes > room - name - extra)
        return fail_entry(path, e, "its bytes lie outside of the file; is it cut short?");
    if (name != strlen(e->name) || memcmp(p + LOCAL_BYTES, e->name, name) != 0)
        return fail_entry(path, e, "has another name beside its bytes");
    e->data = p + LOCAL_BYTES + name + extra;
    e->bytes = (size_t)bytes;
    return OK;
}

/* Reads the entry at p[0..room) and says how long it is. */
static Status read_entry(Zip *z, size_t *used, const FileMap *m, const Directory *d,
                         const unsigned char *p, size_t room, const char *path) {
    if (room < CENTRAL_BYTES || !signed_by(p, "\1\2"))
        return damaged(path, "its directory ends too early");
    unsigned flags = little_u16(p + 8), method = little_u16(p + 10);
    size_t name = little_u16(p + 28), extra = little_u16(p + 30), comment = little_u16(p + 32);
    if (name + extra + comment > room - CENTRAL_BYTES)
        return damaged(path, "its directory ends too early");
    uint64_t packed = little_u32(p + 20), plain = little_u32(p + 24), at = little_u32(p + 42);
    *used = CENTRAL_BYTES + name + extra + comment;
    ZipEntry *e = &z->entries[z->n_entries++];
    *e = (ZipEntry){.name = mem_strndup((const char *)p + CENTRAL_BYTES, name)};
    if (strlen(e->name) != name || name == 0) return fail_entry(path, e, "has no proper name");
    if (flags & FLAG_ENCRYPTED) return fail_entry(path, e, "is encrypted");
    if (method != 0)
        return fail_entry(path, e,
                          "is compressed; torch.save stores its files as they are: save it again "
                          "with torch");
    if (!read_extra((uint64_t *[]){&plain, &packed, &at}, p + CENTRAL_BYTES + name, extra))
        return fail_entry(path, e, "has a damaged ZIP64 part");
    if (packed != plain) return fail_entry(path, e, "is stored, but has two sizes");
    return find_bytes(e, m, at, plain, d->at, path);
}

/* ---- all of them ---- */

static int compare_names(const void *a, const void *b) {
    return strcmp(((const ZipEntry *)a)->name, ((const ZipEntry *)b)->name);
}

static int compare_places(const void *a, const void *b) {
    const ZipEntry *x = a, *y = b;
    uintptr_t p = (uintptr_t)x->data, q = (uintptr_t)y->data;
    if (p != q) return p < q ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

/* A file that is in two entries would make a small ZIP file into a large model. Leaves the entries
 * sorted by name. */
static Status check_entries(Zip *z, const char *path) {
    if (z->n_entries < 2) return OK;
    qsort(z->entries, z->n_entries, sizeof *z->entries, compare_places);
    for (size_t i = 1; i < z->n_entries; i++)
        if (z->entries[i].data - z->entries[i - 1].data < (ptrdiff_t)z->entries[i - 1].bytes)
            return fail_entry(path, &z->entries[i], "overlaps another entry");
    qsort(z->entries, z->n_entries, sizeof *z->entries, compare_names);
    for (size_t i = 1; i < z->n_entries; i++)
        if (compare_names(&z->entries[i], &z->entries[i - 1]) == 0)
            return fail_entry(path, &z->entries[i], "is there twice");
    return OK;
}

Status zip_open(Zip *z, const FileMap *map, const char *path) {
    Directory d = {0};
    *z = (Zip){0};
    TRY(find_directory(&d, map, path));
    z->entries = mem_zalloc((size_t)d.n_entries, sizeof *z->entries);
    size_t done = 0;
    for (uint64_t i = 0; i < d.n_entries; i++) {
        size_t used = 0;
        TRY(read_entry(z, &used, map, &d, map->data + d.at + done, (size_t)d.bytes - done, path));
        done += used;
    }
    return check_entries(z, path);
}

void zip_close(Zip *z) {
    for (size_t i = 0; i < z->n_entries; i++) mem_free(z->entries[i].name);
    mem_free(z->entries);
    *z = (Zip){0};
}

const ZipEntry *zip_find(const Zip *z, const char *name) {
    if (z->n_entries == 0) return NULL;
    ZipEntry key = {.name = (char *)(uintptr_t)name};
    return bsearch(&key, z->entries, z->n_entries, sizeof *z->entries, compare_names);
}
