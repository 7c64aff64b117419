/* `compare methods` on a small model: a method agrees with itself, one that is replacement predicts it best; options,
 * data sets, rationales; what is refused. */
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "call/call.h"
#include "method/calls.h"

#include <cmocka.h> /* last: it has a macro named fail */

static char folder[64];

static int make_folder(void **state) {
    make_letters_model(folder);
    return 0;
}

static int remove_folder(void **state) {
    remove_letters_model(folder);
    return 0;
}

static Result *compare(const char *options) {
    Result *result;
    if (call_method(&result, "compare methods", "{\"model\": \"%s\"%s}", folder, options) != LIMN_OK) {
        fail_msg("%s: %s", options, error_message());
    }
    return result;
}

static const TableBlock *table_of(const Result *result, const char *id) {
    const Block *block = result_find_block(result, id);
    assert_non_null(block);
    return block->content;
}

static double number_at(const TableBlock *table, int32_t row, int32_t column) {
    const Value *value = table_cell(table, row, column);
    return value->kind == VALUE_INTEGER ? (double)value->integer : value->kind == VALUE_NUMBER ? value->number : NAN;
}

static int32_t row_of(const TableBlock *table, const char *name) {
    for (int32_t i = 0; i < table->n_rows; i++) {
        if (strcmp(table_cell(table, i, 0)->text.bytes, name) == 0) {
            return i;
        }
    }
    fail_msg("there is no row '%s'", name);
    return -1;
}

static const char one_prompt[] = ", \"prompt\": \"a cab de fg h\", \"target\": \"d\", \"methods\": ";

static void a_method_agrees_with_itself(void **state) {
    char options[256];
    snprintf(options, sizeof options, "%s[\"grad,grad:by=token,lrp\"], \"sets\": 8", one_prompt);
    Result *result = compare(options);
    const TableBlock *pairs = table_of(result, "agreement"), *methods = table_of(result, "methods");
    assert_int_equal(methods->n_rows, 3);
    assert_int_equal(pairs->n_rows, 3);
    int same = 0;
    for (int32_t i = 0; i < pairs->n_rows; i++) {
        const char *first = table_cell(pairs, i, 0)->text.bytes, *second = table_cell(pairs, i, 1)->text.bytes;
        if (strncmp(first, "grad", 4) == 0 && strncmp(second, "grad", 4) == 0) {
            assert_true(fabs(number_at(pairs, i, 2) - 1.0) < 1e-9 && fabs(number_at(pairs, i, 3) - 1.0) < 1e-9);
            same++;
        }
    }
    assert_int_equal(same, 1);
    for (int32_t c = 1; c < 8; c++) { /* the same scores: the same figures */
        double a = number_at(methods, row_of(methods, "grad"), c),
               b = number_at(methods, row_of(methods, "grad:by=token"), c);
        assert_true(a == b || (isnan(a) && isnan(b)));
    }
    assert_true(number_at(methods, row_of(methods, "grad"), 8) == 0.0); /* draws nothing */
    result_free(result);
}

static void what_draws_moves_with_its_seed(void **state) {
    char options[256];
    snprintf(options, sizeof options, "%s[\"shap:samples=12\", \"shap:samples=600\"], \"sets\": 8", one_prompt);
    Result *result = compare(options);
    const TableBlock *methods = table_of(result, "methods");
    double few = number_at(methods, row_of(methods, "shap:samples=12"), 8),
           many = number_at(methods, row_of(methods, "shap:samples=600"), 8);
    assert_true(few > 0.0 && many < few);
    result_free(result);
}

enum { SEEDS = 3, WORDS = 9 /* the spaces are words here */ };

/* What shap itself says of the words of a prompt, with a seed after another. */
static void scores_of_seeds(double scores[SEEDS][WORDS], const char *const row[2]) {
    for (int s = 0; s < SEEDS; s++) {
        Result *result;
        assert_int_equal(call_method(&result, "shap",
                                     "{\"model\": \"%s\", \"prompt\": \"%s\", \"target\": \"%s\", \"samples\": 12, "
                                     "\"repeats\": 1, \"check\": \"none\", \"seed\": %d}",
                                     folder, row[0], row[1], 1 + 1000 * s),
                         LIMN_OK);
        const TokensBlock *strip = result_find_block(result, "attribution")->content;
        const TokenGrouping *words = tokens_grouping(strip, "word");
        assert_int_equal(words->n, WORDS);
        for (int w = 0; w < WORDS; w++) {
            scores[s][w] = words->groups[w].score;
        }
        result_free(result);
    }
}

/* "deviation" and "flips" are those of the method's own scores, wherever the largest stands. */
static void seeds_are_held_against_the_largest(void **state) {
    static const char *const rows[][2] = {{"abcdef cab d e f", "f"}, {"h fg cab de a", "d"}}; /* prompt, answer */
    bool first = false, last = false;
    for (int p = 0; p < 2; p++) {
        double scores[SEEDS][WORDS], mean[WORDS], deviation = 0.0, large = 0.0, flipped = 0.0;
        scores_of_seeds(scores, rows[p]);
        int most = 0;
        for (int w = 0; w < WORDS; w++) {
            mean[w] = (scores[0][w] + scores[1][w] + scores[2][w]) / SEEDS;
            most = fabs(mean[w]) > fabs(mean[most]) ? w : most;
        }
        first = first || most == 0;
        last = last || most == WORDS - 1;
        for (int w = 0; w < WORDS; w++) {
            double square = 0.0, least = INFINITY, greatest = -INFINITY;
            for (int s = 0; s < SEEDS; s++) {
                square += (scores[s][w] - mean[w]) * (scores[s][w] - mean[w]);
                least = fmin(least, scores[s][w]);
                greatest = fmax(greatest, scores[s][w]);
            }
            deviation += sqrt(square / (SEEDS - 1)) / WORDS / fabs(mean[most]);
            if (fabs(mean[w]) >= 0.1 * fabs(mean[most])) {
                large += 1.0;
                flipped += least < 0.0 && greatest > 0.0 ? 1.0 : 0.0;
            }
        }
        char options[256];
        snprintf(options, sizeof options,
                 ", \"prompt\": \"%s\", \"target\": \"%s\", \"methods\": [\"shap:samples=12,grad\"], \"sets\": 0, "
                 "\"versions\": 0, \"seed\": 1",
                 rows[p][0], rows[p][1]);
        Result *result = compare(options);
        const TableBlock *methods = table_of(result, "methods");
        int32_t row = row_of(methods, "shap:samples=12");
        assert_true(fabs(number_at(methods, row, 8) - deviation) < 1e-9);
        assert_true(fabs(number_at(methods, row, 9) - flipped / large) < 1e-9);
        result_free(result);
    }
    assert_true(first && last);
}

static void all_are_compared_when_none_is_named(void **state) {
    Result *result = compare(", \"prompt\": \"a cab de fg h\", \"target\": \"d\", \"sets\": 4, \"seeds\": 1");
    const TableBlock *methods = table_of(result, "methods");
    row_of(methods, "ig");
    row_of(methods, "shap");
    row_of(methods, "rollout");
    const SeriesBlock *deletion = result_find_block(result, "deletion")->content;
    assert_int_equal(deletion->n_lines, methods->n_rows + 1);
    const double *first = deletion->lines[0].y;
    for (int32_t l = 1; l < deletion->n_lines; l++) { /* all begin with the prompt and end with everything exchanged */
        assert_true(first[0] == deletion->lines[l].y[0]);
        assert_true(first[deletion->n - 1] == deletion->lines[l].y[deletion->n - 1]);
    }
    result_free(result);
}

static void records_and_rationales_count(void **state) {
    static const char data[] = "{\"q\": \"a cab de fg h\", \"a\": \"d\", \"why\": \"CAB de\"}\n"
                               "{\"q\": \"b jk lm no\", \"a\": \"e\", \"why\": \"jk\"}\n"
                               "{\"q\": \"x jk lm no\", \"a\": \"e\", \"why\": \"absent\"}\n";
    char path[128], options[512];
    snprintf(path, sizeof path, "%s/data.jsonl", folder);
    assert_int_equal(file_write_atomic(path, data, strlen(data)), LIMN_OK);
    snprintf(options, sizeof options,
             ", \"data\": \"%s\", \"prompt-field\": \"q\", \"target-field\": \"a\", \"rationale-field\": \"why\", "
             "\"methods\": [\"grad,lrp\"], \"sets\": 4",
             path);
    Result *result = compare(options);
    const TableBlock *methods = table_of(result, "methods"), *pairs = table_of(result, "agreement");
    assert_int_equal(methods->n_columns, 13);
    assert_true(number_at(methods, 0, 12) > 0.0 && number_at(methods, 0, 12) <= 1.0);
    assert_true(number_at(pairs, 0, 5) == 3.0);
    assert_non_null(strstr(result->warnings[0].bytes, "1 records"));
    assert_null(result_find_block(result, "scores"));
    result_free(result);
}

/* A list marks each of its texts; "lm" is the second word that begins with l, and stands once. */
static void lists_of_texts_are_rationales(void **state) {
    static const char data[] = "{\"q\": \"a cab de fg h\", \"a\": \"d\", \"why\": [\"cab\", \"h\"]}\n"
                               "{\"q\": \"b jk lm no\", \"a\": \"e\", \"why\": [\"lm\"]}\n"
                               "{\"q\": \"b jk lm no\", \"a\": \"e\", \"why\": [\"lm\", \"absent\"]}\n";
    char path[128], options[512];
    snprintf(path, sizeof path, "%s/lists.jsonl", folder);
    assert_int_equal(file_write_atomic(path, data, strlen(data)), LIMN_OK);
    for (int draws = 0; draws <= 1; draws++) {
        snprintf(options, sizeof options,
                 ", \"data\": \"%s\", \"prompt-field\": \"q\", \"target-field\": \"a\", \"rationale-field\": \"why\", "
                 "\"methods\": [\"grad,lrp\"], \"sets\": 0, \"versions\": 0, \"draws\": %d",
                 path, draws);
        Result *result = compare(options);
        const TableBlock *table = table_of(result, "rationale");
        assert_int_equal(table->n_rows, 3); /* and random order */
        assert_int_equal(table->n_columns, 8);
        for (int32_t row = 0; row < 3; row++) {
            assert_true(number_at(table, row, 7) == 2.0); /* records */
            for (int32_t column = 1; column <= 6; column += column == 1 ? 3 : 1) {
                double figure = number_at(table, row, column);
                assert_true(figure >= 0.0 && figure <= 1.0);
            }
        }
        assert_true((result_find_block(result, "deletion") == NULL) == (draws == 0));
        assert_non_null(strstr(result->warnings[0].bytes, "1 records"));
        result_free(result);
    }
}

static void refuse(const char *options, const char *said) {
    Result *result;
    limn_status status = call_method(&result, "compare methods", "{\"model\": \"%s\"%s}", folder, options);
    if (status != LIMN_USAGE || strstr(error_message(), said) == NULL) {
        fail_msg("%s: found '%s', expected one that says '%s'", options, error_message(), said);
    }
}

static void mistakes_are_named(void **state) {
    refuse(", \"prompt\": \"a cab\", \"methods\": [\"grad,grat\"]",
           "there is no method 'grat'; nearest that does: 'grad'");
    refuse(", \"prompt\": \"a cab\", \"methods\": [\"grad,patch\"]", "tokens get no scores by the method 'patch'");
    refuse(", \"prompt\": \"a cab\", \"methods\": [\"grad\"]", "expected at least two");
    refuse(", \"prompt\": \"a cab\", \"methods\": [\"grad,grad\"]", "'grad' twice");
    refuse(", \"prompt\": \"a cab\", \"methods\": [\"grad:kind\",\"ig\"]", "expected OPTION=VALUE");
    refuse(", \"prompt\": \"a cab\", \"methods\": [\"grad:knd=norm\",\"ig\"]", "knd");
    refuse(", \"methods\": [\"grad,ig\"]", "found no prompt");
    refuse(", \"prompt\": \"a cab\", \"target-field\": \"a\", \"methods\": [\"grad,ig\"]", "expected --data");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_method_agrees_with_itself),
                                       cmocka_unit_test(what_draws_moves_with_its_seed),
                                       cmocka_unit_test(seeds_are_held_against_the_largest),
                                       cmocka_unit_test(all_are_compared_when_none_is_named),
                                       cmocka_unit_test(records_and_rationales_count),
                                       cmocka_unit_test(lists_of_texts_are_rationales),
                                       cmocka_unit_test(mistakes_are_named)};
    return cmocka_run_group_tests_name("compare methods", tests, make_folder, remove_folder);
}
