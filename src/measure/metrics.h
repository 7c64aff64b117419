/* How good decisions are: confusion, precision and recall, calibration; each with an interval. Streamed: memory does
 * not grow with the number of decisions.
 *
 * Rates have Wilson's score interval (statistics.h). Everything else has the percentile interval
 * of a bootstrap whose replicates draw each record Poisson(1) times (Hanley and MacGibbon 2006, Comput. Methods
 * Programs Biomed. 83), so that no record need be kept; a record's draws depend on the seed and its place only.
 * Calibration is the expected calibration error over 15 bins of equal width of the chosen answer's probability (Guo et
 * al. 2017, arXiv:1706.04599); Brier is the sum over answers of squared differences (Brier 1950), from 0 to 2; log-loss
 * is in nats. All intervals are at 95%. */
#ifndef LIMN_MEASURE_METRICS_H
#define LIMN_MEASURE_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "statistics/proportions.h"

enum { METRIC_BINS = 15, METRIC_REPLICATES = 1000 };

typedef struct ReliabilityBin {
    double n, correct, confidence; /* sums over decisions */
} ReliabilityBin;

/* Sums over labelled decisions; in replicates the counts are weights. */
typedef struct MetricSums {
    double n, correct, brier, log_loss;
    ReliabilityBin bins[METRIC_BINS];
} MetricSums;

double metric_ece(const MetricSums *sums); /* NaN when there is nothing */

typedef struct Metrics {
    int32_t n_choices;
    uint64_t seed;
    int64_t decisions;     /* labelled or not */
    int64_t *chosen;       /* [C] over all decisions */
    double *mass;          /* [C] sums of probabilities over all decisions */
    MetricSums sums;       /* labelled ones */
    int64_t *confusion;    /* [C, C] label by decision */
    MetricSums *replicate; /* [METRIC_REPLICATES] or NULL: no intervals by bootstrap */
    double *counts;        /* [METRIC_REPLICATES, 3, C]: right, decided, labelled of each answer */
} Metrics;

/* bootstrap false: rates only have intervals. */
limn_status metrics_init(Metrics *metrics, int32_t n_choices, uint64_t seed, bool bootstrap);
void metrics_free(Metrics *metrics);

/* label -1: none. probabilities: [C], sum 1. log_probability: of the label's, normalised over the choices. */
void metrics_add(Metrics *metrics, int32_t label, int32_t choice, const double *probabilities, double log_probability);

/* Decisions for a choice: of all; of those labelled so; of those labelled otherwise. */
Share metrics_chosen(const Metrics *metrics, int32_t choice);
Share metrics_true_positives(const Metrics *metrics, int32_t choice);
Share metrics_false_positives(const Metrics *metrics, int32_t choice);

Interval metrics_accuracy(const Metrics *metrics);
Interval metrics_share(const Metrics *metrics, int32_t choice);
Interval metrics_false_positive_rate(const Metrics *metrics, int32_t choice);
Interval metrics_precision(const Metrics *metrics, int32_t choice);
Interval metrics_recall(const Metrics *metrics, int32_t choice);
Interval metrics_f1(const Metrics *metrics, int32_t choice);
Interval metrics_macro_f1(const Metrics *metrics);
Interval metrics_ece(const Metrics *metrics);
Interval metrics_brier(const Metrics *metrics);
Interval metrics_log_loss(const Metrics *metrics);

#endif
