/* The hash of a model: weights, configuration and tokenizer files, computed beside the first run. */
#include <string.h>
#include <time.h>

#include "model/files.h"

limn_status model_hasher_init(ModelHasher *hasher) {
    pthread_condattr_t clock;
    bool made = pthread_mutex_init(&hasher->lock, NULL) == 0;
    if (made) {
        made = pthread_condattr_init(&clock) == 0;
        if (made) {
            pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
            made = pthread_cond_init(&hasher->ended, &clock) == 0;
            pthread_condattr_destroy(&clock);
        }
        if (!made) {
            pthread_mutex_destroy(&hasher->lock);
        }
    }
    return made ? LIMN_OK : fail(LIMN_NO_MEMORY, "no memory for a lock");
}

void model_hasher_free(ModelHasher *hasher) {
    atomic_store(&hasher->stop, true);
    if (hasher->has_thread) {
        pthread_join(hasher->thread, NULL);
    }
    pthread_cond_destroy(&hasher->ended);
    pthread_mutex_destroy(&hasher->lock);
}

/* What a computation found; one that was stopped is as if it had not begun. Called with the lock held. */
static void settle(ModelHasher *hasher, limn_status status, const char *hex) {
    if (status == LIMN_CANCELLED) {
        return;
    }
    hasher->state = HASH_KNOWN;
    hasher->status = status;
    error_save(&hasher->error);
    memcpy(hasher->hex, hex, sizeof hasher->hex);
}

static bool keep_going(void *context, const char *stage, int64_t done, int64_t total) {
    (void)stage;
    ModelHasher *hasher = context;
    int awaited_by = atomic_load(&hasher->awaited_by);
    hasher->team.threads = awaited_by > 1 ? awaited_by : 1;
    atomic_store(&hasher->done, done);
    atomic_store(&hasher->total, total);
    return !atomic_load(&hasher->stop);
}

static void *run_hasher(void *context) {
    ModelFiles *files = context;
    ModelHasher *hasher = &files->hasher;
    char hex[65] = "";
    parallel_stand_aside(); /* the run has the cores until it asks for the hash at its end */
    limn_status status = hash_files(hex, files->hashed, files->n_hashed, false, &hasher->team);
    pthread_mutex_lock(&hasher->lock);
    hasher->state = HASH_NONE;
    settle(hasher, status, hex);
    pthread_cond_broadcast(&hasher->ended);
    pthread_mutex_unlock(&hasher->lock);
    return NULL;
}

void model_hash_start(Model *model) {
    ModelFiles *files = model->files;
    ModelHasher *hasher = &files->hasher;
    pthread_mutex_lock(&hasher->lock);
    if (hasher->state == HASH_NONE && !hasher->has_thread) {
        hasher->keep_going = (Progress){keep_going, hasher};
        hasher->team = (Team){.threads = 1, .progress = &hasher->keep_going};
        /* Without a thread the hash is computed when it is asked for. */
        if (pthread_create(&hasher->thread, NULL, run_hasher, files) == 0) {
            hasher->has_thread = true;
            hasher->state = HASH_RUNS;
        }
    }
    pthread_mutex_unlock(&hasher->lock);
}

/* Until nobody computes. Called with the lock held; the team's progress is told without it. */
static limn_status wait_for_hash(ModelHasher *hasher, Team *team) {
    enum { TICK_NANOSECONDS = 50 * 1000 * 1000, SECOND = 1000 * 1000 * 1000 };
    while (hasher->state == HASH_RUNS) {
        atomic_store(&hasher->awaited_by, team_threads(team));
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += TICK_NANOSECONDS;
        until.tv_sec += until.tv_nsec / SECOND;
        until.tv_nsec %= SECOND;
        pthread_cond_timedwait(&hasher->ended, &hasher->lock, &until);
        if (hasher->state == HASH_RUNS) {
            pthread_mutex_unlock(&hasher->lock);
            limn_status status =
                team_tick(team, "hash", (int64_t)atomic_load(&hasher->done), (int64_t)atomic_load(&hasher->total));
            pthread_mutex_lock(&hasher->lock);
            TRY(status);
        }
    }
    return LIMN_OK;
}

static limn_status answer(char hex[65], const ModelHasher *hasher) {
    memcpy(hex, hasher->hex, sizeof hasher->hex);
    return hasher->status == LIMN_OK ? LIMN_OK : error_restore(&hasher->error);
}

/* Two that find none may both compute it: the same, and neither waits for the other, who may be its own caller. */
limn_status model_hash(Model *model, Team *team, bool fresh, char hex[65]) {
    ModelFiles *files = model->files;
    ModelHasher *hasher = &files->hasher;
    pthread_mutex_lock(&hasher->lock);
    limn_status status = wait_for_hash(hasher, team);
    bool known = status != LIMN_OK || (hasher->state == HASH_KNOWN && !fresh);
    if (status == LIMN_OK && known) {
        status = answer(hex, hasher);
    }
    pthread_mutex_unlock(&hasher->lock);
    if (known) {
        return status;
    }
    status = hash_files(hex, files->hashed, files->n_hashed, fresh, team);
    pthread_mutex_lock(&hasher->lock);
    settle(hasher, status, hex);
    pthread_mutex_unlock(&hasher->lock);
    return status;
}

limn_status model_adapter_hash(const Model *model, int32_t adapter, Team *team, bool fresh, char hex[65]) {
    const Adapter *opened = model->files->adapters[adapter];
    const HashFile files[] = {{.path = opened->config_path}, {.path = opened->tensor_path}};
    return hash_files(hex, files, 2, fresh, team);
}
