/* `predict` on data sets that are not as they should be: bad records, prompts too long, choices that join their prompt,
 * nothing at all. */
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

#include <cmocka.h> /* last: it has a macro named fail */

typedef struct Fixture {
    char letters[64]; /* a model that reads twelve tokens */
    char data[64];
    char out[64];
} Fixture;

static void must(limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

static int set_up(void **state) {
    static Fixture fixture;
    char path[128];
    make_letters_model(fixture.letters);
    snprintf(path, sizeof path, "%s/config.json", fixture.letters);
    json_t *config = json_load_file(path, 0, NULL);
    assert_non_null(config);
    json_object_set_new(config, "max_position_embeddings", json_integer(12));
    assert_int_equal(json_dump_file(config, path, 0), 0);
    json_decref(config);
    snprintf(fixture.data, sizeof fixture.data, "/tmp/limn-records-%d.jsonl", (int)getpid());
    snprintf(fixture.out, sizeof fixture.out, "/tmp/limn-records-%d-out.jsonl", (int)getpid());
    *state = &fixture;
    return 0;
}

static int tear_down(void **state) {
    const Fixture *fixture = *state;
    remove_letters_model(fixture->letters);
    unlink(fixture->data);
    unlink(fixture->out);
    return 0;
}

static limn_status predict(Result **result, const Fixture *fixture, const char *data, const char *more) {
    must(file_write_atomic(fixture->data, data, strlen(data)));
    return call_method(result, "predict",
                       "{\"model\": \"%s\", \"data\": \"%s\", \"prompt-field\": \"text\", \"choices\": \"de,f\", "
                       "\"decisions\": \"%s\"%s}",
                       fixture->letters, fixture->data, fixture->out, more);
}

static char *out_text(const Fixture *fixture) {
    char *bytes = NULL;
    size_t length = 0;
    must(file_read(&bytes, &length, fixture->out, 1 << 20));
    return bytes;
}

static int lines_of(const char *text) {
    int n = 0;
    for (; *text != '\0'; text++) {
        n += *text == '\n';
    }
    return n;
}

static json_t *line_of(const char *text, int line) {
    for (int i = 0; i < line; i++) {
        text += strcspn(text, "\n") + 1;
    }
    json_t *json = json_loadb(text, strcspn(text, "\n"), 0, NULL);
    assert_non_null(json);
    return json;
}

static double log_of(const json_t *line, const char *choice) {
    return json_number_value(json_object_get(json_object_get(line, "log_probabilities"), choice));
}

static const ResultCheck *check_of(const Result *result, const char *name) {
    for (int32_t i = 0; i < result->n_checks; i++) {
        if (strcmp(result->checks[i].name.bytes, name) == 0) {
            return &result->checks[i];
        }
    }
    return NULL;
}

static void assert_warned(const Result *result, const char *part) {
    for (int32_t i = 0; i < result->n_warnings; i++) {
        if (strstr(result->warnings[i].bytes, part) != NULL) {
            return;
        }
    }
    fail_msg("no warning says '%s'", part);
}

/* ---- mistakes ---- */

static int falling(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* The surest of those that are wrong, the surest first, as the file of decisions has them. */
static void the_surest_mistakes_are_shown(void **state) {
    enum { RECORDS = 20, TOP = 4 };
    const Fixture *fixture = *state;
    TextBuffer data = TEXT_BUFFER_INIT;
    double sure[RECORDS];
    int n = 0;
    for (int i = 0; i < RECORDS; i++) {
        text_buffer_printf(&data, "{\"text\": \"a %c %c\", \"label\": \"%s\"}\n", 'a' + i, 'z' - i,
                           i % 2 == 0 ? "de" : "f");
    }
    Result *result;
    unlink(fixture->out);
    must(predict(&result, fixture, data.data, ", \"label-field\": \"label\", \"top\": 4"));
    char *out = out_text(fixture);
    for (int i = 0; i < RECORDS; i++) {
        json_t *line = line_of(out, i);
        const char *pred = json_string_value(json_object_get(line, "pred"));
        double de = exp(log_of(line, "de")), f = exp(log_of(line, "f"));
        if (strcmp(pred, i % 2 == 0 ? "de" : "f") != 0) {
            sure[n++] = fmax(de, f) / (de + f);
        }
        json_decref(line);
    }
    qsort(sure, (size_t)n, sizeof *sure, falling);
    assert_true(n > TOP);
    const TableBlock *table = result_find_block(result, "mistakes")->content;
    assert_int_equal(table->n_rows, TOP);
    for (int32_t row = 0; row < TOP; row++) {
        assert_true(fabs(table_cell(table, row, 3)->number - sure[row]) <= 1e-6);
        assert_string_not_equal(table_cell(table, row, 1)->text.bytes, table_cell(table, row, 2)->text.bytes);
    }
    free(out);
    text_buffer_free(&data);
    result_free(result);
}

/* ---- bad records ---- */

/* Of the eleven records six are bad, each in another way. */
static const char mixed[] = "{\"text\": \"a cab\", \"label\": \"de\"}\n"
                            "{\"text\": \"a \n"
                            "{\"text\": [\"a\"], \"label\": \"f\"}\n"
                            "{\"text\": \"bad\", \"label\": \"x\"}\n"
                            "{\"text\": \"a bad dad\", \"label\": \"f\"}\n"
                            "\n"
                            "{\"text\": \"far too long for it\", \"label\": \"f\"}\n"
                            "{\"label\": \"f\"}\n"
                            "[1]\n"
                            "{\"text\": \"a dad\", \"label\": \"de\"}\n"
                            "{\"text\": \"cab\"  , \"label\": null}\n";
static const struct {
    int64_t record, line;
    const char *why;
} bad[] = {{1, 2, "line 2, column"},
           {2, 3, "the field 'text' is a list, expected a text"},
           {3, 4, "the label 'x' is none of de, f"},
           {5, 7, "prompt and choice have 20 tokens"},
           {6, 8, "the field 'text' is not there"},
           {7, 9, "found an array, expected an object"}};
enum { BAD = 6, GOOD = 4 };

static void bad_records_are_skipped_and_said(void **state) {
    const Fixture *fixture = *state;
    Result *result;
    unlink(fixture->out);
    must(predict(&result, fixture, mixed, ", \"label-field\": \"label\", \"on-error\": \"skip\""));
    const ResultCheck *check = check_of(result, "skipped");
    assert_non_null(check);
    assert_true(check->value == BAD && check->state != CHECK_PASS && !result_passed(result));
    const TableBlock *table = result_find_block(result, "skipped")->content;
    assert_int_equal(table->n_rows, BAD);
    for (int i = 0; i < BAD; i++) {
        assert_int_equal(table_cell(table, i, 0)->integer, bad[i].record);
        assert_int_equal(table_cell(table, i, 1)->integer, bad[i].line);
        if (strstr(table_cell(table, i, 2)->text.bytes, bad[i].why) == NULL) {
            fail_msg("record %d: %s", (int)bad[i].record, table_cell(table, i, 2)->text.bytes);
        }
    }
    assert_non_null(strstr(result->headline.bytes, "of 3 labelled records"));
    result_free(result);
    /* the file has a line for every record, in their order, and the good ones are what they are by themselves */
    char *text = out_text(fixture);
    assert_int_equal(lines_of(text), BAD + GOOD);
    for (int i = 0, k = 0; i < BAD + GOOD; i++) {
        json_t *line = line_of(text, i);
        assert_int_equal(json_integer_value(json_object_get(line, "record")), i);
        const char *why = json_string_value(json_object_get(line, "error"));
        if (k < BAD && bad[k].record == i) {
            assert_non_null(strstr(why, bad[k].why));
            assert_null(json_object_get(line, "pred"));
            k++;
        } else {
            assert_null(why);
            assert_non_null(json_object_get(line, "pred"));
        }
        json_decref(line);
    }
    unlink(fixture->out);
    must(predict(&result, fixture, "{\"text\": \"a cab\"}\n{\"text\": \"a dad\"}\n", ""));
    assert_true(result_passed(result));
    assert_null(check_of(result, "skipped"));
    result_free(result);
    char *plain = out_text(fixture);
    json_t *first = line_of(text, 0), *last = line_of(text, 8);
    json_t *alone = line_of(plain, 0), *second = line_of(plain, 1);
    assert_true(log_of(first, "de") == log_of(alone, "de") && log_of(last, "f") == log_of(second, "f"));
    json_decref(first);
    json_decref(last);
    json_decref(alone);
    json_decref(second);
    free(plain);
    free(text);
}

/* What stands before the bad record is kept, and the same file is gone on with once records may be skipped. */
static void a_stopped_run_is_gone_on_with(void **state) {
    const Fixture *fixture = *state;
    static const char *const ways[] = {"", ", \"batch\": 1", ", \"batch\": 3"};
    Result *result;
    unlink(fixture->out);
    must(predict(&result, fixture, mixed, ", \"label-field\": \"label\", \"on-error\": \"skip\""));
    result_free(result);
    char *whole = out_text(fixture);
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        char more[128];
        unlink(fixture->out);
        snprintf(more, sizeof more, ", \"label-field\": \"label\"%s", ways[i]);
        assert_int_equal(predict(&result, fixture, mixed, more), LIMN_FORMAT);
        assert_non_null(strstr(error_message(), "line 2, column"));
        char *part = out_text(fixture);
        assert_int_equal(lines_of(part), 1);
        assert_memory_equal(part, whole, strlen(part));
        free(part);
        snprintf(more, sizeof more, ", \"label-field\": \"label\", \"on-error\": \"skip\"%s", ways[i]);
        must(predict(&result, fixture, mixed, more));
        assert_true(check_of(result, "skipped")->value == BAD);
        result_free(result);
        char *again = out_text(fixture);
        assert_string_equal(again, whole);
        free(again);
    }
    /* from every cut */
    size_t length = strlen(whole);
    for (size_t cut = 0; cut <= length; cut += 173) {
        must(file_write_atomic(fixture->out, whole, cut));
        must(predict(&result, fixture, mixed, ", \"label-field\": \"label\", \"on-error\": \"skip\""));
        assert_true(check_of(result, "skipped")->value == BAD);
        assert_non_null(strstr(result->headline.bytes, "of 3 labelled records"));
        result_free(result);
        char *again = out_text(fixture);
        assert_string_equal(again, whole);
        free(again);
    }
    /* and a file with skipped records does not pass for a whole one */
    must(file_write_atomic(fixture->out, whole, length));
    assert_int_equal(predict(&result, fixture, mixed, ", \"label-field\": \"label\""), LIMN_FORMAT);
    free(whole);
    /* a record that is refused once it is encoded: with its line, and what stands before it kept */
    static const char late[] = "{\"text\": \"cab\"}\n{\"text\": \"a\"}\n{\"text\": \"far too long for it\"}\n";
    unlink(fixture->out);
    assert_int_equal(predict(&result, fixture, late, ""), LIMN_RANGE);
    assert_non_null(strstr(error_message(), "line 3: prompt and choice have 20 tokens"));
    char *part = out_text(fixture);
    assert_int_equal(lines_of(part), 2);
    free(part);
    unlink(fixture->out);
}

static void samples_pass_over_bad_records(void **state) {
    const Fixture *fixture = *state;
    Result *result;
    static const char records[] = "{\"text\": \"a\"}\n{\"text\": \n{\"text\": \"b\"}\n3\n{\"text\": \"c\"}\n";
    unlink(fixture->out);
    assert_int_equal(predict(&result, fixture, records, ", \"sample\": 3"), LIMN_FORMAT);
    must(predict(&result, fixture, records, ", \"sample\": 3, \"on-error\": \"skip\""));
    assert_true(check_of(result, "skipped")->value == 2);
    assert_string_equal(result_find_block(result, "choices") != NULL ? "there" : "", "there");
    result_free(result);
    char *text = out_text(fixture);
    assert_int_equal(lines_of(text), 5);
    free(text);
    unlink(fixture->out);
}

/* ---- too long ---- */

static void long_prompts_are_cut(void **state) {
    const Fixture *fixture = *state;
    /* twelve tokens are read: the prompt and all but the last of a choice's two; b and c are one token */
    static const struct {
        const char *way, *left;
    } cases[] = {{"left", "jklmnopqrst"}, {"right", "abcdefghijkl"}, {"middle", "abcdefgpqrst"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char more[64], data[128];
        Result *result;
        unlink(fixture->out);
        snprintf(more, sizeof more, ", \"truncate\": \"%s\"", cases[i].way);
        must(predict(&result, fixture, "{\"text\": \"cab\"}\n{\"text\": \"abcdefghijklmnopqrst\"}\n", more));
        assert_true(result_passed(result));
        assert_warned(result, "1 of 2 prompts were longer than the model reads");
        result_free(result);
        char *text = out_text(fixture);
        json_t *cut = line_of(text, 1);
        assert_int_equal(json_integer_value(json_object_get(cut, "cut")), 8);
        free(text);
        unlink(fixture->out);
        snprintf(data, sizeof data, "{\"text\": \"%s\"}\n", cases[i].left);
        must(predict(&result, fixture, data, ""));
        result_free(result);
        text = out_text(fixture);
        json_t *alone = line_of(text, 0);
        assert_null(json_object_get(alone, "cut"));
        if (fabs(log_of(cut, "de") - log_of(alone, "de")) > 1e-6) {
            fail_msg("%s: %g, '%s' alone %g", cases[i].way, log_of(cut, "de"), cases[i].left, log_of(alone, "de"));
        }
        json_decref(alone);
        json_decref(cut);
        free(text);
        unlink(fixture->out);
    }
}

static void a_file_belongs_to_its_way_of_cutting(void **state) {
    const Fixture *fixture = *state;
    Result *result;
    unlink(fixture->out);
    must(predict(&result, fixture, "{\"text\": \"abcdefghijklmnopqrst\"}\n", ", \"truncate\": \"left\""));
    result_free(result);
    must(predict(&result, fixture, "{\"text\": \"abcdefghijklmnopqrst\"}\n", ", \"truncate\": \"left\""));
    assert_warned(result, "up to 8 tokens of their beginning"); /* as of one run */
    result_free(result);
    assert_int_equal(predict(&result, fixture, "{\"text\": \"abcdefghijklmnopqrst\"}\n", ", \"truncate\": \"right\""),
                     LIMN_USAGE);
    assert_non_null(strstr(error_message(), "other prompts"));
    unlink(fixture->out);
}

/* ---- the border ---- */

static double target_of(const Fixture *fixture, const char *prompt, const char *target) {
    Result *result;
    must(call_method(&result, "run", "{\"model\": \"%s\", \"prompt\": \"%s\", \"target\": \"%s\"}", fixture->letters,
                     prompt, target));
    double value = result->target.log_probability;
    result_free(result);
    return value;
}

/* b and c are one token: of 'cde' behind 'a cab' the harness scores what the whole text has behind five tokens. */
static void joining_choices_are_scored_as_the_harness_does(void **state) {
    const Fixture *fixture = *state;
    Result *result;
    unlink(fixture->out);
    must(predict(&result, fixture, "{\"text\": \"a cab\"}\n{\"text\": \"a car\"}\n", ", \"choices\": \"cde,f\""));
    assert_true(result_passed(result));
    assert_warned(result, "in 1 of 2 prompts a choice joins the last token");
    result_free(result);
    char *text = out_text(fixture);
    json_t *joined = line_of(text, 0), *plain = line_of(text, 1);
    assert_true(json_is_true(json_object_get(joined, "joined")));
    assert_null(json_object_get(plain, "joined"));
    assert_true(fabs(log_of(joined, "cde") - target_of(fixture, "a cab", "de")) < 1e-5);
    assert_true(fabs(log_of(joined, "f") - target_of(fixture, "a cab", "f")) < 1e-5);
    assert_true(fabs(log_of(plain, "cde") - target_of(fixture, "a car", "cde")) < 1e-5);
    json_decref(joined);
    json_decref(plain);
    free(text);
    unlink(fixture->out);
}

/* lm-evaluation-harness itself (tests/oracle/predict/harness.py); skips when the model is not there. */
static void smollm2_scores_borders_as_the_harness_does(void **state) {
    const Fixture *fixture = *state;
    const char *cache = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    char model[1024], path[1200];
    snprintf(model, sizeof model, "%s%s/limn/models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
             cache != NULL  ? cache
             : home != NULL ? home
                            : "",
             cache != NULL ? "" : "/.cache");
    if (!file_exists(model)) {
        print_message("skipped: %s is not there (scripts/models smollm2)\n", model);
        skip();
    }
    json_t *golden;
    snprintf(path, sizeof path, "%s/smollm2-borders.json", golden_folder("predict"));
    must(json_file_load(&golden, path, 1 << 20));
    const json_t *prompts = json_object_get(golden, "prompts"), *choices = json_object_get(golden, "choices");
    TextBuffer data = TEXT_BUFFER_INIT;
    for (size_t i = 0; i < json_array_size(prompts); i++) {
        json_t *record = json_pack("{s:O}", "text", json_array_get(prompts, i));
        char *line = json_dumps(record, JSON_COMPACT);
        text_buffer_printf(&data, "%s\n", line);
        free(line);
        json_decref(record);
    }
    must(file_write_atomic(fixture->data, data.data, data.length));
    text_buffer_free(&data);
    char *list = json_dumps(choices, JSON_COMPACT);
    Result *result;
    must(call_method(&result, "predict",
                     "{\"model\": \"%s\", \"data\": \"%s\", \"prompt-field\": \"text\", \"choices\": %s, "
                     "\"labels\": \"0,1,2,3\", \"decisions\": \"%s\"}",
                     model, fixture->data, list, fixture->out));
    result_free(result);
    free(list);
    char *text = out_text(fixture);
    for (size_t i = 0; i < json_array_size(prompts); i++) {
        json_t *line = line_of(text, (int)i);
        bool joined = json_is_true(json_array_get(json_object_get(golden, "joined"), i));
        assert_int_equal(json_is_true(json_object_get(line, "joined")), joined);
        for (size_t c = 0; c < json_array_size(choices); c++) {
            const json_t *row = json_array_get(json_object_get(golden, "log_probabilities"), i);
            char name[2] = {(char)('0' + c), '\0'};
            double expected = json_number_value(json_array_get(row, c));
            if (!(fabs(log_of(line, name) - expected) <= 5e-4)) {
                fail_msg("prompt %zu, choice %zu: %g, the harness says %g", i, c, log_of(line, name), expected);
            }
        }
        json_decref(line);
    }
    free(text);
    json_decref(golden);
    unlink(fixture->out);
}

/* ---- nothing ---- */

static void no_records_are_no_success(void **state) {
    const Fixture *fixture = *state;
    static const struct {
        const char *data, *more;
    } cases[] = {{"", ""},
                 {"\n\n", ""},
                 {"{\"text\": \"a\"}\n", ", \"where\": \"text == 'b'\""},
                 {"{\"text\": \"a\"}\n", ", \"where\": \"text == 'b'\", \"sample\": 3"},
                 {"", ", \"where\": \"text == 'b'\""}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Result *result;
        char more[128];
        unlink(fixture->out);
        limn_status status = predict(&result, fixture, cases[i].data, cases[i].more);
        if (status != LIMN_USAGE || strstr(error_message(), ": no records") == NULL) {
            fail_msg("case %zu: %d %s", i, (int)status, error_message());
        }
        assert_false(file_exists(fixture->out));
        snprintf(more, sizeof more, "%s, \"allow-empty\": true", cases[i].more);
        must(predict(&result, fixture, cases[i].data, more));
        const ResultCheck *check = check_of(result, "records");
        assert_true(check != NULL && check->value == 0 && check->state != CHECK_PASS);
        assert_false(result_passed(result));
        result_free(result);
    }
    Result *result;
    must(predict(&result, fixture, "{\"text\": \"a\"}\n", ", \"allow-empty\": true"));
    assert_true(result_passed(result) && check_of(result, "records")->value == 1);
    result_free(result);
    unlink(fixture->out);
    assert_int_equal(call_method(&result, "diff",
                                 "{\"model\": \"%s\", \"other\": \"%s\", \"data\": \"%s\", \"where\": \"text == 'b'\"}",
                                 fixture->letters, fixture->letters, fixture->data),
                     LIMN_USAGE);
    assert_non_null(strstr(error_message(), ": no records that --where leaves"));
}

/* The same rows for every command that takes a data set. */
static void diff_skips_records_too(void **state) {
    const Fixture *fixture = *state;
    Result *result;
    must(file_write_atomic(fixture->data, mixed, strlen(mixed)));
    const char *form = "{\"model\": \"%s\", \"other\": \"%s\", \"data\": \"%s\", \"target\": \"f\"%s}";
    assert_int_equal(call_method(&result, "diff", form, fixture->letters, fixture->letters, fixture->data, ""),
                     LIMN_FORMAT);
    must(call_method(&result, "diff", form, fixture->letters, fixture->letters, fixture->data,
                     ", \"on-error\": \"skip\", \"limit\": 100"));
    assert_true(check_of(result, "skipped")->value == 5); /* of labels it knows nothing */
    result_free(result);
    assert_int_equal(call_method(&result, "diff",
                                 "{\"model\": \"%s\", \"other\": \"%s\", \"on-error\": \"skip\", \"prompt\": \"a\"}",
                                 fixture->letters, fixture->letters),
                     LIMN_USAGE);
    assert_non_null(strstr(error_message(), "'on-error' goes with --data"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_surest_mistakes_are_shown),
        cmocka_unit_test(bad_records_are_skipped_and_said),
        cmocka_unit_test(a_stopped_run_is_gone_on_with),
        cmocka_unit_test(samples_pass_over_bad_records),
        cmocka_unit_test(long_prompts_are_cut),
        cmocka_unit_test(a_file_belongs_to_its_way_of_cutting),
        cmocka_unit_test(joining_choices_are_scored_as_the_harness_does),
        cmocka_unit_test(smollm2_scores_borders_as_the_harness_does),
        cmocka_unit_test(no_records_are_no_success),
        cmocka_unit_test(diff_skips_records_too),
    };
    return cmocka_run_group_tests_name("predict on records", tests, set_up, tear_down);
}
