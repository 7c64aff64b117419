#include "call/estimate.h"

#include <time.h>

double estimate_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void add_row(TableBlock *table, const char *name, double value, const char *unit) {
    Value cells[] = {value_text(name), value_number(value), value_text(unit)};
    table_row(table, cells);
}

limn_status estimate_show(Result *result, const MethodCall *call, Engine *engine, const RunRequest *request,
                          int64_t runs, const EstimateRow *rows, int32_t n) {
    static const TableColumn columns[] = {
        {{"what", 4}, COLUMN_NAME}, {{"amount", 6}, COLUMN_NUMBER}, {{"unit", 4}, COLUMN_NAME}};
    RunEstimate estimate;
    size_t faster;
    TRY(engine_estimate(engine, request, &estimate));
    TRY(engine_estimate_weights(engine, request, runs, &faster));
    TableBlock *table =
        result_add_table(result, "estimate", SAY(call, "What this would take", "所需的时间与内存"), columns, 3);
    const Model *model = engine_model(engine);
    add_row(table, "weights, as stored", (double)model->weight_bytes / 1048576.0, "MiB");
    add_row(table, "memory of converted weights", (double)model->copied_bytes / 1048576.0, "MiB");
    add_row(table, "memory of weights in a faster layout", (double)faster / 1048576.0, "MiB");
    add_row(table, "working memory of one step", (double)estimate.bytes / 1048576.0, "MiB");
    double peak = (double)(model->weight_bytes + model->copied_bytes) + (double)faster + (double)estimate.bytes;
    add_row(table, "memory at its peak, about", peak / 1048576.0, "MiB");
    add_row(table, "the least it could do with", (double)estimate.least_bytes / 1048576.0, "MiB");
    add_row(table, "arithmetic of one step", estimate.flops / 1e9, "GFLOP");
    for (int32_t i = 0; i < n; i++) {
        add_row(table, rows[i].name, rows[i].value, rows[i].unit);
    }
    return LIMN_OK;
}
