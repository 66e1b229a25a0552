/* Devices: opening, holes in a table, measuring, the sticky error; and what ops.c refuses. */
#include "unit.h"

#include "kernels/backend.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_dev__opens_each_backend_by_name(void **state) {
    (void)state;
    static const char *const names[] = {"cpu", "ref", "ref64"};
    for (int i = 0; i < 3; i++) {
        Dev *dev = NULL;
        assert_int_equal(dev_open(&dev, names[i], 1), OK);
        assert_string_equal(dev_name(dev), names[i]);
        assert_int_equal(dev_real(dev), i == 2 ? DTYPE_F64 : DTYPE_F32);
        assert_true(dev_is_host(dev));
        assert_non_null(dev_isa(dev));
        dev_close(dev);
    }
    dev_close(NULL);
}

static void test_dev__an_unknown_name_is_refused(void **state) {
    (void)state;
    Dev *dev = (Dev *)&state;
    assert_int_equal(dev_open(&dev, "tpu", 1), ERR_DEVICE);
    assert_null(dev);
    assert_non_null(strstr(status_message(), "tpu"));
}

/* Every hole, one after another, is named. */
static void test_dev__a_hole_in_the_table_is_named(void **state) {
    (void)state;
#define WITHOUT(op, parameters)                                            \
    {                                                                      \
        Ops ops = *ref_backend.ops;                                        \
        Backend backend = ref_backend;                                     \
        Dev *dev = NULL;                                                   \
        ops.op = NULL;                                                     \
        backend.ops = &ops;                                                \
        assert_int_equal(dev_open_backend(&dev, &backend, 1), ERR_DEVICE); \
        assert_null(dev);                                                  \
        assert_non_null(strstr(status_message(), "`" #op "`"));            \
    }
    OPS(WITHOUT)
#undef WITHOUT
}

static int closed;
static Status open_fails(Dev *dev) {
    (void)dev;
    return status_fail(ERR_DEVICE, "no power");
}
static void count_close(Dev *dev) {
    (void)dev;
    closed++;
}

static void test_dev__a_failed_open_closes(void **state) {
    (void)state;
    Backend backend = ref_backend;
    Dev *dev = NULL;
    closed = 0;
    backend.open = open_fails;
    backend.close = count_close;
    assert_int_equal(dev_open_backend(&dev, &backend, 1), ERR_DEVICE);
    assert_null(dev);
    assert_int_equal(closed, 1);
    assert_string_equal(status_message(), "no power");
}

#ifdef __SANITIZE_ADDRESS__
/* The sanitizer's allocator ends the process by itself unless it is told to fail as malloc does. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "allocator_may_return_null=1";
}
#endif

static void test_dev__memory_is_aligned_and_copied(void **state) {
    (void)state;
    Dev *dev = NULL;
    void *p = NULL;
    float there[3] = {1, 2, 3}, back[3] = {0};
    assert_int_equal(dev_open(&dev, "cpu", 1), OK);
    assert_int_equal(dev_alloc(&p, dev, sizeof there), OK);
    assert_int_equal((uintptr_t)p % ARENA_ALIGN, 0);
    dev_upload(dev, tensor_1d(p, DTYPE_F32, 3), there);
    dev_download(dev, back, tensor_1d(p, DTYPE_F32, 3));
    assert_memory_equal(back, there, sizeof there);
    dev_free(dev, p);
    assert_int_equal(dev_alloc(&p, dev, 0), OK);
    assert_non_null(p);
    dev_free(dev, p);
    assert_int_equal(dev_alloc(&p, dev, SIZE_MAX), ERR_OS);
    assert_int_equal(dev_alloc(&p, dev, SIZE_MAX / 2), ERR_OS);
    assert_non_null(strstr(status_message(), "bytes"));
    dev_close(dev);
}

static void test_dev__measuring_touches_nothing(void **state) {
    (void)state;
    Dev *dev = NULL;
    Arena arena;
    assert_int_equal(dev_open(&dev, "cpu", 1), OK);
    dev_set_measure(dev, true);
    assert_true(dev_measuring(dev));
    arena_init_measure(&arena, "test");
    Tensor x = arena_2d(&arena, DTYPE_F32, 5, 7), w = arena_2d(&arena, DTYPE_F32, 3, 7);
    Tensor y = arena_2d(&arena, DTYPE_F32, 5, 3), ids = arena_1d(&arena, DTYPE_I32, 5);
    op_linear_fwd(dev, y, x, w, tensor_none(), (LinearArgs){.alpha = 1});
    op_embed_fwd(dev, x, w, ids, 1, false);
    op_fill(dev, y, 0);
    assert_int_equal(dev_check(dev), OK);
    dev_close(dev);
}

static void test_dev__the_first_error_stays_until_asked(void **state) {
    (void)state;
    Dev *dev = NULL;
    assert_int_equal(dev_open(&dev, "ref", 1), OK);
    dev_fail(dev, ERR_DEVICE, "lost %d", 1);
    dev_fail(dev, ERR_OS, "lost %d", 2);
    assert_int_equal(dev_check(dev), ERR_DEVICE);
    assert_string_equal(status_message(), "lost 1");
    assert_int_equal(dev_check(dev), OK);
    dev_close(dev);
}

/* ---- wrong arguments: each aborts, and its line names the op and the argument ---- */

static Dev *ref;
static float memory[4096];
static int32_t numbers[64];

static Tensor mat(int64_t offset, int64_t rows, int64_t cols) {
    return tensor_2d(memory + offset, DTYPE_F32, rows, cols);
}
static Tensor vec(int64_t offset, int64_t n) {
    return tensor_1d(memory + offset, DTYPE_F32, n);
}
static Tensor ids(int64_t n) {
    return tensor_1d(numbers, DTYPE_I32, n);
}
static const LinearArgs one = {.alpha = 1};
static const AttnArgs two_heads = {.n_heads = 2, .n_kv_heads = 1, .head_dim = 4, .scale = 1};

static void wrong_shape(void) {
    op_linear_fwd(ref, mat(0, 3, 5), mat(100, 3, 4), mat(200, 5, 6), tensor_none(), one);
}
static void wrong_type(void) {
    Tensor y = mat(0, 3, 5);
    y.dtype = DTYPE_BF16;
    op_linear_fwd(ref, y, mat(100, 3, 4), mat(200, 5, 4), tensor_none(), one);
}
static void missing(void) {
    op_act_fwd(ref, mat(0, 2, 2), tensor_none(), ACT_SILU);
}
static void output_over_input(void) {
    op_linear_fwd(ref, mat(100, 3, 4), mat(100, 3, 4), mat(200, 4, 4), tensor_none(), one);
}
static void partial_overlap(void) {
    op_act_fwd(ref, mat(1, 2, 2), mat(0, 2, 2), ACT_SILU);
}
static void id_past_the_table(void) {
    numbers[1] = 7;
    op_embed_fwd(ref, mat(0, 2, 3), mat(100, 7, 3), ids(2), 1, false);
}
static void negative_target(void) {
    numbers[0] = -1;
    op_logp_fwd(ref, vec(0, 1), tensor_none(), vec(10, 1), tensor_none(), mat(100, 1, 5), ids(1),
                (LogpArgs){.inv_temperature = 1});
}
static void panels_backward(void) {
    Tensor w = mat(200, 5, 4);
    w.layout = LAYOUT_PANEL;
    op_linear_dx(ref, mat(0, 3, 4), mat(100, 3, 5), w, one);
}
static void sequences_too_short(void) {
    numbers[0] = 0, numbers[1] = 2;
    op_attn_fwd(ref, mat(0, 3, 8), mat(100, 3, 2), mat(200, 3, 8), mat(300, 3, 4), mat(400, 3, 4),
                ids(2), tensor_none(), tensor_none(), tensor_none(), tensor_none(), two_heads);
}
static void dropout_without_ids(void) {
    AttnArgs args = two_heads;
    args.dropout.p = 0.5;
    numbers[0] = 0, numbers[1] = 3;
    op_attn_fwd(ref, mat(0, 3, 8), mat(100, 3, 2), mat(200, 3, 8), mat(300, 3, 4), mat(400, 3, 4),
                ids(2), tensor_none(), tensor_none(), tensor_none(), tensor_none(), args);
}
static void keys_without_order(void) {
    numbers[0] = 0, numbers[1] = 3;
    op_attn_fwd(ref, mat(0, 3, 8), mat(100, 3, 2), mat(200, 3, 8), mat(300, 3, 4), mat(400, 3, 4),
                ids(2), tensor_none(), tensor_none(), ids(2), tensor_none(), two_heads);
}
static void sequence_without_keys(void) {
    static int32_t key_start[] = {0, 3, 3};
    AttnArgs args = two_heads;
    args.bidirectional = true;
    numbers[0] = 0, numbers[1] = 2, numbers[2] = 3;
    op_attn_fwd(ref, mat(0, 3, 8), mat(100, 3, 2), mat(200, 3, 8), mat(300, 3, 4), mat(400, 3, 4),
                ids(3), tensor_none(), tensor_none(), tensor_1d(key_start, DTYPE_I32, 3),
                tensor_none(), args);
}
static void even_distances(void) {
    numbers[0] = 0, numbers[1] = 3;
    op_attn_fwd(ref, mat(0, 3, 8), mat(100, 3, 2), mat(200, 3, 8), mat(300, 3, 4), mat(400, 3, 4),
                ids(2), tensor_none(), tensor_none(), tensor_none(), mat(500, 4, 2), two_heads);
}
static void page_outside(void) {
    numbers[0] = 1; /* lens and table both: one key, in page 1 of 1 */
    op_attn_decode(ref, mat(0, 1, 8), mat(100, 1, 8), mat(200, KV_PAGE, 4), mat(600, KV_PAGE, 4),
                   tensor_2d(numbers, DTYPE_I32, 1, 1), ids(1), tensor_none(), tensor_none(),
                   two_heads);
}
static void certain_dropout(void) {
    static int64_t seq[1];
    op_dropout(ref, mat(0, 1, 4), mat(0, 1, 4), tensor_1d(seq, DTYPE_I64, 1), ids(1),
               (DropoutKey){.p = 1});
}
static void step_zero(void) {
    op_adamw(ref, vec(0, 4), vec(10, 4), vec(20, 4), vec(30, 4), (AdamwArgs){.step = 0});
}
static void same_moments(void) {
    op_adamw(ref, vec(0, 4), vec(10, 4), vec(10, 4), vec(30, 4), (AdamwArgs){.step = 1});
}

/* Runs f in a child and returns what it wrote to stderr; it must abort. */
static void must_abort(void (*f)(void), char *text, size_t cap) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        f();
        _exit(0);
    }
    close(ends[1]);
    size_t n = 0;
    for (ssize_t got; (got = read(ends[0], text + n, cap - 1 - n)) > 0;) n += (size_t)got;
    text[n] = 0;
    close(ends[0]);
    int how = 0;
    waitpid(child, &how, 0);
    assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGABRT);
}

static void test_ops__wrong_arguments_are_refused_by_name(void **state) {
    (void)state;
    static const struct {
        void (*call)(void);
        const char *says;
    } wrong[] = {{wrong_shape, "linear_fwd: x"},
                 {wrong_type, "linear_fwd: y is bfloat16"},
                 {missing, "act_fwd: x is missing"},
                 {output_over_input, "linear_fwd: y and x overlap"},
                 {partial_overlap, "act_fwd: y and x overlap"},
                 {id_past_the_table, "embed_fwd: ids[1] is 7"},
                 {negative_target, "logp_fwd: targets[0] is -1"},
                 {panels_backward, "linear_dx: w"},
                 {sequences_too_short, "attn: sequences span rows 0..2 of 3"},
                 {dropout_without_ids, "attn: dropout needs seq_ids"},
                 {keys_without_order, "attn: keys of another sequence have no order"},
                 {sequence_without_keys, "attn: key_start[1] is 3, then 3"},
                 {even_distances, "attn: bias: 4 distances"},
                 {page_outside, "attn_decode: row 0, page 0 is 1"},
                 {certain_dropout, "dropout: p is 1"},
                 {step_zero, "adamw: step 0"},
                 {same_moments, "adamw: two arguments overlap"}};
    assert_int_equal(dev_open(&ref, "ref", 1), OK);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char text[2048];
        must_abort(wrong[i].call, text, sizeof text);
        if (!strstr(text, wrong[i].says)) fail_msg("wanted \"%s\", got: %s", wrong[i].says, text);
    }
    dev_close(ref);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dev__opens_each_backend_by_name),
        cmocka_unit_test(test_dev__an_unknown_name_is_refused),
        cmocka_unit_test(test_dev__a_hole_in_the_table_is_named),
        cmocka_unit_test(test_dev__a_failed_open_closes),
        cmocka_unit_test(test_dev__memory_is_aligned_and_copied),
        cmocka_unit_test(test_dev__measuring_touches_nothing),
        cmocka_unit_test(test_dev__the_first_error_stays_until_asked),
        cmocka_unit_test(test_ops__wrong_arguments_are_refused_by_name),
    };
    return cmocka_run_group_tests_name("dev", tests, NULL, NULL);
}
