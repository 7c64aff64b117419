/* Many cases, few runs: packs passes of any lengths into runs that fill the matrix kernels and fit the memory.
 *
 * A job says what each case costs and how some of them are run; the scheduler sorts, packs and repeats. A run that
 * finds no memory (LIMN_NO_MEMORY) is tried again with half as many cases, down to one, and what memory has shown holds
 * for the runs to come. Rows have the same bits in every run, so how they were packed never shows in an answer.
 *
 * Results go out as runs end, or in the caller's order (`deliver`). Progress: rows done of all rows, which is linear in
 * time, so that whoever shows it can say how long is left; a tick that answers false ends the job with LIMN_CANCELLED.
 */
#ifndef LIMN_MEASURE_BATCH_H
#define LIMN_MEASURE_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/progress.h"

typedef struct BatchCost {
    int64_t rows;    /* own rows: those that are computed */
    int64_t outputs; /* rows whose logits are kept */
    size_t bytes;    /* memory beside the run's own: caches, buffers */
    int64_t key;     /* cases run in the order of their keys, equal ones in the caller's */
} BatchCost;

typedef struct BatchJob {
    int64_t n;
    void *context;
    BatchCost (*cost)(const void *context, int64_t i);
    /* Runs these cases together. May be called again with some of them after it found no memory. */
    limn_status (*run)(void *context, const int64_t *cases, int64_t n, const Progress *progress);
    /* Case after case in the caller's order, each as soon as it and all before it are done; NULL: `run` hands out what
     * it finds, in the order of keys. */
    limn_status (*deliver)(void *context, int64_t i);
} BatchJob;

/* What holds for all jobs of one question; zero is fine. */
typedef struct Batcher {
    const char *stage;        /* what people are told is going on; NULL: "run" */
    const Progress *progress; /* may be NULL */
    int64_t rows;             /* of one run at most, but for a case that has more by itself; 0: 512 */
    int64_t outputs;          /* 0: any number */
    size_t bytes;             /* 0: any */
    int64_t expected; /* cases of all jobs, where they are known; 0: each job is a stage of its own; -1: unknown */
    int64_t done;     /* cases of all jobs so far */
    int64_t most;     /* cases of one run, as memory has shown; 0: any number */
} Batcher;

limn_status batch_run(Batcher *batcher, const BatchJob *job);

/* How many of n cases of `rows` rows each make the next run. */
int64_t batch_alike(const Batcher *batcher, int64_t rows, int64_t n);

#endif
