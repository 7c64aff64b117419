#include "method/causal/transplant.h"

#include <stdlib.h>
#include <string.h>

#include "base/integers.h"

int transplant_rows(Edit *edits, const Alignment *alignment, const Donor *donor, int32_t from, int32_t to,
                    int64_t begin, int64_t end) {
    int n = 0;
    for (int i = 0; i < alignment->n_runs; i++) {
        const AlignedRows *run = &alignment->runs[i];
        int32_t first = (int32_t)larger(run->base, from), last = (int32_t)smaller(run->base + run->n, to);
        if (first < last) {
            edits[n++] = (Edit){.node = donor->node,
                                .kind = EDIT_SET,
                                .row_begin = first,
                                .row_end = last,
                                .element_begin = begin,
                                .element_end = end,
                                .values = donor->values + (run->source + first - run->base) * donor->width + begin,
                                .row_stride = donor->width};
        }
    }
    return n;
}

limn_status transplant_full_pass(double *value, MethodCall *call, Engine *engine, const Outcome *outcome,
                                 const RunRequest *ask, const SequenceInput *input, const Edit *edits,
                                 int32_t n_edits) {
    RunRequest request = *ask;
    Edit *own = malloc(((size_t)n_edits + 1) * sizeof *own);
    if (own == NULL) {
        return method_no_memory(call);
    }
    for (int32_t i = 0; i < n_edits; i++) {
        own[i] = edits[i];
        own[i].sequence = 0;
    }
    request.sequences = input;
    request.n_sequences = 1;
    request.edits = own;
    request.n_edits = n_edits;
    limn_status status = engine_run(engine, &request, call->progress);
    if (status == LIMN_OK) {
        *value = outcome_value(outcome, engine_seed(engine, 0), request.n_outputs);
    }
    free(own);
    return status;
}

static limn_status take_nothing(void *context, const CounterfactualAnswer *answer) {
    (void)context;
    (void)answer;
    return LIMN_OK;
}

/* Some of the list, evenly spread, are swept: once so that weights are where they will be, once with the clock running.
 * Single passes would say too much: a sweep reads weights once for many. */
static limn_status time_some(double *seconds, MethodCall *call, Sweep *sweep, const Counterfactual *list, int32_t n,
                             const SweepWork *whole) {
    enum { SOME = 16 };
    Counterfactual some[SOME];
    int32_t m = (int32_t)smaller(n, SOME);
    SweepWork part;
    for (int32_t i = 0; i < m; i++) {
        some[i] = list[(int64_t)i * n / m];
    }
    TRY(sweep_estimate(sweep, some, m, &part));
    TRY(sweep_run(sweep, some, m, take_nothing, NULL, call->progress));
    double started = estimate_clock();
    TRY(sweep_run(sweep, some, m, take_nothing, NULL, call->progress));
    *seconds = part.flops > 0 ? (estimate_clock() - started) * whole->flops / part.flops : 0;
    return LIMN_OK;
}

limn_status transplant_cost(TransplantCost *cost, MethodCall *call, Engine *engine, const RunRequest *ask,
                            const Counterfactual *list, int32_t n, const SequenceInput *input) {
    Sweep *sweep;
    SweepWork work;
    RunEstimate full;
    TRY(sweep_new(&sweep, engine, ask, NULL));
    limn_status status = sweep_estimate(sweep, list, n, &work);
    if (status == LIMN_OK && n > 0) {
        status = time_some(&cost->seconds, call, sweep, list, n, &work);
    }
    sweep_free(sweep);
    TRY(status);
    RunRequest pass = *ask;
    pass.sequences = input;
    pass.n_sequences = 1;
    TRY(engine_estimate(engine, &pass, &full));
    TRY(engine_estimate_weights(engine, &pass, n, &cost->memory.faster));
    cost->cells = n;
    cost->runs = (double)work.runs;
    cost->flops = work.flops;
    cost->full_flops = n * full.flops;
    /* full passes are checks; the runs that are kept were made in this engine, too */
    int64_t most = larger((int64_t)work.bytes, (int64_t)full.bytes);
    cost->memory.work = (size_t)larger(most, (int64_t)engine_working_bytes(engine));
    return LIMN_OK;
}

limn_status transplant_show_cost(Result *result, MethodCall *call, const Model *model, const TransplantCost *cost,
                                 double times) {
    enum { OWN = 4 };
    EstimateRow rows[OWN + ESTIMATE_MEMORY_ROWS + 1] = {
        {"cells", times * cost->cells, "cells"},
        {"runs", times * cost->runs, "runs"},
        {"arithmetic", times * cost->flops / 1e9, "GFLOP"},
        {"arithmetic of as many full passes", times * cost->full_flops / 1e9, "GFLOP"}};
    estimate_memory_rows(rows + OWN, model, &cost->memory);
    rows[OWN + ESTIMATE_MEMORY_ROWS] = (EstimateRow){"time, about", times * cost->seconds, "s"};
    estimate_table(result, call, rows, OWN + ESTIMATE_MEMORY_ROWS + 1);
    result_headline(result, SAY(call, "About %.3g s for %.0f cells", "约 %.3g 秒，共 %.0f 格"), times * cost->seconds,
                    times * cost->cells);
    return LIMN_OK;
}
