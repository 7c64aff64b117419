/* + - * / // % ** and comparisons. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "chat/evaluate.h"

static limn_status too_large(const Machine *machine) {
    return machine_fail(machine, LIMN_UNSUPPORTED, "integers beyond 64 bits are not implemented");
}

static limn_status power(int64_t *result, Machine *machine, int64_t base, int64_t exponent) {
    *result = 1;
    while (exponent > 0) {
        if ((exponent & 1) != 0 && __builtin_mul_overflow(*result, base, result)) {
            return too_large(machine);
        }
        exponent >>= 1;
        if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) {
            return too_large(machine);
        }
    }
    return LIMN_OK;
}

static limn_status operate_whole(TemplateValue *value, Machine *machine, Operator op, int64_t a, int64_t b) {
    int64_t result = 0;
    bool overflow = false;
    if ((op == OP_DIV || op == OP_FLOOR_DIV || op == OP_MOD) && b == 0) {
        return machine_fail(machine, LIMN_FORMAT, "division by zero");
    }
    switch (op) {
    case OP_ADD:
        overflow = __builtin_add_overflow(a, b, &result);
        break;
    case OP_SUB:
        overflow = __builtin_sub_overflow(a, b, &result);
        break;
    case OP_MUL:
        overflow = __builtin_mul_overflow(a, b, &result);
        break;
    case OP_FLOOR_DIV:
        overflow = a == INT64_MIN && b == -1;
        result = overflow ? 0 : a / b - (a % b != 0 && (a < 0) != (b < 0));
        break;
    case OP_MOD:
        result = b == -1 ? 0 : a % b;
        result += result != 0 && (result < 0) != (b < 0) ? b : 0;
        break;
    case OP_POW:
        TRY(power(&result, machine, a, b));
        break;
    default: /* OP_DIV: exact as Python's only while both are doubles */
        if (llabs(a / 2) >= (int64_t)1 << 52 || llabs(b / 2) >= (int64_t)1 << 52) {
            return too_large(machine);
        }
        *value = value_of_real((double)a / (double)b);
        return LIMN_OK;
    }
    *value = value_of_integer(result);
    return overflow ? too_large(machine) : LIMN_OK;
}

static limn_status operate_real(TemplateValue *value, Machine *machine, Operator op, double a, double b) {
    if ((op == OP_DIV || op == OP_FLOOR_DIV || op == OP_MOD) && b == 0) {
        return machine_fail(machine, LIMN_FORMAT, "division by zero");
    }
    double remainder;
    switch (op) {
    case OP_ADD:
        *value = value_of_real(a + b);
        return LIMN_OK;
    case OP_SUB:
        *value = value_of_real(a - b);
        return LIMN_OK;
    case OP_MUL:
        *value = value_of_real(a * b);
        return LIMN_OK;
    case OP_DIV:
        *value = value_of_real(a / b);
        return LIMN_OK;
    case OP_FLOOR_DIV:
    case OP_MOD:
        remainder = fmod(a, b);
        if (remainder != 0 && (remainder < 0) != (b < 0)) {
            remainder += b;
        }
        *value = value_of_real(op == OP_MOD ? (remainder == 0 ? copysign(0, b) : remainder)
                                            : floor((a - remainder) / b + 0.5));
        return LIMN_OK;
    default:
        if (a < 0 && b != floor(b)) {
            return machine_fail(machine, LIMN_UNSUPPORTED, "complex numbers are not implemented");
        }
        if (a == 0 && b < 0) {
            return machine_fail(machine, LIMN_FORMAT, "0.0 cannot be raised to a negative power");
        }
        *value = value_of_real(pow(a, b));
        return isinf(value->real) && isfinite(a) && isfinite(b)
                   ? machine_fail(machine, LIMN_FORMAT, "a power too large")
                   : LIMN_OK;
    }
}

static limn_status repeat(TemplateValue *value, Machine *machine, const TemplateValue *what, int64_t times) {
    size_t n = times > 0 ? (size_t)times : 0;
    if (what->kind == TEMPLATE_STRING) {
        Builder builder = {.machine = machine};
        for (size_t i = 0; i < n && what->string->length > 0; i++) {
            TRY(machine_step(machine, 1));
            builder_add_str(&builder, what->string);
            TRY(builder.status);
        }
        return builder_finish(value, &builder);
    }
    const List *list = what->list;
    if (list->n > 0 && n > SIZE_MAX / sizeof(TemplateValue) / list->n) {
        return machine_fail(machine, LIMN_RANGE, "a list of %zu times %zu elements is too large", n, list->n);
    }
    TRY(value_list(value, machine, what->kind, list->n * n));
    TRY(machine_step(machine, list->n * n));
    for (size_t i = 0; i < n && list->n > 0; i++) {
        memcpy(value->list->items + i * list->n, list->items, list->n * sizeof(TemplateValue));
    }
    return LIMN_OK;
}

static limn_status join_lists(TemplateValue *value, Machine *machine, const TemplateValue *a, const TemplateValue *b) {
    TRY(value_list(value, machine, a->kind, a->list->n + b->list->n));
    TRY(machine_step(machine, value->list->n));
    for (size_t i = 0; i < value->list->n; i++) {
        value->list->items[i] = i < a->list->n ? a->list->items[i] : b->list->items[i - a->list->n];
    }
    return LIMN_OK;
}

static bool repeats(const TemplateValue *a) {
    return a->kind == TEMPLATE_STRING || a->kind == TEMPLATE_LIST || a->kind == TEMPLATE_TUPLE;
}

static const char *operator_text(Operator op) {
    static const char *const texts[] = {
        "+", "-", "*", "/", "//", "%", "** or pow()", "==", "!=", "<", "<=", ">", ">=", "in", "not in"};
    return texts[op];
}

limn_status operate(TemplateValue *value, Machine *machine, Operator op, const TemplateValue *a,
                    const TemplateValue *b) {
    const TemplateValue *undefined = a->kind == TEMPLATE_UNDEFINED ? a : b->kind == TEMPLATE_UNDEFINED ? b : NULL;
    if (undefined != NULL && !(op == OP_MOD && a->kind == TEMPLATE_STRING)) {
        return machine_fail(machine, LIMN_FORMAT, "%s", undefined->missing);
    }
    if ((a->kind == TEMPLATE_STRING && a->string->markup) || (b->kind == TEMPLATE_STRING && b->string->markup)) {
        return machine_fail(machine, LIMN_UNSUPPORTED, "computing with safe text is not implemented");
    }
    if (value_is_number(a) && value_is_number(b)) {
        bool whole = value_is_whole(a) && value_is_whole(b) && !(op == OP_POW && value_whole(b) < 0);
        return whole ? operate_whole(value, machine, op, value_whole(a), value_whole(b))
                     : operate_real(value, machine, op, value_number(a), value_number(b));
    }
    if (op == OP_ADD && a->kind == TEMPLATE_STRING && b->kind == TEMPLATE_STRING) {
        Builder builder = {.machine = machine};
        builder_add_str(&builder, a->string);
        builder_add_str(&builder, b->string);
        return builder_finish(value, &builder);
    }
    if (op == OP_ADD && a->kind == b->kind && (a->kind == TEMPLATE_LIST || a->kind == TEMPLATE_TUPLE)) {
        return join_lists(value, machine, a, b);
    }
    if (op == OP_MUL && ((repeats(a) && value_is_whole(b)) || (repeats(b) && value_is_whole(a)))) {
        return repeats(a) ? repeat(value, machine, a, value_whole(b)) : repeat(value, machine, b, value_whole(a));
    }
    if (op == OP_MOD && a->kind == TEMPLATE_STRING) {
        return text_format_percent(value, machine, a->string, b);
    }
    if (op == OP_ADD && a->kind == TEMPLATE_STRING) {
        return machine_fail(machine, LIMN_FORMAT, "can only concatenate str (not \"%s\") to str", value_type(b));
    }
    return machine_fail(machine, LIMN_FORMAT, "unsupported operand type(s) for %s: '%s' and '%s'", operator_text(op),
                        value_type(a), value_type(b));
}

limn_status compare(bool *holds, Machine *machine, Operator op, const TemplateValue *a, const TemplateValue *b) {
    int order;
    switch (op) {
    case OP_EQ:
        return value_equal(holds, machine, a, b);
    case OP_NE:
        TRY(value_equal(holds, machine, a, b));
        *holds = !*holds;
        return LIMN_OK;
    case OP_IN:
        return value_contains(holds, machine, b, a);
    case OP_NOT_IN:
        TRY(value_contains(holds, machine, b, a));
        *holds = !*holds;
        return LIMN_OK;
    default:
        TRY(value_order(&order, machine, a, b, operator_text(op)));
        *holds = op == OP_LT ? order < 0 : op == OP_LE ? order <= 0 : op == OP_GT ? order > 0 : order >= 0;
        return LIMN_OK;
    }
}
