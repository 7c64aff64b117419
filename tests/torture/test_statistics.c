/* Statistics without memory. */
#include "statistics/correlation.h"
#include "statistics/proportions.h"
#include "statistics/regression.h"
#include "torture/torture.h"

static const double x[] = {1, 2, 4, 8, 9, 3}, y[] = {2, 1, 5, 7, 11, 4};

static limn_status correlations(void *context) {
    (void)context;
    double rho;
    return spearman(&rho, x, y, 6);
}

static limn_status fits(void *context) {
    (void)context;
    double coefficients[2];
    LinearModel model = {.coefficients = coefficients};
    const Observations seen = {x, y, NULL, 3, 2};
    TRY(least_squares(&model, &seen));
    return lasso(&model, &seen, 0.1);
}

static limn_status corrections(void *context) {
    (void)context;
    const double p[] = {0.01, 0.2, 0.03};
    const int32_t family[] = {1, 0, 1};
    double adjusted[3];
    TRY(holm_adjust(adjusted, p, 3));
    return holm_adjust_families(adjusted, p, family, 3);
}

static limn_status draws(void *context) {
    (void)context;
    const SignFlipEntry entries[] = {{0, 0, 1.0}, {1, 0, 2.0}, {1, 1, -1.0}};
    const SignFlipTest test = {.entries = entries, .n_entries = 3, .n_records = 2, .n_hypotheses = 2, .flips = 9};
    double alone[2], adjusted[2];
    Interval interval;
    TRY(sign_flip_test(&test, alone, adjusted));
    return bootstrap_interval(&interval, x, 6, 0.95, BOOTSTRAP_BCA, 20, 1);
}

static limn_status gaps(void *context) {
    (void)context;
    const Share groups[] = {{20, 40}, {30, 50}, {1, 2}};
    Gap gap;
    TRY(gap_difference(&gap, groups, 3, 0.95));
    return gap_ratio(&gap, groups, 3, 0.95);
}

int main(void) {
    torture("correlations", correlations, NULL);
    torture("linear models", fits, NULL);
    torture("corrections", corrections, NULL);
    torture("signs and draws", draws, NULL);
    torture("gaps", gaps, NULL);
    return 0;
}
