#include "graph/graph.h"

#include <stdlib.h>
#include <string.h>

#include "graph/shapes.h"

void graph_init(Graph *graph, int n_layers) {
    *graph = (Graph){.n_layers = n_layers,
                     .embed = NODE_NONE,
                     .final = NODE_NONE,
                     .selected = NODE_NONE,
                     .logits = NODE_NONE,
                     .log_prob = NODE_NONE,
                     .pick = NODE_NONE};
    arena_init(&graph->arena);
    map_init(&graph->sites);
}

void graph_free(Graph *graph) {
    free(graph->nodes);
    free(graph->site_list);
    map_free(&graph->sites);
    arena_free(&graph->arena);
    graph_init(graph, 0);
}

limn_status graph_share(Graph *copy, const Graph *graph) {
    *copy = *graph;
    arena_init(&copy->arena);
    map_init(&copy->sites);
    copy->capacity = graph->n_nodes;
    copy->site_capacity = graph->n_sites;
    copy->nodes = malloc(((size_t)graph->n_nodes + 1) * sizeof *copy->nodes);
    copy->site_list = malloc(((size_t)graph->n_sites + 1) * sizeof *copy->site_list);
    limn_status status = LIMN_OK;
    if (copy->nodes == NULL || copy->site_list == NULL) {
        status = fail(LIMN_NO_MEMORY, "graph of %d nodes", graph->n_nodes);
    } else {
        for (int32_t i = 0; i < graph->n_nodes; i++) {
            copy->nodes[i] = graph->nodes[i];
        }
        for (int32_t i = 0; i < graph->n_sites; i++) {
            copy->site_list[i] = graph->site_list[i];
        }
    }
    for (int32_t i = 0; i < graph->n_sites && status == LIMN_OK; i++) {
        const char *name = graph->site_list[i].name;
        status = map_put(&copy->sites, name, strlen(name), (uint64_t)graph->site_list[i].node);
    }
    if (status != LIMN_OK) {
        graph_free(copy);
    }
    return status;
}

/* Keeps the first failure; later ones follow from it. */
static NodeId remember_failure(Graph *graph, limn_status status) {
    if (graph->status == LIMN_OK) {
        graph->status = status;
        error_save(&graph->error);
    }
    return NODE_NONE;
}

limn_status graph_reserve_node(Graph *graph) {
    if (graph->n_nodes == graph->capacity) {
        int32_t capacity = graph->capacity == 0 ? 256 : graph->capacity * 2;
        GraphNode *nodes = realloc(graph->nodes, (size_t)capacity * sizeof *nodes);
        if (nodes == NULL) {
            return fail(LIMN_NO_MEMORY, "graph of %d nodes", capacity);
        }
        graph->nodes = nodes;
        graph->capacity = capacity;
    }
    return LIMN_OK;
}

static GraphNode *append(Graph *graph) {
    limn_status status = graph_reserve_node(graph);
    if (status != LIMN_OK) {
        remember_failure(graph, status);
        return NULL;
    }
    GraphNode *node = &graph->nodes[graph->n_nodes];
    *node = (GraphNode){.inputs = {NODE_NONE, NODE_NONE, NODE_NONE}};
    return node;
}

NodeId graph_add(Graph *graph, OpKind kind, int layer, const NodeId *inputs, const Weight *weights,
                 const OpAttributes *attributes, const char *what) {
    if (graph->status != LIMN_OK) {
        return NODE_NONE;
    }
    if (graph->sealed) {
        return remember_failure(graph, fail(LIMN_INTERNAL, "%s: the graph is sealed", what));
    }
    GraphNode *node = append(graph);
    if (node == NULL) {
        return NODE_NONE;
    }
    node->op.kind = kind;
    node->op.layer = layer;
    if (attributes != NULL) {
        node->op.attributes = *attributes;
    }
    const OpInfo *info = op_info(kind);
    for (int i = 0; i < info->n_inputs; i++) {
        if (inputs[i] < 0 || inputs[i] >= graph->n_nodes) {
            return remember_failure(graph, fail(LIMN_INTERNAL, "%s: input %d is not a node", what, i));
        }
        node->inputs[i] = inputs[i];
        node->op.in[i] = graph->nodes[inputs[i]].op.out;
    }
    for (int i = 0; i < info->n_weights && weights != NULL; i++) {
        node->op.weights[i] = weights[i];
    }
    limn_status status = op_infer_shape(&node->op, what);
    if (status != LIMN_OK) {
        return remember_failure(graph, status);
    }
    return graph->n_nodes++;
}

NodeId graph_reshape(Graph *graph, NodeId node, int n_dims, int64_t dim0, int64_t dim1) {
    if (graph->status != LIMN_OK || node == NODE_NONE) {
        return node;
    }
    RowShape shape = {n_dims, {dim0, n_dims == 2 ? dim1 : 1}};
    RowShape *out = &graph->nodes[node].op.out;
    if (row_shape_width(&shape, 1) != row_shape_width(out, 1) || node != graph->n_nodes - 1) {
        return remember_failure(graph, fail(LIMN_INTERNAL, "cannot read %lld values a row as %lld x %lld",
                                            (long long)row_shape_width(out, 1), (long long)dim0, (long long)dim1));
    }
    *out = shape;
    return node;
}

static limn_status list_site(Graph *graph, const char *site, NodeId node) {
    if (graph->n_sites == graph->site_capacity) {
        int32_t capacity = graph->site_capacity == 0 ? 256 : graph->site_capacity * 2;
        GraphSite *list = realloc(graph->site_list, (size_t)capacity * sizeof *list);
        if (list == NULL) {
            return fail(LIMN_NO_MEMORY, "list of %d sites", capacity);
        }
        graph->site_list = list;
        graph->site_capacity = capacity;
    }
    graph->site_list[graph->n_sites++] = (GraphSite){site, node};
    return map_put(&graph->sites, site, strlen(site), (uint64_t)node);
}

NodeId graph_site(Graph *graph, NodeId node, const char *name, int layer) {
    if (graph->status != LIMN_OK || node == NODE_NONE) {
        return node;
    }
    char *site =
        layer >= 0 ? arena_printf(&graph->arena, "blocks.%d.%s", layer, name) : arena_strdup(&graph->arena, name);
    if (site == NULL) {
        return remember_failure(graph, fail(LIMN_NO_MEMORY, "site %s", name));
    }
    if (graph_find_site(graph, site) != NODE_NONE) {
        return remember_failure(graph, fail(LIMN_INTERNAL, "two values are named %s", site));
    }
    limn_status status = list_site(graph, site, node);
    if (status != LIMN_OK) {
        return remember_failure(graph, status);
    }
    if (graph->nodes[node].site == NULL) {
        graph->nodes[node].site = site;
    }
    return node;
}

limn_status graph_seal(Graph *graph) {
    if (graph->status != LIMN_OK) {
        return error_restore(&graph->error);
    }
    graph->sealed = true;
    return LIMN_OK;
}

NodeId graph_find_site(const Graph *graph, const char *site) {
    uint64_t node;
    return map_get(&graph->sites, site, strlen(site), &node) ? (NodeId)node : NODE_NONE;
}
