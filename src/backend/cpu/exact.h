/* Which f32 weights hold nothing but bf16 numbers: files that were widened from bf16. Their products may run on the
 * tile unit without losing a bit. */
#ifndef LIMN_BACKEND_CPU_EXACT_H
#define LIMN_BACKEND_CPU_EXACT_H

#include "base/parallel.h"
#include "graph/graph.h"

typedef struct ExactWeights ExactWeights;

limn_status exact_weights_new(ExactWeights **exact);
void exact_weights_free(ExactWeights *exact);

/* True when every element of the f32 weight is a bf16 number. The first call for a weight reads all of it, later ones
 * a few elements; the weight's memory must keep its values while the state lives. */
bool exact_weights_has(ExactWeights *exact, Team *team, const Weight *weight);

#endif
