/* One call: a method's name and its parameters as JSON to a whole result. */
#ifndef LIMN_CALL_CALL_H
#define LIMN_CALL_CALL_H

#include "call/registry.h"

typedef struct CallListeners {
    Progress progress; /* tick may be NULL */
    void (*text)(void *context, const char *bytes, size_t length);
    void *text_context;
    /* Blocks that are finished, each as JSON, in the order of the document. */
    void (*block)(void *context, const char *json, size_t length);
    void *block_context;
    void (*remark)(void *context, const char *line); /* not cleaned of what a model wrote */
    void *remark_context;
} CallListeners;

/* Fills parameters, runs the method, adds model, provenance and measurements. *result is the caller's. */
limn_status method_call(Result **result, const Registry *registry, ModelCache *models, const char *command,
                        const json_t *params, const CallListeners *listeners);

#endif
