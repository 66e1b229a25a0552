/* Every op of every backend and instruction set against ref64: its error is at most twice that of
 * ref, the plain f32 standard, plus one unit in the last place. (Errors are Euclidean norms over an
 * argument.) Also here, because every case runs here: nothing is written outside the outputs,
 * outputs are written whole and not read before, and the result does not depend on the alignment of
 * the buffers. */
#include "op_cases_rows.h"

static Dev *ref32, *ref64;

typedef struct Parity {
    const OpCase *c;
    Dev *dev;
    OpPass pass;
    char name[128];
} Parity;

static double distance(const double *a, const double *b, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (a[i] - (b ? b[i] : 0)) * (a[i] - (b ? b[i] : 0));
    return sqrt(sum);
}

static double unit_of(const OpArg *a) {
    if (!op_arg_is_float(a)) return 0;
    return a->dtype == DTYPE_F64 ? 0x1p-48 : 0x1p-23;
}

static void compare(const Parity *p, int i, const double *ours, const double *standard,
                    const double *exact) {
    const OpArg *a = &p->c->arg[i];
    int64_t n = op_arg_numel(a);
    double error = distance(ours, exact, n), allowed = 2 * distance(standard, exact, n);
    allowed += (p->pass == PASS_FWD ? unit_of(a) : 0x1p-23) * distance(exact, NULL, n);
    if (!(error <= allowed))
        fail_msg("%s: %s%s: error %.3g, allowed %.3g", p->name, p->pass == PASS_BWD ? "d" : "",
                 a->name, error, allowed);
}

/* Where a sum's rounding decides another token, the rest of the row follows: taken from `exact`. */
static void forgive_tokens(const Parity *p, OpValues *ours, const OpValues *exact) {
    int others = 0;
    for (int64_t r = 0; r < p->c->arg[SAMPLE_TOKEN].shape[0]; r++) {
        if (ours->t[SAMPLE_TOKEN][r] == exact->t[SAMPLE_TOKEN][r]) continue;
        others++;
        ours->t[SAMPLE_TOKEN][r] = exact->t[SAMPLE_TOKEN][r];
        if (ours->t[SAMPLE_LOGP]) ours->t[SAMPLE_LOGP][r] = exact->t[SAMPLE_LOGP][r];
    }
    assert_in_range(others, 0, 2);
}

static void same_when_shifted(const Parity *p, const OpValues *in, const OpValues *aligned) {
    OpValues shifted;
    op_call(&shifted, p->c, p->dev, in, p->pass, 1);
    for (int i = 0; i < p->c->n_args; i++) {
        const double *a = op_result(aligned, p->c, i, p->pass);
        const double *b = op_result(&shifted, p->c, i, p->pass);
        size_t bytes = (size_t)op_arg_numel(&p->c->arg[i]) * sizeof *a;
        if (a && memcmp(a, b, bytes) != 0)
            fail_msg("%s: %s depends on alignment", p->name, p->c->arg[i].name);
    }
    op_values_free(&shifted);
}

static void test_ops__error_is_that_of_the_standard(void **state) {
    const Parity *p = *state;
    OpValues in, exact, standard, ours;
    op_values_make(&in, p->c);
    if (p->pass == PASS_BWD) op_values_forward(&in, p->c, ref64, true);
    op_call(&exact, p->c, ref64, &in, p->pass, 0);
    op_call(&standard, p->c, ref32, &in, p->pass, 0);
    op_call(&ours, p->c, p->dev, &in, p->pass, 0);
    same_when_shifted(p, &in, &ours);
    if (p->c->loose_tokens) {
        forgive_tokens(p, &standard, &exact);
        forgive_tokens(p, &ours, &exact);
    }
    for (int i = 0; i < p->c->n_args; i++)
        if (op_result(&exact, p->c, i, p->pass))
            compare(p, i, op_result(&ours, p->c, i, p->pass),
                    op_result(&standard, p->c, i, p->pass), op_result(&exact, p->c, i, p->pass));
    op_values_free(&in);
    op_values_free(&exact);
    op_values_free(&standard);
    op_values_free(&ours);
}

/* The standard itself is held to a unit in the last place where a sum is long: ref's error is what
 * others are measured with. */
static void test_ops_logp__a_long_vocabulary_keeps_its_digits(void **state) {
    OpCase c = logp_case("a long vocabulary", 16, 20011, true, false,
                         (LogpArgs){.inv_temperature = 1 / 0.7});
    c.n_args = 6;
    const Parity p = {.c = &c, .dev = *state, .pass = PASS_FWD, .name = "logp of 20011 tokens"};
    OpValues in, exact, ours;
    op_values_make(&in, &c);
    op_call(&exact, &c, ref64, &in, PASS_FWD, 0);
    op_call(&ours, &c, p.dev, &in, PASS_FWD, 0);
    for (int i = 0; i < 3; i++) { /* logp, entropy, lse */
        const double *truth = op_result(&exact, &c, i, PASS_FWD);
        compare(&p, i, op_result(&ours, &c, i, PASS_FWD), truth, truth);
    }
    op_values_free(&in);
    op_values_free(&exact);
    op_values_free(&ours);
}

/* One test a case and pass, for one device. Returns how many. */
static int add_tests(struct CMUnitTest *tests, Parity *parities, Dev *dev) {
    int n = 0;
    for (int i = 0; i < op_cases()->n; i++) {
        const OpCase *c = &op_cases()->at[i];
        for (int pass = PASS_FWD; pass <= (c->bwd ? PASS_BWD : PASS_FWD); pass++) {
            Parity *p = &parities[n];
            *p = (Parity){.c = c, .dev = dev, .pass = (OpPass)pass};
            snprintf(p->name, sizeof p->name, "%s/%s %s %d: %s", dev_name(dev), dev_isa(dev),
                     pass == PASS_FWD ? "fwd" : "bwd", i, c->label);
            tests[n++] = (struct CMUnitTest){.name = p->name,
                                             .test_func = test_ops__error_is_that_of_the_standard,
                                             .initial_state = p};
        }
    }
    return n;
}

int main(void) {
    Dev *devs[1 + OP_N_ISAS] = {0};
    struct CMUnitTest missing[OP_N_ISAS];
    int n_devs = 0, n_missing = 0, n = 0;
    if (dev_open(&ref32, "ref", 0) != OK || dev_open(&ref64, "ref64", 0) != OK) return 1;
    devs[n_devs++] = ref32;
    for (int i = 0; i < OP_N_ISAS; i++) {
        Dev *dev = op_open_isa(op_isas[i], 0);
        if (dev)
            devs[n_devs++] = dev;
        else
            missing[n_missing++] = op_missing_isa("test_ops_parity", i);
    }
    size_t most = (size_t)n_devs * (2 * OP_MAX_CASES + 1) + OP_N_ISAS;
    struct CMUnitTest *tests = mem_zalloc(most, sizeof *tests);
    Parity *parities = mem_zalloc(most, sizeof *parities);
    for (int i = 0; i < n_devs; i++) n += add_tests(tests + n, parities + n, devs[i]);
    for (int i = 0; i < n_devs; i++)
        tests[n++] = (struct CMUnitTest)cmocka_unit_test_prestate(
            test_ops_logp__a_long_vocabulary_keeps_its_digits, devs[i]);
    for (int i = 0; i < n_missing; i++) tests[n++] = missing[i];
    int failed = _cmocka_run_group_tests("ops parity", tests, (size_t)n, NULL, NULL);
    mem_free(tests);
    mem_free(parities);
    for (int i = 0; i < n_devs; i++) dev_close(devs[i]);
    dev_close(ref64);
    return failed;
}
