/* An adapter of PEFT: adapter_config.json beside good weights, or weights beside a good config.
 *
 * Parser: model/peft/peft.c
 */
#include "fuzz_tensors.h"

#include "core/io/json.h"
#include "model_fixture.h"

#define CONFIG_NAME "adapter_config.json"
#define WEIGHTS_NAME "adapter_model.safetensors"

static Dev *dev;
static Base *base;
static Str good, weights; /* the files that were saved */

static void close_all(void) {
    base_close(base);
    dev_close(dev);
    str_free(&good);
    str_free(&weights);
}

static void keep(Str *out, const char *name) {
    char *path = file_join(fuzz_folder(), name);
    CHECK(file_read(out, path, 1 << 20) == OK, "%s", status_message());
    mem_free(path);
}

static void open_all(void) {
    Adapter *a = NULL;
    LoraOptions options = {.r = 2, .alpha = 4, .task_type = "CAUSAL_LM"};
    CHECK(dev_open(&dev, "ref", 1) == OK, "%s", status_message());
    CHECK(fixture_base(&base, dev, FUZZ_LLAMA, false, DTYPE_F32, 1) == OK, "%s", status_message());
    CHECK(adapter_create(&a, base, "a", &options) == OK, "%s", status_message());
    CHECK(adapter_save(a, NULL, fuzz_folder(), "base") == OK, "%s", status_message());
    adapter_close(a);
    keep(&good, CONFIG_NAME);
    keep(&weights, WEIGHTS_NAME);
    atexit(close_all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!base) open_all();
    Adapter *a = NULL;
    bool is_weights = size > 8 && data[8] == '{'; /* behind the length of its header */
    fuzz_file(CONFIG_NAME, is_weights ? (const void *)good.data : data,
              is_weights ? good.len : size);
    fuzz_file(WEIGHTS_NAME, is_weights ? data : (const void *)weights.data,
              is_weights ? size : weights.len);
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
    fuzz_seed(weights.data, weights.len);
    char *others = mem_strndup(weights.data, weights.len); /* half of it has no place */
    for (size_t i = 0; i + 6 <= weights.len; i++)
        if (memcmp(others + i, "v_proj", 6) == 0) others[i] = 'w';
    fuzz_seed(others, weights.len);
    mem_free(others);
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
                                  "lora_A",
                                  "v_proj",
                                  "layers.1",
                                  NULL};
