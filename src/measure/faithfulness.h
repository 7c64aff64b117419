/* Figures that judge scores of words, from what was seen when words were exchanged. Pure functions. */
#ifndef LIMN_MEASURE_FAITHFULNESS_H
#define LIMN_MEASURE_FAITHFULNESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Mean of (scale * predicted - actual)^2 (infidelity: Yeh et al. 2019, 1901.09392): predicted: the sum of the scores of
 * what was exchanged, actual: how far F fell. normalised: scale = sum predicted actual / sum predicted^2, else 1. */
double infidelity_of(const double *predicted, const double *actual, int64_t n, bool normalised);

/* |version - scores| / |scores| (sensitivity, the same paper: the largest of these over versions); NaN entries of
 * either are left out. NaN: nothing is left. */
double sensitivity_of(const double *scores, const double *version, int64_t n);

/* How many of the k highest of both lists are the same, over k. */
limn_status top_overlap(double *share, const double *a, const double *b, int32_t n, int32_t k);

/* Places by score, the highest first, equal ones in their order, NaN last. order: [n] */
void order_by_score(int32_t *order, const double *scores, int32_t n);

#endif
