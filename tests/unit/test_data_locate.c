/* From a name to files: folders as they lie on the Hub, what their README.md says, splits told by
 * words, and the cache of the Hub under each variable that moves it. */
#include "core/hub_cache.h"
#include "data/containers/locate.h"
#include "hub_world.h"
#include "unit.h"

static char *folder;

static void put(const char *name, const char *text) {
    hub_write(folder, name, text, strlen(text));
}

/* The files as paths below `folder`, one behind the other; "!" and the message where it fails. */
static char *located(const char *path, const char *split) {
    FileList files;
    Str out = {0};
    char *full = path[0] == '@' ? file_join(folder, path + 1) : mem_strdup(path);
    if (locate_files(&files, full, split, NULL) == OK) {
        for (size_t i = 0; i < files.count; i++)
            str_printf(&out, "%s%s", i ? " " : "", files.names[i] + strlen(folder) + 1);
        file_list_free(&files);
    } else {
        str_printf(&out, "!%s", status_message());
        status_clear();
    }
    mem_free(full);
    return str_take(&out);
}

static void expect(const char *path, const char *split, const char *want) {
    char *got = located(path, split);
    if (want[0] == '!' ? got[0] != '!' || !strstr(got, want + 1) : strcmp(got, want) != 0)
        fail_msg("%s of %s: %s\nnot: %s", split, path, got, want);
    mem_free(got);
}

#define CARD                                                                        \
    "---\nlicense: mit\ntags: [a\nconfigs:\n- config_name: small\n  data_files:\n"  \
    "  - split: train\n    path: files/small-*\n  - split: test\n    path:\n    - " \
    "files/t1.jsonl\n"                                                              \
    "    - files/t2.jsonl\n- config_name: big\n  data_files: files/big.jsonl\n"     \
    "- config_name: by_script\n"

static void test_data_locate__the_card_says_which(void **state) {
    (void)state;
    static const char *const FILES[] = {"small-0", "small-1", "t1", "t2", "big"};
    for (int i = 0; i < 5; i++) {
        char *name = str_format("card/files/%s.jsonl", FILES[i]);
        put(name, "{}");
        mem_free(name);
    }
    put("card/README.md", CARD "  default: false\nsize: 3\n---\n# Text\nconfigs: of no meaning\n");
    expect("@card/small", "train", "card/files/small-0.jsonl card/files/small-1.jsonl");
    expect("@card/small", "test", "card/files/t1.jsonl card/files/t2.jsonl");
    expect("@card/small", "validation", "!its README.md names: train, test");
    expect("@card/big", "train", "card/files/big.jsonl");
    expect("@card/big", "test", "!no files of the split `test`");
    expect("@card", "train", "!3 configurations (small, big, by_script)");
    expect("@card/other", "train", "!no such file or folder");
    put("card/README.md", CARD "  default: true\n---\n"); /* one without files: guessed */
    expect("@card", "train",
           "card/files/big.jsonl card/files/small-0.jsonl card/files/small-1.jsonl "
           "card/files/t1.jsonl card/files/t2.jsonl");
    put("card/README.md", "---\nconfigs:\n- config_name: plain\n  data_files:\n  - split: train\n"
                          "    path: files/t1*\n---\n");
    expect("@card", "train", "card/files/t1.jsonl"); /* the only one */
    put("card/README.md", "configs:\n- config_name: x\n  data_files: files/t1.jsonl\n");
    expect("@card/x", "train", "!no such file or folder"); /* no head */
    put("card/README.md", "---\nconfigs: [\n---\n");
    expect("@card/files/big.jsonl", "train", "card/files/big.jsonl");
}

static void test_data_locate__a_split_is_a_word_of_the_path(void **state) {
    (void)state;
    put("words/best_replies_train.jsonl", "{}");
    put("words/best_replies_eval.jsonl", "{}");
    put("words/restrained.jsonl", "{}");
    expect("@words", "train", "words/best_replies_train.jsonl");
    expect("@words", "test", "words/best_replies_eval.jsonl");
    expect("@words", "validation", "!no data file of the split `validation`");
    put("tree/harmless/train.jsonl.gz", "{}");
    put("tree/helpful/train.jsonl.gz", "{}");
    put("tree/helpful/dev.jsonl.gz", "{}");
    put("tree/dataset_infos.json", "{}");
    put("tree/.cache/train.jsonl", "{}");
    expect("@tree", "train", "tree/harmless/train.jsonl.gz tree/helpful/train.jsonl.gz");
    expect("@tree/helpful", "train", "tree/helpful/train.jsonl.gz");
    expect("@tree", "validation", "tree/helpful/dev.jsonl.gz");
    put("bare/rows.jsonl", "{}");
    put("bare/dataset_infos.json", "{}");
    expect("@bare", "train", "bare/rows.jsonl");
    expect("@bare", "test", "!there are: rows.jsonl");
    put("first/train.jsonl", "{}"); /* a file called by the split wins over words */
    put("first/old/train.jsonl", "{}");
    expect("@first", "train", "first/train.jsonl");
}

static void find_under(const char *variable, const char *value, const char *hub) {
    static const char *const ALL[] = {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME",
                                      "XDG_CACHE_HOME", "HOME"};
    for (size_t i = 0; i < sizeof ALL / sizeof *ALL; i++) unsetenv(ALL[i]);
    char *to = file_join(folder, value), *repo = file_join(folder, hub);
    setenv(variable, to, 1);
    hub_put(repo, "models", "org--name", "config.json", "{}", 2);
    char *found = hub_cache_find("models", "org/name");
    char *want = str_format("%s/models--org--name/snapshots/" HUB_REVISION, repo);
    assert_non_null(found);
    assert_string_equal(found, want);
    assert_null(hub_cache_find("datasets", "org/name"));
    mem_free(want);
    mem_free(found);
    mem_free(repo);
    mem_free(to);
}

static void test_data_locate__the_cache_is_where_the_variables_say(void **state) {
    (void)state;
    char *home = mem_strdup(getenv("HOME") ? getenv("HOME") : "/");
    find_under("HF_HUB_CACHE", "a", "a");
    find_under("HUGGINGFACE_HUB_CACHE", "b", "b");
    find_under("HF_HOME", "c", "c/hub");
    find_under("XDG_CACHE_HOME", "d", "d/huggingface/hub");
    find_under("HOME", "e", "e/.cache/huggingface/hub");
    setenv("HOME", home, 1);
    mem_free(home);
}

static void test_data_locate__names_in_the_cache(void **state) {
    (void)state;
    char *hub = file_join(folder, "hub");
    setenv("HF_HUB_CACHE", hub, 1);
    hub_put_text(hub, "org--set", "data/train-0.jsonl", "{}");
    hub_put_text(hub, "org--set", "extra/train.jsonl", "{}");
    hub_put_text(hub, "old", "train.csv", "a\n1\n");
#define SNAPSHOT(id) "hub/datasets--" id "/snapshots/" HUB_REVISION
    expect("org/set", "train", SNAPSHOT("org--set") "/data/train-0.jsonl");
    expect("org/set/extra", "train", SNAPSHOT("org--set") "/extra/train.jsonl");
    expect("org/set/data/train-0.jsonl", "train", SNAPSHOT("org--set") "/data/train-0.jsonl");
    expect("old", "train", SNAPSHOT("old") "/train.csv");
    expect("old/train.csv", "train", SNAPSHOT("old") "/train.csv");
    expect("org/other", "train", "!hf download --repo-type dataset org/other");
    assert_null(hub_cache_find("datasets", "../hub/datasets--old"));
    assert_null(hub_cache_find("datasets", "org/set/extra"));
    assert_null(hub_cache_find("datasets", ""));
    char *ref = file_join(hub, "datasets--old/refs/main");
    assert_int_equal(remove(ref), 0); /* then the last by name */
    char *last = hub_cache_find("datasets", "old");
    assert_true(str_ends(last, "/snapshots/fedcba98"));
    mem_free(last);
    mem_free(ref);
    mem_free(hub);
    unsetenv("HF_HUB_CACHE");
}

static int setup(void **state) {
    (void)state;
    folder = scratch_new();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    scratch_free(folder);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_data_locate__the_card_says_which),
        cmocka_unit_test(test_data_locate__a_split_is_a_word_of_the_path),
        cmocka_unit_test(test_data_locate__the_cache_is_where_the_variables_say),
        cmocka_unit_test(test_data_locate__names_in_the_cache),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
