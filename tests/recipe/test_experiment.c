/* hone run: stages in order over seeds, what is finished is not done twice, what changed is done
 * again with all that follows, a file that extends another, the table, errors. */
#include "core/io/json.h"
#include "core/str.h"
#include "program_run.h"

#include <math.h>
#include <signal.h>
#include <sys/stat.h>

/* A stage program: writes {"v": A * 10 + SEED} and notes that it ran; "wait" sleeps first. */
static const char make_sh[] =
    "#!/bin/sh\n"
    "set -e\n"
    "echo \"$4\" >> ran\n"
    "[ -e wait ] && { touch begun; sleep 30; }\n"
    "echo \"{\\\"v\\\": {\\\"x\\\": $(($1 * 10 + $2))}}\" > \"$3/v.json\"\n";

static const char base_yaml[] =
    "output_dir: runs\n"
    "seeds: [1, 2, 3]\n"
    "variables: {a: 4}\n"
    "stages:\n"
    "  - name: first\n"
    "    program: ./make.sh\n"
    "    args: [\"${a}\", \"${seed}\", \"${stages.first}\", first]\n"
    "    outputs: [v.json]\n"
    "  - name: second\n"
    "    program: ./make.sh\n"
    "    args: [7, \"${seed}\", \"${stages.second}\", second]\n"
    "    needs: [first]\n"
    "table:\n"
    "  columns: [first, second]\n"
    "  rows: {x: \"${column}/v.json:v.x\", half: [\"first/v.json:v.x\", null]}\n";

static const char more_yaml[] = "extends: base.yaml\n"
                                "variables: {b: 9}\n"
                                "seeds: [1, 2]\n"
                                "stages:\n"
                                "  - name: third\n"
                                "    program: ./make.sh\n"
                                "    args: [\"${b}\", \"${a}\", \"${stages.third}\", third]\n"
                                "table:\n"
                                "  rows: {x: \"third/v.json:v.x\"}\n";

static char *open_folder(void) {
    char *folder = scratch_new();
    char *program = scratch_text(folder, "make.sh", make_sh);
    if (chmod(program, 0755) != 0) abort();
    mem_free(program);
    mem_free(scratch_text(folder, "base.yaml", base_yaml));
    mem_free(scratch_text(folder, "more.yaml", more_yaml));
    mem_free(scratch_text(folder, "ran", ""));
    return folder;
}

/* Which stages ran since the last call, in order: "first second ". */
static char *ran(const char *folder) {
    char *text = program_text(folder, "ran");
    for (char *c = text; *c; c++)
        if (*c == '\n') *c = ' ';
    mem_free(scratch_text(folder, "ran", ""));
    return text;
}

static void expect_ran(const char *folder, const char *want) {
    char *got = ran(folder);
    assert_string_equal(got, want);
    mem_free(got);
}

/* Cell (row, column) of table.json. */
static double cell(const char *folder, int row, int column) {
    Json *root = NULL;
    char *path = file_join(folder, "runs/table.json");
    assert_int_equal(json_read_file(&root, path), OK);
    const Json *rows = json_get(json_get(root, "table"), "rows");
    const Json *value = json_at(json_at(rows, row), column);
    double mean = json_is_num(json_get(value, "mean")) ? json_num(json_get(value, "mean")) : NAN;
    json_free(root);
    mem_free(path);
    return mean;
}

static void test_experiment__stages_run_once_and_again_when_changed(void **state) {
    (void)state;
    char *folder = open_folder();
    program_expect(folder, "run", program_run(folder, "hone", "run", "base.yaml", NULL), 0);
    expect_ran(folder, "first second first second first second ");
    assert_float_equal(cell(folder, 0, 1), 42.0, 1e-12); /* 41, 42, 43 */
    assert_float_equal(cell(folder, 0, 2), 72.0, 1e-12);
    assert_float_equal(cell(folder, 1, 1), 42.0, 1e-12);
    assert_true(isnan(cell(folder, 1, 2)));
    program_expect(folder, "again", program_run(folder, "hone", "run", "base.yaml", NULL), 0);
    expect_ran(folder, "");
    char *log = program_text(folder, "log");
    assert_non_null(strstr(log, "finished, all 6 stages"));
    mem_free(log);
    /* The second stage does not name the variable but needs the first. */
    program_expect(folder, "changed",
                   program_run(folder, "hone", "run", "base.yaml", "a=5", "seeds=1", NULL), 0);
    expect_ran(folder, "first second ");
    assert_float_equal(cell(folder, 0, 1), 51.0, 1e-12);
    scratch_free(folder);
}

static void test_experiment__extends_takes_over_what_is_finished(void **state) {
    (void)state;
    char *folder = open_folder();
    program_expect(folder, "base", program_run(folder, "hone", "run", "base.yaml", "seeds=1", NULL),
                   0);
    expect_ran(folder, "first second ");
    program_expect(folder, "more", program_run(folder, "hone", "run", "more.yaml", NULL), 0);
    expect_ran(folder, "third first second third "); /* seed 1 had the first two */
    assert_float_equal(cell(folder, 0, 1), 94.0, 1e-12);
    scratch_free(folder);
}

static void test_experiment__goes_on_after_a_signal(void **state) {
    (void)state;
    char *folder = open_folder();
    char *wait = scratch_text(folder, "wait", ""), *begun = file_join(folder, "begun");
    char *argv[] = {(char *)HONE_BIN_DIR "/hone", (char *)"run", (char *)"base.yaml",
                    (char *)"seeds=1", NULL};
    pid_t child = program_start(folder, false, argv);
    for (int i = 0; i < 1000 && !file_exists(begun); i++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    assert_true(file_exists(begun));
    kill(child, SIGINT);
    int code = program_wait(child);
    program_expect(folder, "stopped", code, ERR_STOPPED);
    expect_ran(folder, "first ");
    assert_int_equal(unlink(wait), 0);
    program_expect(folder, "on", program_run(folder, "hone", "run", "base.yaml", "seeds=1", NULL),
                   0);
    expect_ran(folder, "first second ");
    mem_free(wait);
    mem_free(begun);
    scratch_free(folder);
}

/* All errors at once, each with its place; nothing runs. */
static void test_experiment__errors_name_their_place(void **state) {
    (void)state;
    static const struct {
        const char *yaml, *words[3];
    } cases[] = {
        {"extends: nothing.yaml\noutput_dir: o\n", {"nothing.yaml"}},
        {"extends: ../base.yaml\n", {"bad.yaml:1:10", "a file beside this one"}},
        {"extends: bad.yaml\n", {"bad.yaml:1:10", "extends another one itself"}},
        {"extends: base.yaml\nstages: [{name: first, program: ./make.sh}]\nvariables: {seed: 1}\n",
         {"there is a stage `first` already", "`seed` has a meaning of its own"}},
        {"extends: base.yaml\ntable: {columns: [a, b], rows: {x: first, y: "
         "\"no/v.json:${column}\"}}"
         "\n",
         {"row `x` needs 2 value(s)", "there is no stage `no`"}},
        {"output_dir: o\nstages:\n  - {name: a, program: ./make.sh, args: [\"${b}\"]}\nsteps: 3\n",
         {"bad.yaml:3", "no such word", "no key `steps`"}},
    };
    char *folder = open_folder();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mem_free(scratch_text(folder, "bad.yaml", cases[i].yaml));
        int code = program_run(folder, "hone", "run", "bad.yaml", NULL);
        char *log = program_text(folder, "log");
        if (code != ERR_CONFIG && code != ERR_INPUT)
            fail_msg("case %zu: code %d\n%s", i, code, log);
        for (int k = 0; k < 3 && cases[i].words[k]; k++)
            if (!strstr(log, cases[i].words[k]))
                fail_msg("case %zu: no `%s` in\n%s", i, cases[i].words[k], log);
        mem_free(log);
        expect_ran(folder, "");
    }
    scratch_free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_experiment__stages_run_once_and_again_when_changed),
        cmocka_unit_test(test_experiment__extends_takes_over_what_is_finished),
        cmocka_unit_test(test_experiment__goes_on_after_a_signal),
        cmocka_unit_test(test_experiment__errors_name_their_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
