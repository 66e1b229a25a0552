/* import: how the files of each family name the weights, and reading them. A new family adds its
 * names here and its row in spec_families.c. */
#ifndef HONE_MODEL_IMPORT_H
#define HONE_MODEL_IMPORT_H

#include "core/io/tensor_file.h"
#include "model/base.h"

/* Fills base->refs, base->modules and base->trunk after the layers are wired. */
void import_name_weights(Base *b);

/* llama.cpp's names of base->refs, in their order: "blk.0.attn_q.weight"; the caller mem_free's
 * each and the list. */
char **import_gguf_names(const Base *b);

/* Do the file(s) hold the weights of a base whose own have no memory yet? ERR_DATA: a tensor is
 * missing, has another shape or no float type, or the file holds one that this architecture has no
 * place for; each is named. Names may lack the trunk's prefix (the first GPT-2 files). */
Status import_check(const Base *b, const TensorFile *file);
/* The file's tensor of a weight; NULL: it has none. */
const TensorEntry *import_find(const Base *b, const TensorFile *file, const WeightRef *ref);
/* Every weight of the base, from file(s) that import_check has seen. */
Status import_weights(Base *b, const TensorFile *file);

/* Does the file hold a language-model head of its own? */
bool import_finds_head(const TensorFile *file);
/* Of an encoder-decoder: and is it another than the embedding? */
bool import_has_other_head(const TensorFile *file);

#endif
