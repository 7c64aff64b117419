#include "files/json.h"

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
        cmocka_unit_test(test_numbers), cmocka_unit_test(test_other_types),
        cmocka_unit_test(test_syntax),  cmocka_unit_test(test_integers_without_end),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
