/* Values as Python's str(), repr() and json.dumps() write them. */
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "chat/value.h"

bool character_is_printable(uint32_t c) {
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return false;
    case UTF8PROC_CATEGORY_ZS:
        return c == ' ';
    default:
        return true;
    }
}

bool real_of_text(double *real, const char *text) {
    const char *point = localeconv()->decimal_point; /* strtod reads as the locale writes */
    char copy[160], *end;
    size_t n = 0;
    for (; *text != '\0' && n + 8 < sizeof copy; text++) {
        n += (size_t)snprintf(copy + n, 8, "%.*s", *text == '.' ? 7 : 1, *text == '.' ? point : text);
    }
    copy[n] = '\0';
    *real = strtod(copy, &end);
    return *text == '\0' && end != copy && *end == '\0';
}

/* The fewest digits that read back as the same number; the radix character of the locale is skipped. */
const char *real_text(double real, char buffer[40]) {
    if (isnan(real) || isinf(real)) {
        snprintf(buffer, 40, "%s", isnan(real) ? "nan" : real > 0 ? "inf" : "-inf");
        return buffer;
    }
    char made[40];
    int precision = 0;
    do {
        snprintf(made, sizeof made, "%.*e", precision, fabs(real));
    } while (strtod(made, NULL) != fabs(real) && ++precision < 17);
    char digits[24];
    int n = 0;
    char *at = made;
    for (; *at != 'e'; at++) {
        if (*at >= '0' && *at <= '9' && n < 20) {
            digits[n++] = *at;
        }
    }
    int exponent = atoi(at + 1);
    while (n > 1 && digits[n - 1] == '0') {
        n--;
    }
    char *out = buffer;
    if (signbit(real)) {
        *out++ = '-';
    }
    if (exponent < -4 || exponent >= 16) {
        *out++ = digits[0];
        if (n > 1) {
            *out++ = '.';
            memcpy(out, digits + 1, (size_t)n - 1);
            out += n - 1;
        }
        snprintf(out, 16, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent) % 1000);
        return buffer;
    }
    if (exponent < 0) {
        *out++ = '0';
        *out++ = '.';
        for (int i = -1; i > exponent; i--) {
            *out++ = '0';
        }
    }
    for (int i = 0; i < n || i <= exponent; i++) {
        if (i == exponent + 1 && exponent >= 0) {
            *out++ = '.';
        }
        *out++ = i < n ? digits[i] : '0';
    }
    if (exponent >= n - 1) {
        *out++ = '.';
        *out++ = '0';
    }
    *out = '\0';
    return buffer;
}

/* ---- repr ---- */

static void escape_codepoint(Builder *builder, uint32_t c, Mark mark) {
    char text[16];
    int n = c == '\n'     ? snprintf(text, sizeof text, "\\n")
            : c == '\r'   ? snprintf(text, sizeof text, "\\r")
            : c == '\t'   ? snprintf(text, sizeof text, "\\t")
            : c < 0x100   ? snprintf(text, sizeof text, "\\x%02x", c)
            : c < 0x10000 ? snprintf(text, sizeof text, "\\u%04x", c)
                          : snprintf(text, sizeof text, "\\U%08x", c);
    builder_add(builder, text, (size_t)n, mark);
}

static void write_quoted(Builder *builder, const Str *string) {
    bool single = memchr(string->bytes, '\'', string->length) != NULL;
    bool twice = memchr(string->bytes, '"', string->length) != NULL;
    char quote = single && !twice ? '"' : '\'';
    Mark mark = string->length > 0 ? str_mark_at(string, 0) : 0;
    builder_add(builder, &quote, 1, mark);
    size_t step;
    for (size_t at = 0; at < string->length; at += step) {
        uint32_t c = utf8_next(string->bytes + at, &step);
        mark = str_mark_at(string, at);
        if (c == (uint32_t)quote || c == '\\') {
            builder_add(builder, "\\", 1, mark);
            builder_add_codepoint(builder, c, mark);
        } else if (character_is_printable(c)) {
            builder_add(builder, string->bytes + at, step, mark);
        } else {
            escape_codepoint(builder, c, mark);
        }
    }
    builder_add(builder, &quote, 1, mark);
}

static limn_status write_list(Builder *builder, const TemplateValue *value) {
    const List *list = value->list;
    bool tuple = value->kind == TEMPLATE_TUPLE;
    builder_add(builder, tuple ? "(" : "[", 1, list->mark);
    for (size_t i = 0; i < list->n; i++) {
        if (i > 0) {
            builder_add(builder, ", ", 2, list->mark);
        }
        TRY(value_write_repr(builder, &list->items[i]));
    }
    if (tuple && list->n == 1) {
        builder_add(builder, ",", 1, list->mark);
    }
    builder_add(builder, tuple ? ")" : "]", 1, list->mark);
    return builder->status;
}

static limn_status write_dict(Builder *builder, const Dict *dict) {
    builder_add(builder, "{", 1, dict->mark);
    for (size_t i = 0; i < dict->n; i++) {
        if (i > 0) {
            builder_add(builder, ", ", 2, dict->mark);
        }
        TRY(value_write_repr(builder, &dict->keys[i]));
        builder_add(builder, ": ", 2, dict->mark);
        TRY(value_write_repr(builder, &dict->values[i]));
    }
    builder_add(builder, "}", 1, dict->mark);
    return builder->status;
}

static limn_status write_value(Builder *builder, const TemplateValue *value) {
    char text[40];
    switch (value->kind) {
    case TEMPLATE_UNDEFINED:
        builder_add_text(builder, "Undefined");
        break;
    case TEMPLATE_NONE:
        builder_add_text(builder, "None");
        break;
    case TEMPLATE_BOOL:
        builder_add_text(builder, value->boolean ? "True" : "False");
        break;
    case TEMPLATE_INTEGER:
        snprintf(text, sizeof text, "%lld", (long long)value->integer);
        builder_add_text(builder, text);
        break;
    case TEMPLATE_REAL:
        builder_add_text(builder, real_text(value->real, text));
        break;
    case TEMPLATE_STRING:
        if (value->string->markup) {
            return machine_fail(builder->machine, LIMN_UNSUPPORTED, "the repr of safe text is not implemented");
        }
        write_quoted(builder, value->string);
        break;
    case TEMPLATE_LIST:
    case TEMPLATE_TUPLE:
        return write_list(builder, value);
    case TEMPLATE_DICT:
        return write_dict(builder, value->dict);
    default:
        return machine_fail(builder->machine, LIMN_UNSUPPORTED, "printing a %s is not implemented", value_type(value));
    }
    return builder->status;
}

limn_status value_write_repr(Builder *builder, const TemplateValue *value) {
    Machine *machine = builder->machine;
    TRY(machine_step(machine, 1));
    if (machine->depth >= CHAT_DEPTH_MAX) {
        return machine_fail(machine, LIMN_RANGE, "values nested deeper than %d (the limit)", CHAT_DEPTH_MAX);
    }
    machine->depth++;
    limn_status status = write_value(builder, value);
    machine->depth--;
    return status;
}

limn_status value_write_str(Builder *builder, const TemplateValue *value) {
    if (value->kind == TEMPLATE_STRING) {
        builder_add_str(builder, value->string);
        return builder->status;
    }
    return value->kind == TEMPLATE_UNDEFINED ? LIMN_OK : value_write_repr(builder, value);
}

limn_status value_to_str(TemplateValue *text, Machine *machine, const TemplateValue *value) {
    if (value->kind == TEMPLATE_STRING) {
        *text = *value;
        return LIMN_OK;
    }
    Builder builder = {.machine = machine};
    TRY(value_write_str(&builder, value));
    return builder_finish(text, &builder);
}

/* ---- JSON ---- */

static void write_json_text(Builder *builder, const Str *string, bool ascii) {
    Mark mark = string->length > 0 ? str_mark_at(string, 0) : 0;
    builder_add(builder, "\"", 1, mark);
    size_t step;
    for (size_t at = 0; at < string->length; at += step) {
        uint32_t c = utf8_next(string->bytes + at, &step);
        mark = str_mark_at(string, at);
        const char *simple = c == '"'    ? "\\\""
                             : c == '\\' ? "\\\\"
                             : c == '\n' ? "\\n"
                             : c == '\r' ? "\\r"
                             : c == '\t' ? "\\t"
                             : c == '\f' ? "\\f"
                             : c == '\b' ? "\\b"
                                         : NULL;
        char text[16];
        if (simple != NULL) {
            builder_add(builder, simple, 2, mark);
        } else if (c >= 0x10000 && ascii) {
            uint32_t high = 0xD800 + ((c - 0x10000) >> 10), low = 0xDC00 + ((c - 0x10000) & 0x3FF);
            builder_add(builder, text, (size_t)snprintf(text, sizeof text, "\\u%04x\\u%04x", high, low), mark);
        } else if (c < 0x20 || (ascii && c >= 0x7F)) {
            builder_add(builder, text, (size_t)snprintf(text, sizeof text, "\\u%04x", c), mark);
        } else {
            builder_add(builder, string->bytes + at, step, mark);
        }
    }
    builder_add(builder, "\"", 1, mark);
}

static void write_json_real(Builder *builder, double real) {
    char text[40];
    builder_add_text(builder, isnan(real)   ? "NaN"
                              : isinf(real) ? (real > 0 ? "Infinity" : "-Infinity")
                                            : real_text(real, text));
}

typedef struct JsonWriter {
    Builder *builder;
    const JsonStyle *style;
    size_t level;
} JsonWriter;

static limn_status write_json(JsonWriter *writer, const TemplateValue *value);

static void begin_item(JsonWriter *writer, bool first, Mark mark) {
    if (!first) {
        builder_add(writer->builder, writer->style->between->bytes, writer->style->between->length, mark);
    }
    if (writer->style->indented) {
        builder_add(writer->builder, "\n", 1, mark);
        for (size_t i = 0; i < writer->level; i++) {
            builder_add(writer->builder, writer->style->indent->bytes, writer->style->indent->length, mark);
        }
    }
}

static void end_items(JsonWriter *writer, Mark mark) {
    writer->level--;
    if (writer->style->indented) {
        begin_item(writer, true, mark);
    }
}

static limn_status write_json_list(JsonWriter *writer, const List *list) {
    builder_add(writer->builder, "[", 1, list->mark);
    if (list->n > 0) {
        writer->level++;
        for (size_t i = 0; i < list->n; i++) {
            begin_item(writer, i == 0, list->mark);
            TRY(write_json(writer, &list->items[i]));
        }
        end_items(writer, list->mark);
    }
    builder_add(writer->builder, "]", 1, list->mark);
    return writer->builder->status;
}

static limn_status write_json_key(JsonWriter *writer, const TemplateValue *key) {
    Builder *builder = writer->builder;
    if (key->kind == TEMPLATE_STRING) {
        write_json_text(builder, key->string, writer->style->ascii);
        return builder->status;
    }
    if (!value_is_number(key) && key->kind != TEMPLATE_NONE) {
        return machine_fail(builder->machine, LIMN_FORMAT, "tojson: keys must be str, int, float, bool or None, not %s",
                            value_type(key));
    }
    builder_add_text(builder, "\"");
    TRY(write_json(writer, key));
    builder_add_text(builder, "\"");
    return builder->status;
}

/* The places of a dict's keys in their order; Python cannot sort keys of several types and neither can this. */
static limn_status sorted_keys(size_t **order, Machine *machine, const Dict *dict) {
    void *memory;
    TRY(machine_take(&memory, machine, dict->n, sizeof(size_t)));
    *order = memory;
    for (size_t i = 0; i < dict->n; i++) {
        size_t at = i;
        for (; at > 0; at--) {
            int compared;
            TRY(value_order(&compared, machine, &dict->keys[(*order)[at - 1]], &dict->keys[i], "<"));
            if (compared <= 0) {
                break;
            }
            (*order)[at] = (*order)[at - 1];
        }
        (*order)[at] = i;
    }
    return LIMN_OK;
}

static limn_status write_json_dict(JsonWriter *writer, const Dict *dict) {
    size_t *order = NULL;
    if (writer->style->sort) {
        TRY(sorted_keys(&order, writer->builder->machine, dict));
    }
    builder_add(writer->builder, "{", 1, dict->mark);
    if (dict->n > 0) {
        writer->level++;
        for (size_t i = 0; i < dict->n; i++) {
            size_t at = order != NULL ? order[i] : i;
            begin_item(writer, i == 0, dict->mark);
            TRY(write_json_key(writer, &dict->keys[at]));
            builder_add(writer->builder, writer->style->colon->bytes, writer->style->colon->length, dict->mark);
            TRY(write_json(writer, &dict->values[at]));
        }
        end_items(writer, dict->mark);
    }
    builder_add(writer->builder, "}", 1, dict->mark);
    return writer->builder->status;
}

static limn_status write_json_value(JsonWriter *writer, const TemplateValue *value) {
    Builder *builder = writer->builder;
    switch (value->kind) {
    case TEMPLATE_NONE:
        builder_add_text(builder, "null");
        return builder->status;
    case TEMPLATE_BOOL:
        builder_add_text(builder, value->boolean ? "true" : "false");
        return builder->status;
    case TEMPLATE_INTEGER:
        return value_write_str(builder, value);
    case TEMPLATE_REAL:
        write_json_real(builder, value->real);
        return builder->status;
    case TEMPLATE_STRING:
        write_json_text(builder, value->string, writer->style->ascii);
        return builder->status;
    case TEMPLATE_LIST:
    case TEMPLATE_TUPLE:
        return write_json_list(writer, value->list);
    case TEMPLATE_DICT:
        return write_json_dict(writer, value->dict);
    default:
        return machine_fail(builder->machine, LIMN_FORMAT, "tojson: object of type %s is not JSON serializable",
                            value_type(value));
    }
}

static limn_status write_json(JsonWriter *writer, const TemplateValue *value) {
    Machine *machine = writer->builder->machine;
    TRY(machine_step(machine, 1));
    if (machine->depth >= CHAT_DEPTH_MAX) {
        return machine_fail(machine, LIMN_RANGE, "values nested deeper than %d (the limit)", CHAT_DEPTH_MAX);
    }
    machine->depth++;
    limn_status status = write_json_value(writer, value);
    machine->depth--;
    return status;
}

limn_status value_write_json(Builder *builder, const TemplateValue *value, const JsonStyle *style) {
    JsonWriter writer = {builder, style, 0};
    return write_json(&writer, value);
}
