#include "kernels/dev.h"

#include "core/check.h"
#include "core/mem.h"
#include "core/threads.h"
#include "kernels/backend.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const Backend *const backends[] = {&cpu_backend, &ref_backend, &ref64_backend};
enum { N_BACKENDS = sizeof backends / sizeof backends[0] };

static const Backend *backend_by_name(const char *name) {
    for (size_t i = 0; i < N_BACKENDS; i++)
        if (strcmp(backends[i]->name, name) == 0) return backends[i];
    return NULL;
}

/* The name of the first empty slot, or NULL when the table is whole. */
static const char *first_hole(const Ops *ops) {
#define HOLE(name, parameters) \
    if (!ops->name) return #name;
    OPS(HOLE)
#undef HOLE
    return NULL;
}

Status dev_open_backend(Dev **out, const Backend *backend, int threads) {
    *out = NULL;
    Dev *dev = mem_zalloc(1, sizeof *dev);
    Status st = OK;
    dev->backend = backend;
    dev->ops = backend->ops;
    dev->isa = "portable";
    dev->threads = threads_set(threads);
    if (backend->open) TRY_GOTO(backend->open(dev), st, out);
    const char *hole = first_hole(dev->ops);
    if (hole)
        st = status_fail(ERR_DEVICE, "device `%s` has no op `%s`; use another device",
                         backend->name, hole);
out:
    if (st == OK)
        *out = dev;
    else
        dev_close(dev);
    return st;
}

Status dev_open(Dev **out, const char *name, int threads) {
    *out = NULL;
    const Backend *backend = backend_by_name(name);
    if (!backend)
        return status_fail(ERR_DEVICE, "there is no device `%s` in this build; use `cpu`", name);
    return dev_open_backend(out, backend, threads);
}

void dev_close(Dev *dev) {
    if (!dev) return;
    if (dev->backend->close) dev->backend->close(dev);
    mem_free(dev);
}

const char *dev_name(const Dev *dev) {
    return dev->backend->name;
}
const char *dev_isa(const Dev *dev) {
    return dev->isa;
}
DType dev_real(const Dev *dev) {
    return dev->backend->real;
}
bool dev_is_host(const Dev *dev) {
    return dev->backend->is_host;
}
void dev_set_measure(Dev *dev, bool measure) {
    dev->measure = measure;
}
bool dev_measuring(const Dev *dev) {
    return dev->measure;
}

Status dev_alloc(void **out, Dev *dev, size_t bytes) {
    CHECK(dev_is_host(dev), "device `%s` has no memory of its own here", dev_name(dev));
    *out = NULL;
    *out = mem_try_aligned(bytes);
    if (!*out) return status_fail(ERR_OS, "out of memory: %zu bytes asked for", bytes);
    return OK;
}

void dev_free(Dev *dev, void *p) {
    (void)dev;
    mem_free(p);
}

void dev_upload(Dev *dev, Tensor dst, const void *src) {
    if (!dev->measure && tensor_bytes(dst) > 0) memcpy(dst.data, src, tensor_bytes(dst));
}

void dev_download(Dev *dev, void *dst, Tensor src) {
    if (!dev->measure && tensor_bytes(src) > 0) memcpy(dst, src.data, tensor_bytes(src));
}

void dev_fail(Dev *dev, Status code, const char *fmt, ...) {
    if (dev->error != OK) return;
    dev->error = code;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(dev->message, sizeof dev->message, fmt, ap);
    va_end(ap);
}

Status dev_check(Dev *dev) {
    Status st = dev->error;
    dev->error = OK;
    return st == OK ? OK : status_fail(st, "%s", dev->message);
}
