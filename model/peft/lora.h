/* lora: an Adapter, low-rank pairs beside the projections of a base (Hu et al. 2021; rsLoRA:
 * Kalajdzievski 2023). linear.c uses the pairs, peft.c reads and writes them as PEFT does. */
#ifndef HONE_MODEL_LORA_H
#define HONE_MODEL_LORA_H

#include "model/base.h"

typedef struct LoraPair {
    Weight a;              /* [r,I] real; none: this projection is not targeted */
    Weight b;              /* [O,r] real */
    double alpha;          /* the adapter's, or its own */
    double scale;          /* alpha/r, or alpha/sqrt(r) */
    double dropout;        /* of the pair's input */
    char *name_a, *name_b; /* "base_model.model....lora_A.weight" */
    const ModuleRef *module;
} LoraPair;

struct Adapter {
    Base *base;
    char *name, *task_type;
    int64_t r;
    double alpha, dropout;
    bool use_rslora, trainable;
    LoraPair *pairs; /* [base_slots] */
};

/* The pair beside the projection in `slot`, or NULL. */
const LoraPair *adapter_pair(const Adapter *a, int slot);

/* An adapter without pairs; the options' targets are not looked at. */
Adapter *adapter_new(Base *b, const char *name, const LoraOptions *opt, bool trainable);
/* Memory for the pair of a module, not set. */
Status adapter_add_pair(Adapter *a, const ModuleRef *module, int64_t r, double alpha);

#endif
