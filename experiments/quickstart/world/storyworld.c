/* storyworld: the quickstart's world as a program of its own; the trainers do not know it.
 * `storyworld VERB --help` says what a verb takes. Samples are read as `hone generate` writes them.
 */
#include "core/args.h"
#include "core/io/jsonl.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/str.h"
#include "pairs.h"
#include "result.h"
#include "texts.h"

#include <stdio.h>
#include <string.h>

#define MOST_ROWS 100000000

static Status check_rows(const char *program, int64_t n) {
    if (n >= 0 && n <= MOST_ROWS) return OK;
    return status_fail(ERR_USAGE, "%s: row counts are from 0 to %d", program, MOST_ROWS);
}

static Status verb_data(int argc, char **argv) {
    TextOptions o = {.n_base = 20000, .n_demos = 4000, .n_requests = 1300, .n_test = 512};
    int64_t seed = 1;
    bool help = false;
    const Arg args[] = {
        {"--output", ARG_TEXT, &o.output, true,
         "folder for base.jsonl, demos.jsonl, requests.jsonl, test.jsonl"},
        {"--base", ARG_INT, &o.n_base, false, "titled stories"},
        {"--demos", ARG_INT, &o.n_demos, false, "requests answered by hurried writers"},
        {"--requests", ARG_INT, &o.n_requests, false, "requests alone"},
        {"--held-out", ARG_INT, &o.n_test, false,
         "requests whose (hero, animal, thing) no other file has"},
        {"--seed", ARG_INT, &seed, false, "of the random numbers"},
        {0},
    };
    const ArgTable table = {.program = "storyworld data",
                            .summary = "Texts for the base model, the demonstrations and requests.",
                            .args = args};
    TRY(args_parse(&table, argc, argv, &help));
    if (help) return OK;
    o.seed = (uint64_t)seed;
    const int64_t n[] = {o.n_base, o.n_demos, o.n_requests, o.n_test};
    for (int i = 0; i < 4; i++) TRY(check_rows(table.program, n[i]));
    return texts_write(&o);
}

static Status verb_pairs(int argc, char **argv) {
    PairOptions o = {.n = 3000, .output = "-"};
    int64_t seed = 1;
    bool help = false;
    const Arg args[] = {
        {"--samples", ARG_TEXT, &o.samples, true,
         "JSON lines of {\"prompt\", \"completion\"}, several of a prompt behind one another"},
        {"--output", ARG_TEXT, &o.output, false,
         "JSON lines of {\"prompt\", \"chosen\", \"rejected\", \"flipped\"}; default standard "
         "output"},
        {"--n", ARG_INT, &o.n, false, "pairs, at most"},
        {"--flip", ARG_NUM, &o.flip, false, "share of labels turned round"},
        {"--shuffle-labels", ARG_FLAG, &o.shuffle_labels, false,
         "a control: every label by the toss of a coin"},
        {"--seed", ARG_INT, &seed, false, "of the random numbers"},
        {0},
    };
    const ArgTable table = {.program = "storyworld pairs",
                            .summary =
                                "Preferences among samples of a prompt, labelled by the judge.",
                            .args = args};
    TRY(args_parse(&table, argc, argv, &help));
    if (help) return OK;
    TRY(check_rows(table.program, o.n));
    if (o.flip < 0.0 || o.flip > 1.0)
        return status_fail(ERR_USAGE, "%s: --flip is from 0 to 1", table.program);
    o.seed = (uint64_t)seed;
    return pairs_write(&o);
}

static Status verb_judge(int argc, char **argv) {
    const char *samples = NULL, *output = "-";
    bool help = false;
    const Arg args[] = {
        {"--samples", ARG_TEXT, &samples, true, "JSON lines of {\"prompt\", \"completion\"}"},
        {"--output", ARG_TEXT, &output, false,
         "the rows with what the judge says of them; default standard output"},
        {0},
    };
    TRY(args_parse(&(ArgTable){.program = "storyworld judge",
                               .summary = "Judges samples, and prints the shares.",
                               .args = args},
                   argc, argv, &help));
    return help ? OK : result_judge(samples, output);
}

static Status verb_result(int argc, char **argv) {
    ResultOptions o = {.best_of = 4, .output = "-"};
    ArgList sets = {0}, runs = {0};
    bool help = false;
    const Arg args[] = {
        {"--set", ARG_LIST, &sets, true,
         "NAME=SAMPLES of the held-out requests; NAME=SAMPLES,SCORES takes the best by `hone "
         "score`"},
        {"--best-of", ARG_INT, &o.best_of, false, "samples of a request, where scores are given"},
        {"--reward-run", ARG_TEXT, &o.reward_run, false, "run folder of the reward model"},
        {"--train-pairs", ARG_TEXT, &o.train_pairs, false, "its pairs, for the baselines"},
        {"--clean-pairs", ARG_TEXT, &o.clean_pairs, false, "its clean pairs"},
        {"--ppo-run", ARG_LIST, &runs, false, "NAME=run folder: judge and reward against KL"},
        {"--output", ARG_TEXT, &o.output, false, "JSON; default standard output"},
        {0},
    };
    Status st = args_parse(&(ArgTable){.program = "storyworld result",
                                       .summary = "Every figure, prompt and text of an experiment.",
                                       .args = args},
                           argc, argv, &help);
    for (int i = 0; i < sets.n && st == OK; i++) st = result_add_set(&o, sets.items[i]);
    for (int i = 0; i < runs.n && st == OK; i++) st = result_add_run(&o, runs.items[i]);
    if (st == OK && !help) st = result_write(&o);
    result_options_free(&o);
    mem_free(sets.items);
    mem_free(runs.items);
    return st;
}

static const struct {
    const char *name, *summary;
    Status (*run)(int argc, char **argv);
} verbs[] = {
    {"data", "texts for the base model, demonstrations, requests", verb_data},
    {"pairs", "preferences among samples, labelled by the judge", verb_pairs},
    {"judge", "samples judged one by one", verb_judge},
    {"result", "every figure of an experiment in one file", verb_result},
};
#define N_VERBS (sizeof verbs / sizeof *verbs)

static void print_help(FILE *f) {
    fprintf(f, "usage: storyworld VERB [arguments]    (`storyworld VERB --help` for one verb)\n\n");
    for (size_t i = 0; i < N_VERBS; i++) fprintf(f, "  %-8s %s\n", verbs[i].name, verbs[i].summary);
}

int main(int argc, char **argv) {
    bool help = argc > 1 && (str_equal(argv[1], "--help") || str_equal(argv[1], "-h"));
    if (argc < 2 || help) {
        print_help(help ? stdout : stderr);
        return help ? OK : ERR_USAGE;
    }
    for (size_t i = 0; i < N_VERBS; i++) {
        if (!str_equal(argv[1], verbs[i].name)) continue;
        Status st = verbs[i].run(argc - 1, argv + 1);
        if (st != OK) log_error("%s", status_message());
        return (int)st;
    }
    log_error("storyworld: no verb `%s`; `storyworld --help` lists them", argv[1]);
    return ERR_USAGE;
}
