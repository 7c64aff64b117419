/* A step as a person would type it. */
#include <string.h>

#include "audit/audit.h"

/* Quoted where a shell would see more than a word. */
limn_status shell_word(TextBuffer *out, const char *text) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%";
    if (text[0] != '\0' && text[strspn(text, plain)] == '\0') {
        text_buffer_add(out, text);
        return text_buffer_status(out);
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

limn_status command_line(TextBuffer *out, const Plan *plan, const PlanStep *step) {
    (void)plan;
    const limn_command *command = &step->method->command;
    text_buffer_printf(out, "limn %s", command->name);
    for (int words = 1; words >= 0; words--) {
        for (size_t i = 0; i < command->n_params; i++) {
            const limn_param *row = &command->params[i];
            const json_t *value = json_object_get(step->params, row->name);
            if (value != NULL && row->positional == (words == 1)) {
                TRY(add_option(out, row, value));
            }
        }
    }
    for (size_t i = 0; i < common_params_count; i++) {
        const limn_param *row = &common_params[i];
        const json_t *value = command_takes(command, row) ? json_object_get(step->params, row->name) : NULL;
        if (value != NULL) {
            TRY(add_option(out, row, value));
        }
    }
    return text_buffer_status(out);
}
