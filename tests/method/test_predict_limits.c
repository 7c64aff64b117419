/* `predict`: limits on measures, shares and gaps between groups, on records whose labels are made from the decisions,
 * so that every figure is known. */
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
#include "files/json.h"
#include "method/calls.h"
#include "statistics/proportions.h"

#include <cmocka.h> /* last: it has a macro named fail */

enum { RECORDS = 120, GROUPS = 3 };

typedef struct Fixture {
    char letters[64];
    char data[64];
    char plain[64]; /* the same without groups' records labelled wrongly: none */
    bool chose_f[RECORDS];
    int group[RECORDS]; /* 0, 1, and 2 of few */
    bool labelled_f[RECORDS];
} Fixture;

static void must(limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

/* Prompts of few letters; what the model chooses decides the labels. */
static void write_prompts(TextBuffer *out) {
    for (int i = 0; i < RECORDS; i++) {
        text_buffer_printf(out, "{\"text\": \"%c%c%c\"}\n", 'a' + i % 26, 'e' + i * 7 % 20, 'd' + i / 3 % 9);
    }
}

static int set_up(void **state) {
    static Fixture fixture;
    make_letters_model(fixture.letters);
    snprintf(fixture.data, sizeof fixture.data, "/tmp/limn-limits-%d.jsonl", (int)getpid());
    snprintf(fixture.plain, sizeof fixture.plain, "/tmp/limn-limits-%d-out.jsonl", (int)getpid());
    TextBuffer text = TEXT_BUFFER_INIT;
    write_prompts(&text);
    must(file_write_atomic(fixture.data, text.data, text.length));
    Result *result;
    unlink(fixture.plain);
    must(call_method(&result, "predict",
                     "{\"model\": \"%s\", \"data\": \"%s\", \"prompt-field\": \"text\", \"choices\": \"g,f\", "
                     "\"decisions\": \"%s\"}",
                     fixture.letters, fixture.data, fixture.plain));
    result_free(result);
    FILE *lines = fopen(fixture.plain, "r");
    assert_non_null(lines);
    text_buffer_clear(&text);
    for (int i = 0; i < RECORDS; i++) {
        json_t *line = json_loadf(lines, JSON_DISABLE_EOF_CHECK, NULL);
        assert_non_null(line);
        const char *chosen = json_string_value(json_object_get(line, "pred"));
        fixture.chose_f[i] = strcmp(chosen, "f") == 0;
        fixture.group[i] = i >= 110 ? 2 : i % 5 < 2;
        bool wrong = i % 6 == 0; /* 20 of 120 */
        fixture.labelled_f[i] = fixture.chose_f[i] != wrong;
        text_buffer_printf(&text, "{\"text\": \"%s\", \"label\": \"%s\", \"lang\": \"%c\"}\n",
                           json_string_value(json_object_get(line, "prompt")), fixture.labelled_f[i] ? "f" : "g",
                           'x' + fixture.group[i]);
        json_decref(line);
    }
    fclose(lines);
    must(file_write_atomic(fixture.data, text.data, text.length));
    text_buffer_free(&text);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state) {
    const Fixture *fixture = *state;
    remove_letters_model(fixture->letters);
    unlink(fixture->data);
    unlink(fixture->plain);
    return 0;
}

static limn_status predict(Result **result, const Fixture *fixture, const char *more) {
    return call_method(result, "predict",
                       "{\"model\": \"%s\", \"data\": \"%s\", \"prompt-field\": \"text\", \"choices\": \"g,f\", "
                       "\"label-field\": \"label\", \"group-field\": \"lang\"%s}",
                       fixture->letters, fixture->data, more);
}

static const ResultCheck *check_of(const Result *result, const char *name) {
    for (int32_t i = 0; i < result->n_checks; i++) {
        if (strcmp(result->checks[i].name.bytes, name) == 0) {
            return &result->checks[i];
        }
    }
    fail_msg("there is no check '%s'", name);
    return NULL;
}

/* 100 of 120 right: Wilson's interval is 0.7565 to 0.8894. */
static void limits_are_judged_by_the_interval(void **state) {
    const Fixture *fixture = *state;
    static const struct {
        const char *option, *limit;
        CheckState state;
    } cases[] = {{"at-least", "0.75", CHECK_PASS},        {"at-least", "0.76", CHECK_INCONCLUSIVE},
                 {"at-least", "88%", CHECK_INCONCLUSIVE}, {"at-least", "0.89", CHECK_FAIL},
                 {"at-most", "0.89", CHECK_PASS},         {"at-most", "0.88", CHECK_INCONCLUSIVE},
                 {"at-most", "0.76", CHECK_INCONCLUSIVE}, {"at-most", "75%", CHECK_FAIL}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Result *result;
        char more[96];
        snprintf(more, sizeof more, ", \"%s\": \"accuracy=%s\"", cases[i].option, cases[i].limit);
        must(predict(&result, fixture, more));
        const ResultCheck *check = check_of(result, "accuracy");
        assert_true(fabs(check->value - 100.0 / 120) < 1e-12);
        if (check->state != cases[i].state) {
            fail_msg("%s: %s", more, check_state_name(check->state));
        }
        assert_non_null(strstr(check->meaning.bytes, "0.7565 to 0.8894"));
        assert_non_null(strstr(check->meaning.bytes, "over 120 labelled records"));
        assert_int_equal(result_verdict(result), cases[i].state);
        result_free(result);
    }
}

/* Every measure, all records and by group, has the value that its table has. */
static void every_measure_can_be_limited(void **state) {
    const Fixture *fixture = *state;
    static const char *const measures[] = {"accuracy", "precision:f", "recall:f", "fpr:f",    "f1:g",
                                           "macro-f1", "ece",         "brier",    "log-loss", "share:g"};
    static const char *const gaps[] = {"share-gap:f", "impact-ratio:f", "tpr-gap:f",
                                       "fpr-gap:f",   "odds-gap:f",     "accuracy-gap"};
    TextBuffer more = TEXT_BUFFER_INIT;
    text_buffer_add(&more, ", \"at-least\": [");
    for (size_t i = 0; i < sizeof measures / sizeof measures[0]; i++) {
        text_buffer_printf(&more, "%s\"%s=-100\", \"%s@*=-100\"", i > 0 ? ", " : "", measures[i], measures[i]);
    }
    for (size_t i = 0; i < sizeof gaps / sizeof gaps[0]; i++) {
        text_buffer_printf(&more, ", \"%s=-100\"", gaps[i]);
    }
    text_buffer_add(&more, "], \"at-most\": \"accuracy@y=-100\"");
    Result *result;
    must(predict(&result, fixture, more.data));
    text_buffer_free(&more);
    for (size_t i = 0; i < sizeof measures / sizeof measures[0]; i++) {
        assert_int_equal(check_of(result, measures[i])->state, CHECK_PASS);
        for (int g = 0; g < GROUPS; g++) {
            char name[64];
            snprintf(name, sizeof name, "%s@%c", measures[i], 'x' + g);
            const ResultCheck *check = check_of(result, name);
            if (check->state != CHECK_PASS) {
                fail_msg("%s: %s, %s", name, check_state_name(check->state), check->meaning.bytes);
            }
        }
    }
    for (size_t i = 0; i < sizeof gaps / sizeof gaps[0]; i++) {
        check_of(result, gaps[i]);
    }
    assert_int_equal(result_verdict(result), CHECK_FAIL); /* the last one */
    const TableBlock *table = result_find_block(result, "measures")->content;
    static const struct {
        const char *check;
        int row;
    } rows[] = {{"accuracy", 0}, {"macro-f1", 2}, {"ece", 3}, {"brier", 4}, {"log-loss", 5}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_true(check_of(result, rows[i].check)->value == table_cell(table, rows[i].row, 1)->number);
    }
    result_free(result);
}

/* ---- groups ---- */

static Share count(const Fixture *fixture, int group, int what, bool f) {
    Share share = {0, 0};
    for (int i = 0; i < RECORDS; i++) {
        bool label = fixture->labelled_f[i] == f, chosen = fixture->chose_f[i] == f;
        bool counts = fixture->group[i] == group && (what == 0 || (what == 1) == label);
        share.n += counts;
        share.count += counts && chosen;
    }
    return share;
}

static void assert_interval(const TableBlock *table, int32_t row, int32_t column, Interval expected) {
    const double found[] = {table_cell(table, row, column)->number, table_cell(table, row, column + 1)->number,
                            table_cell(table, row, column + 2)->number};
    const double wanted[] = {expected.value, expected.low, expected.high};
    for (int i = 0; i < 3; i++) {
        bool none = table_cell(table, row, column + i)->kind == VALUE_NULL;
        if (none ? !isnan(wanted[i]) : !(fabs(found[i] - wanted[i]) < 1e-12)) {
            fail_msg("row %d, column %d: %.12g, expected %.12g", (int)row, (int)column + i, found[i], wanted[i]);
        }
    }
}

static void shares_and_rates_are_those_of_every_choice(void **state) {
    const Fixture *fixture = *state;
    Result *result;
    must(predict(&result, fixture, ""));
    const TableBlock *shares = result_find_block(result, "group-shares")->content;
    const TableBlock *rates = result_find_block(result, "group-rates")->content;
    assert_int_equal(shares->n_rows, 2 * GROUPS);
    assert_int_equal(rates->n_rows, 2 * GROUPS);
    for (int row = 0; row < 2 * GROUPS; row++) {
        bool f = row >= GROUPS; /* the choices are g, f */
        assert_string_equal(table_cell(shares, row, 0)->text.bytes, f ? "f" : "g");
        int group = table_cell(shares, row, 1)->text.bytes[0] - 'x';
        Share share = count(fixture, group, 0, f);
        assert_int_equal(table_cell(shares, row, 2)->integer, share.count);
        assert_int_equal(table_cell(shares, row, 3)->integer, share.n);
        assert_interval(shares, row, 4, wilson_interval(share.count, share.n));
        Share hit = count(fixture, group, 1, f), miss = count(fixture, group, 2, f);
        assert_int_equal(table_cell(rates, row, 2)->integer, hit.n);
        assert_interval(rates, row, 3, wilson_interval(hit.count, hit.n));
        assert_int_equal(table_cell(rates, row, 6)->integer, miss.n);
        assert_interval(rates, row, 7, wilson_interval(miss.count, miss.n));
    }
    result_free(result);
}

static void gaps_are_those_of_the_groups(void **state) {
    const Fixture *fixture = *state;
    Result *result;
    must(predict(&result, fixture, ", \"at-most\": [\"share-gap:f=1\", \"tpr-gap:f=0.000001\"]"));
    const TableBlock *table = result_find_block(result, "gaps")->content;
    assert_int_equal(table->n_rows, 11);
    for (int32_t row = 0; row < table->n_rows; row++) {
        const char *name = table_cell(table, row, 0)->text.bytes;
        bool f = table_cell(table, row, 1)->kind == VALUE_TEXT && table_cell(table, row, 1)->text.bytes[0] == 'f';
        int what = strncmp(name, "TPR", 3) == 0 ? 1 : strncmp(name, "FPR", 3) == 0 ? 2 : 0;
        if (strncmp(name, "equal", 5) == 0 || strncmp(name, "accuracy", 8) == 0) {
            continue;
        }
        Share groups[GROUPS];
        for (int g = 0; g < GROUPS; g++) {
            groups[g] = count(fixture, g, what, f);
        }
        /* groups stand in the order they were met: the first record is of group y */
        Share met[GROUPS] = {groups[1], groups[0], groups[2]};
        Gap gap;
        must(strcmp(name, "impact ratio") == 0 ? gap_ratio(&gap, met, GROUPS, 0.95)
                                               : gap_difference(&gap, met, GROUPS, 0.95));
        assert_interval(table, row, 2, gap.interval);
        assert_true(fabs(table_cell(table, row, 5)->number - gap.p) < 1e-12);
    }
    /* the check says between which groups, in the language asked for */
    Result *chinese;
    assert_non_null(strstr(check_of(result, "share-gap:f")->meaning.bytes, "between "));
    assert_null(strstr(check_of(result, "share-gap:f")->meaning.bytes, "之间"));
    must(predict(&chinese, fixture, ", \"at-most\": [\"share-gap:f=1\"], \"language\": \"zh\""));
    assert_non_null(strstr(check_of(chinese, "share-gap:f")->meaning.bytes, " 之间"));
    assert_null(strstr(check_of(chinese, "share-gap:f")->meaning.bytes, "between"));
    result_free(chinese);
    assert_int_equal(check_of(result, "share-gap:f")->state, CHECK_PASS);
    assert_int_not_equal(check_of(result, "tpr-gap:f")->state, CHECK_PASS);
    bool warned = false;
    for (int32_t i = 0; i < result->n_warnings; i++) {
        warned = warned || strstr(result->warnings[i].bytes, "1 group has fewer than 30 records") != NULL;
    }
    assert_true(warned);
    result_free(result);
    /* without labels: shares and their gaps alone */
    must(call_method(&result, "predict",
                     "{\"model\": \"%s\", \"data\": \"%s\", \"prompt-field\": \"text\", \"choices\": \"g,f\", "
                     "\"group-field\": \"lang\", \"at-least\": \"impact-ratio:f=0\"}",
                     fixture->letters, fixture->data));
    table = result_find_block(result, "gaps")->content;
    assert_int_equal(table->n_rows, 4);
    assert_null(result_find_block(result, "group-rates"));
    assert_int_equal(check_of(result, "impact-ratio:f")->state, CHECK_PASS);
    result_free(result);
}

static void calibration_is_a_line(void **state) {
    const Fixture *fixture = *state;
    Result *result;
    must(predict(&result, fixture, ""));
    const SeriesBlock *series = result_find_block(result, "calibration")->content;
    const TableBlock *bins = result_find_block(result, "reliability")->content;
    assert_int_equal(series->n, bins->n_rows + 2);
    assert_int_equal(series->n_lines, 2);
    assert_true(series->x[0] == 0 && series->x[series->n - 1] == 1 && isnan(series->lines[0].y[0]));
    for (int32_t i = 0; i < bins->n_rows; i++) {
        assert_true(series->x[i + 1] == table_cell(bins, i, 3)->number);
        assert_true(series->lines[0].y[i + 1] == table_cell(bins, i, 4)->number);
        assert_true(series->lines[0].low[i + 1] == table_cell(bins, i, 5)->number);
        assert_true(series->lines[1].y[i + 1] == series->x[i + 1]);
    }
    result_free(result);
}

/* ---- what cannot be ---- */

static void limits_that_cannot_be(void **state) {
    const Fixture *fixture = *state;
    static const struct {
        const char *more, *part;
    } cases[] = {
        {", \"at-least\": \"accuracy\"", "option 'at-least': found 'accuracy', expected MEASURE=LIMIT"},
        {", \"at-most\": \"accuracy=much\"", "option 'at-most': found 'accuracy=much', expected MEASURE=LIMIT"},
        {", \"at-least\": \"=1\"", "expected MEASURE=LIMIT"},
        {", \"at-least\": \"acuracy=0.5\"",
         "there is no measure 'acuracy'; expected one of accuracy, precision:CHOICE"},
        {", \"at-least\": \"recall=0.5\"", "recall is of one choice, as in recall:g=0.5"},
        {", \"at-least\": \"recall:x=0.5\"", "there is no choice 'x'"},
        {", \"at-least\": \"accuracy:f=0.5\"", "accuracy is of all choices"},
        {", \"at-least\": \"share-gap:f@x=0.5\"", "share-gap:f@x is between groups, not of one"},
    };
    Result *result;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        limn_status status = predict(&result, fixture, cases[i].more);
        if (status != LIMN_USAGE || strstr(error_message(), cases[i].part) == NULL) {
            fail_msg("%s: %d %s", cases[i].more, (int)status, error_message());
        }
    }
    const char *form = "{\"model\": \"%s\", \"data\": \"%s\", \"prompt-field\": \"text\", \"choices\": \"g,f\", "
                       "\"at-least\": \"%s\"}";
    assert_int_equal(call_method(&result, "predict", form, fixture->letters, fixture->data, "accuracy=1"), LIMN_USAGE);
    assert_non_null(strstr(error_message(), "accuracy needs the right answers: --label-field"));
    assert_int_equal(call_method(&result, "predict", form, fixture->letters, fixture->data, "share:f@x=1"), LIMN_USAGE);
    assert_non_null(strstr(error_message(), "share:f@x needs groups: --group-field"));
    /* a group that no record has: known only afterwards, and no success */
    must(predict(&result, fixture, ", \"at-least\": \"accuracy@nobody=0\""));
    assert_int_equal(check_of(result, "accuracy@nobody")->state, CHECK_FAIL);
    assert_non_null(strstr(check_of(result, "accuracy@nobody")->meaning.bytes, "no record has this group"));
    result_free(result);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_are_judged_by_the_interval),
        cmocka_unit_test(every_measure_can_be_limited),
        cmocka_unit_test(shares_and_rates_are_those_of_every_choice),
        cmocka_unit_test(gaps_are_those_of_the_groups),
        cmocka_unit_test(calibration_is_a_line),
        cmocka_unit_test(limits_that_cannot_be),
    };
    return cmocka_run_group_tests_name("predict with limits", tests, set_up, tear_down);
}
