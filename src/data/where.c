#include "data/where.h"

#include <string.h>

static FieldValue field_of(const void *context, const char *name, size_t length) {
    return record_field(context, name, length);
}

limn_status where_parse(Where **where, const char *text, size_t length, Arena *arena) {
    return expression_parse(where, EXPRESSION_CONDITION, "where", text, length, arena);
}

void where_free(Where *where) {
    expression_free(where);
}

limn_status where_test(Where *where, const Record *record, bool *holds) {
    const ExpressionNames names = {field_of, record};
    limn_status status = expression_test(where, &names, holds);
    return status == LIMN_RANGE ? fail_context("line %lld", (long long)record->line) : status;
}

limn_status where_check_names(const Where *where, const char *path, const RecordCell *names, size_t n) {
    const char *name;
    for (size_t k = 0; n > 0 && (name = expression_name(where, k, NULL)) != NULL; k++) {
        size_t i = 0, length = strlen(name);
        while (i < n && (names[i].length != length || memcmp(names[i].bytes, name, length) != 0)) {
            i++;
        }
        if (i == n) {
            return fail(LIMN_NOT_FOUND, "option 'where': %s has no field '%.80s' (a text stands in quotes)", path,
                        name);
        }
    }
    return LIMN_OK;
}

const char *where_unseen_name(const Where *where) {
    const char *name;
    bool seen = true;
    for (size_t k = 0; (name = expression_name(where, k, &seen)) != NULL && seen; k++) {
    }
    return name;
}
