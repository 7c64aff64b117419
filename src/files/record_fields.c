/* The fields of a record: by name, as text, as number. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "files/record_json.h"
#include "files/records.h"

static FieldValue json_value(const json_t *json) {
    FieldValue value = {.kind = FIELD_JSON, .json = json};
    switch (json_typeof(json)) {
    case JSON_NULL:
        value.kind = FIELD_NULL;
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        value.kind = FIELD_BOOL;
        value.truth = json_is_true(json);
        break;
    case JSON_INTEGER:
        value.kind = FIELD_INTEGER;
        value.integer = json_integer_value(json);
        break;
    case JSON_REAL:
        value.kind = FIELD_REAL;
        value.real = json_real_value(json);
        break;
    case JSON_STRING:
        value.bytes = json_digits(json);
        value.kind = value.bytes != NULL ? FIELD_DIGITS : FIELD_TEXT;
        value.length = json_string_length(json) - (value.bytes != NULL);
        value.bytes = value.bytes != NULL ? value.bytes : json_string_value(json);
        break;
    case JSON_OBJECT:
    case JSON_ARRAY:
        break;
    }
    return value;
}

/* The whole name first; else through the objects that its dots name. */
static const json_t *json_at(const json_t *object, const char *name, size_t length) {
    const json_t *found = json_object_getn(object, name, length);
    for (const char *dot = memchr(name, '.', length); found == NULL && dot != NULL;
         dot = memchr(dot + 1, '.', length - (size_t)(dot + 1 - name))) {
        const json_t *inner = json_object_getn(object, name, (size_t)(dot - name));
        if (json_is_object(inner)) {
            found = json_at(inner, dot + 1, length - (size_t)(dot + 1 - name));
        }
    }
    return found;
}

FieldValue record_field(const Record *record, const char *name, size_t length) {
    if (record->object != NULL) {
        const json_t *found = json_at(record->object, name, length);
        return found != NULL ? json_value(found) : (FieldValue){.kind = FIELD_ABSENT};
    }
    for (size_t i = 0; i < record->n_cells; i++) {
        if (record->names[i].length == length && memcmp(record->names[i].bytes, name, length) == 0) {
            return (FieldValue){.kind = FIELD_CELL, .bytes = record->cells[i].bytes, .length = record->cells[i].length};
        }
    }
    return (FieldValue){.kind = FIELD_ABSENT};
}

enum { NAMES_SHOWN = 12, NAME_BYTES = 60 };

static void add_name(TextBuffer *names, size_t n, const char *bytes, size_t length) {
    if (n < NAMES_SHOWN) {
        text_buffer_printf(names, "%s'%.*s'", n > 0 ? ", " : "", (int)(length < NAME_BYTES ? length : NAME_BYTES),
                           bytes);
    } else if (n == NAMES_SHOWN) {
        text_buffer_add(names, ", ...");
    }
}

limn_status record_lacks(const Record *record, const char *path, const char *name) {
    TextBuffer names = TEXT_BUFFER_INIT;
    size_t n = 0;
    const char *key;
    json_t *value;
    if (record->object != NULL) {
        json_object_foreach((json_t *)record->object, key, value) {
            add_name(&names, n++, key, strlen(key));
        }
    }
    for (size_t i = 0; i < record->n_cells; i++) {
        add_name(&names, n++, record->names[i].bytes, record->names[i].length);
    }
    limn_status status = fail(LIMN_NOT_FOUND, "%s: line %lld: the field '%.80s' is not there, found %s", path,
                              (long long)record->line, name, n > 0 && names.data != NULL ? names.data : "none");
    text_buffer_free(&names);
    return status;
}

/* In the fewest digits that read back the same, whatever the locale. */
static limn_status add_real(TextBuffer *out, double real) {
    char text[64];
    json_t *json = json_real(real);
    size_t length = 0;
    for (size_t digits = 15; json != NULL && digits <= 17; digits++) {
        length = json_dumpb(json, text, sizeof text, JSON_ENCODE_ANY | JSON_REAL_PRECISION(digits));
        json_t *back = length <= sizeof text ? json_loadb(text, length, JSON_DECODE_ANY, NULL) : NULL;
        bool same = json_is_real(back) && !(json_real_value(back) < real) && !(json_real_value(back) > real);
        json_decref(back);
        if (same) {
            break;
        }
    }
    json_decref(json);
    if (length == 0 || length > sizeof text) {
        return fail(LIMN_NO_MEMORY, "a number as text");
    }
    text_buffer_add_bytes(out, text, length);
    return text_buffer_status(out);
}

limn_status field_text(TextBuffer *out, const FieldValue *value) {
    switch (value->kind) {
    case FIELD_ABSENT:
    case FIELD_NULL:
        break;
    case FIELD_BOOL:
        text_buffer_add(out, value->truth ? "true" : "false");
        break;
    case FIELD_INTEGER:
        text_buffer_printf(out, "%lld", (long long)value->integer);
        break;
    case FIELD_REAL:
        return add_real(out, value->real);
    case FIELD_TEXT:
    case FIELD_CELL:
    case FIELD_DIGITS:
        text_buffer_add_bytes(out, value->bytes, value->length);
        break;
    case FIELD_JSON:
        return record_json_write(out, value->json);
    }
    return text_buffer_status(out);
}

bool field_number(FieldValue *number, const FieldValue *value) {
    *number = *value;
    if (value->kind == FIELD_INTEGER || value->kind == FIELD_REAL || value->kind == FIELD_DIGITS) {
        return true;
    }
    bool may = value->kind == FIELD_CELL && value->length > 0 && value->length < 400 &&
               (value->bytes[0] == '-' || (value->bytes[0] >= '0' && value->bytes[0] <= '9'));
    char last = may ? value->bytes[value->length - 1] : ' '; /* JSON would pass over blanks */
    if (last < '0' || last > '9') {
        return false;
    }
    json_error_t error;
    json_t *json = json_loadb(value->bytes, value->length, JSON_DECODE_ANY, &error);
    bool digits = json == NULL && json_error_code(&error) == json_error_numeric_overflow;
    for (size_t i = 1; i < value->length && digits; i++) {
        digits = value->bytes[i] >= '0' && value->bytes[i] <= '9';
    }
    if (digits) { /* an integer past 64 bits, not a real past what doubles hold */
        number->kind = FIELD_DIGITS;
    } else if (json_is_number(json)) {
        *number = json_value(json);
    }
    bool is = digits || json_is_number(json);
    json_decref(json);
    return is;
}

/* ---- order ---- */

/* Of two integers by their digits, neither with zeros before them. */
static int digits_order(const char *a, size_t n_a, const char *b, size_t n_b) {
    bool below_a = a[0] == '-';
    bool below_b = b[0] == '-';
    if (below_a != below_b) {
        return below_a ? -1 : 1;
    }
    int order = n_a != n_b ? (n_a > n_b) - (n_a < n_b) : memcmp(a, b, n_a);
    return below_a ? -order : order;
}

/* An integer's digits; text: [24], for those of 64 bits. */
static const char *digits_of(const FieldValue *integer, char *text, size_t *length) {
    if (integer->kind == FIELD_DIGITS) {
        *length = integer->length;
        return integer->bytes;
    }
    *length = (size_t)snprintf(text, 24, "%lld", (long long)integer->integer);
    return text;
}

static int integer_and_real(const FieldValue *integer, double real) {
    if (isinf(real)) {
        return real > 0 ? -1 : 1;
    }
    char text[24];
    char whole[400]; /* every double has at most 309 digits before the point */
    size_t length;
    const char *digits = digits_of(integer, text, &length);
    int n = snprintf(whole, sizeof whole, "%.0f", trunc(real));
    if (strcmp(whole, "-0") == 0) {
        n = snprintf(whole, sizeof whole, "0");
    }
    int order = digits_order(digits, length, whole, (size_t)n);
    double rest = real - trunc(real);
    return order != 0 ? order : (rest < 0) - (rest > 0);
}

int field_number_order(const FieldValue *a, const FieldValue *b) {
    if (a->kind == FIELD_REAL && b->kind == FIELD_REAL) {
        return (a->real > b->real) - (a->real < b->real);
    }
    if (a->kind == FIELD_REAL) {
        return -integer_and_real(b, a->real);
    }
    if (b->kind == FIELD_REAL) {
        return integer_and_real(a, b->real);
    }
    if (a->kind == FIELD_INTEGER && b->kind == FIELD_INTEGER) {
        return (a->integer > b->integer) - (a->integer < b->integer);
    }
    char text_a[24], text_b[24];
    size_t n_a, n_b;
    const char *digits_a = digits_of(a, text_a, &n_a);
    const char *digits_b = digits_of(b, text_b, &n_b);
    return digits_order(digits_a, n_a, digits_b, n_b);
}
