#define _DEFAULT_SOURCE 1 /* madvise */
#define _XOPEN_SOURCE 700 /* realpath */
#include "core/file.h"

#include "core/io_ops.h"
#include "core/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

bool file_exists(const char *path) {
    struct stat st;
    return lstat(path, &st) == 0;
}

bool file_is_folder(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool file_is_regular(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

int64_t file_size(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 ? (int64_t)st.st_size : -1;
}

static Status fail_open(const char *path) {
    if (errno == ENOENT || errno == ENOTDIR)
        return status_fail(ERR_INPUT, "%s: no such file", path);
    return status_fail(ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
}

static Status read_fd(Str *out, int fd, const char *path, size_t max_bytes) {
    size_t start = out->len;
    for (;;) {
        str_reserve(out, 1 << 16);
        ssize_t n = read(fd, out->data + out->len, out->cap - out->len - 1);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return status_fail(ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
        if (n == 0) break;
        out->len += (size_t)n;
        if (out->len - start > max_bytes)
            return status_fail(ERR_DATA, "%s: larger than the %zu bytes that are read at most",
                               path, max_bytes);
    }
    out->data[out->len] = '\0';
    out->cap = out->len + 1; /* no slack: a text may stay long, and who looks behind it is seen */
    out->data = mem_realloc(out->data, out->cap, 1);
    return OK;
}

Status file_read(Str *out, const char *path, size_t max_bytes) {
    if (str_equal(path, "-")) return read_fd(out, STDIN_FILENO, "standard input", max_bytes);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail_open(path);
    struct stat st;
    Status status = OK;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
        status = status_fail(ERR_DATA, "%s: is a folder, not a file", path);
    else if (S_ISREG(st.st_mode) && (uint64_t)st.st_size <= max_bytes)
        str_reserve(out, (size_t)st.st_size + 1);
    if (status == OK) status = read_fd(out, fd, path, max_bytes);
    close(fd);
    return status;
}

/* Behind the file's last byte its last page goes on with zeros. Under the address sanitizer who
 * looks there is told. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
static void guard_slack(const FileMap *m, bool on) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), slack = (page - m->size % page) % page;
    if (on)
        ASAN_POISON_MEMORY_REGION(m->data + m->size, slack);
    else
        ASAN_UNPOISON_MEMORY_REGION(m->data + m->size, slack);
}
#else
static void guard_slack(const FileMap *m, bool on) {
    (void)m;
    (void)on;
}
#endif

static Status map_fd(FileMap *out, int fd, const char *path) {
    struct stat st;
    if (fstat(fd, &st) != 0)
        return status_fail(ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode)) return status_fail(ERR_DATA, "%s: is not a file", path);
    *out = (FileMap){.data = (const unsigned char *)"", .size = (size_t)st.st_size};
    if (st.st_size == 0) return OK; /* mmap refuses a length of 0 */
    void *p = mmap(NULL, out->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) {
        *out = (FileMap){0};
        return status_fail(ERR_OS, "%s: cannot be mapped: %s", path, strerror(errno));
    }
    out->data = p;
    out->mapped = true;
    guard_slack(out, true);
    return OK;
}

Status file_map(FileMap *out, const char *path) {
    *out = (FileMap){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail_open(path);
    Status st = map_fd(out, fd, path);
    close(fd); /* the mapping holds the file by itself */
    return st;
}

void file_forget(const void *p, size_t bytes) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = ((uintptr_t)p + page - 1) / page * page,
              end = ((uintptr_t)p + bytes) / page * page;
    if (first < end) (void)madvise((void *)first, end - first, MADV_DONTNEED);
}

void file_unmap(FileMap *m) {
    if (m->mapped) {
        guard_slack(m, false);
        /* munmap takes what mmap gave; the view is const only for its readers. */
        munmap((void *)(uintptr_t)m->data, m->size);
    }
    *m = (FileMap){0};
}

static Status make_folder(const char *path) {
    if (io_ops.mkdir(path, 0777) == 0 || (errno == EEXIST && file_is_folder(path))) return OK;
    if (errno == EEXIST || errno == ENOTDIR)
        return status_fail(ERR_CREATE, "%s: a file is where the folder should be", path);
    return status_fail(ERR_CREATE, "%s: the folder cannot be made: %s", path, strerror(errno));
}

Status file_make_folders(const char *path) {
    if (path[0] == '\0' || file_is_folder(path)) return OK;
    char *parent = file_folder(path);
    Status st = strcmp(parent, path) == 0 ? OK : file_make_folders(parent);
    if (st == OK) st = make_folder(path);
    mem_free(parent);
    return st;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void file_list_add(FileList *l, const char *name) {
    l->names = mem_realloc(l->names, l->count + 1, sizeof *l->names);
    l->names[l->count++] = mem_strdup(name);
}

Status file_list(FileList *out, const char *folder) {
    *out = (FileList){0};
    DIR *dir = opendir(folder);
    if (!dir && errno == ENOENT) return status_fail(ERR_INPUT, "%s: no such folder", folder);
    if (!dir) return status_fail(ERR_IO, "%s: cannot be read: %s", folder, strerror(errno));
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (!entry) break;
        if (!str_equal(entry->d_name, ".") && !str_equal(entry->d_name, ".."))
            file_list_add(out, entry->d_name);
    }
    int e = errno;
    closedir(dir);
    if (e != 0) {
        file_list_free(out);
        return status_fail(ERR_IO, "%s: cannot be read: %s", folder, strerror(e));
    }
    if (out->count > 1) qsort(out->names, out->count, sizeof *out->names, compare_names);
    return OK;
}

Status file_glob(FileList *out, const char *pattern) {
    *out = (FileList){0};
    glob_t found;
    int rc = glob(pattern, GLOB_NOSORT, NULL, &found);
    if (rc == GLOB_NOMATCH) return OK;
    if (rc != 0) return status_fail(ERR_IO, "%s: cannot be searched", pattern);
    for (size_t i = 0; i < found.gl_pathc; i++) file_list_add(out, found.gl_pathv[i]);
    globfree(&found);
    qsort(out->names, out->count, sizeof *out->names, compare_names);
    return OK;
}

void file_list_free(FileList *l) {
    for (size_t i = 0; i < l->count; i++) mem_free(l->names[i]);
    mem_free(l->names);
    *l = (FileList){0};
}

static Status fail_remove(const char *path) {
    return status_fail(ERR_IO, "%s: cannot be removed: %s", path, strerror(errno));
}

static Status remove_children(const char *path) {
    FileList children;
    TRY(file_list(&children, path));
    Status st = OK;
    for (size_t i = 0; i < children.count && st == OK; i++) {
        char *child = file_join(path, children.names[i]);
        st = file_remove_tree(child);
        mem_free(child);
    }
    file_list_free(&children);
    return st;
}

Status file_remove_tree(const char *path) {
    struct stat st;
    if (lstat(path, &st) != 0) return errno == ENOENT ? OK : fail_remove(path);
    if (!S_ISDIR(st.st_mode)) return io_ops.unlink(path) == 0 ? OK : fail_remove(path);
    TRY(remove_children(path));
    return io_ops.rmdir(path) == 0 ? OK : fail_remove(path);
}

char *file_join(const char *a, const char *b) {
    if (!a || a[0] == '\0' || b[0] == '/') return mem_strdup(b);
    return str_format(str_ends(a, "/") ? "%s%s" : "%s/%s", a, b);
}

/* Length without the slashes at the end ("/" keeps its own). */
static size_t trimmed(const char *path, size_t n) {
    while (n > 1 && path[n - 1] == '/') n--;
    return n;
}

char *file_folder(const char *path) {
    size_t n = trimmed(path, strlen(path));
    while (n > 0 && path[n - 1] != '/') n--;
    return n == 0 ? mem_strdup(".") : mem_strndup(path, trimmed(path, n));
}

const char *file_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool file_name_is_plain(const char *name) {
    return name[0] != '\0' && !strchr(name, '/') && !str_equal(name, ".") && !str_equal(name, "..");
}

char *file_real(const char *path) {
    char *resolved = realpath(path, NULL);
    char *copy = mem_strdup(resolved ? resolved : path);
    free(resolved);
    return copy;
}
