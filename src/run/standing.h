/* Edits that stand: in force in every run of an engine, as if the model were so (EngineOptions.edits).
 *
 * A run's own edits come after them. Rows that join a clean run meet those behind the join only: what lies below, or at
 * the join itself, is in the stream that they get. */
#ifndef LIMN_RUN_STANDING_H
#define LIMN_RUN_STANDING_H

#include "run/engine.h"

typedef struct StandingEdits {
    const Edit *edits; /* [n] the engine's */
    int32_t n;
    Edit *together; /* [capacity] those of the request at hand: standing ones, then its own */
    int32_t capacity;
    RunRequest request; /* the request at hand with `together` in the place of its edits */
} StandingEdits;

/* Edits that hold for every row of every prompt: whole columns of sites whose rows have one width. */
limn_status standing_check(const Graph *graph, const Edit *edits, int32_t n);

/* *request as it is where nothing stands, else with the standing edits in force. joins: the node of each join place. */
limn_status standing_request(StandingEdits *standing, const NodeId *joins, int32_t n_joins, const RunRequest **request);
void standing_free(StandingEdits *standing);

#endif
