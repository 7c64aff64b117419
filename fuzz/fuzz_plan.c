/* A plan against two commands of few options: what is read can be shown again, what is refused has a place. */
#include "audit/plan.h"

#include <stdlib.h>
#include <string.h>

#include "audit/audit.h"
#include "fuzz.h"

typedef struct FuzzParams {
    Text model, data, where;
    int64_t limit;
    Text decisions;
} FuzzParams;

static const limn_param rows[] = {
    {"model", 0, LIMN_PARAM_FILE, .positional = true, .required = true, .field = offsetof(FuzzParams, model)},
    {"data", 0, LIMN_PARAM_FILE, .positional = true, .field = offsetof(FuzzParams, data)},
    PARAM_ROW("where", 0, LIMN_PARAM_TEXT, "F", "", offsetof(FuzzParams, where)),
    {"limit", 0, LIMN_PARAM_INTEGER, .minimum = 1, .maximum = 100, .field = offsetof(FuzzParams, limit)},
    PARAM_ROW("decisions", 0, LIMN_PARAM_OUTPUT, "F", "", offsetof(FuzzParams, decisions)),
};
static const Method predict = {.command = {.name = "predict", .params = rows, .n_params = sizeof rows / sizeof rows[0]},
                               .title = "Predictions",
                               .params_bytes = sizeof(FuzzParams),
                               .explains = true};
static const MethodEntry entries[] = {{&predict, GROUP_DATA}};
static const MethodTable table = {entries, 1};
static const Registry registry = {.methods = &table};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Arena arena;
    Plan plan;
    const PlanOverrides none = {0};
    arena_init(&arena);
    limn_status status =
        plan_read_text(&plan, &registry, "/proc/self/fd/plan.yaml", (const char *)data, size, &none, &arena);
    if (status == LIMN_OK) {
        for (int32_t i = 0; i < plan.n_steps; i++) {
            TextBuffer line = TEXT_BUFFER_INIT;
            check(command_line(&line, &plan, &plan.steps[i]) == LIMN_OK, "a command line");
            text_buffer_free(&line);
        }
        plan_free(&plan);
    } else {
        check_failure(status);
    }
    arena_free(&arena);
    return 0;
}
