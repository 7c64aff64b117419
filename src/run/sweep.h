/* Sweeps: thousands of changes to kept runs, each at the cost of what it changes.
 *
 * A counterfactual is a clean run (clean_run.h) with edits of its sites, other tokens at some positions, or both. What
 * has to run is found from these: it begins at the first row that differs (rows before are read from the clean run's
 * cache), at the last kept layer below the first edit (what lies below is the clean run's stream), and ends at the last
 * row whose output is wanted. In bidirectional models all rows run and only layers are saved. The answers are those of
 * separate full passes.
 *
 *     CleanRun *clean;
 *     Sweep *sweep;
 *     OutputRow last = {.row = n - 1, .target = id};
 *     RunRequest ask = {.outputs = &last, .n_outputs = 1, .objective = OBJECTIVE_LOG_PROB,
 *                       .editable = nodes, .n_editable = L};
 *     clean_run_new(&clean, engine, &input, NULL, progress);
 *     sweep_new(&sweep, engine, &ask, NULL);
 *     Edit edit = {.node = nodes[l], .row_begin = t, .row_end = t + 1, .element_end = -1,
 *                  .values = other + t * width};                        // patch layer l, position t with another run's
 *     Counterfactual list[] = {{.clean = clean, .edits = &edit, .n_edits = 1}, ...};
 *     sweep_run(sweep, list, n, take, context, progress);             // take(context, &answer) for each
 *
 * The list is sorted and cut into runs that fit the memory: many counterfactuals in each, so that weights are read once
 * for all of them. All runs of a sweep share one program when `editable` names every site that is edited (else those of
 * the list at hand). A change of nothing gives the clean run's own answer, for little more than the head. A sweep that
 * runs again with a list no longer than before allocates nothing: a live edit is a list of one. */
#ifndef LIMN_RUN_SWEEP_H
#define LIMN_RUN_SWEEP_H

#include "run/clean_run.h"

/* Another token in the place of the clean run's. */
typedef struct TokenChange {
    int32_t row; /* of the clean run */
    int32_t id;
} TokenChange;

typedef struct Counterfactual {
    const CleanRun *clean; /* those of one sweep may differ */
    const Edit *edits;     /* [n_edits] rows are the clean run's; sequence and sequence_stride are not read */
    int32_t n_edits;
    const TokenChange *tokens; /* [n_tokens] */
    int32_t n_tokens;
    const OutputRow *outputs; /* [n_outputs] rows of the clean run, sequence is not read; NULL: those of the sweep */
    int32_t n_outputs;
    KvCache *append; /* NULL, or a cache of enough rows that is made to hold all its keys and values, to go on from */
} Counterfactual;

/* What a counterfactual gave. Borrowed until `take` returns. */
typedef struct CounterfactualAnswer {
    int32_t index;          /* into the list */
    int32_t n_outputs;      /* in the order they were asked for */
    const float *objective; /* [n_outputs]; NULL: none was asked for */
    const float *logits;    /* [n_outputs, V]; NULL: they were not asked for */
    int32_t first_output;   /* F of seed i at them is engine_seed(engine, i) + first_output */
    /* The clean run's rows [row_begin, row_end) ran. In a tap or gradient (engine_tap, engine_grad) the first of them
     * is row first_row; at sites below the join these are NaN and 0. */
    int32_t row_begin, row_end;
    int32_t first_row;
    Join join; /* where it joined */
} CounterfactualAnswer;

/* Called once for each counterfactual, in the order in which they run. A failure ends the sweep with its status. */
typedef limn_status (*CounterfactualTake)(void *context, const CounterfactualAnswer *answer);

typedef struct SweepOptions {
    int32_t run_rows; /* the most rows of one run, though one counterfactual runs whatever its size; 0: 8192 */
    bool all_rows;    /* run to the last row even where no output needs it: for taps and gradients of later rows */
} SweepOptions;

typedef struct Sweep Sweep;

/* ask: what every counterfactual is asked. Its sequences, edits, appends and seed_rows are not read; its outputs (rows
 * of the clean run, sequence is not read) are those of counterfactuals that name none; editable, taps, grads,
 * objective, seeds, sink, rules and logits are as in a run, but that seeds know an output row by its number among those
 * of its counterfactual. Borrowed until sweep_free, as the engine is. options may be NULL. */
limn_status sweep_new(Sweep **sweep, Engine *engine, const RunRequest *ask, const SweepOptions *options);
void sweep_free(Sweep *sweep);

limn_status sweep_run(Sweep *sweep, const Counterfactual *list, int32_t n, CounterfactualTake take, void *context,
                      const Progress *progress);

/* While a sweep runs (a sink is handed rows of its runs; a tap is read in `take`): whose a run's row is, as an index
 * into the list, and which row of its clean run. */
int32_t sweep_find(const Sweep *sweep, int32_t row, int32_t *clean_row);

typedef struct SweepWork {
    int64_t runs;
    int64_t rows;
    double row_layers; /* as in RunEstimate */
    double flops;
    size_t bytes; /* activations and scratch of the run that needs most */
} SweepWork;

/* What a list would cost, without running it. */
limn_status sweep_estimate(Sweep *sweep, const Counterfactual *list, int32_t n, SweepWork *work);

#endif
