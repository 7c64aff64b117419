/* One way to use the cores: a pool of threads. Work is split into contiguous ranges, taken as threads become free;
 * results must not depend on the split nor on which worker does what. */
#ifndef LIMN_BASE_PARALLEL_H
#define LIMN_BASE_PARALLEL_H

#include <stdint.h>

#include "base/error.h"

/* Works on items [begin, end) as worker number `worker` of 0..threads-1 (for scratch of its own); a worker may be
 * called several times, one after the other. */
typedef limn_status (*ParallelBody)(void *context, int64_t begin, int64_t end, int worker);

/* The process's thread budget; 0 asks for all cores. Set once, before work starts. */
void parallel_set_threads(int threads);
int parallel_threads(void);

/* Calls body over [0, count) in ranges of at least `grain` items. The first failure is returned with its
 * message. Runs on the calling thread when one range suffices or when already inside a parallel_for. */
limn_status parallel_for(int64_t count, int64_t grain, ParallelBody body, void *context);

/* For a thread that works beside the others: its parallel_for calls run on itself, and it yields the cores to them. */
void parallel_stand_aside(void);

/* For such a thread when somebody waits for it: from here on its parallel_for calls use the others. */
void parallel_join_in(void);

#endif
