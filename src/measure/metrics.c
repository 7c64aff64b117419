#include "measure/metrics.h"

#include <math.h>
#include <stdlib.h>

#include "base/random.h"

double metric_ece(const MetricSums *sums) {
    double error = 0;
    for (int b = 0; b < METRIC_BINS; b++) {
        error += fabs(sums->bins[b].correct - sums->bins[b].confidence);
    }
    return sums->n > 0 ? error / sums->n : (double)NAN;
}

limn_status metrics_init(Metrics *metrics, int32_t n_choices, uint64_t seed, bool bootstrap) {
    size_t c = (size_t)n_choices;
    *metrics = (Metrics){.n_choices = n_choices, .seed = seed};
    metrics->chosen = calloc(c, sizeof *metrics->chosen);
    metrics->mass = calloc(c, sizeof *metrics->mass);
    metrics->confusion = calloc(c * c, sizeof *metrics->confusion);
    bool good = metrics->chosen != NULL && metrics->mass != NULL && metrics->confusion != NULL;
    if (bootstrap) {
        metrics->replicate = calloc(METRIC_REPLICATES, sizeof *metrics->replicate);
        metrics->counts = calloc(METRIC_REPLICATES * 3 * c, sizeof *metrics->counts);
        good = good && metrics->replicate != NULL && metrics->counts != NULL;
    }
    if (!good) {
        metrics_free(metrics);
        return fail(LIMN_NO_MEMORY, "metrics of %d choices", n_choices);
    }
    return LIMN_OK;
}

void metrics_free(Metrics *metrics) {
    free(metrics->chosen);
    free(metrics->mass);
    free(metrics->confusion);
    free(metrics->replicate);
    free(metrics->counts);
    *metrics = (Metrics){0};
}

typedef struct Decision {
    double weight, confidence, brier, log_loss;
    bool correct;
} Decision;

static void add_decision(MetricSums *sums, const Decision *decision) {
    int bin = (int)(decision->confidence * METRIC_BINS);
    bin = bin < 0 ? 0 : bin < METRIC_BINS ? bin : METRIC_BINS - 1;
    double right = decision->correct ? decision->weight : 0;
    sums->n += decision->weight;
    sums->correct += right;
    sums->brier += decision->weight * decision->brier;
    sums->log_loss += decision->weight * decision->log_loss;
    sums->bins[bin].n += decision->weight;
    sums->bins[bin].correct += right;
    sums->bins[bin].confidence += decision->weight * decision->confidence;
}

/* Poisson(1) by the sums of its probabilities: 0.368, 0.368, 0.184 ... */
static int poisson(Random *random) {
    double u = random_unit(random);
    double term = exp(-1.0);
    double sum = term;
    int k = 0;
    while (u >= sum && k < 20) {
        k++;
        term /= k;
        sum += term;
    }
    return k;
}

static void add_to_replicates(Metrics *metrics, const Decision *decision, int32_t label, int32_t choice) {
    Random random;
    random_seed(&random, metrics->seed ^ ((uint64_t)metrics->decisions * 0x9E3779B97F4A7C15u));
    for (int r = 0; r < METRIC_REPLICATES; r++) {
        int times = poisson(&random);
        if (times > 0) {
            Decision drawn = *decision;
            drawn.weight = times;
            add_decision(&metrics->replicate[r], &drawn);
            double *counts = metrics->counts + (size_t)r * 3 * (size_t)metrics->n_choices;
            counts[label] += label == choice ? times : 0;
            counts[metrics->n_choices + choice] += times;
            counts[2 * metrics->n_choices + label] += times;
        }
    }
}

void metrics_add(Metrics *metrics, int32_t label, int32_t choice, const double *probabilities, double log_probability) {
    metrics->decisions++;
    metrics->chosen[choice]++;
    double brier = 0;
    for (int32_t c = 0; c < metrics->n_choices; c++) {
        double miss = probabilities[c] - (c == label ? 1 : 0);
        brier += miss * miss;
        metrics->mass[c] += probabilities[c];
    }
    if (label < 0) {
        return;
    }
    Decision decision = {.weight = 1,
                         .confidence = probabilities[choice],
                         .brier = brier,
                         .log_loss = -log_probability,
                         .correct = label == choice};
    metrics->confusion[(size_t)label * (size_t)metrics->n_choices + (size_t)choice]++;
    add_decision(&metrics->sums, &decision);
    if (metrics->replicate != NULL) {
        add_to_replicates(metrics, &decision, label, choice);
    }
}

/* ---- measures ---- */

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Between the two values around the place. */
static double quantile(const double *sorted, int n, double share) {
    double place = share * (n - 1);
    int below = (int)place;
    int above = below + 1 < n ? below + 1 : below;
    return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
}

typedef double (*Measure)(const Metrics *metrics, const MetricSums *sums, const double *counts, int32_t choice);

static Interval measured(const Metrics *metrics, Measure measure, double value, int32_t choice) {
    Interval interval = {value, (double)NAN, (double)NAN};
    double values[METRIC_REPLICATES];
    int n = 0;
    for (int r = 0; r < METRIC_REPLICATES && metrics->replicate != NULL; r++) {
        const double *counts = metrics->counts + (size_t)r * 3 * (size_t)metrics->n_choices;
        double one = measure(metrics, &metrics->replicate[r], counts, choice);
        if (isfinite(one)) {
            values[n++] = one;
        }
    }
    if (n > METRIC_REPLICATES / 2 && isfinite(value)) {
        qsort(values, (size_t)n, sizeof values[0], ascending);
        interval.low = quantile(values, n, 0.025);
        interval.high = quantile(values, n, 0.975);
    }
    return interval;
}

static int64_t labelled(const Metrics *metrics, int32_t choice) {
    int64_t n = 0;
    for (int32_t c = 0; c < metrics->n_choices; c++) {
        n += metrics->confusion[(size_t)choice * (size_t)metrics->n_choices + (size_t)c];
    }
    return n;
}

static int64_t decided(const Metrics *metrics, int32_t choice) {
    int64_t n = 0;
    for (int32_t c = 0; c < metrics->n_choices; c++) {
        n += metrics->confusion[(size_t)c * (size_t)metrics->n_choices + (size_t)choice];
    }
    return n;
}

static int64_t right(const Metrics *metrics, int32_t choice) {
    return metrics->confusion[(size_t)choice * (size_t)metrics->n_choices + (size_t)choice];
}

Share metrics_chosen(const Metrics *metrics, int32_t choice) {
    return (Share){metrics->chosen[choice], metrics->decisions};
}

Share metrics_true_positives(const Metrics *metrics, int32_t choice) {
    return (Share){right(metrics, choice), labelled(metrics, choice)};
}

Share metrics_false_positives(const Metrics *metrics, int32_t choice) {
    return (Share){decided(metrics, choice) - right(metrics, choice),
                   (int64_t)metrics->sums.n - labelled(metrics, choice)};
}

Interval metrics_share(const Metrics *metrics, int32_t choice) {
    return wilson_interval(metrics->chosen[choice], metrics->decisions);
}

Interval metrics_false_positive_rate(const Metrics *metrics, int32_t choice) {
    Share share = metrics_false_positives(metrics, choice);
    return wilson_interval(share.count, share.n);
}

Interval metrics_accuracy(const Metrics *metrics) {
    return wilson_interval((int64_t)metrics->sums.correct, (int64_t)metrics->sums.n);
}

Interval metrics_precision(const Metrics *metrics, int32_t choice) {
    return wilson_interval(right(metrics, choice), decided(metrics, choice));
}

Interval metrics_recall(const Metrics *metrics, int32_t choice) {
    return wilson_interval(right(metrics, choice), labelled(metrics, choice));
}

/* 2 right / (decided + labelled); nothing of it anywhere: none */
static double f1_of(double hits, double decisions, double labels) {
    return decisions + labels > 0 ? 2 * hits / (decisions + labels) : (double)NAN;
}

static double measure_f1(const Metrics *metrics, const MetricSums *sums, const double *counts, int32_t choice) {
    (void)sums;
    return f1_of(counts[choice], counts[metrics->n_choices + choice], counts[2 * metrics->n_choices + choice]);
}

static double measure_macro_f1(const Metrics *metrics, const MetricSums *sums, const double *counts, int32_t choice) {
    (void)choice;
    double sum = 0;
    int n = 0;
    for (int32_t c = 0; c < metrics->n_choices; c++) {
        double one = measure_f1(metrics, sums, counts, c);
        sum += isnan(one) ? 0 : one;
        n += !isnan(one);
    }
    return n > 0 ? sum / n : (double)NAN;
}

static double measure_ece(const Metrics *metrics, const MetricSums *sums, const double *counts, int32_t choice) {
    (void)metrics;
    (void)counts;
    (void)choice;
    return metric_ece(sums);
}

static double measure_brier(const Metrics *metrics, const MetricSums *sums, const double *counts, int32_t choice) {
    (void)metrics;
    (void)counts;
    (void)choice;
    return sums->n > 0 ? sums->brier / sums->n : (double)NAN;
}

static double measure_log_loss(const Metrics *metrics, const MetricSums *sums, const double *counts, int32_t choice) {
    (void)metrics;
    (void)counts;
    (void)choice;
    return sums->n > 0 ? sums->log_loss / sums->n : (double)NAN;
}

Interval metrics_f1(const Metrics *metrics, int32_t choice) {
    double value =
        f1_of((double)right(metrics, choice), (double)decided(metrics, choice), (double)labelled(metrics, choice));
    return measured(metrics, measure_f1, value, choice);
}

Interval metrics_macro_f1(const Metrics *metrics) {
    double sum = 0;
    int n = 0;
    for (int32_t c = 0; c < metrics->n_choices; c++) {
        double one = f1_of((double)right(metrics, c), (double)decided(metrics, c), (double)labelled(metrics, c));
        sum += isnan(one) ? 0 : one;
        n += !isnan(one);
    }
    return measured(metrics, measure_macro_f1, n > 0 ? sum / n : (double)NAN, 0);
}

Interval metrics_ece(const Metrics *metrics) {
    return measured(metrics, measure_ece, metric_ece(&metrics->sums), 0);
}

Interval metrics_brier(const Metrics *metrics) {
    return measured(metrics, measure_brier, measure_brier(metrics, &metrics->sums, NULL, 0), 0);
}

Interval metrics_log_loss(const Metrics *metrics) {
    return measured(metrics, measure_log_loss, measure_log_loss(metrics, &metrics->sums, NULL, 0), 0);
}
