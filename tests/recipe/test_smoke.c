/* Each config in configs/smoke/ is run by its program, in the order of the numbers: a few steps of
 * a tiny model through every stage. What should come out must be there; the same command again must
 * find the run finished. */
#include "core/file.h"
#include "core/io/json.h"
#include "core/mem.h"
#include "scratch.h"
#include "unit.h"

/* The program that "3_sft_lora.yaml" is for, as a path; the caller mem_free's it. */
static char *program_of(const char *name) {
    const char *from = strchr(name, '_') + 1;
    return str_format(HONE_BIN_DIR "/%.*s", (int)strcspn(from, "_."), from);
}

/* Runs `program config` in `folder`; its output goes to `folder`/log. */
static int run_program(const char *folder, const char *program, const char *config) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (chdir(folder) != 0) _exit(126);
        int log = open("log", O_CREAT | O_TRUNC | O_WRONLY, 0600);
        if (log < 0 || dup2(log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0) _exit(126);
        execl(program, program, config, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void assert_runs(const char *folder, const char *program, const char *config) {
    int code = run_program(folder, program, config);
    if (code == 0) return;
    Str log = {0};
    char *path = file_join(folder, "log");
    assert_int_equal(file_read(&log, path, 1 << 24), OK);
    fail_msg("%s %s left with %d:\n%s", program, config, code, str_text(&log));
}

/* The run folder that a smoke config writes: `output_dir: runs/smoke/x`. */
static char *output_of(const char *folder, const char *config) {
    Str text = {0};
    char *path = file_join(folder, config);
    assert_int_equal(file_read(&text, path, 1 << 20), OK);
    const char *at = strstr(str_text(&text), "output_dir: ");
    assert_non_null(at);
    at += strlen("output_dir: ");
    char *name = mem_strndup(at, strcspn(at, "\n"));
    char *out = file_join(folder, name);
    mem_free(name);
    mem_free(path);
    str_free(&text);
    return out;
}

static void check_metrics(const char *run) {
    Str text = {0};
    char *path = file_join(run, "metrics.jsonl");
    assert_int_equal(file_read(&text, path, 1 << 24), OK);
    int64_t rows = 0;
    for (char *at = text.data; at && *at; rows++) {
        size_t n = strcspn(at, "\n");
        Json *row = NULL;
        assert_int_equal(json_parse(&row, at, n, path, rows + 1), OK);
        assert_true(json_is(json_get(row, "step"), JSON_KIND_INT));
        json_free(row);
        at += n + (at[n] == '\n');
    }
    if (rows == 0) fail_msg("%s is empty", path);
    mem_free(path);
    str_free(&text);
}

static void check_present(const char *run, const char *name) {
    char *path = file_join(run, name);
    if (!file_exists(path)) fail_msg("%s is missing", path);
    mem_free(path);
}

static void check_run(const char *folder, const char *name) {
    char *config = str_format("configs/smoke/%s", name), *program = program_of(name);
    assert_runs(folder, program, config);
    char *run = output_of(folder, config);
    check_metrics(run);
    check_present(run, "run.json");
    check_present(run, "report.html");
    check_present(run, "checkpoints/latest");
    check_present(run, "final/tokenizer.json");
    assert_runs(folder, program, config);
    mem_free(run);
    mem_free(program);
    mem_free(config);
}

static void test_smoke__every_config_runs(void **state) {
    (void)state;
    char *folder = scratch_new(), *configs = file_join(folder, "configs");
    FileList list = {0};
    int n = 0;
    assert_int_equal(symlink(HONE_SOURCE_DIR "/configs", configs), 0);
    assert_int_equal(file_list(&list, HONE_SOURCE_DIR "/configs/smoke"), OK);
    for (size_t i = 0; i < list.count; i++) {
        if (!str_ends(list.names[i], ".yaml") || str_equal(list.names[i], "base.yaml")) continue;
        check_run(folder, list.names[i]);
        n++;
    }
    assert_int_equal(n, 9);
    file_list_free(&list);
    mem_free(configs);
    scratch_free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_smoke__every_config_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
