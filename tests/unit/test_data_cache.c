/* Tokens kept from one run to the next: the same set from the file as from the rows; another
 * file, template or option is another entry; what is damaged is made again. */
#include "data_case.h"

#include "core/sha256.h"
#include "data/dataset_store.h"
#include "data/template.h"

#include <sys/stat.h>

static const char sft_rows[] = "{\"prompt\": \"Q: \", \"completion\": \"yes\", \"id\": 1}\n"
                               "{\"prompt\": \"Why? \", \"completion\": \"so\", \"id\": 2}\n"
                               "{\"prompt\": 3}\n"
                               "{\"prompt\": \"A \", \"completion\": \"long answer\", \"id\": 3}\n";
static const char pair_rows[] =
    "{\"prompt\": \"p\", \"chosen\": \"good\", \"rejected\": \"bad\", \"margin\": 0.5}\n"
    "{\"prompt\": \"q\", \"chosen\": \"x\", \"rejected\": \"yy\"}\n";

static bool is_mapped(const DataCase *c) {
    return c->data->store.mapped != NULL;
}

static void open_case(DataCase *c, DatasetKind kind, const char *rows) {
    static char cache[128];
    case_open(c, kind);
    snprintf(cache, sizeof cache, "%s/cache", c->folder);
    c->options.cache_dir = cache;
    c->options.on_bad_row = DATASET_BAD_SKIP;
    case_file(c, "rows.jsonl", rows);
}

/* The one entry of the cache, and its file; the caller mem_free's it. */
static char *entry_file(const DataCase *c, const char *name) {
    FileList list;
    assert_int_equal(file_list(&list, c->options.cache_dir), OK);
    assert_int_equal(list.count, 1);
    char *path = str_format("%s/%s/%s", c->options.cache_dir, list.names[0], name);
    file_list_free(&list);
    return path;
}

static size_t entries(const DataCase *c) {
    FileList list;
    if (file_list(&list, c->options.cache_dir) != OK) return 0;
    size_t n = list.count;
    file_list_free(&list);
    return n;
}

static void assert_same_items(const Dataset *a, const Dataset *b) {
    char x[65], y[65];
    dataset_digest(a, x);
    dataset_digest(b, y);
    assert_string_equal(x, y);
    assert_int_equal(dataset_size(a), dataset_size(b));
    assert_int_equal(dataset_sequences(a), dataset_sequences(b));
    assert_int_equal(dataset_has_margin(a), dataset_has_margin(b));
    assert_memory_equal(dataset_counts(a), dataset_counts(b), sizeof(DatasetCounts));
    assert_string_equal(str_text(&a->notes), str_text(&b->notes));
    for (int64_t i = 0; i < dataset_size(a); i++) {
        DatasetExample p = dataset_get(a, i), q = dataset_get(b, i);
        assert_int_equal(p.n_ids, q.n_ids);
        assert_int_equal(p.n_seqs, q.n_seqs);
        assert_int_equal(p.seq_id, q.seq_id);
        assert_int_equal(p.line, q.line);
        assert_string_equal(p.path, q.path);
        assert_true(p.margin == q.margin && p.n_chosen == q.n_chosen);
        if (p.ids) assert_memory_equal(p.ids, q.ids, (size_t)p.n_ids * sizeof *p.ids);
        if (p.labels) assert_memory_equal(p.labels, q.labels, (size_t)p.n_ids * sizeof *p.ids);
        if (p.chosen)
            assert_memory_equal(p.chosen, q.chosen, (size_t)p.n_chosen * sizeof *p.chosen);
        if (p.prompt) assert_string_equal(p.prompt, q.prompt);
        if (p.row) assert_string_equal(p.row, q.row);
        assert_int_equal(dataset_item_targets(a, i), dataset_item_targets(b, i));
    }
}

static void test_data_cache__gives_what_the_rows_gave(void **state) {
    (void)state;
    static const struct {
        DatasetKind kind;
        const char *rows;
        bool packing;
    } cases[] = {{DATASET_SFT, sft_rows, false},
                 {DATASET_SFT, sft_rows, true},
                 {DATASET_PREFERENCE, pair_rows, false},
                 {DATASET_PROMPT, sft_rows, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        DataCase c;
        open_case(&c, cases[i].kind, cases[i].rows);
        c.source.weight = 1.5;
        c.options.packing = cases[i].packing;
        if (cases[i].packing) c.options.max_length = 16;
        const char *cache = c.options.cache_dir;
        c.options.cache_dir = NULL;
        case_load(&c);
        Dataset *plain = c.data;
        assert_false(is_mapped(&c));
        c.data = NULL;
        c.options.cache_dir = cache;
        case_load(&c); /* filled, then read back */
        assert_true(is_mapped(&c));
        assert_same_items(plain, c.data);
        char *file = entry_file(&c, "tokens.safetensors");
        struct stat before, after;
        assert_int_equal(stat(file, &before), 0);
        case_load(&c);
        assert_int_equal(stat(file, &after), 0);
        assert_int_equal(before.st_ino, after.st_ino); /* not made again */
        assert_true(is_mapped(&c));
        assert_same_items(plain, c.data);
        mem_free(file);
        dataset_close(plain);
        case_close(&c);
    }
}

static void test_data_cache__everything_that_matters_is_in_the_key(void **state) {
    (void)state;
    DataCase c;
    open_case(&c, DATASET_SFT, sft_rows);
    size_t n = 0;
#define NEW_ENTRY(change)                   \
    do {                                    \
        change;                             \
        case_load(&c);                      \
        assert_int_equal(entries(&c), ++n); \
        case_load(&c);                      \
        assert_int_equal(entries(&c), n);   \
    } while (0)
    NEW_ENTRY((void)0);
    NEW_ENTRY(c.options.max_length = 9);
    NEW_ENTRY(c.options.truncation_keep_end = true);
    NEW_ENTRY(c.options.completion_only_loss = DATASET_FALSE);
    NEW_ENTRY(c.options.append_eos = false);
    NEW_ENTRY(c.options.seed = 5);
    NEW_ENTRY(c.options.packing = true);
    NEW_ENTRY(c.options.packing_strategy = PACK_WRAPPED);
    NEW_ENTRY(c.options.test_split_size = 1);
    NEW_ENTRY(c.options.test_part = true);
    NEW_ENTRY(c.source.weight = 2);
    NEW_ENTRY(c.source.format = "prompt_completion");
    NEW_ENTRY(c.source.prompt_template = "{prompt}! ");
    const DatasetColumn columns[] = {{"answer", "completion"}};
    NEW_ENTRY((c.source.columns = columns, c.source.n_columns = 1));
    NEW_ENTRY(c.options.kind = DATASET_SFT; case_file(&c, "rows.jsonl", sft_rows + 0);
              FILE *f = fopen(c.path, "a");
              fputs("{\"prompt\": \"B \", \"completion\": \"c\"}\n", f); fclose(f));
    ChatTemplate *t[2];
    assert_int_equal(template_open(&t[0], c.tok, "a{{ messages }}"), OK);
    assert_int_equal(template_open(&t[1], c.tok, "b{{ messages }}"), OK);
    NEW_ENTRY(c.options.chat_template = t[0]);
    NEW_ENTRY(c.options.chat_template = t[1]);
    Tokenizer *bytes = c.tok;
    assert_int_equal(tokenizer_open(&c.tok, HONE_SOURCE_DIR "/configs/smoke/tokenizer"), OK);
    NEW_ENTRY(c.options.tokenizer = c.tok);
    tokenizer_close(bytes);
    template_close(t[0]);
    template_close(t[1]);
    case_close(&c);
}

static void write_file(const char *path, const void *bytes, size_t n) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

/* Any byte of the file that differs, a file that is missing or cut: made again, with the same
 * result. And a file that somebody made to verify, but whose arrays would be read out of bounds. */
static void test_data_cache__what_is_damaged_is_made_again(void **state) {
    (void)state;
    DataCase c;
    open_case(&c, DATASET_PROMPT, sft_rows);
    case_load(&c);
    char good[65], hex[65];
    dataset_digest(c.data, good);
    char *file = entry_file(&c, "tokens.safetensors"), *digest = entry_file(&c, "SHA256");
    Str whole = {0}, kept = {0};
    assert_int_equal(file_read(&whole, file, 1 << 24), OK);
    assert_int_equal(file_read(&kept, digest, 256), OK);
    for (size_t at = 0; at < whole.len + 2; at += 1 + whole.len / 40) {
        dataset_close(c.data);
        c.data = NULL;
        if (at < whole.len) {
            whole.data[at] ^= 0x10;
            write_file(file, whole.data, whole.len);
            whole.data[at] ^= 0x10;
        } else {
            write_file(file, whole.data, whole.len / 2);
        }
        case_load(&c);
        dataset_digest(c.data, hex);
        assert_string_equal(good, hex);
        assert_true(is_mapped(&c));
        Str again = {0};
        assert_int_equal(file_read(&again, file, 1 << 24), OK);
        assert_int_equal(again.len, whole.len);
        assert_memory_equal(again.data, whole.data, whole.len);
        str_free(&again);
    }
    dataset_close(c.data);
    c.data = NULL;
    assert_int_equal(unlink(digest), 0);
    case_load(&c);
    dataset_digest(c.data, hex);
    assert_string_equal(good, hex);
    /* Every byte of the data set to 0x7f in turn, with a digest that fits: never out of bounds. */
    size_t header = 8 + *(const uint64_t *)(const void *)whole.data;
    for (size_t at = header; at < whole.len; at += 3) {
        char *copy = mem_alloc(whole.len);
        memcpy(copy, whole.data, whole.len);
        copy[at] = 0x7f;
        dataset_close(c.data);
        c.data = NULL;
        write_file(file, copy, whole.len);
        sha256_hex(hex, copy, whole.len);
        write_file(digest, hex, 64);
        case_load(&c);
        for (int64_t i = 0; i < dataset_size(c.data); i++) {
            DatasetExample x = dataset_get(c.data, i);
            assert_true(strlen(x.prompt) < 100 && strlen(x.row) < 200 && strlen(x.path) > 0);
            for (int64_t k = 0; k < x.n_ids; k++)
                assert_in_range(x.ids[k], 0, tokenizer_vocab_size(c.tok) - 1);
        }
        mem_free(copy);
    }
    str_free(&whole);
    str_free(&kept);
    mem_free(file);
    mem_free(digest);
    case_close(&c);
}

/* A cache that cannot be written costs time, not the run. */
static void test_data_cache__one_that_cannot_be_written(void **state) {
    (void)state;
    DataCase c;
    open_case(&c, DATASET_SFT, sft_rows);
    char *below = str_format("%s/cache", c.path); /* below a file */
    c.options.cache_dir = below;
    case_load(&c);
    assert_false(is_mapped(&c));
    assert_int_equal(dataset_size(c.data), 3);
    c.source.format = "nonsense";
    assert_int_equal(case_try(&c), ERR_CONFIG);
    mem_free(below);
    case_close(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_data_cache__gives_what_the_rows_gave),
        cmocka_unit_test(test_data_cache__everything_that_matters_is_in_the_key),
        cmocka_unit_test(test_data_cache__what_is_damaged_is_made_again),
        cmocka_unit_test(test_data_cache__one_that_cannot_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
