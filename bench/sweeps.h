/* limn_bench: the same patches of a run by full passes and by a sweep. */
#ifndef LIMN_BENCH_SWEEPS_H
#define LIMN_BENCH_SWEEPS_H

#include <jansson.h>

#include "run/session.h"

/* {"ids": [T], "other": [T], "target": id, "how": "joined"|"full", "batch": sequences of a full pass,
 *  "layers": [begin, end], "positions": [begin, end]}
 * -> {"objective": [layers x positions], "rows", "runs", "row_layers", "seconds", "processor"}: the target's log
 * probability with the stream behind each layer, at each position, taken from the other prompt's run. The kept runs and
 * what they cost are counted. */
limn_status bench_sweep(Session *session, const json_t *request, json_t *reply);

#endif
