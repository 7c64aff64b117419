/* How sure a figure is: distributions, intervals of a mean, exact tests of counts, and many hypotheses at once.
 *
 * Everything is a plain function of its values and, where it draws, of a seed: no state, no clock. What is drawn comes
 * from base/random.h, so it is the same on every machine. */
#ifndef LIMN_STATISTICS_STATISTICS_H
#define LIMN_STATISTICS_STATISTICS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

typedef struct Interval {
    double value, low, high; /* NaN: there is none */
} Interval;

/* ---- distributions: p in (0, 1), to about 1e-14 ---- */

double normal_cdf(double z);
double normal_quantile(double p);
double student_cdf(double t, double degrees);
double student_quantile(double p, double degrees);
double beta_cdf(double x, double a, double b); /* the regularised incomplete beta function */

/* ---- a share ---- */

/* Wilson's score interval (Wilson 1927, J. Am. Stat. Assoc. 22) of successes of n; n 0: NaN. */
Interval wilson_interval(int64_t successes, int64_t n); /* at 95% */
Interval wilson_interval_at(int64_t successes, int64_t n, double level);

/* ---- a mean. NaN where n < 2 ---- */

/* Student's interval. */
Interval mean_interval(const double *values, int64_t n, double level);
/* Two-sided p of "the mean is 0" by Student's t; 1 where all values are 0. */
double mean_p(const double *values, int64_t n);

typedef enum BootstrapKind { BOOTSTRAP_PERCENTILE, BOOTSTRAP_BCA } BootstrapKind;

/* Of the mean, by drawing n of n values `replicates` times (Efron and Tibshirani 1993; BCa: chapter 14, corrected for
 * bias and for skewness by the jackknife). */
limn_status bootstrap_interval(Interval *interval, const double *values, int64_t n, double level, BootstrapKind kind,
                               int32_t replicates, uint64_t seed);

/* ---- counts ---- */

/* McNemar's exact test of two decisions on the same records: b went one way only, c the other way only. Two-sided;
 * 1 where both are 0. */
double mcnemar_exact(int64_t b, int64_t c);
/* Fisher's exact test of [[a, b], [c, d]], two-sided: the sum over tables with these margins that are no likelier. */
double fisher_exact(int64_t a, int64_t b, int64_t c, int64_t d);

/* ---- many hypotheses ---- */

/* The level of each of `family` intervals so that all of them hold together at `level` (Bonferroni). */
double simultaneous_level(double level, int64_t family);
/* Holm's step-down p-values (Holm 1979, Scand. J. Stat. 6); adjusted may be p. n up to what memory holds. */
limn_status holm_adjust(double *adjusted, const double *p, int64_t n);
/* The same where some p-values come in families that are corrected within already (max-T, Holm): a family counts as one
 * test for as long as one of it stands. family[i] from 1 to n; 0: a test by itself. By closed testing: of any set of
 * true hypotheses the smallest p is rejected with at most the chance of one Bonferroni step over its families. */
limn_status holm_adjust_families(double *adjusted, const double *p, const int32_t *family, int64_t n);

/* What a record says of a hypothesis. A record that says nothing of one has no entry. */
typedef struct SignFlipEntry {
    int32_t record;
    int32_t hypothesis;
    double value;
} SignFlipEntry;

typedef struct SignFlipTest {
    const SignFlipEntry *entries; /* [n_entries] */
    int64_t n_entries;
    int32_t n_records;
    int32_t n_hypotheses;
    bool two_sided; /* else: the sum is larger than 0 */
    int32_t flips;  /* drawn; where 2^n_records is no more than that, all are gone through instead */
    uint64_t seed;
} SignFlipTest;

/* Under the null a record's values could as well have the other sign, all of them together: that keeps how hypotheses
 * depend on each other. Each hypothesis is judged by T = sum x / sqrt(sum x^2), and against the largest T of those that
 * stand no higher (step-down max-T: Westfall and Young 1993, algorithm 4.1), so that one false alarm among all has the
 * stated chance. alone: p of each by itself; adjusted: p among all. Both [n_hypotheses], NaN without an entry. */
limn_status sign_flip_test(const SignFlipTest *test, double *alone, double *adjusted);

#endif
