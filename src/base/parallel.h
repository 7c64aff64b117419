/* One way to use the cores: a pool of threads, and teams that take from it. Work is split into contiguous ranges, taken
 * as threads become free; results must not depend on the split nor on which worker does what. */
#ifndef LIMN_BASE_PARALLEL_H
#define LIMN_BASE_PARALLEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/progress.h"

/* How many threads a piece of work may use, the calling one included, and who may stop it. It belongs to a call or a
 * run, never to the process: what a worker needs for itself is sized by `threads`, whatever other calls ask for
 * meanwhile. Where a Team is taken, NULL means the calling thread alone, and nobody who asks it to stop. */
typedef struct Team {
    int threads;              /* 1 or more; 0 counts as 1 */
    const Progress *progress; /* who may stop the work; NULL: nobody */
    /* Where the work stands, as team_tick was last told; team_check says it again. */
    const char *stage; /* NULL: not told, and nobody is asked */
    int64_t done, total;
    int64_t asked_at; /* nanoseconds: when progress was last asked */
    atomic_bool stop; /* the caller asked to: what is in flight ends */
} Team;

/* threads 0: all cores. */
Team team_of(int64_t threads, const Progress *progress);

static inline int team_threads(const Team *team) {
    return team == NULL || team->threads < 1 ? 1 : team->threads;
}

/* As many threads, and nobody who stops them: for short work that must not end half done. */
static inline Team team_undisturbed(const Team *team) {
    return (Team){.threads = team_threads(team)};
}

/* Tells the team's progress where the call stands; LIMN_CANCELLED when it asks to stop. Only the thread that made the
 * call may; `stage` is a constant string. */
limn_status team_tick(Team *team, const char *stage, int64_t done, int64_t total);

/* What team_tick told of is over: nothing is said of it again. */
static inline void team_rest(Team *team) {
    if (team != NULL) {
        team->stage = NULL;
    }
}

/* For loops that may last: whether to go on. Any thread of the team may ask, as often as every microsecond; the
 * progress hears of it on the thread that made the call, at most every TEAM_CHECK_NANOSECONDS. What progress does may
 * include calls of its own, so nothing is held meanwhile that they could want: no lock, no state of the processor. */
limn_status team_check(Team *team);
/* Whether team_check would do more than answer LIMN_OK. */
bool team_check_is_due(const Team *team);

enum { TEAM_CHECK_NANOSECONDS = 20 * 1000 * 1000 };

/* Works on items [begin, end) as worker number `worker` of 0..threads-1 (for scratch of its own); a worker may be
 * called several times, one after the other. Worker 0 is the thread that called parallel_for. */
typedef limn_status (*ParallelBody)(void *context, int64_t begin, int64_t end, int worker);

/* Calls body over [0, count) in ranges of at least `grain` items. The first failure is returned with its
 * message; LIMN_CANCELLED, with some ranges done and some not, when the team was asked to stop. Any number of threads
 * may call it at once: threads of the pool go where fewest help. Runs on the calling thread when one range suffices,
 * when already inside a parallel_for, and when too many calls are under way. */
limn_status parallel_for(Team *team, int64_t count, int64_t grain, ParallelBody body, void *context);

/* For a thread that works beside the others: it yields the cores to them. */
void parallel_stand_aside(void);

#endif
