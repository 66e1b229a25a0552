/* hub_cache: where the cache of the Hugging Face hub on this machine holds what a name stands for.
 */
#ifndef HONE_CORE_HUB_CACHE_H
#define HONE_CORE_HUB_CACHE_H

/* The folder of files of `id` ("org/name", or "name" of the early days), of `kind` "models" or
 * "datasets": hub/KIND--org--name/snapshots/REVISION, the revision that refs/main names, else the
 * last. The cache is HF_HUB_CACHE, else HUGGINGFACE_HUB_CACHE, else HF_HOME/hub, else
 * XDG_CACHE_HOME/huggingface/hub, else ~/.cache/huggingface/hub. NULL when it is not there, or `id`
 * cannot be one; else the caller mem_free's it. */
char *hub_cache_find(const char *kind, const char *id);

#endif
