/* Models in the field's other files, written by the libraries that they come from, are the models
 * of the safetensors beside them. */
#include "model/base.h"
#include "model/model.h"
#include "unit.h"

#include "core/mem.h"
#include "core/str.h"

#include <string.h>

#define DATA HONE_SOURCE_DIR "/tests/golden/data/"

static Base *open_base(Dev *dev, const char *path) {
    Base *b = NULL;
    if (base_open(&b, dev, &(BaseOptions){.path = path, .dtype = DTYPE_F32}) != OK)
        fail_msg("%s", status_message());
    return b;
}

static void digest_of(char hex[65], Dev *dev, const char *path) {
    Base *b = open_base(dev, path);
    base_digest(b, hex);
    base_close(b);
}

static void test_base_open__torch_files_are_the_same_model(void **state) {
    (void)state;
    static const char *const SAME[][2] = {
        {"llama", "torch_files/llama"},
        {"llama", "torch_files/llama_sharded"},
        {"gpt2", "torch_files/gpt2"}, /* with its head and its mask beside the weights */
    };
    Dev *dev = NULL;
    assert_int_equal(dev_open(&dev, "ref", 1), OK);
    for (size_t i = 0; i < sizeof SAME / sizeof *SAME; i++) {
        char digests[2][65];
        for (int k = 0; k < 2; k++) {
            char *path = str_format(DATA "%s", SAME[i][k]);
            digest_of(digests[k], dev, path);
            mem_free(path);
        }
        assert_string_equal(digests[0], digests[1]);
    }
    dev_close(dev);
}

static void test_adapter_load__torch_file(void **state) {
    (void)state;
    static const char *const FOLDERS[] = {DATA "llama_lora_adapter",
                                          DATA "torch_files/llama_lora_adapter"};
    Dev *dev = NULL;
    assert_int_equal(dev_open(&dev, "ref", 1), OK);
    Base *b = open_base(dev, DATA "llama");
    ParamList lists[2] = {{0}, {0}};
    Adapter *adapters[2];
    for (int k = 0; k < 2; k++) {
        if (adapter_load(&adapters[k], b, "a", FOLDERS[k], true) != OK)
            fail_msg("%s", status_message());
        adapter_params(&lists[k], adapters[k]);
    }
    assert_true(lists[0].n > 0);
    assert_int_equal(lists[0].n, lists[1].n);
    for (int i = 0; i < lists[0].n; i++) {
        Tensor x = lists[0].items[i].value, y = lists[1].items[i].value;
        assert_int_equal(tensor_bytes(x), tensor_bytes(y));
        assert_memory_equal(x.data, y.data, tensor_bytes(x));
    }
    for (int k = 0; k < 2; k++) {
        params_free(&lists[k]);
        adapter_close(adapters[k]);
    }
    base_close(b);
    dev_close(dev);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base_open__torch_files_are_the_same_model),
        cmocka_unit_test(test_adapter_load__torch_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
