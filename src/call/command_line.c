#include "call/command_line.h"

#include <stdlib.h>
#include <string.h>

#include "call/method.h"

static limn_status quote_with_escapes(TextBuffer *out, const char *text) {
    text_buffer_add(out, "$'");
    for (const char *c = text; *c != '\0'; c++) {
        const char *escape = *c == '\n'   ? "\\n"
                             : *c == '\t' ? "\\t"
                             : *c == '\r' ? "\\r"
                             : *c == '\'' ? "\\'"
                             : *c == '\\' ? "\\\\"
                                          : NULL;
        if (escape != NULL) {
            text_buffer_add(out, escape);
        } else {
            text_buffer_add_char(out, *c);
        }
    }
    text_buffer_add_char(out, '\'');
    return text_buffer_status(out);
}

limn_status shell_word(TextBuffer *out, const char *text) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%";
    if (text[0] != '\0' && text[strspn(text, plain)] == '\0') {
        text_buffer_add(out, text);
        return text_buffer_status(out);
    }
    if (strpbrk(text, "\n\t\r") != NULL) { /* in one line, as it is copied out of a report */
        return quote_with_escapes(out, text);
    }
    text_buffer_add_char(out, '\'');
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '\'') {
            text_buffer_add(out, "'\\''");
        } else {
            text_buffer_add_char(out, *c);
        }
    }
    text_buffer_add_char(out, '\'');
    return text_buffer_status(out);
}

static limn_status add_value(TextBuffer *out, const json_t *value) {
    if (json_is_string(value)) {
        return shell_word(out, json_string_value(value));
    }
    if (json_is_integer(value)) {
        text_buffer_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    } else if (json_is_real(value)) {
        text_buffer_printf(out, "%.15g", json_real_value(value));
    }
    return text_buffer_status(out);
}

static limn_status add_option(TextBuffer *out, const limn_param *row, const json_t *value) {
    if (json_is_false(value) || json_is_null(value)) {
        return LIMN_OK;
    }
    if (json_is_array(value)) {
        for (size_t i = 0; i < json_array_size(value); i++) {
            TRY(add_option(out, row, json_array_get(value, i)));
        }
        return LIMN_OK;
    }
    text_buffer_printf(out, " %s%s", row->positional ? "" : "--", row->positional ? "" : row->name);
    if (!json_is_true(value)) {
        text_buffer_add(out, row->positional ? "" : " ");
        TRY(add_value(out, value));
    }
    return text_buffer_status(out);
}

static bool is_default(const limn_param *row, const json_t *value) {
    bool same = row->default_text != NULL;
    if (same && json_is_string(value)) {
        same = strcmp(json_string_value(value), row->default_text) == 0;
    } else if (same && json_is_number(value)) {
        char *end;
        double number = strtod(row->default_text, &end);
        same = *end == '\0' && number == json_number_value(value);
    } else {
        same = false;
    }
    return same;
}

static limn_status add_row(TextBuffer *out, const limn_param *row, const json_t *params) {
    const json_t *value = json_object_get(params, row->name);
    return value == NULL || is_default(row, value) ? LIMN_OK : add_option(out, row, value);
}

limn_status command_line_of(TextBuffer *out, const limn_command *command, const json_t *params) {
    text_buffer_printf(out, "limn %s", command->name);
    for (int words = 1; words >= 0; words--) {
        for (size_t i = 0; i < command->n_params; i++) {
            if (command->params[i].positional == (words == 1)) {
                TRY(add_row(out, &command->params[i], params));
            }
        }
    }
    for (size_t i = 0; i < common_params_count; i++) {
        if (command_takes(command, &common_params[i])) {
            TRY(add_row(out, &common_params[i], params));
        }
    }
    return text_buffer_status(out);
}
