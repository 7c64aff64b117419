#include "graph/rewrite.h"

#include <stdlib.h>
#include <string.h>

static void move(NodeId *node, const NodeId *moved) {
    if (*node != NODE_NONE) {
        *node = moved[*node];
    }
}

/* Appends a copy whose inputs are where they are now. */
static limn_status copy_node(Graph *graph, const GraphNode *old, const NodeId *moved, NodeId *node) {
    TRY(graph_reserve_node(graph));
    *node = graph->n_nodes++;
    GraphNode *copy = &graph->nodes[*node];
    *copy = *old;
    copy->site = NULL;
    for (int i = 0; i < OP_MAX_INPUTS; i++) {
        move(&copy->inputs[i], moved);
    }
    return LIMN_OK;
}

static limn_status copy_all(Graph *graph, const GraphNode *old, int32_t n_old, NodeId *moved, GraphVisit visit,
                            void *context) {
    for (int32_t i = 0; i < n_old; i++) {
        NodeId node;
        TRY(copy_node(graph, &old[i], moved, &node));
        NodeId copy = node;
        TRY(visit(context, graph, &node, old[i].site));
        for (NodeId added = copy + 1; added < graph->n_nodes; added++) {
            graph->nodes[added].added = true;
        }
        if (graph->status != LIMN_OK) {
            return error_restore(&graph->error);
        }
        moved[i] = node;
        if (graph->nodes[node].site == NULL) {
            graph->nodes[node].site = old[i].site;
        }
    }
    return LIMN_OK;
}

static limn_status move_names(Graph *graph, const NodeId *moved, int32_t n_sites) {
    for (int32_t i = 0; i < n_sites; i++) {
        GraphSite *site = &graph->site_list[i];
        move(&site->node, moved);
        TRY(map_put(&graph->sites, site->name, strlen(site->name), (uint64_t)site->node));
    }
    NodeId *outputs[] = {&graph->embed,  &graph->final,    &graph->selected,
                         &graph->logits, &graph->log_prob, &graph->pick};
    for (size_t i = 0; i < sizeof outputs / sizeof outputs[0]; i++) {
        move(outputs[i], moved);
    }
    return LIMN_OK;
}

limn_status graph_rewrite(Graph *graph, GraphVisit visit, void *context) {
    if (graph->status != LIMN_OK) {
        return error_restore(&graph->error);
    }
    GraphNode *old = graph->nodes;
    int32_t n_old = graph->n_nodes, n_sites = graph->n_sites;
    NodeId *moved = malloc(((size_t)n_old + 1) * sizeof *moved);
    GraphNode *nodes = malloc(((size_t)n_old * 2 + 1) * sizeof *nodes);
    if (moved == NULL || nodes == NULL) {
        free(moved);
        free(nodes);
        return fail(LIMN_NO_MEMORY, "graph of %d nodes", n_old);
    }
    graph->nodes = nodes;
    graph->n_nodes = 0;
    graph->capacity = n_old * 2 + 1;
    limn_status status = copy_all(graph, old, n_old, moved, visit, context);
    if (status == LIMN_OK) {
        status = move_names(graph, moved, n_sites);
    }
    free(moved);
    free(old);
    return status;
}
