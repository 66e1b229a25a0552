/* adapter_config.json of PEFT beside good weights. */
#include "fuzz.h"

#include "core/io/json.h"
#include "model_fixture.h"

#define CONFIG                                                                            \
    "{\"architectures\": [\"LlamaForCausalLM\"], \"vocab_size\": 8, \"hidden_size\": 8, " \
    "\"intermediate_size\": 8, \"num_hidden_layers\": 1, \"num_attention_heads\": 2, "    \
    "\"max_position_embeddings\": 16}"

static Dev *dev;
static Base *base;
static Str good; /* the config that was saved */

static void close_all(void) {
    base_close(base);
    dev_close(dev);
    str_free(&good);
}

static void open_all(void) {
    Adapter *a = NULL;
    LoraOptions options = {.r = 2, .alpha = 4, .task_type = "CAUSAL_LM"};
    CHECK(dev_open(&dev, "ref", 1) == OK, "%s", status_message());
    CHECK(fixture_base(&base, dev, CONFIG, false, DTYPE_F32, 1) == OK, "%s", status_message());
    CHECK(adapter_create(&a, base, "a", &options) == OK, "%s", status_message());
    CHECK(adapter_save(a, NULL, fuzz_folder(), "base") == OK, "%s", status_message());
    adapter_close(a);
    char *path = file_join(fuzz_folder(), "adapter_config.json");
    CHECK(file_read(&good, path, 1 << 20) == OK, "%s", status_message());
    mem_free(path);
    atexit(close_all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!base) open_all();
    Adapter *a = NULL;
    fuzz_file("adapter_config.json", data, size);
    if (fuzz_ok(adapter_load(&a, base, "a", fuzz_folder(), size % 2))) adapter_close(a);
    return 0;
}

void fuzz_seeds(void) {
    open_all();
    fuzz_seed(good.data, good.len);
    fuzz_seed_text("{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 4.0, \"lora_dropout\": "
                   "0.1, \"use_rslora\": true, \"target_modules\": [\"q_proj\", \"v_proj\"], "
                   "\"modules_to_save\": [\"score\"], \"bias\": \"none\", \"alpha_pattern\": {}, "
                   "\"rank_pattern\": {}, \"base_model_name_or_path\": \"base\"}");
    /* Fewer modules than the file has tensors for. */
    fuzz_seed_text("{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 4, "
                   "\"target_modules\": [\"q_proj\"]}");
}

const char *const fuzz_words[] = {"null",
                                  "[]",
                                  "{}",
                                  "\"use_dora\": true",
                                  "\"all-linear\"",
                                  ".*",
                                  "\"target_modules\": ",
                                  "\"rank_pattern\": {\"q\": 3}",
                                  "\"\"",
                                  "\"r\": ",
                                  "\"lora_alpha\": ",
                                  "\"bias\": \"all\"",
                                  NULL};
