/* Generation, for the methods that do nothing else. */
#ifndef LIMN_METHOD_GENERATION_GENERATE_H
#define LIMN_METHOD_GENERATION_GENERATE_H

#include "ask/prompt.h"

typedef struct GenerateParams {
    Text model;
    PromptParams prompt;
    int64_t max_tokens;
    double temperature;
    double top_p;
    ParamTexts stop;
    ParamTexts set;
} GenerateParams;

/* A method's run function; its params are a GenerateParams. */
limn_status generate_run(MethodCall *call, Result *result);

#endif
