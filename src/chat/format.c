/* '...' % values and '...'.format(values), as far as templates use them. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "chat/builtin.h"

typedef struct Conversion {
    bool left, zero, plus;
    int width, precision; /* -1: none */
    char letter;
} Conversion;

static limn_status refuse(const Machine *machine, const Str *format) {
    return machine_fail(machine, LIMN_UNSUPPORTED, "a field of the format '%.60s' is not implemented", format->bytes);
}

static size_t read_number(int *number, const Str *format, size_t at) {
    *number = -1;
    while (at < format->length && format->bytes[at] >= '0' && format->bytes[at] <= '9' && *number < 1000) {
        *number = (*number < 0 ? 0 : *number) * 10 + (format->bytes[at++] - '0');
    }
    return at;
}

static void add_padded(Builder *builder, const Str *text, const Conversion *conversion, bool number) {
    int64_t missing = (int64_t)conversion->width - (int64_t)str_count(text);
    bool sign = number && conversion->zero && !conversion->left && text->length > 0 && strchr("+-", text->bytes[0]);
    if (sign) {
        builder_add_part(builder, text, 0, 1);
    }
    for (int64_t i = 0; i < missing && !conversion->left; i++) {
        builder_add_text(builder, number && conversion->zero ? "0" : " ");
    }
    builder_add_part(builder, text, sign ? 1 : 0, text->length);
    for (int64_t i = 0; i < missing && conversion->left; i++) {
        builder_add_text(builder, " ");
    }
}

static limn_status convert_number(TemplateValue *text, Machine *machine, const Conversion *conversion,
                                  const TemplateValue *value) {
    if (!value_is_number(value)) {
        return machine_fail(machine, LIMN_FORMAT, "%%%c format: a number is required, not %s", conversion->letter,
                            value_type(value));
    }
    char made[400];
    int precision = conversion->precision < 0 ? 6 : conversion->precision;
    double real = value_number(value);
    if (strchr("feg", conversion->letter) == NULL) {
        if (conversion->precision >= 0 || fabs(real) >= 0x1p62) {
            return machine_fail(machine, LIMN_UNSUPPORTED, "this conversion of a number is not implemented");
        }
        long long whole = value->kind == TEMPLATE_REAL ? (long long)real : value_whole(value);
        unsigned long long size = (unsigned long long)(whole < 0 ? -whole : whole);
        const char *sign = whole < 0 ? "-" : conversion->plus ? "+" : "";
        snprintf(made, sizeof made,
                 conversion->letter == 'x'   ? "%s%llx"
                 : conversion->letter == 'X' ? "%s%llX"
                                             : "%s%llu",
                 sign, size);
    } else {
        if (conversion->letter != 'f' || precision > 40 || !isfinite(real)) {
            return machine_fail(machine, LIMN_UNSUPPORTED, "this conversion of a number is not implemented");
        }
        snprintf(made, sizeof made, conversion->plus ? "%+.*f" : "%.*f", precision, real);
        for (char *c = made; *c != '\0'; c++) { /* the locale's radix character */
            *c = (char)(strchr("+-0123456789", *c) != NULL ? *c : '.');
        }
    }
    return value_of_text(text, machine, made, strlen(made), 0);
}

static limn_status convert(Builder *builder, const Conversion *conversion, const TemplateValue *value,
                           const Str *format) {
    Machine *machine = builder->machine;
    TemplateValue text;
    bool number = strchr("dixXfeg", conversion->letter) != NULL;
    if (number) {
        TRY(convert_number(&text, machine, conversion, value));
    } else if (conversion->letter == 's') {
        TRY(value_to_str(&text, machine, value));
    } else if (conversion->letter == 'r') {
        Builder repr = {.machine = machine};
        TRY(value_write_repr(&repr, value));
        TRY(builder_finish(&text, &repr));
    } else {
        return refuse(machine, format);
    }
    if (!number && conversion->precision >= 0) {
        TRY(str_part(&text, machine, text.string, 0, str_offset(text.string, (size_t)conversion->precision)));
    }
    add_padded(builder, text.string, conversion, number);
    return builder->status;
}

static size_t read_conversion(Conversion *conversion, const Str *format, size_t at) {
    *conversion = (Conversion){.width = -1, .precision = -1};
    for (; at < format->length && strchr("-0+", format->bytes[at]) != NULL; at++) {
        conversion->left = conversion->left || format->bytes[at] == '-';
        conversion->zero = conversion->zero || format->bytes[at] == '0';
        conversion->plus = conversion->plus || format->bytes[at] == '+';
    }
    at = read_number(&conversion->width, format, at);
    if (at < format->length && format->bytes[at] == '.') {
        at = read_number(&conversion->precision, format, at + 1);
        conversion->precision = conversion->precision < 0 ? 0 : conversion->precision;
    }
    conversion->letter = format->bytes[at]; /* NUL at the end: refused as any other */
    return at;
}

limn_status text_format_percent(TemplateValue *result, Machine *machine, const Str *format,
                                const TemplateValue *values) {
    bool tuple = values->kind == TEMPLATE_TUPLE;
    size_t n = tuple ? values->list->n : 1, used = 0;
    const TemplateValue *items = tuple ? values->list->items : values;
    Builder builder = {.machine = machine};
    for (size_t at = 0; at < format->length; at++) {
        if (format->bytes[at] != '%') {
            builder_add_part(&builder, format, at, at + 1);
            continue;
        }
        Conversion conversion;
        at = read_conversion(&conversion, format, at + 1);
        if (conversion.letter == '%') {
            builder_add_text(&builder, "%");
            continue;
        }
        if (used >= n) {
            return machine_fail(machine, LIMN_FORMAT, "not enough arguments for format string");
        }
        TRY(convert(&builder, &conversion, &items[used++], format));
    }
    bool subscripted = values->kind == TEMPLATE_DICT || values->kind == TEMPLATE_LIST ||
                       values->kind == TEMPLATE_UNDEFINED ||
                       (values->kind == TEMPLATE_LAZY && values->list->lazy == LAZY_RANGE);
    if (used < n && !subscripted) { /* what has subscripts might have been asked by name */
        return machine_fail(machine, LIMN_FORMAT, "not all arguments converted during string formatting");
    }
    return builder_finish(result, &builder);
}

/* The argument that "{}", "{0}" or "{name}" asks for. */
static limn_status find_argument(const TemplateValue **value, Machine *machine, const Str *format, const Given *given,
                                 size_t begin, size_t end, size_t *next) {
    int index = -1;
    *value = NULL;
    size_t digits = read_number(&index, format, begin);
    if (begin == end) {
        index = (int)(*next)++;
        digits = end;
    }
    if (digits == end) {
        *value = (size_t)index < given->n ? &given->positional[index] : NULL;
    } else {
        for (size_t i = 0; i < given->n_named && *value == NULL; i++) {
            *value = str_is(given->names[i], format->bytes + begin, end - begin) ? &given->named[i] : NULL;
        }
        if (memchr(format->bytes + begin, '.', end - begin) != NULL ||
            memchr(format->bytes + begin, '[', end - begin) != NULL) {
            return refuse(machine, format);
        }
    }
    return *value != NULL ? LIMN_OK
                          : machine_fail(machine, LIMN_FORMAT,
                                         "the format '%.60s' asks for an argument that was not given", format->bytes);
}

static limn_status add_field(Builder *builder, const Str *format, const Given *given, size_t begin, size_t end,
                             size_t *next) {
    const TemplateValue *value;
    const char *text = format->bytes;
    size_t name = begin;
    while (name < end && text[name] != ':' && text[name] != '!') {
        name++;
    }
    TRY(find_argument(&value, builder->machine, format, given, begin, name, next));
    if (name == end) {
        return value_write_str(builder, value);
    }
    Conversion conversion = {.letter = 's', .width = -1, .precision = -1};
    size_t at = name + 1;
    if (text[name] == '!') {
        conversion.letter = text[name + 1];
        at = name + 2;
        if (at != end || strchr("sr", conversion.letter) == NULL) {
            return refuse(builder->machine, format);
        }
        return convert(builder, &conversion, value, format);
    }
    at = read_conversion(&conversion, format, at);
    if (at + 1 != end || strchr("dxXf", conversion.letter) == NULL || conversion.left) {
        return refuse(builder->machine, format);
    }
    return convert(builder, &conversion, value, format);
}

limn_status text_format_braces(TemplateValue *result, Machine *machine, const Str *format, const Given *given) {
    Builder builder = {.machine = machine};
    size_t next = 0;
    for (size_t at = 0; at < format->length; at++) {
        char c = format->bytes[at];
        bool twice = at + 1 < format->length && format->bytes[at + 1] == c;
        if ((c != '{' && c != '}') || twice) {
            builder_add_part(&builder, format, at, at + 1);
            at += twice && (c == '{' || c == '}');
            continue;
        }
        const char *close = c == '{' ? memchr(format->bytes + at, '}', format->length - at) : NULL;
        if (close == NULL) {
            return machine_fail(machine, LIMN_FORMAT, "single '%c' in the format '%.60s'", c, format->bytes);
        }
        size_t end = (size_t)(close - format->bytes);
        if (memchr(format->bytes + at + 1, '{', end - at - 1) != NULL) {
            return refuse(machine, format);
        }
        TRY(add_field(&builder, format, given, at + 1, end, &next));
        at = end;
    }
    return builder_finish(result, &builder);
}
