#include "files/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text_buffer.h"

/* One past an integer literal that begins at `at`, or `at` when what stands there is a real or no number. */
static size_t integer_end(const char *text, size_t length, size_t at) {
    size_t end = at + (text[at] == '-' ? 1 : 0);
    while (end < length && text[end] >= '0' && text[end] <= '9') {
        end++;
    }
    bool real = end < length && (text[end] == '.' || text[end] == 'e' || text[end] == 'E');
    return real ? at : end;
}

/* Past 64 bits; what begins with a zero is no JSON, and left to the parser to refuse. */
static bool is_past_64_bits(const char *integer, size_t length) {
    bool negative = integer[0] == '-';
    const char *digits = integer + negative;
    size_t n = length - negative;
    const char *most = negative ? "9223372036854775808" : "9223372036854775807";
    return n > 0 && digits[0] != '0' && (n > 19 || (n == 19 && memcmp(digits, most, 19) > 0));
}

size_t json_rewrite_integers(TextBuffer *out, const char *text, size_t length, const char *before, const char *after) {
    bool in_string = false;
    size_t n = 0;
    for (size_t i = 0; i < length;) {
        char c = text[i];
        if (in_string && c == '\\' && i + 1 < length) {
            text_buffer_add_bytes(out, text + i, 2);
            i += 2;
            continue;
        }
        if (c == '"') {
            in_string = !in_string;
        }
        bool number = !in_string && (c == '-' || (c >= '0' && c <= '9'));
        bool continued = i > 0 && (strchr(".+-eE", text[i - 1]) != NULL || (text[i - 1] >= '0' && text[i - 1] <= '9'));
        size_t end = number && !continued ? integer_end(text, length, i) : i;
        if (end == i) {
            text_buffer_add_char(out, c);
            i++;
            continue;
        }
        bool past = is_past_64_bits(text + i, end - i);
        text_buffer_add(out, past ? before : "");
        text_buffer_add_bytes(out, text + i, end - i);
        text_buffer_add(out, past ? after : "");
        n += past;
        i = end;
    }
    return n;
}

bool json_ran_out_of_memory(const json_error_t *error) {
    return json_error_code(error) == json_error_out_of_memory || error->text[0] == '\0';
}

static limn_status syntax_error(const char *name, const json_error_t *error) {
    if (json_ran_out_of_memory(error)) {
        return fail(LIMN_NO_MEMORY, "%s: reading its JSON", name);
    }
    return fail(LIMN_FORMAT, "%s: line %d, column %d: %s", name, error->line, error->column, error->text);
}

limn_status json_text_load(json_t **json, const char *name, const char *text, size_t length) {
    const size_t flags = JSON_ALLOW_NUL | JSON_DECODE_ANY;
    json_error_t error;
    *json = json_loadb(text, length, flags, &error);
    if (*json == NULL && json_error_code(&error) == json_error_numeric_overflow) {
        json_error_t first = error;
        TextBuffer widened = TEXT_BUFFER_INIT;
        json_rewrite_integers(&widened, text, length, "", ".0"); /* positions after one shift */
        limn_status status = text_buffer_status(&widened);
        if (status == LIMN_OK) {
            *json = json_loadb(widened.data == NULL ? "" : widened.data, widened.length, flags, &error);
        }
        text_buffer_free(&widened);
        TRY(status);
        if (*json == NULL && json_error_code(&error) == json_error_numeric_overflow) {
            error = first; /* its position is that of the file */
        }
    }
    return *json == NULL ? syntax_error(name, &error) : LIMN_OK;
}

limn_status json_file_load(json_t **json, const char *path, size_t cap) {
    *json = NULL;
    char *text;
    size_t length;
    TRY(file_read(&text, &length, path, cap));
    limn_status status = json_text_load(json, path, text, length);
    free(text);
    return status;
}

const char *json_describe(const json_t *value, char buffer[80]) {
    if (value == NULL) {
        return "nothing";
    }
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        if (json_string_value(value)[0] == '\xFF') { /* of a record: record_json.h */
            snprintf(buffer, 80, "the integer %.60s", json_string_value(value) + 1);
            return buffer;
        }
        snprintf(buffer, 80, "the text '%.60s'", json_string_value(value));
        return buffer;
    case JSON_INTEGER:
        snprintf(buffer, 80, "the integer %" JSON_INTEGER_FORMAT, json_integer_value(value));
        return buffer;
    case JSON_REAL:
        snprintf(buffer, 80, "the number %g", json_real_value(value));
        return buffer;
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    default:
        return "null";
    }
}

/* NULL: absent or null. */
static const json_t *present(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

static limn_status unexpected(const json_t *object, const char *where, const char *key, const char *expected) {
    char buffer[80];
    if (!json_is_object(object)) {
        return fail(LIMN_FORMAT, "%s: %s, expected an object with '%s'", where, json_describe(object, buffer), key);
    }
    const json_t *value = json_object_get(object, key);
    if (value == NULL) {
        return fail(LIMN_FORMAT, "%s: '%s' is missing, expected %s", where, key, expected);
    }
    return fail(LIMN_FORMAT, "%s: '%s' is %s, expected %s", where, key, json_describe(value, buffer), expected);
}

limn_status json_need_integer(int64_t *value, const json_t *object, const char *where, const char *key, int64_t minimum,
                              int64_t maximum) {
    const json_t *found = present(object, key);
    int64_t integer = 0;
    bool fits = false;
    if (json_is_integer(found)) {
        integer = json_integer_value(found);
        fits = true;
    } else if (json_is_real(found)) {
        double real = json_real_value(found);
        fits = fabs(real) < 0x1p53 && real == floor(real);
        integer = fits ? (int64_t)real : 0;
    }
    if (!fits || integer < minimum || integer > maximum) {
        char expected[96];
        bool bounded = maximum != INT64_MAX || minimum != INT64_MIN;
        if (maximum == INT64_MAX && bounded) {
            snprintf(expected, sizeof expected, "an integer of %" PRId64 " or more", minimum);
        } else if (bounded) {
            snprintf(expected, sizeof expected, "an integer from %" PRId64 " to %" PRId64, minimum, maximum);
        } else {
            snprintf(expected, sizeof expected, "an integer");
        }
        return unexpected(object, where, key, expected);
    }
    *value = integer;
    return LIMN_OK;
}

limn_status json_take_integer(int64_t *value, const json_t *object, const char *where, const char *key, int64_t minimum,
                              int64_t maximum, int64_t fallback) {
    if (present(object, key) == NULL) {
        *value = fallback;
        return LIMN_OK;
    }
    return json_need_integer(value, object, where, key, minimum, maximum);
}

limn_status json_need_real(double *value, const json_t *object, const char *where, const char *key) {
    const json_t *found = present(object, key);
    if (!json_is_number(found)) {
        return unexpected(object, where, key, "a number");
    }
    *value = json_number_value(found);
    return LIMN_OK;
}

limn_status json_take_real(double *value, const json_t *object, const char *where, const char *key, double fallback) {
    if (present(object, key) == NULL) {
        *value = fallback;
        return LIMN_OK;
    }
    return json_need_real(value, object, where, key);
}

limn_status json_take_bool(bool *value, const json_t *object, const char *where, const char *key, bool fallback) {
    const json_t *found = present(object, key);
    if (found != NULL && !json_is_boolean(found)) {
        return unexpected(object, where, key, "true or false");
    }
    *value = found == NULL ? fallback : json_is_true(found);
    return LIMN_OK;
}

limn_status json_need_string(const char **value, const json_t *object, const char *where, const char *key) {
    const json_t *found = present(object, key);
    if (!json_is_string(found)) {
        return unexpected(object, where, key, "a text");
    }
    if (strlen(json_string_value(found)) != json_string_length(found)) {
        return fail(LIMN_FORMAT, "%s: '%s' has a NUL in its text", where, key);
    }
    *value = json_string_value(found);
    return LIMN_OK;
}

limn_status json_take_string(const char **value, const json_t *object, const char *where, const char *key,
                             const char *fallback) {
    if (present(object, key) == NULL) {
        *value = fallback;
        return LIMN_OK;
    }
    return json_need_string(value, object, where, key);
}

limn_status json_take_array(const json_t **value, const json_t *object, const char *where, const char *key) {
    *value = present(object, key);
    return *value == NULL || json_is_array(*value) ? LIMN_OK : unexpected(object, where, key, "an array");
}

limn_status json_need_array(const json_t **value, const json_t *object, const char *where, const char *key) {
    TRY(json_take_array(value, object, where, key));
    return *value != NULL ? LIMN_OK : unexpected(object, where, key, "an array");
}

limn_status json_take_object(const json_t **value, const json_t *object, const char *where, const char *key) {
    *value = present(object, key);
    return *value == NULL || json_is_object(*value) ? LIMN_OK : unexpected(object, where, key, "an object");
}

limn_status json_need_object(const json_t **value, const json_t *object, const char *where, const char *key) {
    TRY(json_take_object(value, object, where, key));
    return *value != NULL ? LIMN_OK : unexpected(object, where, key, "an object");
}
