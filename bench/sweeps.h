/* limn_bench: the same patches of a run by full passes and by a sweep. */
#ifndef LIMN_BENCH_SWEEPS_H
#define LIMN_BENCH_SWEEPS_H

#include <jansson.h>

#include "run/engine.h"

/* {"ids": [T], "other": [T], "target": id, "how": "joined"|"live"|"full", "batch": sequences of a full pass,
 *  "clock": "processor" or wall, of live,
 *  "layers": [begin, end, step], "positions": [begin, end, step]}
 * -> {"objective": [layers x positions], "rows", "runs", "row_layers", "seconds", "processor",
 *     "kept_seconds", "kept_processor", "kept_bytes"; of live: "each": [seconds of each patch, run by itself]}
 * The target's log probability with the stream behind each layer, at each position, taken from the other prompt's run:
 * by a sweep, by a sweep for each, or by full passes. kept_seconds is the run that patches join; seconds does not have
 * it. */
limn_status bench_sweep(Engine *engine, const json_t *request, json_t *reply);

#endif
