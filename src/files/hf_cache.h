/* What a user's MODEL argument means: a path as it stands, or a name in the local Hugging Face cache. */
#ifndef LIMN_FILES_HF_CACHE_H
#define LIMN_FILES_HF_CACHE_H

#include "base/error.h"

/* *path is malloc'ed. An existing file or folder is itself. Otherwise "org/name" (or "name", as old models are
 * called), optionally "@revision", is looked up in HF_HUB_CACHE, HF_HOME/hub, XDG_CACHE_HOME/huggingface/hub,
 * ~/.cache/huggingface/hub: models--org--name/snapshots/<what refs/main says>. LIMN_NOT_FOUND names all places
 * looked at. Nothing is ever downloaded. */
limn_status hf_cache_resolve(char **path, const char *model);

#endif
