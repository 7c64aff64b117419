/* What `limn diff` compares: two models of one architecture, each with adapters of its own or without; or a model and
 * itself with adapters. */
#ifndef LIMN_METHOD_CAUSAL_DIFF_H
#define LIMN_METHOD_CAUSAL_DIFF_H

#include "ask/data_source.h"
#include "ask/target.h"

typedef struct DiffParams {
    Text model;
    Text other;
    ParamTexts other_adapters; /* as typed */
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
    Engine *base, *tuned;
    const Model *before, *after; /* their models */
    bool one_base;               /* both are the same model but for their adapters */
} Diff;

/* Where the two graphs go side by side: what adapters add is passed over. */
NodeId diff_next_node(const Graph *graph, NodeId node); /* -1: the first; n_nodes: no more */
/* A node's weight; name NULL: none. The bias of a node that DoRA scales stands behind the scaling. */
const Weight *diff_weight_of(const Graph *graph, NodeId node, int slot);

/* Norms and spectra of what differs: matrices over layers and components, heads, a table of modules. *most: the
 * component that changed most, in the arena, NULL when nothing differs. */
limn_status diff_weights(const Diff *diff, const char **most);

/* Effects on the target of patching single components. *most as above, NULL without prompts. */
limn_status diff_effects(const Diff *diff, const char **most);

#endif
