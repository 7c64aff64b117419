/* A graph lowered for one question. See plan/README.md. */
#ifndef LIMN_PLAN_PROGRAM_H
#define LIMN_PLAN_PROGRAM_H

#include "backend/backend.h"
#include "graph/graph.h"

/* What the forward pass keeps for the backward pass. */
typedef enum KeepPolicy { KEEP_AUTO, KEEP_EVERYTHING, KEEP_LAYER_INPUTS } KeepPolicy;

#endif
