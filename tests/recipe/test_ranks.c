/* What is done does not depend on how it is cut (law L6): one rank or two, micro-batches of any
 * size, packed or not, with or without activation checkpointing, on one thread or two.
 *
 * Where only the order of a sum changes, both cuts may be wrong by rounding; neither may be further
 * from float64 than twice the other (law L7). Everything else is the same, bit for bit. */
#include "core/mem.h"
#include "model/model.h"
#include "ppo/ppo_collect.h"
#include "ppo/ppo_program.h"
#include "program_run.h"
#include "reward/reward_program.h"
#include "run_compare.h"
#include "sft/sft_program.h"

#include <math.h>

#define TINY 1e-7   /* of float32 sums: about its epsilon */
#define EXACT 1e-12 /* of float64 */
#define STEPS 4

static char *folder; /* of all tests: the working folder, with the smoke models in it */

/* ---- numbers of a parameter list, one vector ----------------------------------------------- */

typedef struct Vector {
    double *x;
    int64_t n;
} Vector;

static Vector vector_of(Dev *dev, const ParamList *list, bool grads) {
    Vector v = {.n = params_count(list)};
    v.x = mem_zalloc((size_t)v.n, sizeof *v.x);
    int64_t at = 0;
    for (int i = 0; i < list->n; i++) {
        Tensor t = grads ? list->items[i].grad : list->items[i].value;
        size_t n = (size_t)tensor_numel(t);
        void *raw = mem_zalloc(n, sizeof(double));
        dev_download(dev, raw, t);
        dtype_convert(v.x + at, DTYPE_F64, raw, t.dtype, n);
        at += (int64_t)n;
        mem_free(raw);
    }
    return v;
}

static double distance(Vector a, Vector b) {
    double wrong = 0.0, size = 0.0;
    assert_int_equal(a.n, b.n);
    for (int64_t i = 0; i < a.n; i++) {
        wrong += (a.x[i] - b.x[i]) * (a.x[i] - b.x[i]);
        size += b.x[i] * b.x[i];
    }
    assert_true(size > 0.0);
    return sqrt(wrong / size);
}

/* Two float32 results of the same sums against float64's. */
static void assert_as_good(const char *what, Vector cut, Vector whole, Vector exact) {
    double ours = distance(cut, exact), usual = distance(whole, exact);
    if (!(ours <= 2.0 * usual + TINY))
        fail_msg("%s: the cut is off by %.3g, the whole by %.3g", what, ours, usual);
}

static void assert_bits(const char *what, Vector a, Vector b) {
    assert_int_equal(a.n, b.n);
    for (int64_t i = 0; i < a.n; i++)
        if (a.x[i] != b.x[i])
            fail_msg("%s: number %lld is %.17g and %.17g", what, (long long)i, a.x[i], b.x[i]);
}

/* ---- sft ----------------------------------------------------------------------------------- */

static const char sft_yaml[] =
    "output_dir: unused\n"
    "threads: 1\n"
    "model: {path: runs/smoke/text}\n"
    "data: {train: configs/smoke/data/completions.jsonl, max_length: 24}\n"
    "training: {per_device_train_batch_size: 4, learning_rate: 1.0e-2, max_steps: 4}\n";

/* Opened as a dry run is: no run folder. `cut`: key=value words. */
static Config *load(Stage stage, const char *yaml, const char *device, const char *cut) {
    Config *cfg = NULL;
    mem_free(scratch_text(".", "run.yaml", yaml));
    char *words = mem_strdup(cut),
         *argv[8] = {(char *)"program", (char *)"run.yaml", (char *)"--quiet"};
    int argc = 3;
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " ")) argv[argc++] = word;
    if (config_load(&cfg, stage, argc, argv) != OK) fail_msg("%s", status_message());
    cfg->run.device = (char *)device;
    mem_free(words);
    return cfg;
}

static SftProgram *sft_open(const char *device, const char *cut) {
    SftProgram *p = mem_zalloc(1, sizeof *p);
    p->s.cfg = load(STAGE_SFT, sft_yaml, device, cut);
    if (sft_program_open(p) != OK) fail_msg("%s", status_message());
    return p;
}

static void sft_close(SftProgram *p) {
    supervised_close(&p->s);
    mem_free(p);
}

static Vector sft_train(const char *device, const char *cut, double *loss) {
    SftProgram *p = sft_open(device, cut);
    SftStep done;
    *loss = 0.0;
    for (int64_t step = 0; step < STEPS; step++) {
        sft_step(&p->trainer, step, schedule_lr(&p->s.schedule, step), &done);
        *loss += done.loss;
    }
    Vector v = vector_of(p->s.dev, &p->s.params, false);
    sft_close(p);
    return v;
}

/* A device of this process has its memory on the host: the reduction is a sum over pointers. */
static void add_grads(const ParamList *to, const ParamList *from) {
    for (int i = 0; i < to->n; i++) {
        Tensor a = to->items[i].grad, b = from->items[i].grad;
        for (int64_t k = 0; k < tensor_numel(a); k++) {
            if (a.dtype == DTYPE_F64)
                ((double *)a.data)[k] += ((double *)b.data)[k];
            else
                ((float *)a.data)[k] += ((float *)b.data)[k];
        }
    }
}

static void copy_grads(const ParamList *to, const ParamList *from) {
    for (int i = 0; i < to->n; i++)
        memcpy(to->items[i].grad.data, from->items[i].grad.data, tensor_bytes(to->items[i].grad));
}

/* Two replicas, each with its own share of every step; their gradients are summed. */
static Vector sft_train_ranks(const char *device, const char *cut, double *loss) {
    SftProgram *p[2];
    *loss = 0.0;
    for (int rank = 0; rank < 2; rank++) {
        p[rank] = sft_open(device, cut);
        p[rank]->trainer.order.world = 2;
        p[rank]->trainer.order.rank = rank;
    }
    for (int64_t step = 0; step < STEPS; step++) {
        SftStep done[2];
        for (int rank = 0; rank < 2; rank++) {
            sft_accumulate(&p[rank]->trainer, step, &done[rank]);
            *loss += done[rank].loss;
        }
        add_grads(&p[0]->s.params, &p[1]->s.params);
        copy_grads(&p[1]->s.params, &p[0]->s.params);
        for (int rank = 0; rank < 2; rank++)
            optim_step(p[rank]->trainer.optim, schedule_lr(&p[rank]->s.schedule, step),
                       &done[rank].optim);
        assert_int_equal(p[0]->trainer.num_tokens, p[1]->trainer.num_tokens);
    }
    Vector v = vector_of(p[0]->s.dev, &p[0]->s.params, false);
    Vector other = vector_of(p[1]->s.dev, &p[1]->s.params, false);
    assert_bits("replicas", v, other);
    mem_free(other.x);
    for (int rank = 0; rank < 2; rank++) sft_close(p[rank]);
    return v;
}

static void test_ranks__sft_on_two_ranks_is_sft_on_one(void **state) {
    (void)state;
    /* 32 rows: the last step of the epoch is short, and one rank may find nothing in it. */
    const char *one = "training.gradient_accumulation_steps=6";
    const char *two = "training.gradient_accumulation_steps=3";
    double loss[4];
    Vector exact = sft_train("ref64", one, &loss[0]);
    Vector exact_two = sft_train_ranks("ref64", two, &loss[1]);
    Vector whole = sft_train("cpu", one, &loss[2]);
    Vector cut = sft_train_ranks("cpu", two, &loss[3]);
    assert_true(distance(exact_two, exact) <= EXACT);
    assert_true(fabs(loss[1] - loss[0]) <= EXACT * fabs(loss[0]));
    assert_as_good("two ranks", cut, whole, exact);
    mem_free(exact.x);
    mem_free(exact_two.x);
    mem_free(whole.x);
    mem_free(cut.x);
}

/* The gradient of one step over 8 rows. */
static Vector sft_gradient(const char *device, const char *cut) {
    SftProgram *p = sft_open(device, cut);
    SftStep done;
    sft_accumulate(&p->trainer, 0, &done);
    Vector v = vector_of(p->s.dev, &p->s.params, true);
    sft_close(p);
    return v;
}

static void compare_gradients(Vector (*gradient)(const char *, const char *), const char *whole,
                              const char *const *cuts) {
    Vector exact = gradient("ref64", whole), usual = gradient("cpu", whole);
    for (; *cuts; cuts++) {
        Vector exact_cut = gradient("ref64", *cuts), cut = gradient("cpu", *cuts);
        if (!(distance(exact_cut, exact) <= EXACT))
            fail_msg("%s is off by %.3g in float64", *cuts, distance(exact_cut, exact));
        assert_as_good(*cuts, cut, usual, exact);
        mem_free(exact_cut.x);
        mem_free(cut.x);
    }
    mem_free(exact.x);
    mem_free(usual.x);
}

static void test_ranks__micro_batches_of_sft(void **state) {
    (void)state;
    static const char *const cuts[] = {
        "training.per_device_train_batch_size=4 training.gradient_accumulation_steps=2",
        "training.per_device_train_batch_size=1 training.gradient_accumulation_steps=8", NULL};
    compare_gradients(sft_gradient, "training.per_device_train_batch_size=8", cuts);
    /* Micro-batches of 3, 3 and 2 rows: the end of an epoch. */
    static const char *const short_cuts[] = {
        "training.per_device_train_batch_size=3 training.gradient_accumulation_steps=3 "
        "data.train=eight.jsonl",
        NULL};
    compare_gradients(sft_gradient, "training.per_device_train_batch_size=8 data.train=eight.jsonl",
                      short_cuts);
}

/* All of eight rows in one step, alone or packed into rows of 24, 48 and 64 tokens. */
static void test_ranks__packing_of_sft(void **state) {
    (void)state;
    static const char *const cuts[] = {
        "training.per_device_train_batch_size=8 data.train=eight.jsonl data.packing=true",
        "training.per_device_train_batch_size=8 data.train=eight.jsonl data.packing=true "
        "data.max_length=48",
        "training.per_device_train_batch_size=1 training.gradient_accumulation_steps=8 "
        "data.train=eight.jsonl data.packing=true data.max_length=64",
        NULL};
    compare_gradients(sft_gradient, "training.per_device_train_batch_size=8 data.train=eight.jsonl",
                      cuts);
}

/* ---- reward -------------------------------------------------------------------------------- */

static const char reward_yaml[] = "output_dir: unused\n"
                                  "threads: 1\n"
                                  "model: {path: runs/smoke/reward}\n"
                                  "data: {train: configs/smoke/data/pairs.jsonl, max_length: 64}\n"
                                  "reward: {center_rewards_coefficient: 0.1}\n"
                                  "training: {learning_rate: 1.0e-2, max_steps: 4}\n";

static Vector reward_gradient_of(const char *device, const char *cut, int64_t world) {
    RewardProgram p = {.s.cfg = load(STAGE_REWARD, reward_yaml, device, cut)};
    if (reward_program_open(&p) != OK) fail_msg("%s", status_message());
    p.trainer.order.world = world;
    RewardStep done;
    for (int64_t rank = 0; rank < world; rank++) {
        p.trainer.order.rank = rank;
        reward_accumulate(&p.trainer, 0, &done);
    }
    Vector v = vector_of(p.s.dev, &p.s.params, true);
    reward_program_close(&p);
    return v;
}

static Vector reward_gradient(const char *device, const char *cut) {
    return reward_gradient_of(device, cut, 1);
}

static Vector reward_gradient_two(const char *device, const char *cut) {
    return reward_gradient_of(device, cut, 2);
}

static void test_ranks__micro_batches_of_reward(void **state) {
    (void)state;
    static const char *const cuts[] = {
        "training.per_device_train_batch_size=4 training.gradient_accumulation_steps=2",
        "training.per_device_train_batch_size=1 training.gradient_accumulation_steps=8", NULL};
    compare_gradients(reward_gradient, "training.per_device_train_batch_size=8", cuts);
}

static void test_ranks__reward_on_two_ranks_is_reward_on_one(void **state) {
    (void)state;
    Vector one = reward_gradient(
        "ref64", "training.per_device_train_batch_size=2 training.gradient_accumulation_steps=4");
    Vector two = reward_gradient_two(
        "ref64", "training.per_device_train_batch_size=2 training.gradient_accumulation_steps=2");
    assert_true(distance(two, one) <= EXACT);
    mem_free(one.x);
    mem_free(two.x);
}

/* ---- ppo ----------------------------------------------------------------------------------- */

static const char ppo_yaml[] =
    "output_dir: unused\n"
    "threads: 1\n"
    "model: {path: runs/smoke/text}\n"
    "data: {train: configs/smoke/data/prompts.jsonl}\n"
    "training: {learning_rate: 1.0e-3, max_steps: 2}\n"
    "ppo: {reward: {model: runs/smoke/reward}, response_length: 6,\n"
    "      num_ppo_epochs: 2, num_mini_batches: 2, whiten_rewards: true,\n"
    "      adap_kl_ctrl: true, missing_eos_penalty: 1.0}\n";

typedef struct PpoResult {
    Vector policy, value;
    int32_t tokens[8 * 6];
} PpoResult;

static PpoResult ppo_train(const char *device, const char *cut) {
    PpoProgram p = {.cfg = load(STAGE_PPO, ppo_yaml, device, cut)};
    PpoResult r = {0};
    if (ppo_program_open(&p) != OK) fail_msg("%s", status_message());
    for (int64_t update = 0; update < 2; update++) {
        if (ppo_update(&p.trainer, update, 1e-3) != OK) fail_msg("%s", status_message());
        ppo_control(&p.trainer);
    }
    memcpy(r.tokens, p.trainer.rollout->tokens, sizeof r.tokens);
    r.policy = vector_of(p.dev, &p.roles.policy_params, false);
    r.value = vector_of(p.dev, &p.roles.value_params, false);
    ppo_program_close(&p);
    return r;
}

static void free_result(PpoResult *r) {
    mem_free(r->policy.x);
    mem_free(r->value.x);
}

static void test_ranks__micro_batches_of_ppo(void **state) {
    (void)state;
    static const char *const cuts[] = {
        "training.per_device_train_batch_size=4 training.gradient_accumulation_steps=2",
        "training.per_device_train_batch_size=1 training.gradient_accumulation_steps=8 "
        "ppo.local_rollout_forward_batch_size=3",
    };
    PpoResult whole = ppo_train("ref64", "training.per_device_train_batch_size=8");
    for (int i = 0; i < 2; i++) {
        PpoResult cut = ppo_train("ref64", cuts[i]);
        assert_memory_equal(cut.tokens, whole.tokens, sizeof whole.tokens);
        assert_true(distance(cut.policy, whole.policy) <= EXACT);
        assert_true(distance(cut.value, whole.value) <= EXACT);
        free_result(&cut);
    }
    free_result(&whole);
}

/* Each rank samples its own prompts: the same responses as when one samples all. */
static void test_ranks__rollouts_split_by_prompt(void **state) {
    (void)state;
    PpoProgram p = {.cfg =
                        load(STAGE_PPO, ppo_yaml, "cpu", "training.per_device_train_batch_size=8")};
    if (ppo_program_open(&p) != OK) fail_msg("%s", status_message());
    PpoTrainer *t = &p.trainer;
    ppo_locate_rows(t, 0);
    assert_int_equal(rollout_generate(t->rollout, t->generator, &t->sampling), OK);
    for (int64_t rank = 0; rank < 2; rank++) {
        Rollout *share = NULL;
        assert_int_equal(rollout_open(&share, 4, t->rollout->response_length), OK);
        rollout_begin(share, t->data, t->items + 4 * rank, 4 * rank, false);
        assert_int_equal(rollout_generate(share, t->generator, &t->sampling), OK);
        int64_t slots = 4 * share->response_length;
        assert_memory_equal(share->tokens, t->rollout->tokens + rank * slots,
                            (size_t)slots * sizeof *share->tokens);
        assert_memory_equal(share->decode_logp, t->rollout->decode_logp + rank * slots,
                            (size_t)slots * sizeof *share->decode_logp);
        rollout_close(share);
    }
    ppo_program_close(&p);
}

/* ---- whole programs: other ways to compute the same bits ------------------------------------ */

static void compare_runs(const char *program, const char *config, const char *more) {
    static const char *const ways[] = {"training.gradient_checkpointing=true", "threads=2"};
    program_expect(".", program, program_run(".", program, config, "output_dir=a", more, NULL), 0);
    for (int i = 0; i < 2; i++) {
        int code = program_run(".", program, config, "output_dir=b", more, ways[i], NULL);
        program_expect(".", program, code, 0);
        assert_same_run("a", "b");
        assert_int_equal(file_remove_tree("b"), OK);
    }
    assert_int_equal(file_remove_tree("a"), OK);
}

static void test_ranks__checkpointing_and_threads_keep_every_bit(void **state) {
    (void)state;
    compare_runs("sft", "configs/smoke/2_sft_full.yaml", "--quiet");
    compare_runs("sft", "configs/smoke/3_sft_lora.yaml", "peft.lora_dropout=0.1");
    compare_runs("reward", "configs/smoke/6_reward_lora.yaml", "--quiet");
    compare_runs("ppo", "configs/smoke/7_ppo_learned.yaml", "--quiet");
    compare_runs("ppo", "configs/smoke/8_ppo_function.yaml", "--quiet");
}

static int setup(void **state) {
    (void)state;
    folder = program_folder();
    program_prepare(folder, "12356");
    if (chdir(folder) != 0) abort();
    char *text = program_text(".", "configs/smoke/data/completions.jsonl"), *end = text;
    for (int i = 0; i < 8; i++) end = strchr(end, '\n') + 1;
    mem_free(scratch_file(".", "eight.jsonl", text, (size_t)(end - text)));
    mem_free(text);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    return program_leave(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranks__checkpointing_and_threads_keep_every_bit),
        cmocka_unit_test(test_ranks__sft_on_two_ranks_is_sft_on_one),
        cmocka_unit_test(test_ranks__micro_batches_of_sft),
        cmocka_unit_test(test_ranks__packing_of_sft),
        cmocka_unit_test(test_ranks__micro_batches_of_reward),
        cmocka_unit_test(test_ranks__reward_on_two_ranks_is_reward_on_one),
        cmocka_unit_test(test_ranks__micro_batches_of_ppo),
        cmocka_unit_test(test_ranks__rollouts_split_by_prompt),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
