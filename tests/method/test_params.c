/* Parameters from JSON by rows: every kind, every refusal, and back. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/amount.h"
#include "base/nearest.h"
#include "call/params.h"

#include <cmocka.h> /* last: it has a macro named fail */

typedef struct Sample {
    Text model;
    Text prompt;
    double rate;
    int64_t count;
    bool flag;
    int32_t colour;
    ParamIds ids;
    size_t memory;
    ParamTexts stop;
    Text out;
} Sample;

static const limn_param rows[] = {
    {"model", 0, LIMN_PARAM_FILE, .positional = true, .required = true, .metavar = "MODEL",
     .field = offsetof(Sample, model)},
    {"prompt", 'p', LIMN_PARAM_TEXT, .field = offsetof(Sample, prompt)},
    {"rate", 0, LIMN_PARAM_NUMBER, .default_text = "0.5", .minimum = 0, .maximum = 1, .field = offsetof(Sample, rate)},
    {"count", 0, LIMN_PARAM_INTEGER, .minimum = -3, .maximum = 9, .field = offsetof(Sample, count)},
    {"flag", 0, LIMN_PARAM_FLAG, .field = offsetof(Sample, flag)},
    {"colour", 0, LIMN_PARAM_CHOICE, .default_text = "green", .choices = "red|green|blue",
     .field = offsetof(Sample, colour)},
    {"ids", 0, LIMN_PARAM_IDS, .field = offsetof(Sample, ids)},
    {"memory", 0, LIMN_PARAM_BYTES, .field = offsetof(Sample, memory)},
    {"stop", 0, LIMN_PARAM_TEXT, .repeated = true, .field = offsetof(Sample, stop)},
    {"output", 'o', LIMN_PARAM_OUTPUT, .field = offsetof(Sample, out)},
};
enum { N_ROWS = sizeof rows / sizeof rows[0] };

typedef struct Fixture {
    Arena arena;
    Sample sample;
} Fixture;

static int set_up(void **state) {
    Fixture *fixture = calloc(1, sizeof *fixture);
    arena_init(&fixture->arena);
    *state = fixture;
    return 0;
}

static int tear_down(void **state) {
    Fixture *fixture = *state;
    arena_free(&fixture->arena);
    free(fixture);
    return 0;
}

static limn_status fill(Fixture *fixture, const char *json) {
    memset(&fixture->sample, 0, sizeof fixture->sample);
    json_t *object = json_loads(json, JSON_ALLOW_NUL, NULL);
    assert_non_null(object);
    limn_status status = params_check_names("sample", rows, N_ROWS, NULL, 0, object);
    if (status == LIMN_OK) {
        status = params_fill(&fixture->sample, "sample", rows, N_ROWS, object, &fixture->arena);
    }
    json_decref(object);
    return status;
}

static void refuses(Fixture *fixture, const char *json, limn_status expected, const char *words) {
    assert_int_equal(fill(fixture, json), expected);
    if (strstr(error_message(), words) == NULL) {
        fail_msg("message '%s' does not say '%s'", error_message(), words);
    }
}

static void defaults_and_absence(void **state) {
    Fixture *fixture = *state;
    assert_int_equal(fill(fixture, "{\"model\": \"m\"}"), LIMN_OK);
    const Sample *sample = &fixture->sample;
    assert_string_equal(sample->model.bytes, "m");
    assert_null(sample->prompt.bytes);
    assert_true(sample->rate == 0.5);
    assert_true(sample->count == PARAM_NO_INTEGER);
    assert_false(sample->flag);
    assert_int_equal(sample->colour, 1);
    assert_null(sample->ids.ids);
    assert_int_equal(sample->memory, 0);
    assert_int_equal(sample->stop.n, 0);
}

static void typed_and_typed_on_a_line(void **state) {
    Fixture *fixture = *state;
    const char *const forms[] = {
        "{\"model\": \"m\", \"prompt\": \"a\\u0000b\", \"rate\": 0.25, \"count\": -3, \"flag\": true,"
        " \"colour\": \"blue\", \"ids\": [1, -2, 3], \"memory\": \"2K\", \"stop\": [\"x\", \"y,z\"]}",
        "{\"model\": \"m\", \"prompt\": {\"hex\": \"610062\"}, \"rate\": \"0.25\", \"count\": \"-3\","
        " \"flag\": \"true\", \"colour\": \"blue\", \"ids\": \"1, -2,3\", \"memory\": 2048, \"stop\": [\"x\", "
        "\"y,z\"]}"};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fill(fixture, forms[i]), LIMN_OK);
        const Sample *sample = &fixture->sample;
        assert_int_equal(sample->prompt.length, 3);
        assert_memory_equal(sample->prompt.bytes, "a\0b", 4);
        assert_true(sample->rate == 0.25);
        assert_true(sample->count == -3);
        assert_true(sample->flag);
        assert_int_equal(sample->colour, 2);
        assert_int_equal(sample->ids.n, 3);
        assert_int_equal(sample->ids.ids[1], -2);
        assert_int_equal(sample->memory, 2048);
        assert_int_equal(sample->stop.n, 2);
        assert_string_equal(sample->stop.items[1].bytes, "y,z");
    }
}

static void refusals(void **state) {
    Fixture *fixture = *state;
    refuses(fixture, "{}", LIMN_USAGE, "sample needs MODEL");
    refuses(fixture, "{\"model\": \"m\", \"promt\": \"x\"}", LIMN_USAGE, "no option 'promt'; nearest: 'prompt'");
    refuses(fixture, "{\"model\": \"m\", \"rate\": 2}", LIMN_RANGE, "from 0 to 1");
    refuses(fixture, "{\"model\": \"m\", \"rate\": \"fast\"}", LIMN_USAGE, "found 'fast', expected a number");
    refuses(fixture, "{\"model\": \"m\", \"rate\": \"nan\"}", LIMN_USAGE, "finite");
    refuses(fixture, "{\"model\": \"m\", \"count\": 10}", LIMN_RANGE, "found 10");
    refuses(fixture, "{\"model\": \"m\", \"count\": \"1.5\"}", LIMN_USAGE, "whole number");
    refuses(fixture, "{\"model\": \"m\", \"count\": \"99999999999999999999\"}", LIMN_RANGE, "64 bits");
    refuses(fixture, "{\"model\": \"m\", \"flag\": 1}", LIMN_USAGE, "true or false");
    refuses(fixture, "{\"model\": \"m\", \"colour\": \"gree\"}", LIMN_USAGE, "one of red|green|blue");
    refuses(fixture, "{\"model\": \"m\", \"ids\": \"1,,2\"}", LIMN_USAGE, "commas between");
    refuses(fixture, "{\"model\": \"m\", \"ids\": \"\"}", LIMN_USAGE, "commas between");
    refuses(fixture, "{\"model\": \"m\", \"ids\": [1, \"2\"]}", LIMN_USAGE, "array of whole numbers");
    refuses(fixture, "{\"model\": \"m\", \"ids\": [4294967296]}", LIMN_RANGE, "32 bits");
    refuses(fixture, "{\"model\": \"m\", \"memory\": \"lots\"}", LIMN_USAGE, "found 'lots'");
    refuses(fixture, "{\"model\": \"m\", \"memory\": \"-1G\"}", LIMN_USAGE, "found '-1G'");
    refuses(fixture, "{\"model\": \"m\", \"memory\": \"1\"}", LIMN_USAGE, "found 1 byte, expected 1K or more");
    refuses(fixture, "{\"model\": \"m\", \"memory\": 1}", LIMN_USAGE, "found 1 byte, expected 1K or more");
    refuses(fixture, "{\"model\": \"\"}", LIMN_USAGE, "empty name");
    refuses(fixture, "{\"model\": \"a\\u0000b\"}", LIMN_USAGE, "NUL");
    refuses(fixture, "{\"model\": 3}", LIMN_USAGE, "found an integer, expected a text");
    refuses(fixture, "{\"model\": \"m\", \"prompt\": {\"hex\": \"6\"}}", LIMN_USAGE, "hex digits");
    refuses(fixture, "{\"model\": \"m\", \"prompt\": {}}", LIMN_USAGE, "without 'hex'");
}

static void amounts_of_memory(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t bytes;
    } cases[] = {{"512M", (size_t)512 << 20}, {"2GiB", (size_t)2 << 30}, {"1.5g", (size_t)3 << 29},
                 {"1000000", 1000000},        {"7kb", 7 << 10},          {"min", PARAM_BYTES_LEAST}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t bytes = 0;
        assert_int_equal(params_parse_bytes(&bytes, "memory", cases[i].text), LIMN_OK);
        assert_int_equal(bytes, cases[i].bytes);
    }
    size_t bytes;
    assert_int_equal(params_parse_bytes(&bytes, "memory", "9e30"), LIMN_RANGE);
    assert_int_equal(params_parse_bytes(&bytes, "memory", "1X"), LIMN_USAGE);
    static const char *const forgotten[][2] = {
        {"1", "found 1 byte,"}, {"2", "found 2 bytes,"}, {"1023B", "1023 bytes,"}};
    for (size_t i = 0; i < sizeof forgotten / sizeof forgotten[0]; i++) { /* of a unit */
        assert_int_equal(params_parse_bytes(&bytes, "memory", forgotten[i][0]), LIMN_USAGE);
        assert_non_null(strstr(error_message(), forgotten[i][1]));
    }
}

/* A figure that a refusal names is accepted when it is given back; one that says what is allowed is not more than it.
 */
static void printed_amounts_read_back(void **state) {
    (void)state;
    static const struct {
        size_t bytes;
        const char *needed, *allowed;
    } cases[] = {{1024, "1K", "1K"},
                 {1025, "1.01K", "1K"},
                 {298 << 10, "298K", "298K"},
                 {(298 << 10) + 300, "298.3K", "298.29K"},
                 {(1 << 20) - 1, "1024K", "1023.99K"},
                 {537919488, "513M", "513M"},
                 {537919489, "513.01M", "513M"},
                 {(size_t)3 << 29, "1.5G", "1.5G"},
                 {SIZE_MAX >> 2, "4194304T", "4194303.99T"}};
    char text[AMOUNT_TEXT_MAX];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_equal(amount_needed(text, cases[i].bytes), cases[i].needed);
        assert_string_equal(amount_allowed(text, cases[i].bytes), cases[i].allowed);
    }
    for (size_t bytes = 1024; bytes < (size_t)1 << 50; bytes += bytes / 13 + 1) {
        size_t back;
        assert_int_equal(params_parse_bytes(&back, "memory", amount_needed(text, bytes)), LIMN_OK);
        assert_true(back >= bytes && back - bytes <= bytes / 100 + 1);
        char given[AMOUNT_TEXT_MAX];
        assert_string_equal(amount_allowed(given, back), text); /* said again as it was given */
        assert_int_equal(params_parse_bytes(&back, "memory", amount_allowed(text, bytes)), LIMN_OK);
        assert_true(back <= bytes && bytes - back <= bytes / 100 + 1);
    }
}

/* What is recorded fills the struct to the same values again. */
static void record_and_fill_again(void **state) {
    Fixture *fixture = *state;
    assert_int_equal(fill(fixture, "{\"model\": \"m\", \"prompt\": {\"hex\": \"ff00\"}, \"count\": 4, \"flag\": true,"
                                   " \"ids\": [5, 6], \"stop\": \"one\", \"output\": \"file\"}"),
                     LIMN_OK);
    json_t *record = json_object();
    assert_int_equal(params_record(record, &fixture->sample, rows, N_ROWS), LIMN_OK);
    char *text = json_dumps(record, JSON_COMPACT);
    assert_string_equal(text, "{\"model\":\"m\",\"prompt\":{\"hex\":\"ff00\"},\"rate\":0.5,\"count\":4,\"flag\":true,"
                              "\"colour\":\"green\",\"ids\":[5,6],\"stop\":[\"one\"]}");
    assert_int_equal(fill(fixture, text), LIMN_OK);
    json_t *again = json_object();
    assert_int_equal(params_record(again, &fixture->sample, rows, N_ROWS), LIMN_OK);
    assert_true(json_equal(record, again));
    json_t *closed = json_array(); /* takes no key, as an object without memory would not */
    assert_int_equal(params_record(closed, &fixture->sample, rows, N_ROWS), LIMN_NO_MEMORY);
    assert_string_equal(error_message(), "no memory to record the option 'model'");
    json_decref(closed);
    json_decref(record);
    json_decref(again);
    free(text);
}

static const char *name_at(const void *context, size_t index) {
    return ((const char *const *)context)[index];
}

static void nearest_first(void **state) {
    (void)state;
    static const char *const names[] = {"blocks.0.hook_resid_pre", "blocks.0.hook_resid_post", "hook_embed",
                                        "blocks.1.hook_resid_post"};
    char out[256];
    nearest_names(out, sizeof out, NEAREST_USUAL, "hook_embde", name_at, names, 4);
    assert_ptr_equal(strstr(out, "'hook_embed'"), out);
    nearest_names(out, sizeof out, NEAREST_USUAL, "blocks.1.resid_post", name_at, names, 4);
    assert_ptr_equal(strstr(out, "'blocks.1.hook_resid_post'"), out);
    nearest_names(out, sizeof out, NEAREST_USUAL, "x", name_at, names, 0);
    assert_string_equal(out, "");
    char small[16];
    nearest_names(small, sizeof small, NEAREST_USUAL, "hook_embed", name_at, names, 4);
    assert_true(strlen(small) < sizeof small);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(defaults_and_absence, set_up, tear_down),
        cmocka_unit_test_setup_teardown(typed_and_typed_on_a_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refusals, set_up, tear_down),
        cmocka_unit_test(amounts_of_memory),
        cmocka_unit_test(printed_amounts_read_back),
        cmocka_unit_test_setup_teardown(record_and_fill_again, set_up, tear_down),
        cmocka_unit_test(nearest_first),
    };
    return cmocka_run_group_tests_name("params", tests, NULL, NULL);
}
