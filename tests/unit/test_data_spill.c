/* Arrays in unnamed files: they hold what memory holds, leave nothing behind, and go to memory
 * where the disk has no room. */
#include "unit.h"

#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "data/spill.h"
#include "scratch.h"

#include <signal.h>
#include <sys/resource.h>

/* Grows three arrays in turn, by uneven steps, and checks every byte. */
static void fill_and_check(Spill *s) {
    unsigned char *p[3] = {NULL, NULL, NULL};
    size_t n[3] = {0};
    for (size_t round = 1; round <= 12; round++) {
        for (size_t k = 0; k < 3; k++) {
            size_t more = 1000 * round * (k + 1) + k;
            p[k] = spill_grow(s, p[k], n[k] + more);
            for (size_t i = n[k]; i < n[k] + more; i++) p[k][i] = (unsigned char)(i * 7 + k);
            n[k] += more;
        }
    }
    for (size_t k = 0; k < 3; k++) {
        for (size_t i = 0; i < n[k]; i++)
            if (p[k][i] != (unsigned char)(i * 7 + k)) fail_msg("array %zu, byte %zu", k, i);
        spill_free(s, p[k]);
    }
    spill_free(s, NULL);
    spill_close(s);
}

static void test_data_spill__holds_what_memory_holds(void **state) {
    (void)state;
    char *folder = scratch_new(), *inner = file_join(folder, "a/b");
    FileList left;
    fill_and_check(spill_open(NULL));
    fill_and_check(spill_open(inner));
    assert_int_equal(file_list(&left, inner), OK);
    assert_int_equal(left.count, 0);
    file_list_free(&left);
    mem_free(inner);
    scratch_free(folder);
}

/* A file may not grow beyond 64 KiB here: the arrays move to memory half way. */
static void test_data_spill__no_room_means_memory(void **state) {
    (void)state;
    char *folder = scratch_new();
    struct rlimit before, small;
    log_set_level(LOG_ERROR);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){.rlim_cur = 1 << 16, .rlim_max = before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    fill_and_check(spill_open(folder));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    scratch_free(folder);
}

/* No folder can be made there. */
static void test_data_spill__no_folder_means_memory(void **state) {
    (void)state;
    char *folder = scratch_new(), *file = scratch_text(folder, "file", "x");
    char *below = file_join(file, "cache");
    Spill *s = spill_open(below);
    assert_null(s);
    fill_and_check(s);
    mem_free(below);
    mem_free(file);
    scratch_free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_data_spill__holds_what_memory_holds),
        cmocka_unit_test(test_data_spill__no_room_means_memory),
        cmocka_unit_test(test_data_spill__no_folder_means_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
