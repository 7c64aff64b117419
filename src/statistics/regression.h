/* Linear models of weighted observations, with an intercept that is not penalised. */
#ifndef LIMN_STATISTICS_REGRESSION_H
#define LIMN_STATISTICS_REGRESSION_H

#include <stdint.h>

#include "base/error.h"

typedef struct Observations {
    const double *x;       /* [n, k] */
    const double *y;       /* [n] */
    const double *weights; /* [n], none below 0; NULL: all 1 */
    int64_t n;
    int32_t k;
} Observations;

typedef struct LinearModel {
    double *coefficients; /* [k], the caller's */
    double intercept;
    double explained; /* R^2: the share of y's weighted variance that the model explains; NaN: y does not vary */
} LinearModel;

/* Least squares, by Householder's factors (Golub and Van Loan, 5.3). A column that the others determine gets 0. */
limn_status least_squares(LinearModel *model, const Observations *seen);
/* Least absolute shrinkage (Tibshirani 1996): the minimum of sum w (y - x b - c)^2 / (2 sum w) + alpha |b|_1, by
 * coordinate descent down to 1e-12 of the largest coefficient. */
limn_status lasso(LinearModel *model, const Observations *seen, double alpha);

#endif
