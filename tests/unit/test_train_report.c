/* The report page: what must stand on it, that foreign text stays text, and that gaps are no
 * errors. */
#include "unit.h"

#include "scratch.h"
#include "train/report/page.h"

#include <string.h>

static const char run_json[] =
    "{\"stage\": \"ppo\", \"status\": \"running\", \"version\": \"0.1.0\", \"seed\": 7, \"step\": "
    "3, "
    "\"total_steps\": 9, \"inputs\": [{\"role\": \"model\", \"path\": \"runs/sft\", \"sha256\": "
    "\"abcdef0123456789\"}], \"output\": null, \"facts\": {\"trainable parameters\": 123456}, "
    "\"memory\": {\"bytes\": 3145728, \"entries\": [{\"purpose\": \"activations\", \"what\": "
    "\"forward\", \"bytes\": 2097152}, {\"purpose\": \"optimizer\", \"what\": \"\", \"bytes\": "
    "1048576}], \"roles\": [{\"role\": \"policy\", \"base\": \"A\", \"adapter\": \"p\", \"head\": "
    "\"\"}, {\"role\": \"reference\", \"base\": \"A\", \"adapter\": \"\", \"head\": \"\"}]}, "
    "\"timings\": [{\"phase\": \"rollout\", \"seconds\": 1.5}], \"config\": [{\"key\": "
    "\"training.learning_rate\", \"value\": \"2e-5\", \"origin\": \"a.yaml:3:16\"}]}";

static const char metrics[] =
    "{\"step\": 1, \"epoch\": 0.1, \"objective/kl\": 0.5, \"objective/scores\": -1.0}\n"
    "{\"step\": 2, \"epoch\": 0.2, \"objective/kl\": 1.5, \"objective/scores\": 0.25}\n"
    "{\"step\": 2, \"epoch\": 0.2, \"eval_scores\": 0.25}\n"
    "{\"step\": 3, \"epoch\": 0.3, \"objective/kl\": null, \"objective/sco"; /* being written */

static const char samples[] =
    "{\"step\": 1, \"query\": \"<script>alert(1)</script>\", \"model response\": \"first & "
    "\\\"x\\\"\", "
    "\"score\": -1.5}\n"
    "{\"step\": 2, \"query\": \"<script>alert(1)</script>\", \"model response\": \"in between\"}\n"
    "{\"step\": 3, \"query\": \"<script>alert(1)</script>\", \"model response\": \"last\", "
    "\"score\": 2}\n";

static Str page_of(const PageInput *in, const char *folder) {
    Str text = {0};
    char *path = file_join(folder, "page.html");
    if (page_write(path, in) != OK) fail_msg("%s", status_message());
    assert_int_equal(file_read(&text, path, 1 << 24), OK);
    mem_free(path);
    return text;
}

static void assert_has(const Str *page, const char *part) {
    if (strstr(str_text(page), part) == NULL) fail_msg("`%s` is not on the page", part);
}

static void assert_lacks(const Str *page, const char *part) {
    if (strstr(str_text(page), part) != NULL) fail_msg("`%s` is on the page", part);
}

static void write_run(const char *folder) {
    mem_free(scratch_text(folder, "run.json", run_json));
    mem_free(scratch_text(folder, "metrics.jsonl", metrics));
    mem_free(scratch_text(folder, "samples.jsonl", samples));
}

static void test_train_report__shows_what_the_run_folder_holds(void **state) {
    (void)state;
    char *folder = scratch_new();
    write_run(folder);
    PageRun run = {.folder = folder, .seed = -1};
    Str page = page_of(&(PageInput){.runs = &run, .n_runs = 1, .running = true}, folder);
    static const char *const parts[] = {"Reward against KL",
                                        "seed 7: step 3 of 9, running",
                                        "objective/<wbr>scores",
                                        "1.0 MiB",
                                        "one copy for 2 roles",
                                        "<code>abcdef01</code>",
                                        "rollout",
                                        "1.50 s",
                                        "training.<wbr>learning_<wbr>rate",
                                        "a.yaml:3:16",
                                        "trainable parameters 123k",
                                        "http-equiv=\"refresh\"",
                                        "step 1 · score -1.5",
                                        "step 3 · score 2"};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) assert_has(&page, parts[i]);
    assert_lacks(&page, "eval_<wbr>scores"); /* one point is no curve */
    assert_lacks(&page, "in between");       /* only the first and the last step */
    str_free(&page);
    scratch_free(folder);
}

static void test_train_report__foreign_text_stays_text(void **state) {
    (void)state;
    char *folder = scratch_new();
    write_run(folder);
    PageRun run = {.folder = folder, .stage = "<b>stage</b>", .seed = 0};
    Str page = page_of(&(PageInput){.title = "<i>", .runs = &run, .n_runs = 1}, folder);
    assert_lacks(&page, "<script");
    assert_lacks(&page, "<b>stage");
    assert_lacks(&page, "<i>\"");
    assert_has(&page, "&lt;script&gt;alert(1)&lt;/script&gt;");
    assert_has(&page, "first &amp; &quot;x&quot;");
    assert_lacks(&page, "http-equiv=\"refresh\"");
    assert_has(&page, "default-src 'none'");
    str_free(&page);
    scratch_free(folder);
}

static void test_train_report__missing_and_broken_files_are_gaps(void **state) {
    (void)state;
    char *folder = scratch_new();
    PageRun runs[] = {{.folder = "no/such", .seed = -1}, {.folder = folder, .seed = -1}};
    mem_free(scratch_text(folder, "run.json", "{\"stage\": 3, \"memory\": [], \"config\": {}"));
    mem_free(scratch_text(folder, "metrics.jsonl", "[]\n{\"step\": \"x\"}\n{}\n"));
    Str page = page_of(&(PageInput){.runs = runs, .n_runs = 2}, folder);
    assert_has(&page, "</html>");
    str_free(&page);
    scratch_free(folder);
}

static void test_train_report__result_comes_first(void **state) {
    (void)state;
    static const char text[] =
        "{\"summary\": [\"it works\"], \"table\": {\"columns\": [\"\", \"SFT\", \"PPO\"], "
        "\"rows\": "
        "[[\"all asked\", {\"mean\": 0.312, \"low\": 0.25, \"high\": 0.375}, null], [\"odd\", "
        "\"text\", "
        "[]]]}, \"samples\": {\"columns\": [\"SFT\"], \"rows\": [{\"prompt\": \"p\", \"texts\": "
        "[\"story\"], \"notes\": [\"2 of 4\"]}]}, \"kl_curve\": {\"x\": \"nats\", \"series\": "
        "[{\"name\": \"judge\", \"points\": [[0, 1], [1, 2], [\"x\"]]}, {\"name\": \"reward\", "
        "\"axis\": \"right\", \"points\": [[0, 5], [1, 9]]}]}, \"notes\": [\"a note\", 3]}";
    char *folder = scratch_new();
    Json *result = NULL;
    assert_int_equal(json_parse(&result, text, strlen(text), "result", 1), OK);
    Str page = page_of(&(PageInput){.title = "t", .result = result}, folder);
    static const char *const in_order[] = {"it works",
                                           "<h2>Result</h2>",
                                           "0.312<small>0.25–<wbr>0.375</small>",
                                           "Judge and reward against KL",
                                           "reward (right scale)",
                                           "before and after",
                                           "SFT · 2 of 4",
                                           "story",
                                           "a note"};
    const char *at = str_text(&page);
    for (size_t i = 0; i < sizeof(in_order) / sizeof(in_order[0]); i++) {
        at = strstr(at, in_order[i]);
        if (at == NULL) fail_msg("`%s` is not where it should be", in_order[i]);
    }
    json_free(result);
    str_free(&page);
    scratch_free(folder);
}

/* Three seeds of a stage: one heading, the mean, and a band. */
static void test_train_report__seeds_are_drawn_as_a_band(void **state) {
    (void)state;
    char *top = scratch_new(), *folders[3];
    PageRun runs[3];
    for (int i = 0; i < 3; i++) {
        char *rows =
            str_format("{\"step\": 1, \"loss\": %d}\n{\"step\": 2, \"loss\": %d}\n", i, 2 * i);
        folders[i] = str_format("%s/%d", top, i);
        assert_int_equal(file_make_folders(folders[i]), OK);
        mem_free(scratch_text(folders[i], "metrics.jsonl", rows));
        runs[i] = (PageRun){.stage = "sft", .folder = folders[i], .seed = i};
        mem_free(rows);
    }
    Str page = page_of(&(PageInput){.runs = runs, .n_runs = 3}, top);
    assert_has(&page, "means over 3 runs");
    assert_has(&page, "class=\"band c0\"");
    assert_has(&page, "<dt>loss</dt><dd>2 <small>0–<wbr>4</small>");
    const char *heading = strstr(str_text(&page), "<h2>Curves: sft");
    assert_non_null(heading);
    assert_null(strstr(heading + 1, "<h2>Curves: sft"));
    str_free(&page);
    for (int i = 0; i < 3; i++) mem_free(folders[i]);
    scratch_free(top);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_train_report__shows_what_the_run_folder_holds),
        cmocka_unit_test(test_train_report__foreign_text_stays_text),
        cmocka_unit_test(test_train_report__missing_and_broken_files_are_gaps),
        cmocka_unit_test(test_train_report__result_comes_first),
        cmocka_unit_test(test_train_report__seeds_are_drawn_as_a_band),
    };
    return cmocka_run_group_tests_name("train_report", tests, NULL, NULL);
}
