/* Every YAML under configs/ is a valid config of its stage and says the command that runs it. */
#include "config_case.h"
#include "unit.h"

#include <stdlib.h>

/* "configs/smoke/3_sft_lora.yaml" and "configs/ppo/x.yaml" name their stage; false: not a config
 * that is run by itself. */
static bool stage_of(const char *folder, const char *name, Stage *out) {
    if (stage_by_name(folder, out)) return true;
    const char *from = strchr(name, '_');
    if (!from) return false;
    char *word = mem_strndup(from + 1, strcspn(from + 1, "_."));
    bool found = stage_by_name(word, out);
    mem_free(word);
    return found;
}

static void check_config(const char *folder, const char *name, Stage stage) {
    ConfigCase c = {.folder = scratch_new()};
    char *path = str_format(HONE_SOURCE_DIR "/configs/%s/%s", folder, name);
    char program[] = "program", *argv[] = {program, path};
    config_case_run(&c, stage, 2, argv);
    if (c.status != OK) fail_msg("%s", str_text(&c.log));
    assert_null(strstr(str_text(&c.log), "warning"));
    Str text = {0};
    char *command = str_format("#   build/bin/%s configs/%s/%s", stage_name(stage), folder, name);
    assert_int_equal(file_read(&text, path, 1 << 20), OK);
    if (!strstr(str_text(&text), command)) fail_msg("%s does not say `%s`", path, command);
    str_free(&text);
    mem_free(command);
    mem_free(path);
    config_case_close(&c);
}

static void test_configs__all_are_valid_and_say_their_command(void **state) {
    (void)state;
    static const char *const FOLDERS[] = {"sft", "reward", "ppo", "smoke"};
    int n = 0;
    for (size_t i = 0; i < sizeof FOLDERS / sizeof *FOLDERS; i++) {
        FileList list = {0};
        char *path = str_format(HONE_SOURCE_DIR "/configs/%s", FOLDERS[i]);
        assert_int_equal(file_list(&list, path), OK);
        for (size_t k = 0; k < list.count; k++) {
            Stage stage;
            if (!str_ends(list.names[k], ".yaml")) continue;
            if (strcmp(list.names[k], "base.yaml") == 0) continue; /* only included */
            if (!stage_of(FOLDERS[i], list.names[k], &stage))
                fail_msg("whose is %s?", list.names[k]);
            check_config(FOLDERS[i], list.names[k], stage);
            n++;
        }
        file_list_free(&list);
        mem_free(path);
    }
    assert_true(n >= 19);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_configs__all_are_valid_and_say_their_command),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
