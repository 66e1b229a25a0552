/* The projections of device "cpu": right against plain sums in double, and the bits of a row the
 * same whatever the other rows, the cut, the threads, the layout of the weight and the instruction
 * set. */
#include "core/mem.h"
#include "core/rng.h"
#include "kernels/dev.h"
#include "kernels/op_matmul.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static Dev *open_cpu(int threads, const char *isa) {
    if (isa)
        setenv("HONE_ISA", isa, 1);
    else
        unsetenv("HONE_ISA");
    Dev *dev = NULL;
    assert_int_equal(dev_open(&dev, "cpu", threads), OK);
    return dev;
}

static float *numbers(int64_t n, uint64_t row) {
    float *p = mem_alloc((size_t)n * sizeof *p);
    RngStream s = rng_stream(7, RNG_WORLD, row);
    for (int64_t i = 0; i < n; i++) p[i] = (float)(rng_next_uniform(&s) - 0.5);
    return p;
}

static float *copy_of(const float *p, int64_t n) {
    float *q = mem_alloc((size_t)n * sizeof *q);
    memcpy(q, p, (size_t)n * sizeof *q);
    return q;
}

/* One product in all its forms. The weight is also kept in bf16 and f16. */
typedef struct Problem {
    int64_t n, i, o;
    float *x, *w, *dy, *bias, *old; /* old: [n * max(i,o) or o * i], what outputs hold before */
    uint16_t *half;
    DType dtype;
} Problem;

static Problem problem_make(int64_t n, int64_t i, int64_t o, DType dtype) {
    int64_t most = n * i > n * o ? n * i : n * o;
    Problem p = {.n = n, .i = i, .o = o, .dtype = dtype};
    p.x = numbers(n * i, 1);
    p.w = numbers(o * i, 2);
    p.dy = numbers(n * o, 3);
    p.bias = numbers(o, 4);
    p.old = numbers(most > o * i ? most : o * i, 5);
    p.half = mem_alloc((size_t)(o * i) * sizeof *p.half);
    if (dtype != DTYPE_F32) {
        dtype_convert(p.half, dtype, p.w, DTYPE_F32, (size_t)(o * i));
        dtype_convert(p.w, DTYPE_F32, p.half, dtype, (size_t)(o * i));
    }
    return p;
}

static void problem_free(Problem *p) {
    mem_free(p->x);
    mem_free(p->w);
    mem_free(p->dy);
    mem_free(p->bias);
    mem_free(p->old);
    mem_free(p->half);
}

static Tensor weight_of(const Problem *p) {
    return tensor_2d(p->dtype == DTYPE_F32 ? (void *)p->w : p->half, p->dtype, p->o, p->i);
}

/* y of rows first .. first+n-1 (old values first, when accumulating); caller frees. */
static float *forward(Dev *dev, const Problem *p, Tensor w, int64_t first, int64_t n, bool bias,
                      LinearArgs args) {
    float *y = copy_of(p->old + first * p->o, n * p->o);
    op_linear_fwd(dev, tensor_2d(y, DTYPE_F32, n, p->o),
                  tensor_2d(p->x + first * p->i, DTYPE_F32, n, p->i), w,
                  bias ? tensor_1d(p->bias, DTYPE_F32, p->o) : tensor_none(), args);
    return y;
}

static float *backward_x(Dev *dev, const Problem *p, int64_t first, int64_t n, LinearArgs args) {
    float *dx = copy_of(p->old + first * p->i, n * p->i);
    op_linear_dx(dev, tensor_2d(dx, DTYPE_F32, n, p->i),
                 tensor_2d(p->dy + first * p->o, DTYPE_F32, n, p->o), weight_of(p), args);
    return dx;
}

static float *backward_w(Dev *dev, const Problem *p, double alpha) {
    float *dw = copy_of(p->old, p->o * p->i);
    op_linear_dw(dev, tensor_2d(dw, DTYPE_F32, p->o, p->i), tensor_2d(p->dy, DTYPE_F32, p->n, p->o),
                 tensor_2d(p->x, DTYPE_F32, p->n, p->i), alpha);
    return dw;
}

/* got[r][c] against old + alpha * sum over k of a b + bias, k < n_k, in double. */
typedef struct Want {
    const float *a, *b;
    int64_t a_row, a_k, b_col, b_k, rows, cols, n_k;
    const float *bias, *old;
    double alpha;
} Want;

static void assert_product(const float *got, const Want *w) {
    for (int64_t r = 0; r < w->rows; r++) {
        for (int64_t c = 0; c < w->cols; c++) {
            double sum = 0, size = 0;
            for (int64_t k = 0; k < w->n_k; k++) {
                double term = (double)w->a[r * w->a_row + k * w->a_k] *
                              (double)w->b[c * w->b_col + k * w->b_k];
                sum += term, size += fabs(term);
            }
            double want = w->alpha * sum + (w->bias ? (double)w->bias[c] : 0) +
                          (w->old ? (double)w->old[r * w->cols + c] : 0);
            double error = fabs((double)got[r * w->cols + c] - want);
            if (!(error <= 4e-6 * (fabs(w->alpha) * size + 1)))
                fail_msg("[%d,%d] is %.9g, not %.9g", (int)r, (int)c, (double)got[r * w->cols + c],
                         want);
        }
    }
}

static void assert_same_bits(const float *a, const float *b, int64_t n, const char *what) {
    for (int64_t i = 0; i < n; i++)
        if (memcmp(a + i, b + i, sizeof *a) != 0)
            fail_msg("%s: element %d is %.9g and %.9g", what, (int)i, (double)a[i], (double)b[i]);
}

typedef struct Size {
    int64_t n, i, o;
} Size;

/* Tails in every axis, one and several blocks of the inner axis, narrow and wide. */
static const Size sizes[] = {{1, 1, 1},     {1, 40, 70},   {2, 385, 33},
                             {5, 17, 8},    {13, 800, 48}, {97, 24, 20},
                             {130, 390, 5}, {100, 8, 160}, {400, 12, 530}};
enum { N_SIZES = sizeof sizes / sizeof sizes[0] };
static const DType dtypes[] = {DTYPE_F32, DTYPE_BF16, DTYPE_F16};

static void check_values(Dev *dev, Size s, DType dtype) {
    Problem p = problem_make(s.n, s.i, s.o, dtype);
    LinearArgs plain = {.alpha = 1}, added = {.alpha = -0.75, .accumulate = true};
    float *y = forward(dev, &p, weight_of(&p), 0, s.n, false, plain);
    Want want = {.a = p.x,
                 .b = p.w,
                 .a_row = s.i,
                 .a_k = 1,
                 .b_col = s.i,
                 .b_k = 1,
                 .rows = s.n,
                 .cols = s.o,
                 .n_k = s.i,
                 .alpha = 1};
    assert_product(y, &want);
    mem_free(y);
    y = forward(dev, &p, weight_of(&p), 0, s.n, true, added);
    want.bias = p.bias, want.old = p.old, want.alpha = -0.75;
    assert_product(y, &want);
    mem_free(y);

    float *dx = backward_x(dev, &p, 0, s.n, added);
    want = (Want){.a = p.dy,
                  .b = p.w,
                  .a_row = s.o,
                  .a_k = 1,
                  .b_col = 1,
                  .b_k = s.i,
                  .rows = s.n,
                  .cols = s.i,
                  .n_k = s.o,
                  .old = p.old,
                  .alpha = -0.75};
    assert_product(dx, &want);
    mem_free(dx);

    float *dw = backward_w(dev, &p, 2);
    want = (Want){.a = p.dy,
                  .b = p.x,
                  .a_row = 1,
                  .a_k = s.o,
                  .b_col = 1,
                  .b_k = s.i,
                  .rows = s.o,
                  .cols = s.i,
                  .n_k = s.n,
                  .old = p.old,
                  .alpha = 2};
    assert_product(dw, &want);
    mem_free(dw);
    problem_free(&p);
}

static void test_cpu_linear__agrees_with_sums_in_double(void **state) {
    (void)state;
    Dev *dev = open_cpu(2, NULL);
    for (int s = 0; s < N_SIZES; s++)
        for (int d = 0; d < 3; d++) check_values(dev, sizes[s], dtypes[d]);
    dev_close(dev);
}

static void test_cpu_linear__row_does_not_depend_on_the_others(void **state) {
    (void)state;
    Dev *dev = open_cpu(2, NULL);
    const LinearArgs args = {.alpha = 0.5, .accumulate = true};
    for (int s = 0; s < N_SIZES; s++) {
        Problem p = problem_make(sizes[s].n, sizes[s].i, sizes[s].o, dtypes[s % 3]);
        float *y = forward(dev, &p, weight_of(&p), 0, p.n, true, args);
        float *dx = backward_x(dev, &p, 0, p.n, args);
        static const int64_t cuts[] = {1, 2, 3, 4, 5, 6, 7, 12, 50};
        for (size_t c = 0; c < sizeof cuts / sizeof cuts[0]; c++) {
            for (int64_t first = 0; first < p.n; first += cuts[c]) {
                int64_t n = p.n - first < cuts[c] ? p.n - first : cuts[c];
                float *part = forward(dev, &p, weight_of(&p), first, n, true, args);
                assert_same_bits(part, y + first * p.o, n * p.o, "y");
                mem_free(part);
                part = backward_x(dev, &p, first, n, args);
                assert_same_bits(part, dx + first * p.i, n * p.i, "dx");
                mem_free(part);
            }
        }
        mem_free(y);
        mem_free(dx);
        problem_free(&p);
    }
    dev_close(dev);
}

static void test_cpu_linear__panels_and_rows_give_the_same_bits(void **state) {
    (void)state;
    Dev *dev = open_cpu(2, NULL);
    const LinearArgs args = {.alpha = 1};
    for (int s = 0; s < N_SIZES; s++) {
        for (int d = 0; d < 3; d++) {
            Problem p = problem_make(sizes[s].n, sizes[s].i, sizes[s].o, dtypes[d]);
            void *memory = mem_aligned(panel_bytes(DTYPE_F32, p.o, p.i));
            Tensor packed = tensor_2d(memory, p.dtype, p.o, p.i);
            packed.layout = LAYOUT_PANEL;
            float *y = forward(dev, &p, weight_of(&p), 0, p.n, true, args);
            for (int wide = 0; wide < 2; wide++) {
                packed.dtype = wide ? DTYPE_F32 : p.dtype;
                op_pack(dev, packed, weight_of(&p));
                float *z = forward(dev, &p, packed, 0, p.n, true, args);
                assert_same_bits(y, z, p.n * p.o, "packed");
                mem_free(z);
                z = forward(dev, &p, packed, 0, 1, true, args);
                assert_same_bits(y, z, p.o, "one row, packed");
                mem_free(z);
            }
            mem_free(y);
            mem_free(memory);
            problem_free(&p);
        }
    }
    dev_close(dev);
}

static void test_cpu_linear__transposed_panels_give_the_bits_of_dx(void **state) {
    (void)state;
    Dev *dev = open_cpu(2, NULL);
    Problem p = problem_make(23, 50, 391, DTYPE_BF16);
    const LinearArgs args = {.alpha = 1};
    float *dx = backward_x(dev, &p, 0, p.n, args);
    Tensor packed = tensor_2d(mem_aligned(panel_bytes(DTYPE_F32, p.i, p.o)), DTYPE_F32, p.i, p.o);
    packed.layout = LAYOUT_PANEL;
    op_pack_transposed(dev, packed, weight_of(&p));
    float *y = mem_alloc((size_t)(p.n * p.i) * sizeof *y);
    op_linear_fwd(dev, tensor_2d(y, DTYPE_F32, p.n, p.i), tensor_2d(p.dy, DTYPE_F32, p.n, p.o),
                  packed, tensor_none(), args);
    assert_same_bits(y, dx, p.n * p.i, "dx by panels");
    mem_free(y);
    mem_free(packed.data);
    mem_free(dx);
    problem_free(&p);
    dev_close(dev);
}

/* fwd, dx and dw of every size on this device, in one array. */
static float *everything(Dev *dev, int64_t *count) {
    float *all = NULL;
    *count = 0;
    for (int s = 0; s < N_SIZES; s++) {
        Problem p = problem_make(sizes[s].n, sizes[s].i, sizes[s].o, dtypes[s % 3]);
        const LinearArgs args = {.alpha = 1.5, .accumulate = true};
        float *part[] = {forward(dev, &p, weight_of(&p), 0, p.n, true, args),
                         backward_x(dev, &p, 0, p.n, args), backward_w(dev, &p, 0.5)};
        int64_t n[] = {p.n * p.o, p.n * p.i, p.o * p.i};
        for (int i = 0; i < 3; i++) {
            all = mem_realloc(all, (size_t)(*count + n[i]), sizeof *all);
            memcpy(all + *count, part[i], (size_t)n[i] * sizeof *all);
            *count += n[i];
            mem_free(part[i]);
        }
        problem_free(&p);
    }
    return all;
}

static void assert_like_one_thread(int threads, const char *isa) {
    int64_t n, m;
    Dev *dev = open_cpu(1, NULL);
    float *want = everything(dev, &n);
    dev_close(dev);
    dev = open_cpu(threads, isa);
    float *got = everything(dev, &m);
    dev_close(dev);
    assert_int_equal(n, m);
    assert_same_bits(got, want, n, isa ? isa : "threads");
    mem_free(got);
    mem_free(want);
}

static void test_cpu_linear__bits_do_not_depend_on_threads(void **state) {
    (void)state;
    for (int threads = 2; threads <= 7; threads++) assert_like_one_thread(threads, NULL);
}

static void test_cpu_linear__bits_do_not_depend_on_the_instruction_set(void **state) {
    (void)state;
    assert_like_one_thread(2, "portable");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cpu_linear__agrees_with_sums_in_double),
        cmocka_unit_test(test_cpu_linear__row_does_not_depend_on_the_others),
        cmocka_unit_test(test_cpu_linear__panels_and_rows_give_the_same_bits),
        cmocka_unit_test(test_cpu_linear__transposed_panels_give_the_bits_of_dx),
        cmocka_unit_test(test_cpu_linear__bits_do_not_depend_on_threads),
        cmocka_unit_test(test_cpu_linear__bits_do_not_depend_on_the_instruction_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
