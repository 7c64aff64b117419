/* Two shares compared: of different records, or of the same ones decided twice. */
#ifndef LIMN_STATISTICS_PROPORTIONS_H
#define LIMN_STATISTICS_PROPORTIONS_H

#include "statistics/statistics.h"

typedef struct Share {
    int64_t count, n;
} Share;

double share_value(Share share); /* NaN of nothing */

/* a - b of independent shares: Newcombe's hybrid of Wilson's intervals (Newcombe 1998, Stat. Med. 17, 873, method 10).
 */
Interval share_difference(Share a, Share b, double level);

/* a / b: the interval of log((a + .5) / (b + .5)) (Walter 1975, Biometrika 62), whose ends are those of the ratio where
 * a count is 0. Of 0 / 0 there is no value. */
Interval share_ratio(Share a, Share b, double level);

/* Of n records `gained` are so the second time only, `lost` the first time only: the difference of the two shares,
 * (gained - lost) / n, with Tango's score interval (Tango 1998, Stat. Med. 17, 891). */
Interval paired_difference(int64_t gained, int64_t lost, int64_t n, double level);

/* ---- several groups ---- */

enum { GAP_LEAST = 30 }; /* records: a share of fewer has no interval, and no part where two have more */

typedef struct Gap {
    Interval interval;       /* NaN ends: none */
    int32_t highest, lowest; /* groups; -1: none */
    double p;                /* Fisher's exact test between those two, times the pairs there are */
    int32_t left_out;        /* groups of fewer than GAP_LEAST that have no part in it */
} Gap;

/* The largest share less the smallest, and the smallest over the largest (the impact ratio). Their intervals hold
 * whichever groups those are: each pair's at a level at which all hold together, of differences the largest ends, of
 * ratios the smallest. */
limn_status gap_difference(Gap *gap, const Share *groups, int32_t n, double level);
limn_status gap_ratio(Gap *gap, const Share *groups, int32_t n, double level);
/* The larger of two gaps, as equalised odds has it, each at half the error. */
Gap gap_larger(const Gap *a, const Gap *b);

#endif
