#include "call/estimate.h"

#include <time.h>

double estimate_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static double mib(double bytes) {
    return bytes / 1048576.0;
}

void estimate_table(Result *result, const MethodCall *call, const EstimateRow *rows, int32_t n) {
    static const TableColumn columns[] = {
        {TEXT("what"), COLUMN_NAME}, {TEXT("amount"), COLUMN_NUMBER}, {TEXT("unit"), COLUMN_NAME}};
    TableBlock *table =
        result_add_table(result, "estimate", SAY(call, "What this would take", "所需的时间与内存"), columns, 3);
    for (int32_t i = 0; i < n; i++) {
        const Value cells[] = {value_text(rows[i].name), value_number(rows[i].value), value_text(rows[i].unit)};
        table_row(table, cells);
    }
}

void estimate_memory_rows(EstimateRow *rows, const Model *model, const MemoryEstimate *memory) {
    double weights = mib((double)model->weight_bytes) + mib((double)model->copied_bytes) + mib((double)memory->faster);
    rows[0] = (EstimateRow){"memory of weights", weights, "MiB"};
    rows[1] = (EstimateRow){"memory of kept runs", mib((double)memory->kept), "MiB"};
    rows[2] = (EstimateRow){"working memory of a run", mib((double)memory->work), "MiB"};
    rows[3] = (EstimateRow){"memory at its peak, about",
                            weights + mib((double)memory->kept) + mib((double)memory->work), "MiB"};
}

limn_status estimate_show(Result *result, const MethodCall *call, Engine *engine, const RunRequest *request,
                          int64_t runs, const EstimateRow *rows, int32_t n) {
    enum { OWN = 7 };
    RunEstimate estimate;
    size_t faster;
    TRY(engine_estimate(engine, request, &estimate));
    TRY(engine_estimate_weights(engine, request, runs, &faster));
    EstimateRow *all = ARENA_ARRAY(call->arena, EstimateRow, n + OWN);
    if (all == NULL) {
        return method_no_memory(call);
    }
    const Model *model = engine_model(engine);
    double peak = mib((double)model->weight_bytes) + mib((double)model->copied_bytes) + mib((double)faster) +
                  mib((double)estimate.bytes);
    const EstimateRow own[OWN] = {{"weights, as stored", mib((double)model->weight_bytes), "MiB"},
                                  {"memory of converted weights", mib((double)model->copied_bytes), "MiB"},
                                  {"memory of weights in a faster layout", mib((double)faster), "MiB"},
                                  {"working memory of one step", mib((double)estimate.bytes), "MiB"},
                                  {"memory at its peak, about", peak, "MiB"},
                                  {"the least it could do with", mib((double)estimate.least_bytes), "MiB"},
                                  {"arithmetic of one step", estimate.flops / 1e9, "GFLOP"}};
    for (int32_t i = 0; i < OWN + n; i++) {
        all[i] = i < OWN ? own[i] : rows[i - OWN];
    }
    estimate_table(result, call, all, OWN + n);
    return LIMN_OK;
}
