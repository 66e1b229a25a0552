/* Whole models against PyTorch, Transformers and PEFT (tests/oracle/model_golden.py, and
 * families_golden.py for the families beyond LLaMA and GPT-2): log-probs, entropies, scores,
 * logits, every gradient, ten AdamW steps and their losses; from folders and adapters as those
 * libraries write them. HONE_GOLDEN names another folder of such files, made at other sizes
 * (tests/oracle/run.sh); the families stay at theirs.
 *
 * Golden numbers were computed in float64, and `err/<kind>` is the error that float32 PyTorch makes
 * against them. In float32 ours may be at most twice that (+ TINY); in float64 every tensor agrees
 * to EXACT. */
#include "core/file.h"
#include "core/io/safetensors.h"
#include "kernels/ops.h"
#include "model/base.h"
#include "model/peft/lora.h"
#include "model_fixture.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define TINY 1.2e-7 /* float32's epsilon: single numbers, whose own error may be 0 by luck */
#define EXACT 1e-11
enum { N_SEQS = 3, MAX_ROWS = 160, PROMPT = 2, STEPS = 10 };

typedef struct Golden {
    const char *name, *base, *adapter;
    bool reward;
    bool first_only; /* no optimizer steps */
} Golden;

#define FAMILY(name)                                                                         \
    {"families/" name "_full", "families/" name, NULL, false, true}, {                       \
        "families/" name "_lora", "families/" name, "families/" name "_adapter", false, true \
    }

/* tests/oracle/peft_golden.py */
#define PEFT(name, base) \
    { "peft/" name, base, "peft/" name "_adapter", false, false }

static const Golden goldens[] = {
    {"llama_full", "llama", NULL, false, false},
    {"llama_lora", "llama", "llama_lora_adapter", false, false},
    {"gpt2_full", "gpt2", NULL, false, false},
    {"gpt2_lora", "gpt2", "gpt2_lora_adapter", false, false},
    {"llama_reward_full", "llama_reward", NULL, true, false},
    {"llama_reward_lora", "llama_reward", "llama_reward_lora_adapter", true, false},
    PEFT("patterns", "llama"),
    PEFT("layers", "gpt2"),
    FAMILY("llama_linear"),
    FAMILY("llama_yarn"),
    FAMILY("llama_dynamic"),
    FAMILY("mistral"),
    FAMILY("qwen2"),
    FAMILY("qwen3"),
    FAMILY("gemma"),
    FAMILY("gemma2"),
    FAMILY("phi"),
    FAMILY("phi3"),
    FAMILY("stablelm"),
    FAMILY("stablelm_parallel"),
    FAMILY("neox"),
    FAMILY("neox_sequential"),
    FAMILY("opt"),
    FAMILY("opt_350m"),
    FAMILY("mpt"),
    FAMILY("falcon_7b"),
    FAMILY("falcon_40b"),
    FAMILY("falcon_alibi"),
    FAMILY("bloom"),
    FAMILY("t5"),
    FAMILY("flan_t5"),
};

typedef struct Case {
    const Golden *golden;
    const char *device;
    Dev *dev;
    Safetensors *file;
    Role role;
    Pass *pass;
    FixtureRows rows, source;
    ParamList params;
    int32_t last[N_SEQS]; /* row of each sequence's last token */
    double logp[MAX_ROWS], entropy[MAX_ROWS], value[MAX_ROWS];
    double dlogp[MAX_ROWS], dvalue[MAX_ROWS];
    double worst; /* error over bound, and whose */
    const char *worst_kind;
} Case;

static char *data_path(const char *name, const char *ending) {
    const char *folder = str_starts(name, "families/") ? NULL : getenv("HONE_GOLDEN");
    return str_format("%s/%s%s", folder ? folder : HONE_SOURCE_DIR "/tests/golden/data", name,
                      ending);
}

static const TensorEntry *find(const Case *c, const char *prefix, const char *name) {
    char *full = str_format("%s%s", prefix, name);
    const TensorEntry *e = safetensors_find(c->file, full);
    if (!e) fail_msg("%s: no `%s`", c->golden->name, full);
    mem_free(full);
    return e;
}

/* Squares of ours - golden and of golden. */
typedef struct Distance {
    double wrong, size;
} Distance;

static void add_distance(Distance *d, const Case *c, const char *name, const double *ours,
                         int64_t n) {
    const TensorEntry *e = find(c, "", name);
    assert_int_equal(e->bytes, (size_t)n * sizeof(double));
    for (int64_t i = 0; i < n; i++) {
        double ref;
        memcpy(&ref, (const char *)e->data + (size_t)i * sizeof ref, sizeof ref);
        d->wrong += (ours[i] - ref) * (ours[i] - ref);
        d->size += ref * ref;
    }
}

static void check_distance(Case *c, const char *what, const char *kind, Distance d) {
    /* A gradient that is 0 but for rounding (a bias on keys) has no relative error. */
    double std, error = sqrt(d.wrong) / fmax(sqrt(d.size), 1e-4);
    memcpy(&std, find(c, "err/", kind)->data, sizeof std);
    double bound = dev_real(c->dev) == DTYPE_F64 ? EXACT : 2.0 * std + TINY;
    if (!(error <= bound))
        fail_msg("%s on %s: %s is off by %.3g; PyTorch's float32 by %.3g", c->golden->name,
                 c->device, what, error, std);
    if (error / bound <= c->worst) return;
    c->worst = error / bound;
    c->worst_kind = kind;
}

static void check(Case *c, const char *name, const double *ours, int64_t n) {
    Distance d = {0};
    add_distance(&d, c, name, ours, n);
    check_distance(c, name, name, d);
}

/* A device tensor in the order of PyTorch's: a weight as files hold it, LoRA's B by outputs. */
static double *read_tensor(const Case *c, const char *name, Tensor t) {
    const Base *b = c->role.base;
    int64_t n = tensor_numel(t);
    double *ours = mem_alloc((size_t)n * sizeof *ours), *out = mem_alloc((size_t)n * sizeof *out);
    dtype_convert(ours, DTYPE_F64, t.data, t.dtype, (size_t)n);
    memcpy(out, ours, (size_t)n * sizeof *out);
    for (int i = 0; i < b->n_refs; i++)
        if (str_equal(b->refs[i].name, name)) base_file_order(&b->refs[i], DTYPE_F64, out, ours);
    for (int i = 0; c->role.adapter && i < base_slots(b); i++) {
        const LoraPair *pair = adapter_pair(c->role.adapter, i);
        if (pair && str_equal(pair->name_b, name))
            linear_reorder(&pair->module->linear->order, out, ours, t.shape[0],
                           (size_t)t.shape[1] * sizeof *out, true);
    }
    mem_free(ours);
    return out;
}

/* All gradients or values: as one vector, and in double each by itself. */
static void check_params(Case *c, const char *kind, bool grad) {
    Distance all = {0};
    for (int i = 0; i < c->params.n; i++) {
        const Param *p = &c->params.items[i];
        double *ours = read_tensor(c, p->name, grad ? p->grad : p->value);
        char *name = str_format("%s/%s", kind, p->name);
        Distance d = {0};
        add_distance(&d, c, name, ours, tensor_numel(p->value));
        if (dev_real(c->dev) == DTYPE_F64) check_distance(c, name, kind, d);
        all.wrong += d.wrong;
        all.size += d.size;
        mem_free(name);
        mem_free(ours);
    }
    check_distance(c, kind, kind, all);
}

/* The encoder's rows, where the file has some. */
static void open_source(Case *c) {
    static const int64_t ids[N_SEQS] = {1, 2, 3};
    const TensorEntry *e = safetensors_find(c->file, "source_lengths");
    if (!e) return;
    int32_t golden[N_SEQS];
    int64_t lengths[N_SEQS];
    memcpy(golden, e->data, sizeof golden);
    for (int i = 0; i < N_SEQS; i++) lengths[i] = golden[i];
    c->source = fixture_rows(lengths, ids, N_SEQS, 0, base_info(c->role.base)->vocab);
    memcpy((int32_t *)(uintptr_t)c->source.rows.ids, find(c, "", "source_ids")->data,
           (size_t)c->source.rows.n_rows * sizeof(int32_t));
    c->source.rows.targets = NULL;
    c->rows.rows.source = &c->source.rows;
}

static void open_rows(Case *c) {
    static const int64_t ids[N_SEQS] = {1, 2, 3};
    int32_t golden[N_SEQS];
    int64_t lengths[N_SEQS];
    memcpy(golden, find(c, "", "lengths")->data, sizeof golden);
    for (int i = 0, n = 0; i < N_SEQS; i++) {
        lengths[i] = golden[i];
        n += golden[i];
        c->last[i] = n - 1;
        assert_true(n <= MAX_ROWS);
    }
    c->rows = fixture_rows(lengths, ids, N_SEQS, PROMPT, base_info(c->role.base)->vocab);
    int32_t *to = (int32_t *)(uintptr_t)c->rows.rows.ids;
    int32_t *targets = (int32_t *)(uintptr_t)c->rows.rows.targets;
    int64_t n_rows = c->rows.rows.n_rows;
    memcpy(to, find(c, "", "ids")->data, (size_t)n_rows * sizeof *to);
    for (int64_t i = 0; i + 1 < n_rows; i++)
        if (targets[i] != ROWS_NO_TARGET) targets[i] = to[i + 1];
    open_source(c);
}

static void case_open(Case *c, const Golden *golden, const char *device) {
    *c = (Case){.golden = golden, .device = device};
    char *base = data_path(golden->base, ""), *file = data_path(golden->name, ".safetensors");
    char *adapter = golden->adapter ? data_path(golden->adapter, "") : NULL;
    assert_int_equal(dev_open(&c->dev, device, 2), OK);
    assert_int_equal(safetensors_open(&c->file, file), OK);
    BaseOptions opt = {
        .path = base, .dtype = DTYPE_F32, .trainable = !adapter, .takes_source = true};
    if (base_open(&c->role.base, c->dev, &opt) != OK) fail_msg("%s", status_message());
    if (adapter && adapter_load(&c->role.adapter, c->role.base, "a", adapter, true) != OK)
        fail_msg("%s", status_message());
    const char *head = adapter ? adapter : base;
    if (golden->reward && head_load(&c->role.head, c->role.base, HEAD_SCORE, head, true) != OK)
        fail_msg("%s", status_message());
    base_params(&c->params, c->role.base);
    if (adapter) adapter_params(&c->params, c->role.adapter);
    if (golden->reward) head_params(&c->params, c->role.head);
    open_rows(c);
    assert_int_equal(fixture_pass(&c->pass, c->dev, &c->role, &c->rows.rows, RECOMPUTE_NONE), OK);
    mem_free(base);
    mem_free(file);
    mem_free(adapter);
}

static void case_close(Case *c) {
    params_free(&c->params);
    fixture_rows_free(&c->rows);
    fixture_rows_free(&c->source);
    pass_close(c->pass);
    head_close(c->role.head);
    adapter_close(c->role.adapter);
    base_close(c->role.base);
    safetensors_close(c->file);
    dev_close(c->dev);
}

/* Mean negative log-likelihood over the rows with a target. */
static double language_loss(Case *c) {
    double loss = 0.0, n = (double)rows_count_targets(&c->rows.rows);
    for (int64_t i = 0; i < c->rows.rows.n_rows; i++) {
        c->dlogp[i] = -1.0 / n;
        loss -= c->logp[i] / n;
    }
    return loss;
}

/* Sequence 0 before 1, and 2 before 0: mean of -log sigmoid of the difference at the last rows. */
static double reward_loss(Case *c) {
    const int32_t *last = c->last;
    static const int better[2] = {0, 2}, worse[2] = {1, 0};
    double loss = 0.0;
    memset(c->dvalue, 0, sizeof c->dvalue);
    for (int k = 0; k < 2; k++) {
        double gap = c->value[last[better[k]]] - c->value[last[worse[k]]];
        loss += 0.5 * log1p(exp(-gap));
        double slope = 0.5 / (1.0 + exp(gap));
        c->dvalue[last[better[k]]] -= slope;
        c->dvalue[last[worse[k]]] += slope;
    }
    return loss;
}

/* Forward, loss, backward from cleared gradients; returns the loss. */
static double step(Case *c) {
    bool reward = c->golden->reward;
    PassOut out = {.logp = reward ? NULL : c->logp,
                   .entropy = reward ? NULL : c->entropy,
                   .value = reward ? c->value : NULL};
    params_zero_grad(c->dev, &c->params);
    pass_forward(c->pass, &c->role, &c->rows.rows, &(PassOptions){0}, &out);
    double loss = reward ? reward_loss(c) : language_loss(c);
    pass_backward(c->pass, &(PassGrad){.dlogp = reward ? NULL : c->dlogp,
                                       .dvalue = reward ? c->dvalue : NULL});
    assert_int_equal(dev_check(c->dev), OK);
    return loss;
}

/* The last rows are asked about one token of the vocabulary after another. */
static void check_logits(Case *c) {
    Rows rows = c->rows.rows;
    int64_t vocab = base_info(c->role.base)->vocab;
    int32_t targets[MAX_ROWS];
    double logp[MAX_ROWS], *logits = mem_alloc((size_t)(N_SEQS * vocab) * sizeof *logits);
    rows.targets = targets;
    for (int i = 0; i < MAX_ROWS; i++) targets[i] = ROWS_NO_TARGET;
    for (int32_t v = 0; v < vocab; v++) {
        for (int s = 0; s < N_SEQS; s++) targets[c->last[s]] = v;
        pass_score(c->pass, &c->role, &rows, &(PassOptions){0}, &(PassOut){.logp = logp});
        for (int s = 0; s < N_SEQS; s++) logits[s * vocab + v] = logp[c->last[s]];
    }
    check(c, "logits", logits, N_SEQS * vocab);
    mem_free(logits);
}

static void check_first_step(Case *c) {
    double loss = step(c);
    int64_t n = c->rows.rows.n_rows;
    if (c->golden->first_only) check(c, "loss", &loss, 1);
    check_params(c, "grad", true);
    if (c->golden->reward) {
        check(c, "value", c->value, n);
        return;
    }
    check(c, "logp", c->logp, n);
    check(c, "entropy", c->entropy, n);
    if (!c->golden->first_only) check_logits(c);
}

static void check_optimizer_steps(Case *c) {
    double losses[STEPS];
    Tensor *moments = mem_zalloc(2 * (size_t)c->params.n, sizeof *moments);
    for (int i = 0; i < 2 * c->params.n; i++) {
        Tensor like = c->params.items[i / 2].value;
        moments[i] = tensor_like(mem_zalloc(1, tensor_bytes(like)), like);
    }
    for (int s = 0; s < STEPS; s++) {
        losses[s] = step(c);
        for (int i = 0; i < c->params.n; i++) {
            const Param *p = &c->params.items[i];
            op_adamw(c->dev, p->value, moments[2 * i], moments[2 * i + 1], p->grad,
                     (AdamwArgs){.lr = 1e-2,
                                 .beta1 = 0.9,
                                 .beta2 = 0.999,
                                 .eps = 1e-6,
                                 .weight_decay = p->decay ? 0.01 : 0.0,
                                 .grad_scale = 1.0,
                                 .step = s + 1});
        }
    }
    check(c, "losses", losses, STEPS);
    check_params(c, "after", false);
    for (int i = 0; i < 2 * c->params.n; i++) mem_free(moments[i].data);
    mem_free(moments);
}

static void on_device(const char *device) {
    for (size_t i = 0; i < sizeof goldens / sizeof *goldens; i++) {
        Case c;
        case_open(&c, &goldens[i], device);
        check_first_step(&c);
        if (!goldens[i].first_only) check_optimizer_steps(&c);
        print_message("%-32s on %-5s largest error %.2f of the bound (%s)\n", goldens[i].name,
                      device, c.worst, c.worst_kind);
        case_close(&c);
    }
}

static void test_model_golden__double_agrees(void **state) {
    (void)state;
    on_device("ref64");
}

static void test_model_golden__ref_is_as_exact_as_pytorch(void **state) {
    (void)state;
    on_device("ref");
}

static void test_model_golden__cpu_is_as_exact_as_pytorch(void **state) {
    (void)state;
    on_device("cpu");
}

static void same_tensors(const char *name, const Safetensors *a, const Safetensors *b) {
    assert_int_equal(safetensors_count(a), safetensors_count(b));
    for (int64_t i = 0; i < safetensors_count(a); i++) {
        const TensorEntry *x = safetensors_at(a, i), *y = safetensors_find(b, x->name);
        if (!y || y->rank != x->rank || y->bytes != x->bytes || memcmp(x->data, y->data, x->bytes))
            fail_msg("%s: `%s` is not what was read", name, x->name);
    }
}

/* A folder and an adapter that were read are written again bit for bit, under the same names. */
static void round_trip(const Golden *g) {
    char folder[] = "/tmp/hone-golden-XXXXXX", *from = data_path(g->base, "");
    char *adapter = g->adapter ? data_path(g->adapter, "") : NULL;
    assert_non_null(mkdtemp(folder));
    Role role = {0};
    Dev *dev = NULL;
    Safetensors *before = NULL, *after = NULL;
    assert_int_equal(dev_open(&dev, "cpu", 1), OK);
    assert_int_equal(
        base_open(&role.base, dev,
                  &(BaseOptions){.path = from, .dtype = DTYPE_F32, .takes_source = true}),
        OK);
    if (adapter) {
        assert_int_equal(adapter_load(&role.adapter, role.base, "a", adapter, false), OK);
        assert_int_equal(adapter_save(role.adapter, NULL, folder, "x"), OK);
    } else {
        assert_int_equal(model_export(&role, folder, DTYPE_F32), OK);
    }
    char *file = file_join(adapter ? adapter : from,
                           adapter ? "adapter_model.safetensors" : "model.safetensors");
    char *again = file_join(folder, adapter ? "adapter_model.safetensors" : "model.safetensors");
    assert_int_equal(safetensors_open(&before, file), OK);
    assert_int_equal(safetensors_open(&after, again), OK);
    same_tensors(g->name, before, after);
    safetensors_close(before);
    safetensors_close(after);
    adapter_close(role.adapter);
    base_close(role.base);
    dev_close(dev);
    assert_int_equal(file_remove_tree(folder), OK);
    mem_free(file);
    mem_free(again);
    mem_free(adapter);
    mem_free(from);
}

static void test_model_golden__what_was_read_is_written_bit_for_bit(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof goldens / sizeof *goldens; i++)
        if (!goldens[i].reward) round_trip(&goldens[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model_golden__double_agrees),
        cmocka_unit_test(test_model_golden__ref_is_as_exact_as_pytorch),
        cmocka_unit_test(test_model_golden__cpu_is_as_exact_as_pytorch),
        cmocka_unit_test(test_model_golden__what_was_read_is_written_bit_for_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
