#include "measure/batch.h"

#include <stdlib.h>

#include "base/integers.h"

enum { ROWS_PER_RUN = 512 };

typedef struct Item {
    BatchCost cost;
    int64_t i;
} Item;

typedef struct Schedule {
    Batcher *batcher;
    const BatchJob *job;
    Item *items;     /* [n] in the order they run */
    int64_t *cases;  /* [n] the same */
    bool *done;      /* [n] by case; NULL: delivered as done */
    int64_t next;    /* the first case not delivered */
    int64_t rows;    /* of all */
    int64_t ran;     /* rows of the runs that ended */
    int64_t running; /* rows of the run at hand */
    int64_t begin;   /* items that ran */
} Schedule;

static int by_key(const void *left, const void *right) {
    const Item *a = left;
    const Item *b = right;
    if (a->cost.key != b->cost.key) {
        return a->cost.key < b->cost.key ? -1 : 1;
    }
    return a->i < b->i ? -1 : a->i > b->i;
}

/* Rows of the next run when `all` are left: all runs about as long, none longer than need be. */
static int64_t fair_share(const Batcher *batcher, int64_t all) {
    int64_t limit = batcher->rows > 0 ? batcher->rows : ROWS_PER_RUN;
    return blocks_of(all, larger(1, blocks_of(all, limit)));
}

/* How many of n items, `all` rows together, make the next run. */
static int64_t count_next(const Batcher *batcher, const Item *items, int64_t n, int64_t all) {
    int64_t fair = fair_share(batcher, all);
    int64_t most = batcher->most > 0 ? smaller(batcher->most, n) : n;
    int64_t rows = 0, outputs = 0, count = 0;
    size_t bytes = 0;
    while (count < most) {
        const BatchCost *cost = &items[count].cost;
        rows += cost->rows;
        outputs += cost->outputs;
        bytes += cost->bytes;
        bool fits = rows <= fair && (batcher->outputs == 0 || outputs <= batcher->outputs) &&
                    (batcher->bytes == 0 || bytes <= batcher->bytes);
        if (count > 0 && !fits) {
            break;
        }
        count++;
    }
    return count;
}

/* A tick inside a run: its share of the run's rows is done. */
static bool tick(void *context, const char *stage, int64_t done, int64_t total) {
    (void)stage;
    const Schedule *schedule = context;
    const Batcher *batcher = schedule->batcher;
    const Progress *outer = batcher->progress;
    if (outer == NULL || outer->tick == NULL) {
        return true;
    }
    const char *name = batcher->stage == NULL ? "run" : batcher->stage;
    int64_t parts = total > 0 ? total : 1;
    int64_t part = total > 0 ? done : 0;
    if (batcher->expected < 0) {
        return outer->tick(outer->context, name, batcher->done, 0);
    }
    if (batcher->expected == 0) {
        return outer->tick(outer->context, name, schedule->ran * parts + schedule->running * part,
                           schedule->rows * parts);
    }
    enum { FINE = 1000 }; /* parts of a case: those of this job by how many rows they are of all */
    int64_t begun = batcher->done - schedule->begin, all = larger(1, schedule->rows * parts);
    double share = (double)(schedule->ran * parts + schedule->running * part) / (double)all;
    int64_t so_far = begun * FINE + (int64_t)(share * (double)(schedule->job->n * FINE));
    return outer->tick(outer->context, name, smaller(so_far, batcher->expected * FINE), batcher->expected * FINE);
}

static limn_status deliver(Schedule *schedule, int64_t count) {
    const BatchJob *job = schedule->job;
    if (job->deliver == NULL) {
        return LIMN_OK;
    }
    for (int64_t k = 0; k < count; k++) {
        schedule->done[schedule->cases[schedule->begin + k]] = true;
    }
    while (schedule->next < job->n && schedule->done[schedule->next]) {
        TRY(job->deliver(job->context, schedule->next++));
    }
    return LIMN_OK;
}

static limn_status run_all(Schedule *schedule) {
    Batcher *batcher = schedule->batcher;
    const BatchJob *job = schedule->job;
    const Progress progress = {tick, schedule};
    while (schedule->begin < job->n) {
        int64_t count = count_next(batcher, schedule->items + schedule->begin, job->n - schedule->begin,
                                   schedule->rows - schedule->ran);
        schedule->running = 0;
        for (int64_t k = 0; k < count; k++) {
            schedule->running += schedule->items[schedule->begin + k].cost.rows;
        }
        ErrorState before;
        error_save(&before);
        limn_status status = job->run(job->context, schedule->cases + schedule->begin, count, &progress);
        if (status == LIMN_NO_MEMORY && count > 1) {
            error_restore(&before);
            batcher->most = count / 2;
            continue;
        }
        TRY(status);
        TRY(deliver(schedule, count));
        schedule->begin += count;
        schedule->ran += schedule->running;
        batcher->done += count;
    }
    return LIMN_OK;
}

static limn_status prepare(Schedule *schedule) {
    const BatchJob *job = schedule->job;
    size_t n = (size_t)job->n + 1;
    schedule->items = malloc(n * sizeof *schedule->items);
    schedule->cases = malloc(n * sizeof *schedule->cases);
    schedule->done = job->deliver == NULL ? NULL : calloc(n, sizeof *schedule->done);
    if (schedule->items == NULL || schedule->cases == NULL || (job->deliver != NULL && schedule->done == NULL)) {
        return fail(LIMN_NO_MEMORY, "no memory for a list of %lld cases", (long long)job->n);
    }
    for (int64_t i = 0; i < job->n; i++) {
        schedule->items[i] = (Item){job->cost(job->context, i), i};
        schedule->rows += schedule->items[i].cost.rows;
    }
    qsort(schedule->items, (size_t)job->n, sizeof *schedule->items, by_key);
    for (int64_t i = 0; i < job->n; i++) {
        schedule->cases[i] = schedule->items[i].i;
    }
    return LIMN_OK;
}

limn_status batch_run(Batcher *batcher, const BatchJob *job) {
    Schedule schedule = {.batcher = batcher, .job = job};
    limn_status status = prepare(&schedule);
    if (status == LIMN_OK) {
        status = run_all(&schedule);
    }
    free(schedule.items);
    free(schedule.cases);
    free(schedule.done);
    return status;
}

int64_t batch_alike(const Batcher *batcher, int64_t rows, int64_t n) {
    int64_t fits = fair_share(batcher, rows * n) / larger(1, rows);
    int64_t most = batcher->most > 0 ? smaller(batcher->most, n) : n;
    return larger(1, smaller(fits, most));
}
