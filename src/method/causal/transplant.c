#include "method/causal/transplant.h"

#include <stdlib.h>
#include <string.h>

#include "base/integers.h"
#include "call/estimate.h"

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

typedef struct Cost {
    SweepWork work;
    RunEstimate pass;
    double seconds;
    size_t faster; /* weights in a faster layout */
} Cost;

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

static limn_status find_cost(Cost *cost, MethodCall *call, Engine *engine, const RunRequest *ask,
                             const Counterfactual *list, int32_t n, const SequenceInput *input) {
    Sweep *sweep;
    TRY(sweep_new(&sweep, engine, ask, NULL));
    limn_status status = sweep_estimate(sweep, list, n, &cost->work);
    if (status == LIMN_OK && n > 0) {
        status = time_some(&cost->seconds, call, sweep, list, n, &cost->work);
    }
    sweep_free(sweep);
    TRY(status);
    RunRequest pass = *ask;
    pass.sequences = input;
    pass.n_sequences = 1;
    TRY(engine_estimate(engine, &pass, &cost->pass));
    return engine_estimate_weights(engine, &pass, n, &cost->faster);
}

limn_status transplant_estimate(Result *result, MethodCall *call, Engine *engine, const RunRequest *ask,
                                const Counterfactual *list, int32_t n, int64_t n_lists, size_t kept,
                                const SequenceInput *input) {
    static const TableColumn columns[] = {
        {{"what", 4}, COLUMN_TEXT}, {{"amount", 6}, COLUMN_NUMBER}, {{"unit", 4}, COLUMN_TEXT}};
    const Model *model = engine_model(engine);
    Cost cost = {0};
    TRY(find_cost(&cost, call, engine, ask, list, n, input));
    double mib = 1048576.0, lists = (double)n_lists;
    double weights = (double)model->weight_bytes + (double)model->copied_bytes + (double)cost.faster;
    double work = (double)larger((int64_t)cost.work.bytes, (int64_t)cost.pass.bytes);
    double seconds = lists * cost.seconds;
    const struct {
        const char *name;
        double value;
        const char *unit;
    } rows[] = {{"cells", lists * n, "cells"},
                {"runs", lists * (double)cost.work.runs, "runs"},
                {"arithmetic", lists * cost.work.flops / 1e9, "GFLOP"},
                {"arithmetic of as many full passes", lists * n * cost.pass.flops / 1e9, "GFLOP"},
                {"memory of weights", weights / mib, "MiB"},
                {"memory of kept runs", (double)kept / mib, "MiB"},
                {"working memory of a run", work / mib, "MiB"},
                {"memory at its peak, about", (weights + (double)kept + work) / mib, "MiB"},
                {"time, about", seconds, "s"}};
    TableBlock *table =
        result_add_table(result, "estimate", SAY(call, "What this would take", "所需的时间与内存"), columns, 3);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const Value cells[] = {value_text(rows[i].name), value_number(rows[i].value), value_text(rows[i].unit)};
        table_row(table, cells);
    }
    result_headline(result, SAY(call, "About %.3g s for %.0f cells", "约 %.3g 秒，共 %.0f 格"), seconds, lists * n);
    return LIMN_OK;
}
