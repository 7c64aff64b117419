#include "measure/direct.h"

#include <stdio.h>

static const char *const read_sites[] = {"attn.hook_q",
                                         "attn.hook_k",
                                         "attn.hook_v",
                                         "mlp.hook_pre",
                                         "mlp.hook_pre_linear",
                                         "mlp.hook_router_logits",
                                         "mlp.experts.hook_pre",
                                         "mlp.experts.hook_pre_linear",
                                         "mlp.shared_expert.hook_gate",
                                         "mlp.shared_expert.hook_pre",
                                         "mlp.shared_expert.hook_pre_linear"};
enum { READ_SITES = sizeof read_sites / sizeof read_sites[0] };

limn_status direct_stops(Edit **edits, int32_t *n, MethodCall *call, const Model *model) {
    int32_t n_layers = model->config.n_layers;
    *edits = ARENA_ARRAY(call->arena, Edit, READ_SITES * n_layers + 1);
    *n = 0;
    if (*edits == NULL) {
        return method_no_memory(call);
    }
    for (int32_t layer = 0; layer < n_layers; layer++) {
        for (int k = 0; k < READ_SITES; k++) {
            char site[96];
            snprintf(site, sizeof site, "blocks.%d.%s", (int)layer, read_sites[k]);
            NodeId node = graph_find_site(&model->graph, site);
            if (node != NODE_NONE) {
                (*edits)[(*n)++] =
                    (Edit){.node = node, .kind = EDIT_STOP, .sequence = -1, .row_end = -1, .element_end = -1};
            }
        }
    }
    return LIMN_OK;
}

NodeId direct_logits(const Model *model) {
    const GraphNode *logits = &model->graph.nodes[model->graph.logits];
    return logits->op.kind == OP_SOFTCAP ? logits->inputs[0] : model->graph.logits;
}
