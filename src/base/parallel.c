#include "base/parallel.h"

#include <stdbool.h>
#include <unistd.h>

#ifdef LIMN_PTHREADS
#include <pthread.h>
#else
#include <omp.h>
#endif

enum { MAX_THREADS = 256 };

/* Written once by parallel_set_threads before work starts. */
static int thread_budget;

static _Thread_local bool inside;

typedef struct Range {
    ParallelBody body;
    void *context;
    int64_t begin;
    int64_t end;
    int worker;
    limn_status status;
    ErrorState error;
} Range;

void parallel_set_threads(int threads) {
    if (threads <= 0) {
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        threads = online < 1 ? 1 : (int)online;
    }
    thread_budget = threads > MAX_THREADS ? MAX_THREADS : threads;
#ifndef LIMN_PTHREADS
    omp_set_num_threads(thread_budget);
#endif
}

int parallel_threads(void) {
    if (thread_budget == 0) {
        parallel_set_threads(0);
    }
    return thread_budget;
}

static void run_range(Range *range) {
    bool was_inside = inside;
    inside = true;
    range->status = range->body(range->context, range->begin, range->end, range->worker);
    if (range->status != LIMN_OK) {
        error_save(&range->error);
    }
    inside = was_inside;
}

#ifdef LIMN_PTHREADS

static void *thread_main(void *argument) {
    run_range(argument);
    return NULL;
}

static void run_all(Range *ranges, int count) {
    pthread_t threads[MAX_THREADS];
    bool started[MAX_THREADS] = {false};
    for (int i = 1; i < count; i++) {
        started[i] = pthread_create(&threads[i], NULL, thread_main, &ranges[i]) == 0;
    }
    run_range(&ranges[0]);
    for (int i = 1; i < count; i++) {
        if (started[i]) {
            pthread_join(threads[i], NULL);
        } else {
            run_range(&ranges[i]);
        }
    }
}

#else

static void run_all(Range *ranges, int count) {
#pragma omp parallel for num_threads(count) schedule(static, 1)
    for (int i = 0; i < count; i++) {
        run_range(&ranges[i]);
    }
}

#endif

limn_status parallel_for(int64_t count, int64_t grain, ParallelBody body, void *context) {
    if (count <= 0) {
        return LIMN_OK;
    }
    if (grain < 1) {
        grain = 1;
    }
    int64_t wanted = (count + grain - 1) / grain;
    int workers = parallel_threads();
    if (wanted < workers) {
        workers = (int)wanted;
    }
    if (workers <= 1 || inside) {
        return body(context, 0, count, 0);
    }
    Range ranges[MAX_THREADS];
    for (int i = 0; i < workers; i++) {
        ranges[i] = (Range){.body = body,
                            .context = context,
                            .begin = count * i / workers,
                            .end = count * (i + 1) / workers,
                            .worker = i};
    }
    run_all(ranges, workers);
    for (int i = 0; i < workers; i++) {
        if (ranges[i].status != LIMN_OK) {
            return error_restore(&ranges[i].error);
        }
    }
    return LIMN_OK;
}
