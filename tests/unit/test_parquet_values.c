/* Parquet's delta encodings: what an encoder of our own writes, of every width of bits, is read
 * back; what is cut or impossible is refused. */
#include "unit.h"

#include "core/mem.h"
#include "core/rng.h"
#include "core/str.h"
#include "data/containers/parquet_parts.h"

#include <string.h>

enum { DELTA_PACKED = 5, DELTA_LENGTHS, DELTA_BYTES };
enum { N = 300, BLOCK = 128, N_MINI = 4, MINI = BLOCK / N_MINI };

/* ---- writing ---- */

static void put_varint(Str *out, uint64_t x) {
    for (; x >= 0x80; x >>= 7) str_append_char(out, (char)(x | 0x80));
    str_append_char(out, (char)x);
}

static void put_zigzag(Str *out, int64_t x) {
    put_varint(out, (uint64_t)x << 1 ^ (x < 0 ? UINT64_MAX : 0));
}

/* `n` numbers of `width` bits, the lowest bit first; n * width is a multiple of 8. */
static void put_bits(Str *out, const uint64_t *x, size_t n, unsigned width) {
    unsigned byte = 0, n_bits = 0;
    for (size_t i = 0; i < n; i++) {
        for (unsigned k = 0; k < width; k++) {
            byte |= (unsigned)(x[i] >> k & 1) << n_bits++;
            if (n_bits < 8) continue;
            str_append_char(out, (char)byte);
            byte = n_bits = 0;
        }
    }
}

/* The numbers from `first` on: each is `least` and what `more` adds above the one before. Miniblock
 * m of a block has widths[m] bits a number. */
static void put_delta(Str *out, int64_t first, size_t n, int64_t least, const uint64_t *more,
                      const unsigned *widths) {
    put_varint(out, BLOCK);
    put_varint(out, N_MINI);
    put_varint(out, n);
    put_zigzag(out, first);
    for (size_t at = 0; at + 1 < n; at += BLOCK) {
        put_zigzag(out, least);
        for (int m = 0; m < N_MINI; m++) str_append_char(out, (char)widths[m]);
        for (size_t m = 0; m < N_MINI; m++) {
            uint64_t mini[MINI] = {0};
            size_t from = at + m * MINI, left = from + 1 < n ? n - 1 - from : 0;
            memcpy(mini, more + from, (left < MINI ? left : MINI) * sizeof *mini);
            if (left > 0) put_bits(out, mini, MINI, widths[m]);
        }
    }
}

/* Any small numbers. */
static void put_plain_delta(Str *out, const int64_t *x, size_t n) {
    static const unsigned widths[N_MINI] = {9, 9, 9, 9};
    uint64_t more[N] = {0};
    for (size_t i = 0; i + 1 < n; i++) more[i] = (uint64_t)(x[i + 1] - x[i] + 200);
    put_delta(out, x[0], n, -200, more, widths);
}

/* ---- reading ---- */

static const char *read_numbers(int64_t *out, const Str *bytes, size_t n_bytes, int64_t n) {
    ParquetPool pool = {.left = (size_t)1 << 20};
    const ParquetNode node = {.type = PARQUET_INT64};
    unsigned char *data = (unsigned char *)mem_strndup(bytes->data, n_bytes);
    ParquetSource s = {.at = data, .end = data + n_bytes, .node = &node, .pool = &pool};
    ParquetValues values = {.number = mem_zalloc((size_t)n, sizeof *values.number)};
    const char *wrong = parquet_values(values, n, &s, DELTA_PACKED);
    for (int64_t i = 0; i < n; i++) out[i] = values.number[i].number;
    mem_free(values.number);
    mem_free(data);
    parquet_pool_free(&pool);
    return wrong;
}

static void test_parquet_values__deltas_of_every_width(void **state) {
    (void)state;
    for (unsigned width = 0; width <= 64; width++) {
        unsigned widths[N_MINI];
        uint64_t more[N];
        int64_t want[N] = {7}, got[N];
        RngStream r = rng_stream(1, RNG_WORLD, width);
        for (unsigned m = 0; m < N_MINI; m++) widths[m] = (width + 5 * m) % 65;
        for (size_t i = 0; i + 1 < N; i++) {
            unsigned bits = widths[i % BLOCK / MINI];
            uint64_t x = (uint64_t)rng_next(&r) << 32 | rng_next(&r);
            more[i] = bits == 0 ? 0 : x >> (64 - bits);
            want[i + 1] = (int64_t)((uint64_t)want[i] + (uint64_t)-5 + more[i]);
        }
        Str bytes = {0};
        put_delta(&bytes, 7, N, -5, more, widths);
        assert_null(read_numbers(got, &bytes, bytes.len, N));
        assert_memory_equal(got, want, sizeof want);
        /* The last miniblock in use may end with its last number, and no byte earlier. */
        size_t used = (N - 1) % BLOCK % MINI, last = widths[(N - 1) % BLOCK / MINI];
        size_t cut = bytes.len - (MINI * last / 8 - (used * last + 7) / 8);
        assert_null(read_numbers(got, &bytes, cut, N));
        assert_memory_equal(got, want, sizeof want);
        if (last > 0) assert_non_null(read_numbers(got, &bytes, cut - 1, N));
        assert_non_null(read_numbers(got, &bytes, bytes.len, N - 1));
        str_free(&bytes);
    }
}

/* Texts of one encoding; NULL, or what is wrong. */
static const char *read_texts(Str *out, const Str *bytes, int64_t n, int encoding) {
    ParquetPool pool = {.left = (size_t)1 << 20};
    const ParquetNode node = {.type = PARQUET_BYTES};
    const unsigned char *data = (const unsigned char *)bytes->data;
    ParquetSource s = {.at = data, .end = data + bytes->len, .node = &node, .pool = &pool};
    ParquetValues values = {.text = mem_zalloc((size_t)n, sizeof *values.text)};
    const char *wrong = parquet_values(values, n, &s, encoding);
    for (int64_t i = 0; !wrong && i < n; i++)
        str_printf(out, "%.*s|", (int)values.text[i].n, values.text[i].at);
    mem_free(values.text);
    parquet_pool_free(&pool);
    return wrong;
}

static void test_parquet_values__texts_share_with_the_one_before(void **state) {
    (void)state;
    enum { TEXTS = 6 };
    static const char *const texts[TEXTS] = {"story", "stone", "stones", "", "tree", "trees"};
    static const int64_t same[TEXTS] = {0, 3, 5, 0, 0, 4};
    int64_t whole[TEXTS], rest[TEXTS];
    Str want = {0}, got = {0}, lengths = {0}, prefixes = {0};
    for (int i = 0; i < TEXTS; i++) {
        whole[i] = (int64_t)strlen(texts[i]);
        rest[i] = whole[i] - same[i];
        str_printf(&want, "%s|", texts[i]);
    }
    put_plain_delta(&lengths, whole, TEXTS);
    for (int i = 0; i < TEXTS; i++) str_append(&lengths, texts[i]);
    assert_null(read_texts(&got, &lengths, TEXTS, DELTA_LENGTHS));
    assert_string_equal(str_text(&got), want.data);
    str_clear(&got);
    put_plain_delta(&prefixes, same, TEXTS);
    put_plain_delta(&prefixes, rest, TEXTS);
    for (int i = 0; i < TEXTS; i++) str_append(&prefixes, texts[i] + same[i]);
    assert_null(read_texts(&got, &prefixes, TEXTS, DELTA_BYTES));
    assert_string_equal(str_text(&got), want.data);
    str_free(&want);
    str_free(&got);
    str_free(&lengths);
    str_free(&prefixes);
}

static void test_parquet_values__impossible_lengths(void **state) {
    (void)state;
    static const int64_t bad[][3] = {{1, -1, 1}, {1, 1, 99}, {-1, 0, 0}};
    static const int64_t ones[3] = {1, 1, 1};
    for (size_t i = 0; i < 3; i++) {
        Str got = {0}, lengths = {0}, prefixes = {0};
        put_plain_delta(&lengths, bad[i], 3);
        str_append(&lengths, "abc");
        assert_non_null(read_texts(&got, &lengths, 3, DELTA_LENGTHS));
        put_plain_delta(&prefixes, bad[i], 3);
        put_plain_delta(&prefixes, ones, 3);
        str_append(&prefixes, "abc");
        assert_non_null(read_texts(&got, &prefixes, 3, DELTA_BYTES));
        str_free(&got);
        str_free(&lengths);
        str_free(&prefixes);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parquet_values__deltas_of_every_width),
        cmocka_unit_test(test_parquet_values__texts_share_with_the_one_before),
        cmocka_unit_test(test_parquet_values__impossible_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
