#include "base/random.h"
#include "base/utf8.h"
#include "result/json.h"
#include "result/sample.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include <cmocka.h>

static char *written(const Result *result, bool measured) {
    TextBuffer out = TEXT_BUFFER_INIT;
    assert_int_equal(result_write_json(&out, result, measured), LIMN_OK);
    char *text = text_buffer_take(&out);
    assert_non_null(text);
    return text;
}

static Result *read_back(const char *json) {
    Result *result;
    if (result_read_json(&result, json, strlen(json), "document") != LIMN_OK) {
        fail_msg("%s", error_message());
    }
    return result;
}

/* LIMN_UPDATE_GOLDEN=1 writes the file anew. */
static void compare_with_golden(Result *result, const char *path) {
    char *text = written(result, true);
    if (getenv("LIMN_UPDATE_GOLDEN") != NULL) {
        FILE *file = fopen(path, "wb");
        assert_non_null(file);
        fputs(text, file);
        fclose(file);
    }
    size_t length;
    char *golden = read_file(path, &length);
    assert_string_equal(text, golden);
    Result *again = read_back(text);
    char *second = written(again, true);
    assert_string_equal(second, text);
    free(second);
    result_free(again);
    free(golden);
    free(text);
    result_free(result);
}

static void test_golden(void **state) {
    compare_with_golden(sample_result(), LIMN_TEST_SOURCE_DIR "/tests/result/golden/sample.json");
    compare_with_golden(sample_report(), LIMN_TEST_SOURCE_DIR "/tests/result/golden/report.json");
}

/* What is copied is written as the original is, but for its id and what ties its tokens to an input. */
static void test_copies(void **state) {
    Result *sample = sample_result(), *copy;
    assert_int_equal(result_new(&copy, "m", "M"), LIMN_OK);
    for (int32_t i = 0; i < sample->n_blocks; i++) {
        TextBuffer first = TEXT_BUFFER_INIT, second = TEXT_BUFFER_INIT;
        result_copy_block(copy, &sample->blocks[i], sample->blocks[i].id);
        if (sample->blocks[i].kind == BLOCK_TOKENS) {
            TokensBlock *tokens = sample->blocks[i].content;
            for (int32_t j = 0; j < tokens->n; j++) {
                tokens->items[j].input = -1;
            }
        }
        assert_int_equal(result_write_block(&first, sample, i), LIMN_OK);
        assert_int_equal(result_write_block(&second, copy, i), LIMN_OK);
        assert_string_equal(first.data, second.data);
        text_buffer_free(&first);
        text_buffer_free(&second);
    }
    result_free(sample);
    assert_int_equal(result_status(copy), LIMN_OK); /* whose texts are its own */
    char *text = written(copy, false);
    assert_non_null(strstr(text, "What each token did"));
    free(text);
    result_add_section(copy, "s", "S", SECTION_LEVELS + 1);
    assert_int_equal(result_status(copy), LIMN_INTERNAL);
    result_free(copy);
}

static void test_same_bytes_every_time(void **state) {
    Result *first = sample_result(), *second = sample_result();
    char *a = written(first, true), *b = written(second, true);
    assert_string_equal(a, b);
    assert_non_null(strstr(a, "\"measured\""));
    char *c = written(first, false);
    assert_null(strstr(c, "\"measured\""));
    free(a);
    free(b);
    free(c);
    result_free(first);
    result_free(second);
}

static void test_round_trip(void **state) {
    Result *result = sample_result();
    char *text = written(result, true);
    Result *again = read_back(text);
    char *second = written(again, true);
    assert_string_equal(text, second);

    const TokensBlock *tokens = result_find_block(again, "attribution")->content;
    assert_int_equal(tokens->items[6].bytes.length, 2);
    assert_memory_equal(tokens->items[6].bytes.bytes, "\xE4\xB8", 2);
    assert_true(tokens->items[5].score == (double)0.1f || fabs(tokens->items[5].score - 0.1) < 1e-9);
    assert_true(tokens->items[6].score == 1.0 / 3);
    assert_true(isnan(tokens->items[1].spread));
    assert_int_equal(again->target.n_ids, 2);
    assert_int_equal(again->contrast.ids[0], 9);
    assert_int_equal(result_verdict(again), CHECK_FAIL);
    char *request;
    assert_int_equal(result_request_json(&request, again), LIMN_OK);
    json_t *json = json_loads(request, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(json, "prompt")), "When Mary");
    json_decref(json);
    free(request);
    free(second);
    free(text);
    result_free(again);
    result_free(result);
}

static void test_numbers(void **state) {
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0, "0.0"},
                 {-0.0, "0.0"},
                 {1, "1.0"},
                 {0.1, "0.1"},
                 {(double)0.1f, "0.1"},
                 {1.0 / 3, "0.3333333333333333"},
                 {(double)(1.0f / 3), "0.33333334"},
                 {1e30, "1e+30"},
                 {-2.5, "-2.5"},
                 {123456789, "123456789.0"},
                 {0.00001234, "0.00001234"},
                 {-1.5e-6, "-1.5e-06"},
                 {120, "120.0"},
                 {1e15, "1e+15"},
                 {2.5e17, "2.5e+17"},
                 {(double)NAN, "null"},
                 {(double)INFINITY, "null"},
                 {(double)FLT_MIN, "1.1754944e-38"}};
    char text[NUMBER_TEXT_MAX];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        number_text(text, cases[i].value);
        assert_string_equal(text, cases[i].text);
    }
    Random random;
    random_seed(&random, 1);
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = random_bits(&random);
        double value;
        memcpy(&value, &bits, sizeof value);
        uint32_t low = (uint32_t)bits;
        float single;
        memcpy(&single, &low, sizeof single);
        if (isfinite(value)) {
            number_text(text, value);
            assert_true(strtod(text, NULL) == value);
        }
        if (isfinite(single)) {
            number_text(text, (double)single);
            assert_true(strtof(text, NULL) == single);
            char again[NUMBER_TEXT_MAX];
            number_text(again, strtod(text, NULL));
            assert_string_equal(text, again);
        }
    }
}

static void test_failure_sticks(void **state) {
    Result *result;
    assert_int_equal(result_new(&result, "m", NULL), LIMN_OK);
    MatrixBlock *matrix = result_add_matrix(result, "a", "A", 2, 2);
    assert_non_null(matrix);
    matrix_set(matrix, 2, 0, 1);
    assert_int_equal(result_status(result), LIMN_INTERNAL);
    assert_non_null(strstr(error_message(), "cell 2, 0"));
    assert_null(result_add_tokens(result, "b", "B", 3));
    tokens_set(NULL, 0, "x", 1, 0, TOKEN_SCORED);
    table_row(NULL, NULL);
    result_warn(result, "not kept");
    assert_int_equal(result->n_warnings, 0);
    TextBuffer out = TEXT_BUFFER_INIT;
    assert_int_equal(result_write_json(&out, result, true), LIMN_INTERNAL);
    text_buffer_free(&out);
    result_free(result);

    assert_int_equal(result_new(&result, "m", NULL), LIMN_OK);
    result_add_text(result, "same", "", "", 0, false);
    result_add_text(result, "same", "", "", 0, false);
    assert_int_equal(result_status(result), LIMN_INTERNAL);
    result_free(result);
}

static void test_checks(void **state) {
    static const struct {
        double value;
        CheckKind kind;
        double limit;
        bool pass;
    } cases[] = {{1, CHECK_AT_MOST, 1, true},
                 {1.1, CHECK_AT_MOST, 1, false},
                 {1, CHECK_BELOW, 1, false},
                 {1, CHECK_AT_LEAST, 1, true},
                 {1, CHECK_ABOVE, 1, false},
                 {(double)NAN, CHECK_AT_MOST, 1, false},
                 {(double)INFINITY, CHECK_ABOVE, 1, false}};
    Result *result;
    assert_int_equal(result_new(&result, "m", NULL), LIMN_OK);
    assert_int_equal(result_verdict(result), CHECK_PASS);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        result_check(result, "c", cases[i].value, cases[i].kind, cases[i].limit, "%s", "");
        assert_int_equal(result->checks[i].state == CHECK_PASS, cases[i].pass);
    }
    assert_int_equal(result_verdict(result), CHECK_FAIL);
    result_free(result);
}

/* What does not decide is said unless something failed; what is advisory never has a part in it. */
static void test_verdicts(void **state) {
    Result *result;
    assert_int_equal(result_new(&result, "m", NULL), LIMN_OK);
    result_check(result, "a", 2, CHECK_AT_MOST, 1, "%s", "");
    result_check_advisory(result);
    assert_int_equal(result_verdict(result), CHECK_PASS);
    result_check_inconclusive(result, "b", 0, CHECK_AT_MOST, 1, "%s", "");
    assert_int_equal(result_verdict(result), CHECK_INCONCLUSIVE);
    result_check(result, "c", 2, CHECK_AT_MOST, 1, "%s", "");
    assert_int_equal(result_verdict(result), CHECK_FAIL);
    result_free(result);
}

static void test_param_set_twice(void **state) {
    Result *result;
    assert_int_equal(result_new(&result, "m", NULL), LIMN_OK);
    for (int i = 0; i < 40; i++) {
        char name[16];
        snprintf(name, sizeof name, "p%d", i % 20);
        result_param_integer(result, name, i);
    }
    assert_int_equal(result->params.count, 20);
    assert_int_equal(result->params.items[3].value.integer, 23);
    result_free(result);
}

/* ---- reading what is broken ---- */

static void refused(const char *json, const char *part) {
    Result *result;
    limn_status status = result_read_json(&result, json, strlen(json), "x.json");
    if (status == LIMN_OK || strstr(error_message(), part) == NULL || strstr(error_message(), "x.json") == NULL) {
        fail_msg("status %d, \"%s\", expected a refusal with \"%s\"", (int)status, error_message(), part);
    }
    assert_null(result);
}

/* The sample with one text replaced by another. */
static void refused_with(const char *old, const char *new, const char *part) {
    Result *result = sample_result();
    char *text = written(result, true);
    char *at = strstr(text, old);
    if (at == NULL) {
        fail_msg("the sample has no %s", old);
    }
    size_t size = strlen(text) + strlen(new) + 1;
    char *changed = malloc(size);
    snprintf(changed, size, "%.*s%s%s", (int)(at - text), text, new, at + strlen(old));
    refused(changed, part);
    free(changed);
    free(text);
    result_free(result);
}

static void test_broken_documents(void **state) {
    refused("", "line 1");
    refused("[1]", "format is absent");
    refused("<!doctype html><p>hello</p>", "a page without a result document");
    refused(RESULT_IN_PAGE "{\"format\": 1}", "format is absent");
    refused("{\"format\": \"limn.result/9\"}", "limn.result/9");
    refused("{\"format\": \"limn.result/1\"}", "method: expected an object, found nothing");
    refused_with("\"id\": 100", "\"id\": \"100\"", "input.tokens.id: expected an integer, found a string");
    refused_with("\"id\": 100", "\"id\": 99999999999", "not within");
    refused_with("\"begin\": 0, \"end\": 1, \"score\"", "\"begin\": 0, \"end\": 12, \"score\"",
                 "ends at item 12 of 11");
    refused_with("\"kind\": \"matrix\"", "\"kind\": \"picture\"", "\"picture\" is not one of those known");
    refused_with("[-1.0, -0.5, 0.0]", "[-1.0, -0.5]", "row 0 of values does not have 3 numbers");
    refused_with("[0.5, 1.0, null]", "[0.5, 1.0, \"x\"]", "values: expected numbers or null, found a string");
    refused_with(",\n    [0.5, 1.0, null]", "", "1 rows of values, expected 2");
    refused_with("1e-06, false, null]", "1e-06, false]", "row 1 does not have 7 cells");
    refused_with("\"id\": \"matrix\"", "\"id\": \"strongest\"", "two blocks named strongest");
    refused_with("\"ids\": [7, 8]", "\"ids\": [7, 8.5]", "ids: expected token ids, found a number");
    refused_with("\"seed\": 42", "\"seed\": \"42x\"", "seed: expected a number of 64 bits");
    refused_with("\"seed\": 42", "\"seed\": \"99999999999999999999\"", "seed: expected a number of 64 bits");
    refused_with("\"seed\": 42", "\"seed\": -1", "provenance.seed");
    refused_with("\"threads\": 2", "\"threads\": 2, \"adapters\": {}", "adapters: expected an array");
    refused_with("\"threads\": 2", "\"threads\": 2, \"adapters\": [1]", "adapters: expected objects");
    refused_with("\"threads\": 2", "\"threads\": 2, \"edits\": 3", "edits: expected an array");
    refused_with("\"threads\": 2", "\"threads\": 2, \"edits\": [[]]", "edits: expected objects");
    char deep[600], *at = stpcpy(deep, "\"baseline\": ");
    memset(at, '[', 200);
    at = stpcpy(at + 200, "1");
    memset(at, ']', 200);
    at[200] = '\0';
    refused_with("\"baseline\": [7, 8]", deep, "nested deeper than");
    refused_with("\"from\": 0", "\"from\": 2", "not within 0..1");
    refused_with("\"pass\": false", "\"pass\": true", "checks");
    refused_with("\"pass\": false, \"state\": \"fail\"", "\"pass\": true, \"state\": \"pass\"", "checks");
    refused_with("\"y\": [0.9, ", "\"y\": [", "3 numbers, expected 4");
    refused_with("\"base64\": \"5Lg=\"", "\"base64\": \"5L*=\"", "expected base64");
    refused_with("\"state\": \"fixed\"", "\"state\": \"free\"", "\"free\" is not one of those known");
    refused_with("\"threads\": 2", "\"threads\": -2", "provenance.threads");
    refused_with("\"steps\": 32", "\"steps\": 32, \"steps\": 33", "duplicate");
}

/* Any one byte changed: read or refused, never worse (the sanitizers watch). */
static void test_changed_bytes(void **state) {
    Result *result = sample_result();
    char *text = written(result, true);
    size_t length = strlen(text);
    Random random;
    random_seed(&random, 3);
    for (int i = 0; i < 2000; i++) {
        size_t at = (size_t)random_below(&random, length);
        char kept = text[at];
        text[at] = (char)random_below(&random, 256);
        Result *read;
        if (result_read_json(&read, text, length, "changed") == LIMN_OK) {
            char *again = written(read, true);
            free(again);
        }
        result_free(read);
        text[at] = kept;
    }
    for (size_t cut = 0; cut < length - 2; cut += 97) { /* what follows is "}\n" */
        Result *read;
        assert_int_equal(result_read_json(&read, text, cut, "cut"), LIMN_FORMAT);
    }
    free(text);
    result_free(result);
}

/* ---- comparison ---- */

static void test_compare(void **state) {
    Result *first = sample_result(), *second = sample_result();
    Comparison comparison;
    Tolerance tolerance = {1e-4, 0};
    second->measured.seconds = 99;
    assert_int_equal(result_compare(&comparison, first, second, tolerance), LIMN_OK);
    assert_true(comparison.same_bytes && comparison.within && comparison.same_environment);
    assert_int_equal(comparison.n_differences, 0);
    comparison_free(&comparison);

    /* Judged against the largest score of the strip, 2.75. */
    TokensBlock *tokens = result_find_block(second, "attribution")->content;
    tokens->items[7].score += 2.75 * 0.9e-4;
    second->provenance.threads = 5;
    assert_int_equal(result_compare(&comparison, first, second, tolerance), LIMN_OK);
    assert_false(comparison.same_bytes);
    assert_false(comparison.same_environment);
    assert_true(comparison.within);
    assert_int_equal(comparison.n_differences, 2);
    assert_string_equal(comparison.differences[0].path, "blocks[0].items[7].score");
    assert_true(fabs(comparison.differences[0].size - 0.9e-4) < 1e-6);
    assert_string_equal(comparison.differences[1].path, "provenance.threads");
    assert_string_equal(comparison.differences[1].second, "5");
    comparison_free(&comparison);

    tokens->items[7].score += 2.75 * 0.2e-4;
    assert_int_equal(result_compare(&comparison, first, second, tolerance), LIMN_OK);
    assert_false(comparison.within);
    assert_string_equal(comparison.largest_path, "blocks[0].items[7].score");
    comparison_free(&comparison);
    result_free(second);

    second = sample_result();
    result_warn(second, "one more");
    assert_int_equal(result_compare(&comparison, first, second, tolerance), LIMN_OK);
    assert_false(comparison.within);
    assert_string_equal(comparison.differences[0].path, "warnings[1]");
    assert_string_equal(comparison.differences[0].first, "(absent)");
    comparison_free(&comparison);
    result_free(second);

    second = sample_result();
    ((int32_t *)(uintptr_t)second->target.ids)[0] = 8; /* integers have no tolerance */
    assert_int_equal(result_compare(&comparison, first, second, (Tolerance){10, 10}), LIMN_OK);
    assert_false(comparison.within);
    comparison_free(&comparison);
    result_free(second);
    result_free(first);
}

/* Numbers of an array are judged against the largest of both arrays, whichever has it; of a strip by its scores. */
static void test_scales(void **state) {
    static const double x[] = {0.5, 1.5}, pairs[][2][2] = {{{1.5, 0.5}, {4.5, 0.75}},
                                                           {{4.5, 0.75}, {1.5, 0.5}},
                                                           {{-4.5, 0.75}, {1.5, 0.5}}};
    for (size_t k = 0; k < 3; k++) {
        Result *made[2];
        for (int i = 0; i < 2; i++) {
            assert_int_equal(result_new(&made[i], "m", "M"), LIMN_OK);
            SeriesBlock *series = result_add_series(made[i], "curve", "Curve", x, 2, "x", "y");
            series_line(series, "a", pairs[k][i], NULL, NULL);
            TokensBlock *strip = result_add_tokens(made[i], "strip", "Strip", 2);
            for (int t = 0; t < 2; t++) {
                tokens_set(strip, t, "t", 1, pairs[k][i][t], TOKEN_SCORED);
            }
            assert_int_equal(result_status(made[i]), LIMN_OK);
        }
        Comparison comparison;
        assert_int_equal(result_compare(&comparison, made[0], made[1], (Tolerance){0.06, 0}), LIMN_OK);
        assert_int_equal(comparison.n_differences, 4);
        for (int d = 0; d < 4; d++) { /* a quarter of 4.5, and what has the other sign is further off than all of it */
            const Difference *one = &comparison.differences[d];
            double expected = d % 2 == 1 ? 0.25 / 4.5 : fabs(pairs[k][0][0] - pairs[k][1][0]) / 4.5;
            assert_true(fabs(one->size - expected) < 1e-12);
            assert_int_equal(one->tolerated, d % 2 == 1);
        }
        comparison_free(&comparison);
        assert_int_equal(result_compare(&comparison, made[0], made[1], (Tolerance){0.05, 0.25}), LIMN_OK);
        assert_true(comparison.differences[1].tolerated && comparison.differences[3].tolerated); /* by its own size */
        assert_false(comparison.within);
        comparison_free(&comparison);
        result_free(made[0]);
        result_free(made[1]);
    }
}

static void test_utf8(void **state) {
    static const struct {
        const char *bytes;
        bool valid;
    } cases[] = {
        {"abc", true},       {"\xC3\xA9", true},          {"\xE4\xB8\x8A", true},      {"\xF0\x9F\x98\x80", true},
        {"\xC0\x80", false}, {"\xED\xA0\x80", false},     {"\xF4\x90\x80\x80", false}, {"\x80", false},
        {"\xE4\xB8", false}, {"\xF5\x80\x80\x80", false}, {"\xE0\x80\x80", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(utf8_is_valid(cases[i].bytes, strlen(cases[i].bytes)), cases[i].valid);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),           cmocka_unit_test(test_copies),
        cmocka_unit_test(test_scales),           cmocka_unit_test(test_same_bytes_every_time),
        cmocka_unit_test(test_round_trip),       cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_failure_sticks),   cmocka_unit_test(test_checks),
        cmocka_unit_test(test_verdicts),         cmocka_unit_test(test_param_set_twice),
        cmocka_unit_test(test_broken_documents), cmocka_unit_test(test_changed_bytes),
        cmocka_unit_test(test_compare),          cmocka_unit_test(test_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
