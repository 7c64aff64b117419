/* Pearson, Spearman and Kendall against values by hand and by SciPy 1.x (pearsonr, spearmanr, kendalltau). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "statistics/correlation.h"

#include <cmocka.h> /* last: it has a macro named fail */

static const double x[] = {0.3, -1.2, 2.5, 2.5, 0.0, 7.1, -4.0, 1.1};
static const double y[] = {1.0, -0.5, 3.0, 2.0, 0.0, 2.0, -9.0, 0.2};
enum { N = sizeof x / sizeof x[0] };

static void near(double found, double expected) {
    if (!(fabs(found - expected) <= 1e-12)) {
        fail_msg("found %.15g, expected %.15g", found, expected);
    }
}

static void values_are_scipys(void **state) {
    double rho;
    near(pearson(x, y, N), 0.7660770737764367);
    assert_int_equal(spearman(&rho, x, y, N), LIMN_OK);
    near(rho, 0.9216867469879517);
    near(kendall(x, y, N), 0.8148148148148148);
}

static void ties_share_their_mean_rank(void **state) {
    const double values[] = {5.0, 1.0, 5.0, -2.0, 5.0}, expected[] = {4.0, 2.0, 4.0, 1.0, 4.0};
    double ranks[5];
    assert_int_equal(mean_ranks(ranks, values, 5), LIMN_OK);
    for (int i = 0; i < 5; i++) {
        near(ranks[i], expected[i]);
    }
}

static void nothing_to_compare_is_no_number(void **state) {
    const double same[] = {2.0, 2.0, 2.0};
    double rho;
    assert_true(isnan(pearson(x, same, 3)) && isnan(kendall(x, same, 3)) && isnan(pearson(x, y, 0)) &&
                isnan(kendall(x, y, 1)) && isnan(kendall(x, y, 0)));
    near(pearson(x, y, 2), 1.0); /* of two points the line through them */
    near(kendall(x, (const double[]){-0.3, 1.2, -2.5, -2.5}, 4), -1.0);
    assert_int_equal(spearman(&rho, x, y, 0), LIMN_OK);
    assert_true(isnan(rho));
    assert_true(isnan(pearson(same, x, 3)) && isnan(kendall(same, x, 3)) && isnan(pearson(x, y, 1)));
    assert_int_equal(spearman(&rho, same, x, 3), LIMN_OK);
    assert_true(isnan(rho));
    near(kendall(x, x, N), 1.0);
    near(pearson(x, x, N), 1.0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(values_are_scipys),
                                       cmocka_unit_test(ties_share_their_mean_rank),
                                       cmocka_unit_test(nothing_to_compare_is_no_number)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
