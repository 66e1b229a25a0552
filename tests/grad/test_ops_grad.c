/* Every backward op against central differences of its forward, in double on ref64: for each input
 * that has a gradient, along a few random directions, d loss / d step = <gradient, direction>. */
#include "op_cases_rows.h"

enum { N_DIRECTIONS = 3 };
static const double step = 1e-5;
static Dev *ref64;

/* The loss: sum over outputs of cotangent * output. */
static double loss(const OpCase *c, const OpValues *in) {
    OpValues out;
    op_call(&out, c, ref64, in, PASS_FWD, 0);
    double sum = 0;
    for (int i = 0; i < c->n_args; i++) {
        if (!op_arg_cotangent(&c->arg[i])) continue;
        for (int64_t k = 0; k < op_arg_numel(&c->arg[i]); k++) sum += in->d[i][k] * out.t[i][k];
    }
    op_values_free(&out);
    return sum;
}

static void move(OpValues *in, int arg, const double *direction, int64_t n, double by) {
    for (int64_t k = 0; k < n; k++) in->t[arg][k] += by * direction[k];
}

static double slope(const OpCase *c, OpValues *in, int arg, const double *direction) {
    int64_t n = op_arg_numel(&c->arg[arg]);
    double *kept = mem_alloc((size_t)n * sizeof *kept);
    memcpy(kept, in->t[arg], (size_t)n * sizeof *kept);
    move(in, arg, direction, n, step);
    double up = loss(c, in);
    memcpy(in->t[arg], kept, (size_t)n * sizeof *kept);
    move(in, arg, direction, n, -step);
    double down = loss(c, in);
    memcpy(in->t[arg], kept, (size_t)n * sizeof *kept);
    mem_free(kept);
    return (up - down) / (2 * step);
}

static void check_argument(const OpCase *c, OpValues *in, int arg, const double *gradient) {
    int64_t n = op_arg_numel(&c->arg[arg]);
    double *direction = mem_alloc((size_t)n * sizeof *direction), norm = 0;
    for (int64_t k = 0; k < n; k++) norm += gradient[k] * gradient[k];
    for (int trial = 0; trial < N_DIRECTIONS; trial++) {
        double wanted = 0;
        op_normals(direction, n, c->arg[arg].name, 100 + (uint64_t)trial);
        for (int64_t k = 0; k < n; k++) wanted += gradient[k] * direction[k];
        double got = slope(c, in, arg, direction);
        if (!(fabs(got - wanted) <= 1e-7 * sqrt(norm) + 1e-9))
            fail_msg("%s: d%s along direction %d: %.12g by differences, %.12g by the backward",
                     c->label, c->arg[arg].name, trial, got, wanted);
    }
    mem_free(direction);
}

static void test_ops__backward_is_the_derivative_of_forward(void **state) {
    const OpCase *c = *state;
    OpValues in, out;
    op_values_make(&in, c);
    op_values_forward(&in, c, ref64, false);
    op_call(&out, c, ref64, &in, PASS_BWD, 0);
    for (int i = 0; i < c->n_args; i++) {
        const OpArg *a = &c->arg[i];
        if (a->absent || !a->diff) continue;
        double *gradient = out.d[i];
        if (a->adds) /* what stood there before is not of this loss */
            for (int64_t k = 0; k < op_arg_numel(a); k++) gradient[k] -= in.d[i][k];
        check_argument(c, &in, i, gradient);
    }
    op_values_free(&in);
    op_values_free(&out);
}

int main(void) {
    static struct CMUnitTest tests[OP_MAX_CASES];
    static OpCase cases[OP_MAX_CASES];
    size_t n = 0;
    if (dev_open(&ref64, "ref64", 0) != OK) return 1;
    for (int i = 0; i < op_cases()->n; i++) {
        if (!op_cases()->at[i].bwd) continue;
        cases[n] = op_cases()->at[i];
        tests[n] = (struct CMUnitTest){.name = cases[n].label,
                                       .test_func = test_ops__backward_is_the_derivative_of_forward,
                                       .initial_state = &cases[n]};
        n++;
    }
    int failed = _cmocka_run_group_tests("ops gradients", tests, n, NULL, NULL);
    dev_close(ref64);
    return failed;
}
