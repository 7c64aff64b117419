/* Attention flow (Abnar and Zuidema 2005.00928): layers of nodes, an edge from row i to row j of the layer below with
 * the capacity M_l[i, j] of the plain rollout; score_t is the maximum flow from the answer's row behind the last layer
 * to token t. Exact, by Dinic's algorithm on the dense layers.
 *
 * Each flow comes with the cut that bounds it: where the search ends, the edges that leave what it reached are full,
 * and their capacities add up to the flow (checked). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/integers.h"
#include "method/attention/rollout.h"

static const double least = 1e-12; /* what is left of a capacity counts as nothing */

/* Node (level, i) is level * n + i; level 0 are the tokens, level L the rows behind the last layer. */
typedef struct Flow {
    Rollout *rollout;
    double *capacity; /* [L, n, n] from (l + 1, i) to (l, j) */
    double *left;     /* [L, n, n] of it, for the sink at hand */
    int32_t n, n_layers;
    int32_t *depth, *queue; /* [(L + 1) n] */
    int32_t *next;          /* [(L + 1) n] which neighbour is tried next */
} Flow;

static double *edge(const Flow *flow, double *values, int32_t level, int32_t i, int32_t j) {
    return values + ((int64_t)(level - 1) * flow->n + i) * flow->n + j;
}

/* What can still go from a node to its neighbour k: below for k < n, above for the others, against what came down. */
static double room(const Flow *flow, int32_t node, int32_t k, int32_t *to) {
    int32_t n = flow->n, level = node / n, i = node % n;
    if (k < n) {
        *to = (level - 1) * n + k;
        return level > 0 ? *edge(flow, flow->left, level, i, k) : 0.0;
    }
    *to = (level + 1) * n + k - n;
    return level < flow->n_layers
               ? *edge(flow, flow->capacity, level + 1, k - n, i) - *edge(flow, flow->left, level + 1, k - n, i)
               : 0.0;
}

static void push(const Flow *flow, int32_t node, int32_t k, double amount) {
    int32_t n = flow->n, level = node / n, i = node % n;
    if (k < n) {
        *edge(flow, flow->left, level, i, k) -= amount;
    } else {
        *edge(flow, flow->left, level + 1, k - n, i) += amount;
    }
}

/* Depths from the source along edges with room; whether the sink is reached. */
static bool search(Flow *flow, int32_t source, int32_t sink) {
    int32_t nodes = (flow->n_layers + 1) * flow->n, head = 0, tail = 0;
    for (int32_t i = 0; i < nodes; i++) {
        flow->depth[i] = -1;
        flow->next[i] = 0;
    }
    flow->depth[source] = 0;
    flow->queue[tail++] = source;
    while (head < tail) {
        int32_t node = flow->queue[head++];
        for (int32_t k = 0; k < 2 * flow->n; k++) {
            int32_t to;
            if (room(flow, node, k, &to) > least && flow->depth[to] < 0) {
                flow->depth[to] = flow->depth[node] + 1;
                flow->queue[tail++] = to;
            }
        }
    }
    return flow->depth[sink] >= 0;
}

/* One path of the depths just found, pushed full; 0: there is none left. path: [(L + 1) n] */
static double augment(Flow *flow, int32_t source, int32_t sink, int32_t *path) {
    int32_t length = 0, node = source;
    while (node != sink) {
        bool went = false;
        for (int32_t *k = &flow->next[node]; *k < 2 * flow->n && !went; *k += went ? 0 : 1) {
            int32_t to;
            if (room(flow, node, *k, &to) > least && flow->depth[to] == flow->depth[node] + 1) {
                path[length++] = node;
                node = to;
                went = true;
            }
        }
        if (!went && length == 0) {
            return 0.0;
        }
        if (!went) {
            node = path[--length];
            flow->next[node]++;
        }
    }
    double amount = INFINITY;
    for (int32_t i = 0; i < length; i++) {
        int32_t to;
        amount = fmin(amount, room(flow, path[i], flow->next[path[i]], &to));
    }
    for (int32_t i = 0; i < length; i++) {
        push(flow, path[i], flow->next[path[i]], amount);
    }
    return amount;
}

/* Capacities of the edges that leave what the last search reached. */
static double cut_of(const Flow *flow) {
    double sum = 0.0;
    for (int32_t level = 1; level <= flow->n_layers; level++) {
        for (int32_t i = 0; i < flow->n; i++) {
            for (int32_t j = 0; j < flow->n && flow->depth[level * flow->n + i] >= 0; j++) {
                bool leaves = flow->depth[(level - 1) * flow->n + j] < 0;
                sum += leaves ? *edge(flow, flow->capacity, level, i, j) : 0.0;
            }
        }
    }
    return sum;
}

static double maximum_flow(Flow *flow, int32_t source, int32_t sink, int32_t *path, double *cut) {
    size_t edges = (size_t)flow->n_layers * (size_t)flow->n * (size_t)flow->n;
    double total = 0.0;
    memcpy(flow->left, flow->capacity, edges * sizeof *flow->left);
    while (search(flow, source, sink)) {
        double more = augment(flow, source, sink, path);
        while (more > 0.0) {
            total += more;
            more = augment(flow, source, sink, path);
        }
    }
    *cut = cut_of(flow);
    return total;
}

static limn_status fill_capacities(Flow *flow) {
    Rollout *rollout = flow->rollout;
    size_t cells = (size_t)flow->n * (size_t)flow->n;
    for (int32_t layer = 0; layer < flow->n_layers; layer++) {
        TRY(progress_tick(rollout->call->progress, "layers", layer, flow->n_layers));
        TRY(rollout_mix_plain(rollout, layer));
        memcpy(flow->capacity + (size_t)layer * cells, rollout->mixing, cells * sizeof *flow->capacity);
    }
    return LIMN_OK;
}

static limn_status run_flows(Flow *flow) {
    Rollout *rollout = flow->rollout;
    int32_t nodes = (flow->n_layers + 1) * flow->n;
    int32_t *path = ARENA_ARRAY(rollout->call->arena, int32_t, nodes + 1);
    if (path == NULL) {
        return method_no_memory(rollout->call);
    }
    TRY(fill_capacities(flow));
    for (int32_t r = 0; r < rollout->n_rows; r++) {
        int32_t row = rollout->rows[r];
        for (int32_t t = 0; t < flow->n; t++) {
            double cut;
            TRY(progress_tick(rollout->call->progress, "flows", r * flow->n + t, rollout->n_rows * flow->n));
            double found = maximum_flow(flow, flow->n_layers * flow->n + row, t, path, &cut);
            rollout->matrix[(int64_t)row * flow->n + t] = found;
            rollout->cut_gap = fmax(rollout->cut_gap, fabs(found - cut));
        }
    }
    rollout_read_answer(rollout);
    return LIMN_OK;
}

limn_status rollout_flow(Rollout *rollout) {
    Flow flow = {.rollout = rollout, .n = rollout->n, .n_layers = rollout->layers.n_layers};
    size_t edges = (size_t)flow.n_layers * (size_t)flow.n * (size_t)flow.n;
    size_t nodes = (size_t)(flow.n_layers + 1) * (size_t)flow.n;
    flow.capacity = malloc((edges + 1) * sizeof *flow.capacity);
    flow.left = malloc((edges + 1) * sizeof *flow.left);
    flow.depth = malloc((nodes + 1) * sizeof *flow.depth);
    flow.queue = malloc((nodes + 1) * sizeof *flow.queue);
    flow.next = malloc((nodes + 1) * sizeof *flow.next);
    bool made =
        flow.capacity != NULL && flow.left != NULL && flow.depth != NULL && flow.queue != NULL && flow.next != NULL;
    limn_status status = made ? run_flows(&flow) : method_no_memory(rollout->call);
    free(flow.capacity);
    free(flow.left);
    free(flow.depth);
    free(flow.queue);
    free(flow.next);
    return status;
}
