/* hone run: the stages of an experiment, in order, for every seed. */
#include "core/args.h"
#include "core/file.h"
#include "core/io/jsonl.h"
#include "core/lock.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/progress.h"
#include "core/publish.h"
#include "core/stop.h"
#include "tools/child.h"
#include "tools/experiment_table.h"
#include "tools/stage_run.h"
#include "tools/stage_screen.h"
#include "tools/verbs.h"
#include "train/report/page.h"

#include <stdio.h>
#include <string.h>

#define REPORT_EVERY_S 10.0

/* For --help. */
static const char FORMAT[] =
    "An experiment is YAML:\n"
    "  name: story world\n"
    "  output_dir: runs/story\n"
    "  seeds: [1, 2, 3]                      # default [42]\n"
    "  variables: {pairs: 3000}\n"
    "  stages:                               # in order, for each seed\n"
    "    - name: data\n"
    "      program: ./make_data.sh           # beside hone or in PATH; with a slash: from this "
    "file\n"
    "      args: [\"${pairs}\", \"${stages.data}/pairs.jsonl\"]\n"
    "      inputs: [words.txt]               # files that it reads: when they change it runs "
    "again\n"
    "      outputs: [pairs.jsonl]            # must be there afterwards\n"
    "      show: pairs.jsonl                 # printed afterwards\n"
    "    - name: reward\n"
    "      program: reward                   # sft, reward, ppo: config and overrides, no args\n"
    "      config: reward.yaml               # from this file\n"
    "      overrides: {data.train: \"${stages.data}/pairs.jsonl\"}\n"
    "      needs: [data]                     # besides those that it names by ${stages.NAME}\n"
    "  table:                                # mean and 95 % interval over the seeds\n"
    "    columns: [SFT, PPO]\n"
    "    rows: {fluent: \"judge/facts.json:${column}.fluent\", loss: [\"sft:eval_loss\", null]}\n"
    "  result: data/result.json              # the report's own part, of the first seed\n"
    "  next: [\"hone inspect ${stages.reward}\"]\n"
    "  extends: other.yaml                   # beside this file: its stages first, its other keys "
    "as "
    "defaults\n"
    "Words in ${}: seed, output_dir, out (the seed's folder), dir (of this file), stages.NAME (a\n"
    "stage's folder), and the variables.\n";

typedef struct Runner {
    Experiment *e;
    StageRun *runs; /* [n_seeds * n_stages], seed by seed */
    int n;
    Lock *lock;
    StageScreen screen;
    double reported_s;
} Runner;

static char *output_path(const Runner *r, const char *name) {
    return file_join(r->e->output_dir, name);
}

/* ---- the report ---------------------------------------------------------------------------- */

static bool is_run_folder(const char *folder) {
    char *path = file_join(folder, "run.json");
    bool is = file_is_regular(path);
    mem_free(path);
    return is;
}

static Json *timings(const Runner *r) {
    Json *list = json_new_array();
    for (int k = 0; k < r->e->n_stages; k++) {
        Json *item = json_new_object();
        double seconds = 0;
        for (int i = k; i < r->n; i += r->e->n_stages) seconds += r->runs[i].seconds;
        json_set(item, "phase", json_new_str(r->e->stages[k].name));
        json_set(item, "seconds", json_new_num(seconds));
        json_push(list, item);
    }
    return list;
}

/* What the experiment itself adds to the page: the part that one of its programs wrote (of the
 * first seed), our table, and the time of each stage over all seeds. */
static Json *result_json(const Runner *r, const Json *table) {
    Experiment *e = r->e;
    Json *out = NULL;
    if (e->result) {
        ExperimentScope scope = {.e = e, .seed = e->seeds[0], .stage = e->n_stages};
        char *name = experiment_expand(&scope, e->result);
        char *folder = experiment_seed_folder(e, e->seeds[0]), *path = file_join(folder, name);
        if (file_is_regular(path) && json_read_file(&out, path) != OK)
            log_warn("%s", status_message());
        mem_free(path);
        mem_free(folder);
        mem_free(name);
    }
    if (!json_is(out, JSON_KIND_OBJECT)) {
        json_free(out);
        out = json_new_object();
    }
    if (table) json_set(out, "table", json_clone(table));
    json_set(out, "timings", timings(r));
    return out;
}

static Status write_report(Runner *r, const Json *table, bool running) {
    PageRun *pages = mem_zalloc((size_t)r->n + 1, sizeof *pages);
    PageInput in = {.title = r->e->name, .runs = pages, .running = running};
    for (int i = 0; i < r->n; i++)
        if (is_run_folder(r->runs[i].folder))
            pages[in.n_runs++] = (PageRun){.stage = r->runs[i].stage->name,
                                           .folder = r->runs[i].folder,
                                           .seed = r->runs[i].seed};
    Json *result = result_json(r, table);
    in.result = result;
    char *path = output_path(r, "report.html");
    Status st = page_write(path, &in);
    mem_free(path);
    json_free(result);
    mem_free(pages);
    r->reported_s = progress_clock_s();
    return st;
}

/* ---- one stage ----------------------------------------------------------------------------- */

static void on_line(void *ctx, const char *line, bool is_progress) {
    stage_screen_line(&((Runner *)ctx)->screen, line, is_progress);
}

static void on_tick(void *ctx) {
    Runner *r = ctx;
    stage_screen_tick(&r->screen);
    if (progress_clock_s() - r->reported_s < REPORT_EVERY_S) return;
    /* A page that cannot be written now is tried again; the last attempt counts. */
    if (write_report(r, NULL, true) != OK) log_warn_once("%s", status_message());
}

/* The texts of the first row of JSON lines. */
static Status show_row(const char *path) {
    Jsonl *rows = NULL;
    Json *row = NULL;
    TRY(jsonl_open(&rows, path));
    Status st = jsonl_rows(rows) > 0 ? jsonl_parse(&row, rows, 0) : OK;
    JsonIter it = {0};
    const char *key;
    Json *value;
    while (row && json_next(row, &it, &key, &value))
        if (json_is(value, JSON_KIND_STRING) && !str_equal(key, "finish_reason"))
            printf("    %s\n", json_str(value, NULL));
    json_free(row);
    jsonl_close(rows);
    return st;
}

/* The first row of JSON lines, or a text as it is. */
static Status show_file(const char *path) {
    Str text = {0};
    Status st = OK;
    if (str_ends(path, ".jsonl")) {
        st = show_row(path);
    } else if ((st = file_read(&text, path, (size_t)1 << 20)) == OK) {
        printf("%s\n", str_text(&text));
    }
    fflush(stdout);
    str_free(&text);
    return st;
}

/* A code of ours is passed on; of other programs only that they ended badly is known. */
static Status failed(const StageRun *r, int code, const char *log) {
    static const Status ours[] = {ERR_USAGE,    ERR_DATA,    ERR_INPUT,  ERR_DEVICE,
                                  ERR_INTERNAL, ERR_OS,      ERR_CREATE, ERR_IO,
                                  ERR_STOPPED,  ERR_NUMERIC, ERR_CONFIG};
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        if (code == (int)ours[i])
            return status_fail(ours[i], "stage %s (seed %lld) left with %d; its words are in %s",
                               r->stage->name, (long long)r->seed, code, log);
    if (code > 128)
        return status_fail(ERR_INTERNAL, "stage %s (seed %lld) was ended by signal %d; see %s",
                           r->stage->name, (long long)r->seed, code - 128, log);
    return status_fail(ERR_INTERNAL, "stage %s (seed %lld): %s left with %d; its words are in %s",
                       r->stage->name, (long long)r->seed, r->argv[0], code, log);
}

static Status run_stage(Runner *r, StageRun *stage, int number) {
    TRY(stage_run_prepare(stage));
    char *log = file_join(stage->folder, "log.txt");
    double start = progress_clock_s();
    stage_screen_begin(&r->screen, stage->stage->name, stage->seed, r->e->n_seeds > 1, number,
                       r->n);
    ChildOptions child = {
        .argv = stage->argv, .log = log, .on_line = on_line, .on_tick = on_tick, .ctx = r};
    int code = 0;
    Status st = child_run(&code, &child);
    stage->seconds += progress_clock_s() - start;
    if (st == OK && code != 0) st = stop_requested() ? stop_status() : failed(stage, code, log);
    if (st == OK) st = stage_run_check_outputs(stage);
    stage_screen_end(&r->screen, st == OK, st != ERR_STOPPED);
    Status marked = stage_run_mark(stage, st == OK);
    if (st == OK) st = marked;
    if (st == OK && stage->show) st = show_file(stage->show);
    mem_free(log);
    return st;
}

/* ---- before the first stage ---------------------------------------------------------------- */

/* What is wrong in a config shows before anything runs: the first seed's trainers are asked. */
static Status validate_configs(Runner *r) {
    Status st = OK;
    for (int k = 0; k < r->e->n_stages; k++) {
        StageRun *stage = &r->runs[k];
        if (!stage->stage->is_trainer || stage->state == STAGE_DONE) continue;
        char **argv = mem_zalloc((size_t)stage->argc + 2, sizeof *argv);
        memcpy(argv, stage->argv, (size_t)stage->argc * sizeof *argv);
        argv[stage->argc] = "--validate";
        char *log = output_path(r, "validate.txt");
        ChildOptions child = {.argv = argv, .log = log, .on_line = on_line, .ctx = r};
        int code = 0;
        stage_screen_begin(&r->screen, stage->stage->name, stage->seed, false, 0, 0);
        Status one = child_run(&code, &child);
        if (one == OK && code != 0)
            one = stop_requested() ? stop_status() : failed(stage, code, log);
        stage_screen_end(&r->screen, false, false);
        if (one == OK || one == ERR_STOPPED) file_remove_tree(log);
        if (st == OK) st = one;
        mem_free(log);
        mem_free(argv);
    }
    return st;
}

static Status make_plan(Runner *r) {
    Experiment *e = r->e;
    r->runs = mem_zalloc((size_t)(e->n_seeds * e->n_stages) + 1, sizeof *r->runs);
    experiment_table_check(e);
    for (int i = 0; i < e->n_seeds; i++) {
        if (i > 0) TRY(experiment_errors(e)); /* a second seed has the same ones */
        for (int k = 0; k < e->n_stages; k++, r->n++)
            TRY(stage_run_init(&r->runs[r->n], e, k, e->seeds[i], &r->runs[i * e->n_stages]));
    }
    return experiment_errors(e);
}

static void print_plan(const Runner *r) {
    static const char *const words[] = {"to run", "finished", "to go on", "changed, to run again"};
    for (int i = 0; i < r->n; i++) {
        const StageRun *s = &r->runs[i];
        printf("%s  %s\n   ", s->folder, words[s->state]);
        for (int k = 0; k < s->argc; k++) printf(" %s", s->argv[k]);
        printf("\n");
    }
}

static int count_done(const Runner *r) {
    int n = 0;
    for (int i = 0; i < r->n; i++) n += r->runs[i].state == STAGE_DONE;
    return n;
}

/* ---- the end ------------------------------------------------------------------------------- */

static Status write_result(const Runner *r, const Json *table) {
    Json *out = json_new_object(), *seeds = json_new_array();
    Str text = {0};
    for (int i = 0; i < r->e->n_seeds; i++) json_push(seeds, json_new_int(r->e->seeds[i]));
    json_set(out, "name", json_new_str(r->e->name));
    json_set(out, "seeds", seeds);
    if (table) json_set(out, "table", json_clone(table));
    json_set(out, "timings", timings(r));
    json_dump(&text, out, 2);
    str_append_char(&text, '\n');
    char *path = output_path(r, "table.json");
    Status st = publish_bytes(path, str_text(&text), text.len);
    mem_free(path);
    str_free(&text);
    json_free(out);
    return st;
}

static void print_end(const Runner *r, const Json *table) {
    Experiment *e = r->e;
    Str out = {0};
    if (table) {
        str_append_char(&out, '\n');
        experiment_table_print(&out, table);
        if (e->n_seeds > 1) str_printf(&out, "mean [95 %% interval] over %d seeds\n", e->n_seeds);
    }
    char *report = output_path(r, "report.html");
    str_printf(&out, "\nreport: %s\n", report);
    mem_free(report);
    ExperimentScope scope = {.e = e, .seed = e->seeds[0], .stage = e->n_stages};
    if (e->next) str_append(&out, "next:\n");
    for (size_t i = 0; e->next && i < e->next->n; i++) {
        char *line = experiment_expand(&scope, e->next->items[i]);
        str_printf(&out, "  %s\n", line);
        mem_free(line);
    }
    fputs(str_text(&out), stdout);
    str_free(&out);
}

static Status finish(Runner *r) {
    Json *table = experiment_table_read(r->e);
    Status st = write_report(r, table, false);
    if (st == OK) st = write_result(r, table);
    if (st == OK) print_end(r, table);
    json_free(table);
    return st;
}

static Status run_all(Runner *r) {
    int done = count_done(r);
    if (done == r->n)
        log_info("%s: finished, all %d stages", r->e->output_dir, r->n);
    else if (done > 0)
        log_info("%s: %d of %d stages are finished already", r->e->output_dir, done, r->n);
    TRY(validate_configs(r));
    Status st = OK;
    for (int i = 0; i < r->n && st == OK; i++)
        if (r->runs[i].state != STAGE_DONE) st = run_stage(r, &r->runs[i], i + 1);
    return st == OK ? finish(r) : st;
}

Status hone_run(int argc, char **argv) {
    const char *file = NULL;
    ArgList arguments = {0};
    bool dry_run = false, help = false;
    const Arg args[] = {
        {"EXPERIMENT.yaml", ARG_TEXT, &file, true, "the stages, see below"},
        {"key=value", ARG_LIST, &arguments, false,
         "output_dir=, seeds=1,2, a variable, or STAGE.key= of its config"},
        {"--dry-run", ARG_FLAG, &dry_run, false, "print what would be run, and leave"},
        {0},
    };
    TRY(args_parse(
        &(ArgTable){.program = "hone run",
                    .summary = "Runs the stages of an experiment for every seed. What is finished "
                               "is skipped, what was interrupted goes on.",
                    .args = args,
                    .more = FORMAT},
        argc, argv, &help));
    if (help) return OK;
    Runner r = {0};
    char *lock = NULL;
    Status st = OK;
    TRY_GOTO(experiment_open(&r.e, file, arguments.items, arguments.n), st, out);
    TRY_GOTO(make_plan(&r), st, out);
    if (dry_run) {
        print_plan(&r);
        goto out;
    }
    TRY_GOTO(file_make_folders(r.e->output_dir), st, out);
    lock = output_path(&r, "run.lock");
    TRY_GOTO(lock_open(&r.lock, lock), st, out);
    st = run_all(&r);
out:
    lock_close(r.lock);
    mem_free(lock);
    for (int i = 0; i < r.n; i++) stage_run_free(&r.runs[i]);
    mem_free(r.runs);
    experiment_close(r.e);
    mem_free(arguments.items);
    return st;
}
