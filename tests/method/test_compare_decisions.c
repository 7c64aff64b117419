/* `compare decisions`: differences, intervals and tests of pairs whose counts are known; what is paired, what is left
 * out and said; limits. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "method/calls.h"

#include <cmocka.h> /* last: it has a macro named fail */

static char paths[2][64];

static void must(limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

static int set_up(void **state) {
    for (int i = 0; i < 2; i++) {
        snprintf(paths[i], sizeof paths[i], "/tmp/limn-compare-%d-%c.jsonl", (int)getpid(), 'a' + i);
    }
    return 0;
}

static int tear_down(void **state) {
    unlink(paths[0]);
    unlink(paths[1]);
    return 0;
}

static void write_files(const char *a, const char *b) {
    must(file_write_atomic(paths[0], a, strlen(a)));
    must(file_write_atomic(paths[1], b, strlen(b)));
}

static limn_status compare(Result **result, const char *more) {
    return call_method(result, "compare decisions", "{\"a\": \"%s\", \"b\": \"%s\"%s}", paths[0], paths[1], more);
}

/* One hundred records, all labelled yes: 14 that B alone gets right, 6 that A alone does, 70 both. Records of odd
 * number are of group y; B's file has another order. */
static void write_hundred(bool labels) {
    TextBuffer texts[2] = {TEXT_BUFFER_INIT, TEXT_BUFFER_INIT};
    for (int file = 0; file < 2; file++) {
        for (int k = 0; k < 100; k++) {
            int i = file == 0 ? k : (k * 37 + 11) % 100;
            bool a = i < 6 || (i >= 20 && i < 90), b = (i >= 6 && i < 90);
            bool yes = file == 0 ? a : b;
            double p = yes ? 0.8 + 0.001 * i : 0.3;
            text_buffer_printf(&texts[file],
                               "{\"record\": %d, \"id\": \"t%d\", %s\"pred\": \"%s\", \"group\": \"%s\", "
                               "\"probabilities\": {\"yes\": %.3f, \"no\": %.3f}, \"prompt\": \"text %d\", \"hash\": "
                               "\"%d\"}\n",
                               i, i, labels ? "\"label\": \"yes\", " : "", yes ? "yes" : "no", i % 2 == 1 ? "y" : "x",
                               p, 1 - p, i, i);
        }
    }
    write_files(texts[0].data, texts[1].data);
    text_buffer_free(&texts[0]);
    text_buffer_free(&texts[1]);
}

/* The row of a measure and group; -1: none. */
static int32_t row_of(const TableBlock *table, const char *measure, const char *group) {
    for (int32_t row = 0; row < table->n_rows; row++) {
        if (strcmp(table_cell(table, row, 0)->text.bytes, measure) == 0 &&
            strcmp(table_cell(table, row, 1)->text.bytes, group) == 0) {
            return row;
        }
    }
    return -1;
}

static void near(const char *what, double found, double expected, double tolerance) {
    if (!(fabs(found - expected) <= tolerance)) {
        fail_msg("%s: found %.9g, expected %.9g", what, found, expected);
    }
}

static double number(const Result *result, const char *measure, const char *group, int32_t column) {
    const TableBlock *table = result_find_block(result, "difference")->content;
    int32_t row = row_of(table, measure, group);
    assert_true(row >= 0);
    const Value *cell = table_cell(table, row, column);
    return cell->kind == VALUE_NUMBER    ? cell->number
           : cell->kind == VALUE_INTEGER ? (double)cell->integer
                                         : (double)NAN;
}

enum { N = 2, A, B, DIFFERENCE, LOW, HIGH, P };

static void a_hundred_pairs(void **state) {
    Result *result;
    write_hundred(true);
    must(compare(&result, ""));
    assert_int_equal(result->n_warnings, 0);
    near("n", number(result, "accuracy", "all", N), 100, 0);
    near("A", number(result, "accuracy", "all", A), 0.76, 1e-12);
    near("B", number(result, "accuracy", "all", B), 0.84, 1e-12);
    near("difference", number(result, "accuracy", "all", DIFFERENCE), 0.08, 1e-12);
    near("low", number(result, "accuracy", "all", LOW), -0.008263374503719619, 2e-6); /* golden/statistics */
    near("high", number(result, "accuracy", "all", HIGH), 0.17268255260034432, 2e-6);
    near("p", number(result, "accuracy", "all", P), 0.11531829833984375, 1e-12); /* 2 P(X <= 6), 20 tosses */
    near("share", number(result, "share of 'yes'", "all", DIFFERENCE), 0.08, 1e-12);
    near("share", number(result, "share of 'no'", "all", DIFFERENCE), -0.08, 1e-12);
    near("changed", number(result, "changed", "all", DIFFERENCE), 0.2, 1e-12);
    near("changed", number(result, "changed", "all", LOW), 0.133366984, 1e-6); /* Wilson's of 20 in 100 */
    double loss[2] = {0}, brier[2] = {0};
    for (int i = 0; i < 100; i++) {
        bool right[] = {i < 6 || (i >= 20 && i < 90), i >= 6 && i < 90};
        for (int k = 0; k < 2; k++) {
            double p = right[k] ? 0.8 + 0.001 * i : 0.3;
            loss[k] -= log(p) / 100;
            brier[k] += 2 * (1 - p) * (1 - p) / 100;
        }
    }
    near("log-loss of A", number(result, "log-loss", "all", A), loss[0], 1e-9);
    near("log-loss of B", number(result, "log-loss", "all", B), loss[1], 1e-9);
    near("Brier", number(result, "brier", "all", DIFFERENCE), brier[1] - brier[0], 1e-9);
    assert_true(number(result, "brier", "all", LOW) < brier[1] - brier[0]);
    /* of 0 to 5 half are odd, of 6 to 19 too */
    near("a group", number(result, "accuracy", "y", DIFFERENCE), 4.0 / 50, 1e-12);
    near("a group", number(result, "accuracy", "x", N), 50, 0);
    assert_non_null(strstr(result->headline.bytes, "is right on 84.0% of 100 records"));
    assert_non_null(strstr(result->headline.bytes, "+8.0 points (95% interval -0.8 to +17.3, McNemar p = 0.12); 20 "
                                                   "decisions changed"));
    /* those that became wrong first, the surest of them before */
    const TableBlock *changed = result_find_block(result, "changed")->content;
    assert_int_equal(changed->n_rows, 20);
    for (int32_t row = 0; row < 20; row++) {
        assert_string_equal(table_cell(changed, row, 3)->text.bytes, row < 6 ? "yes" : "no");
        assert_string_equal(table_cell(changed, row, 4)->text.bytes, row < 6 ? "no" : "yes");
    }
    assert_string_equal(table_cell(changed, 6, 0)->text.bytes, "t19");
    assert_string_equal(table_cell(changed, 6, 7)->text.bytes, "text 19");
    near("its probability", table_cell(changed, 6, 6)->number, 0.819, 1e-9);
    const TableBlock *counts = result_find_block(result, "discordant")->content;
    int32_t row = row_of(counts, "accuracy", "all");
    static const int expected[] = {70, 6, 14, 10};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(table_cell(counts, row, 2 + i)->integer, expected[i]);
    }
    const MatrixBlock *matrix = result_find_block(result, "decisions")->content;
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        sum += matrix->values[i];
    }
    assert_true(sum == 100 && matrix->values[1] + matrix->values[2] == 20);
    result_free(result);
}

static void the_other_way_round_turns_every_sign(void **state) {
    Result *result, *turned;
    write_hundred(true);
    must(compare(&result, ""));
    must(call_method(&turned, "compare decisions", "{\"a\": \"%s\", \"b\": \"%s\"}", paths[1], paths[0]));
    static const char *const measures[] = {"accuracy", "share of 'yes'", "share of 'no'"};
    for (int i = 0; i < 3; i++) {
        near("difference", number(turned, measures[i], "all", DIFFERENCE),
             -number(result, measures[i], "all", DIFFERENCE), 1e-12);
        near("low", number(turned, measures[i], "all", LOW), -number(result, measures[i], "all", HIGH), 1e-9);
        near("p", number(turned, measures[i], "all", P), number(result, measures[i], "all", P), 1e-12);
    }
    near("log-loss", number(turned, "log-loss", "all", DIFFERENCE), -number(result, "log-loss", "all", DIFFERENCE),
         1e-12);
    result_free(turned);
    result_free(result);
    /* and beside itself nothing differs */
    must(call_method(&result, "compare decisions", "{\"a\": \"%s\", \"b\": \"%s\"}", paths[0], paths[0]));
    near("accuracy", number(result, "accuracy", "all", DIFFERENCE), 0, 0);
    near("p", number(result, "accuracy", "all", P), 1, 0);
    near("Brier", number(result, "brier", "all", DIFFERENCE), 0, 0);
    const TableBlock *changed = result_find_block(result, "changed")->content;
    assert_int_equal(changed->n_rows, 0);
    result_free(result);
}

static void limits_are_on_differences(void **state) {
    static const struct {
        const char *limit;
        CheckState state;
    } cases[] = {
        {"\"at-least\": \"accuracy=-0.01\"", CHECK_PASS},     {"\"at-least\": \"accuracy=0\"", CHECK_INCONCLUSIVE},
        {"\"at-least\": \"accuracy=18%\"", CHECK_FAIL},       {"\"at-most\": \"accuracy=0.18\"", CHECK_PASS},
        {"\"at-most\": \"changed=0.1\"", CHECK_FAIL},         {"\"at-most\": \"changed=0.3\"", CHECK_PASS},
        {"\"at-least\": \"share:no=-0.18\"", CHECK_PASS},     {"\"at-most\": \"share:no@y=0.5\"", CHECK_PASS},
        {"\"at-least\": \"accuracy@*=-0.5\"", CHECK_PASS},    {"\"at-most\": \"log-loss=10\"", CHECK_PASS},
        {"\"at-least\": \"accuracy@nobody=-1\"", CHECK_FAIL},
    };
    write_hundred(true);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Result *result;
        char more[96];
        snprintf(more, sizeof more, ", %s", cases[i].limit);
        must(compare(&result, more));
        if (result_verdict(result) != cases[i].state) {
            fail_msg("%s: %s", cases[i].limit, check_state_name(result_verdict(result)));
        }
        assert_int_equal(result->n_checks, strstr(cases[i].limit, "@*") != NULL ? 2 : 1);
        result_free(result);
    }
    static const struct {
        const char *limit, *part;
    } wrong[] = {
        {"\"at-least\": \"recall:yes=1\"", "there is no measure 'recall'; expected one of accuracy, share:CHOICE"},
        {"\"at-least\": \"share=1\"", "expected a choice, as in share:yes"},
        {"\"at-least\": \"share:maybe=1\"", "neither file has the choice 'maybe'"},
        {"\"at-least\": \"accuracy:yes=1\"", "expected no choice"}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        Result *result;
        char more[96];
        snprintf(more, sizeof more, ", %s", wrong[i].limit);
        limn_status status = compare(&result, more);
        if (status != LIMN_USAGE || strstr(error_message(), wrong[i].part) == NULL) {
            fail_msg("%s: %d %s", wrong[i].limit, (int)status, error_message());
        }
    }
}

static void without_labels_what_changed_is_said(void **state) {
    Result *result;
    write_hundred(false);
    must(compare(&result, ", \"top\": 3"));
    assert_non_null(strstr(result->headline.bytes, "20 of 100 decisions changed (20.0%, 95% interval 13.3% to 28.9%)"));
    const TableBlock *table = result_find_block(result, "difference")->content;
    assert_int_equal(row_of(table, "accuracy", "all"), -1);
    assert_int_equal(row_of(table, "log-loss", "all"), -1);
    assert_true(row_of(table, "share of 'yes'", "y") >= 0);
    const TableBlock *changed = result_find_block(result, "changed")->content;
    assert_int_equal(changed->n_rows, 3);
    const Block *block = result_find_block(result, "changed");
    assert_non_null(strstr(block->note.bytes, "3 of 20"));
    result_free(result);
    assert_int_equal(compare(&result, ", \"at-least\": \"accuracy=0\""), LIMN_USAGE);
    assert_non_null(strstr(error_message(), "accuracy needs labels, which neither file has"));
}

static void assert_warned(const Result *result, const char *part) {
    for (int32_t i = 0; i < result->n_warnings; i++) {
        if (strstr(result->warnings[i].bytes, part) != NULL) {
            return;
        }
    }
    fail_msg("no warning says '%s'", part);
}

static void what_has_no_pair_is_said(void **state) {
    Result *result;
    write_files("{\"id\": \"1\", \"pred\": \"a\", \"label\": \"a\", \"hash\": \"1\"}\n"
                "{\"id\": \"2\", \"pred\": \"b\", \"label\": \"a\"}\n"
                "{\"id\": \"3\", \"line\": 3, \"error\": \"too long\"}\n"
                "{\"id\": \"4\", \"pred\": \"b\"}\n"
                "{\"record\": 5, \"pred\": \"b\"}\n",
                "{\"id\": \"6\", \"pred\": \"a\"}\n"
                "{\"id\": \"2\", \"pred\": \"b\"}\n"
                "{\"id\": \"3\", \"pred\": \"b\"}\n"
                "{\"id\": 5, \"pred\": \"a\"}\n"
                "{\"id\": \"1\", \"pred\": \"c\", \"hash\": \"2\"}\n");
    must(compare(&result, ""));
    near("n", number(result, "changed", "all", N), 3, 0); /* 1, 2 and 5 */
    near("n", number(result, "accuracy", "all", N), 2, 0);
    assert_warned(result, "1 records stand in limn-compare");
    assert_warned(result, "-b.jsonl alone");
    assert_warned(result, "1 records of limn-compare");
    assert_warned(result, "1 of 3 records with the same id are not the same bytes");
    assert_warned(result, "1 of 3 records have no label");
    result_free(result);
}

static void what_cannot_be_compared(void **state) {
    static const struct {
        const char *a, *b, *part;
        limn_status status;
    } cases[] = {
        {"{\"id\": \"1\", \"pred\": \"a\"}\n", "{\"id\": \"2\", \"pred\": \"a\"}\n", "have no decided record in common",
         LIMN_USAGE},
        {"", "{\"id\": \"2\", \"pred\": \"a\"}\n", "have no decided record in common", LIMN_USAGE},
        {"{\"id\": \"1\", \"pred\": \"a\"}\n\n{\"id\": \"1\", \"pred\": \"a\"}\n", "{\"id\": \"1\", \"pred\": \"a\"}\n",
         "line 3: the id '1' stands in line 1 already", LIMN_USAGE},
        {"{\"id\": \"1\", \"pred\": \"a\"}\n", "{\"id\": \"1\", \"pred\": \"a\"}\n{\"id\": 1, \"pred\": \"b\"}\n",
         "line 2: the id '1' stands in line 1 already", LIMN_USAGE},
        {"{\"id\": \"1\", \"pred\": \"a\", \"label\": \"a\"}\n",
         "\n{\"id\": \"1\", \"pred\": \"a\", \"label\": \"b\"}\n", "line 2: the label of '1' is 'b', in line 1 of",
         LIMN_USAGE},
        {"{\"id\": \"1\"}\n", "", "line 1: is no decision: it has no 'pred'", LIMN_FORMAT},
        {"{\"pred\": \"1\"}\n", "", "line 1: is no decision: it has neither 'id' nor 'record'", LIMN_FORMAT},
        {"{\"id\": \"1\", \"pred\": \"a\", \"probabilities\": [1]}\n", "", "is no object of numbers", LIMN_FORMAT},
        {"{\"id\": \"1\", \"pred\": \"a\", \"probabilities\": {\"a\": 2}}\n", "", "numbers from 0 to 1", LIMN_FORMAT},
        {"{\"id\": \"1\", \"pred\"\n", "", "line 1, column", LIMN_FORMAT},
    };
    Result *result;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_files(cases[i].a, cases[i].b);
        limn_status status = compare(&result, "");
        if (status != cases[i].status || strstr(error_message(), cases[i].part) == NULL) {
            fail_msg("case %zu: %d %s", i, (int)status, error_message());
        }
    }
    unlink(paths[0]);
    assert_int_equal(compare(&result, ""), LIMN_NOT_FOUND);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hundred_pairs),           cmocka_unit_test(the_other_way_round_turns_every_sign),
        cmocka_unit_test(limits_are_on_differences), cmocka_unit_test(without_labels_what_changed_is_said),
        cmocka_unit_test(what_has_no_pair_is_said),  cmocka_unit_test(what_cannot_be_compared),
    };
    return cmocka_run_group_tests_name("compare decisions", tests, set_up, tear_down);
}
