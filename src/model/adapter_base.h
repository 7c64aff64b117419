/* Is an adapter put on the model that it was made for? Private to model/. */
#ifndef LIMN_MODEL_ADAPTER_BASE_H
#define LIMN_MODEL_ADAPTER_BASE_H

#include "model/arch.h"

/* By names alone: what the adapter's configuration calls its base, and what the model is called (its folder or file,
 * its name in the cache, "_name_or_path" of config.json, "general.name" of GGUF metadata), without organisation, ending
 * and number type. */
AdapterBase adapter_base_compare(const Build *build, const char *base);

#endif
