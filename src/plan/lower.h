/* Inside the planner: the graph as it will run, before it becomes steps. */
#ifndef LIMN_PLAN_LOWER_H
#define LIMN_PLAN_LOWER_H

#include "plan/program.h"

/* Behind an op's own inputs stands the value that a node may become a copy of. */
enum { COPY_INPUT = OP_MAX_INPUTS, PLAN_INPUTS };

/* A node of the plan: a graph node, a fused form in the place of its last node, an inserted row selection, or a SEED
 * behind a site that the objective reads. */
typedef struct PlanNode {
    Op op;
    GradientRule rule;
    int32_t inputs[PLAN_INPUTS]; /* plan indices, -1: none */
    NodeId node;                 /* graph node whose value this is; of a SEED the one it reads */
    int32_t seed;                /* of a SEED: which */
    Domain domain;
    int32_t stage; /* joins before it: the rows its kernel works on */
    int segment;   /* layers in order; what is before the first block is 0 */
    bool observed; /* tapped, edited, differentiated, given or joined */
    bool tapped;
    bool edited;
    bool given;      /* the run brings it */
    bool joined;     /* rows join here */
    bool wants_grad; /* its gradient is handed back */
    bool streams;    /* its gradient is handed over as it comes */
    bool append;     /* its keys (SCORES), values (MIX) or both (ATTENTION) go to the cache */
    bool needs_grad; /* a gradient flows through it */
    const Kernel *kernel;
} PlanNode;

typedef struct Plan {
    Arena *arena;
    const Graph *graph;
    const Question *question;
    PlanNode *nodes; /* in running order */
    int32_t n_nodes;
    int32_t *index_of; /* [graph->n_nodes] plan index, -1: dropped */
    int32_t *seeds;    /* [question->n_seeds] plan index */
} Plan;

/* The rows that its readers work on. */
static inline int32_t node_value_stage(const PlanNode *node) {
    return node->stage + (node->joined ? 1 : 0);
}

/* Notes where a node of the plan stands now; -1: it was dropped. A SEED is no graph node's. */
static inline void plan_place(Plan *plan, const PlanNode *node, int32_t index) {
    *(node->op.kind == OP_SEED ? &plan->seeds[node->seed] : &plan->index_of[node->node]) = index;
}

/* Does a backward pass begin at the node? */
static inline bool plan_is_objective(const Plan *plan, int32_t index) {
    const PlanNode *node = &plan->nodes[index];
    return node->op.kind == OP_SEED || node->node == plan->question->objective;
}

/* Does the gradient of a node reach its input `which`? What it is a copy of always. */
static inline bool plan_passes(const PlanNode *node, int which) {
    return node->inputs[which] >= 0 && (which == COPY_INPUT || rule_passes(node->rule, node->op.kind, which));
}

limn_status plan_lower(Plan *plan);                     /* needed nodes, fusions, domains, selections, segments */
limn_status plan_fuse(Plan *plan, const int32_t *uses); /* uses: readers of each graph node */
limn_status plan_narrow(Plan *plan);

limn_status plan_emit(Program *program, Plan *plan); /* plan nodes to steps and values */
limn_status plan_allocate(Program *program);         /* bands and slots */

#endif
