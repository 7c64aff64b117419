#include "statistics/correlation.h"

#include <math.h>
#include <stdlib.h>

double pearson(const double *x, const double *y, int64_t n) {
    double mean_x = 0.0, mean_y = 0.0, xx = 0.0, yy = 0.0, xy = 0.0;
    for (int64_t i = 0; i < n; i++) {
        mean_x += x[i] / (double)n;
        mean_y += y[i] / (double)n;
    }
    for (int64_t i = 0; i < n; i++) {
        double a = x[i] - mean_x, b = y[i] - mean_y;
        xx += a * a;
        yy += b * b;
        xy += a * b;
    }
    return xy / sqrt(xx) / sqrt(yy); /* 0 / 0 where nothing varies */
}

typedef struct Placed {
    double value;
    int64_t place;
} Placed;

static int by_value(const void *a, const void *b) {
    const Placed *x = a, *y = b;
    return (x->value > y->value) - (x->value < y->value);
}

limn_status mean_ranks(double *ranks, const double *values, int64_t n) {
    Placed *sorted = malloc(((size_t)n + 1) * sizeof *sorted);
    if (sorted == NULL) {
        return fail(LIMN_NO_MEMORY, "ranks of %lld values", (long long)n);
    }
    for (int64_t i = 0; i < n; i++) {
        sorted[i] = (Placed){values[i], i};
    }
    qsort(sorted, (size_t)n, sizeof *sorted, by_value);
    for (int64_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && sorted[end].value <= sorted[i].value; end++) {
        }
        for (int64_t k = i; k < end; k++) {
            ranks[sorted[k].place] = 0.5 * (double)(i + 1 + end);
        }
    }
    free(sorted);
    return LIMN_OK;
}

limn_status spearman(double *rho, const double *x, const double *y, int64_t n) {
    double *ranks = malloc(2 * ((size_t)n + 1) * sizeof *ranks);
    if (ranks == NULL) {
        return fail(LIMN_NO_MEMORY, "ranks of %lld values", (long long)n);
    }
    limn_status status = mean_ranks(ranks, x, n);
    status = status == LIMN_OK ? mean_ranks(ranks + n, y, n) : status;
    *rho = status == LIMN_OK ? pearson(ranks, ranks + n, n) : (double)NAN;
    free(ranks);
    return status;
}

double kendall(const double *x, const double *y, int64_t n) {
    double agree = 0.0, ordered_x = 0.0, ordered_y = 0.0;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t k = 0; k < i; k++) {
            int a = (x[i] > x[k]) - (x[i] < x[k]), b = (y[i] > y[k]) - (y[i] < y[k]);
            agree += a * b;
            ordered_x += a * a;
            ordered_y += b * b;
        }
    }
    return agree / sqrt(ordered_x) / sqrt(ordered_y); /* 0 / 0 where nothing varies */
}
