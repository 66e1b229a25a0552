/* The files of a run folder as the report reads them: the first byte picks which one the input is.
 * They only leave gaps, and no text of theirs becomes markup.
 *
 * Parser: train/report/page.c
 * Parser: train/report/page_data.c
 */
#include "fuzz.h"

#include "core/io/json.h"
#include "train/report/page.h"

static const char *const names[] = {"run/run.json", "run/metrics.jsonl", "run/samples.jsonl",
                                    "result.json"};
#define N_NAMES (sizeof names / sizeof *names)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    size_t which = data[0] % N_NAMES;
    file_remove_tree(fuzz_folder());
    fuzz_file("run/run.json", "{\"stage\": \"sft\"}", 16);
    fuzz_file(names[which], data + 1, size - 1);
    char *run = file_join(fuzz_folder(), "run"), *page = file_join(fuzz_folder(), "report.html");
    Json *result = NULL;
    if (which == 3) fuzz_ok(json_parse(&result, (const char *)data + 1, size - 1, "result", 1));
    const PageRun runs[] = {{.folder = run, .seed = -1}, {.folder = run, .seed = 2}};
    fuzz_ok(page_write(page, &(PageInput){.runs = runs, .n_runs = 2, .result = result}));
    Str text = {0};
    CHECK(file_read(&text, page, (size_t)1 << 28) == OK, "%s", status_message());
    CHECK(!strstr(str_text(&text), "<script>alert"), "markup came through");
    str_free(&text);
    json_free(result);
    mem_free(run);
    mem_free(page);
    return 0;
}

void fuzz_seeds(void) {
    fuzz_seed_text("@{\"stage\": \"sft\", \"seed\": 1, \"config\": {\"a\": {\"value\": \"1\", "
                   "\"origin\": \"default\"}}, \"plan\": [{\"purpose\": \"base\", \"bytes\": "
                   "1024}], \"inputs\": [{\"kind\": \"model\", \"name\": \"m\", \"digest\": "
                   "\"ab\"}], \"started\": \"<script>alert(1)</script>\"}");
    fuzz_seed_text("A{\"step\": 1, \"epoch\": 0.5, \"loss\": 2.5, \"eval_loss\": null}\n{\"step\": "
                   "2, \"loss\": 2.25, \"time/step\": 0.1}\n{\"step\": 3, \"loss\": 1e308}\n");
    fuzz_seed_text("B{\"step\": 0, \"prompt\": \"<script>alert(1)</script>\", \"completion\": "
                   "\"x\"}\n{\"step\": 3, \"prompt\": \"a\", \"completion\": \"y\"}\n");
    fuzz_seed_text("C{\"summary\": [\"<script>alert(1)</script>\"], \"table\": {\"columns\": "
                   "[\"\", \"SFT\"], \"rows\": [[\"fluent\", {\"mean\": 0.9, \"low\": 0.8, "
                   "\"high\": 1}], [\"x\", null]]}, \"samples\": {\"columns\": [\"a\", \"b\"], "
                   "\"rows\": [{\"prompt\": \"p\", \"texts\": [\"t\", \"u\"], \"notes\": [\"\", "
                   "\"n\"]}]}, \"kl_curve\": {\"x\": \"KL\", \"series\": [{\"name\": \"judge\", "
                   "\"points\": [[0, 0.1], [1.5, 0.4]], \"axis\": \"left\"}]}, \"timings\": "
                   "[{\"phase\": \"sft\", \"seconds\": 4.5}], \"notes\": [\"n\"]}");
}

const char *const fuzz_words[] = {"<script>alert(1)</script>",
                                  "null",
                                  "[]",
                                  "{}",
                                  "1e308",
                                  "-1e308",
                                  "\"step\": ",
                                  "\"points\": ",
                                  "[[",
                                  "]]",
                                  "\"rows\": ",
                                  "\"\"",
                                  "}\n{",
                                  NULL};
