/* Expressions over named figures: what they come to, and what is refused. Conditions over records: test_data.c. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/expression.h"

#include <cmocka.h> /* last: it has a macro named fail */

static const struct {
    const char *name;
    FieldValue value;
} figures[] = {
    {"accuracy", {.kind = FIELD_REAL, .real = 0.9}},
    {"gap", {.kind = FIELD_REAL, .real = -0.25}},
    {"n", {.kind = FIELD_INTEGER, .integer = 9007199254740993}},
    {"two", {.kind = FIELD_INTEGER, .integer = 2}},
    {"with-minus", {.kind = FIELD_REAL, .real = 7}},
    {"of x", {.kind = FIELD_REAL, .real = 3}},
    {"min", {.kind = FIELD_REAL, .real = 11}},
    {"name", {.kind = FIELD_TEXT, .bytes = "ab", .length = 2}},
    {"cell", {.kind = FIELD_CELL, .bytes = "0.5", .length = 3}},
    {"long", {.kind = FIELD_DIGITS, .bytes = "-20000000000000000000", .length = 21}},
    {"nothing", {.kind = FIELD_NULL}},
};

static FieldValue figure(const void *context, const char *name, size_t length) {
    (void)context;
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++) {
        if (strlen(figures[i].name) == length && memcmp(figures[i].name, name, length) == 0) {
            return figures[i].value;
        }
    }
    return (FieldValue){.kind = FIELD_ABSENT};
}

static const ExpressionNames names = {figure, NULL};

static limn_status number(double *out, const char *text) {
    Arena arena;
    Expression *expression;
    arena_init(&arena);
    limn_status status = expression_parse(&expression, EXPRESSION_NUMBER, "metric", text, strlen(text), &arena);
    if (status == LIMN_OK) {
        status = expression_number(expression, &names, out);
        expression_free(expression);
    }
    arena_free(&arena);
    return status;
}

static limn_status condition(bool *holds, const char *text) {
    Arena arena;
    Expression *expression;
    arena_init(&arena);
    limn_status status = expression_parse(&expression, EXPRESSION_CONDITION, "gate", text, strlen(text), &arena);
    if (status == LIMN_OK) {
        status = expression_test(expression, &names, holds);
        expression_free(expression);
    }
    arena_free(&arena);
    return status;
}

static void sums_bind_as_usual(void **state) {
    static const struct {
        const char *text;
        double value;
    } cases[] = {
        {"1", 1},
        {"-1", -1},
        {"1 + 2 * 3", 7},
        {"(1 + 2) * 3", 9},
        {"8 - 3 - 2", 3},
        {"8 / 4 / 2", 1},
        {"2 * 3 - 4 / 2", 4},
        {"5 -3", 2},
        {"5-3", NAN}, /* refused below: a number is read to its end */
        {"(5)-3", 2},
        {"-(2 + 1)", -3},
        {"- accuracy", -0.9},
        {"--1", 1},
        {"accuracy - gap", 1.15},
        {"accuracy +gap", 0.65},
        {"with-minus - 1", 6},
        {"`of x` * 2", 6},
        {"min", 11},
        {"min(min, two, 3)", 2},
        {"max(gap, -1)", -0.25},
        {"max(1)", 1},
        {"abs(gap) * 4", 1},
        {"sqrt(16) + exp(0) + log(1)", 5},
        {"cell / 2", 0.25},
        {"long / 1e18", -20},
        {"length(name) + 1", 3},
        {"two * two * two", 8},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double found = 0;
        limn_status status = number(&found, cases[i].text);
        bool refused = isnan(cases[i].value);
        if (refused != (status != LIMN_OK) || (!refused && fabs(found - cases[i].value) > 1e-12)) {
            fail_msg("%s: %.17g, expected %.17g; %s", cases[i].text, found, cases[i].value,
                     status == LIMN_OK ? "" : error_message());
        }
    }
    double found;
    assert_int_equal(number(&found, "1 / 0"), LIMN_OK);
    assert_true(isinf(found));
    assert_int_equal(number(&found, "min(1, 0 / 0)"), LIMN_OK);
    assert_true(isnan(found));
    assert_int_equal(number(&found, "min(0 / 0, 1)"), LIMN_OK);
    assert_true(isnan(found));
}

static void conditions_may_hold_sums(void **state) {
    static const struct {
        const char *text;
        bool holds;
    } cases[] = {
        {"accuracy >= 0.9 and gap < 0.03", true},
        {"accuracy - 0.5 > abs(gap)", true},
        {"accuracy - 0.5 > 2 * abs(gap)", false},
        {"(accuracy - 0.5) * 2 >= 0.8 and not (gap > 0)", true},
        {"(accuracy) > (gap)", true},
        {"n == 9007199254740993", true},
        {"n == 9007199254740992", false},
        {"n - 0 == 9007199254740992", true}, /* sums are reckoned in double */
        {"1 / 0 > n", true},
        {"-1 / 0 < n and -1 / 0 < long", true},
        {"1 / 0 == 1 / 0", true},
        {"0 / 0 == 0 / 0", false},
        {"0 / 0 < 1 or 0 / 0 >= 1", false},
        {"name + 1 == null", true},
        {"nothing * 2 == null", true},
        {"name ~ '^a' and name == 'ab'", true},
        {"missing == null", true},
        {"-two == -2", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool holds = !cases[i].holds;
        limn_status status = condition(&holds, cases[i].text);
        if (status != LIMN_OK || holds != cases[i].holds) {
            fail_msg("%s: %s", cases[i].text, status == LIMN_OK ? "the other way round" : error_message());
        }
    }
}

static void what_cannot_be_is_refused(void **state) {
    static const struct {
        bool condition;
        const char *text, *word;
    } cases[] = {
        {false, "", "option 'metric': ends where a field"},
        {false, "accuracy >", "found '>' at character 10, expected + - * / or the end"},
        {false, "accuracy > 1", "expected + - * / or the end"},
        {false, "(accuracy > 1)", "a number, not a condition"},
        {false, "accuracy +", "ends where a field"},
        {false, "1 + (gap > 1)", "a number on both sides"},
        {false, "abs(gap", "ends where a closing parenthesis"},
        {false, "abs(gap, 1)", "a closing parenthesis"},
        {false, "abs(gap > 1)", "a closing parenthesis"},
        {false, "min()", "expected a field"},
        {false, "max(1,)", "expected a field"},
        {false, "5-3", "a number"},
        {false, "accurate", "'accurate' is nothing that is known, expected a number"},
        {false, "name", "'name' is no number"},
        {false, "1 + 'a'", "a text or null stands where a number was expected"},
        {false, "-(gap > 1)", "a number behind the minus"},
        {true, "accuracy", "one of =="},
        {true, "accuracy - 1", "one of =="},
        {true, "gap > 1 > 2", "and, or, or the end"},
        {true, "(gap > 1) + 2 > 1", "and, or, or the end"},
        {true, "not gap", "one of =="},
        {true, "gap > 1 and accuracy", "one of =="},
        {true, "gap + > 1", "expected a field"},
        {true, "name ~ name", "in quotes"},
        {true, "name ~ ('a')", "option 'gate': "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double unused;
        bool holds;
        limn_status status = cases[i].condition ? condition(&holds, cases[i].text) : number(&unused, cases[i].text);
        bool known = strcmp(cases[i].text, "name ~ ('a')") == 0; /* a text in a parenthesis is one too */
        if (known ? status != LIMN_OK : status != LIMN_USAGE || strstr(error_message(), cases[i].word) == NULL) {
            fail_msg("%s: %d %s, expected '%s'", cases[i].text, (int)status, error_message(), cases[i].word);
        }
    }
}

static void names_are_listed_as_written(void **state) {
    static const char text[] = "accuracy > missing or length(name) > two";
    Arena arena;
    Expression *expression;
    arena_init(&arena);
    assert_int_equal(expression_parse(&expression, EXPRESSION_CONDITION, "gate", text, strlen(text), &arena), LIMN_OK);
    static const char *const expected[] = {"accuracy", "missing", "name", "two"};
    bool holds, seen;
    assert_int_equal(expression_test(expression, &names, &holds), LIMN_OK);
    assert_false(holds);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(expression_name(expression, i, &seen), expected[i]);
        assert_int_equal(seen, i != 1);
    }
    assert_null(expression_name(expression, 4, NULL));
    expression_free(expression);
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(sums_bind_as_usual), cmocka_unit_test(conditions_may_hold_sums),
                                       cmocka_unit_test(what_cannot_be_is_refused),
                                       cmocka_unit_test(names_are_listed_as_written)};
    return cmocka_run_group_tests_name("expressions", tests, NULL, NULL);
}
