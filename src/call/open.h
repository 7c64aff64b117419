/* Models and engines a context has opened: one of each for each path and set of options. */
#ifndef LIMN_CALL_OPEN_H
#define LIMN_CALL_OPEN_H

#include "call/method.h"

limn_status model_cache_new(ModelCache **cache);
void model_cache_free(ModelCache *cache);
/* The call has ended: what it held is for others again. Of engines that answer the same, one is kept. */
void model_cache_release(ModelCache *cache, const MethodCall *call);

/* The engine options that the common options mean. */
EngineOptions engine_options_of(const CommonOptions *common);

#endif
