/* Inside the planner: the graph as it will run, before it becomes steps. */
#ifndef LIMN_PLAN_LOWER_H
#define LIMN_PLAN_LOWER_H

#include "plan/program.h"

/* A node of the plan: a graph node, a fused form in the place of its last node, or an inserted row selection. */
typedef struct PlanNode {
    Op op;
    int32_t inputs[OP_MAX_INPUTS]; /* plan indices, -1: none */
    NodeId node;                   /* graph node whose value this is */
    Domain domain;
    int32_t stage; /* joins before it: the rows its kernel works on */
    int segment;   /* layers in order; what is before the first block is 0 */
    bool observed; /* tapped, edited, differentiated, given or joined */
    bool tapped;
    bool edited;
    bool given;      /* the run brings it */
    bool joined;     /* rows join here */
    bool wants_grad; /* its gradient is handed back */
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
} Plan;

/* The rows that its readers work on. */
static inline int32_t node_value_stage(const PlanNode *node) {
    return node->stage + (node->joined ? 1 : 0);
}

limn_status plan_lower(Plan *plan);                     /* needed nodes, fusions, domains, selections, segments */
limn_status plan_fuse(Plan *plan, const int32_t *uses); /* uses: readers of each graph node */
limn_status plan_narrow(Plan *plan);

limn_status plan_emit(Program *program, Plan *plan); /* plan nodes to steps and values */
limn_status plan_allocate(Program *program);         /* bands and slots */

#endif
