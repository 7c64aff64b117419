/* How alike two lists of numbers are. Each is NaN where there is nothing to compare: fewer than two values, or a list
 * whose values are all the same. */
#ifndef LIMN_STATISTICS_CORRELATION_H
#define LIMN_STATISTICS_CORRELATION_H

#include <stdint.h>

#include "base/error.h"

double pearson(const double *x, const double *y, int64_t n);
/* Ranks from 1, the smallest first; equal values share their mean rank. */
limn_status mean_ranks(double *ranks, const double *values, int64_t n);
/* Pearson's of the mean ranks (Spearman 1904). */
limn_status spearman(double *rho, const double *x, const double *y, int64_t n);
/* Kendall's tau-b, which counts ties (Kendall 1945). Goes through all pairs. */
double kendall(const double *x, const double *y, int64_t n);

#endif
