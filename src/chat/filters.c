/* Filters of one value, and the table of all filters. */
#include "chat/filters.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- texts ---- */

static limn_status run_trim(Call *call, TemplateValue *result) {
    const Str *text, *chars = NULL;
    size_t begin, end;
    TRY(call_self_text(&text, call));
    if (call->args[0].kind != TEMPLATE_NONE) {
        TRY(call_take_text(&chars, call, 0, NULL));
    }
    text_strip(&begin, &end, text, chars, true, true);
    return str_part(result, call->machine, text, begin, end);
}

static limn_status change(Call *call, TemplateValue *result, CaseChange how) {
    const Str *text;
    TRY(call_self_text(&text, call));
    return text_change_case(result, call->machine, text, how);
}

static limn_status run_upper(Call *call, TemplateValue *result) {
    return change(call, result, CASE_UPPER);
}

static limn_status run_lower(Call *call, TemplateValue *result) {
    return change(call, result, CASE_LOWER);
}

static limn_status run_capitalize(Call *call, TemplateValue *result) {
    return change(call, result, CASE_CAPITALIZE);
}

/* Words begin after white space and - ( { [ <, unlike in the method of the same name. */
static limn_status run_title(Call *call, TemplateValue *result) {
    const Str *text;
    TRY(call_self_text(&text, call));
    Builder builder = {.machine = call->machine};
    size_t step, begin = 0;
    for (size_t at = 0; at <= text->length; at += step) {
        step = 1;
        uint32_t c = at < text->length ? utf8_next(text->bytes + at, &step) : ' ';
        if (!character_is_space(c) && (c >= 0x80 || strchr("-({[<", (int)c) == NULL || c == 0)) {
            continue;
        }
        TemplateValue word, made;
        TRY(str_part(&word, call->machine, text, begin, at));
        TRY(text_change_case(&made, call->machine, word.string, CASE_CAPITALIZE));
        builder_add_str(&builder, made.string);
        begin = at + step;
        if (at < text->length) {
            builder_add_part(&builder, text, at, begin);
        }
    }
    return builder_finish(result, &builder);
}

static limn_status run_replace(Call *call, TemplateValue *result) {
    const Str *text, *old, *fresh;
    int64_t count;
    TRY(call_self_text(&text, call));
    TRY(call_need_text(&old, call, &call->args[0]));
    TRY(call_need_text(&fresh, call, &call->args[1]));
    if (call->args[2].kind == TEMPLATE_NONE) {
        call->args[2].kind = TEMPLATE_ABSENT;
    }
    TRY(call_take_whole(&count, call, 2, -1));
    return text_replace(result, call->machine, text, old, fresh, count);
}

static limn_status run_string(Call *call, TemplateValue *result) {
    return value_to_str(result, call->machine, &call->self);
}

static limn_status mark_safe(Call *call, TemplateValue *result, const Str *text) {
    void *memory;
    TRY(machine_take(&memory, call->machine, 1, sizeof(Str)));
    *(Str *)memory = *text;
    ((Str *)memory)->markup = true;
    *result = value_of_str(memory);
    return LIMN_OK;
}

static limn_status run_safe(Call *call, TemplateValue *result) {
    TemplateValue text;
    TRY(value_to_str(&text, call->machine, &call->self));
    return mark_safe(call, result, text.string);
}

static limn_status run_escape(Call *call, TemplateValue *result) {
    static const char *const entities[] = {"&&amp;", "<&lt;", ">&gt;", "'&#39;", "\"&#34;"};
    TemplateValue text;
    TRY(value_to_str(&text, call->machine, &call->self));
    if (text.string->markup) {
        *result = text;
        return LIMN_OK;
    }
    Builder builder = {.machine = call->machine};
    for (size_t at = 0; at < text.string->length; at++) {
        const char *entity = NULL;
        for (size_t i = 0; i < sizeof entities / sizeof *entities; i++) {
            entity = text.string->bytes[at] == entities[i][0] ? entities[i] + 1 : entity;
        }
        if (entity != NULL) {
            builder_add(&builder, entity, strlen(entity), str_mark_at(text.string, at));
        } else {
            builder_add_part(&builder, text.string, at, at + 1);
        }
    }
    TRY(builder_finish(result, &builder));
    return mark_safe(call, result, result->string);
}

static limn_status run_center(Call *call, TemplateValue *result) {
    int64_t width;
    TRY(call_take_whole(&width, call, 0, 80));
    TemplateValue text, given_width = value_of_integer(width);
    TRY(value_to_str(&text, call->machine, &call->self));
    const Given given = {.positional = &given_width, .n = 1};
    return builtin_call(call->machine, text_method_row("center", 6), text, &given, result);
}

static limn_status run_indent(Call *call, TemplateValue *result) {
    const Str *text, *with = NULL;
    int64_t width = 4;
    TRY(call_need_text(&text, call, &call->self)); /* unlike its neighbours it takes nothing else */
    bool first = call_take_bool(call, 1, false), blank = call_take_bool(call, 2, false);
    if (call->args[0].kind == TEMPLATE_STRING) {
        with = call->args[0].string;
    } else {
        TRY(call_take_whole(&width, call, 0, 4));
    }
    TemplateValue lines, self = value_of_str(text);
    const Given none = {0};
    TRY(builtin_call(call->machine, text_method_row("splitlines", 10), self, &none, &lines));
    size_t step = 0, n = lines.list->n; /* the reference adds a newline, then splits: an empty last line stays */
    bool closed = text->length == 0 || text->bytes[text->length - 1] == '\n';
    (void)step;
    Builder builder = {.machine = call->machine};
    for (size_t i = 0; i < n + closed; i++) {
        bool empty = i == n || lines.list->items[i].string->length == 0;
        builder_add(&builder, "\n", i > 0 ? 1 : 0, 0);
        bool indented = i == 0 ? first : blank || !empty;
        for (int64_t k = 0; indented && k < (with != NULL ? 1 : width); k++) {
            TRY(machine_step(call->machine, 1));
            builder_add(&builder, with != NULL ? with->bytes : " ", with != NULL ? with->length : 1, 0);
            TRY(builder.status);
        }
        if (i < n) {
            builder_add_str(&builder, lines.list->items[i].string);
        }
    }
    return builder_finish(result, &builder);
}

static limn_status run_format(Call *call, TemplateValue *result) {
    const Str *text;
    TRY(call_self_text(&text, call));
    if (call->given->n_named > 0) {
        return machine_fail(call->machine, LIMN_UNSUPPORTED, "format with names is not implemented");
    }
    TemplateValue values;
    TRY(value_list(&values, call->machine, TEMPLATE_TUPLE, call->given->n));
    if (call->given->n > 0) {
        memcpy(values.list->items, call->given->positional, call->given->n * sizeof(TemplateValue));
    }
    return text_format_percent(result, call->machine, text, &values);
}

static limn_status run_tojson(Call *call, TemplateValue *result) {
    static const Str comma = {.bytes = ",", .length = 1}, wide = {.bytes = ", ", .length = 2},
                     colon = {.bytes = ": ", .length = 2};
    const TemplateValue *indent = &call->args[1], *separators = &call->args[2];
    JsonStyle style = {.ascii = call_take_bool(call, 0, false), .sort = call_take_bool(call, 3, false)};
    style.indented = indent->kind != TEMPLATE_ABSENT && indent->kind != TEMPLATE_NONE;
    style.between = style.indented ? &comma : &wide;
    style.colon = &colon;
    if (style.indented && indent->kind == TEMPLATE_STRING) {
        style.indent = indent->string;
    } else if (style.indented) {
        int64_t width;
        TRY(call_need_whole(&width, call, indent));
        if (width > 64) {
            return call_fail(call, "an indent of more than 64 (the limit)");
        }
        Builder builder = {.machine = call->machine};
        TemplateValue spaces;
        for (int64_t i = 0; i < width; i++) {
            builder_add_text(&builder, " ");
        }
        TRY(builder_finish(&spaces, &builder));
        style.indent = spaces.string;
    }
    if (separators->kind != TEMPLATE_ABSENT && separators->kind != TEMPLATE_NONE) {
        List *pair;
        TRY(value_items(&pair, call->machine, separators));
        if (pair->n != 2) {
            return call_fail(call, "found %zu separators, expected 2", pair->n);
        }
        TRY(call_need_text(&style.between, call, &pair->items[0]));
        TRY(call_need_text(&style.colon, call, &pair->items[1]));
    }
    Builder builder = {.machine = call->machine};
    TRY(value_write_json(&builder, &call->self, &style));
    return builder_finish(result, &builder);
}

/* ---- values ---- */

static limn_status run_default(Call *call, TemplateValue *result) {
    bool wanted =
        call->self.kind == TEMPLATE_UNDEFINED || (call_take_bool(call, 1, false) && !value_truth(&call->self));
    *result = call->self;
    if (wanted && call->args[0].kind != TEMPLATE_ABSENT) {
        *result = call->args[0];
        return LIMN_OK;
    }
    return wanted ? value_of_text(result, call->machine, "", 0, 0) : LIMN_OK;
}

static limn_status run_length(Call *call, TemplateValue *result) {
    int64_t length;
    TRY(value_length(&length, call->machine, &call->self));
    *result = value_of_integer(length);
    return LIMN_OK;
}

enum { NUMBER_BYTES = 64 }; /* of a number's text, with its NUL */

/* Takes white space off, and the underscores that Python allows between digits. false: no number is so long. */
static bool bare_number(char copy[NUMBER_BYTES], const Str *text) {
    size_t begin, end, n = 0;
    text_strip(&begin, &end, text, NULL, true, true);
    if (begin >= end || end - begin >= NUMBER_BYTES) {
        return false;
    }
    for (size_t at = begin; at < end; at++) {
        bool between = at > begin && at + 1 < end && isdigit((unsigned char)text->bytes[at - 1]) &&
                       isdigit((unsigned char)text->bytes[at + 1]);
        if (text->bytes[at] != '_' || !between) {
            copy[n++] = text->bytes[at];
        }
    }
    copy[n] = '\0';
    return strlen(copy) == n; /* NULs inside */
}

typedef enum Spelled { SPELLED_OTHERWISE, SPELLED_WHOLE, SPELLED_BEYOND /* 64 bits */ } Spelled;

/* The number a text spells: digits with a sign, white space around. */
static Spelled text_to_whole(int64_t *whole, const Str *text) {
    char copy[NUMBER_BYTES];
    if (!bare_number(copy, text)) {
        return SPELLED_OTHERWISE;
    }
    const char *digits = copy + (copy[0] == '-' || copy[0] == '+');
    if (*digits == '\0' || digits[strspn(digits, "0123456789")] != '\0') {
        return SPELLED_OTHERWISE;
    }
    errno = 0;
    *whole = strtoll(copy, NULL, 10);
    return errno == ERANGE ? SPELLED_BEYOND : SPELLED_WHOLE;
}

static bool text_to_real(double *real, const Str *text) {
    char copy[NUMBER_BYTES];
    return bare_number(copy, text) && copy[strspn(copy, "0123456789.eE+-")] == '\0' && real_of_text(real, copy);
}

static limn_status refuse_undefined(const Call *call) {
    return call->self.kind != TEMPLATE_UNDEFINED ? LIMN_OK
                                                 : machine_fail(call->machine, LIMN_FORMAT, "%s", call->self.missing);
}

static limn_status run_int(Call *call, TemplateValue *result) {
    int64_t whole;
    double real = 0;
    TRY(refuse_undefined(call));
    *result = call->args[0].kind == TEMPLATE_ABSENT ? value_of_integer(0) : call->args[0];
    if (call->args[1].kind != TEMPLATE_ABSENT) {
        return machine_fail(call->machine, LIMN_UNSUPPORTED, "int with a base is not implemented");
    }
    bool text = call->self.kind == TEMPLATE_STRING;
    Spelled spelled = text ? text_to_whole(&whole, call->self.string) : SPELLED_OTHERWISE;
    bool fraction = call->self.kind == TEMPLATE_REAL ||
                    (text && spelled == SPELLED_OTHERWISE && text_to_real(&real, call->self.string) && isfinite(real));
    real = call->self.kind == TEMPLATE_REAL ? call->self.real : real;
    if (spelled == SPELLED_BEYOND || (fraction && fabs(real) >= 0x1p63)) {
        return machine_fail(call->machine, LIMN_UNSUPPORTED, "integers beyond 64 bits are not implemented");
    }
    if (value_is_whole(&call->self)) {
        *result = value_of_integer(value_whole(&call->self));
    } else if (spelled == SPELLED_WHOLE) {
        *result = value_of_integer(whole);
    } else if (fraction && !isnan(real)) {
        *result = value_of_integer((int64_t)real);
    }
    return LIMN_OK;
}

static limn_status run_float(Call *call, TemplateValue *result) {
    double real;
    TRY(refuse_undefined(call));
    *result = call->args[0].kind == TEMPLATE_ABSENT ? value_of_real(0) : call->args[0];
    if (value_is_number(&call->self)) {
        *result = value_of_real(value_number(&call->self));
    } else if (call->self.kind == TEMPLATE_STRING && text_to_real(&real, call->self.string)) {
        *result = value_of_real(real);
    }
    return LIMN_OK;
}

static limn_status run_abs(Call *call, TemplateValue *result) {
    if (!value_is_number(&call->self)) {
        return call_fail(call, "bad operand type for abs(): '%s'", value_type(&call->self));
    }
    if (call->self.kind == TEMPLATE_REAL) {
        *result = value_of_real(fabs(call->self.real));
        return LIMN_OK;
    }
    int64_t whole = value_whole(&call->self);
    if (whole == INT64_MIN) {
        return machine_fail(call->machine, LIMN_UNSUPPORTED, "integers beyond 64 bits are not implemented");
    }
    *result = value_of_integer(whole < 0 ? -whole : whole);
    return LIMN_OK;
}

static limn_status run_round(Call *call, TemplateValue *result) {
    static const Str common = {.bytes = "common", .length = 6};
    int64_t precision;
    const Str *method;
    TRY(call_take_whole(&precision, call, 0, 0));
    TRY(call_take_text(&method, call, 1, &common));
    if (!value_is_number(&call->self)) {
        return call_fail(call, "found %s, expected a number", value_type(&call->self));
    }
    double real = value_number(&call->self);
    if (precision < 0 || precision > 15 || fabs(real) > 1e15) {
        return machine_fail(call->machine, LIMN_UNSUPPORTED, "rounding to %lld digits is not implemented",
                            (long long)precision);
    }
    if (str_is(method, "common", 6)) {
        char text[64];
        snprintf(text, sizeof text, "%.*f", (int)precision, real);
        *result = value_is_whole(&call->self) ? value_of_integer(value_whole(&call->self))
                                              : value_of_real(strtod(text, NULL));
        return LIMN_OK;
    }
    bool up = str_is(method, "ceil", 4);
    if (!up && !str_is(method, "floor", 5)) {
        return call_fail(call, "method must be common, ceil or floor");
    }
    double scale = pow(10, (double)precision);
    *result = value_of_real((up ? ceil(real * scale) : floor(real * scale)) / scale);
    return LIMN_OK;
}

static limn_status run_attr(Call *call, TemplateValue *result) {
    const Str *name;
    TRY(call_need_text(&name, call, &call->args[0]));
    if (call->self.kind == TEMPLATE_DICT) { /* getattr alone: never the keys */
        return machine_fail(call->machine, LIMN_UNSUPPORTED, "'attr' of a dict is not implemented");
    }
    return get_attribute(result, call->machine, &call->self, name);
}

const Builtin *filter_row(const char *name, size_t length) {
    static const Builtin rows[] = {{"trim", "chars?", run_trim},
                                   {"upper", "", run_upper},
                                   {"lower", "", run_lower},
                                   {"capitalize", "", run_capitalize},
                                   {"title", "", run_title},
                                   {"replace", "old new count?", run_replace},
                                   {"string", "", run_string},
                                   {"safe", "", run_safe},
                                   {"escape", "", run_escape},
                                   {"e", "", run_escape},
                                   {"center", "width?", run_center},
                                   {"indent", "width? first? blank?", run_indent},
                                   {"format", "*", run_format},
                                   {"tojson", "ensure_ascii? indent? separators? sort_keys?", run_tojson},
                                   {"default", "default_value? boolean?", run_default},
                                   {"d", "default_value? boolean?", run_default},
                                   {"length", "", run_length},
                                   {"count", "", run_length},
                                   {"int", "default? base?", run_int},
                                   {"float", "default?", run_float},
                                   {"abs", "", run_abs},
                                   {"round", "precision? method?", run_round},
                                   {"attr", "name", run_attr},
                                   {"first", "", filter_first},
                                   {"last", "", filter_last},
                                   {"join", "d? attribute?", filter_join},
                                   {"list", "", filter_list},
                                   {"reverse", "", filter_reverse},
                                   {"sort", "reverse? case_sensitive? attribute?", filter_sort},
                                   {"unique", "case_sensitive? attribute?", filter_unique},
                                   {"map", "*", filter_map},
                                   {"select", "*", filter_select},
                                   {"reject", "*", filter_reject},
                                   {"selectattr", "*", filter_selectattr},
                                   {"rejectattr", "*", filter_rejectattr},
                                   {"sum", "attribute? start?", filter_sum},
                                   {"min", "case_sensitive? attribute?", filter_min},
                                   {"max", "case_sensitive? attribute?", filter_max},
                                   {"items", "", filter_items},
                                   {"dictsort", "case_sensitive? by? reverse?", filter_dictsort},
                                   {"batch", "linecount fill_with?", filter_batch},
                                   {"filesizeformat", "*", NULL},
                                   {"forceescape", "*", NULL},
                                   {"groupby", "*", NULL},
                                   {"pprint", "*", NULL},
                                   {"random", "*", NULL},
                                   {"slice", "*", NULL},
                                   {"striptags", "*", NULL},
                                   {"truncate", "*", NULL},
                                   {"urlencode", "*", NULL},
                                   {"urlize", "*", NULL},
                                   {"wordcount", "*", NULL},
                                   {"wordwrap", "*", NULL},
                                   {"xmlattr", "*", NULL}};
    return builtin_in(rows, sizeof rows / sizeof *rows, name, length);
}
