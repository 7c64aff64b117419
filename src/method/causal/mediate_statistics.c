/* Paired bootstrap over units (noise samples, or records): what is clear of what. */
#include <math.h>
#include <stdlib.h>

#include "method/causal/mediate_report.h"

enum { REPLICATES = 2000, MOST_COMPARED = 400 };
static const double level = 0.95;

/* The interval of the mean of values that the function makes of each unit. */
typedef double (*UnitValue)(const Mediate *mediate, int32_t unit, int32_t a, int32_t b);

int32_t mediate_means(const Mediate *mediate, int32_t cell, double *p0, double *p1) {
    int32_t n = 0;
    *p0 = *p1 = 0;
    for (int32_t u = 0; u < mediate->n_units; u++) {
        bool there = !isnan(mediate->figures.p2[(int64_t)u * mediate->n_cells + cell]);
        *p0 += there ? mediate->figures.p0[u] : 0;
        *p1 += there ? mediate->figures.p1[u] : 0;
        n += there;
    }
    *p0 = n > 0 ? *p0 / n : (double)NAN;
    *p1 = n > 0 ? *p1 / n : (double)NAN;
    return n;
}

double mediate_effect(const Mediate *mediate, int32_t cell) {
    double sum = 0;
    int32_t n = 0;
    for (int32_t u = 0; u < mediate->n_units; u++) {
        double effect = mediate->figures.p2[(int64_t)u * mediate->n_cells + cell] - mediate->figures.p1[u];
        sum += isnan(effect) ? 0 : effect;
        n += !isnan(effect);
    }
    return n > 0 ? sum / n : (double)NAN;
}

static double p2_of(const Mediate *mediate, int32_t unit, int32_t cell) {
    return mediate->figures.p2[(int64_t)unit * mediate->n_cells + cell];
}

static double total_of(const Mediate *mediate, int32_t unit, int32_t a, int32_t b) {
    (void)a;
    (void)b;
    return mediate->figures.p0[unit] - mediate->figures.p1[unit];
}

static double effect_of(const Mediate *mediate, int32_t unit, int32_t cell, int32_t unused) {
    (void)unused;
    return p2_of(mediate, unit, cell) - mediate->figures.p1[unit];
}

static double lead_of(const Mediate *mediate, int32_t unit, int32_t a, int32_t b) {
    return p2_of(mediate, unit, a) - p2_of(mediate, unit, b);
}

static Interval interval_of(const Mediate *mediate, UnitValue value, int32_t a, int32_t b, double at) {
    int32_t n = 0; /* units that have both */
    Interval interval = {(double)NAN, (double)NAN, (double)NAN};
    double *values = malloc(((size_t)mediate->n_units + 1) * sizeof *values);
    if (values == NULL) {
        return interval;
    }
    for (int32_t u = 0; u < mediate->n_units; u++) {
        values[n] = value(mediate, u, a, b);
        n += !isnan(values[n]);
    }
    interval.value = mediate_mean(values, n);
    if (n >= MEDIATE_LEAST_UNITS && isfinite(interval.value)) {
        limn_status status = bootstrap_interval(&interval, values, n, at, BOOTSTRAP_PERCENTILE, REPLICATES,
                                                (uint64_t)mediate->call->common.seed);
        if (status != LIMN_OK) {
            error_clear(); /* no memory for it: there is no interval, and that is what is said */
            interval.low = interval.high = (double)NAN;
        }
    }
    free(values);
    return interval;
}

Interval mediate_total(const Mediate *mediate) {
    return interval_of(mediate, total_of, 0, 0, level);
}

bool mediate_total_is_clear(const Mediate *mediate, const Interval *total) {
    return mediate->n_units < MEDIATE_LEAST_UNITS ? fabs(total->value) > 1e-6 : total->low > 0 || total->high < 0;
}

Interval mediate_interval(const Mediate *mediate, int32_t cell) {
    return interval_of(mediate, effect_of, cell, 0, level);
}

/* Too few units have a position for it to be named, or to stand against one that is. */
static bool is_rare(const Mediate *mediate, int32_t cell) {
    double p0, p1;
    return mediate->n_units >= MEDIATE_LEAST_UNITS && mediate_means(mediate, cell, &p0, &p1) < MEDIATE_LEAST_UNITS;
}

/* sign 0: by size, of all; else those that may be named. */
static int32_t sort_in(const Mediate *mediate, double sign, int32_t begin, int32_t end, int32_t *cells, double *effects,
                       int32_t most) {
    int32_t n = 0;
    for (int32_t cell = begin; cell < end; cell++) {
        double effect = mediate_effect(mediate, cell);
        effect = sign == 0 ? fabs(effect) : sign * effect;
        if (isnan(effect) || (sign != 0 && is_rare(mediate, cell)) || (n == most && effect <= effects[n - 1])) {
            continue;
        }
        int32_t at = n < most ? n++ : n - 1;
        for (; at > 0 && effects[at - 1] < effect; at--) {
            effects[at] = effects[at - 1];
            cells[at] = cells[at - 1];
        }
        effects[at] = effect;
        cells[at] = cell;
    }
    return n;
}

int32_t mediate_strongest(const Mediate *mediate, int32_t begin, int32_t end, int32_t *cells, int32_t most) {
    most = most < end - begin ? most : end - begin;
    double *effects = malloc(((size_t)most + 1) * sizeof *effects);
    int32_t n = effects == NULL ? 0 : sort_in(mediate, 0, begin, end, cells, effects, most);
    free(effects);
    return n;
}

static void compare(const Mediate *mediate, double sign, int32_t other, double at, Mediator *mediator) {
    Interval lead = interval_of(mediate, lead_of, mediator->best, other, at);
    double low = sign < 0 ? -lead.high : lead.low;
    mediator->lead_low = isnan(mediator->lead_low) || low < mediator->lead_low ? low : mediator->lead_low;
    if (!(low > 0)) {
        int32_t layer = mediate->cells[other].layer;
        mediator->n_open++;
        mediator->from = layer < mediator->from ? layer : mediator->from;
        mediator->to = layer > mediator->to ? layer : mediator->to;
    }
}

limn_status mediate_find_mediator(const Mediate *mediate, int32_t begin, int32_t end, Mediator *mediator) {
    int32_t most = end - begin < MOST_COMPARED ? end - begin : MOST_COMPARED;
    int32_t *cells = malloc(((size_t)most + 1) * sizeof *cells);
    double *effects = malloc(((size_t)most + 1) * sizeof *effects);
    double sign = mediate_total(mediate).value < 0 ? -1 : 1;
    if (cells == NULL || effects == NULL) {
        free(cells);
        free(effects);
        return method_no_memory(mediate->call);
    }
    int32_t n = sort_in(mediate, sign, begin, end, cells, effects, most);
    *mediator = (Mediator){.best = n > 0 ? cells[0] : begin, .lead_low = (double)NAN};
    mediator->from = mediator->to = mediate->cells[mediator->best].layer;
    mediator->decided = mediate->n_units >= MEDIATE_LEAST_UNITS && n > 0;
    /* those behind the first so many by their mean are further away still */
    for (int32_t i = 1; i < n && mediator->decided; i++) {
        compare(mediate, sign, cells[i], simultaneous_level(level, end - begin - 1), mediator);
    }
    free(cells);
    free(effects);
    return LIMN_OK;
}
