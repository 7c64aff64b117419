/* `sensitive`: shifts are differences of the leads that `predict` gives, tests are those of the statistics, limits and
 * refusals. */
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

typedef struct Fixture {
    char letters[64], data[64], words[64], out[64];
} Fixture;

/* Seven with words of the lists, one without, one of both sides. */
static const char records[] = "{\"text\": \"a cab is bad\", \"label\": \"de\", \"lang\": \"x\"}\n"
                              "{\"text\": \"the bus is bad\", \"label\": \"f\", \"lang\": \"y\"}\n"
                              "{\"text\": \"we call a cab\", \"label\": \"de\", \"lang\": \"x\"}\n"
                              "{\"text\": \"no word at all\", \"label\": \"f\", \"lang\": \"y\"}\n"
                              "{\"text\": \"a bus or a cab\", \"label\": \"f\", \"lang\": \"y\"}\n"
                              "{\"text\": \"cab\", \"label\": \"f\", \"lang\": \"y\"}\n"
                              "{\"text\": \"see the bus go\", \"label\": \"de\", \"lang\": \"x\"}\n"
                              "{\"text\": \"one more cab for us\", \"label\": \"de\", \"lang\": \"x\"}\n"
                              "{\"text\": \"the last bus\", \"label\": \"de\", \"lang\": \"x\"}\n";
static const char *const with_cab[] = {"a cab is bad",   "the cab is bad",      "we call a cab", "cab",
                                       "see the cab go", "one more cab for us", "the last cab"};
static const char *const with_bus[] = {"a bus is bad",   "the bus is bad",      "we call a bus", "bus",
                                       "see the bus go", "one more bus for us", "the last bus"};
enum { PAIRS = 7 };

static void must(limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

static void write_words(const Fixture *fixture, const char *text) {
    must(file_write_atomic(fixture->words, text, strlen(text)));
}

static int set_up(void **state) {
    static Fixture fixture;
    make_letters_model(fixture.letters);
    snprintf(fixture.data, sizeof fixture.data, "/tmp/limn-sensitive-%d.jsonl", (int)getpid());
    snprintf(fixture.words, sizeof fixture.words, "/tmp/limn-sensitive-%d.txt", (int)getpid());
    snprintf(fixture.out, sizeof fixture.out, "/tmp/limn-sensitive-%d-out.jsonl", (int)getpid());
    must(file_write_atomic(fixture.data, records, sizeof records - 1));
    write_words(&fixture, "[ride: cab | bus]\ncab | bus\n");
    *state = &fixture;
    return 0;
}

static int tear_down(void **state) {
    const Fixture *fixture = *state;
    remove_letters_model(fixture->letters);
    unlink(fixture->data);
    unlink(fixture->words);
    unlink(fixture->out);
    return 0;
}

/* `more` begins with a comma or is empty. */
static limn_status sensitive(Result **result, const Fixture *fixture, const char *more) {
    return call_method(result, "sensitive",
                       "{\"model\": \"%s\", \"data\": \"%s\", \"prompt-field\": \"text\", \"choices\": \"de,f,ghi\", "
                       "\"words\": \"%s\", \"ordinary\": 6%s}",
                       fixture->letters, fixture->data, fixture->words, more);
}

static double cell(const Result *result, const char *id, int32_t row, const char *name) {
    const Block *block = result_find_block(result, id);
    assert_non_null(block);
    const TableBlock *table = block->content;
    for (int32_t c = 0; c < table->n_columns; c++) {
        if (strncmp(table->columns[c].name.bytes, name, table->columns[c].name.length) == 0 &&
            strlen(name) == table->columns[c].name.length) {
            const Value *value = table_cell(table, row, c);
            return value->kind == VALUE_INTEGER  ? (double)value->integer
                   : value->kind == VALUE_NUMBER ? value->number
                   : value->kind == VALUE_BOOL   ? value->boolean
                                                 : (double)NAN;
        }
    }
    fail_msg("no column %s", name);
    return 0;
}

/* The lead of "de" over the best other, and whether it is decided, for each text by `predict`. */
static void predict(const Fixture *fixture, const char *const *texts, int32_t n, double *leads, bool *decided) {
    TextBuffer lines = TEXT_BUFFER_INIT;
    char data[80];
    Result *result;
    snprintf(data, sizeof data, "%s.jsonl", fixture->words);
    for (int32_t i = 0; i < n; i++) {
        text_buffer_printf(&lines, "{\"text\": \"%s\"}\n", texts[i]);
    }
    must(file_write_atomic(data, lines.data, lines.length));
    text_buffer_free(&lines);
    unlink(fixture->out);
    must(call_method(&result, "predict",
                     "{\"model\": \"%s\", \"data\": \"%s\", \"prompt-field\": \"text\", \"choices\": \"de,f,ghi\", "
                     "\"decisions\": \"%s\", \"backend\": \"ref\"}",
                     fixture->letters, data, fixture->out));
    result_free(result);
    char *bytes;
    size_t length;
    must(file_read(&bytes, &length, fixture->out, 1 << 20));
    const char *line = bytes;
    for (int32_t i = 0; i < n; i++, line = strchr(line, '\n') + 1) {
        json_t *json = json_loadb(line, (size_t)(strchr(line, '\n') - line), 0, NULL);
        const json_t *logs = json_object_get(json, "log_probabilities");
        double others =
            fmax(json_number_value(json_object_get(logs, "f")), json_number_value(json_object_get(logs, "ghi")));
        leads[i] = json_number_value(json_object_get(logs, "de")) - others;
        decided[i] = strcmp(json_string_value(json_object_get(json, "pred")), "de") == 0;
        json_decref(json);
    }
    free(bytes);
    unlink(data);
}

static void assert_near(double found, double expected, double tolerance, const char *what) {
    if (!(fabs(found - expected) <= tolerance)) {
        fail_msg("%s: %.12g, expected %.12g", what, found, expected);
    }
}

/* ---- figures ---- */

/* All signs that seven shifts could have, by T of the test. */
static double exact_p(const double *shifts) {
    double observed = 0;
    int32_t as_far = 0;
    for (int32_t i = 0; i < PAIRS; i++) {
        observed += shifts[i];
    }
    for (int32_t signs = 0; signs < 1 << PAIRS; signs++) {
        double sum = 0;
        for (int32_t i = 0; i < PAIRS; i++) {
            sum += (signs >> i & 1) != 0 ? -shifts[i] : shifts[i];
        }
        as_far += fabs(sum) >= fabs(observed) - 1e-9;
    }
    return (double)as_far / (1 << PAIRS);
}

static void shifts_are_differences_of_leads(void **state) {
    const Fixture *fixture = *state;
    double cab[PAIRS], bus[PAIRS], shifts[PAIRS];
    bool decided_cab[PAIRS], decided_bus[PAIRS];
    int64_t gained = 0, lost = 0;
    Result *result;
    predict(fixture, with_cab, PAIRS, cab, decided_cab);
    predict(fixture, with_bus, PAIRS, bus, decided_bus);
    for (int32_t i = 0; i < PAIRS; i++) {
        shifts[i] = cab[i] - bus[i];
        gained += decided_cab[i] && !decided_bus[i];
        lost += decided_bus[i] && !decided_cab[i];
    }
    must(sensitive(&result, fixture, ""));
    Interval shift = mean_interval(shifts, PAIRS, 0.95);
    assert_int_equal(cell(result, "categories", 0, "records"), PAIRS);
    assert_near(cell(result, "categories", 0, "shift"), shift.value, 1e-4, "shift");
    assert_near(cell(result, "categories", 0, "low"), shift.low, 1e-3, "low");
    assert_near(cell(result, "categories", 0, "high"), shift.high, 1e-3, "high");
    assert_near(cell(result, "categories", 0, "p"), exact_p(shifts), 1e-12, "p");
    assert_near(cell(result, "pairs", 0, "shift"), shift.value, 1e-4, "shift of the pair");
    assert_int_equal(cell(result, "decisions", 0, "gained"), gained);
    assert_int_equal(cell(result, "decisions", 0, "lost"), lost);
    assert_near(cell(result, "decisions", 0, "p"), mcnemar_exact(gained, lost), 1e-12, "McNemar");
    Interval change = paired_difference(gained, lost, PAIRS, 0.95);
    assert_near(cell(result, "decisions", 0, "low"), change.low, 1e-9, "low of the change");
    static const char *const audited[] = {"categories.category", "categories.first",   "categories.second",
                                          "categories.shift",    "categories.low",     "categories.high",
                                          "categories.p",        "categories.records", "ordinary.category",
                                          "ordinary.first",      "ordinary.second",    "ordinary.ordinary",
                                          "ordinary.p",          "decisions.category", "decisions.first",
                                          "decisions.second",    "decisions.change",   NULL};
    assert_null(missing_column(result, audited));
    assert_true(cell(result, "ordinary", 0, "ordinary") > 0);
    assert_true(result_passed(result));
    assert_int_equal(result->n_warnings, 1); /* the record with both */
    result_free(result);
}

/* Student's t of the shift over what two ordinary words differ by. */
static void ordinary_words_are_the_null(void **state) {
    Result *result;
    must(sensitive(&result, *state, ""));
    double t = fabs(cell(result, "categories", 0, "shift")) / cell(result, "ordinary", 0, "ordinary");
    assert_near(cell(result, "ordinary", 0, "p"), 2 * student_cdf(-t, 5), 1e-9, "p ordinary");
    bool both = cell(result, "ordinary", 0, "p") <= 0.05 && cell(result, "categories", 0, "p") <= 0.05;
    assert_int_equal(cell(result, "categories", 0, "raised"), both);
    result_free(result);
}

static void sides_exchanged_change_the_sign(void **state) {
    const Fixture *fixture = *state;
    Result *one, *other;
    must(sensitive(&one, fixture, ", \"explain\": 0"));
    write_words(fixture, "[ride: bus | cab]\nbus | cab\n");
    must(sensitive(&other, fixture, ", \"explain\": 0"));
    write_words(fixture, "[ride: cab | bus]\ncab | bus\n");
    assert_near(cell(other, "categories", 0, "shift"), -cell(one, "categories", 0, "shift"), 1e-12, "shift");
    assert_near(cell(other, "categories", 0, "low"), -cell(one, "categories", 0, "high"), 1e-12, "low");
    assert_near(cell(other, "categories", 0, "p"), cell(one, "categories", 0, "p"), 1e-12, "p");
    assert_null(result_find_block(one, "attribution"));
    result_free(one);
    result_free(other);
}

static void shares_lie_between_nothing_and_all(void **state) {
    Result *result;
    must(sensitive(&result, *state, ", \"at-most\": [\"share=1\", \"gap:ride=1000\", \"turned=1\"]"));
    assert_int_equal(cell(result, "attribution", 0, "records"),
                     PAIRS + 1); /* the one of both sides has its words too */
    double share = cell(result, "attribution", 0, "share"), others = cell(result, "attribution", 0, "others");
    assert_true(share > 0 && share < 1);
    assert_true(others > 0 && others < 1);
    assert_true(result_passed(result));
    assert_int_equal(result_verdict(result), CHECK_PASS);
    result_free(result);
}

static CheckState verdict(const Fixture *fixture, const char *limit) {
    Result *result;
    char more[128];
    snprintf(more, sizeof more, ", \"at-most\": [\"%s\"]", limit);
    must(sensitive(&result, fixture, more));
    CheckState state = result_verdict(result);
    result_free(result);
    return state;
}

static void limits_judge_by_intervals(void **state) {
    Result *result;
    char inside[64];
    must(sensitive(&result, *state, ""));
    double low = cell(result, "attribution", 0, "low"), high = cell(result, "attribution", 0, "high");
    result_free(result);
    snprintf(inside, sizeof inside, "share=%.6f", (low + high) / 2);
    assert_int_equal(verdict(*state, inside), CHECK_INCONCLUSIVE);
    assert_int_equal(verdict(*state, "share=0.0000001"), low > 1e-7 ? CHECK_FAIL : CHECK_INCONCLUSIVE);
    assert_int_equal(verdict(*state, "gap=0"), CHECK_INCONCLUSIVE); /* of a size, whose interval may begin at 0 */
}

static void groups_have_rates(void **state) {
    Result *result;
    must(sensitive(&result, *state, ", \"groups\": \"lang\", \"label-field\": \"label\", \"explain\": 0"));
    const TableBlock *groups = result_find_block(result, "groups")->content;
    const TableBlock *gaps = result_find_block(result, "gaps")->content;
    assert_int_equal(groups->n_rows, 2);
    assert_int_equal(cell(result, "groups", 0, "records"), 5);
    assert_int_equal(cell(result, "groups", 1, "records"), 4);
    assert_int_equal(gaps->n_rows, 5);
    assert_true(isnan(cell(result, "gaps", 0, "low"))); /* too few */
    result_free(result);
    must(sensitive(&result, *state, ", \"groups\": \"lang\", \"explain\": 0"));
    assert_int_equal(((const TableBlock *)result_find_block(result, "gaps")->content)->n_rows, 2);
    result_free(result);
}

static void another_target(void **state) {
    Result *de, *f;
    must(sensitive(&de, *state, ", \"explain\": 0"));
    must(sensitive(&f, *state, ", \"explain\": 0, \"target\": \"f\""));
    assert_true(cell(de, "categories", 0, "shift") != cell(f, "categories", 0, "shift"));
    result_free(de);
    result_free(f);
}

/* ---- several categories ---- */

static const char several[] = "[ride: cab | bus]\ncab | bus\n[end: bad | go | us]\nbad | go | us\n"
                              "[heavy: last | long]\nlast | zzzzzzzzzz\n[none: here | there]\nqqq | www\n";

static limn_status ask_several(Result **result, const Fixture *fixture, const char *more) {
    return call_method(result, "sensitive",
                       "{\"model\": \"%s\", \"data\": \"%s\", \"prompt-field\": \"text\", \"choices\": \"x,y,z\", "
                       "\"words\": \"%s\", \"ordinary\": 0, \"explain\": 0%s}",
                       fixture->letters, fixture->data, fixture->words, more);
}

/* The strongest first: those that are raised, then by p, then by size. Of pairs those of enough records first. */
static void the_strongest_come_first(void **state) {
    const Fixture *fixture = *state;
    Result *one, *result;
    must(ask_several(&one, fixture, ""));
    write_words(fixture, several);
    must(ask_several(&result, fixture, ""));
    int32_t n = ((const TableBlock *)result_find_block(result, "categories")->content)->n_rows, ride = -1;
    assert_int_equal(n, 5); /* ride, three of end, heavy */
    for (int32_t row = 0; row < n; row++) {
        double raised = cell(result, "categories", row, "raised"), p = cell(result, "categories", row, "p"),
               size = fabs(cell(result, "categories", row, "shift"));
        if (row > 0) {
            double raised_before = cell(result, "categories", row - 1, "raised"),
                   p_before = cell(result, "categories", row - 1, "p"),
                   size_before = fabs(cell(result, "categories", row - 1, "shift"));
            assert_true(raised_before > raised ||
                        (raised_before == raised && (p_before < p || (p_before == p && size_before >= size))));
        }
        assert_int_equal(isnan(cell(result, "categories", row, "low")), cell(result, "categories", row, "records") < 5);
        ride = cell(result, "categories", row, "records") == PAIRS ? row : ride;
    }
    assert_true(ride >= 0);
    assert_near(cell(result, "categories", ride, "shift"), cell(one, "categories", 0, "shift"), 1e-12, "shift");
    assert_true(cell(result, "categories", ride, "low") < cell(one, "categories", 0, "low")); /* for all together */
    assert_true(cell(result, "categories", ride, "p") >= cell(one, "categories", 0, "p"));
    n = ((const TableBlock *)result_find_block(result, "pairs")->content)->n_rows;
    for (int32_t row = 1; row < n; row++) {
        bool few_before = cell(result, "pairs", row - 1, "records") < 5,
             few = cell(result, "pairs", row, "records") < 5;
        double before = fabs(cell(result, "pairs", row - 1, "shift")), size = fabs(cell(result, "pairs", row, "shift"));
        assert_true(few_before < few || (few_before == few && before >= size));
    }
    assert_true(cell(result, "pairs", 0, "records") >= 5 && cell(result, "pairs", n - 1, "records") < 5);
    result_free(one);
    result_free(result);
    write_words(fixture, "[ride: cab | bus]\ncab | bus\n");
}

static const char *text_at(const Result *result, const char *id, int32_t row, int32_t column) {
    return table_cell(result_find_block(result, id)->content, row, column)->text.bytes;
}

/* What `predict` decides of a text. */
static void decides(const Fixture *fixture, const char *text, char choice[8]) {
    char data[80], line[160];
    Result *result;
    snprintf(data, sizeof data, "%s.jsonl", fixture->words);
    snprintf(line, sizeof line, "{\"text\": \"%s\"}\n", text);
    must(file_write_atomic(data, line, strlen(line)));
    unlink(fixture->out);
    must(call_method(&result, "predict",
                     "{\"model\": \"%s\", \"data\": \"%s\", \"prompt-field\": \"text\", \"choices\": \"x,y,z\", "
                     "\"decisions\": \"%s\"}",
                     fixture->letters, data, fixture->out));
    result_free(result);
    char *bytes;
    size_t length;
    must(file_read(&bytes, &length, fixture->out, 1 << 20));
    json_t *json = json_loadb(bytes, (size_t)(strchr(bytes, '\n') - bytes), 0, NULL);
    snprintf(choice, 8, "%s", json_string_value(json_object_get(json, "pred")));
    json_decref(json);
    free(bytes);
    unlink(data);
}

/* Each turned record decides as it says, as it stands and with the word exchanged; the farthest moved come first. */
static void turned_records_turn(void **state) {
    const Fixture *fixture = *state;
    Result *result;
    write_words(fixture, several);
    must(ask_several(&result, fixture, ""));
    int32_t n = ((const TableBlock *)result_find_block(result, "turned")->content)->n_rows;
    assert_in_range(n, 3, 10);
    for (int32_t row = 0; row < n; row++) {
        const char *word = text_at(result, "turned", row, 1), *other = text_at(result, "turned", row, 2),
                   *prompt = text_at(result, "turned", row, 7), *at = strstr(prompt, word);
        char then[128], found[8];
        assert_non_null(at);
        snprintf(then, sizeof then, "%.*s%s%s", (int)(at - prompt), prompt, other, at + strlen(word));
        decides(fixture, prompt, found);
        assert_string_equal(found, text_at(result, "turned", row, 3));
        decides(fixture, then, found);
        assert_string_equal(found, text_at(result, "turned", row, 4));
        assert_string_not_equal(found, text_at(result, "turned", row, 3));
        double moved = fabs(cell(result, "turned", row, "lead") - cell(result, "turned", row, "lead then"));
        assert_true(row == 0 || moved <= fabs(cell(result, "turned", row - 1, "lead") -
                                              cell(result, "turned", row - 1, "lead then")));
    }
    result_free(result);
    write_words(fixture, "[ride: cab | bus]\ncab | bus\n");
}

/* A limit is of one category where it names one, of groups where it measures them; what is not there holds no limit. */
static void limits_are_of_what_they_name(void **state) {
    const Fixture *fixture = *state;
    Result *result;
    write_words(fixture, several);
    must(ask_several(&result, fixture,
                     ", \"groups\": \"lang\", \"at-most\": [\"gap:heavy=100\", \"gap:none=1\", \"rate-gap=0.9\"], "
                     "\"at-least\": [\"impact-ratio=0.01\"]"));
    int heavy = 0, none = 0, rate = 0, impact = 0;
    for (int32_t i = 0; i < result->n_checks; i++) {
        const ResultCheck *check = &result->checks[i];
        heavy += strcmp(check->name.bytes, "gap:heavy") == 0;
        none += strcmp(check->name.bytes, "gap:none") == 0 && check->state == CHECK_FAIL && isnan(check->value) &&
                strstr(check->meaning.bytes, "no record has its words") != NULL;
        if (strcmp(check->name.bytes, "rate-gap") == 0) {
            rate += fabs(check->value - cell(result, "gaps", 0, "value")) < 1e-12 && check->kind == CHECK_AT_MOST;
        }
        if (strcmp(check->name.bytes, "impact-ratio") == 0) {
            impact += fabs(check->value - cell(result, "gaps", 1, "value")) < 1e-12 && check->kind == CHECK_AT_LEAST;
        }
    }
    assert_true(heavy == 1 && none == 1 && rate == 1 && impact == 1);
    result_free(result);
    write_words(fixture, "[ride: cab | bus]\ncab | bus\n");
}

/* ---- raised or not ---- */

enum { TRIALS = 20, LINES = 24 };

/* Records "WORD NOUN is VERB", whose first word is one of two. */
static void write_records(const Fixture *fixture, const char *first, const char *second) {
    static const char *const nouns[] = {"man", "dog", "sea", "hat", "sun", "map"};
    static const char *const verbs[] = {"red", "old", "here", "mine"};
    TextBuffer lines = TEXT_BUFFER_INIT;
    for (int i = 0; i < LINES; i++) {
        text_buffer_printf(&lines, "{\"text\": \"the %s %s is %s\"}\n", i % 2 == 0 ? first : second, nouns[i % 6],
                           verbs[i / 6]);
    }
    must(file_write_atomic(fixture->data, lines.data, lines.length));
    text_buffer_free(&lines);
}

static bool raises(const Fixture *fixture, const char *first, const char *second, int ordinary) {
    Result *result;
    char list[128], more[64];
    snprintf(list, sizeof list, "[pair: one | other]\n%s | %s\n", first, second);
    write_words(fixture, list);
    write_records(fixture, first, second);
    snprintf(more, sizeof more, ", \"explain\": 0, \"ordinary\": %d", ordinary);
    must(sensitive(&result, fixture, more));
    assert_int_equal(cell(result, "categories", 0, "records"), LINES);
    bool raised = cell(result, "categories", 0, "raised") != 0;
    result_free(result);
    return raised;
}

/* Two words of no meaning to the model, twenty times: one in twenty is what chance allows on
 * average. The
 * shift itself is told from 0 in nearly all of them: without ordinary words to compare with everything would be raised.
 */
static void neutral_words_raise_next_to_nothing(void **state) {
    static const char *const words[] = {"bread", "wheel", "chair", "stone", "cloud", "spoon", "grass", "plate",
                                        "shirt", "tiger", "lemon", "piano", "candy", "brush", "glove", "horse",
                                        "juice", "medal", "olive", "pearl", "robot", "salad", "tower", "uncle",
                                        "wagon", "zebra", "angel", "beach", "cabin", "diary", "eagle", "flute",
                                        "grape", "honey", "ivory", "jelly", "kayak", "maple", "ocean", "paint"};
    int32_t raised = 0, alone = 0;
    for (int32_t i = 0; i < TRIALS; i++) {
        raised += raises(*state, words[2 * i], words[2 * i + 1], 12);
        alone += raises(*state, words[2 * i], words[2 * i + 1], 0);
    }
    assert_in_range(raised, 0, 3); /* more than 3 of 20 at 0.05: in 2 of 100 such tests */
    assert_in_range(alone, 8, TRIALS);
}

/* A word unlike any other, of the same kind. */
static void a_word_with_weight_is_raised(void **state) {
    assert_true(raises(*state, "bread", "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", 12));
    must(file_write_atomic(((Fixture *)*state)->data, records, sizeof records - 1));
    write_words(*state, "[ride: cab | bus]\ncab | bus\n");
}

/* ---- refusals ---- */

static void refused(const Fixture *fixture, const char *more, const char *message) {
    Result *result;
    limn_status status = sensitive(&result, fixture, more);
    if (status == LIMN_OK) {
        result_free(result);
        fail_msg("%s: not refused", more);
    }
    if (strstr(error_message(), message) == NULL) {
        fail_msg("%s: '%s' does not say '%s'", more, error_message(), message);
    }
}

static void refuses(void **state) {
    const Fixture *fixture = *state;
    refused(fixture, ", \"category\": [\"rides\"]", "there is no 'rides' in the lists; nearest: 'ride'");
    refused(fixture, ", \"target\": \"g\"", "there is no choice 'g'; nearest: ");
    refused(fixture, ", \"method\": \"predict\"", "tokens get no scores by the method 'predict'");
    refused(fixture, ", \"at-most\": [\"size=1\"]", "there is no measure 'size'; expected one of share, gap");
    refused(fixture, ", \"at-most\": [\"gap:rid=1\"]", "no category 'rid' has a part; nearest: 'ride'");
    refused(fixture, ", \"at-most\": [\"gap@x=1\"]", "found 'gap@x', expected gap=1");
    refused(fixture, ", \"at-most\": [\"odds-gap=1\"], \"groups\": \"lang\"", "needs the right answers: --label-field");
    refused(fixture, ", \"at-least\": [\"impact-ratio=1\"]", "needs groups: --groups FIELD");
    refused(fixture, ", \"at-most\": [\"share=1\"], \"explain\": 0", "--explain is 0");
    write_words(fixture, "[ride: cab | bus]\ntrain | plane\n");
    refused(fixture, "", "none of 9 records holds any of the 2 words");
    write_words(fixture, "ride: cab | bus\n");
    refused(fixture, "", "line 1: words before any category");
    write_words(fixture, "[ride: cab | bus]\ncab | bus\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shifts_are_differences_of_leads),
        cmocka_unit_test(ordinary_words_are_the_null),
        cmocka_unit_test(sides_exchanged_change_the_sign),
        cmocka_unit_test(shares_lie_between_nothing_and_all),
        cmocka_unit_test(limits_judge_by_intervals),
        cmocka_unit_test(groups_have_rates),
        cmocka_unit_test(the_strongest_come_first),
        cmocka_unit_test(turned_records_turn),
        cmocka_unit_test(limits_are_of_what_they_name),
        cmocka_unit_test(another_target),
        cmocka_unit_test(refuses),
        cmocka_unit_test(neutral_words_raise_next_to_nothing),
        cmocka_unit_test(a_word_with_weight_is_raised),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
