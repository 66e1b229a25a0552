/* model_out: an open model in the ecosystem's formats, for the verbs that write one. */
#ifndef HONE_TOOLS_MODEL_OUT_H
#define HONE_TOOLS_MODEL_OUT_H

#include "tools/open.h"

/* A Hugging Face folder with the adapter merged and the tokenizer's files; a reward model keeps its
 * score. `dtype`: float32, bfloat16, float16; NULL: what the base is stored in. */
Status model_out_hf(const ToolModel *m, const char *dtype, const char *output);
/* A GGUF file with the adapter merged and the tokenizer inside. `dtype`: the same and q8_0; NULL:
 * float16. */
Status model_out_gguf(const ToolModel *m, const char *dtype, const char *output);
/* The adapter alone, as PEFT stores one, with the tokenizer's files. */
Status model_out_peft(const ToolModel *m, const char *dtype, const char *output);

#endif
