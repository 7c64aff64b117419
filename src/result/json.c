#include "result/json.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

/* ---- numbers ---- */

/* The digits of "-d.ddde+xx" laid out so that the text depends on the decimal number alone. */
static void lay_out(char text[NUMBER_TEXT_MAX], const char *scientific) {
    char digits[NUMBER_TEXT_MAX];
    int n = 0;
    const char *c = scientific + (*scientific == '-');
    for (; *c != 'e'; c++) {
        if (*c >= '0' && *c <= '9') {
            digits[n++] = *c;
        }
    }
    int exponent = atoi(c + 1);
    while (n > 1 && digits[n - 1] == '0') {
        n--;
    }
    char *out = text;
    if (*scientific == '-') {
        *out++ = '-';
    }
    bool plain = exponent >= -5 && exponent < 15;
    int point = plain ? exponent + 1 : 1; /* digits before the point */
    if (point <= 0) {
        *out++ = '0';
        *out++ = '.';
    }
    for (int i = point < 0 ? point : 0; i < n || i < point; i++) {
        if (i == point && i > 0) {
            *out++ = '.';
        }
        *out++ = i >= 0 && i < n ? digits[i] : '0';
    }
    if (plain) {
        memcpy(out, n <= point ? ".0" : "", n <= point ? 3 : 1);
    } else {
        snprintf(out, NUMBER_TEXT_MAX - (size_t)(out - text), "e%+03d", exponent);
    }
}

/* Six digits always survive a float and fifteen a double, so the search for the shortest text starts there. */
void number_text(char text[NUMBER_TEXT_MAX], double value) {
    if (!isfinite(value)) {
        memcpy(text, "null", 5);
        return;
    }
    bool single = fabs(value) <= (double)FLT_MAX && (double)(float)value == value;
    char scientific[NUMBER_TEXT_MAX];
    for (int digits = single ? 6 : 15; digits <= 17; digits++) {
        snprintf(scientific, sizeof scientific, "%.*e", digits - 1, value == 0 ? 0.0 : value);
        if (single ? strtof(scientific, NULL) == (float)value : strtod(scientific, NULL) == value) {
            break;
        }
    }
    lay_out(text, scientific);
}

/* ---- structure ---- */

static void line_start(JsonWriter *writer) {
    text_buffer_add_char(writer->out, '\n');
    for (int i = 0; i < writer->depth; i++) {
        text_buffer_add_char(writer->out, ' ');
    }
}

static void before_value(JsonWriter *writer) {
    if (writer->after_key) {
        writer->after_key = false;
        return;
    }
    if (writer->depth == 0) {
        return;
    }
    int level = writer->depth - 1;
    if (!writer->empty[level]) {
        text_buffer_add_char(writer->out, ',');
    }
    if (!writer->on_line[level]) {
        line_start(writer);
    } else if (!writer->empty[level]) {
        text_buffer_add_char(writer->out, ' ');
    }
    writer->empty[level] = false;
}

void writer_begin(JsonWriter *writer, char bracket, bool on_line) {
    before_value(writer);
    text_buffer_add_char(writer->out, bracket);
    if (writer->depth == JSON_DEPTH_MAX) { /* nothing the library builds is so deep */
        writer->out->failed = true;
        return;
    }
    bool within_line = writer->depth > 0 && writer->on_line[writer->depth - 1];
    writer->empty[writer->depth] = true;
    writer->on_line[writer->depth] = on_line || within_line;
    writer->depth++;
}

void writer_end(JsonWriter *writer, char bracket) {
    if (writer->depth == 0) {
        return;
    }
    writer->depth--;
    if (!writer->empty[writer->depth] && !writer->on_line[writer->depth]) {
        line_start(writer);
    }
    text_buffer_add_char(writer->out, bracket);
}

/* A document shown on a terminal must not command it: control, line-separating and direction characters, and code
 * points that are no characters, are written as escapes. */
static bool must_escape(uint32_t codepoint) {
    return codepoint < 0x20 || (codepoint >= 0x7F && codepoint < 0xA0) ||
           (codepoint >= 0x200E && codepoint <= 0x200F) || (codepoint >= 0x2028 && codepoint <= 0x202E) ||
           (codepoint >= 0x2066 && codepoint <= 0x2069) || codepoint == 0xFEFF ||
           (codepoint >= 0xFFFE && codepoint <= 0xFFFF);
}

static void add_codepoint_text(TextBuffer *out, uint32_t codepoint) {
    switch (codepoint) {
    case '"':
        text_buffer_add(out, "\\\"");
        return;
    case '\\':
        text_buffer_add(out, "\\\\");
        return;
    case '\n':
        text_buffer_add(out, "\\n");
        return;
    case '\t':
        text_buffer_add(out, "\\t");
        return;
    case '\r':
        text_buffer_add(out, "\\r");
        return;
    default:
        break;
    }
    if (must_escape(codepoint)) {
        text_buffer_printf(out, "\\u%04x", (unsigned)codepoint);
    } else {
        text_buffer_add_codepoint(out, codepoint);
    }
}

static void add_string(TextBuffer *out, const char *bytes, size_t length) {
    text_buffer_add_char(out, '"');
    for (size_t i = 0; i < length;) {
        uint32_t codepoint;
        bool valid;
        i += utf8_read(bytes + i, length - i, &codepoint, &valid);
        add_codepoint_text(out, codepoint);
    }
    text_buffer_add_char(out, '"');
}

void writer_key(JsonWriter *writer, const char *name) {
    before_value(writer);
    add_string(writer->out, name, strlen(name));
    text_buffer_add(writer->out, ": ");
    writer->after_key = true;
}

/* ---- values ---- */

void writer_null(JsonWriter *writer) {
    before_value(writer);
    text_buffer_add(writer->out, "null");
}

void writer_bool(JsonWriter *writer, bool value) {
    before_value(writer);
    text_buffer_add(writer->out, value ? "true" : "false");
}

void writer_integer(JsonWriter *writer, int64_t value) {
    before_value(writer);
    text_buffer_printf(writer->out, "%lld", (long long)value);
}

void writer_number(JsonWriter *writer, double value) {
    char text[NUMBER_TEXT_MAX];
    number_text(text, value);
    before_value(writer);
    text_buffer_add(writer->out, text);
}

static void add_base64(TextBuffer *out, const char *bytes, size_t length) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *b = (const unsigned char *)bytes;
    text_buffer_add_char(out, '"');
    for (size_t i = 0; i < length; i += 3) {
        size_t left = length - i;
        unsigned word = (unsigned)b[i] << 16 | (left > 1 ? (unsigned)b[i + 1] << 8 : 0) | (left > 2 ? b[i + 2] : 0u);
        text_buffer_add_char(out, digits[word >> 18]);
        text_buffer_add_char(out, digits[word >> 12 & 63]);
        text_buffer_add_char(out, left > 1 ? digits[word >> 6 & 63] : '=');
        text_buffer_add_char(out, left > 2 ? digits[word & 63] : '=');
    }
    text_buffer_add_char(out, '"');
}

void writer_text(JsonWriter *writer, Text text) {
    if (text.bytes == NULL) {
        writer_null(writer);
    } else if (utf8_is_valid(text.bytes, text.length)) {
        before_value(writer);
        add_string(writer->out, text.bytes, text.length);
    } else {
        writer_begin(writer, '{', true);
        writer_key(writer, "text");
        add_string(writer->out, text.bytes, text.length);
        writer->after_key = false;
        writer_key(writer, "base64");
        add_base64(writer->out, text.bytes, text.length);
        writer->after_key = false;
        writer_end(writer, '}');
    }
}

void writer_value(JsonWriter *writer, const Value *value) {
    switch (value->kind) {
    case VALUE_NULL:
        writer_null(writer);
        return;
    case VALUE_BOOL:
        writer_bool(writer, value->boolean);
        return;
    case VALUE_INTEGER:
        writer_integer(writer, value->integer);
        return;
    case VALUE_NUMBER:
        writer_number(writer, value->number);
        return;
    case VALUE_TEXT:
        writer_text(writer, value->text);
        return;
    case VALUE_LIST:
        writer_begin(writer, '[', true);
        for (size_t i = 0; i < value->count; i++) {
            writer_value(writer, &value->items[i]);
        }
        writer_end(writer, ']');
        return;
    case VALUE_OBJECT:
        writer_begin(writer, '{', false);
        for (size_t i = 0; i < value->count; i++) {
            writer_key(writer, value->fields[i].name);
            writer_value(writer, &value->fields[i].value);
        }
        writer_end(writer, '}');
        return;
    }
}

void writer_text_field(JsonWriter *writer, const char *name, Text text) {
    if (text.bytes != NULL) {
        writer_key(writer, name);
        writer_text(writer, text);
    }
}

void writer_string_field(JsonWriter *writer, const char *name, const char *text) {
    writer_text_field(writer, name, text_of(text));
}

void writer_bool_field(JsonWriter *writer, const char *name, bool value) {
    writer_key(writer, name);
    writer_bool(writer, value);
}

void writer_integer_field(JsonWriter *writer, const char *name, int64_t value) {
    writer_key(writer, name);
    writer_integer(writer, value);
}

void writer_number_field(JsonWriter *writer, const char *name, double value) {
    writer_key(writer, name);
    writer_number(writer, value);
}

void writer_numbers_field(JsonWriter *writer, const char *name, const double *values, int32_t n) {
    writer_key(writer, name);
    writer_begin(writer, '[', true);
    for (int32_t i = 0; i < n; i++) {
        writer_number(writer, values[i]);
    }
    writer_end(writer, ']');
}
