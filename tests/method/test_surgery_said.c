/* `surgery`: what it says follows from what its tables hold. Headlines, Wilson's intervals, the chance of others of its
 * kind, verdicts, notes. */
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
#include "base/text_buffer.h"
#include "method/calls.h"
#include "method/references.h"

#include <cmocka.h> /* last: it has a macro named fail */

enum { RECORDS = 60 };

static char letters[64];

static const char *in_folder(const char *name) {
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", letters, name);
    return path;
}

static int set_up(void **state) {
    static const char *const words[] = {"a cab", "a bad bee", "big fig", "kept off", "the tip", "my job is on"};
    TextBuffer text = TEXT_BUFFER_INIT;
    open_models();
    make_letters_model(letters);
    for (int i = 0; i < RECORDS; i++) {
        text_buffer_printf(&text, "{\"text\": \"%s %c\", \"y\": \"%s\", \"f\": %s, \"h\": %d}\n", words[i % 6],
                           'a' + i % 26, i % 3 == 0 ? "e" : "t", i % 4 == 0 ? "true" : "false", i % 2);
    }
    assert_int_equal(file_write_atomic(in_folder("data.jsonl"), text.data, text.length), LIMN_OK);
    text_buffer_free(&text);
    return 0;
}

static int tear_down(void **state) {
    unlink(in_folder("data.jsonl"));
    unlink(in_folder("edit.json"));
    remove_letters_model(letters);
    close_models();
    return 0;
}

static Result *operated(const char *more) {
    char text[1024];
    snprintf(
        text, sizeof text,
        "'model': '%%', 'data': '%%/data.jsonl', 'prompt-field': 'text', 'label-field': 'y', 'choices': ['e,t'], %s",
        more);
    return call_json("surgery", json_of(letters, text));
}

static double cell(const TableBlock *table, int32_t row, int32_t column) {
    const Value *value = table_cell(table, row, column);
    return value->kind == VALUE_INTEGER ? (double)value->integer
           : value->kind == VALUE_NULL  ? (double)NAN
                                        : value->number;
}

/* 2 n, 3 before, 4 after, 5 difference, 6 low, 7 high, 8 p; of "intervals" 2 to 5. */
static double figure(const Result *result, const char *id, const char *scope, const char *measure, int column) {
    const TableBlock *table = table_of(result, id);
    for (int32_t row = 0; row < table->n_rows; row++) {
        if (strcmp(table_cell(table, row, 0)->text.bytes, scope) == 0 &&
            strcmp(table_cell(table, row, 1)->text.bytes, measure) == 0) {
            return cell(table, row, column);
        }
    }
    fail_msg("%s has no row %s, %s", id, scope, measure);
    return (double)NAN;
}

static const ResultCheck *check_of(const Result *result, const char *name) {
    for (int32_t i = 0; i < result->n_checks; i++) {
        if (strcmp(result->checks[i].name.bytes, name) == 0) {
            return &result->checks[i];
        }
    }
    return NULL;
}

static const struct {
    const char *option, *english, *chinese;
    bool rate;
} aims[] = {{"accuracy", "accuracy", "准确率", true},
            {"loss", "loss", "损失", false},
            {"false-alarms", "false alarms", "误报率", true},
            {"missed-alarms", "missed alarms", "漏报率", true}};

static void headlines_hold_the_figures(void **state) {
    for (int i = 0; i < 16; i++) {
        int aim = i / 4;
        bool focus = i % 2 == 1, chinese = i / 2 % 2 == 1;
        char more[256], said[512];
        snprintf(more, sizeof more, "'set': ['blocks.1.hook_mlp_out=zero'], 'aim': '%s', 'language': '%s'%s",
                 aims[aim].option, chinese ? "zh" : "en", focus ? ", 'focus': 'f == true'" : "");
        Result *result = operated(more);
        const char *scope = focus     ? chinese ? "重点" : "focus"
                            : chinese ? "全部"
                                      : "all",
                   *rest = focus ? chinese ? "其余" : "others" : scope,
                   *measure = chinese ? aims[aim].chinese : aims[aim].english,
                   *accuracy = chinese ? "准确率" : "accuracy", *percent = aims[aim].rate ? "%" : "";
        double unit = aims[aim].rate ? 100 : 1, f[8];
        for (int c = 3; c < 8; c++) {
            f[c] = unit * figure(result, "before-after", scope, measure, c);
        }
        const ResultCheck *controls = check_of(result, "controls");
        int others = table_of(result, "controls")->n_rows - 1;
        snprintf(said, sizeof said,
                 chinese ? "%s%s：之前 %.4g%s，之后 %.4g%s（%+.3g [%+.3g, %+.3g]）；准确率%s 之前 %.4g%%，之后 "
                           "%.4g%%；p = %.3g，同类共 %d 个"
                         : "%s%s: %.4g%s before, %.4g%s after (%+.3g [%+.3g, %+.3g]); accuracy%s %.4g%% before, %.4g%% "
                           "after; p = %.3g among %d others of its kind",
                 measure, focus ? chinese ? "（重点记录）" : " in focus" : "", f[3], percent, f[4], percent, f[5], f[6],
                 f[7], focus ? chinese ? "（其余记录）" : " on the others" : "",
                 100 * figure(result, "before-after", rest, accuracy, 3),
                 100 * figure(result, "before-after", rest, accuracy, 4), controls->value, others);
        assert_string_equal(result->headline.bytes, said);
        result_free(result);
    }
}

/* Rates stand between the ends of Wilson's interval; a loss in the middle of Student's. */
static void intervals_are_wilsons(void **state) {
    Result *result = operated("'set': ['blocks.0.hook_attn_out=zero'], 'no-controls': true, 'focus': 'f == true'");
    static const char *const scopes[] = {"all", "focus", "others"};
    const double z = 1.959963984540054;
    for (int s = 0; s < 3; s++) {
        for (int m = 0; m < 4; m++) {
            const char *measure = aims[m].english;
            double n = figure(result, "before-after", scopes[s], measure, 2);
            for (int which = 0; which < 2; which++) {
                double p = figure(result, "before-after", scopes[s], measure, 3 + which),
                       low = figure(result, "intervals", scopes[s], measure, 2 + 2 * which),
                       high = figure(result, "intervals", scopes[s], measure, 3 + 2 * which);
                if (aims[m].rate) {
                    double middle = (p + z * z / (2 * n)) / (1 + z * z / n),
                           half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
                    assert_true(fabs(low - fmax(0, middle - half)) < 1e-9 &&
                                fabs(high - fmin(1, middle + half)) < 1e-9);
                } else {
                    assert_true(fabs((low + high) / 2 - p) < 1e-9 && high > low);
                }
            }
        }
    }
    assert_true(figure(result, "before-after", "all", "false alarms", 2) == 40); /* of those labelled t */
    assert_true(figure(result, "before-after", "all", "missed alarms", 2) == 20);
    assert_true(figure(result, "before-after", "focus", "accuracy", 2) == 15);
    assert_true(result_find_block(result, "intervals")->detail);
    result_free(result);
}

/* Of two records Student's interval of the mean reaches 12.706 times half their distance. */
static void losses_have_students_interval(void **state) {
    static const char *const which[] = {", 'where': 'h == 0', 'limit': 1", ", 'where': 'h == 1', 'limit': 1",
                                        ", 'limit': 2"};
    double found[3][3];
    for (int i = 0; i < 3; i++) {
        char more[160];
        snprintf(more, sizeof more, "'set': ['blocks.0.hook_mlp_out=zero'], 'no-controls': true%s", which[i]);
        Result *result = operated(more);
        for (int c = 0; c < 3; c++) {
            found[i][c] = figure(result, "before-after", "all", "loss", 5 + c);
        }
        assert_true(figure(result, "before-after", "all", "loss", 2) == (i < 2 ? 1 : 2));
        result_free(result);
    }
    double mean = (found[0][0] + found[1][0]) / 2, reach = 12.7062047 * fabs(found[0][0] - found[1][0]) / 2;
    assert_true(fabs(found[2][0] - mean) < 1e-6 && reach > 1e-3);
    assert_true(fabs(found[2][1] - (mean - reach)) < 1e-4 && fabs(found[2][2] - (mean + reach)) < 1e-4);
}

/* p = (1 + those that score no less) / (1 + all); of fewer than nineteen nothing could be told. */
static void others_are_counted(void **state) {
    static const struct {
        const char *more;
        bool enough;
    } cases[] = {{"'set': ['blocks.0.mlp.hook_post[neuron=3]=zero'], 'draws': 18", false},
                 {"'set': ['blocks.0.mlp.hook_post[neuron=3]=zero'], 'draws': 19", true},
                 {"'set': ['blocks.1.mlp.hook_post[neuron=7]=times:-9'], 'draws': 30, 'aim': 'loss'", true},
                 {"'choose': 'head', 'choose-on': 'h == 1'", false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Result *result = operated(cases[i].more);
        const TableBlock *table = table_of(result, "controls");
        const ResultCheck *check = check_of(result, "controls"), *aim = check_of(result, "aim");
        int as_good = 0;
        for (int32_t row = 0; row < table->n_rows; row++) {
            assert_true(table_cell(table, row, 6)->boolean == (row == 0));
            assert_true(fabs(cell(table, row, 3) - (cell(table, row, 1) - cell(table, row, 2))) < 1e-12);
            assert_true(row < 2 || cell(table, row, 3) <= cell(table, row - 1, 3));
            as_good += row > 0 && cell(table, row, 3) >= cell(table, 0, 3);
        }
        char said[64];
        snprintf(said, sizeof said, ": %d of %d others of its kind do as well", as_good, table->n_rows - 1);
        assert_non_null(strstr(check->meaning.bytes, said));
        assert_true(fabs(check->value - (1.0 + as_good) / table->n_rows) < 1e-12 && check->limit == 0.05);
        assert_int_equal(check->state, !cases[i].enough       ? CHECK_INCONCLUSIVE
                                       : check->value <= 0.05 ? CHECK_PASS
                                                              : CHECK_FAIL);
        assert_true(check->advisory == (i < 3) && aim->advisory == (i < 3)); /* an edit that was asked for */
        assert_true(aim->limit == 0 && aim->kind == CHECK_ABOVE && fabs(aim->value - cell(table, 0, 1)) < 1e-12);
        bool loss = i == 2;
        double low = figure(result, "before-after", "all", loss ? "loss" : "accuracy", 6),
               high = figure(result, "before-after", "all", loss ? "loss" : "accuracy", 7);
        assert_int_equal(aim->state, low <= 0 && high >= 0 ? CHECK_INCONCLUSIVE
                                     : aim->value > 0      ? CHECK_PASS
                                                           : CHECK_FAIL);
        result_free(result);
    }
}

/* A loss that clearly rises is a failed aim, one that clearly falls a met one. */
static void aims_are_met_or_not(void **state) {
    int seen = 0;
    static const char *const edits[] = {"blocks.0.hook_mlp_out=zero",    "blocks.1.hook_mlp_out=zero",
                                        "blocks.0.hook_attn_out=zero",   "blocks.1.hook_attn_out=times:-3",
                                        "blocks.1.hook_mlp_out=times:3", "blocks.1.hook_mlp_out=times:-4"};
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        char more[128];
        snprintf(more, sizeof more, "'set': ['%s'], 'no-controls': true, 'aim': 'loss'", edits[i]);
        Result *result = operated(more);
        const ResultCheck *aim = check_of(result, "aim");
        double low = figure(result, "before-after", "all", "loss", 6),
               high = figure(result, "before-after", "all", "loss", 7);
        CheckState expected = low > 0 ? CHECK_FAIL : high < 0 ? CHECK_PASS : CHECK_INCONCLUSIVE;
        assert_int_equal(aim->state, expected);
        assert_true(fabs(aim->value + figure(result, "before-after", "all", "loss", 5)) < 1e-6);
        seen |= 1 << expected;
        assert_null(result_find_block(result, "controls"));
        assert_int_equal(strstr(result->headline.bytes, "others of its kind") == NULL, 1);
        result_free(result);
    }
    assert_true((seen & 1 << CHECK_FAIL) != 0 && (seen & 1 << CHECK_PASS) != 0);
}

static void notes_say_what_is_bettered(void **state) {
    Result *all = operated("'set': ['blocks.0.hook_mlp_out=zero']"),
           *some = operated("'set': ['blocks.0.hook_mlp_out=zero'], 'focus': 'f == true', 'aim': 'false-alarms'");
    assert_string_equal(result_find_block(all, "controls")->note.bytes,
                        "gain: accuracy, how much better; cost: accuracy lost on all records; score: gain less cost; "
                        "judged: the edit that is judged");
    assert_string_equal(
        result_find_block(some, "controls")->note.bytes,
        "gain: false alarms, how much better in focus; cost: accuracy lost on the other records; score: "
        "gain less cost; judged: the edit that is judged");
    assert_non_null(strstr(result_find_block(all, "before-after")->note.bytes, "An alarm is the answer 'e'."));
    assert_int_equal(table_of(all, "before-after")->n_rows, 4);
    assert_int_equal(table_of(some, "before-after")->n_rows, 12);
    result_free(all);
    result_free(some);
}

/* A saved edit says what it was judged to do, unless its maker says something. */
static void saved_edits_are_described(void **state) {
    for (int own = 0; own < 2; own++) {
        char more[256], said[160];
        snprintf(more, sizeof more,
                 "'set': ['blocks.0.hook_mlp_out=zero'], 'no-controls': true, 'save-edit': '%%/edit.json'%s",
                 own ? ", 'note': 'because'" : "");
        Result *result = operated(more);
        json_t *file = json_load_file(in_folder("edit.json"), 0, NULL);
        char *text = json_dumps(file, 0);
        snprintf(said, sizeof said, "limn surgery: accuracy %.4g before, %.4g after, on %d records",
                 figure(result, "before-after", "all", "accuracy", 3),
                 figure(result, "before-after", "all", "accuracy", 4), RECORDS);
        assert_int_equal(strstr(text, said) != NULL, !own);
        assert_int_equal(strstr(text, "because") != NULL, own);
        free(text);
        json_decref(file);
        result_free(result);
        unlink(in_folder("edit.json"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headlines_hold_the_figures),    cmocka_unit_test(intervals_are_wilsons),
        cmocka_unit_test(losses_have_students_interval), cmocka_unit_test(others_are_counted),
        cmocka_unit_test(aims_are_met_or_not),           cmocka_unit_test(notes_say_what_is_bettered),
        cmocka_unit_test(saved_edits_are_described)};
    return cmocka_run_group_tests_name("surgery, said", tests, set_up, tear_down);
}
