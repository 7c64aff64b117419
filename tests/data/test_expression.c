/* Expressions over named figures: what they come to, and what is refused. Conditions over records: test_data.c. */
#include <malloc.h>
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
    {"up", {.kind = FIELD_DIGITS, .bytes = "20000000000000000000", .length = 20}},
    {"odd", {.kind = FIELD_INTEGER, .integer = -9007199254740993}},
    {"nothing", {.kind = FIELD_NULL}},
    {"yes", {.kind = FIELD_BOOL, .truth = true}},
    {"no", {.kind = FIELD_BOOL}},
    {"cell-true", {.kind = FIELD_CELL, .bytes = "true!", .length = 4}},
    {"cell-false", {.kind = FIELD_CELL, .bytes = "false!", .length = 5}},
    {"cell-4", {.kind = FIELD_CELL, .bytes = "tree", .length = 4}},
    {"cell-5", {.kind = FIELD_CELL, .bytes = "true!", .length = 5}},
    {"cell-6", {.kind = FIELD_CELL, .bytes = "false!", .length = 6}},
    {"cell-fable", {.kind = FIELD_CELL, .bytes = "fable", .length = 5}},
    {"cell-3", {.kind = FIELD_CELL, .bytes = "true", .length = 3}},
    {"cell-fals", {.kind = FIELD_CELL, .bytes = "false", .length = 4}},
    {"cell-z4", {.kind = FIELD_CELL, .bytes = "zzzz", .length = 4}},
    {"cell-z5", {.kind = FIELD_CELL, .bytes = "zzzzz", .length = 5}},
    {"cell-falsy", {.kind = FIELD_CELL, .bytes = "falsy", .length = 5}},
    {"three", {.kind = FIELD_INTEGER, .integer = 3, .real = (double)NAN}}, /* of an integer no real is looked at */
    {"text-true", {.kind = FIELD_TEXT, .bytes = "true", .length = 4}},
    {"text-12", {.kind = FIELD_TEXT, .bytes = "12", .length = 2}},
    {"ab of abz", {.kind = FIELD_TEXT, .bytes = "abz", .length = 2}},
    {"empty", {.kind = FIELD_TEXT, .bytes = NULL, .length = 0}},
    {"accented", {.kind = FIELD_TEXT, .bytes = "\xC3\xA9", .length = 2}},
    {"as-19", {.kind = FIELD_TEXT, .bytes = "aaaaaaaaaaaaaaaaaaa!", .length = 20}},
    {"as-17", {.kind = FIELD_TEXT, .bytes = "aaaaaaaaaaaaaaaaa!", .length = 18}},
    {"not", {.kind = FIELD_INTEGER, .integer = 4}}, /* called like a word, or like its beginning */
    {"an", {.kind = FIELD_INTEGER, .integer = 5}},
    {"o", {.kind = FIELD_INTEGER, .integer = 6}},
    {"tru", {.kind = FIELD_INTEGER, .integer = 7}},
    {"fals", {.kind = FIELD_INTEGER, .integer = 8}},
    {"nul", {.kind = FIELD_INTEGER, .integer = 9}},
    {"length", {.kind = FIELD_INTEGER, .integer = 10}},
};

static FieldValue figure(const void *context, const char *name, size_t length) {
    (void)context;
    assert_non_null(name);
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++) {
        if (strlen(figures[i].name) == length && memcmp(figures[i].name, name, length) == 0) {
            return figures[i].value;
        }
    }
    return (FieldValue){.kind = FIELD_ABSENT};
}

static const ExpressionNames names = {figure, NULL};

static limn_status number_of(double *out, const char *text, size_t length) {
    Arena arena;
    Expression *expression;
    arena_init(&arena);
    limn_status status = expression_parse(&expression, EXPRESSION_NUMBER, "metric", text, length, &arena);
    assert_int_equal(expression == NULL, status != LIMN_OK);
    if (status == LIMN_OK) {
        status = expression_number(expression, &names, out);
        expression_free(expression);
    }
    arena_free(&arena);
    return status;
}

static limn_status number(double *out, const char *text) {
    return number_of(out, text, strlen(text));
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
        {"max(1, 3, 2)", 3},
        {"min(2, 1, 3)", 1},
        {"max(1, 2, 3) - min(3, 2, 1)", 2},
        {"1e+3 + 1", 1001},
        {"2E+3*2", 4000},
        {"1e+3+4", 1004},
        {"1e-1 + 2e1", 20.1},
        {"9 + 0", 9},
        {"-9.5", -9.5},
        {"2*-two", -4},
        {"two\t+\r\n1 ", 3},
        {"up / 1e18", 20},
        {"sqrt(2) * sqrt(2)", 2},
        {"exp(2)", 7.38905609893065},
        {"log(10)", 2.302585092994046},
        {"abs(-3) + abs(3)", 6},
        {"length + length (name)", 12},
        {"length(`of x`)", 3}, /* "3.0" */
        {"length(accented)", 1},
        {"tru + fals + nul + an + o", 35},
        {"not", 4},
        {"split(name)", 0.8886336569343849}, /* tests/oracle/data/split.py */
        {"split(name, 0)", 0.8886336569343849},
        {"split(name,1)", 0.7173246058399546},
        {"split( two , 7 )", 0.13201414041971538},
        {"split(n, 9007199254740993) * 2", 2 * 0.06900169268768863},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double found = 0;
        limn_status status = number(&found, cases[i].text);
        bool refused = isnan(cases[i].value);
        if (refused != (status != LIMN_OK) || (!refused && !(fabs(found - cases[i].value) < 1e-12))) {
            fail_msg("%s: %.17g, expected %.17g; %s", cases[i].text, found, cases[i].value,
                     status == LIMN_OK ? "" : error_message());
        }
    }
    double found;
    assert_int_equal(number(&found, "1 / 0"), LIMN_OK);
    assert_true(isinf(found));
    static const char *const of_nan[] = {"min(1, 0 / 0)", "min(0 / 0, 1)", "min(1, 0 / 0, 0)", "max(1, 0 / 0, 2)"};
    for (size_t i = 0; i < sizeof of_nan / sizeof of_nan[0]; i++) {
        assert_int_equal(number(&found, of_nan[i]), LIMN_OK);
        assert_true(isnan(found));
    }
}

/* A text has a length: what stands behind it is not read. */
static void texts_end_at_their_length(void **state) {
    static const struct {
        const char *text;
        size_t length;
        double value; /* NaN: refused with word */
        const char *word;
    } cases[] = {
        {"two2", 3, 2, NULL},
        {"1 + 23", 5, 3, NULL},
        {"1e+35", 4, 1000, NULL},
        {"1 + 2", 2, 1, NULL},
        {"1e+3", 2, NAN, "found '1e' at character 1, expected a number"},
        {"(1)", 2, NAN, "ends where one of =="},
        {"max(1)", 3, NAN, "'max' is nothing"},
        {"-5", 1, NAN, "ends where a field, a 'text' or a number was expected"},
        {"'a'", 2, NAN, "found ''a' at character 1, expected a closing quote"},
        {"'a\\'", 3, NAN, "found ''a\\' at character 1, expected a closing quote"},
        {"'a\\' ", 4, NAN, "found ''a\\'' at character 1, expected a closing quote"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double found = 0;
        limn_status status = number_of(&found, cases[i].text, cases[i].length);
        bool as_expected = cases[i].word == NULL
                               ? status == LIMN_OK && fabs(found - cases[i].value) < 1e-12
                               : status == LIMN_USAGE && strstr(error_message(), cases[i].word) != NULL;
        if (!as_expected) {
            fail_msg("%.*s: %.17g, %s", (int)cases[i].length, cases[i].text, found,
                     status == LIMN_OK ? "" : error_message());
        }
    }
}

/* Letters, digits, _ . - and all of other scripts; any other byte ends a name. */
static void names_are_made_of_these_bytes(void **state) {
    for (int byte = 1; byte < 256; byte++) {
        char text[] = {'a', (char)byte, 'b', '\0'};
        bool of_names =
            (byte < 128 && strchr("0123456789_.-abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", byte)) ||
            byte >= 128;
        Arena arena;
        Expression *expression;
        arena_init(&arena);
        limn_status status = expression_parse(&expression, EXPRESSION_NUMBER, "metric", text, 3, &arena);
        bool whole = status == LIMN_OK && strcmp(expression_name(expression, 0, NULL), text) == 0;
        if (whole != of_names) {
            fail_msg("byte %d: %s", byte, of_names ? "ends a name" : "belongs to a name");
        }
        expression_free(expression);
        arena_free(&arena);
    }
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
        {"odd == -9007199254740993 and odd != -9007199254740992", true}, /* a number's sign is its own */
        {"up > n and long < n and up == 20000000000000000000", true},
        {"nothing <= nothing or nothing >= nothing or nothing < 1 or 1 > nothing", false},
        {"nothing == 0 or 0 == nothing or nothing == '' or no == nothing or nothing == no", false},
        {"abs(name) == null and max(1, name) == null and split(nothing) == null", true},
        {"text-12 + 1 == null and text-12 != 12 and text-12 == '12'", true}, /* a text is no number */
        {"cell > 0.4 and cell < '0.6'", true},
        {"name =~ '^a' and name = 'ab' and not name !~ 'b$'", true},
        {"nothing ~ 'x'", false},
        {"nothing !~ 'x'", true},
        {"name ~ '(a)(b)'", true},
        {"empty ~ '^$' and empty == '' and empty < 'a' and length(empty) == 0", true},
        {"accented ~ '^.$' and accented ~ '^\\w$'", true}, /* characters, and those of all scripts are letters */
        {"`ab of abz` < 'abc' and 'abc' > `ab of abz` and `ab of abz` == 'ab'", true},
        {"'b' > 'aa' and 'aa' < 'b' and 'ab' > 'a' and 'a' < 'ab'", true},
        {"yes == true and true == yes and no == false and yes != no and no != yes", true},
        {"no < yes and yes > no and not no > yes and not yes < no", true},
        {"no == 0 or 0 == no or yes == 1 or yes == 'true' or yes == text-true or no == name", false},
        {"cell-true == yes and cell-false == no and cell-true > no and cell-false < yes", true},
        {"cell-4 == yes or cell-5 == yes or cell-6 == no or cell-fable == no", false},
        {"cell-3 == yes or cell-fals == no or cell-z4 == yes or cell-z5 == no or cell-falsy == no", false},
        {"three == 3 and three < 3.5 and three + 1 == 4", true},
        {"not == 4 and not != 3 and not < 5 and not > 3 and not ~ '4' and not + 1 == 5", true},
        {"not * 2 == 8 and not / 2 == 2 and not !~ '5' and (not) == 4", true},
        {"not -1 > 0", true}, /* the sign is the number's */
        {"tru == 7 && fals == 8 && nul == 9 || no == yes", true},
        {"'a\\'b' ~ '^...$' and \"a\\\"b\" ~ '^...$'", true},
        {"'a\\\\' ~ '^..$' and 'a\\\\b' ~ '^...$' and 'a\\\"b' ~ '^....$'",
         true}, /* another quote needs no backslash and keeps it */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool holds = !cases[i].holds;
        limn_status status = condition(&holds, cases[i].text);
        if (status != LIMN_OK || holds != cases[i].holds) {
            fail_msg("%s: %s", cases[i].text, status == LIMN_OK ? "the other way round" : error_message());
        }
    }
}

/* and binds more than or, not more than both; each in words and signs. */
static void conditions_bind_as_usual(void **state) {
    for (int at = 0; at < 8; at++) {
        bool a = at & 1, b = at & 2, c = at & 4;
        const struct {
            const char *text;
            bool holds;
        } cases[] = {
            {"%s or %s and %s", a || (b && c)},
            {"%s and %s or %s", (a && b) || c},
            {"(%s or %s) and %s", (a || b) && c},
            {"%s && %s || %s", (a && b) || c},
            {"not %s and %s or %s", (!a && b) || c},
            {"not (%s and %s) and %s", !(a && b) && c},
            {"not not %s and not %s or not %s", (a && !b) || !c},
            {"%s or not %s or %s", a || !b || c},
            {"%s and not (not %s or %s)", a && b && !c},
        };
        const char *said[] = {"1 > 2", "(2 > 1)"};
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            char text[160];
            snprintf(text, sizeof text, cases[i].text, said[a], said[b], said[c]);
            bool holds = !cases[i].holds;
            if (condition(&holds, text) != LIMN_OK || holds != cases[i].holds) {
                fail_msg("%s", text);
            }
        }
    }
}

static void all_comparisons(void **state) {
    for (int a = 1; a <= 3; a++) {
        const struct {
            const char *sign;
            bool holds;
        } cases[] = {{"==", a == 2}, {"=", a == 2},  {"!=", a != 2}, {"<", a < 2},
                     {">", a > 2},   {"<=", a <= 2}, {">=", a >= 2}};
        static const char *const kinds[][2] = {{"%d", "2"}, {"'%d'", "'2'"}, {"(%d)", "two"}};
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            for (size_t k = 0; k < 3; k++) {
                char left[16], text[64];
                snprintf(left, sizeof left, kinds[k][0], a);
                snprintf(text, sizeof text, "%s %s %s", left, cases[i].sign, kinds[k][1]);
                bool holds = !cases[i].holds;
                if (condition(&holds, text) != LIMN_OK || holds != cases[i].holds) {
                    fail_msg("%s", text);
                }
            }
        }
    }
}

/* 64 deep and no deeper; what is side by side is not deep. */
static void depth_is_bounded(void **state) {
    char text[4096];
    for (int deep = 63; deep <= 64; deep++) {
        bool holds = false;
        memset(text, '(', (size_t)deep);
        memcpy(text + deep, "1 < 2", 5);
        memset(text + deep + 5, ')', (size_t)deep);
        text[2 * deep + 5] = '\0';
        assert_int_equal(condition(&holds, text), deep == 63 ? LIMN_OK : LIMN_USAGE);
        assert_int_equal(holds, deep == 63);
    }
    assert_string_equal(error_message(), "option 'gate': nested more than 64 deep");
    static const char *const parts[] = {"(1 < 2)", "not 2 < 1", "-(1) < 2"};
    for (size_t i = 0; i < 3; i++) {
        size_t n = 0;
        for (int k = 0; k < 100; k++) {
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", k > 0 ? " and " : "", parts[i]);
        }
        bool holds = false;
        assert_int_equal(condition(&holds, text), LIMN_OK);
        assert_true(holds);
    }
}

/* A pattern may take a million steps. Of n a's (a|a)+ tries 2^n ways, 6 * 2^n - 2 steps: 786,430 and 3,145,726. */
static void patterns_have_a_bound(void **state) {
    bool holds = true;
    assert_int_equal(condition(&holds, "as-17 ~ '^(a|a)+$'"), LIMN_OK);
    assert_false(holds);
    assert_int_equal(condition(&holds, "as-19 ~ '^(a|a)+$'"), LIMN_RANGE);
    assert_string_equal(error_message(),
                        "option 'gate': the pattern '^(a|a)+$' takes too long (more than 1000000 steps)");
}

static size_t heap_in_use(void) {
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* Patterns are PCRE's memory, in no arena. */
static void nothing_is_kept(void **state) {
    bool holds;
    expression_free(NULL);
    size_t before = 0;
    for (int round = 0; round < 40; round++) {
        before = round == 8 ? heap_in_use() : before;
        assert_int_equal(condition(&holds, "name ~ 'a+' and name !~ 'c' and length(name) == 2"), LIMN_OK);
        assert_int_equal(condition(&holds, "name ~ 'a+' and name ~ 'b' x"), LIMN_USAGE);
    }
    assert_true(heap_in_use() < before + 200);
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
        {true, "(gap > 1) > 2", "found '> 2' at character 11, expected and, or, or the end"},
        {true, "accuracy and gap > 1", "found 'and gap > 1' at character 10, expected one of == != < > <= >= ~ !~"},
        {true, "accuracy  || gap > 1", "found '|| gap > 1' at character 11, expected one of =="},
        {true, "gap > 1 an gap > 2", "found 'an gap > 2' at character 9, expected and, or, or the end"},
        {true, "gap > 1 o gap > 2", "and, or, or the end"},
        {true, "gap > 1 or accuracy", "ends where one of =="},
        {true, "not", "ends where one of =="},
        {true, "(gap > 1", "ends where and, or, or a closing parenthesis"},
        {true, "(gap", "ends where one of == != < > <= >= ~ !~ or a closing parenthesis"},
        {true, "gap == +", "found '+' at character 8, expected a field, a 'text' or a number"},
        {true, "gap == 123456789012345678901234567890x1234567890",
         "found '123456789012345678901234567890x123456789' at character 8"},
        {true, "gap == (1 > 2)", "a number, not a condition"},
        {true, "`` == 1", "expected a field"},
        {true, "split(gap, 1", "ends where a closing parenthesis"},
        {true, "split(gap, 20000000000000000000) > 0", "expected a whole number, 0 or more"},
        {true, "name ~ '(x'", "the pattern '(x' is broken at character 3: missing"},
        {true, "name !~ 1", "the pattern of ~ stands in quotes, as in text ~ 'bank run'"},
        {false, "1 + (gap < 1 and gap < 2)", "a number on both sides"},
        {false, "1 + (gap < 1 or gap < 2)", "a number on both sides"},
        {false, "1 + (not gap < 1)", "a number on both sides"},
        {false, ".5", "'.5' is nothing that is known"},
        {false, "2e+ + 1", "expected a number"},
        {false, "abs(1 2)", "found '2)' at character 7, expected a closing parenthesis"},
        {false, "min(1 2)", "found '2)' at character 7, expected a comma or a closing parenthesis"},
        {false, "max(1 2)", "expected a comma or a closing parenthesis"},
        {false, "length(name) + nothing", "'nothing' is no number"}, /* of the name the length was asked */
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
    static const char text[] = "accuracy > missing or length(name) > two or split(gap) < two";
    Arena arena;
    Expression *expression;
    arena_init(&arena);
    assert_int_equal(expression_parse(&expression, EXPRESSION_CONDITION, "gate", text, strlen(text), &arena), LIMN_OK);
    static const char *const expected[] = {"accuracy", "missing", "name", "two", "gap", "two"};
    bool holds, seen;
    assert_int_equal(expression_test(expression, &names, &holds), LIMN_OK);
    assert_true(holds);
    for (size_t i = 0; i < 6; i++) {
        assert_string_equal(expression_name(expression, i, &seen), expected[i]);
        assert_int_equal(seen, i != 1);
    }
    assert_null(expression_name(expression, 6, NULL));
    expression_free(expression);
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_bind_as_usual),
        cmocka_unit_test(texts_end_at_their_length),
        cmocka_unit_test(names_are_made_of_these_bytes),
        cmocka_unit_test(conditions_may_hold_sums),
        cmocka_unit_test(conditions_bind_as_usual),
        cmocka_unit_test(all_comparisons),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(patterns_have_a_bound),
        cmocka_unit_test(nothing_is_kept),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(names_are_listed_as_written),
    };
    return cmocka_run_group_tests_name("expressions", tests, NULL, NULL);
}
