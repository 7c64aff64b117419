#include "result/result.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "result/build.h"

static const char *const block_names[] = {
#define BLOCK(kind, name, type, help) #name,
#include "result/blocks.def"
#undef BLOCK
};

static const struct {
    const char *name;
    bool right;
} column_rows[] = {
#define COLUMN(kind, name, right, help) {#name, right},
#include "result/columns.def"
#undef COLUMN
};

static const struct {
    const char *name;
    const char *help;
} token_state_rows[] = {
#define TOKEN_STATE(state, name, help) {#name, help},
#include "result/token_states.def"
#undef TOKEN_STATE
};

const char *block_kind_name(BlockKind kind) {
    return block_names[kind];
}

const char *column_kind_name(ColumnKind kind) {
    return column_rows[kind].name;
}

bool column_kind_right(ColumnKind kind) {
    return column_rows[kind].right;
}

const char *token_state_name(TokenState state) {
    return token_state_rows[state].name;
}

const char *token_state_help(TokenState state) {
    return token_state_rows[state].help;
}

/* ---- memory and failure ---- */

void result_fail(Result *result, limn_status status, const char *format, ...) {
    if (result->status != LIMN_OK) {
        return;
    }
    char message[ERROR_MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    result->status = fail(status, "result: %s", message);
    error_save(&result->error);
}

void *result_alloc(Result *result, size_t count, size_t size) {
    if (result->status != LIMN_OK) {
        return NULL;
    }
    void *memory = size != 0 && count > SIZE_MAX / size ? NULL : arena_zalloc(&result->arena, count * size);
    if (memory == NULL) {
        result_fail(result, LIMN_NO_MEMORY, "no memory for %zu pieces of %zu bytes", count, size);
    }
    return memory;
}

void *result_push(Result *result, void **items, int32_t *count, int32_t *capacity, size_t size) {
    if (result->status != LIMN_OK) {
        return NULL;
    }
    if (*count == *capacity) {
        if (*capacity > INT32_MAX / 2) {
            result_fail(result, LIMN_RANGE, "more than %d items in one list", *capacity);
            return NULL;
        }
        int32_t larger = *capacity < 8 ? 8 : *capacity * 2;
        void *moved = result_alloc(result, (size_t)larger, size);
        if (moved == NULL) {
            return NULL;
        }
        if (*count > 0) {
            memcpy(moved, *items, (size_t)*count * size);
        }
        *items = moved;
        *capacity = larger;
    }
    return (char *)*items + (size_t)(*count)++ * size;
}

Text text_of(const char *text) {
    return (Text){text, text == NULL ? 0 : strlen(text)};
}

Text text_of_bytes(const char *bytes, size_t length) {
    return (Text){bytes, bytes == NULL ? 0 : length};
}

bool same_text(Text a, Text b) {
    return a.length == b.length && (a.length == 0 || memcmp(a.bytes, b.bytes, a.length) == 0);
}

bool text_is(Text text, const char *expected) {
    return text.bytes != NULL && same_text(text, text_of(expected));
}

Text text_bare(Text text) {
    while (text.length > 1 && text.bytes[0] == ' ') {
        text.bytes++;
        text.length--;
    }
    return text;
}

Text result_copy(Result *result, Text text) {
    if (text.bytes == NULL) {
        return text;
    }
    char *copy = result_alloc(result, text.length + 1, 1);
    if (copy == NULL) {
        return (Text){NULL, 0};
    }
    memcpy(copy, text.bytes, text.length);
    return (Text){copy, text.length};
}

const char *result_copy_name(Result *result, const char *name) {
    return result_copy(result, text_of(name)).bytes;
}

Text result_vprintf(Result *result, const char *format, va_list arguments) {
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    char *text = length < 0 ? NULL : result_alloc(result, (size_t)length + 1, 1);
    if (text == NULL) {
        result_fail(result, LIMN_INTERNAL, "a text that cannot be formatted: %s", format);
        return (Text){NULL, 0};
    }
    vsnprintf(text, (size_t)length + 1, format, arguments);
    return (Text){text, (size_t)length};
}

/* ---- values ---- */

Value value_null(void) {
    return (Value){.kind = VALUE_NULL};
}

Value value_bool(bool boolean) {
    return (Value){.kind = VALUE_BOOL, .boolean = boolean};
}

Value value_integer(int64_t integer) {
    return (Value){.kind = VALUE_INTEGER, .integer = integer};
}

Value value_number(double number) {
    return isfinite(number) ? (Value){.kind = VALUE_NUMBER, .number = number} : value_null();
}

Value value_text(const char *text) {
    return text == NULL ? value_null() : (Value){.kind = VALUE_TEXT, .text = text_of(text)};
}

Value value_bytes(const char *bytes, size_t length) {
    return (Value){.kind = VALUE_TEXT, .text = {bytes == NULL ? "" : bytes, bytes == NULL ? 0 : length}};
}

Value result_copy_value(Result *result, Value value) {
    if (value.kind == VALUE_TEXT) {
        value.text = result_copy(result, value.text);
    } else if (value.kind == VALUE_LIST) {
        Value *items = result_alloc(result, value.count, sizeof *items);
        for (size_t i = 0; items != NULL && i < value.count; i++) {
            items[i] = result_copy_value(result, value.items[i]);
        }
        value.items = items;
    } else if (value.kind == VALUE_OBJECT) {
        Field *fields = result_alloc(result, value.count, sizeof *fields);
        for (size_t i = 0; fields != NULL && i < value.count; i++) {
            fields[i].name = result_copy_name(result, value.fields[i].name);
            fields[i].value = result_copy_value(result, value.fields[i].value);
        }
        value.fields = fields;
    }
    return result->status == LIMN_OK ? value : value_null();
}

void fields_put(Result *result, Fields *fields, const char *name, Value value) {
    value = result_copy_value(result, value);
    for (size_t i = 0; i < fields->count; i++) {
        if (strcmp(fields->items[i].name, name) == 0) {
            fields->items[i].value = value;
            return;
        }
    }
    if (fields->count == fields->capacity) {
        size_t larger = fields->capacity < 16 ? 16 : fields->capacity * 2;
        Field *moved = result_alloc(result, larger, sizeof *moved);
        if (moved == NULL) {
            return;
        }
        if (fields->count > 0) {
            memcpy(moved, fields->items, fields->count * sizeof *moved);
        }
        fields->items = moved;
        fields->capacity = larger;
    }
    name = result_copy_name(result, name);
    if (result->status == LIMN_OK) {
        fields->items[fields->count++] = (Field){name, value};
    }
}

/* ---- the document ---- */

limn_status result_new(Result **result, const char *method, const char *method_title) {
    *result = calloc(1, sizeof **result);
    if (*result == NULL) {
        return fail(LIMN_NO_MEMORY, "result: no memory for a document");
    }
    Result *r = *result;
    arena_init(&r->arena);
    r->method = result_copy_name(r, method);
    r->method_title = result_copy(r, text_of(method_title));
    r->request = (Value){.kind = VALUE_OBJECT};
    r->measured.seconds = (double)NAN;
    if (r->status != LIMN_OK) {
        limn_status status = r->status;
        result_free(r);
        *result = NULL;
        return status;
    }
    return LIMN_OK;
}

void result_free(Result *result) {
    if (result != NULL) {
        arena_free(&result->arena);
        free(result);
    }
}

limn_status result_status(const Result *result) {
    return result->status == LIMN_OK ? LIMN_OK : error_restore(&result->error);
}

void result_headline(Result *result, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    result->headline = result_vprintf(result, format, arguments);
    va_end(arguments);
}

void result_model(Result *result, const ResultModel *model) {
    result->model.name = result_copy(result, model->name);
    result->model.architecture = result_copy(result, model->architecture);
    result->model.dtype = result_copy(result, model->dtype);
    result->model.hash = result_copy(result, model->hash);
}

void result_input(Result *result, const char *bytes, size_t length) {
    result->input_text = result_copy(result, (Text){bytes, length});
}

void result_input_token(Result *result, const InputToken *token) {
    void *items = result->input_tokens;
    InputToken *place = result_push(result, &items, &result->n_input_tokens, &result->input_capacity, sizeof *token);
    if (place == NULL) {
        return;
    }
    result->input_tokens = items;
    *place = *token;
    place->bytes = result_copy(result, token->bytes);
    place->role = result_copy(result, token->role);
}

static ResultTarget copy_target(Result *result, const ResultTarget *target) {
    ResultTarget copy = *target;
    size_t n = target->n_ids < 0 ? 0 : (size_t)target->n_ids;
    copy.kind = result_copy(result, target->kind);
    copy.text = result_copy(result, target->text);
    int32_t *ids = result_alloc(result, n, sizeof *ids);
    if (ids != NULL && n > 0) {
        memcpy(ids, target->ids, n * sizeof *ids);
    }
    copy.ids = ids;
    if (target->token_log_probabilities != NULL) {
        double *each = result_alloc(result, n, sizeof *each);
        if (each != NULL && n > 0) {
            memcpy(each, target->token_log_probabilities, n * sizeof *each);
        }
        copy.token_log_probabilities = each;
    }
    return copy;
}

void result_target(Result *result, const ResultTarget *target) {
    result->target = copy_target(result, target);
    result->has_target = true;
}

void result_contrast(Result *result, const ResultTarget *contrast) {
    result->contrast = copy_target(result, contrast);
    result->has_contrast = true;
}

void result_param(Result *result, const char *name, Value value) {
    fields_put(result, &result->params, name, value);
}

void result_param_text(Result *result, const char *name, const char *text) {
    result_param(result, name, value_text(text));
}

void result_param_number(Result *result, const char *name, double number) {
    result_param(result, name, value_number(number));
}

void result_param_integer(Result *result, const char *name, int64_t integer) {
    result_param(result, name, value_integer(integer));
}

void result_param_flag(Result *result, const char *name, bool flag) {
    result_param(result, name, value_bool(flag));
}

void result_param_ids(Result *result, const char *name, const int32_t *ids, int32_t n) {
    Value *items = result_alloc(result, n < 0 ? 0 : (size_t)n, sizeof *items);
    for (int32_t i = 0; items != NULL && i < n; i++) {
        items[i] = value_integer(ids[i]);
    }
    if (items != NULL) {
        result_param(result, name, (Value){.kind = VALUE_LIST, .items = items, .count = (size_t)n});
    }
}

void result_warn(Result *result, const char *format, ...) {
    void *items = result->warnings;
    Text *place = result_push(result, &items, &result->n_warnings, &result->warnings_capacity, sizeof *place);
    if (place == NULL) {
        return;
    }
    result->warnings = items;
    va_list arguments;
    va_start(arguments, format);
    *place = result_vprintf(result, format, arguments);
    va_end(arguments);
}

static bool check_holds(double value, CheckKind kind, double limit) {
    if (!isfinite(value)) {
        return false;
    }
    switch (kind) {
    case CHECK_AT_MOST:
        return value <= limit;
    case CHECK_AT_LEAST:
        return value >= limit;
    case CHECK_BELOW:
        return value < limit;
    case CHECK_ABOVE:
        return value > limit;
    }
    return false;
}

static void add_check(Result *result, ResultCheck check, const char *name, const char *format, va_list arguments) {
    void *items = result->checks;
    ResultCheck *place = result_push(result, &items, &result->n_checks, &result->checks_capacity, sizeof *place);
    if (place == NULL) {
        return;
    }
    result->checks = items;
    *place = check;
    place->name = result_copy(result, text_of(name));
    place->meaning = result_vprintf(result, format, arguments);
}

void result_check(Result *result, const char *name, double value, CheckKind kind, double limit, const char *format,
                  ...) {
    CheckState state = check_holds(value, kind, limit) ? CHECK_PASS : CHECK_FAIL;
    va_list arguments;
    va_start(arguments, format);
    add_check(result, (ResultCheck){.value = value, .kind = kind, .limit = limit, .state = state}, name, format,
              arguments);
    va_end(arguments);
}

void result_check_inconclusive(Result *result, const char *name, double value, CheckKind kind, double limit,
                               const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    add_check(result, (ResultCheck){.value = value, .kind = kind, .limit = limit, .state = CHECK_INCONCLUSIVE}, name,
              format, arguments);
    va_end(arguments);
}

void result_check_advisory(Result *result) {
    if (result->n_checks > 0) {
        result->checks[result->n_checks - 1].advisory = true;
    }
}

CheckState result_verdict(const Result *result) {
    CheckState verdict = CHECK_PASS;
    for (int32_t i = 0; i < result->n_checks; i++) {
        const ResultCheck *check = &result->checks[i];
        if (!check->advisory && check->state != CHECK_PASS && verdict != CHECK_FAIL) {
            verdict = check->state;
        }
    }
    return verdict;
}

bool result_passed(const Result *result) {
    return result_verdict(result) != CHECK_FAIL;
}

const char *check_state_name(CheckState state) {
    static const char *const names[] = {"pass", "fail", "inconclusive"};
    return names[state];
}

void result_provenance(Result *result, const ResultProvenance *provenance) {
    result->provenance = *provenance;
    result->provenance.version = result_copy(result, provenance->version);
    result->provenance.backend = result_copy(result, provenance->backend);
    result->provenance.compute = result_copy(result, provenance->compute);
    result->provenance.instruction_set = result_copy(result, provenance->instruction_set);
    result->provenance.libraries = result_copy(result, provenance->libraries);
    ResultAdapter *adapters = ARENA_ARRAY(&result->arena, ResultAdapter, provenance->n_adapters + 1);
    ResultEdits *edits = ARENA_ARRAY(&result->arena, ResultEdits, provenance->n_edits + 1);
    if (adapters == NULL || edits == NULL) {
        result->provenance.n_adapters = result->provenance.n_edits = 0;
        if (result->status == LIMN_OK) {
            result->status = fail(LIMN_NO_MEMORY, "no memory for a result's provenance");
            error_save(&result->error);
        }
        return;
    }
    for (int32_t i = 0; i < provenance->n_adapters; i++) {
        adapters[i] = (ResultAdapter){.name = result_copy(result, provenance->adapters[i].name),
                                      .hash = result_copy(result, provenance->adapters[i].hash),
                                      .weight = provenance->adapters[i].weight};
    }
    for (int32_t i = 0; i < provenance->n_edits; i++) {
        edits[i] = (ResultEdits){.name = result_copy(result, provenance->edits[i].name),
                                 .hash = result_copy(result, provenance->edits[i].hash),
                                 .edits = result_copy(result, provenance->edits[i].edits)};
    }
    result->provenance.adapters = adapters;
    result->provenance.edits = edits;
}

void result_measured(Result *result, const ResultMeasured *measured) {
    result->measured = *measured;
    result->measured.started = result_copy(result, measured->started);
}
