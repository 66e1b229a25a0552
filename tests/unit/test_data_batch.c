/* Batches: TRL's collator examples in the flat form, and the order of items: which step, which
 * rank. */
#include "data_case.h"

/* ---- collator ---- */

static void fill_all(DataCase *c, Batch **b, int64_t n) {
    const int64_t items[] = {0, 1, 2, 3};
    assert_int_equal(batch_open(b, c->data, n), OK);
    batch_fill_items(*b, c->data, 0, items, n);
}

#define assert_array(want, got)                                   \
    for (size_t i_ = 0; i_ < sizeof(want) / sizeof *(want); i_++) \
    assert_int_equal((want)[i_], (got)[i_])

/* TRL's padding-free batch: ids 1..5, positions 0 1 2 0 1, labels shifted by one and never across.
 */
static void test_data_batch__rows_are_flat_and_shifted(void **state) {
    (void)state;
    DataCase c;
    Batch *b;
    case_open(&c, DATASET_SFT);
    case_text(&c, "t.jsonl", "{\"input_ids\": [1, 2, 3]}\n{\"input_ids\": [4, 5]}\n");
    fill_all(&c, &b, 2);
    assert_int_equal(b->rows.n_rows, 5);
    assert_int_equal(b->rows.n_seqs, 2);
    assert_int_equal(b->n_targets, 3);
    assert_array(((int32_t[]){1, 2, 3, 4, 5}), b->rows.ids);
    assert_array(((int32_t[]){0, 1, 2, 0, 1}), b->rows.positions);
    assert_array(((int32_t[]){2, 3, -1, 5, -1}), b->rows.targets);
    assert_array(((int32_t[]){0, 3, 5}), b->rows.seq_start);
    assert_array(((int64_t[]){0, 1}), b->rows.seq_ids);
    assert_array(((int32_t[]){2, 4}), b->last);
    rows_check(&b->rows, 259);
    batch_close(b);
    case_close(&c);
}

/* Byte tokenizer, EOS 257; the decoder begins with 9 and is asked for the completion and its end.
 */
static void test_data_batch__encoder_decoder_rows_are_pairs(void **state) {
    (void)state;
    DataCase c;
    Batch *b;
    case_open(&c, DATASET_SFT);
    c.options.encoder_decoder = true;
    c.options.max_length = 4; /* of each side, its EOS included */
    case_text(&c, "t.jsonl",
              "{\"prompt\": \"ab\", \"completion\": \"c\"}\n"
              "{\"prompt\": \"vwxyz\", \"completion\": \"klmno\"}\n");
    assert_int_equal(batch_open_beside(&b, c.data, 2, 9), OK);
    assert_int_equal(b->max_rows, 6);
    assert_int_equal(b->max_source_rows, 7);
    batch_fill_items(b, c.data, 1, (int64_t[]){1, 0}, 2);
    assert_array(((int32_t[]){9, 'k', 'l', 'm', 9, 'c'}), b->rows.ids);
    assert_array(((int32_t[]){'k', 'l', 'm', 257, 'c', 257}), b->rows.targets);
    assert_array(((int32_t[]){0, 1, 2, 3, 0, 1}), b->rows.positions);
    assert_array(((int32_t[]){0, 4, 6}), b->rows.seq_start);
    assert_array(((int32_t[]){'v', 'w', 'x', 257, 'a', 'b', 257}), b->rows.source->ids);
    assert_array(((int32_t[]){0, 1, 2, 3, 0, 1, 2}), b->rows.source->positions);
    assert_array(((int32_t[]){0, 4, 7}), b->rows.source->seq_start);
    assert_array(((int64_t[]){3, 2}), b->rows.source->seq_ids);
    assert_int_equal(b->n_targets, 6);
    assert_int_equal(dataset_counts(c.data)->truncated, 1);
    rows_check(&b->rows, 259);
    batch_close(b);
    case_close(&c);
}

/* Each side keeps its end, and its EOS. */
static void test_data_batch__encoder_decoder_rows_keep_their_ends(void **state) {
    (void)state;
    DataCase c;
    Batch *b;
    case_open(&c, DATASET_SFT);
    c.options.encoder_decoder = true;
    c.options.max_length = 4;
    c.options.truncation_keep_end = true;
    case_text(&c, "t.jsonl", "{\"prompt\": \"vwxyz\", \"completion\": \"klmno\"}\n");
    assert_int_equal(batch_open_beside(&b, c.data, 1, 9), OK);
    batch_fill_items(b, c.data, 1, (int64_t[]){0}, 1);
    assert_array(((int32_t[]){'x', 'y', 'z', 257}), b->rows.source->ids);
    assert_array(((int32_t[]){9, 'm', 'n', 'o'}), b->rows.ids);
    assert_array(((int32_t[]){'m', 'n', 'o', 257}), b->rows.targets);
    batch_close(b);
    case_close(&c);
}

static void refused(const char *text, bool packing, const char *why) {
    DataCase c;
    case_open(&c, DATASET_SFT);
    c.options.encoder_decoder = true;
    c.options.packing = packing;
    case_file(&c, "t.jsonl", text);
    assert_int_equal(case_try(&c), ERR_CONFIG);
    if (!strstr(status_message(), why)) fail_msg("%s", status_message());
    case_close(&c);
}

static void test_data_batch__encoder_decoder_needs_pairs_of_texts(void **state) {
    (void)state;
    refused("{\"text\": \"ab\"}\n", false, "a prompt and a completion");
    refused("{\"input_ids\": [1, 2, 3]}\n", false, "a prompt and a completion");
    refused("{\"prompt\": [{\"role\": \"user\", \"content\": \"a\"}], \"completion\": "
            "[{\"role\": \"assistant\", \"content\": \"b\"}]}\n",
            false, "a prompt and a completion");
    refused("{\"prompt\": \"ab\", \"completion\": \"c\"}\n", true, "`packing`");
}

/* TRL: rows [1..6] of lengths 3, 3 and [7..11] of lengths 4, 1. */
static void test_data_batch__packed_sequences_stay_apart(void **state) {
    (void)state;
    DataCase c;
    Batch *b;
    case_open(&c, DATASET_SFT);
    c.options.packing = true;
    c.options.max_length = 6;
    c.options.packing_batch_size = 2;
    case_text(&c, "t.jsonl",
              "{\"input_ids\": [1, 2, 3]}\n{\"input_ids\": [4, 5, 6]}\n"
              "{\"input_ids\": [7, 8, 9, 10]}\n{\"input_ids\": [11]}\n");
    assert_int_equal(dataset_size(c.data), 2);
    fill_all(&c, &b, 2);
    assert_array(((int32_t[]){0, 1, 2, 0, 1, 2, 0, 1, 2, 3, 0}), b->rows.positions);
    assert_array(((int32_t[]){2, 3, -1, 5, 6, -1, 8, 9, 10, -1, -1}), b->rows.targets);
    assert_array(((int32_t[]){0, 3, 6, 10, 11}), b->rows.seq_start);
    assert_array(((int64_t[]){0, 1, 2, 3}), b->rows.seq_ids);
    assert_int_equal(b->n_targets, 7);
    batch_close(b);
    case_close(&c);
}

/* TRL: chosen [1,2,3],[6,7], rejected [4,5],[8], margins 0.1 and 0.2. */
static void test_data_batch__chosen_first_then_rejected(void **state) {
    (void)state;
    DataCase c;
    Batch *b;
    case_open(&c, DATASET_PREFERENCE);
    case_text(&c, "t.jsonl",
              "{\"chosen_ids\": [1, 2, 3], \"rejected_ids\": [4, 5], \"margin\": 0.1}\n"
              "{\"chosen_ids\": [6, 7], \"rejected_ids\": [8], \"margin\": 0.2}\n");
    fill_all(&c, &b, 2);
    assert_array(((int32_t[]){1, 2, 3, 6, 7, 4, 5, 8}), b->rows.ids);
    assert_array(((int32_t[]){0, 3, 5, 7, 8}), b->rows.seq_start);
    assert_array(((int32_t[]){2, 4, 6, 7}), b->last);
    assert_array(((int64_t[]){0, 2, 1, 3}), b->rows.seq_ids);
    assert_null(b->rows.targets);
    assert_true(b->margin[0] == 0.1 && b->margin[1] == 0.2);
    batch_fill_items(b, c.data, 3, (int64_t[]){1}, 1);
    assert_array(((int64_t[]){3 * 4 + 2, 3 * 4 + 3}),
                 b->rows.seq_ids); /* another epoch, other streams */
    batch_close(b);
    case_close(&c);
}

/* The arrays hold the largest micro-batch there can be, not B times the longest row. */
static void test_data_batch__bounds_are_the_largest_rows(void **state) {
    (void)state;
    DataCase c;
    int64_t rows, seqs;
    case_open(&c, DATASET_SFT);
    case_text(&c, "t.txt", "a\nabcdefg\nabc\n");
    batch_bounds(c.data, 2, &rows, &seqs);
    assert_int_equal(rows, 8 + 4);
    assert_int_equal(seqs, 2);
    batch_bounds(c.data, 9, &rows, &seqs);
    assert_int_equal(rows, 8 + 4 + 2);
    case_close(&c);
}

/* ---- steps ---- */

static void test_data_batch__steps_are_counted_as_the_trainer_does(void **state) {
    (void)state;
    static const struct {
        int64_t n, b, accumulation, world;
        bool drop_last;
        int64_t steps, micros_of_last;
    } cases[] = {
        {10, 2, 1, 1, false, 5, 1}, {11, 2, 1, 1, false, 6, 1}, {11, 2, 1, 1, true, 5, 1},
        {10, 2, 2, 1, false, 3, 1}, {12, 2, 3, 1, false, 2, 3}, {1, 8, 4, 1, false, 1, 1},
        {10, 2, 2, 2, false, 2, 1}, {9, 2, 1, 4, false, 2, 1},  {7, 8, 1, 1, true, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        BatchOrder o = {.n_items = cases[i].n,
                        .batch_size = cases[i].b,
                        .accumulation = cases[i].accumulation,
                        .world = cases[i].world,
                        .drop_last = cases[i].drop_last};
        assert_int_equal(batch_steps_per_epoch(&o), cases[i].steps);
        if (cases[i].steps > 0)
            assert_int_equal(batch_micros(&o, cases[i].steps - 1), cases[i].micros_of_last);
    }
}

static void test_data_batch__file_order_without_shuffle(void **state) {
    (void)state;
    BatchOrder o = {.n_items = 10, .batch_size = 4, .accumulation = 1, .world = 1};
    int64_t first, n;
    for (int64_t s = 0; s < 3; s++) {
        batch_positions(&o, s, 0, &first, &n);
        assert_int_equal(first, s * 4);
        assert_int_equal(n, s < 2 ? 4 : 2);
        assert_int_equal(batch_item_at(&o, 5, first), first);
    }
}

static void test_data_batch__shuffle_is_a_permutation_of_its_epoch(void **state) {
    (void)state;
    enum { N = 97 };
    BatchOrder o = {
        .n_items = N, .batch_size = 4, .accumulation = 1, .world = 1, .shuffle = true, .seed = 42};
    int64_t moved = 0, differs = 0;
    for (int64_t epoch = 0; epoch < 3; epoch++) {
        int seen[N] = {0};
        for (int64_t p = 0; p < N; p++) {
            int64_t item = batch_item_at(&o, epoch, p);
            assert_int_equal(seen[item]++, 0);
            moved += item != p;
            differs += item != batch_item_at(&o, epoch + 1, p);
        }
    }
    assert_true(moved > 3 * N / 2 && differs > 3 * N / 2);
}

/* The ids that one step of the whole run sees, in the order of its micro-batches. */
static int64_t step_items(const DataCase *c, BatchOrder o, int64_t world, int64_t step,
                          int64_t *items, int64_t *seq_ids) {
    int64_t n = 0, epoch, in_epoch;
    o.accumulation = 4 / world;
    o.world = world;
    batch_locate(&o, step, &epoch, &in_epoch);
    int64_t micros = batch_micros(&o, in_epoch);
    for (int64_t m = 0; m < micros; m++) {
        for (o.rank = 0; o.rank < world; o.rank++) {
            Batch *b;
            assert_int_equal(batch_open(&b, c->data, o.batch_size), OK);
            batch_fill(b, &o, c->data, epoch, in_epoch, m);
            for (int64_t i = 0; i < b->n_items; i++, n++) {
                items[n] = b->items[i];
                seq_ids[n] = b->rows.seq_ids[i];
            }
            batch_close(b);
        }
    }
    return n;
}

/* One rank, two and four see the same items in the same steps, under the same stream names, and the
 * step's totals are the same; also in the short step at an epoch's end and in the second epoch. */
static void test_data_batch__ranks_cut_the_same_steps(void **state) {
    (void)state;
    DataCase c;
    case_open(&c, DATASET_SFT);
    Str text = {0};
    for (int i = 0; i < 37; i++) str_printf(&text, "row%.*s\n", i % 7, "abcdefg");
    case_text(&c, "t.txt", str_text(&text));
    str_free(&text);
    BatchOrder o = {.n_items = 37, .batch_size = 2, .shuffle = true, .seed = 7};
    for (int64_t step = 0; step < 10; step++) {
        int64_t want[8], want_ids[8], got[8], ids[8];
        int64_t n = step_items(&c, o, 1, step, want, want_ids);
        assert_int_equal(n, step % 5 == 4 ? 5 : 8);
        for (int64_t world = 2; world <= 4; world *= 2) {
            assert_int_equal(step_items(&c, o, world, step, got, ids), n);
            assert_memory_equal(got, want, (size_t)n * sizeof *got);
            assert_memory_equal(ids, want_ids, (size_t)n * sizeof *ids);
        }
    }
    case_close(&c);
}

static void test_data_batch__step_totals_before_the_first_micro_batch(void **state) {
    (void)state;
    DataCase c;
    Batch *b;
    case_open(&c, DATASET_SFT);
    case_text(&c, "t.txt", "a\nab\nabc\nabcd\nabcde\n");
    BatchOrder o = {.n_items = 5, .batch_size = 1, .accumulation = 2, .world = 2, .shuffle = true};
    assert_int_equal(batch_open(&b, c.data, 1), OK);
    int64_t all = 0;
    for (int64_t step = 0; step < 2; step++) {
        BatchStep total = batch_step(&o, c.data, 0, step), sum = {0};
        int64_t micros = batch_micros(&o, step);
        for (int64_t m = 0; m < micros; m++) {
            for (o.rank = 0; o.rank < 2; o.rank++) {
                batch_fill(b, &o, c.data, 0, step, m);
                sum.n_items += b->n_items;
                sum.n_tokens += b->rows.n_rows;
                sum.n_targets += b->n_targets;
            }
        }
        o.rank = 0;
        assert_memory_equal(&total, &sum, sizeof sum);
        all += total.n_tokens;
    }
    assert_int_equal(all, 2 + 3 + 4 + 5 + 6);
    assert_int_equal(dataset_counts(c.data)->tokens, all);
    o = (BatchOrder){
        .n_items = 5, .batch_size = 2, .accumulation = 4, .world = 1, .drop_last = true};
    assert_int_equal(batch_step(&o, c.data, 0, 0).n_items, 4); /* the fifth is left out */
    batch_close(b);
    case_close(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_data_batch__rows_are_flat_and_shifted),
        cmocka_unit_test(test_data_batch__packed_sequences_stay_apart),
        cmocka_unit_test(test_data_batch__encoder_decoder_rows_are_pairs),
        cmocka_unit_test(test_data_batch__encoder_decoder_rows_keep_their_ends),
        cmocka_unit_test(test_data_batch__encoder_decoder_needs_pairs_of_texts),
        cmocka_unit_test(test_data_batch__chosen_first_then_rejected),
        cmocka_unit_test(test_data_batch__bounds_are_the_largest_rows),
        cmocka_unit_test(test_data_batch__steps_are_counted_as_the_trainer_does),
        cmocka_unit_test(test_data_batch__file_order_without_shuffle),
        cmocka_unit_test(test_data_batch__shuffle_is_a_permutation_of_its_epoch),
        cmocka_unit_test(test_data_batch__ranks_cut_the_same_steps),
        cmocka_unit_test(test_data_batch__step_totals_before_the_first_micro_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
