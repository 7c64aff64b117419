/* Integers past 64 bits, which jansson cannot hold, are parsed as marked strings. The mark is one of Unicode's 32
 * characters that never are text (U+FDD0 to U+FDEF), one that the record does not hold, not even as an escape; in the
 * tree it becomes the byte 0xFF, which no string that was read can begin with. */
#include "files/record_json.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "files/json.h"

enum { MARK_BYTES = 3, MARKS = 32 };

static const char digits_mark = '\xFF';

const char *json_digits(const json_t *json) {
    const char *text = json_string_value(json);
    return text != NULL && text[0] == digits_mark ? text + 1 : NULL;
}

const char *json_digits_inside(const json_t *json) {
    const char *digits = json_digits(json);
    for (size_t i = 0; digits == NULL && i < json_array_size(json); i++) {
        digits = json_digits_inside(json_array_get(json, i));
    }
    for (void *at = json_object_iter((json_t *)(uintptr_t)json); digits == NULL && at != NULL;
         at = json_object_iter_next((json_t *)(uintptr_t)json, at)) {
        digits = json_digits_inside(json_object_iter_value(at));
    }
    return digits;
}

/* ---- reading ---- */

static bool holds_escape(const char *bytes, size_t length, const char *escape) {
    for (size_t i = 0; i + 4 <= length; i++) {
        if (strncasecmp(bytes + i, escape, 4) == 0) {
            return true;
        }
    }
    return false;
}

/* mark: [MARK_BYTES + 1]. False: the record holds all of them. */
static bool choose_mark(char *mark, const char *bytes, size_t length) {
    for (unsigned i = 0; i < MARKS; i++) {
        char escape[5];
        snprintf(mark, MARK_BYTES + 1, "\xEF\xB7%c", (char)(0x90 + i));
        snprintf(escape, sizeof escape, "fd%02x", 0xD0 + i);
        if (memmem(bytes, length, mark, MARK_BYTES) == NULL && !holds_escape(bytes, length, escape)) {
            return true;
        }
    }
    return false;
}

/* *json with its marked strings as digits. False: memory ran out, or an integer is a key. */
static bool unmark(json_t **json, const char *mark) {
    if (json_is_string(*json)) {
        const char *text = json_string_value(*json);
        if (strncmp(text, mark, MARK_BYTES) != 0) {
            return true;
        }
        size_t length = json_string_length(*json) - MARK_BYTES + 1;
        TextBuffer digits = TEXT_BUFFER_INIT;
        text_buffer_add_char(&digits, digits_mark);
        text_buffer_add(&digits, text + MARK_BYTES);
        json_t *made = digits.failed ? NULL : json_stringn_nocheck(digits.data, length);
        text_buffer_free(&digits);
        json_decref(*json);
        *json = made;
        return made != NULL;
    }
    for (size_t i = 0; i < json_array_size(*json); i++) {
        json_t *item = json_incref(json_array_get(*json, i));
        if (!unmark(&item, mark)) {
            json_decref(item);
            return false;
        }
        if (json_array_set_new(*json, i, item) != 0) {
            return false;
        }
    }
    for (void *at = json_object_iter(*json); at != NULL; at = json_object_iter_next(*json, at)) {
        json_t *item = json_incref(json_object_iter_value(at));
        if (strncmp(json_object_iter_key(at), mark, MARK_BYTES) == 0 || !unmark(&item, mark)) {
            json_decref(item);
            return false;
        }
        if (json_object_iter_set_new(*json, at, item) != 0) {
            return false;
        }
    }
    return true;
}

/* The text again, its long integers marked. *json NULL: refused, for the first parse's or another reason. */
static limn_status load_marked(json_t **json, const char *bytes, size_t length, json_error_t *error) {
    char mark[MARK_BYTES + 1];
    if (!choose_mark(mark, bytes, length)) {
        return LIMN_OK;
    }
    char before[MARK_BYTES + 2];
    snprintf(before, sizeof before, "\"%s", mark);
    TextBuffer marked = TEXT_BUFFER_INIT;
    json_rewrite_integers(&marked, bytes, length, before, "\"");
    limn_status status = text_buffer_status(&marked);
    json_error_t again;
    if (status == LIMN_OK) {
        *json = json_loadb(marked.data, marked.length, JSON_ALLOW_NUL | JSON_DECODE_ANY, &again);
    }
    if (*json != NULL && !unmark(json, mark)) {
        json_decref(*json);
        *json = NULL;
    } else if (status == LIMN_OK && *json == NULL && json_error_code(&again) != json_error_numeric_overflow) {
        int column = again.column; /* less what was put in before it: two quotes and a mark each */
        for (size_t at = 0; at + MARK_BYTES <= marked.length && at < (size_t)again.position; at++) {
            column -= memcmp(marked.data + at, mark, MARK_BYTES) == 0 ? 3 : 0;
        }
        *error = again;
        error->column = column;
    }
    text_buffer_free(&marked);
    return status;
}

limn_status record_json_load(json_t **json, const char *path, int64_t line, const char *bytes, size_t length) {
    json_error_t error;
    *json = json_loadb(bytes, length, JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);
    if (*json == NULL && json_error_code(&error) == json_error_numeric_overflow) {
        TRY(load_marked(json, bytes, length, &error));
    }
    if (*json != NULL) {
        return LIMN_OK;
    }
    line += error.line > 0 ? error.line - 1 : 0;
    return json_ran_out_of_memory(&error)
               ? fail(LIMN_NO_MEMORY, "%s: line %lld", path, (long long)line)
               : fail(LIMN_FORMAT, "%s: line %lld, column %d: %s", path, (long long)line, error.column, error.text);
}

/* ---- writing ---- */

static int add_dumped(const char *bytes, size_t length, void *out) {
    text_buffer_add_bytes(out, bytes, length);
    return 0;
}

static bool write_key(TextBuffer *out, void *at) {
    json_t *key = json_stringn(json_object_iter_key(at), strlen(json_object_iter_key(at)));
    bool good = key != NULL && json_dump_callback(key, add_dumped, out, JSON_COMPACT | JSON_ENCODE_ANY) == 0;
    text_buffer_add_char(out, ':');
    json_decref(key);
    return good;
}

static bool write_value(TextBuffer *out, const json_t *json) {
    const char *digits = json_digits(json);
    if (digits != NULL) {
        text_buffer_add(out, digits);
        return true;
    }
    if (!json_is_array(json) && !json_is_object(json)) {
        return json_dump_callback(json, add_dumped, out, JSON_COMPACT | JSON_ENCODE_ANY) == 0;
    }
    bool good = true;
    bool first = true;
    text_buffer_add_char(out, json_is_array(json) ? '[' : '{');
    for (size_t i = 0; good && i < json_array_size(json); i++, first = false) {
        text_buffer_add(out, first ? "" : ",");
        good = write_value(out, json_array_get(json, i));
    }
    json_t *object = (json_t *)(uintptr_t)json;
    for (void *at = json_object_iter(object); good && at != NULL;
         at = json_object_iter_next(object, at), first = false) {
        text_buffer_add(out, first ? "" : ",");
        good = write_key(out, at) && write_value(out, json_object_iter_value(at));
    }
    text_buffer_add_char(out, json_is_array(json) ? ']' : '}');
    return good;
}

limn_status record_json_write(TextBuffer *out, const json_t *json) {
    return write_value(out, json) ? text_buffer_status(out) : fail(LIMN_NO_MEMORY, "a field as JSON");
}
