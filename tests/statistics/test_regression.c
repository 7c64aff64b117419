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

enum { N = 7, K = 3 };

/* The columns differ in size, two are alike; weights of all sizes, one of them 0. */
static const double some_x[N * K] = {1,   9, 0.4, -2,  21, 0.1, 0.5,  -3, -0.9, 3,  5,
                                     2.2, 4, -8,  0.3, -1, 12,  -1.1, 2,  2,    0.8};
static const double some_y[N] = {3, -4, 2.5, 8, 0, 1, 7}, some_weights[N] = {1, 0.5, 2, 0, 4, 1, 0.25};

static double weight(const Observations *seen, int i) {
    return seen->weights == NULL ? 1.0 : seen->weights[i];
}

/* Weighted covariance of column j (-1: ones) with what the model leaves, and R^2 by its definition. */
static double left_along(const Observations *seen, const LinearModel *model, int j, double *explained) {
    double sum = 0, mean = 0, of_y = 0, along = 0, left = 0, all = 0;
    for (int i = 0; i < seen->n; i++) {
        sum += weight(seen, i);
        mean += weight(seen, i) * (j < 0 ? 0 : seen->x[i * seen->k + j]);
        of_y += weight(seen, i) * seen->y[i];
    }
    for (int i = 0; i < seen->n; i++) {
        double off = seen->y[i] - model->intercept;
        for (int c = 0; c < seen->k; c++) {
            off -= model->coefficients[c] * seen->x[i * seen->k + c];
        }
        along += weight(seen, i) * off * (j < 0 ? 1 : seen->x[i * seen->k + j] - mean / sum);
        left += weight(seen, i) * off * off;
        all += weight(seen, i) * pow(seen->y[i] - of_y / sum, 2);
    }
    *explained = 1 - left / all;
    return along / sum;
}

/* What is left is uncorrelated with every column; under a lasso it is correlated by alpha with the columns that have a
 * coefficient, in its direction, and by no more with the others (the conditions of Karush, Kuhn and Tucker). */
static void what_is_left_satisfies_the_conditions(void **state) {
    double found[K], explained;
    int nothing = 0;
    LinearModel model = {.coefficients = found};
    for (int weighted = 0; weighted < 2; weighted++) {
        const Observations seen = {some_x, some_y, weighted ? some_weights : NULL, N, K};
        assert_int_equal(least_squares(&model, &seen), LIMN_OK);
        for (int j = -1; j < K; j++) {
            near(left_along(&seen, &model, j, &explained), 0);
        }
        near(model.explained, explained);
        for (double alpha = 0.05; alpha < 40; alpha *= 2) {
            assert_int_equal(lasso(&model, &seen, alpha), LIMN_OK);
            near(left_along(&seen, &model, -1, &explained), 0);
            near(model.explained, explained);
            for (int j = 0; j < K; j++) {
                double along = left_along(&seen, &model, j, &explained);
                if (found[j] > 0 || found[j] < 0) {
                    assert_true(fabs(along - copysign(alpha, found[j])) < 1e-8);
                } else {
                    assert_true(fabs(along) <= alpha + 1e-8);
                    nothing++;
                }
            }
        }
    }
    assert_in_range(nothing, 10, 50); /* 60 coefficients, of which the smaller alphas leave most and the larger few */
}

/* Units do not count: a column of tiny numbers has a large coefficient. */
static void columns_may_be_tiny(void **state) {
    for (double unit = 1; unit > 1e-15; unit *= 1e-7) {
        const double x[] = {unit, 2 * unit, -unit, 4 * unit}, y[] = {5, 7, 1, 11};
        double found[1];
        LinearModel model = {.coefficients = found};
        const Observations seen = {x, y, NULL, 4, 1};
        assert_int_equal(least_squares(&model, &seen), LIMN_OK);
        near(found[0] * unit, 2);
        near(model.intercept, 3);
        assert_int_equal(lasso(&model, &seen, 0), LIMN_OK);
        near(found[0] * unit, 2);
    }
}

/* More columns than observations: the line through two points; no columns: the mean. */
static void few_observations(void **state) {
    const double x[] = {1, 5, 2, 3, 5, -1}, y[] = {2, 8};
    double found[3];
    LinearModel model = {.coefficients = found};
    Observations seen = {x, y, NULL, 2, 3};
    assert_int_equal(least_squares(&model, &seen), LIMN_OK);
    near(model.explained, 1.0);
    near(found[0], 3.0); /* what the first column determines, the others get nothing of */
    near(found[1], 0.0);
    near(found[2], 0.0);
    near(model.intercept, -1.0);
    seen.k = 0;
    assert_int_equal(least_squares(&model, &seen), LIMN_OK);
    near(model.intercept, 5.0);
    near(model.explained, 0.0);
    assert_int_equal(lasso(&model, &seen, 1.0), LIMN_OK);
    near(model.intercept, 5.0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_line_is_found),
                                       cmocka_unit_test(weights_count),
                                       cmocka_unit_test(a_lasso_shrinks),
                                       cmocka_unit_test(what_others_determine_gets_nothing),
                                       cmocka_unit_test(what_is_left_satisfies_the_conditions),
                                       cmocka_unit_test(columns_may_be_tiny),
                                       cmocka_unit_test(few_observations)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
