#include "files/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files/helpers.h"

static json_t *loaded(const char *text) {
    json_t *json;
    assert_ok(json_text_load(&json, "config.json", text, strlen(text)));
    return json;
}

static void test_numbers(void **state) {
    json_t *root = loaded("{\"n\": 3, \"whole\": 4.0, \"half\": 0.5, \"none\": null, \"text\": \"7\", \"minus\": -1}");
    int64_t n;
    double x;
    assert_ok(json_need_integer(&n, root, "config.json", "n", 1, 9));
    assert_int_equal(n, 3);
    assert_ok(json_need_integer(&n, root, "config.json", "whole", 1, 9));
    assert_int_equal(n, 4);
    assert_ok(json_take_integer(&n, root, "config.json", "none", 1, 9, 77));
    assert_int_equal(n, 77);
    assert_ok(json_take_integer(&n, root, "config.json", "absent", 1, 9, 78));
    assert_int_equal(n, 78);
    assert_refused(json_need_integer(&n, root, "config.json", "n", 4, 9), LIMN_FORMAT, "config.json: 'n'",
                   "the integer 3", "from 4 to 9");
    assert_refused(json_take_integer(&n, root, "config.json", "minus", 0, INT64_MAX, 5), LIMN_FORMAT, "the integer -1",
                   "of 0 or more");
    assert_refused(json_need_integer(&n, root, "config.json", "half", 0, 9), LIMN_FORMAT, "'half'", "the number 0.5");
    assert_refused(json_need_integer(&n, root, "config.json", "text", INT64_MIN, INT64_MAX), LIMN_FORMAT,
                   "the text '7'", "expected an integer");
    assert_refused(json_need_integer(&n, root, "config.json", "absent", 0, 9), LIMN_FORMAT, "'absent' is missing");
    assert_refused(json_need_integer(&n, root, "config.json", "none", 0, 9), LIMN_FORMAT, "'none' is null");
    assert_refused(json_need_integer(&n, json_object_get(root, "n"), "config.json: rope", "theta", 0, 9), LIMN_FORMAT,
                   "config.json: rope: the integer 3, expected an object with 'theta'");
    assert_refused(json_need_integer(&n, NULL, "config.json", "n", 0, 9), LIMN_FORMAT, "nothing", "an object");
    assert_ok(json_need_real(&x, root, "config.json", "n"));
    assert_true(x == 3.0);
    assert_ok(json_take_real(&x, root, "config.json", "absent", 1e-5));
    assert_true(x == 1e-5);
    assert_refused(json_take_real(&x, root, "config.json", "text", 1.0), LIMN_FORMAT, "a number");
    json_decref(root);
}

/* Bounds are meant with their ends; a real is a whole number where a double can tell (below 2^53). */
static void test_bounds(void **state) {
    static const struct {
        const char *number;
        int64_t minimum, maximum;
        bool fits;
        const char *expected;
    } cases[] = {
        {"4", 4, 9, true, NULL},
        {"9", 4, 9, true, NULL},
        {"3", 4, 9, false, "'n' is the integer 3, expected an integer from 4 to 9"},
        {"10", 4, 9, false, "expected an integer from 4 to 9"},
        {"-9223372036854775808", INT64_MIN, INT64_MAX, true, NULL},
        {"9223372036854775807", INT64_MIN, INT64_MAX, true, NULL},
        {"9223372036854775807", 0, INT64_MAX - 1, false, "expected an integer from 0 to 9223372036854775806"},
        {"-1", 0, INT64_MAX, false, "expected an integer of 0 or more"},
        {"1", INT64_MIN, 0, false, "expected an integer from -9223372036854775808 to 0"},
        {"9007199254740991.0", 0, INT64_MAX, true, NULL},
        {"9007199254740992.0", 0, INT64_MAX, false, "an integer of 0 or more"},
        {"-9007199254740991.0", INT64_MIN, 0, true, NULL},
        {"-9007199254740992.0", INT64_MIN, INT64_MAX, false, "expected an integer"},
        {"1e3", 0, 1000, true, NULL},
        {"-2.0", -2, 0, true, NULL},
        {"1e300", 0, INT64_MAX, false, "an integer of 0 or more"},
        {"0.5", 0, 1, false, "the number 0.5"},
        {"true", 0, 1, false, "'n' is true"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[64];
        int64_t found = 77;
        snprintf(text, sizeof text, "{\"n\": %s}", cases[i].number);
        json_t *root = loaded(text);
        limn_status status = json_need_integer(&found, root, "c", "n", cases[i].minimum, cases[i].maximum);
        if (cases[i].fits) {
            assert_ok(status);
            const json_t *n = json_object_get(root, "n");
            assert_true(json_is_integer(n) ? found == json_integer_value(n) : (double)found == json_real_value(n));
        } else {
            assert_refused(status, LIMN_FORMAT, cases[i].expected);
            assert_int_equal(found, 77);
        }
        json_decref(root);
    }
}

/* Integers past 64 bits between < and >; nothing else is touched, and it ends at its length. */
static void test_long_integers_are_marked(void **state) {
    static const struct {
        const char *text;
        size_t length; /* 0: all */
        const char *marked;
        size_t n;
    } cases[] = {
        {"9223372036854775807", 0, "9223372036854775807", 0},
        {"9223372036854775808", 0, "<9223372036854775808>", 1},
        {"-9223372036854775808", 0, "-9223372036854775808", 0},
        {"-9223372036854775809", 0, "<-9223372036854775809>", 1},
        {"[10000000000000000000,0,99999999999999999999]", 0, "[<10000000000000000000>,0,<99999999999999999999>]", 2},
        {"99999999999999999999.5 99999999999999999999e3 99999999999999999999E3", 0,
         "99999999999999999999.5 99999999999999999999e3 99999999999999999999E3", 0},
        {"0.99999999999999999999 1e+99999999999999999999 1e-99999999999999999999 1E99999999999999999999", 0,
         "0.99999999999999999999 1e+99999999999999999999 1e-99999999999999999999 1E99999999999999999999", 0},
        {"\"99999999999999999999 \\\" 99999999999999999999\" 99999999999999999999", 0,
         "\"99999999999999999999 \\\" 99999999999999999999\" <99999999999999999999>", 1},
        {"\"a\\\\\"99999999999999999999", 0, "\"a\\\\\"<99999999999999999999>", 1},
        {"099999999999999999999", 0, "099999999999999999999", 0}, /* no JSON */
        {"99999999999999999999", 19, "<9999999999999999999>", 1},
        {"99999999999999999999", 18, "999999999999999999", 0},
        {"99999999999999999999.5", 20, "<99999999999999999999>", 1},
        {"- 1 -", 0, "- 1 -", 0},
        {"", 0, "", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        TextBuffer out = TEXT_BUFFER_INIT;
        text_buffer_add(&out, "");
        size_t length = cases[i].length > 0 ? cases[i].length : strlen(cases[i].text);
        size_t n = json_rewrite_integers(&out, cases[i].text, length, "<", ">");
        if (strcmp(out.data, cases[i].marked) != 0 || n != cases[i].n) {
            fail_msg("%s: %s, %zu of them", cases[i].text, out.data, n);
        }
        text_buffer_free(&out);
    }
}

static void test_other_types(void **state) {
    json_t *root = loaded("{\"yes\": true, \"text\": \"abc\", \"nul\": \"a\\u0000b\", \"list\": [1], \"map\": {}}");
    bool flag = false;
    const char *text;
    const json_t *value;
    assert_ok(json_take_bool(&flag, root, "c", "yes", false));
    assert_true(flag);
    assert_ok(json_take_bool(&flag, root, "c", "absent", true));
    assert_true(flag);
    assert_refused(json_take_bool(&flag, root, "c", "text", true), LIMN_FORMAT, "'text'", "true or false");
    assert_ok(json_need_string(&text, root, "c", "text"));
    assert_string_equal(text, "abc");
    assert_ok(json_take_string(&text, root, "c", "absent", "fallback"));
    assert_string_equal(text, "fallback");
    assert_refused(json_need_string(&text, root, "c", "nul"), LIMN_FORMAT, "'nul'", "NUL");
    assert_refused(json_need_string(&text, root, "c", "list"), LIMN_FORMAT, "'list' is an array", "a text");
    assert_ok(json_need_array(&value, root, "c", "list"));
    assert_int_equal(json_array_size(value), 1);
    assert_ok(json_take_array(&value, root, "c", "absent"));
    assert_null(value);
    assert_refused(json_need_array(&value, root, "c", "absent"), LIMN_FORMAT, "'absent' is missing", "an array");
    assert_refused(json_take_array(&value, root, "c", "map"), LIMN_FORMAT, "'map' is an object", "an array");
    assert_ok(json_need_object(&value, root, "c", "map"));
    assert_ok(json_take_object(&value, root, "c", "absent"));
    assert_null(value);
    assert_refused(json_need_object(&value, root, "c", "list"), LIMN_FORMAT, "an object");
    json_decref(root);
}

static void test_syntax(void **state) {
    json_t *json;
    static const char *const broken[] = {"{\n \"a\": 1,\n}", "",    "{\"a\": NaN}", "{\"a\": \"\xff\"}", "{} trailing",
                                         "{\"a\": 01}",      "[1,", "\"\\ud800\"",  "{\"a\": 1e999}"};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        assert_refused(json_text_load(&json, "x/config.json", broken[i], strlen(broken[i])), LIMN_FORMAT,
                       "x/config.json: line", "column");
        assert_null(json);
    }
    assert_refused(json_text_load(&json, "c", broken[0], strlen(broken[0])), LIMN_FORMAT, "c: line 3, column 1");
    char *deep = malloc(1 << 20);
    assert_non_null(deep);
    memset(deep, '[', 1 << 20);
    assert_refused(json_text_load(&json, "c", deep, 1 << 20), LIMN_FORMAT, "depth");
    free(deep);
}

/* tokenizer_config.json says model_max_length is 1000000000000000019884624838656: Python's way to say "no limit". */
static void test_integers_without_end(void **state) {
    json_t *root = loaded("{\"model_max_length\": 1000000000000000019884624838656, \"id\": 9007199254740993,\n"
                          "\"text\": \"1000000000000000019884624838656 \\\" 99999999999999999999\", \"x\": -1e3,\n"
                          "\"y\": 0.12345678901234567890123, \"list\": [-1000000000000000000000, 5], "
                          "\"tweet\": 1842913370518913027}");
    double x;
    int64_t n;
    const char *text;
    assert_ok(json_need_real(&x, root, "c", "model_max_length"));
    assert_true(x == 1e30);
    assert_ok(json_need_integer(&n, root, "c", "id", 0, INT64_MAX)); /* others stay exact */
    assert_true(n == INT64_C(9007199254740993));
    assert_refused(json_need_integer(&n, root, "c", "model_max_length", 0, INT64_MAX), LIMN_FORMAT, "1e+30");
    assert_ok(json_need_string(&text, root, "c", "text"));
    assert_string_equal(text, "1000000000000000019884624838656 \" 99999999999999999999");
    assert_ok(json_need_real(&x, root, "c", "x"));
    assert_true(x == -1000.0);
    assert_true(json_real_value(json_array_get(json_object_get(root, "list"), 0)) == -1e21);
    assert_ok(json_need_integer(&n, root, "c", "tweet", 0, INT64_MAX)); /* beside one that does not fit */
    assert_true(n == INT64_C(1842913370518913027));
    json_decref(root);
}

static void test_files(void **state) {
    json_t *json;
    write_text(scratch_path("config.json"), "{\"a\": [1, 2]}");
    assert_ok(json_file_load(&json, scratch_path("config.json"), JSON_CONFIG_CAP));
    assert_true(json_is_object(json));
    json_decref(json);
    assert_refused(json_file_load(&json, scratch_path("config.json"), 5), LIMN_FORMAT, "config.json", "13 bytes",
                   "at most 5");
    assert_null(json);
    assert_refused(json_file_load(&json, scratch_path("none.json"), 5), LIMN_NOT_FOUND, "none.json");
    write_text(scratch_path("bad.json"), "{\"a\"\n 1}");
    assert_refused(json_file_load(&json, scratch_path("bad.json"), 100), LIMN_FORMAT, "bad.json: line 2, column 2");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds),  cmocka_unit_test(test_long_integers_are_marked),
        cmocka_unit_test(test_numbers), cmocka_unit_test(test_other_types),
        cmocka_unit_test(test_syntax),  cmocka_unit_test(test_integers_without_end),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
