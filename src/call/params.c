#include "call/params.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/nearest.h"

/* ---- names ---- */

typedef struct RowTables {
    const limn_param *own;
    size_t n_own;
    const limn_param *common;
} RowTables;

static const char *row_name_at(const void *context, size_t index) {
    const RowTables *tables = context;
    return index < tables->n_own ? tables->own[index].name : tables->common[index - tables->n_own].name;
}

limn_status params_check_names(const char *command, const limn_param *own, size_t n_own, const limn_param *common,
                               size_t n_common, const json_t *object) {
    RowTables tables = {own, n_own, common};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        bool known = false;
        for (size_t i = 0; i < n_own + n_common && !known; i++) {
            known = strcmp(row_name_at(&tables, i), key) == 0;
        }
        if (!known) {
            char near[256];
            nearest_names(near, sizeof near, NEAREST_USUAL, key, row_name_at, &tables, n_own + n_common);
            return fail(LIMN_USAGE, "%s has no option '%s'; nearest: %s", command, key, near);
        }
    }
    return LIMN_OK;
}

/* ---- one value of each kind ---- */

static limn_status bad_value(const limn_param *row, const char *found, const char *expected) {
    return fail(LIMN_USAGE, "option '%s': found %s, expected %s", row->name, found, expected);
}

static const char *json_kind(const json_t *value) {
    static const char *const names[] = {"an object", "an array", "a text", "an integer",
                                        "a number",  "true",     "false",  "null"};
    return names[json_typeof(value)];
}

static limn_status check_range(const limn_param *row, double value) {
    if ((row->minimum == 0 && row->maximum == 0) || (value >= row->minimum && value <= row->maximum)) {
        return LIMN_OK;
    }
    if (isinf(row->maximum)) {
        return fail(LIMN_RANGE, "option '%s': found %.15g, expected at least %.15g", row->name, value, row->minimum);
    }
    return fail(LIMN_RANGE, "option '%s': found %.15g, expected a value from %.15g to %.15g", row->name, value,
                row->minimum, row->maximum);
}

static limn_status read_number(double *out, const limn_param *row, const json_t *value) {
    if (json_is_number(value)) {
        *out = json_number_value(value);
    } else if (json_is_string(value)) {
        const char *text = json_string_value(value);
        char *end;
        *out = strtod(text, &end);
        if (end == text || *end != '\0') {
            return fail(LIMN_USAGE, "option '%s': found '%s', expected a number", row->name, text);
        }
    } else {
        return bad_value(row, json_kind(value), "a number");
    }
    if (!isfinite(*out)) {
        return fail(LIMN_USAGE, "option '%s': expected a finite number", row->name);
    }
    return check_range(row, *out);
}

static limn_status read_integer(int64_t *out, const limn_param *row, const json_t *value) {
    if (json_is_integer(value)) {
        *out = json_integer_value(value);
    } else if (json_is_string(value)) {
        const char *text = json_string_value(value);
        char *end;
        errno = 0;
        long long parsed = strtoll(text, &end, 10);
        if (end == text || *end != '\0') {
            return fail(LIMN_USAGE, "option '%s': found '%s', expected a whole number", row->name, text);
        }
        if (errno == ERANGE) {
            return fail(LIMN_RANGE, "option '%s': %s does not fit in 64 bits", row->name, text);
        }
        *out = parsed;
    } else {
        return bad_value(row, json_kind(value), "a whole number");
    }
    return check_range(row, (double)*out);
}

static limn_status read_flag(bool *out, const limn_param *row, const json_t *value) {
    if (json_is_boolean(value)) {
        *out = json_is_true(value);
        return LIMN_OK;
    }
    const char *text = json_is_string(value) ? json_string_value(value) : NULL;
    if (text != NULL && (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)) {
        *out = text[0] == 't';
        return LIMN_OK;
    }
    return bad_value(row, json_kind(value), "true or false");
}

static limn_status read_choice(int32_t *out, const limn_param *row, const char *text, size_t length) {
    int32_t index = 0;
    for (const char *at = row->choices; at != NULL; index++) {
        const char *bar = strchr(at, '|');
        size_t n = bar != NULL ? (size_t)(bar - at) : strlen(at);
        if (n == length && memcmp(at, text, n) == 0) {
            *out = index;
            return LIMN_OK;
        }
        at = bar != NULL ? bar + 1 : NULL;
    }
    return fail(LIMN_USAGE, "option '%s': found '%.*s', expected one of %s", row->name, (int)length, text,
                row->choices);
}

static limn_status read_hex_text(Text *out, const limn_param *row, const json_t *value, Arena *arena) {
    const char *hex = json_string_value(json_object_get(value, "hex"));
    if (hex == NULL) {
        return bad_value(row, "an object without 'hex'", "a text or {\"hex\": \"...\"}");
    }
    size_t digits = strlen(hex);
    char *bytes = arena_alloc(arena, digits / 2 + 1);
    if (bytes == NULL) {
        return fail(LIMN_NO_MEMORY, "option '%s': no memory for %zu bytes", row->name, digits / 2);
    }
    for (size_t i = 0; i < digits; i += 2) {
        int high = hex_digit(hex[i]);
        int low = hex_digit(hex[i + 1]); /* an odd count ends at the NUL, which is no digit */
        if (high < 0 || low < 0) {
            return bad_value(row, "broken hex digits", "pairs of hex digits");
        }
        bytes[i / 2] = (char)(high * 16 + low);
    }
    bytes[digits / 2] = '\0';
    *out = (Text){bytes, digits / 2};
    return LIMN_OK;
}

static limn_status read_text(Text *out, const limn_param *row, const json_t *value, Arena *arena) {
    if (json_is_object(value)) {
        TRY(read_hex_text(out, row, value, arena));
    } else if (json_is_string(value)) {
        out->length = json_string_length(value);
        char *bytes = arena_alloc(arena, out->length + 1);
        if (bytes == NULL) {
            return fail(LIMN_NO_MEMORY, "option '%s': no memory for %zu bytes", row->name, out->length);
        }
        memcpy(bytes, json_string_value(value), out->length);
        bytes[out->length] = '\0';
        out->bytes = bytes;
    } else {
        return bad_value(row, json_kind(value), "a text");
    }
    if (row->kind != LIMN_PARAM_TEXT && (out->length == 0 || memchr(out->bytes, '\0', out->length) != NULL)) {
        return bad_value(row, out->length == 0 ? "an empty name" : "a name with a NUL", "a path");
    }
    return LIMN_OK;
}

limn_status params_parse_ids(ParamIds *ids, const char *option, const char *text, Arena *arena) {
    size_t count = 1;
    for (const char *c = text; *c != '\0'; c++) {
        count += *c == ',';
    }
    int32_t *values = ARENA_ARRAY(arena, int32_t, count);
    if (values == NULL) {
        return fail(LIMN_NO_MEMORY, "option '%s': no memory for %zu numbers", option, count);
    }
    const char *at = text;
    for (size_t i = 0; i < count; i++) {
        char *end;
        errno = 0;
        long value = strtol(at, &end, 10);
        while (*end == ' ') {
            end++;
        }
        if (end == at || errno != 0 || value < INT32_MIN || value > INT32_MAX || (*end != ',' && *end != '\0')) {
            return fail(LIMN_USAGE, "option '%s': found '%.40s', expected whole numbers with commas between", option,
                        at);
        }
        values[i] = (int32_t)value;
        at = end + 1;
    }
    *ids = (ParamIds){values, (int32_t)count};
    return LIMN_OK;
}

static limn_status read_ids(ParamIds *out, const limn_param *row, const json_t *value, Arena *arena) {
    if (json_is_string(value)) {
        return params_parse_ids(out, row->name, json_string_value(value), arena);
    }
    if (json_is_integer(value)) {
        char text[32];
        snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return params_parse_ids(out, row->name, text, arena);
    }
    if (!json_is_array(value)) {
        return bad_value(row, json_kind(value), "an array of whole numbers");
    }
    size_t n = json_array_size(value);
    int32_t *ids = n <= INT32_MAX ? ARENA_ARRAY(arena, int32_t, n + 1) : NULL;
    if (ids == NULL) {
        return fail(LIMN_NO_MEMORY, "option '%s': no memory for %zu numbers", row->name, n);
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(value, i);
        if (!json_is_integer(item)) {
            return bad_value(row, json_kind(item), "an array of whole numbers");
        }
        json_int_t id = json_integer_value(item);
        if (id < INT32_MIN || id > INT32_MAX) {
            return fail(LIMN_RANGE, "option '%s': %" JSON_INTEGER_FORMAT " does not fit in 32 bits", row->name, id);
        }
        ids[i] = (int32_t)id;
    }
    *out = (ParamIds){ids, (int32_t)n};
    return LIMN_OK;
}

/* Nothing can be done with less than this: a unit was forgotten. */
static limn_status check_bytes(size_t bytes, const char *option) {
    enum { LEAST_BYTES = 1024 };
    return bytes >= LEAST_BYTES ? LIMN_OK
                                : fail(LIMN_USAGE,
                                       "option '%s': found %zu byte%s, expected 1K or more: an amount such as 512M, 2G "
                                       "or min",
                                       option, bytes, bytes == 1 ? "" : "s");
}

limn_status params_parse_bytes(size_t *bytes, const char *option, const char *text) {
    static const char units[] = "KMGT";
    if (strcmp(text, "min") == 0) {
        *bytes = PARAM_BYTES_LEAST;
        return LIMN_OK;
    }
    char *end;
    double value = strtod(text, &end);
    bool good = end != text && isfinite(value) && value > 0;
    const char *unit = good && *end != '\0' ? strchr(units, *end & ~32) : NULL;
    if (unit != NULL) {
        for (long k = unit - units; k >= 0; k--) {
            value *= 1024;
        }
        end++;
        if (*end == 'i') {
            end++;
        }
    }
    if (good && (*end == 'B' || *end == 'b')) {
        end++;
    }
    if (!good || *end != '\0') {
        return fail(LIMN_USAGE, "option '%s': found '%s', expected an amount such as 512M, 2G or min", option, text);
    }
    if (value >= 9e18) {
        return fail(LIMN_RANGE, "option '%s': %s is more than any machine has", option, text);
    }
    *bytes = (size_t)value;
    return check_bytes(*bytes, option);
}

static limn_status read_bytes(size_t *out, const limn_param *row, const json_t *value) {
    if (json_is_integer(value) && json_integer_value(value) > 0) {
        *out = (size_t)json_integer_value(value);
        return check_bytes(*out, row->name);
    }
    if (!json_is_string(value)) {
        return bad_value(row, json_kind(value), "an amount such as 512M, 2G or min");
    }
    return params_parse_bytes(out, row->name, json_string_value(value));
}

/* ---- rows to fields ---- */

static void set_absent(void *field, const limn_param *row) {
    if (row->kind == LIMN_PARAM_NUMBER) {
        *(double *)field = (double)NAN;
    } else if (row->kind == LIMN_PARAM_INTEGER) {
        *(int64_t *)field = PARAM_NO_INTEGER;
    } else if (row->kind == LIMN_PARAM_CHOICE) {
        *(int32_t *)field = -1;
    } /* the others are absent when zeroed */
}

static limn_status fill_one(void *field, const limn_param *row, const json_t *value, Arena *arena) {
    switch (row->kind) {
    case LIMN_PARAM_NUMBER:
        return read_number(field, row, value);
    case LIMN_PARAM_INTEGER:
        return read_integer(field, row, value);
    case LIMN_PARAM_FLAG:
        return read_flag(field, row, value);
    case LIMN_PARAM_CHOICE:
        if (!json_is_string(value)) {
            return bad_value(row, json_kind(value), "a text");
        }
        return read_choice(field, row, json_string_value(value), json_string_length(value));
    case LIMN_PARAM_IDS:
        return read_ids(field, row, value, arena);
    case LIMN_PARAM_BYTES:
        return read_bytes(field, row, value);
    case LIMN_PARAM_TEXT:
    case LIMN_PARAM_FILE:
    case LIMN_PARAM_OUTPUT:
        break;
    }
    return read_text(field, row, value, arena);
}

static limn_status fill_repeated(ParamTexts *field, const limn_param *row, const json_t *value, Arena *arena) {
    size_t n = json_is_array(value) ? json_array_size(value) : 1;
    Text *items = n <= INT32_MAX ? ARENA_ARRAY(arena, Text, n + 1) : NULL;
    if (items == NULL) {
        return fail(LIMN_NO_MEMORY, "option '%s': no memory for %zu texts", row->name, n);
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_is_array(value) ? json_array_get(value, i) : value;
        TRY(read_text(&items[i], row, item, arena));
    }
    *field = (ParamTexts){items, (int32_t)n};
    return LIMN_OK;
}

static limn_status fill_default(void *field, const limn_param *row, Arena *arena) {
    json_t *text = json_string(row->default_text);
    if (text == NULL) {
        return fail(LIMN_NO_MEMORY, "option '%s': no memory", row->name);
    }
    limn_status status = row->repeated ? fill_repeated(field, row, text, arena) : fill_one(field, row, text, arena);
    json_decref(text);
    return status;
}

limn_status params_fill(void *params, const char *command, const limn_param *rows, size_t n, const json_t *object,
                        Arena *arena) {
    for (size_t i = 0; i < n; i++) {
        const limn_param *row = &rows[i];
        if (row->face) {
            continue;
        }
        void *field = (char *)params + row->field;
        const json_t *value = json_object_get(object, row->name);
        if (value != NULL && !json_is_null(value)) {
            TRY(row->repeated ? fill_repeated(field, row, value, arena) : fill_one(field, row, value, arena));
        } else if (row->required) {
            return row->positional ? fail(LIMN_USAGE, "%s needs %s", command, row->metavar)
                                   : fail(LIMN_USAGE, "%s needs the option --%s", command, row->name);
        } else if (row->default_text != NULL && row->kind != LIMN_PARAM_FLAG) {
            TRY(fill_default(field, row, arena));
        } else {
            set_absent(field, row);
        }
    }
    return LIMN_OK;
}

/* ---- fields to JSON ---- */

static json_t *text_json(const Text *text) {
    json_t *value = json_stringn(text->bytes, text->length);
    if (value != NULL) {
        return value;
    }
    char *hex = malloc(2 * text->length + 1); /* not UTF-8 */
    if (hex == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < text->length; i++) {
        snprintf(hex + 2 * i, 3, "%02x", (unsigned)(unsigned char)text->bytes[i]);
    }
    hex[2 * text->length] = '\0';
    value = json_pack("{s:s}", "hex", hex);
    free(hex);
    return value;
}

static json_t *ids_json(const ParamIds *ids) {
    json_t *array = json_array();
    for (int32_t i = 0; array != NULL && i < ids->n; i++) {
        if (json_array_append_new(array, json_integer(ids->ids[i])) != 0) {
            json_decref(array);
            array = NULL;
        }
    }
    return array;
}

static json_t *texts_json(const ParamTexts *texts) {
    json_t *array = json_array();
    for (int32_t i = 0; array != NULL && i < texts->n; i++) {
        if (json_array_append_new(array, text_json(&texts->items[i])) != 0) {
            json_decref(array);
            array = NULL;
        }
    }
    return array;
}

const char *params_choice_text(const char *choices, int32_t index, char *buffer, size_t size) {
    buffer[0] = '\0';
    while (index > 0 && choices != NULL) {
        choices = strchr(choices, '|');
        choices = choices != NULL ? choices + 1 : NULL;
        index--;
    }
    if (index == 0 && choices != NULL) {
        snprintf(buffer, size, "%.*s", (int)strcspn(choices, "|"), choices);
    }
    return buffer;
}

/* *absent: the field holds nothing; else NULL means out of memory. */
static json_t *field_json(const void *field, const limn_param *row, bool *absent) {
    char choice[64];
    *absent = false;
    if (row->repeated) {
        const ParamTexts *texts = field;
        *absent = texts->n == 0;
        return *absent ? NULL : texts_json(texts);
    }
    switch (row->kind) {
    case LIMN_PARAM_NUMBER:
        *absent = isnan(*(const double *)field);
        return *absent ? NULL : json_real(*(const double *)field);
    case LIMN_PARAM_INTEGER:
        *absent = *(const int64_t *)field == PARAM_NO_INTEGER;
        return *absent ? NULL : json_integer(*(const int64_t *)field);
    case LIMN_PARAM_FLAG:
        *absent = !*(const bool *)field;
        return *absent ? NULL : json_true();
    case LIMN_PARAM_CHOICE:
        *absent = *(const int32_t *)field < 0;
        return *absent ? NULL
                       : json_string(params_choice_text(row->choices, *(const int32_t *)field, choice, sizeof choice));
    case LIMN_PARAM_IDS:
        *absent = ((const ParamIds *)field)->ids == NULL;
        return *absent ? NULL : ids_json(field);
    case LIMN_PARAM_BYTES:
        *absent = *(const size_t *)field == 0;
        return *absent ? NULL : json_integer((json_int_t) * (const size_t *)field);
    case LIMN_PARAM_TEXT:
    case LIMN_PARAM_FILE:
    case LIMN_PARAM_OUTPUT:
        break;
    }
    *absent = ((const Text *)field)->bytes == NULL || row->kind == LIMN_PARAM_OUTPUT;
    return *absent ? NULL : text_json(field);
}

limn_status params_record(json_t *object, const void *params, const limn_param *rows, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (rows[i].face || rows[i].effort) {
            continue;
        }
        bool absent;
        json_t *value = field_json((const char *)params + rows[i].field, &rows[i], &absent);
        if (!absent && json_object_set_new(object, rows[i].name, value) != 0) {
            return fail(LIMN_NO_MEMORY, "no memory to record the option '%s'", rows[i].name);
        }
    }
    return LIMN_OK;
}

static bool has_ending(const char *text, size_t length, const char *ending) {
    size_t n = strlen(ending);
    return length > n && memcmp(text + length - n, ending, n) == 0;
}

limn_status params_check_ending(const char *option, const Text *output, const char *ending) {
    return output->bytes == NULL || has_ending(output->bytes, output->length, ending)
               ? LIMN_OK
               : fail(LIMN_USAGE, "option '%s': found '%.200s', expected a name that ends in %s", option, output->bytes,
                      ending);
}

const limn_param *params_own_file(const limn_param *rows, size_t n, const json_t *output) {
    const char *name = json_string_value(output);
    for (size_t i = 0; name != NULL && i < n; i++) {
        const char *metavar = rows[i].kind == LIMN_PARAM_OUTPUT && !rows[i].face ? rows[i].metavar : NULL;
        const char *ending = metavar != NULL ? strrchr(metavar, '.') : NULL;
        if (ending != NULL && has_ending(name, json_string_length(output), ending)) {
            return &rows[i];
        }
    }
    return NULL;
}
