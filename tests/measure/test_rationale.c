/* Agreement with marked words is ERASER's own (tests/oracle/rationale). */
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "measure/rationale.h"

#include <cmocka.h> /* last: it has a macro named fail */

enum { MOST = 32 };

static void near(double found, double expected) {
    if (!(fabs(found - expected) <= 1e-9)) {
        fail_msg("found %.12g, expected %.12g", found, expected);
    }
}

static double number_of(const json_t *one, const char *name) {
    assert_true(json_is_number(json_object_get(one, name)));
    return json_number_value(json_object_get(one, name));
}

static void they_are_the_benchmarks(void **state) {
    json_t *golden = json_load_file(LIMN_TEST_SOURCE_DIR "/tests/golden/rationale/eraser.json", 0, NULL), *one;
    double precisions = 0.0, recalls = 0.0;
    size_t i, tied = 0, cases = json_array_size(json_object_get(golden, "cases"));
    assert_true(cases >= 10);
    json_array_foreach(json_object_get(golden, "cases"), i, one) {
        double scores[MOST];
        MarkedCurve curve;
        bool marked[MOST], chosen[MOST];
        int32_t n = (int32_t)json_array_size(json_object_get(one, "scores"));
        assert_true(n <= MOST);
        for (int32_t w = 0; w < n; w++) {
            scores[w] = json_number_value(json_array_get(json_object_get(one, "scores"), (size_t)w));
            marked[w] = json_is_true(json_array_get(json_object_get(one, "marked"), (size_t)w));
            chosen[w] = json_is_true(json_array_get(json_object_get(one, "chosen"), (size_t)w));
            for (int32_t v = 0; v < w; v++) {
                tied += scores[v] == scores[w] ? 1 : 0;
            }
        }
        assert_int_equal(marked_curve(&curve, scores, marked, n), LIMN_OK);
        near(curve.area, number_of(one, "auprc"));
        near(curve.average, number_of(one, "average_precision"));
        MarkedAgreement found = marked_agreement(chosen, marked, n);
        near(found.token_f1, number_of(one, "token_f1"));
        near(found.span_precision, number_of(one, "span_precision"));
        near(found.span_recall, number_of(one, "span_recall"));
        precisions += found.span_precision / (double)cases;
        recalls += found.span_recall / (double)cases;
    }
    assert_true(tied > 0); /* equal scores are one threshold: some are there */
    near(f1_of(precisions, recalls), number_of(golden, "iou_f1"));
    json_decref(golden);
}

static void precision_is_that_of_the_ranks(void **state) {
    const double scores[] = {0.1, 5.0, (double)NAN, 2.0, -1.0};
    const bool marked[] = {true, false, true, true, false};
    MarkedCurve curve;
    /* order: 1, 3, 0, 4, 2: marked at ranks 2, 3 and 5 */
    assert_int_equal(marked_curve(&curve, scores, marked, 5), LIMN_OK);
    near(curve.average, (1.0 / 2.0 + 2.0 / 3.0 + 3.0 / 5.0) / 3.0);
}

static void edges_have_figures(void **state) {
    const double scores[] = {1, (double)NAN, (double)NAN, 0};
    const bool none[4] = {false}, last[] = {false, true, false, false}, two[] = {true, false, false, true};
    MarkedCurve curve;
    assert_int_equal(marked_curve(&curve, scores, none, 4), LIMN_OK);
    assert_true(isnan(curve.area) && isnan(curve.average));
    assert_int_equal(marked_curve(&curve, scores, last, 4), LIMN_OK);
    near(curve.average, 0.25);
    near(curve.area, 0.125); /* found with the last threshold, of a quarter: a triangle under it */
    MarkedAgreement found = marked_agreement(none, two, 4);
    assert_true(found.token_f1 == 0.0 && found.span_precision == 0.0 && found.span_recall == 0.0);
    found = marked_agreement(two, two, 4);
    assert_true(found.token_f1 == 1.0 && found.span_precision == 1.0 && found.span_recall == 1.0);
    assert_true(f1_of(0, 0) == 0.0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(they_are_the_benchmarks),
                                       cmocka_unit_test(precision_is_that_of_the_ranks),
                                       cmocka_unit_test(edges_have_figures)};
    return cmocka_run_group_tests_name("rationale", tests, NULL, NULL);
}
