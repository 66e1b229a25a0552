#include "core/io/torch_file.h"

#include "core/io/pickle.h"
#include "core/io/zip.h"
#include "core/mem.h"
#include "core/str.h"

#include <string.h>

#define PICKLE_MAX_BYTES ((size_t)64 << 20)
#define PICKLE_NAME "data.pkl"

struct TorchFile {
    char *path;
    FileMap map;
    Zip zip;
    Pickle pickle; /* the entries' names are its */
    TensorEntry *entries;
    int64_t n_entries;
};

/* The pickle of the number that the old format begins with, protocol 2. */
static bool is_old_format(const FileMap *m) {
    static const unsigned char magic[] = {0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c,
                                          0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};
    return m->size >= sizeof magic && memcmp(m->data, magic, sizeof magic) == 0;
}

static const ZipEntry *find_pickle(const Zip *z) {
    for (size_t i = 0; i < z->n_entries; i++) {
        const char *slash = strchr(z->entries[i].name, '/');
        if (slash && str_equal(slash + 1, PICKLE_NAME)) return &z->entries[i];
    }
    return NULL;
}

static const ZipEntry *find_beside(const Zip *z, const ZipEntry *pickle, const char *name) {
    size_t root = strlen(pickle->name) - strlen(PICKLE_NAME);
    char *full = str_format("%.*s%s", (int)root, pickle->name, name);
    const ZipEntry *e = zip_find(z, full);
    mem_free(full);
    return e;
}

/* ---- one tensor ---- */

static Status fail_tensor(const TorchFile *f, const PickleTensor *t, const char *what) {
    return status_fail(ERR_DATA, "%s: tensor `%.200s`: %s", f->path, t->name, what);
}

/* The axis of the next larger step: a stride of `step` and more than one element; -1: none. */
static int axis_of_step(const PickleTensor *t, uint64_t step, unsigned done) {
    for (int i = t->rank - 1; i >= 0; i--)
        if (!(done >> i & 1) && (uint64_t)t->stride[i] == step) return i;
    return -1;
}

/* Do the elements fill a piece of the storage, each once, in whatever order of the axes? *count:
 * how many; *in_order: row by row. */
static Status check_layout(const TorchFile *f, const PickleTensor *t, size_t *count,
                           bool *in_order) {
    unsigned done = 0;
    *count = 1;
    for (int i = 0; i < t->rank; i++) {
        if (t->shape[i] == 1) done |= 1U << i; /* its stride means nothing */
        if (!mem_mul(count, *count, (size_t)t->shape[i]))
            return fail_tensor(f, t, "the number of elements overflows");
    }
    *in_order = true;
    if (*count == 0) return OK;
    size_t step = 1;
    for (int left = t->rank, before = t->rank; left > 0; left--) {
        if (done == (1U << t->rank) - 1) break;
        int i = axis_of_step(t, step, done);
        if (i < 0) return fail_tensor(f, t, "its axes are neither in order nor transposed");
        if (i > before) *in_order = false;
        before = i;
        done |= 1U << i;
        step *= (size_t)t->shape[i];
    }
    return OK;
}

static Status find_storage(const TorchFile *f, const PickleTensor *t, const ZipEntry *pickle,
                           const ZipEntry **out) {
    char *name = str_format("data/%s", t->storage);
    const ZipEntry *e = find_beside(&f->zip, pickle, name);
    mem_free(name);
    *out = e;
    size_t bytes;
    if (!e) return fail_tensor(f, t, "its storage is missing; is the file cut short?");
    if (!mem_mul(&bytes, (size_t)t->n_stored, t->item_bytes) || bytes != e->bytes)
        return status_fail(
            ERR_DATA, "%s: tensor `%.200s`: its storage has %zu bytes, not %llu x %zu", f->path,
            t->name, e->bytes, (unsigned long long)t->n_stored, t->item_bytes);
    return OK;
}

static Status add_entry(TorchFile *f, const PickleTensor *t, const ZipEntry *pickle) {
    const ZipEntry *storage = NULL;
    size_t count = 0;
    bool in_order = true;
    TRY(check_layout(f, t, &count, &in_order));
    TRY(find_storage(f, t, pickle, &storage));
    if (t->offset > t->n_stored || count > t->n_stored - t->offset)
        return fail_tensor(f, t, "reaches out of its storage");
    TensorEntry *e = &f->entries[f->n_entries++];
    *e = (TensorEntry){.name = t->name,
                       .dtype = t->dtype,
                       .dtype_name = t->type,
                       .rank = t->rank,
                       .bytes = count * t->item_bytes,
                       .file = f->path,
                       .stored = storage->data + (size_t)t->offset * t->item_bytes};
    memcpy(e->shape, t->shape, sizeof t->shape);
    memcpy(e->stride, t->stride, sizeof t->stride);
    if (in_order) e->data = e->stored;
    return OK;
}

/* ---- all of them ---- */

static Status read_entries(TorchFile *f) {
    const ZipEntry *pickle = find_pickle(&f->zip);
    if (!pickle)
        return status_fail(
            ERR_DATA, "%s: a ZIP file without " PICKLE_NAME "; torch.save wrote it not", f->path);
    if (pickle->bytes > PICKLE_MAX_BYTES)
        return status_fail(ERR_DATA, "%s: " PICKLE_NAME " has %zu bytes; at most %zu are read",
                           f->path, pickle->bytes, PICKLE_MAX_BYTES);
    const ZipEntry *order = find_beside(&f->zip, pickle, "byteorder");
    if (order && (order->bytes != 6 || memcmp(order->data, "little", 6) != 0))
        return status_fail(
            ERR_DATA, "%s: its byte order is not `little`; save it on such a machine", f->path);
    TRY(pickle_read(&f->pickle, pickle->data, pickle->bytes, f->path));
    f->entries = mem_zalloc(f->pickle.n_tensors, sizeof *f->entries);
    for (size_t i = 0; i < f->pickle.n_tensors; i++)
        TRY(add_entry(f, &f->pickle.tensors[i], pickle));
    tensor_entries_sort(f->entries, f->n_entries);
    for (int64_t i = 1; i < f->n_entries; i++)
        if (str_equal(f->entries[i].name, f->entries[i - 1].name))
            return status_fail(ERR_DATA, "%s: tensor `%.200s` is there twice", f->path,
                               f->entries[i].name);
    return OK;
}

static Status open_file(TorchFile *f, const char *path) {
    f->path = mem_strdup(path);
    TRY(file_map(&f->map, path));
    if (is_old_format(&f->map))
        return status_fail(ERR_DATA,
                           "%s: the format that torch wrote before 1.6; load it in torch and save "
                           "it again, best as safetensors",
                           path);
    TRY(zip_open(&f->zip, &f->map, path));
    return read_entries(f);
}

Status torch_file_open(TorchFile **out, const char *path) {
    TorchFile *f = mem_zalloc(1, sizeof *f);
    Status st = open_file(f, path);
    if (st != OK) {
        torch_file_close(f);
        f = NULL;
    }
    *out = f;
    return st;
}

void torch_file_close(TorchFile *f) {
    if (!f) return;
    mem_free(f->entries);
    pickle_close(&f->pickle);
    zip_close(&f->zip);
    file_unmap(&f->map);
    mem_free(f->path);
    mem_free(f);
}

const TensorEntry *torch_file_entries(const TorchFile *f, int64_t *n) {
    *n = f->n_entries;
    return f->entries;
}
