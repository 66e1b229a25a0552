/* Text made to be slow: four times as much of it takes about four times as long, for every kind of
 * model and every way to split text. CPU time of this thread is what counts, and only growth: a
 * slow machine changes neither. Quadratic ways grow sixteenfold. */
#include "unit.h"

#include "core/file.h"
#include "core/mem.h"
#include "data/tokenizer/tokenizer.h"

#include <string.h>
#include <time.h>

#define SMALL ((size_t)256 << 10)
#define LARGE (4 * SMALL)
#define MOST_GROWTH 9 /* 4, and as much again for caches that the larger text leaves */
#define BRIEF 0.02    /* seconds of the larger text in which nothing can be measured */
#define TRIES 4

static const char *const patterns[] = {
    "a",
    " ",
    "\n",
    "ab",
    " \n",
    "\xCC\x81",         /* a combining mark */
    "\xCC\x81\xCC\xA7", /* marks that change places */
    "\xF0\x9F\x98\x80",
    "\xE2\x80\x8D\xF0\x9F\x91\xA8", /* one emoji of any length */
    "<s",
};
#define N_PATTERNS (sizeof patterns / sizeof *patterns)

/* The pattern over and over, whole, in about n bytes. */
static char *fill(size_t n, const char *pattern, size_t *made) {
    size_t k = strlen(pattern);
    char *text = mem_alloc(n);
    for (*made = 0; *made + k <= n; *made += k) memcpy(text + *made, pattern, k);
    return text;
}

static double seconds_of(const Tokenizer *t, const char *text, size_t n) {
    struct timespec start, end;
    TokenIds ids = {0};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
    Status st = tokenizer_encode(t, &ids, text, n, TOKENIZER_PARSE_SPECIAL);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
    if (st != OK) fail_msg("%s", status_message());
    token_ids_free(&ids);
    return (double)(end.tv_sec - start.tv_sec) + 1e-9 * (double)(end.tv_nsec - start.tv_nsec);
}

/* The least growth of some tries: what disturbs one try lengthens it. */
static void check_growth(const Tokenizer *t, const char *name, const char *pattern) {
    size_t n_small, n_large;
    char *small = fill(SMALL, pattern, &n_small), *large = fill(LARGE, pattern, &n_large);
    double a = 1e9, b = 1e9;
    for (int i = 0; i < TRIES; i++) {
        double x = seconds_of(t, small, n_small), y = seconds_of(t, large, n_large);
        if (x < a) a = x;
        if (y < b) b = y;
        if (b < BRIEF || b < MOST_GROWTH * a) break;
    }
    if (b >= BRIEF && b >= MOST_GROWTH * a)
        fail_msg("%s: 256 kB of `%s` take %.4f s, 1 MB %.4f s", name, pattern, a, b);
    mem_free(small);
    mem_free(large);
}

static void check_file(const char *name) {
    char *path = str_format(HONE_SOURCE_DIR "/tests/golden/data/gguf_tokenizers/%s.gguf", name);
    Tokenizer *t = NULL;
    if (tokenizer_open(&t, path) != OK) fail_msg("%s", status_message());
    for (size_t i = 0; i < N_PATTERNS; i++) check_growth(t, name, patterns[i]);
    tokenizer_close(t);
    mem_free(path);
}

#define LINEAR(function, name)           \
    static void function(void **state) { \
        (void)state;                     \
        check_file(name);                \
    }
LINEAR(test_tokenizer_time__grows_with_text_as_qwen2, "qwen2")
LINEAR(test_tokenizer_time__grows_with_text_as_falcon, "falcon")
LINEAR(test_tokenizer_time__grows_with_text_as_gemma, "gemma")
LINEAR(test_tokenizer_time__grows_with_text_as_t5, "t5")
LINEAR(test_tokenizer_time__grows_with_text_as_bert, "bert")

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokenizer_time__grows_with_text_as_qwen2),
        cmocka_unit_test(test_tokenizer_time__grows_with_text_as_falcon),
        cmocka_unit_test(test_tokenizer_time__grows_with_text_as_gemma),
        cmocka_unit_test(test_tokenizer_time__grows_with_text_as_t5),
        cmocka_unit_test(test_tokenizer_time__grows_with_text_as_bert),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
