/* bench_gemm [threads ...]: the projections of a device against oneDNN's sgemm, in turn, best of n.
 *
 * One line a shape and kind: GFLOP/s of both, the ratio, the share of the FMA peak measured in this
 * run, and the cores that other processes used meanwhile (a line counts when that is below 0.1).
 *   fwd     y = x w^T, w as stored      panel   the same, w packed beforehand
 *   bf16    panel, w in bf16 (against f32)      dx, dw  the backward */
#include "bench.h"
#include "core/mem.h"
#include "core/threads.h"
#include "kernels/dev.h"
#include "kernels/op_matmul.h"

#ifdef HAVE_DNNL
#include <dnnl.h>
#endif
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum Kind { KIND_FWD, KIND_PANEL, KIND_BF16, KIND_DX, KIND_DW, KIND_COUNT } Kind;
static const char *const kind_names[KIND_COUNT] = {"fwd", "panel", "bf16", "dx", "dw"};

typedef struct Case {
    Dev *dev;
    Kind kind;
    int64_t n, i, o;           /* x [n,i], w [o,i], y [n,o] */
    float *x, *w, *y, *theirs; /* theirs: oneDNN's result */
    Tensor weight;             /* as the kind wants it */
} Case;

static Tensor x_of(const Case *c) {
    return tensor_2d(c->x, DTYPE_F32, c->n, c->i);
}
static Tensor y_of(const Case *c) {
    return tensor_2d(c->y, DTYPE_F32, c->n, c->o);
}

static void run_ours(void *ctx) {
    Case *c = ctx;
    LinearArgs args = {.alpha = 1};
    switch (c->kind) {
    case KIND_DX:
        op_linear_dx(c->dev, x_of(c), y_of(c), c->weight, args);
        return;
    case KIND_DW:
        op_linear_dw(c->dev, c->weight, y_of(c), x_of(c), 1);
        return;
    default:
        op_linear_fwd(c->dev, y_of(c), x_of(c), c->weight, tensor_none(), args);
        return;
    }
}

#ifdef HAVE_DNNL
static void run_peer(void *ctx) {
    Case *c = ctx;
    switch (c->kind) {
    case KIND_DX:
        dnnl_sgemm('N', 'N', c->n, c->i, c->o, 1, c->y, c->o, c->w, c->i, 0, c->theirs, c->i);
        return;
    case KIND_DW:
        dnnl_sgemm('T', 'N', c->o, c->i, c->n, 1, c->y, c->o, c->x, c->i, 1, c->theirs, c->i);
        return;
    default:
        dnnl_sgemm('N', 'T', c->n, c->o, c->i, 1, c->x, c->i, c->w, c->i, 0, c->theirs, c->o);
        return;
    }
}
static void (*const peer)(void *) = run_peer;
#else
static void (*const peer)(void *) = NULL;
#endif

static int64_t largest(const Case *c) {
    int64_t a = c->n * c->i, b = c->o * c->i, y = c->n * c->o;
    return a > b ? (a > y ? a : y) : (b > y ? b : y);
}

/* w as the kind wants it: as stored, in panels, in bf16 panels. */
static Tensor weight_for(Dev *dev, Case *c, void *packed, void *half) {
    Tensor row = tensor_2d(c->w, DTYPE_F32, c->o, c->i);
    if (c->kind != KIND_PANEL && c->kind != KIND_BF16) return row;
    if (c->kind == KIND_BF16) {
        dtype_convert(half, DTYPE_BF16, c->w, DTYPE_F32, (size_t)(c->o * c->i));
        row = tensor_2d(half, DTYPE_BF16, c->o, c->i);
    }
    Tensor panels = tensor_2d(packed, row.dtype, c->o, c->i);
    panels.layout = LAYOUT_PANEL;
    op_pack(dev, panels, row);
    return panels;
}

static void bench_case(Dev *dev, int64_t n, int64_t i, int64_t o, Kind kind, double peak) {
    Case c = {.dev = dev, .kind = kind, .n = n, .i = i, .o = o};
    c.x = bench_floats(n * i, 1);
    c.w = bench_floats(o * i, 2);
    c.y = bench_floats(n * o, 3);
    c.theirs = bench_floats(largest(&c), 4);
    void *packed = mem_aligned(panel_bytes(DTYPE_F32, o, i)),
         *half = mem_aligned((size_t)(o * i) * 2);
    c.weight = weight_for(dev, &c, packed, half);
    bench_other_cpu();
    double ours, theirs;
    bench_interleaved(&ours, &theirs, run_ours, peer, &c, 0.8);
    double gflop = 2e-9 * (double)n * (double)i * (double)o;
    printf("%5lld x %5lld x %5lld  %-5s  %6.1f", (long long)n, (long long)i, (long long)o,
           kind_names[kind], gflop / ours);
    if (peer) printf("   oneDNN %6.1f   ratio %5.2f", gflop / theirs, theirs / ours);
    if (peak > 0) printf("   %3.0f %% of FMA peak", 100 * gflop / ours / peak);
    printf("   others %.2f\n", bench_other_cpu());
    fflush(stdout);
    mem_free(half);
    mem_free(packed);
    mem_free(c.theirs);
    mem_free(c.y);
    mem_free(c.w);
    mem_free(c.x);
}

typedef struct Shape {
    int64_t n, i, o;
} Shape;
static const Shape training[] = {{2048, 288, 768},  {2048, 768, 288},  {2048, 768, 768},
                                 {2048, 768, 2048}, {2048, 2048, 768}, {64, 288, 768},
                                 {2048, 288, 32000}};
static const Shape adapters[] = {{2048, 288, 8}, {2048, 8, 288}, {2048, 768, 16}};
static const Shape decode[] = {{1, 288, 768},  {1, 768, 2048}, {1, 288, 32000},
                               {8, 768, 2048}, {64, 288, 768}, {64, 288, 32000}};
enum {
    N_TRAINING = sizeof training / sizeof training[0],
    N_ADAPTERS = sizeof adapters / sizeof adapters[0],
    N_DECODE = sizeof decode / sizeof decode[0]
};

static int bench_threads(int threads) {
    Dev *dev;
    if (dev_open(&dev, "cpu", threads) != OK) {
        fprintf(stderr, "%s\n", status_message());
        return 1;
    }
    double peak = bench_fma_peak();
    printf("\n%d threads, %s, FMA peak %.0f GFLOP/s; rows x inputs x outputs, GFLOP/s best of n\n",
           threads_count(), dev_isa(dev), peak);
    for (int s = 0; s < N_TRAINING; s++)
        for (Kind k = KIND_FWD; k < KIND_COUNT; k++)
            if (k != KIND_PANEL && k != KIND_BF16)
                bench_case(dev, training[s].n, training[s].i, training[s].o, k, peak);
    for (int s = 0; s < N_ADAPTERS; s++)
        for (Kind k = KIND_FWD; k < KIND_COUNT; k++)
            if (k != KIND_PANEL && k != KIND_BF16)
                bench_case(dev, adapters[s].n, adapters[s].i, adapters[s].o, k, peak);
    for (int s = 0; s < N_DECODE; s++)
        for (Kind k = KIND_FWD; k <= KIND_BF16; k++)
            bench_case(dev, decode[s].n, decode[s].i, decode[s].o, k, peak);
    dev_close(dev);
    return 0;
}

int main(int argc, char **argv) {
    int failed = 0;
    for (int i = 1; i < argc && !failed; i++) failed = bench_threads(atoi(argv[i]));
    if (argc == 1) failed = bench_threads(1) || bench_threads(0);
    return failed;
}
