#include "method/attention/layers.h"

#include <stdio.h>

NodeId layer_node(const Model *model, int32_t layer, const char *name) {
    char site[96];
    snprintf(site, sizeof site, "blocks.%d.%s", (int)layer, name);
    return graph_find_site(&model->graph, site);
}

limn_status pattern_nodes(NodeId **nodes, MethodCall *call, const Model *model) {
    int32_t n_layers = model->config.n_layers;
    *nodes = ARENA_ARRAY(call->arena, NodeId, n_layers + 1);
    if (*nodes == NULL) {
        return method_no_memory(call);
    }
    for (int32_t layer = 0; layer < n_layers; layer++) {
        (*nodes)[layer] = layer_node(model, layer, "attn.hook_pattern");
        if ((*nodes)[layer] == NODE_NONE) {
            return fail(LIMN_USAGE, "%s (%s): layer %d has no attention pattern, which %s is about", model->path,
                        model->config.architecture, (int)layer, call->method->command.name);
        }
    }
    return LIMN_OK;
}

limn_status layers_open(Layers *layers, MethodCall *call, Engine *engine, const SequenceInput *sequence) {
    const Model *model = engine_model(engine);
    *layers = (Layers){.call = call,
                       .engine = engine,
                       .model = model,
                       .n_layers = model->config.n_layers,
                       .n_heads = model->config.n_heads,
                       .n = sequence->n};
    TRY(pattern_nodes(&layers->patterns, call, model));
    return clean_run_new(&layers->clean, engine, sequence, NULL, call->progress);
}

void layers_close(Layers *layers) {
    clean_run_free(layers->clean);
    layers->clean = NULL;
}

limn_status layers_tap(Layers *layers, const NodeId *nodes, int32_t n_nodes) {
    NodeId first = nodes[0];
    for (int32_t i = 1; i < n_nodes; i++) {
        first = nodes[i] < first ? nodes[i] : first;
    }
    SequenceInput sequence = clean_run_sequence(layers->clean, clean_run_join(layers->clean, first), 0, layers->n);
    RunRequest request = {.sequences = &sequence, .n_sequences = 1, .taps = nodes, .n_taps = n_nodes};
    return engine_run(layers->engine, &request, layers->call->progress);
}

limn_status layers_pattern(Layers *layers, int32_t layer, const float **pattern) {
    NodeId node = layers->patterns[layer];
    int32_t rows;
    int64_t width;
    TRY(layers_tap(layers, &node, 1));
    *pattern = engine_tap(layers->engine, node, &rows, &width);
    if (*pattern == NULL || rows != layers->n || width != (int64_t)layers->n_heads * layers->n) {
        return fail(LIMN_INTERNAL, "layer %d has a pattern of %d rows, expected %d", (int)layer, (int)rows,
                    (int)layers->n);
    }
    return LIMN_OK;
}
