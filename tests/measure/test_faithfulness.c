/* Infidelity and sensitivity are Captum's (tests/oracle/surrogate); precision and overlap by hand. */
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "measure/faithfulness.h"

#include <cmocka.h> /* last: it has a macro named fail */

enum { MOST = 32 };

static int32_t read_numbers(double *out, const json_t *list) {
    assert_true(json_array_size(list) <= MOST);
    for (size_t i = 0; i < json_array_size(list); i++) {
        out[i] = json_number_value(json_array_get(list, i));
    }
    return (int32_t)json_array_size(list);
}

static void near(double found, double expected) {
    if (!(fabs(found - expected) <= 1e-5 * (1.0 + fabs(expected)))) {
        fail_msg("found %.12g, expected %.12g", found, expected);
    }
}

static void they_are_captums(void **state) {
    json_t *golden = json_load_file(LIMN_TEST_SOURCE_DIR "/tests/golden/surrogate/captum.json", 0, NULL);
    const json_t *one = json_object_get(golden, "faithfulness");
    double predicted[MOST], actual[MOST], scores[MOST], version[MOST], largest = 0.0;
    int32_t n = read_numbers(predicted, json_object_get(one, "predicted"));
    read_numbers(actual, json_object_get(one, "actual"));
    near(infidelity_of(predicted, actual, n, false), json_number_value(json_object_get(one, "plain")));
    near(infidelity_of(predicted, actual, n, true), json_number_value(json_object_get(one, "normalised")));
    int32_t words = read_numbers(scores, json_object_get(one, "scores"));
    const json_t *versions = json_object_get(one, "versions");
    for (size_t v = 0; v < json_array_size(versions); v++) {
        read_numbers(version, json_array_get(versions, v));
        largest = fmax(largest, sensitivity_of(scores, version, words));
    }
    near(largest, json_number_value(json_object_get(one, "sensitivity")));
    json_decref(golden);
}

static void what_has_no_number_is_left_out(void **state) {
    const double scores[] = {3.0, NAN, 4.0, 1.0}, version[] = {3.0, 2.0, 7.0, NAN};
    near(sensitivity_of(scores, version, 4), 3.0 / 5.0);
    const double none[] = {NAN};
    assert_true(isnan(sensitivity_of(none, none, 1)));
}

static void overlap_counts_the_highest(void **state) {
    const double a[] = {5, 4, 3, 2, 1}, b[] = {1, 9, 8, 7, 0};
    double share;
    assert_int_equal(top_overlap(&share, a, b, 5, 3), LIMN_OK);
    near(share, 2.0 / 3.0);
    assert_int_equal(top_overlap(&share, a, b, 5, 9), LIMN_OK);
    near(share, 1.0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(they_are_captums),
                                       cmocka_unit_test(what_has_no_number_is_left_out),
                                       cmocka_unit_test(overlap_counts_the_highest)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
