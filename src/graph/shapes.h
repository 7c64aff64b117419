/* What shape an op's output has, and whether its inputs and weights fit. */
#ifndef LIMN_GRAPH_SHAPES_H
#define LIMN_GRAPH_SHAPES_H

#include "graph/graph.h"

/* Fills op->out from op->in, op->weights and op->attributes. `what` names the value in messages. */
limn_status op_infer_shape(Op *op, const char *what);

#endif
