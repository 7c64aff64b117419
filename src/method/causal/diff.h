/* What `limn diff` compares: two models of one architecture, or a model and itself with adapters. */
#ifndef LIMN_METHOD_CAUSAL_DIFF_H
#define LIMN_METHOD_CAUSAL_DIFF_H

#include "ask/data_source.h"
#include "ask/target.h"

typedef struct DiffParams {
    Text model;
    Text other;
    PromptParams prompt;
    DataParams data; /* its chat options are the prompt's */
    Text target;
    Text contrast;
    bool heads;
    bool no_spectrum;
    int64_t top_k;
} DiffParams;

typedef struct Diff {
    MethodCall *call;
    const DiffParams *params;
    Result *result;
    Session *base, *tuned;
    const Model *before, *after; /* their models */
    bool adapted;                /* after is before with adapters */
} Diff;

/* Norms and spectra of what differs: matrices over layers and components, heads, a table of modules. *most: the
 * component that changed most, in the arena, NULL when nothing differs. */
limn_status diff_weights(const Diff *diff, const char **most);

/* Effects on the target of patching single components. *most as above, NULL without prompts. */
limn_status diff_effects(const Diff *diff, const char **most);

#endif
