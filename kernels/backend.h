/* backend: what a device implementation provides. Seen by kernels/ only. */
#ifndef HONE_KERNELS_BACKEND_H
#define HONE_KERNELS_BACKEND_H

#include "kernels/ops.h"

typedef struct Backend {
    const char *name; /* "ref", "ref64", "cpu", "cuda" */
    DType real;
    bool is_host; /* device memory is host memory */
    const Ops *ops;
    /* Sets dev->isa and dev->state, may choose another dev->ops; may be NULL. */
    Status (*open)(Dev *dev);
    void (*close)(Dev *dev); /* also after a failed open; may be NULL */
} Backend;

struct Dev {
    const Backend *backend;
    const Ops *ops;
    const char *isa;
    void *state; /* the backend's own: pack buffers of the threads, streams */
    int threads;
    bool measure;
    Status error; /* first error since dev_check */
    char message[256];
};

extern const Backend ref_backend;   /* kernels/ref, REF_BITS=32 */
extern const Backend ref64_backend; /* kernels/ref, REF_BITS=64 */
extern const Backend cpu_backend;   /* kernels/cpu */

/* What dev_open does once it has found the backend by name. */
Status dev_open_backend(Dev **out, const Backend *backend, int threads);

/* Records a device error; the first one stays. */
void dev_fail(Dev *dev, Status code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
