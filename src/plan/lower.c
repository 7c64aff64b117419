/* From the graph to the nodes that will run: only what the question needs, fused, on as few rows as it takes. */
#include "plan/lower.h"

#include <string.h>

static bool listed(const NodeId *list, int32_t n, NodeId node) {
    for (int32_t i = 0; i < n; i++) {
        if (list[i] == node) {
            return true;
        }
    }
    return false;
}

/* Is its keys' or values' place in the cache asked for? */
static bool appends(const Question *question, const GraphNode *node) {
    return question->append && (node->op.kind == OP_ATTENTION_SCORES || node->op.kind == OP_ATTENTION_MIX);
}

/* The site that an edited one may become a copy of. */
static NodeId copied_by(const Question *question, NodeId node) {
    for (int32_t i = 0; i < question->n_edits && question->copies != NULL; i++) {
        if (question->edits[i] == node) {
            return question->copies[i];
        }
    }
    return NODE_NONE;
}

/* Which graph nodes the question reads, directly or through others; not through values that are given. A run that
 * begins at a given value adds to the caches what it computes anyway. */
static bool *find_needed(const Plan *plan) {
    const Graph *graph = plan->graph;
    const Question *question = plan->question;
    bool *needed = ARENA_ARRAY(plan->arena, bool, graph->n_nodes);
    if (needed == NULL) {
        return NULL;
    }
    for (int32_t i = 0; i < graph->n_nodes; i++) {
        const GraphNode *node = &graph->nodes[i];
        bool kept = appends(question, node) && question->n_givens == 0;
        needed[i] = kept || (question->objective == i) || (question->logits && graph->logits == i) ||
                    listed(question->taps, question->n_taps, i) || listed(question->grads, question->n_grads, i) ||
                    listed(question->streams, question->n_streams, i) || listed(question->seeds, question->n_seeds, i);
    }
    for (int32_t i = graph->n_nodes - 1; i >= 0; i--) {
        bool computed = needed[i] && !listed(question->givens, question->n_givens, i);
        NodeId copied = copied_by(question, i);
        for (int k = 0; computed && k < OP_MAX_INPUTS; k++) {
            if (graph->nodes[i].inputs[k] != NODE_NONE) {
                needed[graph->nodes[i].inputs[k]] = true;
            }
        }
        if (needed[i] && copied != NODE_NONE) {
            needed[copied] = true;
        }
    }
    return needed;
}

static PlanNode plan_node(const Plan *plan, NodeId id) {
    const Question *question = plan->question;
    const GraphNode *node = &plan->graph->nodes[id];
    PlanNode out = {.op = node->op, .node = id};
    NodeId copied = copied_by(question, id);
    out.tapped = listed(question->taps, question->n_taps, id);
    out.edited = listed(question->edits, question->n_edits, id);
    out.wants_grad = listed(question->grads, question->n_grads, id);
    out.streams = listed(question->streams, question->n_streams, id);
    out.given = listed(question->givens, question->n_givens, id);
    out.joined = listed(question->joins, question->n_joins, id);
    out.observed = out.tapped || out.edited || out.wants_grad || out.streams || out.given || out.joined;
    out.append = appends(question, node) && !out.given;
    for (int k = 0; k < OP_MAX_INPUTS; k++) {
        out.inputs[k] = out.given || node->inputs[k] == NODE_NONE ? -1 : plan->index_of[node->inputs[k]];
    }
    out.inputs[COPY_INPUT] = copied == NODE_NONE ? -1 : plan->index_of[copied];
    return out;
}

/* The functions that read a site come right behind it, so that a chunk of its rows is judged while it is at hand. */
static void add_seeds(Plan *plan, NodeId id, int32_t *uses) {
    const Question *question = plan->question;
    for (int32_t s = 0; s < question->n_seeds; s++) {
        if (question->seeds[s] == id) {
            PlanNode seed = {.op = {.kind = OP_SEED, .layer = plan->graph->nodes[id].op.layer, .out = {1, {1, 1}}},
                             .node = id,
                             .seed = s,
                             .inputs = {plan->index_of[id], -1, -1, -1}};
            seed.op.in[0] = plan->graph->nodes[id].op.out;
            plan->seeds[s] = plan->n_nodes;
            plan->nodes[plan->n_nodes++] = seed;
            uses[id]++;
        }
    }
}

/* Copies needed nodes; counts the readers of each. */
static limn_status copy_needed(Plan *plan, int32_t **uses) {
    const Graph *graph = plan->graph;
    bool *needed = find_needed(plan);
    *uses = ARENA_ARRAY(plan->arena, int32_t, graph->n_nodes);
    plan->index_of = ARENA_ARRAY(plan->arena, int32_t, graph->n_nodes);
    plan->nodes = ARENA_ARRAY(plan->arena, PlanNode, graph->n_nodes + plan->question->n_seeds);
    plan->seeds = ARENA_ARRAY(plan->arena, int32_t, plan->question->n_seeds + 1);
    if (needed == NULL || *uses == NULL || plan->index_of == NULL || plan->nodes == NULL || plan->seeds == NULL) {
        return fail(LIMN_NO_MEMORY, "plan of %d nodes", graph->n_nodes);
    }
    for (int32_t i = 0; i < graph->n_nodes; i++) {
        plan->index_of[i] = -1;
        if (!needed[i]) {
            continue;
        }
        plan->nodes[plan->n_nodes] = plan_node(plan, i);
        for (int k = 0; k < OP_MAX_INPUTS; k++) {
            if (plan->nodes[plan->n_nodes].inputs[k] >= 0) {
                (*uses)[graph->nodes[i].inputs[k]]++;
            }
        }
        NodeId copied = copied_by(plan->question, i);
        if (copied != NODE_NONE) {
            (*uses)[copied]++;
        }
        plan->index_of[i] = plan->n_nodes++;
        add_seeds(plan, i, *uses);
    }
    return LIMN_OK;
}

/* A product with a constant is linear in its other factor. */
static void set_rules(Plan *plan) {
    for (int32_t i = 0; i < plan->n_nodes; i++) {
        PlanNode *node = &plan->nodes[i];
        node->rule = gradient_rule(plan->question->rules, node->op.kind);
        for (int k = 0; k < 2 && node->rule == GRADIENT_HALF; k++) {
            if (plan->nodes[node->inputs[k]].rule == GRADIENT_STOP) {
                node->rule = GRADIENT_TRUE;
            }
        }
    }
}

/* Forgets nodes that fusion left without a reader. */
static limn_status drop_unread(Plan *plan) {
    bool *read = ARENA_ARRAY(plan->arena, bool, plan->n_nodes + 1);
    int32_t *moved = ARENA_ARRAY(plan->arena, int32_t, plan->n_nodes + 1);
    if (read == NULL || moved == NULL) {
        return fail(LIMN_NO_MEMORY, "plan of %d nodes", plan->n_nodes);
    }
    const Question *question = plan->question;
    for (int32_t i = plan->n_nodes - 1; i >= 0; i--) {
        const PlanNode *node = &plan->nodes[i];
        bool root = node->tapped || node->wants_grad || node->streams || node->append || plan_is_objective(plan, i) ||
                    (question->logits && node->node == plan->graph->logits);
        read[i] = read[i] || root;
        for (int k = 0; read[i] && k < PLAN_INPUTS; k++) {
            if (node->inputs[k] >= 0) {
                read[node->inputs[k]] = true;
            }
        }
    }
    int32_t kept = 0;
    for (int32_t i = 0; i < plan->n_nodes; i++) {
        moved[i] = read[i] ? kept : -1;
        plan_place(plan, &plan->nodes[i], moved[i]);
        if (!read[i]) {
            continue;
        }
        PlanNode node = plan->nodes[i];
        for (int k = 0; k < PLAN_INPUTS; k++) {
            node.inputs[k] = node.inputs[k] < 0 ? -1 : moved[node.inputs[k]];
        }
        plan->nodes[kept++] = node;
    }
    plan->n_nodes = kept;
    return LIMN_OK;
}

/* Layers in order. What follows the last block belongs to it: its backward pass comes at once, so nothing of it
 * need ever be computed again. */
static void assign_segments(Plan *plan) {
    int segment = 0;
    for (int32_t i = 0; i < plan->n_nodes; i++) {
        int layer = plan->nodes[i].op.layer;
        if (layer >= segment) {
            segment = layer + 1;
        }
        plan->nodes[i].segment = segment;
    }
}

/* Joins before a graph node. */
static int32_t joins_before(const Question *question, NodeId node) {
    int32_t n = 0;
    while (n < question->n_joins && question->joins[n] < node) {
        n++;
    }
    return n;
}

/* What a reader behind a join reads of before it must be there for the rows that join: of values made of tokens alone
 * more rows are computed; of others there is no way. */
static limn_status reach_stage(const Plan *plan, PlanNode *node, const PlanNode *reader) {
    if (node_value_stage(node) >= reader->stage) {
        return LIMN_OK;
    }
    if (node->joined) {
        const char *reads = plan->graph->nodes[reader->node].site, *past = plan->graph->nodes[node->node].site;
        return fail(LIMN_UNSUPPORTED, "no row can join between %s and %s, which reads it",
                    past == NULL ? "a value" : past, reads == NULL ? "a later value" : reads);
    }
    node->stage = reader->stage;
    return LIMN_OK;
}

/* Which rows each node works on. */
static limn_status assign_stages(Plan *plan) {
    const Question *question = plan->question;
    for (int32_t i = 0; i < plan->n_nodes; i++) {
        PlanNode *node = &plan->nodes[i];
        /* of the value of its node: joins there are before it */
        bool behind = node->op.kind == OP_SELECT_ROWS || node->op.kind == OP_SEED;
        node->joined = node->joined && !behind;
        node->stage = joins_before(question, node->node + (behind ? 1 : 0));
    }
    for (int32_t i = plan->n_nodes - 1; i >= 0; i--) {
        const PlanNode *reader = &plan->nodes[i];
        for (int k = 0; k < OP_MAX_INPUTS; k++) { /* not of a copy: only rows that its source has are copied */
            if (reader->inputs[k] >= 0) {
                TRY(reach_stage(plan, &plan->nodes[reader->inputs[k]], reader));
            }
        }
    }
    return LIMN_OK;
}

/* A gradient flows through what the objective reads and what reads a differentiated value. */
static limn_status mark_gradients(Plan *plan) {
    bool *reaches = ARENA_ARRAY(plan->arena, bool, plan->n_nodes + 1);
    if (reaches == NULL) {
        return fail(LIMN_NO_MEMORY, "plan of %d nodes", plan->n_nodes);
    }
    for (int32_t i = plan->n_nodes - 1; i >= 0; i--) {
        reaches[i] = reaches[i] || plan_is_objective(plan, i);
        for (int k = 0; reaches[i] && k < PLAN_INPUTS; k++) {
            if (plan_passes(&plan->nodes[i], k)) {
                reaches[plan->nodes[i].inputs[k]] = true;
            }
        }
    }
    for (int32_t i = 0; i < plan->n_nodes; i++) {
        PlanNode *node = &plan->nodes[i];
        bool below = node->wants_grad || node->streams;
        for (int k = 0; k < PLAN_INPUTS; k++) {
            below = below || (plan_passes(node, k) && plan->nodes[node->inputs[k]].needs_grad);
        }
        node->needs_grad = below && reaches[i];
    }
    return LIMN_OK;
}

/* A value that is brought and that nobody reads is a mistake of the caller's. */
static limn_status check_givens(const Plan *plan) {
    for (int32_t i = 0; i < plan->question->n_givens; i++) {
        NodeId node = plan->question->givens[i];
        if (plan->index_of[node] < 0) {
            return fail(LIMN_USAGE, "%s is given, but nothing that is asked for reads it",
                        plan->graph->nodes[node].site);
        }
    }
    return LIMN_OK;
}

limn_status plan_lower(Plan *plan) {
    int32_t *uses;
    TRY(copy_needed(plan, &uses));
    TRY(check_givens(plan));
    TRY(plan_fuse(plan, uses));
    set_rules(plan);
    TRY(drop_unread(plan));
    TRY(plan_narrow(plan));
    assign_segments(plan);
    TRY(assign_stages(plan));
    return mark_gradients(plan);
}
