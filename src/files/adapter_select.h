/* Which modules an adapter's configuration chooses, by PEFT's rules. Private to files/. */
#ifndef LIMN_FILES_ADAPTER_SELECT_H
#define LIMN_FILES_ADAPTER_SELECT_H

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"

typedef struct AdapterSelect AdapterSelect;

/* config: the whole of adapter_config.json, borrowed; path is for messages. */
limn_status adapter_select_new(AdapterSelect **select, const json_t *config, const char *path);
void adapter_select_free(AdapterSelect *select);

/* Does target_modules (with exclude_modules, layers_to_transform, layers_pattern) choose this module? */
limn_status adapter_select_target(bool *chosen, const AdapterSelect *select, const char *module);
/* Is it, or is it inside, one of modules_to_save? */
limn_status adapter_select_saved(bool *chosen, const AdapterSelect *select, const char *module);
/* The value of rank_pattern or alpha_pattern for the module, else the fallback. */
limn_status adapter_select_rank(double *rank, const AdapterSelect *select, const char *module, double fallback);
limn_status adapter_select_alpha(double *alpha, const AdapterSelect *select, const char *module, double fallback);

#endif
