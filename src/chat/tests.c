/* `x is something`. */
#include <string.h>

#include "chat/evaluate.h"

#define TEST(name, expression)                                                                                         \
    static limn_status test_##name(Call *call, TemplateValue *result) {                                                \
        const TemplateValue *self = &call->self;                                                                       \
        *result = value_of_bool(expression);                                                                           \
        return LIMN_OK;                                                                                                \
    }

TEST(defined, self->kind != TEMPLATE_UNDEFINED)
TEST(undefined, self->kind == TEMPLATE_UNDEFINED)
TEST(none, self->kind == TEMPLATE_NONE)
TEST(boolean, self->kind == TEMPLATE_BOOL)
TEST(true, self->kind == TEMPLATE_BOOL && self->boolean)
TEST(false, self->kind == TEMPLATE_BOOL && !self->boolean)
TEST(integer, self->kind == TEMPLATE_INTEGER)
TEST(float, self->kind == TEMPLATE_REAL)
TEST(number, value_is_number(self))
TEST(string, self->kind == TEMPLATE_STRING)
TEST(mapping, self->kind == TEMPLATE_DICT)
TEST(callable, self->kind == TEMPLATE_FUNCTION || self->kind == TEMPLATE_LOOP || self->kind == TEMPLATE_UNDEFINED)
TEST(iterable, value_is_sequence(self) || self->kind == TEMPLATE_STRING || self->kind == TEMPLATE_DICT ||
                   self->kind == TEMPLATE_UNDEFINED || self->kind == TEMPLATE_LOOP)
TEST(sequence, self->kind == TEMPLATE_LIST || self->kind == TEMPLATE_TUPLE || self->kind == TEMPLATE_STRING ||
                   self->kind == TEMPLATE_DICT || self->kind == TEMPLATE_UNDEFINED ||
                   (self->kind == TEMPLATE_LAZY && self->list->lazy == LAZY_RANGE))
TEST(escaped, self->kind == TEMPLATE_STRING && self->string->markup)

/* self % by == rest */
static limn_status divisible(Call *call, TemplateValue *result, TemplateValue by, int64_t rest) {
    TemplateValue found, expected = value_of_integer(rest);
    bool equal;
    TRY(operate(&found, call->machine, OP_MOD, &call->self, &by));
    TRY(value_equal(&equal, call->machine, &found, &expected));
    *result = value_of_bool(equal);
    return LIMN_OK;
}

static limn_status test_odd(Call *call, TemplateValue *result) {
    return divisible(call, result, value_of_integer(2), 1);
}

static limn_status test_even(Call *call, TemplateValue *result) {
    return divisible(call, result, value_of_integer(2), 0);
}

static limn_status test_divisible(Call *call, TemplateValue *result) {
    return divisible(call, result, call->args[0], 0);
}

static limn_status compared(Call *call, TemplateValue *result, Operator op) {
    bool holds;
    TRY(compare(&holds, call->machine, op, &call->self, &call->args[0]));
    *result = value_of_bool(holds);
    return LIMN_OK;
}

#define COMPARISON(name, op)                                                                                           \
    static limn_status test_##name(Call *call, TemplateValue *result) {                                                \
        return compared(call, result, op);                                                                             \
    }

COMPARISON(eq, OP_EQ)
COMPARISON(ne, OP_NE)
COMPARISON(lt, OP_LT)
COMPARISON(le, OP_LE)
COMPARISON(gt, OP_GT)
COMPARISON(ge, OP_GE)
COMPARISON(in, OP_IN)

static limn_status test_same(Call *call, TemplateValue *result) {
    const TemplateValue *a = &call->self, *b = &call->args[0];
    bool simple =
        a->kind == TEMPLATE_NONE || a->kind == TEMPLATE_BOOL || b->kind == TEMPLATE_NONE || b->kind == TEMPLATE_BOOL;
    if (!simple && a->kind == b->kind && a->kind != TEMPLATE_DICT && a->kind != TEMPLATE_LIST) {
        return machine_fail(call->machine, LIMN_UNSUPPORTED,
                            "'sameas' is implemented for none, true, false, lists and dicts only");
    }
    *result = value_of_bool(a->kind == b->kind && (a->kind == TEMPLATE_NONE   ? true
                                                   : a->kind == TEMPLATE_BOOL ? a->boolean == b->boolean
                                                                              : a->dict == b->dict));
    return LIMN_OK;
}

/* str.islower and str.isupper: cased characters, all of one case. */
static limn_status test_case(Call *call, TemplateValue *result, CaseChange change) {
    const Str *text;
    TemplateValue same, other;
    TRY(call_self_text(&text, call));
    TRY(text_change_case(&same, call->machine, text, change));
    TRY(text_change_case(&other, call->machine, text, change == CASE_LOWER ? CASE_UPPER : CASE_LOWER));
    *result = value_of_bool(str_is(text, same.string->bytes, same.string->length) &&
                            !str_is(text, other.string->bytes, other.string->length));
    return LIMN_OK;
}

static limn_status test_lower(Call *call, TemplateValue *result) {
    return test_case(call, result, CASE_LOWER);
}

static limn_status test_upper(Call *call, TemplateValue *result) {
    return test_case(call, result, CASE_UPPER);
}

static limn_status test_filter(Call *call, TemplateValue *result) {
    const Str *name;
    TRY(call_need_text(&name, call, &call->self));
    *result = value_of_bool(filter_row(name->bytes, name->length) != NULL);
    return LIMN_OK;
}

static limn_status test_test(Call *call, TemplateValue *result) {
    const Str *name;
    TRY(call_need_text(&name, call, &call->self));
    *result = value_of_bool(test_row(name->bytes, name->length) != NULL);
    return LIMN_OK;
}

const Builtin *test_row(const char *name, size_t length) {
    static const Builtin rows[] = {
        {"defined", "", test_defined},   {"undefined", "", test_undefined}, {"none", "", test_none},
        {"boolean", "", test_boolean},   {"true", "", test_true},           {"false", "", test_false},
        {"integer", "", test_integer},   {"float", "", test_float},         {"number", "", test_number},
        {"string", "", test_string},     {"mapping", "", test_mapping},     {"callable", "", test_callable},
        {"iterable", "", test_iterable}, {"sequence", "", test_sequence},   {"escaped", "", test_escaped},
        {"odd", "", test_odd},           {"even", "", test_even},           {"divisibleby", "num", test_divisible},
        {"eq", "other", test_eq},        {"equalto", "other", test_eq},     {"ne", "other", test_ne},
        {"lt", "other", test_lt},        {"lessthan", "other", test_lt},    {"le", "other", test_le},
        {"gt", "other", test_gt},        {"greaterthan", "other", test_gt}, {"ge", "other", test_ge},
        {"==", "other", test_eq},        {"!=", "other", test_ne},          {"<", "other", test_lt},
        {"<=", "other", test_le},        {">", "other", test_gt},           {">=", "other", test_ge},
        {"in", "seq", test_in},          {"sameas", "other", test_same},    {"lower", "", test_lower},
        {"upper", "", test_upper},       {"filter", "", test_filter},       {"test", "", test_test}};
    return builtin_in(rows, sizeof rows / sizeof *rows, name, length);
}
