/* peft_config: adapter_config.json, in and out. */
#ifndef HONE_MODEL_PEFT_CONFIG_H
#define HONE_MODEL_PEFT_CONFIG_H

#include "core/io/json.h"
#include "model/head.h"
#include "model/peft/lora.h"

/* What the file says; names are borrowed from the JSON. Start with {0}. */
typedef struct PeftConfigFile {
    LoraOptions lora;
    ModuleNumber *alphas;
} PeftConfigFile;

/* ERR_DATA "where: ..." for what is wrong or not supported. peft_config_free in any case. */
Status peft_config_read(PeftConfigFile *out, const Json *config, const char *where);
void peft_config_free(PeftConfigFile *f);

/* The smallest set of keys that PEFT needs: old versions refuse unknown ones. head: NULL, or the
 * score head beside the adapter. */
Json *peft_config_make(const Adapter *a, const Head *head, const char *base_path);

#endif
