/* Progress out, cancellation in. Long calls tick within a layer; a callback that answers false stops them. */
#ifndef LIMN_BASE_PROGRESS_H
#define LIMN_BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

typedef struct Progress {
    /* stage: a short name such as "integrate"; done of total (total 0: unknown). False asks to stop. */
    bool (*tick)(void *context, const char *stage, int64_t done, int64_t total);
    void *context;
} Progress;

/* progress may be NULL. Answers LIMN_CANCELLED when the caller asked to stop. */
static inline limn_status progress_tick(const Progress *progress, const char *stage, int64_t done, int64_t total) {
    if (progress != NULL && progress->tick != NULL && !progress->tick(progress->context, stage, done, total)) {
        return fail(LIMN_CANCELLED, "stopped during %s", stage);
    }
    return LIMN_OK;
}

#endif
