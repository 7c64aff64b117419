/* `reasons`: what it gives are causes of `why`, with the figures of draws that `why` makes with the other seed; the
 * change it names turns the decision; words of the template are none; where nothing survives it says so. */
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

static char letters[64], data[64];
static const char prompt_text[] = "the cat sat on a red mat";
static const long other_draws = 0x5EA50125; /* another seed */

static int set_up(void **state) {
    make_letters_model(letters);
    snprintf(data, sizeof data, "/tmp/limn-reasons-%d.jsonl", (int)getpid());
    return 0;
}

static int tear_down(void **state) {
    remove_letters_model(letters);
    unlink(data);
    return 0;
}

static void must(limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

static const TableBlock *table_of(const Result *result, const char *id) {
    const Block *block = result_find_block(result, id);
    if (block == NULL || block->kind != BLOCK_TABLE) {
        fail_msg("no table %s", id);
    }
    return block->content;
}

static const char *cell(const TableBlock *table, int32_t row, int32_t column) {
    const Value *value = table_cell(table, row, column);
    assert_int_equal(value->kind, VALUE_TEXT);
    return value->text.bytes;
}

static Result *ask(const char *command, const char *more) {
    Result *result = NULL;
    must(call_method(&result, command, "{\"model\": \"%s\", \"prompt\": \"%s\"%s}", letters, prompt_text, more));
    return result;
}

static const ResultCheck *check_of(const Result *result, const char *name) {
    for (int32_t i = 0; i < result->n_checks; i++) {
        if (strcmp(result->checks[i].name.bytes, name) == 0) {
            return &result->checks[i];
        }
    }
    return NULL;
}

/* The row of the table whose first cell is this word; -1: none. */
static int32_t row_of(const TableBlock *table, const char *word) {
    for (int32_t r = 0; r < table->n_rows; r++) {
        if (strcmp(cell(table, r, 0), word) == 0) {
            return r;
        }
    }
    return -1;
}

static void reasons_are_causes_twice(void **state) {
    static const char *const questions[] = {"", ", \"target\": \"e\", \"floor\": 0",
                                            ", \"target\": \"e\", \"contrast\": \"k\", \"floor\": 0"};
    int given = 0, compared = 0, n_fresh = 0, n_same = 0;
    for (size_t q = 0; q < sizeof questions / sizeof *questions; q++) {
        char other[160];
        snprintf(other, sizeof other, "%s, \"seed\": %ld", questions[q], other_draws);
        Result *reasons = ask("reasons", questions[q]), *why = ask("why", questions[q]), *again = ask("why", other);
        const TableBlock *table = table_of(reasons, "reasons"), *first = table_of(why, "causes");
        const TableBlock *second = table_of(again, "causes");
        double strongest = 1.0;
        for (int32_t r = 0; r < table->n_rows; r++) {
            const char *word = cell(table, r, 1);
            assert_int_equal(table_cell(table, r, 0)->integer, r + 1);
            int32_t cause = row_of(first, word), other_cause = row_of(second, word);
            assert_true(cause >= 0);
            assert_true(table_cell(table, r, 7)->number == table_cell(first, cause, 2)->number);
            /* of other draws where there are others; else the same ones, which is said */
            int64_t fresh = table_cell(table, r, 10)->integer, n = table_cell(table, r, 9)->integer;
            double after = table_cell(table, r, 4)->number, at_first = table_cell(table, r, 7)->number;
            assert_in_range(fresh, 0, n);
            if (fresh > 0) {
                assert_true(after != at_first);
            } else {
                assert_true(fabs(after - at_first) < 1e-12);
                assert_non_null(strstr(reasons->headline.bytes, "no other words fit there"));
            }
            n_fresh += fresh > 0;
            n_same += fresh == 0;
            if (other_cause >= 0) {
                assert_true(table_cell(table, r, 5)->number <= table_cell(second, other_cause, 4)->number);
                assert_true(table_cell(table, r, 6)->number >= table_cell(second, other_cause, 3)->number);
                compared++;
            }
            assert_non_null(strstr(reasons->headline.bytes, word));
            strongest = fmin(strongest, table_cell(table, r, 4)->number);
        }
        given += table->n_rows;
        assert_int_equal(result_verdict(reasons), table->n_rows > 0 ? CHECK_PASS : CHECK_INCONCLUSIVE);
        assert_true(strongest < table_cell(table, 0, 3)->number);
        result_free(reasons);
        result_free(why);
        result_free(again);
    }
    assert_true(given > 0 && compared > 0);
    print_message("%d reasons with fresh draws, %d without\n", n_fresh, n_same);
}

/* Of choices the likeliest is the decision; the change that is named makes the other one. */
static void changes_turn_the_decision(void **state) {
    Result *result = ask("reasons", ", \"choices\": \"e,k\"");
    const TableBlock *changes = table_of(result, "changes");
    assert_int_equal(changes->n_rows, 1);
    const char *word = cell(changes, 0, 0), *with = cell(changes, 0, 1), *decision = cell(changes, 0, 2);
    const char *then = cell(changes, 0, 3);
    assert_string_not_equal(decision, then);
    char padded[160], wanted[64], changed[160];
    snprintf(padded, sizeof padded, " %s ", prompt_text);
    snprintf(wanted, sizeof wanted, " %s ", word);
    const char *place = strstr(padded, wanted);
    if (place != NULL) { /* one whole word */
        snprintf(changed, sizeof changed, "%.*s%s%s", (int)(place - padded), prompt_text, with,
                 prompt_text + (place - padded) + strlen(word));
        double chances[2];
        for (int i = 0; i < 2; i++) {
            Result *run;
            must(call_method(&run, "run", "{\"model\": \"%s\", \"prompt\": \"%s\", \"target\": \"%s\"}", letters,
                             changed, i == 0 ? decision : then));
            chances[i] = run->target.log_probability;
            result_free(run);
        }
        assert_true(chances[1] > chances[0]);
    }
    result_free(result);
}

static void nothing_survives(void **state) {
    char list[80], more[160];
    snprintf(list, sizeof list, "/tmp/limn-reasons-%d.txt", (int)getpid());
    must(file_write_atomic(list, "fig\nhut\n", 8)); /* too few draws for an interval */
    snprintf(more, sizeof more, ", \"replacements\": \"%s\"", list);
    Result *result = ask("reasons", more);
    assert_int_equal(table_of(result, "reasons")->n_rows, 0);
    assert_non_null(strstr(result->headline.bytes, "No specific reason can be given"));
    assert_int_equal(result_verdict(result), CHECK_INCONCLUSIVE);
    assert_true(check_of(result, "explained")->value == 0.0);
    result_free(result);
    unlink(list);
}

/* Of a list no longer than the draws there are no fresh ones, and nothing was confirmed. Of one with more there are. */
static void says_whether_draws_were_fresh(void **state) {
    static const char words[] = "bar\nbed\nbug\ncup\ndog\nfig\nfog\ngum\nhat\nhen\nhut\njar\nkey\nlip\nlog\nmud\n"
                                "net\nnut\noak\npan\npen\npig\nrod\nrug\nsea\nsky\nsun\ntin\ntoy\nvan\nwax\nweb\n"
                                "yak\nzoo\nark\narm\nash\nbay\nbee\nbox\ncow\nday\near\neye\nfan\nfox\ngas\nice\n";
    enum { LINE = 4, FEW = 16 * LINE, MANY = sizeof words - 1 };
    const struct {
        int bytes;
        bool fresh;
    } lists[] = {{FEW, false}, {MANY, true}};
    char list[80], more[160];
    snprintf(list, sizeof list, "/tmp/limn-reasons-%d.txt", (int)getpid());
    snprintf(more, sizeof more, ", \"target\": \"e\", \"floor\": 0, \"replacements\": \"%s\"", list);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        must(file_write_atomic(list, words, (size_t)lists[i].bytes));
        Result *result = ask("reasons", more);
        const TableBlock *table = table_of(result, "reasons");
        assert_true(table->n_rows > 0);
        for (int32_t r = 0; r < table->n_rows; r++) {
            int64_t fresh = table_cell(table, r, 10)->integer;
            assert_true(lists[i].fresh ? fresh > 0 : fresh == 0);
        }
        assert_true((check_of(result, "again") != NULL) == lists[i].fresh);
        assert_true((strstr(result->headline.bytes, "no other words fit there") == NULL) == lists[i].fresh);
        result_free(result);
    }
    unlink(list);
}

static void speaks_chinese(void **state) {
    Result *result = ask("reasons", ", \"language\": \"zh\"");
    assert_non_null(strstr(result->headline.bytes, "决定是"));
    assert_null(strstr(result->headline.bytes, "decision"));
    assert_string_equal(result_find_block(result, "reasons")->title.bytes, "理由");
    static const char *const said[] = {"之后：", "新替换数：", "首次："}; /* each figure has its word */
    for (size_t i = 0; i < 3; i++) {
        assert_non_null(strstr(result_find_block(result, "reasons")->note.bytes, said[i]));
    }
    result_free(result);
}

/* How many decisions there are, have a reason each, and were left out. */
static void says_how_many(const Result *result, int left_out) {
    const TableBlock *decisions = table_of(result, "decisions"), *reasons = table_of(result, "reasons");
    char said[200], more[64] = "";
    int explained = 0;
    for (int32_t r = 0; r < decisions->n_rows; r++) {
        explained += row_of(reasons, cell(decisions, r, 0)) >= 0;
    }
    if (left_out > 0) {
        snprintf(more, sizeof more, "; %d decided otherwise were left out", left_out);
    }
    snprintf(said, sizeof said, "%d decisions: specific reasons survived for %d, none for %d%s", (int)decisions->n_rows,
             explained, (int)decisions->n_rows - explained, more);
    assert_string_equal(result->headline.bytes, said);
}

/* Each record by its id; words of the template are fixed; those decided otherwise are counted and left out. */
static void records(void **state) {
    static const char *const ids[] = {"one", "two", "three"};
    TextBuffer text = TEXT_BUFFER_INIT;
    for (int i = 0; i < 3; i++) {
        text_buffer_printf(&text, "{\"id\": \"%s\", \"text\": \"%s\"}\n", ids[i],
                           i == 0   ? "a red cab ran"
                           : i == 1 ? "we sat on a mat"
                                    : "big hot dogs run");
    }
    must(file_write_atomic(data, text.data, text.length));
    text_buffer_free(&text);
    Result *all, *some;
    must(call_method(
        &all, "reasons",
        "{\"model\": \"%s\", \"data\": \"%s\", \"template\": \"the sun {text} of now\", \"id-field\": \"id\", "
        "\"choices\": \"e,k\", \"labels\": \"yes,no\"}",
        letters, data));
    const TableBlock *decisions = table_of(all, "decisions"), *reasons = table_of(all, "reasons");
    assert_int_equal(decisions->n_rows, 3);
    int yes = 0;
    for (int32_t r = 0; r < 3; r++) {
        assert_string_equal(cell(decisions, r, 0), ids[r]);
        yes += strcmp(cell(decisions, r, 1), "yes") == 0;
    }
    for (int32_t r = 0; r < reasons->n_rows; r++) {
        static const char *const fixed[] = {"the", "sun", "of", "now"};
        for (size_t k = 0; k < 4; k++) {
            assert_string_not_equal(cell(reasons, r, 2), fixed[k]);
        }
        assert_null(strstr(cell(reasons, r, 3), "sun")); /* nor is it quoted */
    }
    assert_true(reasons->n_rows > 0);
    must(call_method(
        &some, "reasons",
        "{\"model\": \"%s\", \"data\": \"%s\", \"template\": \"the sun {text} of now\", \"id-field\": \"id\", "
        "\"choices\": \"e,k\", \"labels\": \"yes,no\", \"decision\": \"%s\"}",
        letters, data, cell(decisions, 0, 1)));
    int same = strcmp(cell(decisions, 0, 1), "yes") == 0 ? yes : 3 - yes;
    assert_int_equal(table_of(some, "decisions")->n_rows, same);
    says_how_many(all, 0);
    says_how_many(some, 3 - same);
    /* what one record is told does not depend on the others */
    assert_string_equal(cell(table_of(some, "decisions"), 0, 3), cell(decisions, 0, 3));
    result_free(all);
    result_free(some);
}

static void refused(void **state) {
    Result *result;
    must(file_write_atomic(data, "{\"text\": \"a cab\"}\n", 18));
    static const struct {
        const char *more, *says;
    } cases[] = {{", \"choices\": \"e\"", "choices"},
                 {", \"choices\": \"e,k\", \"target\": \"e\"", "--target"},
                 {", \"decision\": \"e\"", "decision"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        limn_status status =
            call_method(&result, "reasons", "{\"model\": \"%s\", \"prompt\": \"a cab ran\"%s}", letters, cases[i].more);
        assert_int_equal(status, LIMN_USAGE);
        assert_non_null(strstr(error_message(), cases[i].says));
    }
    assert_int_equal(call_method(&result, "reasons",
                                 "{\"model\": \"%s\", \"prompt\": \"a\", \"data\": \"%s\", \"prompt-field\": \"text\"}",
                                 letters, data),
                     LIMN_USAGE);
    assert_int_equal(call_method(&result, "reasons", "{\"model\": \"%s\"}", letters), LIMN_USAGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reasons_are_causes_twice),
        cmocka_unit_test(changes_turn_the_decision),
        cmocka_unit_test(nothing_survives),
        cmocka_unit_test(says_whether_draws_were_fresh),
        cmocka_unit_test(speaks_chinese),
        cmocka_unit_test(records),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests_name("reasons", tests, set_up, tear_down);
}
