/* The fields of a record: by name, as text, as number. */
#include <string.h>

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
        value.kind = FIELD_TEXT;
        value.bytes = json_string_value(json);
        value.length = json_string_length(json);
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

static int add_dumped(const char *bytes, size_t length, void *out) {
    text_buffer_add_bytes(out, bytes, length);
    return 0;
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
        text_buffer_add_bytes(out, value->bytes, value->length);
        break;
    case FIELD_JSON:
        if (json_dump_callback(value->json, add_dumped, out, JSON_COMPACT | JSON_ENCODE_ANY) != 0) {
            return fail(LIMN_NO_MEMORY, "a field as JSON");
        }
        break;
    }
    return text_buffer_status(out);
}

bool field_number(FieldValue *number, const FieldValue *value) {
    *number = *value;
    if (value->kind == FIELD_INTEGER || value->kind == FIELD_REAL) {
        return true;
    }
    bool may = value->kind == FIELD_CELL && value->length > 0 && value->length < 400 &&
               (value->bytes[0] == '-' || (value->bytes[0] >= '0' && value->bytes[0] <= '9'));
    char last = may ? value->bytes[value->length - 1] : ' '; /* JSON would pass over blanks */
    if (last < '0' || last > '9') {
        return false;
    }
    json_t *json = json_loadb(value->bytes, value->length, JSON_DECODE_ANY, NULL);
    if (json == NULL) { /* an integer of more than 64 bits is a real number */
        json = json_loadb(value->bytes, value->length, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
    }
    bool is = json_is_number(json);
    if (is) {
        *number = json_value(json);
    }
    json_decref(json);
    return is;
}
