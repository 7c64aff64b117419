/* What a question would cost, before it is asked: memory from the program itself, time from one measured step. */
#ifndef LIMN_CALL_ESTIMATE_H
#define LIMN_CALL_ESTIMATE_H

#include "call/method.h"

typedef struct EstimateRow {
    const char *name;
    double value;
    const char *unit;
} EstimateRow;

/* The row of the option; the field is a bool. */
#define ESTIMATE_ROW(type, member)                                                                                     \
    {                                                                                                                  \
        "estimate", 0, LIMN_PARAM_FLAG, .help = "say what this would take in memory and time, and stop",               \
                                        .field = offsetof(type, member)                                                \
    }

/* Adds a table "estimate". */
void estimate_table(Result *result, const MethodCall *call, const EstimateRow *rows, int32_t n);

/* What a question holds at once beside the model as it was opened. */
typedef struct MemoryEstimate {
    size_t faster; /* weights in a faster layout */
    size_t kept;   /* runs and caches that stay */
    size_t work;   /* of the largest run */
} MemoryEstimate;

enum { ESTIMATE_MEMORY_ROWS = 4 };
void estimate_memory_rows(EstimateRow *rows, const Model *model, const MemoryEstimate *memory);

/* Adds a table "estimate" with the request's memory and arithmetic, then the given rows. runs: how often the request,
 * or one like it, will run. */
limn_status estimate_show(Result *result, const MethodCall *call, Engine *engine, const RunRequest *request,
                          int64_t runs, const EstimateRow *rows, int32_t n);

double estimate_clock(void); /* seconds, monotonic */

#endif
