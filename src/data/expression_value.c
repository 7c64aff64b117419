/* What an expression comes to. */
#include <math.h>
#include <string.h>

#include "base/map.h"
#include "base/random.h"
#include "data/expression_parts.h"

static limn_status no_memory(const Expression *expression) {
    return fail(LIMN_NO_MEMORY, "option '%s': out of memory", expression->option);
}

static bool is_nothing(const FieldValue *value) {
    return value->kind == FIELD_NULL || value->kind == FIELD_ABSENT;
}

/* ---- values ---- */

/* Characters of what a field reads as, elements of a list or an object; of nothing there is no length. */
static limn_status take_length_of(Expression *expression, FieldValue *value) {
    FieldValue length = {.kind = FIELD_INTEGER};
    if (is_nothing(value)) {
        return LIMN_OK;
    }
    if (value->kind == FIELD_JSON) {
        length.integer =
            (int64_t)(json_is_array(value->json) ? json_array_size(value->json) : json_object_size(value->json));
    } else {
        text_buffer_clear(&expression->scratch);
        TRY(field_text(&expression->scratch, value));
        for (size_t i = 0; i < expression->scratch.length; i++) { /* of each character the first byte */
            length.integer += ((unsigned char)expression->scratch.data[i] & 0xC0) != 0x80;
        }
    }
    *value = length;
    return LIMN_OK;
}

static FieldValue real_of(double real) {
    return (FieldValue){.kind = FIELD_REAL, .real = real};
}

/* Halves that hold whatever the order of the records is. */
static limn_status take_split_of(Expression *expression, FieldValue *value, uint64_t seed) {
    if (is_nothing(value)) {
        return LIMN_OK;
    }
    text_buffer_clear(&expression->scratch);
    TRY(field_text(&expression->scratch, value));
    Random random;
    random_seed(&random, seed);
    random_seed(&random, random_bits(&random) ^ hash_bytes(expression->scratch.data, expression->scratch.length));
    *value = real_of(random_unit(&random));
    return LIMN_OK;
}

static double real_of_digits(const char *digits, size_t length) {
    bool below = digits[0] == '-';
    double real = 0.0;
    for (size_t i = below; i < length; i++) {
        real = 10.0 * real + (digits[i] - '0');
    }
    return below ? -real : real;
}

/* False: it is no number. */
static bool as_real(double *real, const FieldValue *value) {
    FieldValue number;
    if (!field_number(&number, value)) {
        return false;
    }
    *real = number.kind == FIELD_INTEGER  ? (double)number.integer
            : number.kind == FIELD_DIGITS ? real_of_digits(number.bytes, number.length)
                                          : number.real;
    return true;
}

static double sum_of(char operation, double a, double b) {
    switch (operation) {
    case '+':
        return a + b;
    case '-':
        return a - b;
    case '*':
        return a * b;
    case '/':
        return a / b;
    default:
        return -a;
    }
}

static double function_of(ExpressionFunction function, double x) {
    switch (function) {
    case FUNCTION_ABS:
        return fabs(x);
    case FUNCTION_SQRT:
        return sqrt(x);
    case FUNCTION_EXP:
        return exp(x);
    case FUNCTION_LOG:
        return log(x);
    case FUNCTION_MIN:
    case FUNCTION_MAX:
    case FUNCTION_COUNT:
        break;
    }
    return x;
}

static limn_status value_of(FieldValue *value, Expression *expression, ExpressionNode *node,
                            const ExpressionNames *names);

static limn_status value_of_sum(FieldValue *value, Expression *expression, ExpressionNode *node,
                                const ExpressionNames *names) {
    FieldValue first, second = {.kind = FIELD_INTEGER};
    double a, b;
    TRY(value_of(&first, expression, node->first, names));
    TRY(node->second != NULL ? value_of(&second, expression, node->second, names) : LIMN_OK);
    bool numbers = as_real(&a, &first) && as_real(&b, &second);
    *value = numbers ? real_of(sum_of(node->operation, a, b)) : (FieldValue){.kind = FIELD_NULL};
    return LIMN_OK;
}

/* NaN is an argument like any other: the least of numbers and NaN is NaN. */
static limn_status value_of_function(FieldValue *value, Expression *expression, ExpressionNode *node,
                                     const ExpressionNames *names) {
    double best = (double)NAN;
    for (ExpressionNode *one = node; one != NULL; one = one->second) {
        double x;
        TRY(value_of(value, expression, one->first, names));
        if (!as_real(&x, value)) {
            *value = (FieldValue){.kind = FIELD_NULL};
            return LIMN_OK;
        }
        bool better = node->function == FUNCTION_MIN ? x < best : x > best;
        best = one == node || better || isnan(x) ? function_of(node->function, x) : best;
    }
    *value = real_of(best);
    return LIMN_OK;
}

static limn_status value_of(FieldValue *value, Expression *expression, ExpressionNode *node,
                            const ExpressionNames *names) {
    switch (node->kind) {
    case NODE_SUM:
        return value_of_sum(value, expression, node, names);
    case NODE_FUNCTION:
        return value_of_function(value, expression, node, names);
    case NODE_NAME:
    case NODE_LENGTH:
    case NODE_SPLIT:
        *value = names->value(names->context, node->name, node->length);
        return node->kind == NODE_LENGTH  ? take_length_of(expression, value)
               : node->kind == NODE_SPLIT ? take_split_of(expression, value, node->seed)
                                          : LIMN_OK;
    default:
        *value = node->literal;
        return LIMN_OK;
    }
}

/* ---- comparisons ---- */

static bool is_text(const FieldValue *value) {
    return value->kind == FIELD_TEXT || value->kind == FIELD_CELL;
}

static int order_texts(const FieldValue *a, const FieldValue *b) {
    size_t n = a->length < b->length ? a->length : b->length;
    int order = n > 0 ? memcmp(a->bytes, b->bytes, n) : 0;
    return order != 0 ? order : (a->length > b->length) - (a->length < b->length);
}

/* A cell beside true or false. */
static FieldValue as_bool(const FieldValue *value) {
    if (value->kind == FIELD_CELL && value->length == 4 && memcmp(value->bytes, "true", 4) == 0) {
        return (FieldValue){.kind = FIELD_BOOL, .truth = true};
    }
    if (value->kind == FIELD_CELL && value->length == 5 && memcmp(value->bytes, "false", 5) == 0) {
        return (FieldValue){.kind = FIELD_BOOL, .truth = false};
    }
    return *value;
}

/* A sum may come out as what has no place among numbers. */
static bool has_order(const FieldValue *number) {
    return number->kind != FIELD_REAL || !isnan(number->real);
}

/* False: of kinds that have no order; then *order is 0. */
static bool order_of(const FieldValue *a, const FieldValue *b, int *order) {
    FieldValue x, y;
    *order = 0;
    if (is_nothing(a) && is_nothing(b)) {
        return true;
    }
    if (field_number(&x, a) && field_number(&y, b)) {
        bool ordered = has_order(&x) && has_order(&y);
        *order = ordered ? field_number_order(&x, &y) : 0;
        return ordered;
    }
    if (is_text(a) && is_text(b)) {
        *order = order_texts(a, b);
        return true;
    }
    x = as_bool(a);
    y = as_bool(b);
    if (x.kind == FIELD_BOOL && y.kind == FIELD_BOOL) {
        *order = (int)x.truth - (int)y.truth;
        return true;
    }
    return json_equal(a->json, b->json); /* false where one is none */
}

static limn_status test_pattern(Expression *expression, ExpressionNode *node, const ExpressionNames *names,
                                bool *holds) {
    FieldValue value;
    TRY(value_of(&value, expression, node->first, names));
    bool wanted = node->comparator == CMP_LIKE;
    *holds = !wanted;
    if (is_nothing(&value)) {
        return LIMN_OK;
    }
    TextBuffer *scratch = &expression->scratch;
    text_buffer_clear(scratch);
    TRY(field_text(scratch, &value));
    const char *subject = scratch->length > 0 ? scratch->data : "";
    int found =
        pcre2_match(node->pattern, (PCRE2_SPTR)subject, scratch->length, 0, 0, expression->match, expression->limits);
    if (found == PCRE2_ERROR_NOMEMORY) {
        return no_memory(expression);
    }
    if (found < 0 && found != PCRE2_ERROR_NOMATCH) {
        return fail(LIMN_RANGE, "option '%s': the pattern '%.80s' takes too long (more than %d steps)",
                    expression->option, node->second->literal.bytes, (int)EXPRESSION_MATCH_LIMIT);
    }
    *holds = (found >= 0) == wanted;
    return LIMN_OK;
}

static limn_status test_comparison(Expression *expression, const ExpressionNode *node, const ExpressionNames *names,
                                   bool *holds) {
    FieldValue left, right;
    TRY(value_of(&left, expression, node->first, names));
    TRY(value_of(&right, expression, node->second, names));
    int order;
    bool ordered = order_of(&left, &right, &order);
    bool beside = ordered && !is_nothing(&left); /* nothing equals nothing, and is not at most nothing */
    switch (node->comparator) {
    case CMP_EQUAL:
        *holds = ordered && order == 0;
        break;
    case CMP_UNEQUAL:
        *holds = !ordered || order != 0;
        break;
    case CMP_LESS:
        *holds = order < 0;
        break;
    case CMP_GREATER:
        *holds = order > 0;
        break;
    case CMP_AT_MOST:
        *holds = beside && order <= 0;
        break;
    default:
        *holds = beside && order >= 0;
        break;
    }
    return LIMN_OK;
}

static limn_status test(Expression *expression, ExpressionNode *node, const ExpressionNames *names, bool *holds) {
    switch (node->kind) {
    case NODE_NOT:
        TRY(test(expression, node->first, names, holds));
        *holds = !*holds;
        return LIMN_OK;
    case NODE_AND:
    case NODE_OR:
        TRY(test(expression, node->first, names, holds));
        return *holds == (node->kind == NODE_AND) ? test(expression, node->second, names, holds) : LIMN_OK;
    default:
        return node->pattern != NULL ? test_pattern(expression, node, names, holds)
                                     : test_comparison(expression, node, names, holds);
    }
}

/* Also of names that and, or did not come to. */
static void mark_seen(Expression *expression, const ExpressionNames *names) {
    for (ExpressionNode *node = expression->made; node != NULL; node = node->next_made) {
        if (node->name != NULL && !node->seen) {
            node->seen = names->value(names->context, node->name, node->length).kind != FIELD_ABSENT;
        }
    }
}

limn_status expression_test(Expression *expression, const ExpressionNames *names, bool *holds) {
    mark_seen(expression, names);
    return test(expression, expression->root, names, holds);
}

/* The first name whose value is no number, for a message. */
static limn_status say_missing(const Expression *expression, const ExpressionNames *names) {
    for (const ExpressionNode *node = expression->made; node != NULL; node = node->next_made) {
        if (node->kind != NODE_NAME) {
            continue;
        }
        double unused;
        FieldValue value = names->value(names->context, node->name, node->length);
        if (!as_real(&unused, &value)) {
            return fail(LIMN_USAGE, "option '%s': '%.80s' is %s, expected a number", expression->option, node->name,
                        value.kind == FIELD_ABSENT ? "nothing that is known" : "no number");
        }
    }
    return fail(LIMN_USAGE, "option '%s': a text or null stands where a number was expected", expression->option);
}

limn_status expression_number(Expression *expression, const ExpressionNames *names, double *number) {
    FieldValue value;
    TRY(value_of(&value, expression, expression->root, names));
    return as_real(number, &value) ? LIMN_OK : say_missing(expression, names);
}
