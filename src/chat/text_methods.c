/* Methods of texts. */
#include <string.h>
#include <utf8proc.h>

#include "chat/evaluate.h"

/* ---- case ---- */

/* Characters whose other case is several characters, or hangs on their neighbours. */
static bool is_special_case(uint32_t c) {
    return c == 0x130 || c == 0x149 || c == 0x1F0 || c == 0x345 || c == 0x390 || c == 0x3A3 || c == 0x3B0 ||
           c == 0x587 || (c >= 0x1E96 && c <= 0x1E9A) || (c >= 0x1F50 && c <= 0x1FFC) || (c >= 0x1F80 && c <= 0x1FAF) ||
           (c >= 0xFB00 && c <= 0xFB17) || (c >= 0x10D0 && c <= 0x10FF) || (c >= 0x13A0 && c <= 0x13FF);
}

static uint32_t change_character(uint32_t c, CaseChange change, bool first) {
    utf8proc_int32_t in = (utf8proc_int32_t)c;
    switch (change) {
    case CASE_UPPER:
        return (uint32_t)utf8proc_toupper(in);
    case CASE_LOWER:
        return (uint32_t)utf8proc_tolower(in);
    case CASE_SWAP:
        return (uint32_t)(utf8proc_toupper(in) != in ? utf8proc_toupper(in) : utf8proc_tolower(in));
    default:
        return (uint32_t)(first ? utf8proc_totitle(in) : utf8proc_tolower(in));
    }
}

static bool is_cased(uint32_t c) {
    utf8proc_int32_t in = (utf8proc_int32_t)c;
    return utf8proc_toupper(in) != in || utf8proc_tolower(in) != in;
}

limn_status text_change_case(TemplateValue *result, Machine *machine, const Str *text, CaseChange change) {
    Builder builder = {.machine = machine};
    bool first = true;
    size_t step;
    for (size_t at = 0; at < text->length; at += step) {
        uint32_t c = utf8_next(text->bytes + at, &step);
        Mark mark = str_mark_at(text, at);
        if (is_special_case(c) || (c == 0xDF && change != CASE_LOWER && change != CASE_UPPER)) {
            return machine_fail(machine, LIMN_UNSUPPORTED, "changing the case of U+%04X is not implemented", c);
        }
        if (c == 0xDF && change == CASE_UPPER) {
            builder_add(&builder, "SS", 2, mark);
            continue;
        }
        builder_add_codepoint(&builder, change_character(c, change, first), mark);
        first = change == CASE_TITLE && !is_cased(c);
    }
    return builder_finish(result, &builder);
}

#define CASE_METHOD(name, change)                                                                                      \
    static limn_status run_##name(Call *call, TemplateValue *result) {                                                 \
        return text_change_case(result, call->machine, call->self.string, change);                                     \
    }

CASE_METHOD(upper, CASE_UPPER)
CASE_METHOD(lower, CASE_LOWER)
CASE_METHOD(title, CASE_TITLE)
CASE_METHOD(capitalize, CASE_CAPITALIZE)
CASE_METHOD(swapcase, CASE_SWAP)

/* ---- strip ---- */

static bool stripped(uint32_t c, const Str *chars) {
    if (chars == NULL) {
        return character_is_space(c);
    }
    size_t step;
    for (size_t at = 0; at < chars->length; at += step) {
        if (utf8_next(chars->bytes + at, &step) == c) {
            return true;
        }
    }
    return false;
}

void text_strip(size_t *begin, size_t *end, const Str *text, const Str *chars, bool left, bool right) {
    *begin = 0;
    *end = text->length;
    size_t step;
    while (left && *begin < *end && stripped(utf8_next(text->bytes + *begin, &step), chars)) {
        *begin += step;
    }
    while (right && *end > *begin) {
        size_t at = *end - 1;
        while (((unsigned char)text->bytes[at] & 0xC0U) == 0x80) {
            at--;
        }
        if (!stripped(utf8_next(text->bytes + at, &step), chars)) {
            break;
        }
        *end = at;
    }
}

static limn_status strip(Call *call, TemplateValue *result, bool left, bool right) {
    const Str *chars = NULL;
    if (call->args[0].kind != TEMPLATE_NONE) {
        TRY(call_take_text(&chars, call, 0, NULL));
    }
    size_t begin, end;
    TRY(machine_step(call->machine, call->self.string->length / 64 * (chars != NULL ? chars->length + 1 : 1) + 1));
    text_strip(&begin, &end, call->self.string, chars, left, right);
    return str_part(result, call->machine, call->self.string, begin, end);
}

static limn_status run_strip(Call *call, TemplateValue *result) {
    return strip(call, result, true, true);
}

static limn_status run_lstrip(Call *call, TemplateValue *result) {
    return strip(call, result, true, false);
}

static limn_status run_rstrip(Call *call, TemplateValue *result) {
    return strip(call, result, false, true);
}

/* ---- split ---- */

typedef struct Part {
    size_t begin, end;
} Part;

static limn_status parts_to_list(TemplateValue *result, Machine *machine, const Str *text, const Part *parts, size_t n,
                                 bool reversed) {
    TRY(value_list(result, machine, TEMPLATE_LIST, n));
    for (size_t i = 0; i < n; i++) {
        const Part *part = &parts[reversed ? n - 1 - i : i];
        TRY(str_part(&result->list->items[i], machine, text, part->begin, part->end));
    }
    return LIMN_OK;
}

static size_t find_last(const Str *text, const Str *part, size_t end) {
    for (size_t at = end >= part->length ? end - part->length + 1 : 0; at-- > 0;) {
        if (memcmp(text->bytes + at, part->bytes, part->length) == 0) {
            return at;
        }
    }
    return SIZE_MAX;
}

static size_t space_at(const Str *text, size_t at, size_t end) {
    size_t step;
    while (at < end && !character_is_space(utf8_next(text->bytes + at, &step))) {
        at += step;
    }
    return at;
}

static size_t split_spaces(Part *parts, const Str *text, uint64_t most) {
    size_t n = 0, begin, end = text->length, at = 0, step;
    for (;;) {
        while (at < end && character_is_space(utf8_next(text->bytes + at, &step))) {
            at += step;
        }
        if (at >= end) {
            return n;
        }
        begin = at;
        if (n == most) {
            parts[n++] = (Part){begin, end};
            return n;
        }
        at = space_at(text, at, end);
        parts[n++] = (Part){begin, at};
    }
}

static size_t split_text(Part *parts, const Str *text, const Str *separator, uint64_t most, bool from_right) {
    size_t n = 0, begin = 0, end = text->length;
    while (n < most) {
        size_t at = from_right ? find_last(text, separator, end) : str_find(text, separator, begin);
        if (at == SIZE_MAX) {
            break;
        }
        parts[n++] = from_right ? (Part){at + separator->length, end} : (Part){begin, at};
        begin = from_right ? begin : at + separator->length;
        end = from_right ? at : end;
    }
    parts[n++] = (Part){begin, end};
    return n;
}

static limn_status split(Call *call, TemplateValue *result, bool from_right) {
    const Str *text = call->self.string, *separator = NULL;
    int64_t most;
    if (call->args[0].kind != TEMPLATE_NONE) {
        TRY(call_take_text(&separator, call, 0, NULL));
    }
    TRY(call_take_whole(&most, call, 1, -1));
    void *parts;
    TRY(machine_take(&parts, call->machine, text->length + 2, sizeof(Part)));
    TRY(machine_step(call->machine, text->length / 16 + 1));
    uint64_t limit = most < 0 ? UINT64_MAX : (uint64_t)most;
    if (separator == NULL) {
        if (from_right && most >= 0) {
            return machine_fail(call->machine, LIMN_UNSUPPORTED,
                                "rsplit by white space a number of times is not implemented");
        }
        return parts_to_list(result, call->machine, text, parts, split_spaces(parts, text, limit), false);
    }
    if (separator->length == 0) {
        return call_fail(call, "empty separator");
    }
    return parts_to_list(result, call->machine, text, parts, split_text(parts, text, separator, limit, from_right),
                         from_right);
}

static limn_status run_split(Call *call, TemplateValue *result) {
    return split(call, result, false);
}

static limn_status run_rsplit(Call *call, TemplateValue *result) {
    return split(call, result, true);
}

static bool ends_line(uint32_t c) {
    return (c >= 10 && c <= 13) || (c >= 28 && c <= 30) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

static limn_status run_splitlines(Call *call, TemplateValue *result) {
    const Str *text = call->self.string;
    bool keep = call_take_bool(call, 0, false);
    void *memory;
    TRY(machine_take(&memory, call->machine, text->length + 1, sizeof(Part)));
    Part *parts = memory;
    size_t n = 0, begin = 0, step;
    for (size_t at = 0; at < text->length; at += step) {
        uint32_t c = utf8_next(text->bytes + at, &step);
        if (ends_line(c)) {
            step += c == '\r' && text->bytes[at + 1] == '\n';
            parts[n++] = (Part){begin, keep ? at + step : at};
            begin = at + step;
        }
    }
    if (begin < text->length) {
        parts[n++] = (Part){begin, text->length};
    }
    return parts_to_list(result, call->machine, text, parts, n, false);
}

static limn_status partition(Call *call, TemplateValue *result, bool from_right) {
    const Str *text = call->self.string, *separator;
    TRY(call_need_text(&separator, call, &call->args[0]));
    if (separator->length == 0) {
        return call_fail(call, "empty separator");
    }
    size_t at = from_right ? find_last(text, separator, text->length) : str_find(text, separator, 0);
    Part parts[3] = {{0, text->length}, {0, 0}, {0, 0}};
    if (at == SIZE_MAX && from_right) {
        parts[2] = parts[0];
        parts[0] = (Part){0, 0};
    } else if (at != SIZE_MAX) {
        parts[0] = (Part){0, at};
        parts[1] = (Part){at, at + separator->length};
        parts[2] = (Part){at + separator->length, text->length};
    }
    TRY(parts_to_list(result, call->machine, text, parts, 3, false));
    result->kind = TEMPLATE_TUPLE;
    return LIMN_OK;
}

static limn_status run_partition(Call *call, TemplateValue *result) {
    return partition(call, result, false);
}

static limn_status run_rpartition(Call *call, TemplateValue *result) {
    return partition(call, result, true);
}

/* ---- looking ---- */

/* The bytes that `start` and `end` (arguments 1 and 2) leave; false: they cross. */
static limn_status window(Call *call, size_t *begin, size_t *end, bool *crossed) {
    const Str *text = call->self.string;
    int64_t n = (int64_t)str_count(text), from, to;
    for (int i = 1; i <= 2; i++) {
        if (call->args[i].kind == TEMPLATE_NONE) {
            call->args[i].kind = TEMPLATE_ABSENT;
        }
    }
    TRY(call_take_whole(&from, call, 1, 0));
    TRY(call_take_whole(&to, call, 2, n));
    from = from < 0 ? (from < -n ? 0 : from + n) : from;
    to = to < 0 ? (to < -n ? 0 : to + n) : to > n ? n : to;
    *crossed = from > to || from > n;
    *begin = str_offset(text, (size_t)(from > n ? n : from));
    *end = str_offset(text, (size_t)to);
    return LIMN_OK;
}

static limn_status affix_one(bool *holds, Call *call, const TemplateValue *affix, bool at_end) {
    const Str *part;
    size_t begin, end;
    bool crossed;
    TRY(call_need_text(&part, call, affix));
    TRY(window(call, &begin, &end, &crossed));
    size_t at = at_end ? end - part->length : begin;
    *holds = !crossed && part->length <= end - begin &&
             memcmp(call->self.string->bytes + at, part->bytes, part->length) == 0;
    return LIMN_OK;
}

static limn_status affix(Call *call, TemplateValue *result, bool at_end) {
    bool holds = false;
    if (call->args[0].kind != TEMPLATE_TUPLE) {
        TRY(affix_one(&holds, call, &call->args[0], at_end));
    } else {
        const List *list = call->args[0].list;
        for (size_t i = 0; i < list->n && !holds; i++) {
            TRY(affix_one(&holds, call, &list->items[i], at_end));
        }
    }
    *result = value_of_bool(holds);
    return LIMN_OK;
}

static limn_status run_startswith(Call *call, TemplateValue *result) {
    return affix(call, result, false);
}

static limn_status run_endswith(Call *call, TemplateValue *result) {
    return affix(call, result, true);
}

static limn_status find(Call *call, TemplateValue *result, bool from_right) {
    const Str *text = call->self.string, *part;
    size_t begin, end;
    bool crossed;
    TRY(call_need_text(&part, call, &call->args[0]));
    TRY(machine_step(call->machine, text->length / 64 + 1));
    TRY(window(call, &begin, &end, &crossed));
    size_t at = from_right ? find_last(text, part, end) : str_find(text, part, begin);
    bool found = !crossed && at != SIZE_MAX && at >= begin && at + part->length <= end;
    const Str before = {.bytes = text->bytes, .length = found ? at : 0};
    *result = value_of_integer(found ? (int64_t)str_count(&before) : -1);
    return LIMN_OK;
}

static limn_status run_find(Call *call, TemplateValue *result) {
    return find(call, result, false);
}

static limn_status run_rfind(Call *call, TemplateValue *result) {
    return find(call, result, true);
}

static limn_status run_index(Call *call, TemplateValue *result) {
    TRY(find(call, result, false));
    return result->integer >= 0 ? LIMN_OK : call_fail(call, "substring not found");
}

static limn_status run_count(Call *call, TemplateValue *result) {
    const Str *text = call->self.string, *part;
    TRY(call_need_text(&part, call, &call->args[0]));
    TRY(machine_step(call->machine, text->length / 64 + 1));
    int64_t n = part->length == 0 ? (int64_t)str_count(text) + 1 : 0;
    for (size_t at = 0; part->length > 0 && (at = str_find(text, part, at)) != SIZE_MAX; at += part->length) {
        n++;
    }
    *result = value_of_integer(n);
    return LIMN_OK;
}

static limn_status all_are(Call *call, TemplateValue *result, bool (*is)(uint32_t c)) {
    const Str *text = call->self.string;
    bool all = text->length > 0;
    size_t step;
    for (size_t at = 0; at < text->length && all; at += step) {
        all = is(utf8_next(text->bytes + at, &step));
    }
    *result = value_of_bool(all);
    return LIMN_OK;
}

static bool is_alpha(uint32_t c) {
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

static bool is_decimal(uint32_t c) {
    return utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_ND;
}

static bool is_alnum(uint32_t c) {
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    return is_alpha(c) || (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO);
}

static limn_status run_isalpha(Call *call, TemplateValue *result) {
    return all_are(call, result, is_alpha);
}

static bool is_other_number(uint32_t c) {
    return utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_NO;
}

/* Superscripts and their like are digits to Python, fractions are not: no table here tells them apart. */
static limn_status run_isdigit(Call *call, TemplateValue *result) {
    const Str *text = call->self.string;
    size_t step;
    for (size_t at = 0; at < text->length; at += step) {
        if (is_other_number(utf8_next(text->bytes + at, &step))) {
            return machine_fail(call->machine, LIMN_UNSUPPORTED, "isdigit of such a number is not implemented");
        }
    }
    return all_are(call, result, is_decimal);
}

static limn_status run_isdecimal(Call *call, TemplateValue *result) {
    return all_are(call, result, is_decimal);
}

static limn_status run_isalnum(Call *call, TemplateValue *result) {
    return all_are(call, result, is_alnum);
}

static limn_status run_isspace(Call *call, TemplateValue *result) {
    return all_are(call, result, character_is_space);
}

static limn_status run_islower(Call *call, TemplateValue *result) {
    const Given none = {0};
    return builtin_call(call->machine, test_row("lower", 5), call->self, &none, result);
}

static limn_status run_isupper(Call *call, TemplateValue *result) {
    const Given none = {0};
    return builtin_call(call->machine, test_row("upper", 5), call->self, &none, result);
}

/* ---- making ---- */

limn_status text_replace(TemplateValue *result, Machine *machine, const Str *text, const Str *old, const Str *fresh,
                         int64_t count) {
    Builder builder = {.machine = machine};
    size_t at = 0, step;
    uint64_t left = count < 0 ? UINT64_MAX : (uint64_t)count;
    TRY(machine_step(machine, text->length / 64 + 1));
    if (old->length == 0) { /* between all characters */
        for (; left > 0; left--) {
            builder_add_str(&builder, fresh);
            if (at >= text->length) {
                break;
            }
            utf8_next(text->bytes + at, &step);
            builder_add_part(&builder, text, at, at + step);
            at += step;
        }
    }
    while (old->length > 0 && left-- > 0) {
        size_t found = str_find(text, old, at);
        if (found == SIZE_MAX) {
            break;
        }
        TRY(machine_step(machine, 1));
        builder_add_part(&builder, text, at, found);
        builder_add_str(&builder, fresh);
        TRY(builder.status);
        at = found + old->length;
    }
    builder_add_part(&builder, text, at, text->length);
    return builder_finish(result, &builder);
}

static limn_status run_replace(Call *call, TemplateValue *result) {
    const Str *old, *fresh;
    int64_t count;
    TRY(call_need_text(&old, call, &call->args[0]));
    TRY(call_need_text(&fresh, call, &call->args[1]));
    TRY(call_take_whole(&count, call, 2, -1));
    return text_replace(result, call->machine, call->self.string, old, fresh, count);
}

static limn_status run_join(Call *call, TemplateValue *result) {
    List *items;
    const Str *item;
    Builder builder = {.machine = call->machine};
    TRY(value_items(&items, call->machine, &call->args[0]));
    for (size_t i = 0; i < items->n; i++) {
        if (i > 0) {
            builder_add_str(&builder, call->self.string);
        }
        TRY(call_need_text(&item, call, &items->items[i]));
        builder_add_str(&builder, item);
    }
    return builder_finish(result, &builder);
}

static limn_status remove_affix(Call *call, TemplateValue *result, bool at_end) {
    const Str *part, *text = call->self.string;
    bool holds;
    TRY(call_need_text(&part, call, &call->args[0]));
    TRY(affix_one(&holds, call, &call->args[0], at_end));
    size_t cut = holds ? part->length : 0;
    return str_part(result, call->machine, text, at_end ? 0 : cut, at_end ? text->length - cut : text->length);
}

static limn_status run_removeprefix(Call *call, TemplateValue *result) {
    return remove_affix(call, result, false);
}

static limn_status run_removesuffix(Call *call, TemplateValue *result) {
    return remove_affix(call, result, true);
}

/* str.center puts the odd one on the left when the width is odd. */
static limn_status pad(Call *call, TemplateValue *result, int where) {
    static const Str space = {.bytes = " ", .length = 1};
    const Str *with;
    int64_t width;
    TRY(call_need_whole(&width, call, &call->args[0]));
    TRY(call_take_text(&with, call, 1, &space));
    if (str_count(with) != 1) {
        return call_fail(call, "the fill character must be exactly one character long");
    }
    int64_t n = width - (int64_t)str_count(call->self.string);
    n = n < 0 ? 0 : n;
    int64_t left = where < 0 ? 0 : where > 0 ? n : n / 2 + (n & width & 1);
    Builder builder = {.machine = call->machine};
    for (int64_t i = 0; i <= n; i++) {
        TRY(machine_step(call->machine, 1));
        if (i == left) {
            builder_add_str(&builder, call->self.string);
        }
        if (i < n) {
            builder_add_str(&builder, with);
        }
        TRY(builder.status);
    }
    return builder_finish(result, &builder);
}

static limn_status run_center(Call *call, TemplateValue *result) {
    return pad(call, result, 0);
}

static limn_status run_ljust(Call *call, TemplateValue *result) {
    return pad(call, result, -1);
}

static limn_status run_rjust(Call *call, TemplateValue *result) {
    return pad(call, result, 1);
}

static limn_status run_format(Call *call, TemplateValue *result) {
    return text_format_braces(result, call->machine, call->self.string, call->given);
}

const Builtin *text_method_row(const char *name, size_t length) {
    static const Builtin rows[] = {{"upper", "", run_upper},
                                   {"lower", "", run_lower},
                                   {"title", "", run_title},
                                   {"capitalize", "", run_capitalize},
                                   {"swapcase", "", run_swapcase},
                                   {"strip", "chars?", run_strip},
                                   {"lstrip", "chars?", run_lstrip},
                                   {"rstrip", "chars?", run_rstrip},
                                   {"split", "sep? maxsplit?", run_split},
                                   {"rsplit", "sep? maxsplit?", run_rsplit},
                                   {"splitlines", "keepends?", run_splitlines},
                                   {"partition", "sep", run_partition},
                                   {"rpartition", "sep", run_rpartition},
                                   {"startswith", "prefix start? end?", run_startswith},
                                   {"endswith", "suffix start? end?", run_endswith},
                                   {"find", "sub start? end?", run_find},
                                   {"rfind", "sub start? end?", run_rfind},
                                   {"index", "sub start? end?", run_index},
                                   {"count", "sub", run_count},
                                   {"isalpha", "", run_isalpha},
                                   {"isdecimal", "", run_isdecimal},
                                   {"isalnum", "", run_isalnum},
                                   {"isspace", "", run_isspace},
                                   {"islower", "", run_islower},
                                   {"isupper", "", run_isupper},
                                   {"replace", "old new count?", run_replace},
                                   {"join", "iterable", run_join},
                                   {"removeprefix", "prefix", run_removeprefix},
                                   {"removesuffix", "suffix", run_removesuffix},
                                   {"center", "width fillchar?", run_center},
                                   {"ljust", "width fillchar?", run_ljust},
                                   {"rjust", "width fillchar?", run_rjust},
                                   {"format", "*", run_format},
                                   {"isdigit", "", run_isdigit},
                                   {"isnumeric", "", NULL},
                                   {"istitle", "", NULL},
                                   {"isascii", "", NULL},
                                   {"isidentifier", "", NULL},
                                   {"isprintable", "", NULL},
                                   {"casefold", "", NULL},
                                   {"encode", "*", NULL},
                                   {"expandtabs", "*", NULL},
                                   {"format_map", "*", NULL},
                                   {"maketrans", "*", NULL},
                                   {"rindex", "*", NULL},
                                   {"translate", "*", NULL},
                                   {"zfill", "*", NULL}};
    return builtin_in(rows, sizeof rows / sizeof *rows, name, length);
}
