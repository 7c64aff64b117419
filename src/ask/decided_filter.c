#include "ask/decided_filter.h"

#include <string.h>

struct DecidedFilter {
    const char *option;
    Expression *expression;
    bool tested;
};

typedef struct Decided {
    const Record *record;
    Text pred, label; /* label absent: unknown */
} Decided;

limn_status decided_filter_open(DecidedFilter **filter, const char *option, Text text, Arena *arena) {
    *filter = ARENA_ARRAY(arena, DecidedFilter, 1);
    if (*filter == NULL) {
        return fail(LIMN_NO_MEMORY, "option '%s': out of memory", option);
    }
    **filter = (DecidedFilter){.option = option};
    return expression_parse(&(*filter)->expression, EXPRESSION_CONDITION, option, text.bytes, text.length, arena);
}

void decided_filter_close(DecidedFilter *filter) {
    if (filter != NULL) {
        expression_free(filter->expression);
    }
}

bool decided_filter_asks(const DecidedFilter *filter, const char *name) {
    const char *found;
    for (size_t i = 0; (found = expression_name(filter->expression, i, NULL)) != NULL; i++) {
        if (strcmp(found, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_name(const char *name, size_t length, const char *wanted) {
    return length == strlen(wanted) && memcmp(name, wanted, length) == 0;
}

/* Names have no type, as cells have none: '1' and 1 are the same label. */
static FieldValue value_of(const void *context, const char *name, size_t length) {
    const Decided *decided = context;
    if (is_name(name, length, "pred")) {
        return (FieldValue){.kind = FIELD_CELL, .bytes = decided->pred.bytes, .length = decided->pred.length};
    }
    if (is_name(name, length, "label") && decided->label.bytes != NULL) {
        return (FieldValue){.kind = FIELD_CELL, .bytes = decided->label.bytes, .length = decided->label.length};
    }
    return record_field(decided->record, name, length);
}

limn_status decided_filter_test(DecidedFilter *filter, bool *holds, const DataSource *source, const Text *names,
                                int32_t n, int32_t label) {
    Decided decided = {.record = data_source_record(source)};
    const ExpressionNames values = {value_of, &decided};
    decided.label = label >= 0 ? names[label] : (Text){NULL, 0};
    filter->tested = true;
    for (int32_t i = 0; i < n; i++) {
        decided.pred = names[i];
        limn_status status = expression_test(filter->expression, &values, &holds[i]);
        if (status != LIMN_OK) {
            return status == LIMN_RANGE ? fail_context("line %lld", (long long)decided.record->line) : status;
        }
    }
    return LIMN_OK;
}

limn_status decided_filter_check(const DecidedFilter *filter, const DataSource *source) {
    const char *name;
    bool seen = true;
    for (size_t i = 0; filter->tested && (name = expression_name(filter->expression, i, &seen)) != NULL; i++) {
        if (!seen) {
            return fail(LIMN_NOT_FOUND, "option '%s': no record of %s has the field '%.80s' (a text stands in quotes)",
                        filter->option, data_source_path(source), name);
        }
    }
    return LIMN_OK;
}
