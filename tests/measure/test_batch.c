/* The scheduler: what goes into a run, in which order it comes out, what happens when memory is short. */
#include "measure/batch.h"

#include <string.h>

/* after our own headers: cmocka has a macro named fail */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { MOST = 200 };

typedef struct Trial {
    BatchCost costs[MOST];
    int64_t runs;               /* that succeeded */
    int64_t refused;            /* that found no memory */
    int64_t memory;             /* rows that fit; 0: any number */
    int64_t done[MOST];         /* how often each case ran */
    int64_t order[MOST], n;     /* as they ran, or were delivered */
    int64_t rows_of_run[MOST];  /* [runs] */
    int64_t cases_of_run[MOST]; /* [runs] */
    int64_t last_done, last_total;
    int64_t stop_at; /* a tick refuses after so many; 0: never */
    int64_t ticks;
    const char *stage;
} Trial;

static BatchCost cost_of(const void *context, int64_t i) {
    return ((const Trial *)context)->costs[i];
}

static bool tick(void *context, const char *stage, int64_t done, int64_t total) {
    Trial *trial = context;
    assert_true(total == 0 || done <= total);
    assert_true(done >= trial->last_done || total != trial->last_total);
    trial->last_done = done;
    trial->last_total = total;
    trial->stage = stage;
    return ++trial->ticks != trial->stop_at;
}

static limn_status run_cases(void *context, const int64_t *cases, int64_t n, const Progress *progress) {
    Trial *trial = context;
    int64_t rows = 0;
    for (int64_t k = 0; k < n; k++) {
        rows += trial->costs[cases[k]].rows;
    }
    if (trial->memory > 0 && rows > trial->memory) {
        trial->refused++;
        return (fail)(LIMN_NO_MEMORY, "%d rows", (int)rows);
    }
    for (int part = 0; part < 4; part++) {
        TRY(progress_tick(progress, "inside", part, 4));
    }
    trial->rows_of_run[trial->runs] = rows;
    trial->cases_of_run[trial->runs++] = n;
    for (int64_t k = 0; k < n; k++) {
        trial->done[cases[k]]++;
        trial->order[trial->n++] = cases[k];
    }
    return LIMN_OK;
}

static limn_status run_silently(void *context, const int64_t *cases, int64_t n, const Progress *progress) {
    Trial *trial = context;
    int64_t before = trial->n;
    TRY(run_cases(context, cases, n, progress));
    trial->n = before;
    return LIMN_OK;
}

static limn_status deliver(void *context, int64_t i) {
    Trial *trial = context;
    assert_int_equal(trial->done[i], 1);
    trial->order[trial->n++] = i;
    return LIMN_OK;
}

static BatchJob job_of(Trial *trial, int64_t n) {
    return (BatchJob){.n = n, .context = trial, .cost = cost_of, .run = run_cases};
}

static void fill(Trial *trial, int64_t n, int64_t rows) {
    memset(trial, 0, sizeof *trial);
    for (int64_t i = 0; i < n; i++) {
        trial->costs[i] = (BatchCost){.rows = rows};
    }
}

static void runs_are_about_as_long(void **state) {
    Trial trial;
    fill(&trial, 50, 7); /* 350 rows: four runs of 100 at most, none of them a rest of 50 */
    Batcher batcher = {.rows = 100};
    BatchJob job = job_of(&trial, 50);
    assert_int_equal(batch_run(&batcher, &job), LIMN_OK);
    assert_int_equal(trial.runs, 4);
    for (int64_t r = 0; r < trial.runs; r++) {
        assert_in_range(trial.rows_of_run[r], 77, 100);
    }
    for (int64_t i = 0; i < 50; i++) {
        assert_int_equal(trial.order[i], i);
    }
    assert_int_equal(batcher.done, 50);
    assert_int_equal(batch_alike(&batcher, 7, 50), trial.cases_of_run[0]);
}

static void a_case_longer_than_a_run_runs_alone(void **state) {
    Trial trial;
    fill(&trial, 3, 10);
    trial.costs[1].rows = 500;
    Batcher batcher = {.rows = 100};
    BatchJob job = job_of(&trial, 3);
    assert_int_equal(batch_run(&batcher, &job), LIMN_OK);
    assert_int_equal(trial.runs, 3);
    assert_int_equal(trial.rows_of_run[1], 500);
}

static void outputs_and_bytes_bound_a_run_too(void **state) {
    Trial trial;
    fill(&trial, 12, 1);
    for (int i = 0; i < 12; i++) {
        trial.costs[i].outputs = 2;
        trial.costs[i].bytes = 100;
    }
    Batcher of_outputs = {.outputs = 6}, of_bytes = {.bytes = 450};
    BatchJob job = job_of(&trial, 12);
    assert_int_equal(batch_run(&of_outputs, &job), LIMN_OK);
    assert_int_equal(trial.runs, 4);
    trial.runs = trial.n = 0;
    assert_int_equal(batch_run(&of_bytes, &job), LIMN_OK);
    assert_int_equal(trial.runs, 3);
}

static void cases_run_by_their_keys_and_are_delivered_in_order(void **state) {
    Trial trial;
    fill(&trial, 40, 5);
    for (int i = 0; i < 40; i++) {
        trial.costs[i].key = (i * 7) % 4;
    }
    Batcher batcher = {.rows = 20};
    BatchJob job = job_of(&trial, 40);
    assert_int_equal(batch_run(&batcher, &job), LIMN_OK);
    for (int k = 1; k < 40; k++) {
        int64_t before = trial.costs[trial.order[k - 1]].key, now = trial.costs[trial.order[k]].key;
        assert_true(before < now || (before == now && trial.order[k - 1] < trial.order[k]));
    }
    trial.n = trial.runs = 0;
    memset(trial.done, 0, sizeof trial.done);
    job.run = run_silently;
    job.deliver = deliver;
    assert_int_equal(batch_run(&batcher, &job), LIMN_OK);
    assert_int_equal(trial.n, 40);
    for (int k = 0; k < 40; k++) {
        assert_int_equal(trial.order[k], k);
    }
}

static void short_memory_makes_runs_smaller_and_stays(void **state) {
    Trial trial;
    fill(&trial, 64, 10);
    trial.memory = 90;
    Batcher batcher = {.rows = 640};
    BatchJob job = job_of(&trial, 64);
    error_clear();
    assert_int_equal(batch_run(&batcher, &job), LIMN_OK);
    assert_string_equal(error_message(), ""); /* a try that was repeated needs no word */
    assert_int_equal(trial.refused, 3);       /* 64, 32, 16 cases */
    assert_int_equal(trial.runs, 8);
    for (int i = 0; i < 64; i++) {
        assert_int_equal(trial.done[i], 1);
    }
    assert_int_equal(batch_run(&batcher, &job), LIMN_OK);
    assert_int_equal(trial.refused, 3);
}

static void what_one_case_cannot_have_is_refused(void **state) {
    Trial trial;
    fill(&trial, 4, 10);
    trial.costs[2].rows = 1000;
    trial.memory = 90;
    Batcher batcher = {0};
    BatchJob job = job_of(&trial, 4);
    assert_int_equal(batch_run(&batcher, &job), LIMN_NO_MEMORY);
    assert_string_equal(error_message(), "1000 rows");
    assert_int_equal(trial.done[0], 1);
    assert_int_equal(trial.done[3], 0);
}

static void progress_counts_rows_and_can_stop(void **state) {
    Trial trial;
    fill(&trial, 10, 10);
    trial.costs[9].rows = 110;
    Progress progress = {tick, &trial};
    Batcher batcher = {.rows = 100, .progress = &progress, .stage = "try"};
    BatchJob job = job_of(&trial, 10);
    assert_int_equal(batch_run(&batcher, &job), LIMN_OK);
    assert_string_equal(trial.stage, "try");
    assert_int_equal(trial.last_total, 200 * 4); /* the last run's: rows times parts of a run */
    assert_int_equal(trial.last_done, 90 * 4 + 110 * 3);
    /* over several jobs: by cases */
    batcher.expected = 20;
    batcher.done = 0;
    trial.runs = 0;
    assert_int_equal(batch_run(&batcher, &job), LIMN_OK);
    assert_in_range(trial.last_done * 100 / trial.last_total, 40, 49);
    assert_int_equal(batch_run(&batcher, &job), LIMN_OK);
    assert_in_range(trial.last_done * 100 / trial.last_total, 90, 99);
    trial.ticks = 0;
    trial.stop_at = 3;
    assert_int_equal(batch_run(&batcher, &job), LIMN_CANCELLED);
}

static void nothing_to_do_is_done(void **state) {
    Trial trial;
    fill(&trial, 0, 0);
    Batcher batcher = {0};
    BatchJob job = job_of(&trial, 0);
    assert_int_equal(batch_run(&batcher, &job), LIMN_OK);
    assert_int_equal(trial.runs, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_are_about_as_long),
        cmocka_unit_test(a_case_longer_than_a_run_runs_alone),
        cmocka_unit_test(outputs_and_bytes_bound_a_run_too),
        cmocka_unit_test(cases_run_by_their_keys_and_are_delivered_in_order),
        cmocka_unit_test(short_memory_makes_runs_smaller_and_stays),
        cmocka_unit_test(what_one_case_cannot_have_is_refused),
        cmocka_unit_test(progress_counts_rows_and_can_stop),
        cmocka_unit_test(nothing_to_do_is_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
