#include "result/reader.h"

#include <math.h>
#include <string.h>

#include "result/json.h"

limn_status reader_fail(const Reader *reader, const char *key, const json_t *found, const char *expected) {
    static const char *const types[] = {"an object", "an array", "a string", "an integer",
                                        "a number",  "true",     "false",    "null"};
    const char *name = found == NULL ? "nothing" : types[json_typeof(found)];
    return fail(LIMN_FORMAT, "%s: %s%s%s: expected %s, found %s", reader->source, reader->where,
                reader->where[0] == '\0' || key[0] == '\0' ? "" : ".", key, expected, name);
}

limn_status reader_object(const Reader *reader, const json_t *object, const char *key, json_t **out) {
    *out = json_object_get(object, key);
    return json_is_object(*out) ? LIMN_OK : reader_fail(reader, key, *out, "an object");
}

limn_status reader_array(const Reader *reader, const json_t *object, const char *key, json_t **out) {
    *out = json_object_get(object, key);
    return json_is_array(*out) ? LIMN_OK : reader_fail(reader, key, *out, "an array");
}

limn_status reader_integer(const Reader *reader, const json_t *object, const char *key, int64_t low, int64_t high,
                           int64_t *out) {
    const json_t *found = json_object_get(object, key);
    if (!json_is_integer(found)) {
        return reader_fail(reader, key, found, "an integer");
    }
    *out = json_integer_value(found);
    if (*out < low || *out > high) {
        return fail(LIMN_FORMAT, "%s: %s.%s: %lld is not within %lld..%lld", reader->source, reader->where, key,
                    (long long)*out, (long long)low, (long long)high);
    }
    return LIMN_OK;
}

limn_status reader_int32(const Reader *reader, const json_t *object, const char *key, int32_t low, int32_t *out) {
    int64_t value;
    TRY(reader_integer(reader, object, key, low, INT32_MAX, &value));
    *out = (int32_t)value;
    return LIMN_OK;
}

limn_status reader_bool(const Reader *reader, const json_t *object, const char *key, bool *out) {
    const json_t *found = json_object_get(object, key);
    *out = json_is_true(found);
    return found == NULL || json_is_boolean(found) ? LIMN_OK : reader_fail(reader, key, found, "true or false");
}

static limn_status number_from_json(const Reader *reader, const json_t *found, const char *key, double *out) {
    *out = (double)NAN;
    if (found != NULL && !json_is_null(found)) {
        if (!json_is_number(found)) {
            return reader_fail(reader, key, found, "a number or null");
        }
        *out = json_number_value(found);
    }
    return LIMN_OK;
}

limn_status reader_number(const Reader *reader, const json_t *object, const char *key, double *out) {
    return number_from_json(reader, json_object_get(object, key), key, out);
}

static int base64_digit(char c) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c == '\0' ? NULL : strchr(digits, c);
    return at == NULL ? -1 : (int)(at - digits);
}

static limn_status base64_from_json(const Reader *reader, const json_t *json, const char *key, Text *out) {
    const char *from = json_string_value(json);
    size_t length = json_string_length(json);
    size_t padding = length > 0 && from[length - 1] == '=' ? (length > 1 && from[length - 2] == '=' ? 2u : 1u) : 0u;
    char *bytes = result_alloc(reader->result, length / 4 * 3 + 1, 1);
    TRY(result_status(reader->result));
    size_t n = 0;
    unsigned word = 0;
    for (size_t i = 0; i < length; i++) {
        int digit = i + padding >= length ? 0 : base64_digit(from[i]);
        if (digit < 0 || length % 4 != 0) {
            return reader_fail(reader, key, json, "base64");
        }
        word = (word << 6 | (unsigned)digit) & 0xFFFFFF;
        if (i % 4 == 3) {
            bytes[n++] = (char)(word >> 16);
            bytes[n++] = (char)(word >> 8 & 0xFF);
            bytes[n++] = (char)(word & 0xFF);
        }
    }
    n -= padding;
    bytes[n] = '\0';
    *out = (Text){bytes, n};
    return LIMN_OK;
}

limn_status reader_text_from(const Reader *reader, const json_t *json, const char *key, Text *out) {
    *out = (Text){NULL, 0};
    if (json_is_string(json)) {
        *out = result_copy(reader->result, (Text){json_string_value(json), json_string_length(json)});
        return result_status(reader->result);
    }
    const json_t *raw = json_object_get(json, "base64");
    if (json_is_string(raw)) {
        return base64_from_json(reader, raw, key, out);
    }
    return json == NULL || json_is_null(json) ? LIMN_OK : reader_fail(reader, key, json, "a string");
}

limn_status reader_text(const Reader *reader, const json_t *object, const char *key, Text *out) {
    return reader_text_from(reader, json_object_get(object, key), key, out);
}

limn_status reader_name(const Reader *reader, const json_t *object, const char *key, const char **out) {
    const json_t *found = json_object_get(object, key);
    if (!json_is_string(found) || strlen(json_string_value(found)) != json_string_length(found)) {
        return reader_fail(reader, key, found, "a string");
    }
    *out = result_copy_name(reader->result, json_string_value(found));
    return result_status(reader->result);
}

limn_status reader_choice(const Reader *reader, const json_t *object, const char *key, const char *(*name_of)(int),
                          int count, int *out) {
    const json_t *found = json_object_get(object, key);
    if (!json_is_string(found)) {
        return reader_fail(reader, key, found, "a string");
    }
    for (int i = 0; i < count; i++) {
        if (strcmp(json_string_value(found), name_of(i)) == 0) {
            *out = i;
            return LIMN_OK;
        }
    }
    return fail(LIMN_FORMAT, "%s: %s.%s: \"%s\" is not one of those known (\"%s\" ... \"%s\")", reader->source,
                reader->where, key, json_string_value(found), name_of(0), name_of(count - 1));
}

limn_status reader_count_from(const Reader *reader, const json_t *array, int32_t *out) {
    size_t n = json_array_size(array);
    if (n > INT32_MAX) {
        return fail(LIMN_FORMAT, "%s: %s: %zu items, at most %d are expected", reader->source, reader->where, n,
                    INT32_MAX);
    }
    *out = (int32_t)n;
    return LIMN_OK;
}

limn_status reader_numbers(const Reader *reader, const json_t *object, const char *key, int32_t n, double **out) {
    json_t *array;
    TRY(reader_array(reader, object, key, &array));
    if (json_array_size(array) != (size_t)n) {
        return fail(LIMN_FORMAT, "%s: %s.%s: %zu numbers, expected %d", reader->source, reader->where, key,
                    json_array_size(array), n);
    }
    *out = result_alloc(reader->result, (size_t)n, sizeof **out);
    TRY(result_status(reader->result));
    for (int32_t i = 0; i < n; i++) {
        TRY(number_from_json(reader, json_array_get(array, (size_t)i), key, &(*out)[i]));
    }
    return LIMN_OK;
}

/* ---- any value ---- */

static limn_status list_from_json(const Reader *reader, const json_t *json, int depth, Value *out) {
    size_t n = json_array_size(json);
    Value *items = result_alloc(reader->result, n, sizeof *items);
    TRY(result_status(reader->result));
    for (size_t i = 0; i < n; i++) {
        TRY(reader_value_from(reader, json_array_get(json, i), depth + 1, &items[i]));
    }
    *out = (Value){.kind = VALUE_LIST, .items = items, .count = n};
    return LIMN_OK;
}

static limn_status object_from_json(const Reader *reader, const json_t *json, int depth, Value *out) {
    size_t n = json_object_size(json), i = 0;
    Field *fields = result_alloc(reader->result, n, sizeof *fields);
    TRY(result_status(reader->result));
    const char *key;
    json_t *item;
    json_object_foreach((json_t *)json, key, item) {
        fields[i].name = result_copy_name(reader->result, key);
        TRY(reader_value_from(reader, item, depth + 1, &fields[i++].value));
    }
    *out = (Value){.kind = VALUE_OBJECT, .fields = fields, .count = n};
    return result_status(reader->result);
}

limn_status reader_value_from(const Reader *reader, const json_t *json, int depth, Value *out) {
    if (depth > JSON_DEPTH_MAX / 2) {
        return fail(LIMN_FORMAT, "%s: %s: nested deeper than %d", reader->source, reader->where, JSON_DEPTH_MAX / 2);
    }
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        if (json_object_size(json) == 2 && json_is_string(json_object_get(json, "base64")) &&
            json_is_string(json_object_get(json, "text"))) {
            out->kind = VALUE_TEXT;
            return reader_text_from(reader, json, "", &out->text);
        }
        return object_from_json(reader, json, depth, out);
    case JSON_ARRAY:
        return list_from_json(reader, json, depth, out);
    case JSON_STRING:
        out->kind = VALUE_TEXT;
        return reader_text_from(reader, json, "", &out->text);
    case JSON_INTEGER:
        *out = value_integer(json_integer_value(json));
        return LIMN_OK;
    case JSON_REAL:
        *out = value_number(json_real_value(json));
        return LIMN_OK;
    case JSON_TRUE:
    case JSON_FALSE:
        *out = value_bool(json_is_true(json));
        return LIMN_OK;
    default:
        *out = value_null();
        return LIMN_OK;
    }
}
