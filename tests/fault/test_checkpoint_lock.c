/* Two processes, one run folder: one wins, the others are told who it is; a killed owner leaves no
 * lock. */
#include "unit.h"

#include "core/log.h"
#include "toy_run.h"

#include <time.h>

#define RIVALS 8
#define TRIALS 12

/* Waits for the start, opens the run, answers with the status, holds the folder until it is told to
 * leave. */
static void compete(const char *folder, int go, int answer, int leave) {
    char *output = str_format("output_dir=%s", folder), byte;
    ConfigCase c =
        config_case(STAGE_SFT, "model: {path: m}\ndata: {train: d.jsonl}\n", output, NULL);
    Run *run = NULL;
    log_set_level(LOG_ERROR);
    while (read(go, &byte, 1) > 0) {
    }
    byte = (char)run_open(&run, c.cfg);
    if (write(answer, &byte, 1) != 1) _exit(1);
    while (read(leave, &byte, 1) > 0) {
    }
    run_close(run);
    config_case_close(&c);
    _exit(0);
}

static void race(const char *folder) {
    int go[2], answer[2], leave[2], winners = 0, others = 0;
    assert_int_equal(pipe(go) | pipe(answer) | pipe(leave), 0);
    pid_t children[RIVALS];
    fflush(NULL);
    for (int i = 0; i < RIVALS; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] != 0) continue;
        close(go[1]);
        close(leave[1]);
        compete(folder, go[0], answer[1], leave[0]);
    }
    close(go[1]);
    for (int i = 0; i < RIVALS; i++) {
        char status;
        assert_int_equal(read(answer[0], &status, 1), 1);
        winners += status == OK;
        others += status == ERR_CREATE;
    }
    close(leave[1]);
    for (int i = 0; i < RIVALS; i++) waitpid(children[i], NULL, 0);
    close(go[0]);
    close(answer[0]);
    close(answer[1]);
    close(leave[0]);
    assert_int_equal(winners, 1);
    assert_int_equal(others, RIVALS - 1);
}

static void test_checkpoint_lock__of_many_one_owns_the_folder(void **state) {
    (void)state;
    for (int i = 0; i < TRIALS; i++) {
        char *folder = scratch_new();
        race(folder);
        race(folder); /* and the lock of the first race is gone */
        scratch_free(folder);
    }
}

static void own_and_die(void *folder) {
    char *output = str_format("output_dir=%s", (const char *)folder);
    ConfigCase c =
        config_case(STAGE_SFT, "model: {path: m}\ndata: {train: d.jsonl}\n", output, NULL);
    Run *run = NULL;
    if (run_open(&run, c.cfg) == OK) kill(getpid(), SIGKILL);
}

static void test_checkpoint_lock__killed_owner_leaves_no_lock(void **state) {
    (void)state;
    char *folder = scratch_new();
    int status = scratch_run_child(own_and_die, folder);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    race(folder);
    scratch_free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checkpoint_lock__of_many_one_owns_the_folder),
        cmocka_unit_test(test_checkpoint_lock__killed_owner_leaves_no_lock),
    };
    return cmocka_run_group_tests_name("checkpoint_lock", tests, NULL, NULL);
}
