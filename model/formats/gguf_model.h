/* gguf_model: a model in a GGUF file, as llama.cpp names and lays out its weights.
 *
 * Metadata become the config.json that the same model has as a Hugging Face folder, so that all
 * else (spec.c, export) knows one kind of description. Weights differ from a folder's in this: rows
 * of queries and keys of `llama` stand in pairs (j, j + D/2) of a head; fused projections are whole
 * blocks of queries, keys and values; GPT-2's matrices are [O,I]; Gemma's norms are 1 + weight;
 * factors of rotary frequencies are a tensor. Facts: llama.cpp's conversion scripts and its
 * llama-arch.cpp.
 */
#ifndef HONE_MODEL_FORMATS_GGUF_MODEL_H
#define HONE_MODEL_FORMATS_GGUF_MODEL_H

#include "core/io/gguf.h"
#include "core/io/json.h"
#include "model/base.h"

/* The config.json of what the file holds; the caller json_free's it. ERR_DATA: an architecture that
 * is none of ours (named), a key that is missing or of another type. */
Status gguf_config(Json **out, const Gguf *g);

/* Does the file hold the weights of a base that was made by that config? ERR_DATA as import_check.
 */
Status gguf_check(const Base *b, const Gguf *g);
/* Every weight of the base, from a file that gguf_check has seen. */
Status gguf_import(Base *b, const Gguf *g);

/* llama.cpp's word for a family, NULL where it has none (OPT). */
const char *gguf_architecture(const ArchSpec *spec);
/* Are rows of queries and keys permuted there? */
bool gguf_permutes(const ArchSpec *spec);

#endif
