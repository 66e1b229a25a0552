#include "core/io/h5.h"

#include "core/check.h"
#include "core/io/h5_types.h"
#include "core/mem.h"

#include <stdlib.h>
#include <string.h>

/* The core driver probes its file name with open(2) even without a file behind it: this one can be
 * neither opened nor made. */
#define NO_SUCH_FILE "/dev/null/hone.h5"
#define GROW_BYTES ((size_t)1 << 20)

/* The image while HDF5 builds it. At close HDF5 wants to free it; then it is ours. */
typedef struct Capture {
    unsigned char *memory;
    size_t size; /* as grown; the file inside is shorter */
    bool closed;
} Capture;

struct H5Writer {
    hid_t file, dataset_plan, group_plan; /* -1 when closed */
    H5Types types;
    Capture capture;
};

/* ---- the image callbacks ---- */

/* Plain malloc here: HDF5 turns NULL into an error, while leaving the process from inside it is
 * unsafe. New memory is cleared: HDF5 1.10 was seen to write every byte of its files, and should a
 * later one leave gaps, equal contents still give equal bytes. */
static void *image_realloc(void *memory, size_t size, H5FD_file_image_op_t op, void *udata) {
    (void)op;
    Capture *c = udata;
    unsigned char *grown = realloc(memory, size == 0 ? 1 : size);
    if (!grown) return NULL;
    if (size > c->size) memset(grown + c->size, 0, size - c->size);
    c->memory = grown;
    c->size = size;
    return grown;
}

static void *image_malloc(size_t size, H5FD_file_image_op_t op, void *udata) {
    return image_realloc(NULL, size, op, udata);
}

static void *image_memcpy(void *dst, const void *src, size_t size, H5FD_file_image_op_t op,
                          void *udata) {
    (void)op, (void)udata;
    return memcpy(dst, src, size);
}

static herr_t image_free(void *memory, H5FD_file_image_op_t op, void *udata) {
    (void)memory, (void)op;
    ((Capture *)udata)->closed = true;
    return 0;
}

static void *udata_copy(void *udata) {
    return udata;
}

static herr_t udata_free(void *udata) {
    (void)udata;
    return 0;
}

static hid_t open_memory_file(Capture *c) {
    H5FD_file_image_callbacks_t callbacks = {
        image_malloc, image_memcpy, image_realloc, image_free, udata_copy, udata_free, c};
    hid_t access = H5Pcreate(H5P_FILE_ACCESS), plan = H5Pcreate(H5P_FILE_CREATE);
    H5Pset_fapl_core(access, GROW_BYTES, false);
    H5Pset_file_image_callbacks(access, &callbacks);
    H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110);
    H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
    H5Pset_obj_track_times(plan, false); /* no clock in the file */
    hid_t file = H5Fcreate(NO_SUCH_FILE, H5F_ACC_TRUNC, plan, access);
    H5Pclose(plan);
    H5Pclose(access);
    return file;
}

/* ---- writing ---- */

/* Names and arguments are checked before, so what is left to go wrong is memory. */
static Status fail_build(const char *what) {
    return status_fail(ERR_OS, "not enough memory to build the HDF5 image (%s)", what);
}

Status h5_writer_open(H5Writer **out) {
    h5_start();
    H5Writer *w = mem_zalloc(1, sizeof *w);
    h5_types_open(&w->types);
    w->dataset_plan = H5Pcreate(H5P_DATASET_CREATE);
    w->group_plan = H5Pcreate(H5P_GROUP_CREATE);
    H5Pset_obj_track_times(w->dataset_plan, false);
    H5Pset_obj_track_times(w->group_plan, false);
    w->file = open_memory_file(&w->capture);
    if (w->file < 0) {
        h5_writer_close(w);
        *out = NULL;
        return fail_build("the file itself");
    }
    *out = w;
    return OK;
}

static bool exists(const H5Writer *w, const char *path) {
    return H5Lexists(w->file, path, H5P_DEFAULT) > 0;
}

static Status make_group(H5Writer *w, const char *path) {
    if (exists(w, path)) return OK;
    hid_t group = H5Gcreate2(w->file, path, H5P_DEFAULT, w->group_plan, H5P_DEFAULT);
    if (group < 0) return fail_build(path);
    H5Gclose(group);
    return OK;
}

/* The groups above "a/b/c": "a", "a/b". HDF5 would make them too, but with the time in them. */
static Status make_groups_above(H5Writer *w, const char *path) {
    CHECK(path[0] != '\0' && path[0] != '/' && !strstr(path, "//"), "path `%s`", path);
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        char *group = mem_strndup(path, (size_t)(slash - path));
        Status st = make_group(w, group);
        mem_free(group);
        TRY(st);
    }
    return OK;
}

static hid_t make_space(int rank, const int64_t *shape) {
    hsize_t extents[TENSOR_MAX_RANK] = {0};
    if (rank == 0) return H5Screate(H5S_SCALAR);
    for (int i = 0; i < rank; i++) extents[i] = (hsize_t)shape[i];
    return H5Screate_simple(rank, extents, NULL);
}

Status h5_put(H5Writer *w, const char *path, Tensor t) {
    CHECK(w->file >= 0 && t.layout == LAYOUT_ROW, "%s: writer closed or layout %d", path,
          (int)t.layout);
    TRY(make_groups_above(w, path));
    CHECK(!exists(w, path), "%s is written twice", path);
    hid_t space = make_space(t.rank, t.shape), type = w->types.of[t.dtype];
    hid_t set = H5Dcreate2(w->file, path, type, space, H5P_DEFAULT, w->dataset_plan, H5P_DEFAULT);
    bool empty = tensor_numel(t) == 0;
    Status st = OK;
    if (set < 0 || (!empty && H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, t.data) < 0))
        st = fail_build(path);
    if (set >= 0 && H5Dclose(set) < 0 && st == OK) st = fail_build(path);
    H5Sclose(space);
    return st;
}

static Status put_attr(H5Writer *w, const char *path, const char *key, hid_t type,
                       const void *value) {
    CHECK(w->file >= 0, "%s: writer closed", path);
    const char *object = path[0] ? path : ".";
    if (path[0]) {
        TRY(make_groups_above(w, path));
        TRY(make_group(w, path));
    }
    bool there = H5Aexists_by_name(w->file, object, key, H5P_DEFAULT) > 0;
    CHECK(!there, "attribute %s of `%s` is written twice", key, path);
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attr =
        H5Acreate_by_name(w->file, object, key, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    Status st = attr >= 0 && H5Awrite(attr, type, value) >= 0 ? OK : fail_build(key);
    if (attr >= 0) H5Aclose(attr);
    H5Sclose(space);
    return st;
}

Status h5_put_attr_str(H5Writer *w, const char *path, const char *key, const char *value) {
    size_t n = strlen(value);
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, n == 0 ? 1 : n); /* no empty type; the padding NUL does not count */
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    H5Tset_cset(type, H5T_CSET_UTF8);
    Status st = put_attr(w, path, key, type, value);
    H5Tclose(type);
    return st;
}

Status h5_put_attr_i64(H5Writer *w, const char *path, const char *key, int64_t value) {
    return put_attr(w, path, key, w->types.of[DTYPE_I64], &value);
}

Status h5_put_attr_f64(H5Writer *w, const char *path, const char *key, double value) {
    return put_attr(w, path, key, w->types.of[DTYPE_F64], &value);
}

/* The superblock (versions 2 and 3) says where the file ends: 8 bytes at offset 28, after the
 * signature, four single bytes and two addresses. */
static size_t end_of_file(const Capture *c) {
    uint64_t end = 0;
    CHECK(c->size >= 48 && c->memory[8] >= 2 && c->memory[9] == 8, "superblock version %d",
          c->size >= 48 ? c->memory[8] : -1);
    for (int i = 7; i >= 0; i--) end = end << 8 | c->memory[28 + i];
    CHECK(end <= c->size, "file of %llu bytes in %zu", (unsigned long long)end, c->size);
    return (size_t)end;
}

Status h5_writer_finish(H5Writer *w, void **image, size_t *bytes) {
    CHECK(w->file >= 0, "finished twice");
    *image = NULL;
    *bytes = 0;
    herr_t rc = H5Fclose(w->file);
    w->file = -1;
    if (rc < 0 || !w->capture.closed) return fail_build("closing");
    *bytes = end_of_file(&w->capture);
    *image = w->capture.memory;
    w->capture = (Capture){0};
    return OK;
}

void h5_writer_close(H5Writer *w) {
    if (!w) return;
    if (w->file >= 0) H5Fclose(w->file);
    H5Pclose(w->dataset_plan);
    H5Pclose(w->group_plan);
    h5_types_close(&w->types);
    free(w->capture.memory);
    mem_free(w);
}
