/* A row is computed alone (law L5): its bits do not depend on how many rows a call has, where the
 * row stands, what its neighbours are, the number of threads, the layout of the weight or the
 * instruction set. For every case with rows, forward and backward, on every instruction set of the
 * machine. */
#include "op_cases_rows.h"

typedef struct Subject {
    const OpCase *c;
    Dev *dev; /* of the instruction set under test, all threads */
    int isa;
    char name[128];
} Subject;

static Dev *ref64, *one_thread[OP_N_ISAS], *two_threads[OP_N_ISAS];

/* ---- a case over some of its rows, or sequences ---- */

static double *pick_values(const double *from, int64_t width, const int64_t *rows, int64_t n) {
    double *to = mem_alloc((size_t)(n * width + 1) * sizeof *to);
    for (int64_t r = 0; r < n; r++)
        memcpy(to + r * width, from + rows[r] * width, (size_t)width * sizeof *to);
    return to;
}

static int64_t width_of(const OpArg *a) {
    return a->rank == 1 ? 1 : a->shape[1];
}

static double *copy_values(const double *from, int64_t n) {
    double *to = mem_zalloc((size_t)n + 1, sizeof *to);
    memcpy(to, from, (size_t)n * sizeof *to);
    return to;
}

/* The case and its values with only rows[n] of every argument that has rows. */
static OpCase pick_rows(OpValues *to, const OpCase *c, const OpValues *from, const int64_t *rows,
                        int64_t n) {
    OpCase part = *c;
    *to = (OpValues){0};
    for (int i = 0; i < c->n_args; i++) {
        OpArg *a = &part.arg[i];
        if (a->absent) continue;
        int64_t numel = op_arg_numel(a), width = width_of(a);
        to->t[i] =
            a->per_row ? pick_values(from->t[i], width, rows, n) : copy_values(from->t[i], numel);
        to->d[i] =
            a->per_row ? pick_values(from->d[i], width, rows, n) : copy_values(from->d[i], numel);
        if (a->per_row) a->shape[0] = n;
    }
    return part;
}

/* Results of `part`, which holds rows[n] of `whole`, are bit for bit those rows of it. */
static void compare_rows(const Subject *s, const char *what, OpPass pass, const OpValues *whole,
                         const OpValues *part, const int64_t *rows, int64_t n) {
    for (int i = 0; i < s->c->n_args; i++) {
        const OpArg *a = &s->c->arg[i];
        const double *wanted = op_result(whole, s->c, i, pass);
        if (!wanted || !a->per_row) continue;
        const double *got = op_result(part, s->c, i, pass);
        int64_t width = width_of(a);
        for (int64_t r = 0; r < n; r++)
            if (memcmp(got + r * width, wanted + rows[r] * width, (size_t)width * sizeof *got) != 0)
                fail_msg("%s, %s, %s: row %lld of %s differs", s->name, what,
                         pass == PASS_FWD ? "forward" : "backward", (long long)rows[r], a->name);
    }
}

static void check_rows(const Subject *s, const char *what, OpPass pass, const OpValues *in,
                       const OpValues *whole, const int64_t *rows, int64_t n) {
    OpValues picked, part;
    OpCase c = pick_rows(&picked, s->c, in, rows, n);
    op_call(&part, &c, s->dev, &picked, pass, 0);
    compare_rows(s, what, pass, whole, &part, rows, n);
    op_values_free(&picked);
    op_values_free(&part);
}

static int64_t count_rows(const OpCase *c) {
    for (int i = 0; i < c->n_args; i++)
        if (c->arg[i].per_row && !c->arg[i].absent) return c->arg[i].shape[0];
    return 0;
}

/* Passes whose rows are computed from the same inputs: calls f for the forward, then the backward.
 */
typedef void Check(const Subject *s, OpPass pass, const OpValues *in, const OpValues *whole);
static void each_pass(const Subject *s, Check *check) {
    OpValues in, whole;
    op_values_make(&in, s->c);
    op_call(&whole, s->c, s->dev, &in, PASS_FWD, 0);
    check(s, PASS_FWD, &in, &whole);
    op_values_free(&whole);
    if (s->c->bwd) {
        op_values_forward(&in, s->c, ref64, true);
        op_call(&whole, s->c, s->dev, &in, PASS_BWD, 0);
        check(s, PASS_BWD, &in, &whole);
        op_values_free(&whole);
    }
    op_values_free(&in);
}

/* Of the pieces of each cut, at most about five, the first and the last among them. */
static void check_cuts(const Subject *s, OpPass pass, const OpValues *in, const OpValues *whole) {
    static const int64_t cuts[] = {1, 2, 3, 5, 6, 7, 8, 16, 17, 31, 64};
    int64_t n = count_rows(s->c), rows[512] = {0};
    assert_in_range(n, 1, 512);
    for (size_t k = 0; k < sizeof cuts / sizeof cuts[0]; k++) {
        int64_t pieces = (n + cuts[k] - 1) / cuts[k], stride = (pieces + 3) / 4;
        for (int64_t piece = 0; piece < pieces; piece++) {
            if (piece % stride != 0 && piece != pieces - 1) continue;
            int64_t first = piece * cuts[k], size = first + cuts[k] < n ? cuts[k] : n - first;
            for (int64_t r = 0; r < size; r++) rows[r] = first + r;
            check_rows(s, "cut", pass, in, whole, rows, size);
        }
    }
}

static void check_permutations(const Subject *s, OpPass pass, const OpValues *in,
                               const OpValues *whole) {
    int64_t n = count_rows(s->c), rows[512] = {0};
    for (uint64_t trial = 0; trial < 3; trial++) {
        for (int64_t r = 0; r < n; r++)
            rows[r] = (int64_t)rng_permute(trial, RNG_WORLD, 0, (uint64_t)n, (uint64_t)r);
        check_rows(s, "permuted", pass, in, whole, rows, n);
    }
}

static void test_ops_rows__do_not_depend_on_cuts(void **state) {
    each_pass(*state, check_cuts);
}
static void test_ops_rows__do_not_depend_on_places(void **state) {
    each_pass(*state, check_permutations);
}

/* ---- sequences ---- */

static int64_t pick_sequences(OpCase *part, OpValues *to, int64_t *rows, const OpCase *c,
                              const OpValues *from, const int64_t *seqs, int64_t n_seqs,
                              double *starts) {
    const double *old = from->t[ATTN_START];
    int64_t n = 0;
    starts[0] = 0;
    for (int64_t s = 0; s < n_seqs; s++) {
        for (int64_t r = (int64_t)old[seqs[s]]; r < (int64_t)old[seqs[s] + 1]; r++) rows[n++] = r;
        starts[s + 1] = (double)n;
    }
    OpCase by_row = *c;
    for (int i = ATTN_OUT; i <= ATTN_V; i++) by_row.arg[i].per_row = true;
    *part = pick_rows(to, &by_row, from, rows, n);
    memcpy(to->t[ATTN_START], starts, (size_t)(n_seqs + 1) * sizeof *starts);
    part->arg[ATTN_START].shape[0] = n_seqs + 1;
    if (!c->arg[ATTN_IDS].absent) {
        for (int64_t s = 0; s < n_seqs; s++) to->t[ATTN_IDS][s] = from->t[ATTN_IDS][seqs[s]];
        part->arg[ATTN_IDS].shape[0] = n_seqs;
    }
    return n;
}

static void check_sequence_list(const Subject *s, OpPass pass, const OpValues *in,
                                const OpValues *whole, const int64_t *seqs, int64_t n_seqs) {
    OpCase part, by_row = *s->c;
    OpValues picked, got;
    int64_t rows[512] = {0};
    double starts[16];
    int64_t n = pick_sequences(&part, &picked, rows, s->c, in, seqs, n_seqs, starts);
    op_call(&got, &part, s->dev, &picked, pass, 0);
    for (int i = ATTN_OUT; i <= ATTN_V; i++) by_row.arg[i].per_row = true;
    Subject view = *s;
    view.c = &by_row;
    compare_rows(&view, "sequences", pass, whole, &got, rows, n);
    op_values_free(&picked);
    op_values_free(&got);
}

/* Each alone, all the other way round, and a few of them. */
static void check_sequences(const Subject *s, OpPass pass, const OpValues *in,
                            const OpValues *whole) {
    int64_t n_seqs = s->c->arg[ATTN_START].shape[0] - 1, list[16];
    assert_in_range(n_seqs, 1, 15);
    for (int64_t q = 0; q < n_seqs; q++) check_sequence_list(s, pass, in, whole, &q, 1);
    for (int64_t q = 0; q < n_seqs; q++) list[q] = n_seqs - 1 - q;
    check_sequence_list(s, pass, in, whole, list, n_seqs);
    check_sequence_list(s, pass, in, whole, list, (n_seqs + 1) / 2);
}

static void test_ops_rows__sequences_do_not_see_each_other(void **state) {
    each_pass(*state, check_sequences);
}

/* A sequence without its last rows: the rows that stay are the same. */
static void test_ops_rows__rows_do_not_see_later_rows(void **state) {
    const Subject *s = *state;
    OpValues in, whole, picked, got;
    op_values_make(&in, s->c);
    op_call(&whole, s->c, s->dev, &in, PASS_FWD, 0);
    int64_t length = (int64_t)in.t[ATTN_START][1], rows[512] = {0}, first = 0;
    double starts[16];
    for (int64_t keep = 1; keep < length; keep += keep < 8 ? 1 : 13) {
        OpCase one, part;
        OpValues alone;
        pick_sequences(&one, &alone, rows, s->c, &in, &first, 1, starts);
        for (int i = ATTN_OUT; i <= ATTN_V; i++) one.arg[i].per_row = true;
        part = pick_rows(&picked, &one, &alone, rows, keep);
        picked.t[ATTN_START][1] = (double)keep;
        op_call(&got, &part, s->dev, &picked, PASS_FWD, 0);
        Subject view = *s;
        view.c = &one;
        compare_rows(&view, "shortened", PASS_FWD, &whole, &got, rows, keep);
        op_values_free(&alone);
        op_values_free(&picked);
        op_values_free(&got);
    }
    op_values_free(&in);
    op_values_free(&whole);
}

/* ---- generation computes what training computes ---- */

/* Puts the keys of one sequence into pages, in an order that is not theirs, and asks for every row
 * of it. */
static void test_ops_rows__decode_is_the_training_forward(void **state) {
    const Subject *s = *state;
    OpValues in, whole;
    op_values_make(&in, s->c);
    op_call(&whole, s->c, s->dev, &in, PASS_FWD, 0);
    int64_t n_seqs = s->c->arg[ATTN_START].shape[0] - 1;
    int64_t first = (int64_t)in.t[ATTN_START][n_seqs - 1], end = (int64_t)in.t[ATTN_START][n_seqs];
    int64_t n = end - first, pages = (n + KV_PAGE - 1) / KV_PAGE;
    int64_t kv_width = s->c->arg[ATTN_K].shape[1], q_width = s->c->arg[ATTN_Q].shape[1];
    OpCase c = {.label = "decode",
                .n_args = 8,
                .fwd = decode_case_fwd,
                .args.attn = s->c->args.attn,
                .arg = {rows(out2("out", n, q_width)), in2("q", n, q_width),
                        in2("k_pages", pages * KV_PAGE, kv_width),
                        in2("v_pages", pages * KV_PAGE, kv_width),
                        below(in2("table", n, pages), pages), below(in1("lens", n), n + 1),
                        s->c->arg[ATTN_SLOPES], s->c->arg[ATTN_BIAS]}};
    OpValues v, got;
    op_values_make(&v, &c);
    memcpy(v.t[1], in.t[ATTN_Q] + first * q_width, (size_t)(n * q_width) * sizeof(double));
    for (int64_t r = 0; r < n; r++) {
        v.t[5][r] = (double)(r + 1);
        for (int64_t p = 0; p < pages; p++) v.t[4][r * pages + p] = (double)(pages - 1 - p);
        int64_t slot = (pages - 1 - r / KV_PAGE) * KV_PAGE + r % KV_PAGE;
        int64_t dim = c.args.attn.head_dim, heads = kv_width / dim;
        for (int64_t h = 0; h < heads; h++) {
            int64_t to = kv_place(slot, h, heads, dim), from = (first + r) * kv_width + h * dim;
            memcpy(v.t[2] + to, in.t[ATTN_K] + from, (size_t)dim * sizeof(double));
            memcpy(v.t[3] + to, in.t[ATTN_V] + from, (size_t)dim * sizeof(double));
        }
    }
    op_call(&got, &c, s->dev, &v, PASS_FWD, 0);
    for (int64_t r = 0; r < n; r++)
        if (memcmp(got.t[0] + r * q_width, whole.t[ATTN_OUT] + (first + r) * q_width,
                   (size_t)q_width * sizeof(double)) != 0)
            fail_msg("%s: decode of position %lld differs", s->name, (long long)r);
    op_values_free(&in);
    op_values_free(&whole);
    op_values_free(&v);
    op_values_free(&got);
}

/* ---- threads, layouts, instruction sets ---- */

static void compare_all(const Subject *s, const char *what, OpPass pass, const OpValues *a,
                        const OpValues *b) {
    for (int i = 0; i < s->c->n_args; i++) {
        const double *x = op_result(a, s->c, i, pass), *y = op_result(b, s->c, i, pass);
        if (x && memcmp(x, y, (size_t)op_arg_numel(&s->c->arg[i]) * sizeof *x) != 0)
            fail_msg("%s: %s depends on the %s (%s)", s->name, s->c->arg[i].name, what,
                     pass == PASS_FWD ? "forward" : "backward");
    }
}

static void check_devices(const Subject *s, OpPass pass, const OpValues *in,
                          const OpValues *whole) {
    Dev *others[] = {one_thread[s->isa], two_threads[s->isa], two_threads[0]};
    const char *what[] = {"number of threads", "number of threads", "instruction set"};
    for (int i = 0; i < 3; i++) {
        OpValues got;
        op_call(&got, s->c, others[i], in, pass, 0);
        compare_all(s, what[i], pass, whole, &got);
        op_values_free(&got);
    }
}

static void test_ops_rows__do_not_depend_on_threads_or_isa(void **state) {
    each_pass(*state, check_devices);
}

/* y over the weight as it is, over our own panels, and over panels of op_pack: the same bits. */
static void test_ops_rows__panels_give_the_bits_of_rows(void **state) {
    const Subject *s = *state;
    OpCase panels = *s->c;
    panels.arg[2].layout = panels.arg[2].layout == LAYOUT_ROW ? LAYOUT_PANEL : LAYOUT_ROW;
    OpValues in, a, b;
    op_values_make(&in, s->c);
    op_call(&a, s->c, s->dev, &in, PASS_FWD, 0);
    op_call(&b, &panels, s->dev, &in, PASS_FWD, 0);
    compare_all(s, "layout", PASS_FWD, &a, &b);
    op_values_free(&in);
    op_values_free(&a);
    op_values_free(&b);
}

/* dx through packed transposed weights is linear_dx. */
static void test_ops_rows__transposed_panels_give_dx(void **state) {
    const Subject *s = *state;
    const OpArg *y = &s->c->arg[0], *x = &s->c->arg[1], *w = &s->c->arg[2];
    OpCase back = linear_case("dx by panels", x->shape[0], x->shape[1], y->shape[1], w->dtype, true,
                              false, s->c->args.linear);
    back.n_args = 4;
    OpValues in, a, v, b;
    op_values_make(&in, s->c);
    op_values_make(&v, &back);
    op_call(&a, s->c, s->dev, &in, PASS_BWD, 0);
    for (int64_t o = 0; o < w->shape[0]; o++)
        for (int64_t i = 0; i < w->shape[1]; i++)
            v.t[2][i * w->shape[0] + o] = in.t[2][o * w->shape[1] + i];
    memcpy(v.t[0], in.d[1], (size_t)op_arg_numel(x) * sizeof(double));
    memcpy(v.t[1], in.d[0], (size_t)op_arg_numel(y) * sizeof(double));
    op_call(&b, &back, s->dev, &v, PASS_FWD, 0);
    assert_memory_equal(a.d[1], b.t[0], (size_t)op_arg_numel(x) * sizeof(double));
    op_values_free(&in);
    op_values_free(&a);
    op_values_free(&v);
    op_values_free(&b);
}

/* Codes are widened to numbers; nothing else is different about them. */
static void test_ops_rows__codes_give_the_bits_of_their_values(void **state) {
    const Subject *s = *state;
    const OpArg *w = &s->c->arg[2];
    OpCase plain = *s->c;
    plain.arg[2].coded = false;
    plain.arg[2].layout = LAYOUT_ROW;
    OpValues in, v, a, b;
    OpBuffer coded;
    op_values_make(&in, s->c);
    op_values_make(&v, &plain);
    op_buffer_open(&coded, w, DTYPE_F32, in.t[2], 0);
    for (int64_t o = 0; o < w->shape[0]; o++)
        for (int64_t i = 0; i < w->shape[1]; i++)
            v.t[2][o * w->shape[1] + i] = (double)quant_weight_at(coded.t, o, i);
    op_buffer_close(&coded, s->c, w->name);
    for (int pass = PASS_FWD; pass <= PASS_BWD; pass++) {
        op_call(&a, s->c, s->dev, &in, (OpPass)pass, 0);
        op_call(&b, &plain, s->dev, &v, (OpPass)pass, 0);
        compare_all(s, "codes", (OpPass)pass, &a, &b);
        op_values_free(&a);
        op_values_free(&b);
    }
    op_values_free(&in);
    op_values_free(&v);
}

/* ---- the list ---- */

typedef struct TestList {
    int n;
    struct CMUnitTest at[OP_MAX_CASES * 6 * OP_N_ISAS];
    Subject subject[OP_MAX_CASES * 6 * OP_N_ISAS];
} TestList;

static void add(TestList *list, const OpCase *c, int isa, const char *what, CMUnitTestFunction f) {
    Subject *s = &list->subject[list->n];
    *s = (Subject){.c = c, .dev = two_threads[isa], .isa = isa};
    snprintf(s->name, sizeof s->name, "%s %s: %s", op_isas[isa], what, c->label);
    list->at[list->n++] = (struct CMUnitTest){.name = s->name, .test_func = f, .initial_state = s};
}

static void add_case(TestList *list, const OpCase *c, int isa) {
    add(list, c, isa, "threads", test_ops_rows__do_not_depend_on_threads_or_isa);
    if (count_rows(c) > 0) {
        add(list, c, isa, "cuts", test_ops_rows__do_not_depend_on_cuts);
        add(list, c, isa, "places", test_ops_rows__do_not_depend_on_places);
    }
    if (c->arg[2].coded) {
        add(list, c, isa, "codes", test_ops_rows__codes_give_the_bits_of_their_values);
        return;
    }
    if (c->fwd == linear_case_fwd)
        add(list, c, isa, "panels", test_ops_rows__panels_give_the_bits_of_rows);
    if (c->bwd == linear_case_bwd)
        add(list, c, isa, "dx", test_ops_rows__transposed_panels_give_dx);
    if (c->fwd != attn_case_fwd) return;
    if (c->arg[ATTN_KEY_START].absent)
        add(list, c, isa, "sequences", test_ops_rows__sequences_do_not_see_each_other);
    if (c->args.attn.bidirectional) return;
    add(list, c, isa, "later rows", test_ops_rows__rows_do_not_see_later_rows);
    if (c->args.attn.dropout.p <= 0)
        add(list, c, isa, "decode", test_ops_rows__decode_is_the_training_forward);
}

int main(void) {
    static TestList list;
    if (dev_open(&ref64, "ref64", 0) != OK) return 1;
    for (int isa = 0; isa < OP_N_ISAS; isa++) {
        one_thread[isa] = op_open_isa(op_isas[isa], 1);
        two_threads[isa] = op_open_isa(op_isas[isa], 2);
        if (!two_threads[isa]) {
            list.at[list.n++] = op_missing_isa("test_ops_rows", isa);
            continue;
        }
        for (int i = 0; i < op_cases()->n; i++) add_case(&list, &op_cases()->at[i], isa);
    }
    int failed = _cmocka_run_group_tests("ops rows", list.at, (size_t)list.n, NULL, NULL);
    for (int isa = 0; isa < OP_N_ISAS; isa++) {
        dev_close(one_thread[isa]);
        dev_close(two_threads[isa]);
    }
    dev_close(ref64);
    return failed;
}
