/* Row domains: what only the output rows need is computed only there.
 *
 * The graph selects output rows once, before the head. A node may already run on output rows when every reader
 * does: in the last block that leaves all rows to the keys and values only. Where a narrow reader meets a wide
 * value, a selection is inserted (its backward scatters). */
#include "plan/lower.h"

/* Does a reader on output rows need all rows of this input? Keys and values, yes; all else, no. */
static bool reads_all_rows(const Op *reader, int which) {
    return op_info(reader->kind)->reach == REACH_SEQUENCE && which > 0 && which != COPY_INPUT;
}

/* Nodes that read the graph's own selection live on output rows whatever they are. */
static void mark_selected(Plan *plan, bool *selected) {
    for (int32_t i = 0; i < plan->n_nodes; i++) {
        const PlanNode *node = &plan->nodes[i];
        selected[i] = node->op.kind == OP_SELECT_ROWS || (node->given && graph_on_outputs(plan->graph, node->node));
        for (int k = 0; k < PLAN_INPUTS; k++) {
            selected[i] = selected[i] || (node->inputs[k] >= 0 && selected[node->inputs[k]]);
        }
    }
}

static void choose_domains(Plan *plan, const bool *selected, bool *all_rows) {
    for (int32_t i = plan->n_nodes - 1; i >= 0; i--) {
        PlanNode *node = &plan->nodes[i];
        /* an edit acts on the rows that are there: what it does to others nobody reads */
        bool handed_back = node->tapped || node->wants_grad || node->streams;
        node->domain = (all_rows[i] || handed_back) && !selected[i] ? DOMAIN_ALL : DOMAIN_OUT;
        for (int k = 0; k < PLAN_INPUTS; k++) {
            if (node->inputs[k] < 0) {
                continue;
            }
            bool wide = node->domain == DOMAIN_ALL || reads_all_rows(&node->op, k) || (node->append && k != COPY_INPUT);
            /* a selection by itself does not widen what it reads: it falls away when its input is narrow */
            if (wide && node->op.kind != OP_SELECT_ROWS) {
                all_rows[node->inputs[k]] = true;
            }
        }
    }
}

typedef struct Rebuild {
    Plan *plan;
    PlanNode *nodes;
    int32_t n_nodes;
    int32_t *moved;    /* [old] new index */
    int32_t *narrowed; /* [old] new index of its selection, -1: none yet */
} Rebuild;

/* The output rows of an old node that runs on all rows. */
static int32_t narrowed_index(Rebuild *rebuild, int32_t old) {
    if (rebuild->narrowed[old] < 0) {
        const PlanNode *wide = &rebuild->plan->nodes[old];
        PlanNode select = {.node = wide->node, .domain = DOMAIN_OUT, .inputs = {rebuild->moved[old], -1, -1, -1}};
        select.op.kind = OP_SELECT_ROWS;
        select.op.layer = wide->op.layer;
        select.op.in[0] = wide->op.out;
        select.op.out = wide->op.out;
        rebuild->narrowed[old] = rebuild->n_nodes;
        rebuild->nodes[rebuild->n_nodes++] = select;
    }
    return rebuild->narrowed[old];
}

static void rebuild_node(Rebuild *rebuild, int32_t old) {
    Plan *plan = rebuild->plan;
    PlanNode node = plan->nodes[old];
    if (node.op.kind == OP_SELECT_ROWS) {
        int32_t input = node.inputs[0];
        bool narrow = plan->nodes[input].domain == DOMAIN_OUT;
        rebuild->moved[old] = narrow ? rebuild->moved[input] : narrowed_index(rebuild, input);
        plan->index_of[node.node] = rebuild->moved[old];
        return;
    }
    for (int k = 0; k < PLAN_INPUTS; k++) {
        int32_t input = node.inputs[k];
        if (input < 0) {
            continue;
        }
        bool meets =
            node.domain == DOMAIN_OUT && plan->nodes[input].domain == DOMAIN_ALL && !reads_all_rows(&node.op, k);
        node.inputs[k] = meets ? narrowed_index(rebuild, input) : rebuild->moved[input];
    }
    rebuild->moved[old] = rebuild->n_nodes;
    plan_place(plan, &node, rebuild->n_nodes);
    rebuild->nodes[rebuild->n_nodes++] = node;
}

limn_status plan_narrow(Plan *plan) {
    size_t n = (size_t)plan->n_nodes + 1;
    bool *selected = ARENA_ARRAY(plan->arena, bool, n);
    bool *all_rows = ARENA_ARRAY(plan->arena, bool, n);
    Rebuild rebuild = {.plan = plan,
                       .nodes = ARENA_ARRAY(plan->arena, PlanNode, 2 * n),
                       .moved = ARENA_ARRAY(plan->arena, int32_t, n),
                       .narrowed = ARENA_ARRAY(plan->arena, int32_t, n)};
    if (selected == NULL || all_rows == NULL || rebuild.nodes == NULL || rebuild.moved == NULL ||
        rebuild.narrowed == NULL) {
        return fail(LIMN_NO_MEMORY, "plan of %d nodes", plan->n_nodes);
    }
    mark_selected(plan, selected);
    if (plan->question->identity_rows) { /* every row is an output row: nothing to narrow */
        for (int32_t i = 0; i < plan->n_nodes; i++) {
            plan->nodes[i].domain = DOMAIN_OUT;
        }
    } else {
        choose_domains(plan, selected, all_rows);
    }
    for (int32_t i = 0; i < plan->n_nodes; i++) {
        rebuild.narrowed[i] = -1;
    }
    for (int32_t i = 0; i < plan->n_nodes; i++) {
        rebuild_node(&rebuild, i);
    }
    plan->nodes = rebuild.nodes;
    plan->n_nodes = rebuild.n_nodes;
    return LIMN_OK;
}
