/* bench_ops [threads ...]: every op but the projections (bench_gemm) on a device, best of n, at the
 * sizes of one training micro-batch (8 sequences of 256 tokens, width 288, 6 heads of 48, MLP 768,
 * vocabulary 32,000) and of a decode step of 64 rows.
 *
 * Ops that only move memory are given in GB/s of what they must read and write (beside the
 * machine's read and copy rates of the same run); attention in GFLOP/s; heads and sampling in
 * millions of logits a second. */
#include "bench.h"
#include "core/mem.h"
#include "core/threads.h"
#include "kernels/ops.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SEQS = 8,
    LENGTH = 256,
    ROWS = SEQS * LENGTH,
    WIDTH = 288,
    HEADS = 6,
    DIM = 48,
    MLP = 768,
    VOCAB = 32000,
    LOGIT_ROWS = 256,
    DECODE_ROWS = 64,
    DECODE_KEYS = 192,
    PARAMS = 1 << 22
};

typedef struct Setup {
    Dev *dev;
    float *a, *b, *c, *d; /* each at least LOGIT_ROWS * VOCAB and PARAMS floats */
    float *small[4];      /* each at least ROWS * HEADS floats */
    int32_t *ids, *positions, *seq_start, *slots;
    int64_t *seq_ids;
    double *inv_freq, *temperature, *top_p;
    int32_t *no_top_k, *top_k;
    float *u;
} Setup;

static Tensor real2(float *p, int64_t rows, int64_t cols) {
    return tensor_2d(p, DTYPE_F32, rows, cols);
}
static Tensor real1(float *p, int64_t n) {
    return tensor_1d(p, DTYPE_F32, n);
}
static Tensor int1(int32_t *p, int64_t n) {
    return tensor_1d(p, DTYPE_I32, n);
}

static const AttnArgs attn = {
    .n_heads = HEADS, .n_kv_heads = HEADS, .head_dim = DIM, .scale = 0.14};

static void run_attn_fwd(void *ctx) {
    Setup *s = ctx;
    int64_t n = (int64_t)ROWS * WIDTH;
    op_attn_fwd(s->dev, real2(s->d, ROWS, WIDTH), real2(s->small[0], ROWS, HEADS),
                real2(s->a, ROWS, WIDTH), real2(s->a + n, ROWS, WIDTH),
                real2(s->a + 2 * n, ROWS, WIDTH), int1(s->seq_start, SEQS + 1), tensor_none(),
                tensor_none(), tensor_none(), tensor_none(), attn);
}
static void run_attn_bwd(void *ctx) {
    Setup *s = ctx;
    int64_t n = (int64_t)ROWS * WIDTH;
    op_attn_bwd(s->dev, real2(s->b, ROWS, WIDTH), real2(s->b + n, ROWS, WIDTH),
                real2(s->b + 2 * n, ROWS, WIDTH), tensor_none(), real2(s->c, ROWS, WIDTH),
                real2(s->d, ROWS, WIDTH), real2(s->small[0], ROWS, HEADS), real2(s->a, ROWS, WIDTH),
                real2(s->a + n, ROWS, WIDTH), real2(s->a + 2 * n, ROWS, WIDTH),
                int1(s->seq_start, SEQS + 1), tensor_none(), tensor_none(), tensor_none(),
                tensor_none(), attn);
}
static void run_decode(void *ctx) {
    Setup *s = ctx;
    int64_t pages = DECODE_ROWS * (DECODE_KEYS / KV_PAGE);
    op_attn_decode(s->dev, real2(s->d, DECODE_ROWS, WIDTH), real2(s->a, DECODE_ROWS, WIDTH),
                   real2(s->b, pages * KV_PAGE, WIDTH), real2(s->c, pages * KV_PAGE, WIDTH),
                   tensor_2d(s->slots, DTYPE_I32, DECODE_ROWS, DECODE_KEYS / KV_PAGE),
                   int1(s->slots + pages, DECODE_ROWS), tensor_none(), tensor_none(), attn);
}
static void run_logp_fwd(void *ctx) {
    Setup *s = ctx;
    op_logp_fwd(s->dev, real1(s->small[0], LOGIT_ROWS), real1(s->small[1], LOGIT_ROWS),
                real1(s->small[2], LOGIT_ROWS), tensor_none(), real2(s->a, LOGIT_ROWS, VOCAB),
                int1(s->ids, LOGIT_ROWS), (LogpArgs){.inv_temperature = 1});
}
static void run_logp_bwd(void *ctx) {
    Setup *s = ctx;
    op_logp_bwd(s->dev, real2(s->b, LOGIT_ROWS, VOCAB), real1(s->small[2], LOGIT_ROWS),
                tensor_none(), int1(s->ids, LOGIT_ROWS), real1(s->small[3], LOGIT_ROWS),
                tensor_none(), (LogpArgs){.inv_temperature = 1});
}
static void run_sample(void *ctx) {
    Setup *s = ctx;
    op_sample(s->dev, int1(s->slots, DECODE_ROWS), real1(s->small[0], DECODE_ROWS),
              real2(s->a, DECODE_ROWS, VOCAB),
              (SampleArgs){.temperature = s->temperature,
                           .top_p = s->temperature,
                           .top_k = s->no_top_k,
                           .u = s->u});
}
static void run_sample_cut(void *ctx) {
    Setup *s = ctx;
    op_sample(s->dev, int1(s->slots, DECODE_ROWS), real1(s->small[0], DECODE_ROWS),
              real2(s->a, DECODE_ROWS, VOCAB),
              (SampleArgs){
                  .temperature = s->temperature, .top_p = s->top_p, .top_k = s->top_k, .u = s->u});
}
static void run_norm_fwd(void *ctx) {
    Setup *s = ctx;
    op_norm_fwd(s->dev, real2(s->d, ROWS, WIDTH), real2(s->small[1], ROWS, 2),
                real2(s->a, ROWS, WIDTH), real1(s->b, WIDTH), tensor_none(),
                (NormArgs){.kind = NORM_RMS, .eps = 1e-5});
}
static void run_norm_bwd(void *ctx) {
    Setup *s = ctx;
    op_norm_bwd(s->dev, real2(s->d, ROWS, WIDTH), real1(s->c, WIDTH), tensor_none(),
                real2(s->b, ROWS, WIDTH), real2(s->a, ROWS, WIDTH), real1(s->small[0], WIDTH),
                real2(s->small[1], ROWS, 2), (NormArgs){.kind = NORM_RMS, .eps = 1e-5});
}
static void run_rope(void *ctx) {
    Setup *s = ctx;
    op_rope(s->dev, real2(s->d, ROWS, WIDTH), int1(s->positions, ROWS),
            tensor_1d(s->inv_freq, DTYPE_F64, DIM / 2),
            (RopeArgs){.n_heads = HEADS, .head_dim = DIM, .attention_scaling = 1});
}
static void run_gated_fwd(void *ctx) {
    Setup *s = ctx;
    op_gated_fwd(s->dev, real2(s->d, ROWS, MLP), real2(s->a, ROWS, MLP), real2(s->b, ROWS, MLP),
                 ACT_SILU);
}
static void run_gated_bwd(void *ctx) {
    Setup *s = ctx;
    op_gated_bwd(s->dev, real2(s->d, ROWS, MLP), real2(s->d + ROWS * MLP, ROWS, MLP),
                 real2(s->c, ROWS, MLP), real2(s->a, ROWS, MLP), real2(s->b, ROWS, MLP), ACT_SILU);
}
static void run_gelu_fwd(void *ctx) {
    Setup *s = ctx;
    op_act_fwd(s->dev, real2(s->d, ROWS, MLP), real2(s->a, ROWS, MLP), ACT_GELU);
}
static void run_dropout(void *ctx) {
    Setup *s = ctx;
    op_dropout(s->dev, real2(s->d, ROWS, WIDTH), real2(s->a, ROWS, WIDTH),
               tensor_1d(s->seq_ids, DTYPE_I64, ROWS), int1(s->positions, ROWS),
               (DropoutKey){.p = 0.1, .seed = 1, .step = 1, .site = 1});
}
static void run_embed_fwd(void *ctx) {
    Setup *s = ctx;
    op_embed_fwd(s->dev, real2(s->d, ROWS, WIDTH), real2(s->a, LOGIT_ROWS * VOCAB / WIDTH, WIDTH),
                 int1(s->ids, ROWS), 1, false);
}
static void run_embed_bwd(void *ctx) {
    Setup *s = ctx;
    op_embed_bwd(s->dev, real2(s->c, LOGIT_ROWS * VOCAB / WIDTH, WIDTH), real2(s->a, ROWS, WIDTH),
                 int1(s->ids, ROWS), 1);
}
static void run_adamw(void *ctx) {
    Setup *s = ctx;
    op_adamw(s->dev, real1(s->d, PARAMS), real1(s->b, PARAMS), real1(s->c, PARAMS),
             real1(s->a, PARAMS),
             (AdamwArgs){
                 .lr = 1e-6, .beta1 = 0.9, .beta2 = 0.999, .eps = 1, .grad_scale = 1, .step = 1});
}
static void run_sum_squares(void *ctx) {
    Setup *s = ctx;
    double sum = 0;
    op_sum_squares(s->dev, tensor_1d(&sum, DTYPE_F64, 1), real1(s->a, PARAMS));
}
static void run_axpy(void *ctx) {
    Setup *s = ctx;
    op_axpy(s->dev, real1(s->d, PARAMS), real1(s->a, PARAMS), 1e-6);
}
static void run_copy(void *ctx) {
    Setup *s = ctx;
    op_copy(s->dev, real1(s->d, PARAMS), real1(s->a, PARAMS));
}

typedef struct Line {
    const char *name;
    void (*run)(void *);
    double amount; /* bytes, operations or logits of one run */
    const char *unit;
} Line;

/* Causal attention: 2 products forward, 5 backward, of T(T+1)/2 pairs of rows and keys each. */
static const double attn_pairs = (double)SEQS * HEADS * LENGTH * (LENGTH + 1) / 2;
#define BYTES(n_floats) (4.0 * (double)(n_floats))

static int bench_threads(int threads) {
    Setup s = {0};
    if (dev_open(&s.dev, "cpu", threads) != OK) {
        fprintf(stderr, "%s\n", status_message());
        return 1;
    }
    const Line lines[] = {
        {"attn_fwd", run_attn_fwd, attn_pairs * 4 * DIM, "GFLOP/s"},
        {"attn_bwd", run_attn_bwd, attn_pairs * 10 * DIM, "GFLOP/s"},
        {"attn_decode", run_decode, BYTES(2.0 * DECODE_ROWS * DECODE_KEYS * WIDTH), "GB/s"},
        {"logp_fwd", run_logp_fwd, 1e3 * LOGIT_ROWS * VOCAB, "M logits/s"},
        {"logp_bwd", run_logp_bwd, 1e3 * LOGIT_ROWS * VOCAB, "M logits/s"},
        {"sample", run_sample, 1e3 * DECODE_ROWS * VOCAB, "M logits/s"},
        {"sample k p", run_sample_cut, 1e3 * DECODE_ROWS * VOCAB, "M logits/s"},
        {"norm_fwd", run_norm_fwd, BYTES(2.0 * ROWS * WIDTH), "GB/s"},
        {"norm_bwd", run_norm_bwd, BYTES(4.0 * ROWS * WIDTH), "GB/s"},
        {"rope", run_rope, BYTES(2.0 * ROWS * WIDTH), "GB/s"},
        {"gated_fwd", run_gated_fwd, BYTES(3.0 * ROWS * MLP), "GB/s"},
        {"gated_bwd", run_gated_bwd, BYTES(5.0 * ROWS * MLP), "GB/s"},
        {"act_fwd gelu", run_gelu_fwd, BYTES(2.0 * ROWS * MLP), "GB/s"},
        {"dropout", run_dropout, BYTES(2.0 * ROWS * WIDTH), "GB/s"},
        {"embed_fwd", run_embed_fwd, BYTES(2.0 * ROWS * WIDTH), "GB/s"},
        {"embed_bwd", run_embed_bwd, BYTES(3.0 * ROWS * WIDTH), "GB/s"},
        {"adamw", run_adamw, BYTES(7.0 * PARAMS), "GB/s"},
        {"sum_squares", run_sum_squares, BYTES(PARAMS), "GB/s"},
        {"axpy", run_axpy, BYTES(3.0 * PARAMS), "GB/s"},
        {"copy", run_copy, BYTES(2.0 * PARAMS), "GB/s"},
    };
    const int64_t big = (int64_t)LOGIT_ROWS * VOCAB;
    s.a = bench_floats(big, 1), s.b = bench_floats(big, 2), s.c = bench_floats(big, 3),
    s.d = bench_floats(big, 4);
    for (int i = 0; i < 4; i++) s.small[i] = bench_floats(ROWS * HEADS, (uint32_t)i + 5);
    s.ids = mem_zalloc(ROWS, sizeof *s.ids);
    s.positions = mem_zalloc(ROWS, sizeof *s.positions);
    s.seq_ids = mem_zalloc(ROWS, sizeof *s.seq_ids);
    s.seq_start = mem_zalloc(SEQS + 1, sizeof *s.seq_start);
    s.slots = mem_zalloc(DECODE_ROWS * (DECODE_KEYS / KV_PAGE + 1), sizeof *s.slots);
    s.inv_freq = mem_zalloc(DIM / 2, sizeof *s.inv_freq);
    s.temperature = mem_zalloc(DECODE_ROWS, sizeof *s.temperature);
    s.top_p = mem_zalloc(DECODE_ROWS, sizeof *s.top_p);
    s.top_k = mem_zalloc(DECODE_ROWS, sizeof *s.top_k);
    s.no_top_k = mem_zalloc(DECODE_ROWS, sizeof *s.no_top_k);
    s.u = mem_zalloc(DECODE_ROWS, sizeof *s.u);
    for (int i = 0; i < ROWS; i++) {
        s.ids[i] = (int32_t)((uint32_t)i * 2654435761U % (LOGIT_ROWS * VOCAB / WIDTH));
        s.positions[i] = i % LENGTH;
        s.seq_ids[i] = i / LENGTH;
    }
    for (int i = 0; i <= SEQS; i++) s.seq_start[i] = i * LENGTH;
    for (int i = 0; i < DIM / 2; i++) s.inv_freq[i] = pow(10000, -2.0 * i / DIM);
    int pages = DECODE_ROWS * (DECODE_KEYS / KV_PAGE);
    for (int i = 0; i < pages; i++) s.slots[i] = pages - 1 - i;
    for (int i = 0; i < DECODE_ROWS; i++) {
        s.slots[pages + i] = DECODE_KEYS;
        s.temperature[i] = 1, s.top_p[i] = 0.9, s.top_k[i] = 50;
        s.u[i] = ((float)i + 0.5F) / DECODE_ROWS;
    }
    double read, copy;
    bench_memory(&read, &copy);
    printf("\n%d threads, %s; memory: read %.1f GB/s, copy %.1f GB/s (read + write)\n",
           threads_count(), dev_isa(s.dev), read, copy);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        double best, none;
        bench_other_cpu();
        bench_interleaved(&best, &none, lines[i].run, NULL, &s, 0.3);
        printf("%-14s %8.3f ms   %8.1f %-10s  others %.2f\n", lines[i].name, 1e3 * best,
               1e-9 * lines[i].amount / best, lines[i].unit, bench_other_cpu());
        fflush(stdout);
    }
    mem_free(s.a), mem_free(s.b), mem_free(s.c), mem_free(s.d);
    for (int i = 0; i < 4; i++) mem_free(s.small[i]);
    mem_free(s.ids), mem_free(s.positions), mem_free(s.seq_ids), mem_free(s.seq_start),
        mem_free(s.slots);
    mem_free(s.inv_freq), mem_free(s.temperature), mem_free(s.top_p), mem_free(s.top_k),
        mem_free(s.no_top_k);
    mem_free(s.u);
    dev_close(s.dev);
    return 0;
}

int main(int argc, char **argv) {
    int failed = 0;
    for (int i = 1; i < argc && !failed; i++) failed = bench_threads(atoi(argv[i]));
    if (argc == 1) failed = bench_threads(1) || bench_threads(0);
    return failed;
}
