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
#include <unistd.h>

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

/* ---- figures, where each word has one other: what is asked is known ---- */

enum { FREE = 5 /* words, every second one of WORDS */ };
static const char *const parts[FREE] = {"a", "cab", "de", "fg", "h"};

/* The prompt with the words of `out` exchanged for the one of the file. */
static void write_prompt(char prompt[64], unsigned out) {
    prompt[0] = '\0';
    for (int w = 0; w < FREE; w++) {
        sprintf(prompt + strlen(prompt), "%s%s", w > 0 ? " " : "", (out >> w & 1) != 0 ? "zz" : parts[w]);
    }
}

/* Of the target "d" behind it: its probability, and its lead over all others. */
static void answer_to(unsigned out, double *probability, double *lead) {
    Result *result;
    char prompt[64];
    write_prompt(prompt, out);
    assert_int_equal(
        call_method(&result, "run", "{\"model\": \"%s\", \"prompt\": \"%s\", \"target\": \"d\"}", folder, prompt),
        LIMN_OK);
    *probability = exp(result->target.log_probability);
    *lead = result->target.log_probability - log1p(-*probability);
    result_free(result);
}

static void scores_of(double scores[WORDS], const char *method, unsigned out) {
    Result *result;
    char prompt[64];
    write_prompt(prompt, out);
    assert_int_equal(call_method(&result, method,
                                 "{\"model\": \"%s\", \"prompt\": \"%s\", \"target\": \"d\", \"check\": \"none\"}",
                                 folder, prompt),
                     LIMN_OK);
    const TokenGrouping *words = tokens_grouping(result_find_block(result, "attribution")->content, "word");
    assert_int_equal(words->n, WORDS);
    for (int w = 0; w < WORDS; w++) {
        scores[w] = words->groups[w].score;
    }
    result_free(result);
}

/* Sets of the words with the highest scores (or of all others): as many as share of them. */
static unsigned highest(const double scores[WORDS], double share, bool others) {
    int n = (int)fmax(1.0, floor(share * FREE + 0.5));
    unsigned set = 0;
    for (int k = 0; k < n; k++) {
        int best = -1;
        for (int w = 0; w < FREE; w++) {
            best = (set >> w & 1) == 0 && (best < 0 || scores[2 * w] > scores[2 * best]) ? w : best;
        }
        set |= 1u << best;
    }
    return others ? ~set & ((1u << FREE) - 1) : set;
}

static double ranked(const double *a, const double *b) {
    double ra[FREE] = {0}, rb[FREE] = {0}, square = 0.0;
    for (int i = 0; i < FREE; i++) {
        for (int k = 0; k < FREE; k++) {
            ra[i] += a[k] < a[i];
            rb[i] += b[k] < b[i];
        }
        square += (ra[i] - rb[i]) * (ra[i] - rb[i]);
    }
    return 1.0 - 6.0 * square / (FREE * (FREE * FREE - 1.0)); /* no two are alike */
}

static void near(double found, double expected, double tolerance, const char *what) {
    if (!(fabs(found - expected) <= tolerance)) {
        fail_msg("%s: found %.9g, expected %.9g", what, found, expected);
    }
}

static void check_method(const Result *result, const char *name, const double probability[1 << FREE],
                         const double lead[1 << FREE]) {
    static const double shares[] = {0.1, 0.2, 0.3, 0.5, 0.75};
    double scores[WORDS], own[FREE], effects[FREE], sizes[2][FREE], fell = 0.0, missing = 0.0, cause = 0.0, most = 0.0;
    const TableBlock *table = table_of(result, "methods");
    int32_t row = row_of(table, name), line = -1;
    scores_of(scores, name, 0);
    int named = -1, idle[2] = {-1, -1};
    for (int w = 0; w < FREE; w++) {
        own[w] = scores[2 * w];
        effects[w] = lead[0] - lead[1u << w];
        sizes[0][w] = fabs(own[w]);
        sizes[1][w] = fabs(effects[w]);
        named = own[w] > 0.0 && (named < 0 || own[w] > own[named]) ? w : named;
        most = fmax(most, effects[w]);
    }
    cause = named < 0 ? 0.0 : fmax(0.0, effects[named]) / most;
    near(number_at(table, row, 1), ranked(own, effects), 1e-9, "rank correlation");
    near(number_at(table, row, 2), ranked(sizes[0], sizes[1]), 1e-9, "rank correlation of sizes");
    near(number_at(table, row, 3), cause, 1e-3, "effect of the word named first");
    const SeriesBlock *deletion = result_find_block(result, "deletion")->content,
                      *insertion = result_find_block(result, "insertion")->content;
    for (int32_t l = 0; l < deletion->n_lines; l++) {
        line = strcmp(deletion->lines[l].name.bytes, name) == 0 ? l : line;
    }
    assert_true(line >= 0);
    near(deletion->lines[line].y[0], probability[0], 1e-6, "with nothing exchanged");
    near(deletion->lines[line].y[6], probability[(1 << FREE) - 1], 1e-6, "with everything exchanged");
    near(insertion->lines[line].y[6], probability[0], 1e-6, "with everything kept");
    near(insertion->lines[line].y[0], probability[(1 << FREE) - 1], 1e-6, "with nothing kept");
    for (int p = 0; p < 5; p++) {
        double without = probability[highest(scores, shares[p], false)],
               alone = probability[highest(scores, shares[p], true)];
        assert_true(deletion->x[p + 1] == shares[p] && insertion->x[p + 1] == shares[p]);
        near(deletion->lines[line].y[p + 1], without, 1e-6, "without the highest");
        near(insertion->lines[line].y[p + 1], alone, 1e-6, "with the highest alone");
        fell += (probability[0] - without) / 5;
        missing += (probability[0] - alone) / 5;
    }
    near(number_at(table, row, 4), fell, 1e-6, "comprehensiveness");
    near(number_at(table, row, 5), missing, 1e-6, "sufficiency");
    double both = 0.0, square = 0.0, actual = 0.0, off = 0.0; /* over all sets, which random ones come near */
    for (int pass = 0; pass < 2; pass++) {
        for (unsigned out = 0; out < 1u << FREE; out++) {
            double said = 0.0, is = lead[0] - lead[out];
            for (int w = 0; w < FREE; w++) {
                said += (out >> w & 1) != 0 ? own[w] : 0.0;
            }
            if (pass == 0) {
                both += said * is;
                square += said * said;
                actual += is * is;
            } else {
                off += (both / square * said - is) * (both / square * said - is);
            }
        }
    }
    near(number_at(table, row, 6), off / actual, 0.05, "infidelity");
    double worst = 0.0;
    for (int k = 0; k < 2; k++) { /* the two words whose exchange moved the lead least */
        for (int w = 0; w < FREE; w++) {
            bool free = k == 0 || w != idle[0];
            idle[k] = free && (idle[k] < 0 || sizes[1][w] < sizes[1][idle[k]]) ? w : idle[k];
        }
        double version[WORDS], apart = 0.0, size = 0.0;
        scores_of(version, name, 1u << idle[k]);
        for (int w = 0; w < WORDS; w++) {
            if (w != 2 * idle[k]) {
                apart += (version[w] - scores[w]) * (version[w] - scores[w]);
                size += scores[w] * scores[w];
            }
        }
        worst = fmax(worst, sqrt(apart / size));
    }
    near(number_at(table, row, 7), worst, 1e-4, "sensitivity");
}

static void figures_are_what_they_say(void **state) {
    double probability[1 << FREE], lead[1 << FREE];
    char path[128], options[512];
    snprintf(path, sizeof path, "%s/one.txt", folder);
    assert_int_equal(file_write_atomic(path, "zz\n", 3), LIMN_OK);
    for (unsigned out = 0; out < 1u << FREE; out++) {
        answer_to(out, &probability[out], &lead[out]);
    }
    snprintf(options, sizeof options,
             "%s[\"grad,lrp\"], \"replacements\": \"%s\", \"sets\": 2000, \"versions\": 2, \"seeds\": 1", one_prompt,
             path);
    Result *result = compare(options);
    check_method(result, "grad", probability, lead);
    check_method(result, "lrp", probability, lead);
    result_free(result);
    unlink(path);
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_method_agrees_with_itself),         cmocka_unit_test(what_draws_moves_with_its_seed),
        cmocka_unit_test(seeds_are_held_against_the_largest),  cmocka_unit_test(figures_are_what_they_say),
        cmocka_unit_test(all_are_compared_when_none_is_named), cmocka_unit_test(records_and_rationales_count),
        cmocka_unit_test(lists_of_texts_are_rationales),       cmocka_unit_test(mistakes_are_named)};
    return cmocka_run_group_tests_name("compare methods", tests, make_folder, remove_folder);
}
