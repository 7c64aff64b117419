#include "run/joins.h"

#include <stdio.h>
#include <stdlib.h>

limn_status joins_find(NodeId **nodes, const Model *model) {
    int32_t n = join_places(model);
    NodeId *found = malloc((size_t)n * sizeof *found);
    if (found == NULL) {
        return fail(LIMN_NO_MEMORY, "streams of %d layers", model->config.n_layers);
    }
    for (int32_t place = 0; place < n; place++) {
        char site[64];
        bool last = place == n - 1, middle = place % 2 == 1;
        snprintf(site, sizeof site, "blocks.%d.%s", last ? place / 2 - 1 : place / 2,
                 last     ? "hook_resid_post"
                 : middle ? "hook_resid_mid"
                          : "hook_resid_pre");
        found[place] = graph_find_site(&model->graph, site);
    }
    *nodes = found;
    return LIMN_OK;
}

int32_t joins_before(const NodeId *nodes, int32_t n_places, NodeId node) {
    for (int32_t place = n_places - 1; place >= 0; place--) {
        if (nodes[place] != NODE_NONE && nodes[place] <= node) {
            return place;
        }
    }
    return -1;
}
