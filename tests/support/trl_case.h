/* trl_case: a program's run against a trajectory of TRL's (tests/oracle/trl_*.py).
 *
 * Golden numbers were computed in float64; `err/<name>` is what float32 PyTorch makes of them. On
 * "cpu" (float32) ours may be at most twice as far off (law L7), on "ref64" they agree to EXACT.
 * A metric is compared over all steps as one vector, parameters all together. */
#ifndef HONE_TESTS_TRL_CASE_H
#define HONE_TESTS_TRL_CASE_H

#include "core/io/safetensors.h"
#include "kernels/dev.h"
#include "model/model.h"
#include "program_run.h"
#include "run_compare.h"

#include <math.h>

#define TRL_TINY 1.2e-7 /* float32's epsilon: single numbers, whose own error may be 0 by luck */
#define TRL_EXACT 1e-10

typedef struct TrlCase {
    const char *device;
    char *folder; /* of the test; the program runs in it */
    Safetensors *golden;
    double worst; /* error over bound, and of what */
    char worst_of[80];
} TrlCase;

/* The test's folder becomes the working folder; `golden` there is tests/golden/data/trl, or trl in
 * the folder that HONE_GOLDEN names (tests/oracle/run.sh). */
static inline void trl_open(TrlCase *c, const char *device, const char *golden) {
    *c = (TrlCase){.device = device, .folder = program_folder()};
    const char *top = getenv("HONE_GOLDEN");
    char *data = file_join(top ? top : HONE_SOURCE_DIR "/tests/golden/data", "trl");
    char *path = str_format("%s/%s.safetensors", data, golden);
    char *link = file_join(c->folder, "golden");
    assert_int_equal(safetensors_open(&c->golden, path), OK);
    assert_int_equal(symlink(data, link), 0);
    assert_int_equal(chdir(c->folder), 0);
    mem_free(link);
    mem_free(path);
    mem_free(data);
}

static inline void trl_close(TrlCase *c) {
    print_message("%s: worst is %s, %.2f of its bound\n", c->device, c->worst_of, c->worst);
    safetensors_close(c->golden);
    assert_int_equal(chdir("/"), 0);
    scratch_free(c->folder);
}

static inline const TensorEntry *trl_find(const TrlCase *c, const char *name) {
    const TensorEntry *e = safetensors_find(c->golden, name);
    if (!e) fail_msg("no `%s` in the golden file", name);
    return e;
}

typedef struct TrlDistance {
    double wrong, size; /* squares of ours - golden, and of golden */
} TrlDistance;

static inline void trl_add(TrlDistance *d, const TrlCase *c, const char *name, const double *ours,
                           int64_t n) {
    const TensorEntry *e = trl_find(c, name);
    if (e->bytes != (size_t)n * sizeof(double))
        fail_msg("%s: %zu golden numbers, %lld of ours", name, e->bytes / sizeof(double),
                 (long long)n);
    for (int64_t i = 0; i < n; i++) {
        double ref;
        memcpy(&ref, (const char *)e->data + (size_t)i * sizeof ref, sizeof ref);
        d->wrong += (ours[i] - ref) * (ours[i] - ref);
        d->size += ref * ref;
    }
}

static inline void trl_judge(TrlCase *c, const char *name, TrlDistance d) {
    double std = 0.0, error = d.size > 0.0 ? sqrt(d.wrong / d.size) : sqrt(d.wrong);
    char *err = str_format("err/%s", name);
    memcpy(&std, trl_find(c, err)->data, sizeof std);
    mem_free(err);
    double bound = str_equal(c->device, "ref64") ? TRL_EXACT : 2.0 * std + TRL_TINY;
    if (!(error <= bound))
        fail_msg("%s on %s is off by %.3g; PyTorch's float32 by %.3g", name, c->device, error, std);
    if (error / bound < c->worst) return;
    c->worst = error / bound;
    snprintf(c->worst_of, sizeof c->worst_of, "%s", name);
}

static inline void trl_check(TrlCase *c, const char *name, const double *ours, int64_t n) {
    TrlDistance d = {0};
    trl_add(&d, c, name, ours, n);
    trl_judge(c, name, d);
}

/* Metric by metric: the rows of run/metrics.jsonl that have it. */
static inline void trl_check_metrics(TrlCase *c, const char *run, const char *const *names) {
    Str text = {0};
    metrics_without_clock(&text, run);
    for (int k = 0; names[k]; k++) {
        double ours[64];
        int64_t n = 0;
        for (const char *at = str_text(&text); *at;) {
            size_t len = strcspn(at, "\n");
            Json *row = NULL;
            assert_int_equal(json_parse(&row, at, len, "metrics.jsonl", 1), OK);
            if (json_get(row, names[k])) ours[n++] = json_num(json_get(row, names[k]));
            json_free(row);
            at += len + (at[len] == '\n');
        }
        trl_check(c, names[k], ours, n);
    }
    str_free(&text);
}

/* Trained tensors, on the host as they are. `rename` gives the golden name of a tensor's; NULL
 * where it is the same. */
static inline void trl_check_params(TrlCase *c, Dev *dev, const char *kind, const ParamList *list) {
    TrlDistance all = {0};
    for (int i = 0; i < list->n; i++) {
        const Param *p = &list->items[i];
        size_t n = (size_t)tensor_numel(p->value);
        double *ours = mem_zalloc(n, sizeof *ours);
        void *raw = mem_zalloc(n, sizeof(double));
        dev_download(dev, raw, p->value);
        dtype_convert(ours, DTYPE_F64, raw, p->value.dtype, n);
        /* A value head is TRL's score by another name. */
        const char *plain = str_equal(p->name, "v_head.summary.weight") ? "score.weight" : p->name;
        char *name = str_format("%s/%s", kind, plain);
        TrlDistance d = {0};
        trl_add(&d, c, name, ours, (int64_t)n);
        if (str_equal(c->device, "ref64") && d.wrong > 1e-18 * d.size)
            fail_msg("%s is off by %.3g", name, sqrt(d.wrong / d.size));
        all.wrong += d.wrong;
        all.size += d.size;
        mem_free(name);
        mem_free(raw);
        mem_free(ours);
    }
    trl_judge(c, kind, all);
}

#endif
