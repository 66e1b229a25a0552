/* The test of a fuzz target (fuzz.h): its seeds as they are, then seeds that were changed by
 * mutations drawn from a counter, so that round n is the same on every machine and is repeated by
 * its number alone. What an input may take is bounded in time and memory. An input that ends the
 * process is left as <program>.input in the working folder. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */

#include "fuzz.h"

#include "core/log.h"
#include "core/rng.h"
#include "unit.h"

#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>

#define ROUNDS 1000
#define LONGEST_S 10                  /* of one input */
#define MOST_MEMORY ((rlim_t)2 << 30) /* of the process */
#define MOST_BYTES ((size_t)1 << 16)  /* of a mutated input */
#define MOST_MUTATIONS 6              /* of one input */
#define USUAL_S 3                     /* an ordinary test ends there at the latest */
#define FULL_S 20                     /* a long one ends there, after however many rounds */
#define MAX_SEEDS 256

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1 /* they reserve terabytes of addresses */
#else
#define SANITIZED 0
#endif

typedef struct Input {
    uint8_t *bytes;
    size_t n;
    bool is_bad; /* must be refused */
} Input;

static Input seeds[MAX_SEEDS];
static size_t n_seeds;
static const char *program; /* file name of argv[0] */

void fuzz_seed(const void *bytes, size_t n) {
    CHECK(n_seeds < MAX_SEEDS, "more than %d seeds", MAX_SEEDS);
    seeds[n_seeds++] = (Input){.bytes = (uint8_t *)mem_strndup(bytes, n), .n = n};
}

void fuzz_seed_bad(const void *bytes, size_t n) {
    fuzz_seed(bytes, n);
    seeds[n_seeds - 1].is_bad = true;
}

/* ---- an input that ends the process -------------------------------------------------------- */

static Input current;
static long long current_round;
static int tell = STDERR_FILENO; /* a target may have silenced the usual one */
bool fuzz_loud;
long long fuzz_accepted;
static char left[256]; /* where it is left */

/* Only calls that a signal handler may make. */
static void leave_input(void) {
    int fd = open(left, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    bool kept = fd >= 0 && write(fd, current.bytes, current.n) == (ssize_t)current.n;
    if (fd >= 0) close(fd);
    static const char said[] = "fuzz: the input that ended the process is in ";
    if (!kept || write(tell, said, sizeof said - 1) < 0 || write(tell, left, strlen(left)) < 0 ||
        write(tell, "\n", 1) < 0)
        _exit(126);
}

static void on_signal(int number) {
    leave_input();
    signal(number, SIG_DFL);
    raise(number);
}

/* exit() below a parser, as mem.c does it when there is no memory. */
static void on_exit_inside(void) {
    if (current.bytes) leave_input();
}

static void guard(void) {
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGPROF};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) signal(numbers[i], on_signal);
    struct rlimit limit = {MOST_MEMORY, MOST_MEMORY};
    if (!SANITIZED) setrlimit(RLIMIT_AS, &limit);
}

/* Of the process, not of the clock: a busy machine is no fault of the parser's. 0: no limit. */
static void limit_time(int seconds) {
    setitimer(ITIMER_PROF, &(struct itimerval){.it_value.tv_sec = seconds}, NULL);
}

/* ---- where inputs lie ------------------------------------------------------------------------ */

static size_t whole_pages(size_t n) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (n + page - 1) / page * page;
}

/* Room for n bytes that ends, but for `slack` bytes, where a page begins that nobody may look at,
 * so that a look behind them shows, also without a sanitizer. */
static uint8_t *guarded(size_t n, size_t slack) {
    const size_t room = whole_pages(n + slack), page = whole_pages(1);
    uint8_t *pages =
        mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(pages != MAP_FAILED && mprotect(pages + room, page, PROT_NONE) == 0, "no pages");
    return pages + room - slack - n;
}

static void free_guarded(uint8_t *bytes, size_t n, size_t slack) {
    munmap(bytes + n + slack - whole_pages(n + slack), whole_pages(n + slack) + whole_pages(1));
}

static void give(const uint8_t *bytes, size_t n) {
    current = (Input){.bytes = guarded(n, 0), .n = n};
    if (n > 0) memcpy(current.bytes, bytes, n);
    limit_time(LONGEST_S);
    LLVMFuzzerTestOneInput(current.bytes, n);
    limit_time(0);
    uint8_t *done = current.bytes;
    current = (Input){0};
    free_guarded(done, n, 0);
}

/* The linker gives these for file_map and file_unmap (--wrap): a mapped file ends at such a page
 * too, as closely as its alignment allows. */
Status __real_file_map(FileMap *out, const char *path);
void __real_file_unmap(FileMap *m);
Status __wrap_file_map(FileMap *out, const char *path);
void __wrap_file_unmap(FileMap *m);

#define MAP_ALIGNMENT 8

static size_t map_slack(size_t n) {
    return (MAP_ALIGNMENT - n % MAP_ALIGNMENT) % MAP_ALIGNMENT;
}

Status __wrap_file_map(FileMap *out, const char *path) {
    FileMap file;
    TRY(__real_file_map(&file, path));
    *out = file;
    if (!file.mapped) return OK;
    uint8_t *bytes = guarded(file.size, map_slack(file.size));
    memcpy(bytes, file.data, file.size);
    out->data = bytes;
    __real_file_unmap(&file);
    return OK;
}

void __wrap_file_unmap(FileMap *m) {
    if (m->mapped) free_guarded((uint8_t *)(uintptr_t)m->data, m->size, map_slack(m->size));
    *m = (FileMap){0};
}

/* ---- mutations ----------------------------------------------------------------------------- */

static size_t below(RngStream *r, size_t n) {
    return n == 0 ? 0 : (size_t)rng_below(r, n);
}

/* text[at .. at + cut) becomes the bytes. */
static void replace(Str *text, size_t at, size_t cut, const char *bytes, size_t n) {
    Str out = {0};
    if (at > text->len) at = text->len;
    if (cut > text->len - at) cut = text->len - at;
    if (text->len - cut + n > MOST_BYTES) return;
    if (text->len > 0) str_append_n(&out, text->data, at);
    str_append_n(&out, bytes, n);
    if (text->len > 0) str_append_n(&out, text->data + at + cut, text->len - at - cut);
    str_free(text);
    *text = out;
}

static void flip_bit(Str *t, RngStream *r) {
    if (t->len == 0) return;
    char *byte = &t->data[below(r, t->len)];
    *byte = (char)((unsigned char)*byte ^ (1u << below(r, 8)));
}

static void set_byte(Str *t, RngStream *r) {
    static const char bytes[] =
        "\0\xff\x80\x7f\n\r\t \"'\\{}[](),:;<>%-+.0019eE#&*!|@`\xc0\xed\xf4";
    if (t->len == 0) return;
    bool any = below(r, 2) == 0;
    t->data[below(r, t->len)] =
        any ? (char)(unsigned char)below(r, 256) : bytes[below(r, sizeof bytes - 1)];
}

/* Mostly a few bytes, sometimes many. */
static size_t some(RngStream *r, size_t n) {
    return below(r, 1 + (below(r, 4) ? (n < 16 ? n : 16) : n));
}

static void cut(Str *t, RngStream *r) {
    replace(t, below(r, t->len), some(r, t->len), "", 0);
}

static void cut_end(Str *t, RngStream *r) {
    replace(t, below(r, t->len + 1), t->len, "", 0);
}

static void put_word(Str *t, RngStream *r) {
    size_t n = 0;
    while (fuzz_words[n]) n++;
    if (n == 0) return;
    const char *word = fuzz_words[below(r, n)];
    replace(t, below(r, t->len + 1), below(r, 2) ? 0 : strlen(word), word, strlen(word));
}

/* A part of a seed over or between. */
static void splice(Str *t, RngStream *r) {
    const Input *s = &seeds[below(r, n_seeds)];
    size_t from = below(r, s->n), n = some(r, s->n - from);
    replace(t, below(r, t->len + 1), below(r, 2) ? 0 : n, (const char *)s->bytes + from, n);
}

/* A part of its own, many times. */
static void repeat(Str *t, RngStream *r) {
    if (t->len == 0) return;
    size_t from = below(r, t->len), n = 1 + some(r, t->len - from - 1), times = 1 + below(r, 64);
    Str part = {0};
    for (size_t i = 0; i < times && part.len + n < MOST_BYTES; i++)
        str_append_n(&part, t->data + from, n);
    replace(t, from, 0, str_text(&part), part.len);
    str_free(&part);
}

/* A number of the text. */
static void change_number(Str *t, RngStream *r) {
    static const char *const numbers[] = {"0",          "-1",         "1",
                                          "2147483647", "2147483648", "-2147483649",
                                          "4294967296", "1e9",        "9223372036854775807",
                                          "1e308",      "-1e-300",    "18446744073709551616",
                                          "1e400",      "0.5",        "9007199254740993",
                                          "1000000000"};
    size_t at = below(r, t->len);
    while (at < t->len && (t->data[at] < '0' || t->data[at] > '9')) at++;
    if (at >= t->len) return;
    size_t n = 0;
    while (at + n < t->len && t->data[at + n] >= '0' && t->data[at + n] <= '9') n++;
    const char *number = numbers[below(r, sizeof numbers / sizeof *numbers)];
    replace(t, at, n, number, strlen(number));
}

/* A number as bytes. */
static void put_binary(Str *t, RngStream *r) {
    static const uint64_t values[] = {0,           1,          0x7f,       0x80,
                                      0xffff,      0x7fffffff, 0x80000000, 0xffffffff,
                                      0x100000000, INT64_MAX,  UINT64_MAX, UINT64_MAX - 7};
    static const size_t widths[] = {1, 2, 4, 8};
    uint64_t value = values[below(r, sizeof values / sizeof *values)];
    size_t n = widths[below(r, 4)];
    char bytes[8];
    memcpy(bytes, &value, sizeof bytes); /* x86: the lowest byte first */
    if (t->len >= n) replace(t, below(r, t->len - n + 1), n, bytes, n);
}

static void mutate(Str *t, RngStream *r) {
    static void (*const ways[])(Str *, RngStream *) = {flip_bit,   set_byte, cut,     cut_end,
                                                       put_word,   put_word, splice,  change_number,
                                                       put_binary, repeat,   set_byte};
    size_t n = 1 + below(r, MOST_MUTATIONS);
    for (size_t i = 0; i < n; i++) ways[below(r, sizeof ways / sizeof *ways)](t, r);
}

/* ---- the test ------------------------------------------------------------------------------ */

static long long rounds_wanted(void) {
    const char *given = getenv("HONE_FUZZ_ROUNDS");
    if (given) return atoll(given);
    return getenv("HONE_TESTS_FULL") ? LLONG_MAX : ROUNDS;
}

static double longest_s(void) {
    if (getenv("HONE_FUZZ_ROUNDS")) return 1e9;
    return getenv("HONE_TESTS_FULL") ? FULL_S : USUAL_S;
}

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void test_fuzz__survives(void **state) {
    (void)state;
    fuzz_seeds();
    assert_true(n_seeds > 0);
    guard(); /* cmocka's handlers give way: they would go on in a broken process */
    size_t n_good = 0;
    for (size_t i = 0; i < n_seeds; i++) {
        long long before = fuzz_accepted;
        give(seeds[i].bytes, seeds[i].n);
        n_good += fuzz_accepted > before;
        if (seeds[i].is_bad && fuzz_accepted > before) fail_msg("bad seed %zu is accepted", i);
    }
    assert_true(n_good > 0); /* else all that follows is refused at the door */
    long long rounds = rounds_wanted();
    double end_s = now_s() + longest_s();
    for (; current_round < rounds && now_s() < end_s; current_round++) {
        RngStream r = rng_stream(rng_hash_name(program), RNG_WORLD, (uint64_t)current_round);
        const Input *seed = &seeds[below(&r, n_seeds)];
        Str text = {0};
        str_append_n(&text, (const char *)seed->bytes, seed->n);
        mutate(&text, &r);
        give((const uint8_t *)str_text(&text), text.len);
        str_free(&text);
    }
    print_message("%s: %zu of %zu seeds accepted, %lld inputs\n", program, n_good, n_seeds,
                  current_round);
    for (size_t i = 0; i < n_seeds; i++) mem_free(seeds[i].bytes);
}

static void give_file(const char *path) {
    Str text = {0};
    CHECK(file_read(&text, path, (size_t)1 << 30) == OK, "%s", status_message());
    give((const uint8_t *)str_text(&text), text.len);
    str_free(&text);
}

int main(int argc, char **argv) {
    program = file_name(argv[0]);
    snprintf(left, sizeof left, "%s.input", program);
    log_set_level(LOG_ERROR);
    atexit(on_exit_inside);
    mallopt(M_PERTURB, 0x41); /* new memory holds 0xbe, so that who reads it before writing shows */
    tell = dup(STDERR_FILENO);
    if (argc > 1) {
        guard();
        fuzz_loud = true;
        for (int i = 1; i < argc; i++) give_file(argv[i]);
        return 0;
    }
    char *name = str_format("test_%s__survives", program);
    const struct CMUnitTest tests[] = {{.name = name, .test_func = test_fuzz__survives}};
    int failed = cmocka_run_group_tests_name(program, tests, NULL, NULL);
    mem_free(name);
    return failed;
}
