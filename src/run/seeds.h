/* The seeds of a request: are they whole, and what do they come to? */
#ifndef LIMN_RUN_SEEDS_H
#define LIMN_RUN_SEEDS_H

#include "run/execute.h"

/* Every seed has a site, what its kind needs, and ids within its rows. */
limn_status seeds_check(const Graph *graph, const RunRequest *request, int32_t max_keys);

/* After a run, before its values are brought into the request's order: the sum over output rows of weight * F, of all
 * seeds and the objective. */
double seeds_total(const Execution *execution);

/* What an output row of the tables counts for in that sum: in seed number `seed`, -1: in the objective. */
float seeds_weight(const Execution *execution, int32_t seed, int32_t row);

#endif
