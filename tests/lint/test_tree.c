/* The rules of CONTRIBUTING.md that a machine can read off the tree. */
#include "core/file.h"
#include "core/mem.h"
#include "core/str.h"
#include "unit.h"

#include <ctype.h>
#include <dirent.h>
#include <string.h>

#define MOST_LINES 600
#define MOST_FUNCTION 120

/* All that is wrong, so that one run shows it all. */
static Str wrong;

typedef struct Source {
    const char *path; /* from the top of the tree */
    const char *text;
} Source;

/* The next line at *at, without its end, into `line`; false at the end. */
static bool next_line(const char **at, Str *line) {
    if (!**at) return false;
    size_t n = strcspn(*at, "\n");
    str_clear(line);
    str_append_n(line, *at, n);
    *at += n + ((*at)[n] == '\n');
    return true;
}

static void check_lengths(const Source *s) {
    Str line = {0};
    int number = 0, begin = 0;
    for (const char *at = s->text; next_line(&at, &line);) {
        const char *t = str_text(&line);
        number++;
        /* clang-format: a body opens on a line that begins at the margin and closes alone there. */
        if (t[0] && !isspace((unsigned char)t[0]) && str_ends(t, ") {")) begin = number;
        if (begin && str_equal(t, "}")) {
            if (number - begin + 1 > MOST_FUNCTION)
                str_printf(&wrong, "%s:%d: a function of %d lines, more than %d\n", s->path, begin,
                           number - begin + 1, MOST_FUNCTION);
            begin = 0;
        }
    }
    if (number > MOST_LINES)
        str_printf(&wrong, "%s: %d lines, more than %d\n", s->path, number, MOST_LINES);
    str_free(&line);
}

/* Marks of what is not finished; in pieces, so that this file holds none. */
#define WORD(a, b) a b

static void check_words(const Source *s) {
    static const char *const words[] = {WORD("TO", "DO"), WORD("FIX", "ME"), WORD("HA", "CK")};
    Str line = {0};
    int number = 0;
    for (const char *at = s->text; next_line(&at, &line);) {
        const char *t = str_text(&line);
        number++;
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            if (strstr(t, words[i]))
                str_printf(&wrong, "%s:%d: %s: finish it or open an issue\n", s->path, number,
                           words[i]);
        if (line.len > 0 && isspace((unsigned char)t[line.len - 1]))
            str_printf(&wrong, "%s:%d: a blank at the end\n", s->path, number);
        if (strchr(t, '\t')) str_printf(&wrong, "%s:%d: a tab\n", s->path, number);
    }
    str_free(&line);
}

/* An outside library is seen by one file, or one folder: there it can be exchanged. */
static const struct {
    const char *header, *where;
} libraries[] = {
    {"yaml.h", "core/io/yaml.c"},     {"jansson.h", "core/io/json.c"},
    {"hdf5.h", "core/io/h5_types.h"}, {"zlib.h", "data/containers/"},
    {"pcre2.h", "core/regex.c"},      {"utf8proc.h", "data/tokenizer/"},
    {"zstd.h", "data/containers/"},   {"dnnl.h", "experiments/bench/"},
};

static void check_libraries(const Source *s) {
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
        char *include = str_format("#include <%s>", libraries[i].header);
        bool here = strstr(s->text, include) != NULL;
        if (here && !str_starts(s->path, libraries[i].where))
            str_printf(&wrong, "%s: <%s> is for %s alone\n", s->path, libraries[i].header,
                       libraries[i].where);
        mem_free(include);
    }
}

/* A header's guard is its path: HONE_CORE_IO_YAML_H. */
static void check_guard(const Source *s) {
    if (!str_ends(s->path, ".h") || strstr(s->text, "#ifndef HONE_")) return;
    str_printf(&wrong, "%s: no include guard that begins with HONE_\n", s->path);
}

static int n_sources;

static void check_source(const char *path) {
    Str text = {0};
    char *whole = file_join(HONE_SOURCE_DIR, path);
    if (file_read(&text, whole, (size_t)1 << 24) != OK) fail_msg("%s", status_message());
    Source s = {path, str_text(&text)};
    check_lengths(&s);
    check_words(&s);
    check_libraries(&s);
    check_guard(&s);
    n_sources++;
    str_free(&text);
    mem_free(whole);
}

static void walk(const char *folder) {
    char *whole = file_join(HONE_SOURCE_DIR, folder);
    DIR *d = opendir(whole);
    if (!d) fail_msg("%s cannot be read", whole);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (e->d_name[0] == '.') continue;
        char *path = file_join(folder, e->d_name), *at = file_join(HONE_SOURCE_DIR, path);
        if (file_is_folder(at))
            walk(path);
        else if (str_ends(path, ".c") || str_ends(path, ".h"))
            check_source(path);
        mem_free(at);
        mem_free(path);
    }
    closedir(d);
    mem_free(whole);
}

static void test_tree__rules(void **state) {
    (void)state;
    static const char *const folders[] = {"core",  "kernels",     "model", "data",
                                          "train", "stage",       "sft",   "reward",
                                          "ppo",   "experiments", "tools", "tests"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) walk(folders[i]);
    assert_true(n_sources > 400); /* it looked at something */
    if (wrong.len > 0) fail_msg("\n%s", str_text(&wrong));
    str_free(&wrong);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree__rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
