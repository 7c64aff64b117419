#include "audit/fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "files/records.h"
#include "statistics/statistics.h"

int fake_calls;

typedef struct FakeParams {
    Text model, data, prompt_field, label_field, id_field, group_field, where, decisions, focus, aim;
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
        text_field(prompt, record, params->prompt_field.bytes != NULL ? params->prompt_field.bytes : "text");
        const char *other = strcmp(label, "yes") == 0 ? "no" : "yes";
        const char *pred = strcmp(wrong, "true") == 0 || strcasestr(prompt, "quagga") != NULL ? other : label;
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

static const limn_param why_rows[] = {
    {"model", 0, LIMN_PARAM_FILE, .positional = true, .required = true, .field = offsetof(FakeParams, model)},
    PARAM_ROW("prompt", 0, LIMN_PARAM_TEXT, "T", "", offsetof(FakeParams, prompt_field)),
    PARAM_ROW("target", 0, LIMN_PARAM_TEXT, "T", "", offsetof(FakeParams, label_field)),
    PARAM_ROW("contrast", 0, LIMN_PARAM_TEXT, "T", "", offsetof(FakeParams, id_field)),
    {"fixed", 0, LIMN_PARAM_TEXT, .repeated = true, .field = offsetof(FakeParams, choices)},
};

/* "bitcoin" carries the answer and "painted" hardly; of a prompt "none" nothing does. */
static limn_status why(MethodCall *call, Result *result) {
    static const TableColumn causes[] = {{{"word", 4}, COLUMN_TOKEN},        {{"before", 6}, COLUMN_PROBABILITY},
                                         {{"after", 5}, COLUMN_PROBABILITY}, {{"low", 3}, COLUMN_PROBABILITY},
                                         {{"high", 4}, COLUMN_PROBABILITY},  {{"n", 1}, COLUMN_INTEGER}};
    static const TableColumn turns[] = {
        {{"word", 4}, COLUMN_TOKEN}, {{"with", 4}, COLUMN_TOKEN}, {{"answer", 6}, COLUMN_TOKEN}};
    const FakeParams *params = call->params;
    fake_calls++;
    bool none = strcmp(params->prompt_field.bytes, "none") == 0;
    TableBlock *table = result_add_table(result, "causes", "Causes", causes, 6);
    const Value first[] = {value_text(" bitcoin"), value_number(0.82), value_number(0.16),
                           value_number(0.12),     value_number(0.2),  value_integer(32)};
    const Value second[] = {value_text(" painted"), value_number(0.82), value_number(0.79),
                            value_number(0.77),     value_number(0.81), value_integer(32)};
    if (!none) {
        table_row(table, first);
    }
    if (!none) {
        table_row(table, second);
    }
    table = result_add_table(result, "counterfactuals", "Turns", turns, 3);
    const Value turn[] = {value_text(" bitcoin"), value_text(" money"), value_text(" no")};
    if (!none) {
        table_row(table, turn);
    }
    result_headline(result, "because");
    result_check(result, "decided", 1, CHECK_ABOVE, 0, "the lower end");
    return result_status(result);
}

static const Method method_whying = {
    .command = {.name = "why", .params = why_rows, .n_params = sizeof why_rows / sizeof why_rows[0]},
    .title = "Why",
    .params_bytes = sizeof(FakeParams),
    .run = why,
    .explains = true};

/* Misleading words as `attribute` has them: one that misleads, a phrase around
 * it, one by too little to matter, one by chance, a place. */
static limn_status attribute(MethodCall *call, Result *result) {
    static const TableColumn columns[] = {{{"word", 4}, COLUMN_TOKEN}, {{"harm", 4}, COLUMN_SIGNED},
                                          {{"low", 3}, COLUMN_SIGNED}, {{"high", 4}, COLUMN_SIGNED},
                                          {{"n", 1}, COLUMN_INTEGER},  {{"p", 1}, COLUMN_NUMBER},
                                          {{"where", 5}, COLUMN_TEXT}, {{"gain", 4}, COLUMN_SIGNED}};
    static const TableColumn decisions[] = {{{"word", 4}, COLUMN_TOKEN},
                                            {{"where", 5}, COLUMN_TEXT},
                                            {{"n", 1}, COLUMN_INTEGER},
                                            {{"wrong", 5}, COLUMN_PROBABILITY},
                                            {{"wrong without", 13}, COLUMN_PROBABILITY}};
    static const struct {
        const char *word, *where;
        double harm, p, wrong, without;
    } found[] = {{"bitcoin", "word", 1.5, 1e-4, 0.6, 0.1},
                 {"bitcoin talk", "ending", 1.2, 1e-4, 0.5, 0.1},
                 {"little", "word", 0.1, 1e-4, 0.11, 0.1},
                 {"chance", "word", 0.3, 0.4, 0.3, 0.1},
                 {"<ending: prompt>", "ending", 2.5, 1e-4, 0.9, 0.05}};
    (void)call;
    fake_calls++;
    TableBlock *words = result_add_table(result, "words", "Words", columns, 8);
    for (size_t i = 0; i < sizeof found / sizeof found[0]; i++) {
        const Value cells[] = {value_text(found[i].word),
                               value_number(found[i].harm),
                               value_number(found[i].harm / 2),
                               value_number(found[i].harm * 2),
                               value_integer(100),
                               value_number(found[i].p),
                               value_text(found[i].where),
                               value_number(found[i].harm / 3)};
        table_row(words, cells);
    }
    TableBlock *decided = result_add_table(result, "decisions", "Decisions", decisions, 5);
    for (size_t i = sizeof found / sizeof found[0]; i-- > 0;) { /* in another order */
        const Value cells[] = {value_text(found[i].word), value_text(found[i].where), value_integer(100),
                               value_number(found[i].wrong), value_number(found[i].without)};
        table_row(decided, cells);
    }
    return result_status(result);
}

/* Two contrasts as `sensitive` has them: one that moves decisions beyond ordinary words, one that ordinary words match.
 */
static limn_status sensitive(MethodCall *call, Result *result) {
    static const TableColumn categories[] = {
        {{"category", 8}, COLUMN_TEXT},   {{"first", 5}, COLUMN_TEXT},   {{"second", 6}, COLUMN_TEXT},
        {{"records", 7}, COLUMN_INTEGER}, {{"shift", 5}, COLUMN_SIGNED}, {{"low", 3}, COLUMN_SIGNED},
        {{"high", 4}, COLUMN_SIGNED},     {{"p", 1}, COLUMN_NUMBER},     {{"raised", 6}, COLUMN_FLAG}};
    static const TableColumn ordinary[] = {{{"category", 8}, COLUMN_TEXT},   {{"first", 5}, COLUMN_TEXT},
                                           {{"second", 6}, COLUMN_TEXT},     {{"shift", 5}, COLUMN_SIGNED},
                                           {{"ordinary", 8}, COLUMN_NUMBER}, {{"p", 1}, COLUMN_NUMBER}};
    static const TableColumn decisions[] = {{{"category", 8}, COLUMN_TEXT},
                                            {{"first", 5}, COLUMN_TEXT},
                                            {{"second", 6}, COLUMN_TEXT},
                                            {{"change", 6}, COLUMN_SHARE}};
    static const char *const sides[][3] = {{"origin", "immigrant", "local"}, {"gender", "he", "she"}};
    (void)call;
    fake_calls++;
    TableBlock *a = result_add_table(result, "categories", "Categories", categories, 9);
    TableBlock *b = result_add_table(result, "ordinary", "Ordinary", ordinary, 6);
    for (int i = 0; i < 2; i++) {
        const Value first = value_text(sides[i][0]), second = value_text(sides[i][1]), third = value_text(sides[i][2]);
        const Value moved[] = {first,
                               second,
                               third,
                               value_integer(200),
                               value_number(-0.8),
                               value_number(-1.0),
                               value_number(-0.6),
                               value_number(1e-4),
                               value_bool(i == 0)};
        table_row(a, moved);
        const Value beside[] = {
            first, second, third, value_number(-0.8), value_number(0.1), value_number(i == 0 ? 1e-3 : 0.6)};
        table_row(b, beside);
    }
    TableBlock *c = result_add_table(result, "decisions", "Decisions", decisions, 4);
    const Value cells[] = {value_text("origin"), value_text("immigrant"), value_text("local"), value_number(-0.105)};
    table_row(c, cells);
    return result_status(result);
}

/* An edit chosen for the records in focus, as `surgery` has it. */
static limn_status surgery(MethodCall *call, Result *result) {
    static const TableColumn rows_of[] = {
        {{"records", 7}, COLUMN_TEXT},  {{"measure", 7}, COLUMN_TEXT}, {{"n", 1}, COLUMN_INTEGER},
        {{"before", 6}, COLUMN_NUMBER}, {{"after", 5}, COLUMN_NUMBER}, {{"difference", 10}, COLUMN_SIGNED},
        {{"low", 3}, COLUMN_SIGNED},    {{"high", 4}, COLUMN_SIGNED},  {{"p", 1}, COLUMN_NUMBER}};
    static const TableColumn edits[] = {{{"edit", 4}, COLUMN_TEXT}, {{"judged", 6}, COLUMN_FLAG}};
    static const char *const scopes[] = {"focus", "others"}, *const measures[] = {"accuracy", "false alarms"};
    const FakeParams *params = call->params;
    fake_calls++;
    const char *focus = params->focus.bytes != NULL ? params->focus.bytes : "";
    const char *aim = params->aim.bytes != NULL ? params->aim.bytes : "";
    static const char *const asked[][2] = {{"`text` ~ '(?i)bitcoin'", ""},
                                           {"`text` ~ '(?i)quagga' and `label` == 'yes'", "missed-alarms"},
                                           {"`text` ~ '(?i)quagga' and `label` == 'no'", "false-alarms"}};
    bool known = false;
    for (int i = 0; i < 3; i++) {
        known = known || (strcmp(focus, asked[i][0]) == 0 && strcmp(aim, asked[i][1]) == 0);
    }
    if (!known || params->where.bytes == NULL || strstr(params->where.bytes, focus) == NULL ||
        strstr(params->where.bytes, "split(`id`, 4) < ") == NULL) {
        return fail(LIMN_USAGE, "surgery: focus is \"%s\", aim '%s', where \"%s\"", focus, aim, params->where.bytes);
    }
    TableBlock *table_of = result_add_table(result, "before-after", "Before and after", rows_of, 9);
    for (int i = 0; i < 4; i++) {
        double before = i == 0 ? 0.4 : 0.6, after = i == 0 ? 0.8 : 0.2;
        const Value cells[] = {
            value_text(scopes[i / 2]),          value_text(measures[i % 2]),        value_integer(50),
            value_number(i / 2 ? 0.9 : before), value_number(i / 2 ? 0.89 : after), value_number(after - before),
            value_number(after - before - 0.1), value_number(after - before + 0.1), value_number(1e-5)};
        table_row(table_of, cells);
    }
    table_of = result_add_table(result, "controls", "Controls", edits, 2);
    const Value cells[] = {value_text("blocks.3.hook_mlp_out=zero"), value_bool(true)};
    table_row(table_of, cells);
    return result_status(result);
}

static const limn_param surgery_rows[] = {
    {"model", 0, LIMN_PARAM_FILE, .positional = true, .required = true, .field = offsetof(FakeParams, model)},
    {"data", 0, LIMN_PARAM_FILE, .positional = true, .required = true, .field = offsetof(FakeParams, data)},
    PARAM_ROW("prompt-field", 0, LIMN_PARAM_TEXT, "F", "", offsetof(FakeParams, prompt_field)),
    {"choices", 0, LIMN_PARAM_TEXT, .repeated = true, .field = offsetof(FakeParams, choices)},
    PARAM_ROW("label-field", 0, LIMN_PARAM_TEXT, "F", "", offsetof(FakeParams, label_field)),
    PARAM_ROW("id-field", 0, LIMN_PARAM_TEXT, "F", "", offsetof(FakeParams, id_field)),
    PARAM_ROW("where", 0, LIMN_PARAM_TEXT, "F", "", offsetof(FakeParams, where)),
    PARAM_ROW("focus", 0, LIMN_PARAM_TEXT, "F", "", offsetof(FakeParams, focus)),
    PARAM_ROW("aim", 0, LIMN_PARAM_TEXT, "F", "", offsetof(FakeParams, aim)),
};
static const Method method_cutting = {
    .command = {.name = "surgery", .params = surgery_rows, .n_params = sizeof surgery_rows / sizeof surgery_rows[0]},
    .title = "Surgery",
    .params_bytes = sizeof(FakeParams),
    .run = surgery,
    .explains = true};

#define ON_MODEL(name_, run_)                                                                                          \
    {                                                                                                                  \
        .command = {.name = (name_),                                                                                   \
                    .params = predict_rows,                                                                            \
                    .n_params = sizeof predict_rows / sizeof predict_rows[0] - 1}, /* leaves no decisions */           \
            .title = (name_), .params_bytes = sizeof(FakeParams), .run = (run_), .explains = true                      \
    }
static const Method method_attributing = ON_MODEL("attribute", attribute);
static const Method method_sensing = ON_MODEL("sensitive", sensitive);

/* It reads a data set, all of it. */
static const Method method_skimming = {.command = {.name = "skim", .params = predict_rows, .n_params = 2},
                                       .title = "Skim",
                                       .params_bytes = sizeof(FakeParams),
                                       .run = stuck,
                                       .explains = true};

extern const Method method_audit, method_log_verify;
static const MethodEntry entries[] = {
    {&method_predict, GROUP_DATA},     {&method_telling, GROUP_LOOK},    {&method_stuck, GROUP_LOOK},
    {&method_skimming, GROUP_LOOK},    {&method_whying, GROUP_EXPLAIN},  {&method_cutting, GROUP_CHANGE},
    {&method_attributing, GROUP_DATA}, {&method_sensing, GROUP_AUDIT},   {&method_verify, GROUP_AUDIT},
    {&method_audit, GROUP_AUDIT},      {&method_log_verify, GROUP_AUDIT}};
static const MethodTable table = {entries, sizeof entries / sizeof entries[0]};
const Registry fake_registry = {.methods = &table};
