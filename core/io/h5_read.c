#include "core/check.h"
#include "core/file.h"
#include "core/io/h5.h"
#include "core/io/h5_types.h"
#include "core/mem.h"
#include "core/str.h"

#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 32 /* of groups: a damaged file can hold a circle */
#define MAX_OBJECTS 200000

struct H5Reader {
    char *name; /* for messages */
    hid_t file;
    H5Types types;
    H5Entry *entries; /* by path */
    int64_t n_entries, n_objects;
};

static Status fail_file(const H5Reader *r, const char *path, const char *what) {
    return status_fail(ERR_DATA, "%s: `%s`: %s", r->name, path, what);
}

/* ---- the walk: what is in the file, and nothing that reaches out of it ---- */

static Status check_storage(const H5Reader *r, const char *path, hid_t set) {
    hid_t plan = H5Dget_create_plist(set);
    if (plan < 0) return fail_file(r, path, "is damaged");
    Status st = OK;
    H5D_layout_t layout = H5Pget_layout(plan);
    if (layout != H5D_COMPACT && layout != H5D_CONTIGUOUS && layout != H5D_CHUNKED)
        st = fail_file(r, path, "virtual datasets are not read");
    else if (H5Pget_external_count(plan) != 0)
        st = fail_file(r, path, "data in other files are not read");
    else if (H5Pget_nfilters(plan) != 0)
        st = fail_file(r, path, "filtered (compressed) data are not read");
    H5Pclose(plan);
    return st;
}

static DType dtype_of(const H5Reader *r, hid_t set) {
    DType found = DTYPE_NONE;
    hid_t type = H5Dget_type(set);
    for (int i = DTYPE_NONE + 1; i < DTYPE_COUNT && found == DTYPE_NONE; i++)
        if (H5Tequal(type, r->types.of[i]) > 0) found = (DType)i;
    if (type >= 0) H5Tclose(type);
    return found;
}

static Status read_shape(const H5Reader *r, H5Entry *e, hid_t set) {
    hsize_t extents[TENSOR_MAX_RANK] = {0};
    hid_t space = H5Dget_space(set);
    int rank = space < 0 ? -1 : H5Sget_simple_extent_ndims(space);
    bool good =
        rank >= 0 && rank <= TENSOR_MAX_RANK && H5Sget_simple_extent_type(space) != H5S_NULL;
    if (good) good = H5Sget_simple_extent_dims(space, extents, NULL) >= 0;
    if (space >= 0) H5Sclose(space);
    if (!good) return fail_file(r, e->path, "has no shape that can be read (at most 4 axes)");
    e->rank = rank;
    size_t total = 1;
    for (int i = 0; i < rank; i++) {
        if (extents[i] > INT64_MAX || !mem_mul(&total, total, (size_t)extents[i]))
            return fail_file(r, e->path, "its size overflows");
        e->shape[i] = (int64_t)extents[i];
    }
    return OK;
}

/* Takes `path`. */
static Status add_dataset(H5Reader *r, char *path) {
    H5Entry e = {.path = path};
    hid_t set = H5Dopen2(r->file, path, H5P_DEFAULT);
    Status st = set >= 0 ? check_storage(r, path, set) : fail_file(r, path, "is damaged");
    if (st == OK) st = read_shape(r, &e, set);
    if (st == OK) e.dtype = dtype_of(r, set);
    if (set >= 0) H5Dclose(set);
    if (st != OK) {
        mem_free(path);
        return st;
    }
    r->entries = mem_realloc(r->entries, (size_t)r->n_entries + 1, sizeof *r->entries);
    r->entries[r->n_entries++] = e;
    return OK;
}

typedef struct Walk {
    H5Reader *r;
    const char *folder; /* path of the group, "" for the root */
    int depth;
    Status st;
} Walk;

static Status walk_group(H5Reader *r, const char *path, int depth);

/* Takes `path`. */
static Status visit_object(H5Reader *r, char *path, int depth) {
    H5O_info_t info;
    Status st;
    if (++r->n_objects > MAX_OBJECTS)
        st = fail_file(r, path, "too many objects for a file of this program");
    else if (H5Oget_info_by_name2(r->file, path, &info, H5O_INFO_BASIC, H5P_DEFAULT) < 0)
        st = fail_file(r, path, "is damaged");
    else if (info.type == H5O_TYPE_DATASET)
        return add_dataset(r, path);
    else if (info.type == H5O_TYPE_GROUP)
        st = walk_group(r, path, depth + 1);
    else
        st = fail_file(r, path, "is neither a dataset nor a group");
    mem_free(path);
    return st;
}

static herr_t visit_link(hid_t group, const char *name, const H5L_info_t *link, void *data) {
    (void)group;
    Walk *w = data;
    char *path = file_join(w->folder, name);
    if (link->type != H5L_TYPE_HARD) {
        w->st = fail_file(w->r, path, "soft and external links are not followed");
        mem_free(path);
    } else {
        w->st = visit_object(w->r, path, w->depth);
    }
    return w->st == OK ? 0 : 1; /* 1 ends the iteration */
}

static Status walk_group(H5Reader *r, const char *path, int depth) {
    if (depth > MAX_DEPTH) return fail_file(r, path, "groups nest too deep");
    Walk w = {.r = r, .folder = path, .depth = depth};
    herr_t rc = H5Literate_by_name(r->file, path[0] ? path : ".", H5_INDEX_NAME, H5_ITER_INC, NULL,
                                   visit_link, &w, H5P_DEFAULT);
    if (w.st != OK) return w.st;
    return rc < 0 ? fail_file(r, path, "is damaged") : OK;
}

/* ---- opening ---- */

static int compare_paths(const void *a, const void *b) {
    return strcmp(((const H5Entry *)a)->path, ((const H5Entry *)b)->path);
}

static int compare_with_path(const void *path, const void *entry) {
    return strcmp(path, ((const H5Entry *)entry)->path);
}

/* Takes the file access list. */
static Status open_with(H5Reader **out, const char *name, const char *path, hid_t access) {
    H5Reader *r = mem_zalloc(1, sizeof *r);
    r->name = mem_strdup(name);
    h5_types_open(&r->types);
    H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
    r->file = H5Fopen(path, H5F_ACC_RDONLY, access);
    H5Pclose(access);
    Status st = r->file >= 0 ? walk_group(r, "", 0)
                             : status_fail(ERR_DATA, "%s: not an HDF5 file, or damaged", name);
    if (st != OK) {
        h5_close(r);
        return st;
    }
    if (r->n_entries > 1)
        qsort(r->entries, (size_t)r->n_entries, sizeof *r->entries, compare_paths);
    *out = r;
    return OK;
}

Status h5_open(H5Reader **out, const char *path) {
    *out = NULL;
    if (!file_exists(path)) return status_fail(ERR_INPUT, "%s: no such file", path);
    if (!file_is_regular(path)) return status_fail(ERR_DATA, "%s: is not a file", path);
    h5_start();
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_file_locking(access, false,
                        true); /* network file systems often cannot; lock.h does it */
    return open_with(out, path, path, access);
}

Status h5_open_image(H5Reader **out, const char *name, const void *image, size_t bytes) {
    *out = NULL;
    h5_start();
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fapl_core(access, 1 << 16, false);
    /* HDF5 copies the image and does not write to it; its argument is not const all the same. */
    if (bytes == 0 || H5Pset_file_image(access, (void *)(uintptr_t)image, bytes) < 0) {
        H5Pclose(access);
        return status_fail(ERR_DATA, "%s: not an HDF5 file, or damaged", name);
    }
    return open_with(out, name, "/dev/null/hone.h5", access);
}

void h5_close(H5Reader *r) {
    if (!r) return;
    if (r->file >= 0) H5Fclose(r->file);
    h5_types_close(&r->types);
    for (int64_t i = 0; i < r->n_entries; i++) mem_free((void *)(uintptr_t)r->entries[i].path);
    mem_free(r->entries);
    mem_free(r->name);
    mem_free(r);
}

/* ---- reading ---- */

int64_t h5_count(const H5Reader *r) {
    return r->n_entries;
}

const H5Entry *h5_at(const H5Reader *r, int64_t i) {
    CHECK(i >= 0 && i < r->n_entries, "%lld of %lld", (long long)i, (long long)r->n_entries);
    return &r->entries[i];
}

const H5Entry *h5_find(const H5Reader *r, const char *path) {
    if (r->n_entries == 0) return NULL;
    return bsearch(path, r->entries, (size_t)r->n_entries, sizeof *r->entries, compare_with_path);
}

Status h5_get(const H5Reader *r, const char *path, Tensor dst) {
    const H5Entry *e = h5_find(r, path);
    if (!e) return fail_file(r, path, "is missing");
    Tensor there = {.dtype = e->dtype, .rank = e->rank};
    memcpy(there.shape, e->shape, sizeof there.shape);
    if (e->dtype != dst.dtype || !tensor_same_shape(there, dst)) {
        char found[96], wanted[96];
        return status_fail(ERR_DATA, "%s: `%s` is %s, expected %s", r->name, path,
                           tensor_describe(found, sizeof found, there),
                           tensor_describe(wanted, sizeof wanted, dst));
    }
    if (tensor_numel(dst) == 0) return OK;
    hid_t set = H5Dopen2(r->file, path, H5P_DEFAULT);
    herr_t rc = -1;
    if (set >= 0) rc = H5Dread(set, r->types.of[e->dtype], H5S_ALL, H5S_ALL, H5P_DEFAULT, dst.data);
    if (set >= 0) H5Dclose(set);
    return rc < 0 ? fail_file(r, path, "cannot be read; the file is damaged") : OK;
}

/* Opens the attribute; it must be a scalar. */
static Status open_attr(hid_t *out, const H5Reader *r, const char *path, const char *key) {
    *out = H5Aopen_by_name(r->file, path[0] ? path : ".", key, H5P_DEFAULT, H5P_DEFAULT);
    if (*out < 0)
        return status_fail(ERR_DATA, "%s: attribute `%s` of `%s` is missing", r->name, key, path);
    hid_t space = H5Aget_space(*out);
    bool scalar = space >= 0 && H5Sget_simple_extent_npoints(space) == 1;
    if (space >= 0) H5Sclose(space);
    if (scalar) return OK;
    H5Aclose(*out);
    return status_fail(ERR_DATA, "%s: attribute `%s` of `%s` is not one value", r->name, key, path);
}

static Status fail_attr_type(const H5Reader *r, const char *path, const char *key,
                             const char *wanted) {
    return status_fail(ERR_DATA, "%s: attribute `%s` of `%s` is not %s", r->name, key, path,
                       wanted);
}

static Status get_number(const H5Reader *r, const char *path, const char *key, DType dtype,
                         void *out) {
    hid_t attr;
    TRY(open_attr(&attr, r, path, key));
    hid_t type = H5Aget_type(attr);
    bool good = H5Tequal(type, r->types.of[dtype]) > 0 && H5Aread(attr, type, out) >= 0;
    if (type >= 0) H5Tclose(type);
    H5Aclose(attr);
    return good ? OK : fail_attr_type(r, path, key, dtype_name(dtype));
}

Status h5_get_attr_i64(int64_t *out, const H5Reader *r, const char *path, const char *key) {
    return get_number(r, path, key, DTYPE_I64, out);
}

Status h5_get_attr_f64(double *out, const H5Reader *r, const char *path, const char *key) {
    return get_number(r, path, key, DTYPE_F64, out);
}

Status h5_get_attr_str(char **out, const H5Reader *r, const char *path, const char *key) {
    hid_t attr;
    *out = NULL;
    TRY(open_attr(&attr, r, path, key));
    hid_t type = H5Aget_type(attr);
    size_t n = type >= 0 ? H5Tget_size(type) : 0;
    hsize_t stored = H5Aget_storage_size(attr);
    bool good = type >= 0 && H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0 &&
                n > 0 && n == stored;
    if (good) {
        *out = mem_alloc(n + 1);
        (*out)[n] = '\0';
        good = H5Aread(attr, type, *out) >= 0;
    }
    if (type >= 0) H5Tclose(type);
    H5Aclose(attr);
    if (good) return OK;
    mem_free(*out);
    *out = NULL;
    return fail_attr_type(r, path, key, "a text as this program writes it");
}
