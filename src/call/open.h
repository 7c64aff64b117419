/* Models and sessions a context has opened: one of each for each path and set of options. */
#ifndef LIMN_CALL_OPEN_H
#define LIMN_CALL_OPEN_H

#include "call/method.h"

limn_status model_cache_new(ModelCache **cache);
void model_cache_free(ModelCache *cache);

/* The session options that the common options mean. */
SessionOptions session_options_of(const CommonOptions *common);

#endif
