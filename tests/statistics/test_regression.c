/* Least squares and lasso by hand, and where they are degenerate; Captum's fits: tests/method/test_surrogate.c. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "statistics/regression.h"

#include <cmocka.h> /* last: it has a macro named fail */

static void near(double found, double expected) {
    if (!(fabs(found - expected) <= 1e-10)) {
        fail_msg("found %.15g, expected %.15g", found, expected);
    }
}

/* y = 3 - 2 a + 0.5 b without noise, whatever the weights. */
static void a_line_is_found(void **state) {
    const double x[] = {1, 2, 0, -1, 3, 5, -2, 4, 7, 1}, weights[] = {1, 1e6, 0.2, 3, 1};
    double y[5], found[2];
    for (int i = 0; i < 5; i++) {
        y[i] = 3.0 - 2.0 * x[2 * i] + 0.5 * x[2 * i + 1];
    }
    LinearModel model = {.coefficients = found};
    const Observations seen = {x, y, weights, 5, 2};
    assert_int_equal(least_squares(&model, &seen), LIMN_OK);
    near(found[0], -2.0);
    near(found[1], 0.5);
    near(model.intercept, 3.0);
    near(model.explained, 1.0);
    assert_int_equal(lasso(&model, &seen, 0.0), LIMN_OK);
    assert_true(fabs(found[0] + 2.0) < 1e-6 && fabs(found[1] - 0.5) < 1e-6);
}

/* Weighted means: y of two groups. */
static void weights_count(void **state) {
    const double x[] = {0, 0, 1, 1}, y[] = {1, 4, 10, 20}, weights[] = {2, 1, 1, 3};
    double found[1];
    LinearModel model = {.coefficients = found};
    const Observations seen = {x, y, weights, 4, 1};
    assert_int_equal(least_squares(&model, &seen), LIMN_OK);
    near(model.intercept, 2.0);
    near(found[0], 15.5);
}

/* One centered column of variance 1: soft thresholding of its covariance. */
static void a_lasso_shrinks(void **state) {
    const double x[] = {-1, 1, -1, 1}, y[] = {0, 2, 1, 4};
    double found[1];
    LinearModel model = {.coefficients = found};
    const Observations seen = {x, y, NULL, 4, 1};
    assert_int_equal(lasso(&model, &seen, 0.5), LIMN_OK);
    near(found[0], 0.75); /* 1.25 - 0.5 */
    assert_int_equal(lasso(&model, &seen, 2.0), LIMN_OK);
    near(found[0], 0.0);
}

static void what_others_determine_gets_nothing(void **state) {
    const double x[] = {1, 2, 2, 4, 3, 6, 5, 10}, y[] = {1, 2, 3, 5}, flat[] = {7, 7, 7, 7};
    double found[2];
    LinearModel model = {.coefficients = found};
    Observations seen = {x, y, NULL, 4, 2};
    assert_int_equal(least_squares(&model, &seen), LIMN_OK);
    near(found[0], 1.0);
    near(found[1], 0.0);
    seen.y = flat;
    assert_int_equal(least_squares(&model, &seen), LIMN_OK);
    near(model.intercept, 7.0);
    assert_true(isnan(model.explained));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_line_is_found), cmocka_unit_test(weights_count),
                                       cmocka_unit_test(a_lasso_shrinks),
                                       cmocka_unit_test(what_others_determine_gets_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
