/* A filter, a figure and a template on two records: up to the first line end the filter and figure, then the
 * template. */
#include "data/where.h"

#include <string.h>

#include "data/template.h"
#include "fuzz.h"

static const char records[] = "{\"a\": \"text of it\", \"b\": 12, \"c\": -0.5, \"d\": null, \"e\": {\"f\": [true]}, "
                              "\"label\": \"yes\"}\n{\"a\": \"\", \"b\": \"12\", \"label\": true}\n";

static void use_filter(const char *text, size_t length, const Record *record, Arena *arena) {
    Where *where;
    limn_status status = where_parse(&where, text, length, arena);
    if (status == LIMN_OK) {
        bool holds = false;
        static const RecordCell names[] = {{"a", 1}, {"label", 5}};
        status = where_test(where, record, &holds);
        limn_status named = where_check_names(where, "f", names, 2);
        check(named == LIMN_OK || named == LIMN_NOT_FOUND, "a name that is there or not");
        where_unseen_name(where);
        where_free(where);
    } else {
        check(where == NULL, "nothing after a failure");
    }
    if (status != LIMN_OK) {
        check(status == LIMN_USAGE || status == LIMN_RANGE, "the user's mistake");
        if (where == NULL) {
            check_failure(status);
        }
    }
}

static FieldValue field_of(const void *context, const char *name, size_t length) {
    return record_field(context, name, length);
}

/* The same text as a figure. */
static void use_figure(const char *text, size_t length, const Record *record, Arena *arena) {
    Expression *figure;
    limn_status status = expression_parse(&figure, EXPRESSION_NUMBER, "metric", text, length, arena);
    if (status == LIMN_OK) {
        double number;
        const ExpressionNames names = {field_of, record};
        status = expression_number(figure, &names, &number);
        expression_free(figure);
    }
    if (status != LIMN_OK) {
        check_failure(status);
    }
}

static void use_template(const char *text, size_t length, const Record *record, Arena *arena) {
    Template made;
    TextBuffer out = TEXT_BUFFER_INIT;
    limn_status status = template_parse(&made, text, length, arena);
    if (status == LIMN_OK) {
        status = template_fill(&out, NULL, &made, "f", record);
    }
    if (status != LIMN_OK) {
        check_failure(status);
    }
    text_buffer_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Arena arena;
    RecordReader *reader;
    const Record *record;
    arena_init(&arena);
    char *text = arena_strndup(&arena, (const char *)data, size);
    check(text != NULL, "memory");
    const char *end = memchr(text, '\n', size);
    size_t length = end != NULL ? (size_t)(end - text) : size;
    char *filter = arena_strndup(&arena, text, length);
    check(filter != NULL, "memory");
    const char *path = memory_file((const uint8_t *)records, sizeof records - 1);
    check(record_reader_open(&reader, path, RECORDS_JSONL, NULL) == LIMN_OK, "the records");
    while (record_reader_next(reader, &record) == LIMN_OK && record != NULL) {
        use_filter(filter, length, record, &arena);
        use_figure(filter, length, record, &arena);
        use_template(end != NULL ? end + 1 : "", end != NULL ? size - length - 1 : 0, record, &arena);
    }
    record_reader_close(reader);
    arena_free(&arena);
    return 0;
}
