#include "audit/fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "files/records.h"
#include "statistics/statistics.h"

int fake_calls;

typedef struct FakeParams {
    Text model, data, prompt_field, label_field, id_field, group_field, where, decisions;
    ParamTexts choices;
    int64_t limit, sample;
    double value;
    Text a;
} FakeParams;

static const limn_param predict_rows[] = {
    {"model", 0, LIMN_PARAM_FILE, .positional = true, .required = true, .metavar = "MODEL",
     .field = offsetof(FakeParams, model)},
    {"data", 0, LIMN_PARAM_FILE, .positional = true, .required = true, .metavar = "DATA",
     .field = offsetof(FakeParams, data)},
    {"choices", 0, LIMN_PARAM_TEXT, .repeated = true, .field = offsetof(FakeParams, choices)},
    PARAM_ROW("prompt-field", 0, LIMN_PARAM_TEXT, "F", "", offsetof(FakeParams, prompt_field)),
    PARAM_ROW("label-field", 0, LIMN_PARAM_TEXT, "F", "", offsetof(FakeParams, label_field)),
    PARAM_ROW("id-field", 0, LIMN_PARAM_TEXT, "F", "", offsetof(FakeParams, id_field)),
    PARAM_ROW("group-field", 0, LIMN_PARAM_TEXT, "F", "", offsetof(FakeParams, group_field)),
    PARAM_ROW("where", 0, LIMN_PARAM_TEXT, "F", "", offsetof(FakeParams, where)),
    {"limit", 0, LIMN_PARAM_INTEGER, .minimum = 1, .maximum = 1e9, .field = offsetof(FakeParams, limit)},
    {"sample", 0, LIMN_PARAM_INTEGER, .minimum = 1, .maximum = 1e9, .field = offsetof(FakeParams, sample)},
    PARAM_ROW("decisions", 0, LIMN_PARAM_OUTPUT, "FILE", "", offsetof(FakeParams, decisions)),
};

static void text_field(char out[64], const Record *record, const char *name) {
    TextBuffer text = TEXT_BUFFER_INIT;
    FieldValue value = record_field(record, name, strlen(name));
    field_text(&text, &value);
    snprintf(out, 64, "%s", text.data != NULL ? text.data : "");
    text_buffer_free(&text);
}

static limn_status decide(const FakeParams *params, TextBuffer *out, int64_t *n, int64_t *right) {
    RecordReader *reader;
    const Record *record;
    TRY(record_reader_open(&reader, params->data.bytes, RECORDS_AUTO, NULL));
    while (record_reader_next(reader, &record) == LIMN_OK && record != NULL) {
        char id[64], label[64], wrong[64], prompt[64];
        text_field(id, record, "id");
        text_field(label, record, "label");
        text_field(wrong, record, "wrong");
        text_field(prompt, record, "text");
        const char *other = strcmp(label, "yes") == 0 ? "no" : "yes";
        const char *pred = strcmp(wrong, "true") == 0 ? other : label;
        text_buffer_printf(
            out,
            "{\"record\": %lld, \"id\": \"%s\", \"label\": \"%s\", \"pred\": \"%s\", \"prompt\": \"%s\", "
            "\"probabilities\": {\"%s\": 0.8, \"%s\": 0.2}}\n",
            (long long)record->number, id, label, pred, prompt, pred, strcmp(pred, "yes") == 0 ? "no" : "yes");
        *right += strcmp(pred, label) == 0;
        *n += 1;
    }
    record_reader_close(reader);
    return text_buffer_status(out);
}

static limn_status predict(MethodCall *call, Result *result) {
    static const TableColumn columns[] = {{{"measure", 7}, COLUMN_TEXT},
                                          {{"value", 5}, COLUMN_NUMBER},
                                          {{"low", 3}, COLUMN_NUMBER},
                                          {{"high", 4}, COLUMN_NUMBER}};
    const FakeParams *params = call->params;
    TextBuffer out = TEXT_BUFFER_INIT;
    int64_t n = 0, right = 0;
    fake_calls++;
    limn_status status = decide(params, &out, &n, &right);
    if (status == LIMN_OK && params->decisions.bytes != NULL) {
        status = file_write_atomic(params->decisions.bytes, out.data != NULL ? out.data : "", out.length);
    }
    text_buffer_free(&out);
    TRY(status);
    Interval accuracy = wilson_interval(right, n);
    TableBlock *table = result_add_table(result, "measures", "Measures", columns, 4);
    const Value cells[] = {value_text("accuracy"), value_number(accuracy.value), value_number(accuracy.low),
                           value_number(accuracy.high)};
    table_row(table, cells);
    result_headline(result, "%lld of %lld right", (long long)right, (long long)n);
    return result_status(result);
}

static const limn_param tell_rows[] = {
    {"value", 0, LIMN_PARAM_NUMBER, .minimum = -100, .maximum = 100, .default_text = "1",
     .field = offsetof(FakeParams, value)},
    PARAM_ROW("a", 0, LIMN_PARAM_FILE, "FILE", "", offsetof(FakeParams, a)),
};

static limn_status tell(MethodCall *call, Result *result) {
    static const TableColumn columns[] = {{{"figure", 6}, COLUMN_TEXT}, {{"value", 5}, COLUMN_NUMBER}};
    const FakeParams *params = call->params;
    fake_calls++;
    TableBlock *table = result_add_table(result, "figures", "Figures", columns, 2);
    for (int i = 1; i <= 3; i++) {
        const Value cells[] = {value_text(i == 1 ? "one" : i == 2 ? "two" : "three"), value_number(i * params->value)};
        table_row(table, cells);
    }
    result_check(result, "sum", 6 * params->value, CHECK_AT_MOST, 60, "the sum of the figures");
    return result_status(result);
}

static limn_status stuck(MethodCall *call, Result *result) {
    (void)call;
    (void)result;
    fake_calls++;
    return fail(LIMN_UNSUPPORTED, "stuck: this model has no such thing");
}

static const Method method_predict = {
    .command = {.name = "predict", .params = predict_rows, .n_params = sizeof predict_rows / sizeof predict_rows[0]},
    .title = "Predictions",
    .params_bytes = sizeof(FakeParams),
    .run = predict,
    .explains = true};
static const Method method_telling = {
    .command = {.name = "tell", .params = tell_rows, .n_params = sizeof tell_rows / sizeof tell_rows[0]},
    .title = "Telling",
    .params_bytes = sizeof(FakeParams),
    .run = tell,
    .explains = true};
static const Method method_stuck = {
    .command = {.name = "stuck"}, .title = "Stuck", .params_bytes = 1, .run = stuck, .explains = true};
static const Method method_verify = {.command = {.name = "verify"}, .title = "Verify", .params_bytes = 1, .run = stuck};

extern const Method method_audit, method_log_verify;
static const MethodEntry entries[] = {{&method_predict, GROUP_DATA}, {&method_telling, GROUP_LOOK},
                                      {&method_stuck, GROUP_LOOK},   {&method_verify, GROUP_AUDIT},
                                      {&method_audit, GROUP_AUDIT},  {&method_log_verify, GROUP_AUDIT}};
static const MethodTable table = {entries, sizeof entries / sizeof entries[0]};
const Registry fake_registry = {.methods = &table};
