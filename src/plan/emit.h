/* Inside the planner: plan nodes become steps. */
#ifndef LIMN_PLAN_EMIT_H
#define LIMN_PLAN_EMIT_H

#include "plan/lower.h"

typedef struct Emitter {
    Program *program;
    Plan *plan;
    int32_t step_capacity;
    int32_t value_capacity;
    bool appending; /* false while something is computed again */
    int32_t stage;  /* of the steps and values that are made now */
    /* by plan index */
    ValueId *value; /* where the node's value is now, VALUE_NONE: not available */
    ValueId *own;   /* what its kernel wrote: the same, but for edits, where its backward pass reads its output */
    ValueId *aux;
    ValueId *grad;
    bool *grad_read;    /* every step that reads the node's gradient has been emitted */
    ValueId *kept_grad; /* the gradient to hand back */
} Emitter;

limn_status emit_value(Emitter *emitter, RowShape shape, Domain domain, ValueId *value);
limn_status emit_step(Emitter *emitter, StepKind kind, NodeId node, Domain domain, Step **step);
limn_status emit_forward(Emitter *emitter, int32_t index);
limn_status emit_seed(Emitter *emitter, int32_t index); /* what a backward pass begins with at an objective */
limn_status emit_backward_segment(Emitter *emitter, int32_t begin, int32_t end);

#endif
