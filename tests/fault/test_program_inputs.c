/* What is missing, damaged or does not fit when a program opens its inputs: one line that names it,
 * the exit code of its kind, and nothing trained, saved or overwritten. And --dry-run, which opens
 * everything and leaves nothing. */
#include "core/dtype.h"
#include "core/io/safetensors.h"
#include "error_sites.h"
#include "program_run.h"

static char *folder; /* of all tests: the working folder, with the smoke models in it */

static const char sft[] = "output_dir: run\n"
                          "threads: 1\n"
                          "model: {path: runs/smoke/text}\n"
                          "data: {train: configs/smoke/data/completions.jsonl, max_length: 48}\n"
                          "training: {max_steps: 1}\n";
static const char reward[] = "output_dir: run\n"
                             "threads: 1\n"
                             "model: {path: runs/smoke/text}\n"
                             "data: {train: configs/smoke/data/pairs.jsonl}\n"
                             "training: {max_steps: 1}\n";
static const char ppo[] = "output_dir: run\n"
                          "threads: 1\n"
                          "model: {path: runs/smoke/text}\n"
                          "data: {train: configs/smoke/data/prompts.jsonl}\n"
                          "training: {max_steps: 1, per_device_train_batch_size: 4}\n"
                          "ppo: {reward: {function: ends}, response_length: 4}\n";

typedef struct InputCase {
    const char *program, *word; /* one more word of the command line */
    int code;
    const char *says;
} InputCase;

static const InputCase cases[] = {
    /* the model */
    {"sft", "model.path=nowhere", ERR_INPUT, "model `nowhere` is no file or folder here"},
    {"sft", "model.path=org/name", ERR_INPUT, "hf download org/name"},
    {"sft", "model.path=unfinished", ERR_INPUT, "this run has no final/ yet"},
    {"sft", "model.path=empty", ERR_INPUT, "empty"},
    {"sft", "model.path=no-weights", ERR_INPUT, "no-weights"},
    {"sft", "model.path=cut-weights", ERR_DATA, "cut-weights/model.safetensors"},
    {"sft", "model.path=strange", ERR_DATA, "StrangeForCausalLM"},
    {"sft", "model.path=bad-config", ERR_DATA, "bad-config/config.json"},
    {"sft", "model.path=narrow", ERR_DATA, "model.embed_tokens.weight"},
    {"sft", "model.adapter=nowhere", ERR_INPUT, "nowhere"},
    {"sft", "model.adapter=runs/narrow/final", ERR_DATA, "lora_A.weight"},
    {"sft", "model.path=lost-base", ERR_INPUT, "its base model `nowhere-either` is not here"},
    {"sft", "peft.target_modules=[no_such_module]", ERR_CONFIG, "no_such_module"},
    /* the tokenizer */
    {"sft", "model.tokenizer=nowhere", ERR_INPUT, "nowhere"},
    {"sft", "model.tokenizer=empty", ERR_INPUT, "tokenizer.json"},
    {"sft", "model.tokenizer=not-json", ERR_DATA, "not-json/tokenizer.json"},
    {"sft", "model.config=configs/models/llama-smoke.json", ERR_CONFIG, "model.config"},
    {"sft", "data.chat_template_path=nowhere.jinja", ERR_INPUT, "nowhere.jinja"},
    {"sft", "data.chat_template_path=configs/smoke/tokenizer", ERR_CONFIG, "has no chat template"},
    {"sft", "data.eos_token=<no>", ERR_CONFIG, "<no>"},
    /* the data */
    {"sft", "data.train=nowhere.jsonl", ERR_INPUT, "nowhere.jsonl"},
    {"sft", "data.eval=nowhere.jsonl", ERR_INPUT, "nowhere.jsonl"},
    {"sft", "data.train=empty.jsonl", ERR_DATA, "empty.jsonl"},
    {"sft", "data.train=bad.jsonl", ERR_DATA, "bad.jsonl:2:"},
    {"sft", "data.train=configs/smoke/data/prompts.jsonl", ERR_DATA, "prompts.jsonl"},
    {"sft", "data.max_length=2", ERR_DATA, "nothing left"},
    {"reward", "data.train=configs/smoke/data/prompts.jsonl", ERR_DATA, "prompts.jsonl"},
    {"reward", "data.max_length=2", ERR_DATA, "max_length"},
    {"ppo", "data.max_length=2", ERR_DATA, "max_length"},
    /* what does not fit together */
    {"sft", "model.path=few-ids", ERR_DATA, "do not belong together"},
    {"sft", "model.path=learned", ERR_CONFIG, "has learned 8 positions; lower data.max_length"},
    {"reward", "model.path=learned", ERR_CONFIG, "has learned 8 positions"},
    {"ppo", "model.path=learned", ERR_CONFIG, "lower data.max_length or ppo.response_length"},
    {"ppo", "ppo.num_mini_batches=3", ERR_CONFIG, "must divide"},
    {"ppo", "ppo.reward=[]", ERR_CONFIG, "ppo.reward"},
    {"ppo", "ppo.reward={model: nowhere}", ERR_INPUT, "model `nowhere`"},
    {"ppo", "ppo.reward={model: runs/smoke/text}", ERR_DATA, "no score.weight"},
    {"ppo", "ppo.reward={url: 'http://localhost/'}", ERR_CONFIG, "url"},
    {"ppo", "ppo.value.model=reward", ERR_CONFIG, "no reward is a model"},
    {"ppo", "ppo.value.model=other-tokenizer", ERR_CONFIG, "another tokenizer"},
    {"ppo", "ppo.stop_token_id=1000", ERR_CONFIG, "stop_token_id"},
    /* the rest of the world */
    {"sft", "device=cuda", ERR_DEVICE, "cuda"},
    {"sft", "output_dir=bad.jsonl/below", ERR_CREATE, "bad.jsonl"},
    {"sft", "--resume=nowhere", ERR_INPUT, "nowhere"},
    {"sft", "--no_such_option=1", ERR_USAGE, "no_such_option"},
    {"sft", "training.max_step=1", ERR_CONFIG, "did you mean `training.max_steps`"},
};

static int count_lines(const char *text, const char *start) {
    int n = 0;
    for (const char *at = text; at && *at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
        n += strncmp(at, start, strlen(start)) == 0;
    return n;
}

/* Appends to `wrong` what is not as it should be. */
static void check(Str *wrong, ErrorSites *sites, const InputCase *c) {
    const char *yaml = c->program[0] == 's' ? sft : c->program[0] == 'r' ? reward : ppo;
    mem_free(scratch_text(".", "run.yaml", yaml));
    int code = program_run(".", c->program, "run.yaml", c->word, NULL);
    char *log = program_text(".", "log");
    if (code != c->code || !strstr(log, c->says) || count_lines(log, "error: ") != 1)
        str_printf(wrong, "%s %s left with %d, not %d and `%s`:\n%s", c->program, c->word, code,
                   c->code, c->says, log);
    const char *error = strstr(log, "error: ");
    if (error) error_sites_add(sites, error + strlen("error: "));
    if (file_exists("run/final") || file_exists("run/checkpoints/latest"))
        str_printf(wrong, "%s %s made something\n", c->program, c->word);
    mem_free(log);
    assert_int_equal(file_remove_tree("run"), OK);
}

static void test_program_inputs__one_line_and_its_code(void **state) {
    (void)state;
    Str wrong = {0};
    ErrorSites sites = {0};
    size_t n = sizeof cases / sizeof *cases;
    for (size_t i = 0; i < n; i++) check(&wrong, &sites, &cases[i]);
    print_message("%zu bad inputs reach %zu error sites\n", n, sites.n);
    assert_true(sites.n >= 36);
    error_sites_free(&sites);
    for (const char *at = str_text(&wrong); *at; at += strcspn(at, "\n") + 1)
        print_message("%.*s\n", (int)strcspn(at, "\n"), at);
    assert_int_equal(wrong.len, 0);
    str_free(&wrong);
}

/* A second program in the same folder, while the first has it. */
static void test_program_inputs__a_folder_has_one_owner(void **state) {
    (void)state;
    mem_free(scratch_text(".", "slow.yaml",
                          "output_dir: run\n"
                          "threads: 1\n"
                          "model: {path: runs/smoke/text}\n"
                          "data: {train: configs/smoke/data/prompts.jsonl}\n"
                          "training: {max_steps: 1, per_device_train_batch_size: 4}\n"
                          "ppo: {reward: {command: [sh, -c, 'read l; touch ready; sleep 60']},\n"
                          "      response_length: 4}\n"));
    char *argv[] = {(char *)HONE_BIN_DIR "/ppo", (char *)"slow.yaml", NULL};
    pid_t first = program_start(".", false, argv);
    for (int i = 0; i < 1000 && !file_exists("ready"); i++)
        nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
    assert_true(file_exists("ready"));
    mem_free(scratch_text(".", "run.yaml", sft));
    assert_int_equal(program_run(".", "sft", "run.yaml", NULL), ERR_CREATE);
    char *log = program_text(".", "log");
    assert_int_equal(count_lines(log, "error: "), 1);
    mem_free(log);
    kill(first, SIGTERM);
    assert_int_equal(program_wait(first), ERR_STOPPED);
    assert_int_equal(file_remove_tree("run"), OK);
}

static void check_dry_run(const char *program, const char *yaml, const char *first_line) {
    mem_free(scratch_text(".", "run.yaml", yaml));
    program_expect(".", program, program_run(".", program, "run.yaml", "--dry-run", NULL), 0);
    char *out = program_text(".", "out"), *log = program_text(".", "log");
    if (!strstr(out, first_line) || !strstr(out, "first batch: ") || !strstr(out, "\nabout "))
        fail_msg("%s --dry-run printed\n%s", program, out);
    assert_non_null(strstr(log, "memory plan: "));
    assert_false(file_exists("run"));
    mem_free(out);
    mem_free(log);
}

static void test_program_inputs__a_dry_run_leaves_nothing(void **state) {
    (void)state;
    check_dry_run("sft", sft, "yes    | The|");
    check_dry_run("reward", reward, "score  |</s>|");
    check_dry_run("ppo", ppo, "behind each up to 4 tokens are sampled");
}

/* Also in the folder of a run that is there already: not a byte of it changes. */
static void test_program_inputs__a_dry_run_spares_a_run(void **state) {
    (void)state;
    mem_free(scratch_text(".", "run.yaml", sft));
    program_expect(".", "sft", program_run(".", "sft", "run.yaml", NULL), 0);
    const char *print = "find run -type f -exec sha256sum {} + | sort";
    char *command = str_format("%s >before", print);
    assert_int_equal(system(command), 0);
    mem_free(command);
    program_expect(".", "sft",
                   program_run(".", "sft", "run.yaml", "--dry-run", "training.max_steps=9", NULL),
                   0);
    command = str_format("%s >after && cmp before after", print);
    assert_int_equal(system(command), 0);
    mem_free(command);
    assert_int_equal(file_remove_tree("run"), OK);
}

/* runs/smoke/text with its weights as bfloat16, in half/. */
static void write_half_model(void) {
    Safetensors *file = NULL;
    SafetensorsItem items[64];
    if (system("cp -r runs/smoke/text/final half && rm half/model.safetensors") != 0) abort();
    assert_int_equal(safetensors_open(&file, "runs/smoke/text/final"), OK);
    int64_t n = safetensors_count(file);
    assert_in_range(n, 1, 64);
    for (int64_t i = 0; i < n; i++) {
        const TensorEntry *e = safetensors_at(file, i);
        void *data = mem_zalloc(e->bytes, 1);
        dtype_convert(data, DTYPE_BF16, e->data, e->dtype, e->bytes / sizeof(float));
        items[i] =
            (SafetensorsItem){.name = e->name, .dtype = DTYPE_BF16, .rank = e->rank, .data = data};
        memcpy(items[i].shape, e->shape, sizeof items[i].shape);
    }
    SafetensorsSpec spec = {.items = items, .n_items = n};
    assert_int_equal(safetensors_save("half/model.safetensors", &spec), OK);
    for (int64_t i = 0; i < n; i++) mem_free((void *)items[i].data);
    safetensors_close(file);
}

/* The plan's line of the frozen base, as text. */
static char *planned_base(const char *model, const char *dtype) {
    mem_free(scratch_text(".", "run.yaml", sft));
    int code = program_run(".", "sft", "run.yaml", "--dry-run", "peft.r=2", model, dtype, NULL);
    program_expect(".", "sft", code, 0);
    char *log = program_text(".", "log"), *line = strstr(log, "base weights");
    assert_non_null(line);
    char *out = mem_strndup(line, strcspn(line, "\n"));
    mem_free(log);
    return out;
}

/* auto stores frozen weights as their file has them. */
static void test_program_inputs__dtype_auto_is_the_files_own(void **state) {
    (void)state;
    write_half_model();
    char *whole = planned_base("model.path=runs/smoke/text", "model.dtype=float32");
    char *half = planned_base("model.path=runs/smoke/text", "model.dtype=bfloat16");
    char *auto_whole = planned_base("model.path=runs/smoke/text", "model.dtype=auto");
    char *auto_half = planned_base("model.path=half", "model.dtype=auto");
    assert_string_not_equal(whole, half);
    assert_string_equal(auto_whole, whole);
    assert_string_equal(auto_half, half);
    mem_free(whole);
    mem_free(half);
    mem_free(auto_whole);
    mem_free(auto_half);
}

static void shell(const char *command) {
    if (system(command) != 0) abort();
}

static int setup(void **state) {
    (void)state;
    folder = program_folder();
    program_prepare(folder, "1256");
    if (chdir(folder) != 0) abort();
    mem_free(scratch_text(".", "run.yaml", sft));
    shell("mkdir empty unfinished && echo '{}' >unfinished/run.json");
    shell("cp -r runs/smoke/text/final no-weights && rm no-weights/model.safetensors");
    shell("cp -r runs/smoke/text/final cut-weights && "
          "head -c 5000 runs/smoke/text/final/model.safetensors >cut-weights/model.safetensors");
    shell("cp -r runs/smoke/text/final strange && "
          "sed -i s/LlamaForCausalLM/StrangeForCausalLM/ strange/config.json && "
          "sed -i 's/\"model_type\": \"llama\"/\"model_type\": \"strange\"/' strange/config.json");
    shell("cp -r runs/smoke/text/final narrow && "
          "sed -i 's/\"hidden_size\": 32/\"hidden_size\": 16/' narrow/config.json");
    shell("mkdir not-json && echo '{' >not-json/tokenizer.json");
    shell("cp -r runs/smoke/text/final bad-config && echo '{' >bad-config/config.json");
    shell("cp -r runs/smoke/reward-lora/final lost-base && "
          "sed -i 's/\"base_model_name_or_path\": \"[^\"]*\"/\"base_model_name_or_path\": "
          "\"nowhere-either\"/' lost-base/adapter_config.json");
    shell("sed 's/\"hidden_size\": 32/\"hidden_size\": 16/' configs/models/llama-smoke.json "
          ">narrow.json && " HONE_BIN_DIR "/hone init --config narrow.json --tokenizer "
          "configs/smoke/tokenizer --output narrow-base >/dev/null 2>&1 && " HONE_BIN_DIR
          "/sft run.yaml model.path=narrow-base peft.r=2 output_dir=runs/narrow --quiet");
    shell("cp -r runs/smoke/reward/final other-tokenizer && "
          "sed -i 's/\"<pad>\"/\"<filler>\"/' other-tokenizer/tokenizer.json "
          "other-tokenizer/tokenizer_config.json");
    shell(HONE_BIN_DIR "/hone init --config configs/models/llama-smoke.json --tokenizer "
                       "configs/smoke/tokenizer --output few-ids >/dev/null 2>&1 && "
                       "sed -i 's/: 319$/: 400/' few-ids/tokenizer.json");
    shell("mkdir learned && cp configs/smoke/tokenizer/* learned/");
    shell(
        "echo '{\"architectures\": [\"GPT2LMHeadModel\"], \"model_type\": \"gpt2\", "
        "\"vocab_size\": 320, \"n_embd\": 16, \"n_layer\": 1, \"n_head\": 2, \"n_positions\": 8}' "
        ">gpt2.json && " HONE_BIN_DIR "/hone init --config gpt2.json --tokenizer "
        "configs/smoke/tokenizer --output learned-model >/dev/null 2>&1 && rm -r learned && "
        "mv learned-model learned");
    shell(": >empty.jsonl && printf '%s\\n' '{\"prompt\": \"a\", \"completion\": \"b\"}' "
          "'{\"prompt\": \"a\", ' >bad.jsonl");
    return 0;
}

static int teardown(void **state) {
    (void)state;
    return program_leave(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_program_inputs__one_line_and_its_code),
        cmocka_unit_test(test_program_inputs__a_folder_has_one_owner),
        cmocka_unit_test(test_program_inputs__a_dry_run_leaves_nothing),
        cmocka_unit_test(test_program_inputs__a_dry_run_spares_a_run),
        cmocka_unit_test(test_program_inputs__dtype_auto_is_the_files_own),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
