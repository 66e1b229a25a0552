/* With libFuzzer in place of driver.c: the valid inputs are written to <program>.corpus/ in the
 * working folder and the words to <program>.dict, to be given to it (long_run.sh does):
 *
 *     fuzz_yaml -dict=fuzz_yaml.dict fuzz_yaml.corpus */
#include "fuzz.h"

#include "core/log.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);

bool fuzz_loud;
long long fuzz_accepted;
static const char *program;

void fuzz_seed(const void *bytes, size_t n) {
    static int number;
    char path[256];
    snprintf(path, sizeof path, "%s.corpus/seed-%02d", program, number++);
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite(bytes, 1, n, f) == n && fclose(f) == 0, "%s cannot be written", path);
}

void fuzz_seed_bad(const void *bytes, size_t n) {
    fuzz_seed(bytes, n);
}

static void write_words(void) {
    char *path = str_format("%s.dict", program);
    FILE *f = fopen(path, "w");
    CHECK(f, "%s cannot be written", path);
    for (size_t i = 0; fuzz_words[i]; i++) {
        fputc('"', f);
        for (const char *c = fuzz_words[i]; *c; c++) fprintf(f, "\\x%02x", (unsigned char)*c);
        fputs("\"\n", f);
    }
    CHECK(fclose(f) == 0, "%s cannot be written", path);
    mem_free(path);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    program = file_name((*argv)[0]);
    char *folder = str_format("%s.corpus", program);
    log_set_level(LOG_ERROR);
    CHECK(file_make_folders(folder) == OK, "%s", status_message());
    mem_free(folder);
    write_words();
    fuzz_seeds();
    return 0;
}
