/* place: where the model that a name stands for lies on this machine. */
#ifndef HONE_STAGE_PLACE_H
#define HONE_STAGE_PLACE_H

#include "data/tokenizer/tokenizer.h"

/* A model: the folder of its weights, and the folder of an adapter over them. Free with
 * model_place_free. */
typedef struct ModelPlace {
    char *base;    /* Hugging Face folder, or GGUF file */
    char *adapter; /* PEFT folder, or NULL */
} ModelPlace;

/* `name` is a Hugging Face folder, a GGUF file, a PEFT folder (its adapter_config.json names the
 * base), the run folder of an earlier stage (its final/ is taken), or a name that is no local path:
 * looked up below `root` (may be NULL), then in the Hugging Face cache (core/hub_cache.h). ERR_INPUT
 * with the command that would fetch it when there is nothing. */
Status place_model(ModelPlace *out, const char *name, const char *root);
void model_place_free(ModelPlace *p);

/* The model's tokenizer: of an adapter folder that brings one, else of the base. What ends a
 * generation is what the base says in both cases. */
Status place_tokenizer(Tokenizer **out, const ModelPlace *place);

#endif
