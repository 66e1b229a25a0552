/* Which modules of a base an adapter is on. */
#include "model/peft/lora.h"
#include "model_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void expect(Status st, Status wanted, const char *part) {
    if (st != wanted || !strstr(status_message(), part))
        fail_msg("status %d \"%s\", wanted %d with \"%s\"", (int)st, status_message(), (int)wanted,
                 part);
}

/* Which modules, of which rank and alpha, as "q0:r/alpha": layer and first letter. */
static void expect_pairs(Base *b, const LoraOptions *opt, const char *want) {
    Adapter *a = NULL;
    Str got = {0};
    if (adapter_create(&a, b, "x", opt) != OK) fail_msg("%s", status_message());
    for (int i = 0; i < b->n_modules; i++) {
        const ModuleRef *m = &b->modules[i];
        const LoraPair *p = adapter_pair(a, m->linear->slot);
        if (p)
            str_printf(&got, "%s%c%c:%d/%g", got.len ? " " : "", strrchr(m->name, '.')[1],
                       strstr(m->name, "layers.")[7], (int)p->a.value.shape[0], p->alpha);
    }
    assert_string_equal(str_text(&got), want);
    str_free(&got);
    adapter_close(a);
}

/* The same modules as PEFT's regular expressions, layers_to_transform and patterns mean. */
static void test_adapter__patterns_name_modules_ranks_and_layers(void **state) {
    (void)state;
    Dev *dev = NULL;
    Base *b = NULL;
    assert_int_equal(dev_open(&dev, "ref", 1), OK);
    assert_int_equal(fixture_base(&b, dev, CONFIG_LLAMA, false, DTYPE_F32, 5), OK);
    const char *regex = ".*\\.(q|k)_proj",
               *halves[] = {"q_proj", "model.layers.1.self_attn.k_proj"};
    const char *layer_word = "layers", *no_word = "h", *every = "all-linear";
    int64_t second = 1, third = 2;
    expect_pairs(b, &(LoraOptions){.r = 2, .alpha = 4, .targets = &regex, .n_targets = 1},
                 "q0:2/4 k0:2/4 q1:2/4 k1:2/4");
    expect_pairs(b, &(LoraOptions){.r = 2, .alpha = 4, .targets = halves, .n_targets = 2},
                 "q0:2/4 q1:2/4 k1:2/4");
    LoraOptions opt = {
        .r = 2, .alpha = 4, .targets = &regex, .n_targets = 1, .layers = &second, .n_layers = 1};
    expect_pairs(b, &opt, "q1:2/4 k1:2/4");
    opt.layers_pattern = &layer_word;
    opt.n_layers_pattern = 1;
    expect_pairs(b, &opt, "q1:2/4 k1:2/4");
    ModuleNumber ranks[] = {{"k_proj", 3}, {"layers\\.1.*", 5}},
                 alphas[] = {{"^model.*1.*q_proj", 7}};
    expect_pairs(b,
                 &(LoraOptions){.r = 2,
                                .alpha = 4,
                                .targets = &regex,
                                .n_targets = 1,
                                .ranks = ranks,
                                .n_ranks = 2,
                                .alphas = alphas,
                                .n_alphas = 1},
                 "q0:2/4 k0:3/4 q1:5/7 k1:3/4");
    Adapter *a = NULL;
    opt.layers_pattern = &no_word;
    expect(adapter_create(&a, b, "x", &opt), ERR_CONFIG, "is in layer 1 by layers_pattern");
    opt = (LoraOptions){.r = 2, .alpha = 4, .layers = &third, .n_layers = 1};
    expect(adapter_create(&a, b, "x", &opt), ERR_CONFIG,
           "no module of a LlamaForCausalLM is in layer 2");
    ranks[0].module = "o_proj";
    opt = (LoraOptions){.r = 2, .alpha = 4, .ranks = ranks, .n_ranks = 1};
    expect(adapter_create(&a, b, "x", &opt), ERR_CONFIG,
           "rank_pattern: `o_proj` means no module that");
    const char *broken = "(q_proj", *nothing = ".*\\.x_proj";
    opt = (LoraOptions){.r = 2, .alpha = 4, .targets = &broken, .n_targets = 1};
    expect(adapter_create(&a, b, "x", &opt), ERR_CONFIG, "LoRA pattern of modules: (q_proj");
    opt.targets = &nothing;
    expect(adapter_create(&a, b, "x", &opt), ERR_CONFIG, "target module `.*\\.x_proj` is not in a");
    opt = (LoraOptions){
        .r = 2, .alpha = 4, .targets = &every, .n_targets = 1, .excludes = &regex, .n_excludes = 1};
    assert_int_equal(adapter_create(&a, b, "x", &opt), OK);
    assert_null(adapter_pair(a, slot_of(1, SLOT_K)));
    assert_non_null(adapter_pair(a, slot_of(1, SLOT_V)));
    adapter_close(a);
    base_close(b);
    dev_close(dev);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adapter__patterns_name_modules_ranks_and_layers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
