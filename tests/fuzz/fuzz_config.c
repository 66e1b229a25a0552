/* A config of each stage. The first byte picks the stage; a line that begins with `+` is a word of
 * the command line, the rest is the file.
 *
 * Parser: train/config/config.c
 * Parser: train/config/config_args.c
 * Parser: train/config/config_rewards.c
 * Parser: train/config/config_rules.c
 * Parser: train/config/config_source.c
 * Parser: train/config/config_value.c
 */
#include "fuzz.h"

#include "core/log.h"
#include "train/config/config.h"

#define MAX_WORDS 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    char *argv[MAX_WORDS + 1] = {mem_strdup("program")};
    int argc = 2;
    Str file = {0};
    const char *text = (const char *)data + 1, *end = (const char *)data + size;
    while (text < end) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        size_t n = (size_t)((stop ? stop : end) - text);
        if (n > 1 && text[0] == '+' && argc < MAX_WORDS)
            argv[argc++] = mem_strndup(text + 1, n - 1);
        else
            str_append_n(&file, text, n + (stop != NULL));
        text += n + 1;
    }
    argv[1] = mem_strdup(fuzz_file("a.yaml", str_text(&file), file.len));
    Config *cfg = NULL;
    FuzzMuted muted = fuzz_mute(); /* --help, and all errors but the last */
    Status st = config_load(&cfg, (Stage)(data[0] % STAGE_COUNT), argc, argv);
    fuzz_unmute(muted);
    log_set_level(LOG_ERROR); /* a config may set it */
    if (fuzz_ok(st) && cfg->action != CONFIG_LEAVE) {
        const ConfigItem *items;
        size_t n = config_items(cfg, &items);
        for (size_t i = 0; i < n; i++) CHECK(items[i].value, "%s has no value", items[i].path);
    }
    config_close(cfg);
    for (int i = 0; i < argc; i++) mem_free(argv[i]);
    str_free(&file);
    return 0;
}

void fuzz_seeds(void) {
    fuzz_seed_text("0output_dir: run\nmodel: {path: m}\ndata: {train: d.jsonl, max_length: 48, "
                   "packing: true}\npeft: {r: 4, target_modules: [q_proj]}\ntraining: {max_steps: "
                   "1, learning_rate: 1e-3, lr_scheduler_type: cosine, save_steps: 0.5}\n"
                   "+training.max_steps=3\n+--learning_rate\n+2e-5\n");
    fuzz_seed_text("1output_dir: run\nmodel: {path: m}\ndata:\n  train:\n    - {path: a.jsonl, "
                   "format: hh_rlhf, weight: 0.5, columns: {prompt: q, chosen: [a, b, c, d]}}\n  "
                   "eval: b.jsonl\ntraining: "
                   "{load_best_model_at_end: true, metric_for_best_model: eval_accuracy}\n");
    fuzz_seed_text("2output_dir: run\nmodel: {path: m}\ndata: {train: p.jsonl}\nppo:\n  reward: "
                   "[{command: [sh, r.sh], weight: 0.1}, {function: ends}, {model: rm}]\n  "
                   "num_mini_batches: 2\n  kl_estimator: k3\n  stop_token: eos\n");
    fuzz_seed_text("0model_name_or_path: m\ndataset_name: d\nmax_steps: 3\nuse_peft: true\n"
                   "lora_r: 8\nbf16: true\nreport_to: none\n");
}

const char *const fuzz_words[] = {"null",
                                  "[]",
                                  "{}",
                                  "~",
                                  "training: {",
                                  "ppo: {",
                                  "peft: {",
                                  "- ",
                                  ": ",
                                  "+--",
                                  "+--help\n",
                                  "+--resume=",
                                  "include: a.yaml",
                                  "1e-5",
                                  "-1",
                                  "nan",
                                  "all-linear",
                                  "true",
                                  "*a",
                                  "&a ",
                                  "!!str ",
                                  "bf16: true\n",
                                  "seed: ",
                                  "+a.b.c=1\n",
                                  NULL};
