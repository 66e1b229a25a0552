/* What `hone run` reads, with all of its texts expanded.
 *
 * Parser: tools/experiment.c
 * Parser: tools/experiment_expand.c
 */
#include "fuzz.h"

#include "tools/experiment.h"

static void expand(const ExperimentScope *s, const YamlNode *n) {
    if (!n) return;
    if (n->kind == YAML_SCALAR) mem_free(experiment_expand(s, n));
    mem_free(experiment_value(s, n));
    for (size_t i = 0; n->kind == YAML_SEQUENCE && i < n->n; i++) expand(s, n->items[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Experiment *e = NULL;
    const char *arguments[] = {"name=other", "seeds=3"};
    Status st = experiment_open(&e, fuzz_file("experiment.yaml", data, size), arguments, 2);
    if (!fuzz_ok(st)) return 0;
    if (e->errors.n == 0) {
        bool *uses = mem_zalloc((size_t)e->n_stages + 1, sizeof *uses);
        for (int i = 0; i < e->n_stages; i++) {
            ExperimentScope s = {.e = e, .seed = 3, .stage = i, .uses = uses};
            const ExperimentStage *stage = &e->stages[i];
            expand(&s, stage->program);
            expand(&s, stage->args);
            expand(&s, stage->overrides);
            mem_free(experiment_stage_folder(e, 3, i));
        }
        mem_free(uses);
    }
    FuzzMuted muted = fuzz_mute(); /* all errors but the last */
    Status found = experiment_errors(e);
    fuzz_unmute(muted);
    fuzz_ok(found);
    experiment_close(e);
    return 0;
}

void fuzz_seeds(void) {
    fuzz_seed_text(
        "name: a world\noutput_dir: runs\nseeds: [1, 2]\nvariables: {n: 3, m: \"${n}0\"}\n"
        "stages:\n  - name: world\n    program: storyworld\n    args: [--n, \"${m}\", "
        "\"$${x}\", --output, \"${out}/a\"]\n    outputs: [a]\n  - name: sft\n    "
        "program: sft\n    config: sft.yaml\n    overrides: {data.train: "
        "\"${stages.world}/a\", x: [1, {a: b}]}\n    needs: [world]\ntable:\n  columns: "
        "[SFT, PPO]\n  rows: {loss: [\"sft:eval_loss\", null]}\nnext: [\"hone chat "
        "${stages.sft}\"]\n");
    fuzz_seed_file("experiments/quickstart/experiment.yaml", 16384);
}

const char *const fuzz_words[] = {
    "${",           "}",  "${seed}", "${n}",    "${m}",
    "${stages.",    "$$", "null",    "[]",      "extends: experiment.yaml\n",
    "name: ",       "- ", "{}",      "seeds: ", "../",
    "needs: [sft]", NULL};
