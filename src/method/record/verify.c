/* Runs a recorded result again and compares.
 *
 * On the same version, backend, instruction set and libraries the same bytes are promised, so anything else fails;
 * elsewhere the numbers must agree within the tolerance and everything that is not a number must be equal. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "call/call.h"

typedef struct VerifyParams {
    Text file;
    Text model;
    double tolerance;
} VerifyParams;

enum { RESULT_FILE_CAP = 1 << 30 };

/* What the record leaves open: where the model lies now, threads (those of the record unless said otherwise: the same
 * bytes are promised for the same number) and memory. */
static limn_status add_effort(json_t *params, const MethodCall *call, const Result *recorded) {
    const VerifyParams *verify = call->params;
    int64_t threads = call->common.threads > 0 ? call->common.threads : recorded->provenance.threads;
    bool added = threads <= 0 || json_object_set_new(params, "threads", json_integer(threads)) == 0;
    size_t memory = call->common.memory;
    if (memory > 0) {
        json_t *value = memory == PARAM_BYTES_LEAST ? json_string("min") : json_integer((json_int_t)memory);
        added = added && json_object_set_new(params, "memory", value) == 0;
    }
    if (verify->model.bytes != NULL) {
        added = added && json_object_set_new(params, "model", json_string(verify->model.bytes)) == 0;
    }
    return added ? LIMN_OK : method_no_memory(call);
}

/* The recorded request as JSON parameters. */
static limn_status recorded_params(json_t **params, const MethodCall *call, const Result *recorded) {
    const VerifyParams *verify = call->params;
    char *text;
    if (recorded->command == NULL) {
        return fail(LIMN_FORMAT, "%s: the result does not say which call made it", verify->file.bytes);
    }
    const Method *method = registry_find(call->registry, recorded->command);
    if (method == NULL || !method->explains) {
        return fail(LIMN_UNSUPPORTED, "%s: made by '%s', which cannot be run again", verify->file.bytes,
                    recorded->command);
    }
    TRY(result_request_json(&text, recorded));
    json_error_t error;
    *params = json_loads(text, JSON_ALLOW_NUL, &error);
    free(text);
    if (*params == NULL) {
        return fail(LIMN_FORMAT, "%s: the recorded parameters are broken: %s", verify->file.bytes, error.text);
    }
    return add_effort(*params, call, recorded);
}

static void describe(Result *result, const Comparison *comparison, const VerifyParams *params) {
    static const TableColumn columns[] = {{{"where", 5}, COLUMN_TEXT},
                                          {{"recorded", 8}, COLUMN_TEXT},
                                          {{"now", 3}, COLUMN_TEXT},
                                          {{"relative difference", 19}, COLUMN_NUMBER},
                                          {{"tolerated", 9}, COLUMN_FLAG}};
    result_check(result, "same-answer", comparison->within ? 1 : 0, CHECK_AT_LEAST, 1,
                 "1 when everything agrees, numbers within %g of the largest of their kind; 0 when something differs",
                 params->tolerance);
    if (comparison->same_environment) {
        result_check(
            result, "same-bytes", comparison->same_bytes ? 1 : 0, CHECK_AT_LEAST, 1,
            "1 when the bytes are the same, as the same version, backend and machine type promise; 0 when not");
    } else {
        result_warn(result,
                    "recorded with another version, backend, machine type or number of threads: compared within "
                    "tolerances");
    }
    result_headline(result, "%s: %s", path_base(params->file.bytes),
                    comparison->same_bytes ? "the same bytes again"
                    : comparison->within   ? "the same answer within the tolerance"
                                           : "another answer");
    if (comparison->n_differences == 0) {
        return;
    }
    TableBlock *table = result_add_table(result, "differences", "Differences", columns, 5);
    if (comparison->kept < comparison->n_differences) {
        result_block_note(result, "the first %d of %lld", (int)comparison->kept, (long long)comparison->n_differences);
    }
    for (int32_t i = 0; i < comparison->kept; i++) {
        const Difference *difference = &comparison->differences[i];
        Value cells[] = {value_text(difference->path), value_text(difference->first), value_text(difference->second),
                         value_number(difference->size), value_bool(difference->tolerated)};
        table_row(table, cells);
    }
}

static limn_status compare(MethodCall *call, Result *result, const Result *recorded, const json_t *again) {
    const VerifyParams *params = call->params;
    CallListeners listeners = {.progress = *call->progress};
    Result *now = NULL;
    TRY(method_call(&now, call->registry, call->models, recorded->command, again, &listeners));
    if (params->model.bytes != NULL) {
        /* what was asked is the same but for where the model lies */
        char *text;
        limn_status status = result_request_json(&text, recorded);
        if (status == LIMN_OK) {
            result_request(now, recorded->command, text);
            free(text);
        }
    }
    Comparison comparison;
    Tolerance tolerance = {.relative = params->tolerance, .absolute = 0};
    limn_status status = result_compare(&comparison, recorded, now, tolerance);
    if (status == LIMN_OK) {
        describe(result, &comparison, params);
        comparison_free(&comparison);
        status = result_status(result);
    }
    result_free(now);
    return status;
}

static limn_status run(MethodCall *call, Result *result) {
    const VerifyParams *params = call->params;
    char *bytes;
    size_t length;
    Result *recorded = NULL;
    json_t *again = NULL;
    TRY(file_read(&bytes, &length, params->file.bytes, RESULT_FILE_CAP));
    limn_status status = result_read_json(&recorded, bytes, length, params->file.bytes);
    free(bytes);
    TRY(status);
    status = recorded_params(&again, call, recorded);
    if (status == LIMN_OK) {
        status = compare(call, result, recorded, again);
    }
    json_decref(again);
    result_free(recorded);
    return status;
}

static const limn_param rows[] = {
    {"result", 0, LIMN_PARAM_FILE, .positional = true, .required = true, .metavar = "RESULT.json",
     .help = "a result written with --json", .field = offsetof(VerifyParams, file)},
    {"model", 0, LIMN_PARAM_FILE, .metavar = "MODEL", .help = "where the model lies now, if it has moved",
     .field = offsetof(VerifyParams, model)},
    {"tolerance", 0, LIMN_PARAM_NUMBER, .metavar = "X", .default_text = "1e-4", .minimum = 0, .maximum = 1,
     .help = "largest relative difference on another kind of machine", .field = offsetof(VerifyParams, tolerance)},
};

const Method method_verify = {
    .command = {.name = "verify",
                .summary = "run a recorded result again and compare",
                .description = "Takes the method, the parameters and the seed from the record. On the same version and "
                               "kind of machine the bytes must be equal; elsewhere numbers must agree within the "
                               "tolerance. The exit code is 0 when they do and 1 when not.",
                .examples = "limn ig MODEL -p 'The capital of France is' --json -o why.json\nlimn verify why.json",
                .params = rows,
                .n_params = sizeof rows / sizeof rows[0],
                .from_record = true},
    .title = "Verification",
    .params_bytes = sizeof(VerifyParams),
    .run = run,
};
