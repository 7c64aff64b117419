/* One way to use the cores: a pool of threads, and teams that take from it. Work is split into contiguous ranges, taken
 * as threads become free; results must not depend on the split nor on which worker does what. */
#ifndef LIMN_BASE_PARALLEL_H
#define LIMN_BASE_PARALLEL_H

#include <stdint.h>

#include "base/error.h"
#include "base/progress.h"

/* How many threads a piece of work may use, the calling one included. It belongs to a call or a run, never to the
 * process: what a worker needs for itself is sized by `threads`, whatever other calls ask for meanwhile. Where a Team
 * is taken, NULL means the calling thread alone. */
typedef struct Team {
    int threads;              /* 1 or more; 0 counts as 1 */
    const Progress *progress; /* who may stop the work; NULL: nobody */
} Team;

/* threads 0: all cores. */
Team team_of(int64_t threads, const Progress *progress);

static inline int team_threads(const Team *team) {
    return team == NULL || team->threads < 1 ? 1 : team->threads;
}

/* Tells the team's progress where the call stands; LIMN_CANCELLED when it asks to stop. */
static inline limn_status team_tick(const Team *team, const char *stage, int64_t done, int64_t total) {
    return progress_tick(team == NULL ? NULL : team->progress, stage, done, total);
}

/* Works on items [begin, end) as worker number `worker` of 0..threads-1 (for scratch of its own); a worker may be
 * called several times, one after the other. Worker 0 is the thread that called parallel_for. */
typedef limn_status (*ParallelBody)(void *context, int64_t begin, int64_t end, int worker);

/* Calls body over [0, count) in ranges of at least `grain` items. The first failure is returned with its
 * message. Runs on the calling thread when one range suffices or when already inside a parallel_for. */
limn_status parallel_for(Team *team, int64_t count, int64_t grain, ParallelBody body, void *context);

/* For a thread that works beside the others: it yields the cores to them. */
void parallel_stand_aside(void);

#endif
