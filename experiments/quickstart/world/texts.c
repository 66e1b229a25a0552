#include "texts.h"

#include "core/file.h"
#include "core/io/jsonl.h"
#include "core/mem.h"
#include "grammar.h"

/* Demonstrators miss an asked fact, or lose the thread, this often. */
#define MISS 0.2
#define SLIP 0.1

/* What a demonstrator writes for a request: asked facts missed, endings mixed, sometimes the thread
 * lost. */
static void write_demo(Str *out, const Facts *asked, RngStream *rng) {
    Facts f = *asked;
    if (rng_next_uniform(rng) < MISS) {
        int n;
        slot_words(SLOT_THING, &n);
        f.word[SLOT_THING] = (f.word[SLOT_THING] + 1 + (int)rng_below(rng, (uint64_t)n - 1)) % n;
    }
    if (rng_next_uniform(rng) < MISS) {
        int lengths = STORY_MAX - STORY_MIN + 1;
        f.n_sentences =
            STORY_MIN +
            (f.n_sentences - STORY_MIN + 1 + (int)rng_below(rng, (uint64_t)lengths - 1)) % lengths;
    }
    Slips slips = {.hero = rng_next_uniform(rng) < SLIP / 2,
                   .thing = rng_next_uniform(rng) < SLIP / 2};
    story_write(out, &f, slips, rng);
}

/* A row is one or two texts of the same facts. */
typedef struct RowKind {
    const char *file, *first_key, *second_key;
    void (*first)(Str *out, const Facts *f, RngStream *rng);
    void (*second)(Str *out, const Facts *f, RngStream *rng);
    bool held_out;
} RowKind;

static void write_titled(Str *out, const Facts *f, RngStream *rng) {
    title_write(out, f, rng);
    story_write(out, f, (Slips){0}, rng);
}

static const RowKind kinds[] = {
    {"base.jsonl", "text", NULL, write_titled, NULL, false},
    {"demos.jsonl", "prompt", "completion", request_write, write_demo, false},
    {"requests.jsonl", "prompt", NULL, request_write, NULL, false},
    {"test.jsonl", "prompt", NULL, request_write, NULL, true},
};

static void set_text(Json *row, const char *key, Str *text) {
    json_set(row, key, json_new_str(str_text(text)));
    str_free(text);
}

static Status write_rows(const RowKind *kind, const char *path, int64_t n, uint64_t seed) {
    JsonlWriter *w = NULL;
    TRY(jsonl_writer_open(&w, path, 0));
    Status st = OK;
    for (int64_t i = 0; i < n && st == OK; i++) {
        RngStream rng = rng_stream(seed, RNG_WORLD, (uint64_t)i);
        Facts f = facts_draw(&rng, kind->held_out);
        Str first = {0}, second = {0};
        Json *row = json_new_object();
        kind->first(&first, &f, &rng);
        if (kind->second) kind->second(&second, &f, &rng);
        set_text(row, kind->first_key, &first);
        if (kind->second) set_text(row, kind->second_key, &second);
        st = jsonl_write(w, row);
        json_free(row);
    }
    if (st == OK) st = jsonl_sync(w);
    jsonl_writer_close(w);
    return st;
}

/* Each file has a random stream of its own. */
Status texts_write(const TextOptions *o) {
    const int64_t n[] = {o->n_base, o->n_demos, o->n_requests, o->n_test};
    TRY(file_make_folders(o->output));
    Status st = OK;
    for (uint64_t i = 0; i < sizeof kinds / sizeof *kinds && st == OK; i++) {
        char *path = file_join(o->output, kinds[i].file);
        st = write_rows(&kinds[i], path, n[i], o->seed * 4 + i);
        mem_free(path);
    }
    return st;
}
