/* A sequence's values layer by layer: one clean run, then of each layer only what is asked, so that the patterns of all
 * layers never lie in memory together. */
#ifndef LIMN_METHOD_ATTENTION_LAYERS_H
#define LIMN_METHOD_ATTENTION_LAYERS_H

#include "call/method.h"
#include "run/clean_run.h"

typedef struct Layers {
    MethodCall *call;
    Engine *engine;
    const Model *model;
    CleanRun *clean;
    NodeId *patterns; /* [n_layers] each layer's attn.hook_pattern */
    int32_t n_layers, n_heads;
    int32_t n; /* rows */
} Layers;

/* Refuses a model without attention patterns. Freed by layers_close, after a failure too. */
limn_status layers_open(Layers *layers, MethodCall *call, Engine *engine, const SequenceInput *sequence);
void layers_close(Layers *layers);

/* blocks.{layer}.{name}, NODE_NONE where the family has none. */
NodeId layer_node(const Model *model, int32_t layer, const char *name);

/* Runs what these sites need; engine_tap has their values until the engine's next run. */
limn_status layers_tap(Layers *layers, const NodeId *nodes, int32_t n_nodes);
/* Cell [row, head, key] of a layer's pattern is pattern[(row * H + head) * n + key]. */
limn_status layers_pattern(Layers *layers, int32_t layer, const float **pattern);

/* The pattern's nodes of all layers, in the call's arena. */
limn_status pattern_nodes(NodeId **nodes, MethodCall *call, const Model *model);

#endif
