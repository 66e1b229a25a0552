/* What README.md and docs/ tell a reader to type works. Fenced blocks marked `sh run` are given to
 * a shell, in their order, in a folder that looks like the top of the tree and has tiny things
 * where the pages say path/to/...; training is cut short. */
#include "data/dataset.h"
#include "program_run.h"

#include <sys/stat.h>

static char *folder;

/* build/bin/NAME of the folder: the real one, cut short. */
static void write_program(const char *name, const char *more) {
    char *path = str_format("build/bin/%s", name);
    char *text = str_format("#!/bin/sh\nexec " HONE_BIN_DIR "/%s \"$@\" %s\n", name, more);
    mem_free(scratch_text(".", path, text));
    if (chmod(path, 0755) != 0) abort();
    mem_free(text);
    mem_free(path);
}

static void link_to(const char *from, const char *to) {
    if (symlink(from, to) != 0) abort();
}

/* Runs the block; the page's other blocks see what it leaves behind. */
static void run_block(const char *page, const char *block, size_t n) {
    char *text = mem_strndup(block, n);
    mem_free(scratch_text(".", "block.sh", text));
    char *argv[] = {(char[]){"/bin/sh"}, (char[]){"-eux"}, (char[]){"block.sh"}, NULL};
    int code = program_wait(program_start(".", false, argv));
    if (code != 0) {
        char *log = program_text(".", "log");
        fail_msg("%s: this block left with %d:\n%s\n%s", page, code, text, log);
    }
    mem_free(text);
}

/* How many blocks of the page ran. */
static int run_page(const char *page) {
    static const char fence[] = "```sh run\n";
    int n = 0;
    char *text = program_text(HONE_SOURCE_DIR, page);
    for (const char *at = text; (at = strstr(at, fence)) != NULL; n++) {
        at += strlen(fence);
        const char *end = strstr(at, "```");
        if (!end) fail_msg("%s: a block does not end", page);
        run_block(page, at, (size_t)(end - at));
        at = end + 3;
    }
    mem_free(text);
    return n;
}

static void test_docs__readme_runs(void **state) {
    (void)state;
    assert_int_equal(run_page("README.md"), 1);
}

static void test_docs__pages_run(void **state) {
    (void)state;
    FileList list = {0};
    int n = 0;
    assert_int_equal(file_list(&list, HONE_SOURCE_DIR "/docs"), OK);
    for (size_t i = 0; i < list.count; i++) {
        char *page = file_join("docs", list.names[i]);
        n += run_page(page);
        mem_free(page);
    }
    file_list_free(&list);
    assert_int_equal(n, 6);
}

/* Every file or folder of the tree that a page links to is there. */
static void check_links(const char *page) {
    char *text = program_text(HONE_SOURCE_DIR, page);
    const char *slash = strrchr(page, '/');
    for (const char *at = text; (at = strstr(at, "](")) != NULL;) {
        at += 2;
        size_t n = strcspn(at, ")#");
        if (n == 0 || str_starts(at, "http")) continue;
        char *path = str_format(HONE_SOURCE_DIR "/%.*s%.*s", slash ? (int)(slash - page) + 1 : 0,
                                page, (int)n, at);
        if (access(path, R_OK) != 0) fail_msg("%s links to %s, which is not there", page, path);
        mem_free(path);
    }
    mem_free(text);
}

static void test_docs__links_lead_somewhere(void **state) {
    (void)state;
    check_links("README.md");
    check_links("CONTRIBUTING.md");
    FileList list = {0};
    assert_int_equal(file_list(&list, HONE_SOURCE_DIR "/docs"), OK);
    for (size_t i = 0; i < list.count; i++) {
        char *page = file_join("docs", list.names[i]);
        check_links(page);
        mem_free(page);
    }
    file_list_free(&list);
}

/* Is it in the text as a word of its own? */
static bool has_word(const char *text, const char *word) {
    size_t n = strlen(word);
    for (const char *at = strstr(text, word); at; at = strstr(at + 1, word)) {
        bool begins = at == text || !strchr("abcdefghijklmnopqrstuvwxyz_", at[-1]);
        if (begins && (at[n] == '\0' || !strchr("abcdefghijklmnopqrstuvwxyz_", at[n]))) return true;
    }
    return false;
}

/* README.md names every data format, and nothing that is none. */
static void test_docs__readme_names_the_formats(void **state) {
    (void)state;
    static const char begin[] = "Data, by `format` or recognised: ";
    char *text = program_text(HONE_SOURCE_DIR, "README.md"), *at = strstr(text, begin);
    assert_non_null(at);
    at += strlen(begin);
    char *list = mem_strndup(at, (size_t)(strstr(at, "; in Parquet") - at));
    int n = 0, commas = 0;
    for (const char *const *name = dataset_format_names(); *name; name++, n++)
        if (!has_word(list, *name)) fail_msg("README.md does not name the format %s", *name);
    for (const char *c = list; *c; c++) commas += *c == ',';
    assert_int_equal(commas + 1, n + 1); /* and templates of promptsource */
    mem_free(list);
    mem_free(text);
}

static int setup(void **state) {
    (void)state;
    static const char *const places[] = {"build", "build/bin", "path", "path/to"};
    folder = program_folder();
    program_prepare(folder, "1 2");
    if (chdir(folder) != 0) abort();
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (mkdir(places[i], 0755) != 0) abort();
    write_program("sft", "training.max_steps=2");
    write_program("reward", "training.max_steps=2");
    write_program("ppo", "training.max_steps=1 ppo.response_length=4");
    write_program("hone", "");
    link_to(HONE_SOURCE_DIR "/experiments", "experiments");
    link_to("../../runs/smoke/full/final", "path/to/llama");
    link_to("../../configs/smoke/data/alpaca.json", "path/to/alpaca.json");
    link_to("../../configs/smoke/data/pairs.jsonl", "path/to/pairs.jsonl");
    link_to("../../configs/smoke/data/pairs.jsonl", "path/to/held_out_pairs.jsonl");
    link_to("../../configs/smoke/data/prompts.jsonl", "path/to/prompts.jsonl");
    return 0;
}

static int teardown(void **state) {
    (void)state;
    return program_leave(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_docs__readme_runs),
        cmocka_unit_test(test_docs__pages_run),
        cmocka_unit_test(test_docs__links_lead_somewhere),
        cmocka_unit_test(test_docs__readme_names_the_formats),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
