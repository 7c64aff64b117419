/* Models and sessions a context has opened: one of each for each path and set of options. */
#ifndef LIMN_CALL_OPEN_H
#define LIMN_CALL_OPEN_H

#include "call/method.h"

limn_status model_cache_new(ModelCache **cache);
void model_cache_free(ModelCache *cache);
/* The call has ended: what it held is for others again. Of sessions that answer the same, one is kept. */
void model_cache_release(ModelCache *cache, const MethodCall *call);

/* The session options that the common options mean. */
SessionOptions session_options_of(const CommonOptions *common);

#endif
