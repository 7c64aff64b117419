#include "statistics/regression.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SWEEPS = 100000 };
static const double smallest = 1e-12;

/* x and y less their weighted means, times the roots of the weights; columns lie one after another. */
typedef struct Centered {
    double *x;      /* [k, n] */
    double *y;      /* [n] */
    double *mean_x; /* [k] */
    double mean_y, sum;
} Centered;

static double weight_of(const Observations *seen, int64_t i) {
    return seen->weights == NULL ? 1.0 : seen->weights[i];
}

static limn_status center(Centered *made, const Observations *seen) {
    int64_t n = seen->n;
    made->x = malloc(((size_t)n + 1) * ((size_t)seen->k + 2) * sizeof(double));
    made->sum = made->mean_y = 0.0;
    if (made->x == NULL) {
        return fail(LIMN_NO_MEMORY, "a fit of %lld observations", (long long)n);
    }
    made->y = made->x + n * seen->k;
    made->mean_x = made->y + n;
    memset(made->mean_x, 0, (size_t)seen->k * sizeof(double));
    for (int64_t i = 0; i < n; i++) {
        made->sum += weight_of(seen, i);
    }
    for (int64_t i = 0; i < n; i++) {
        double share = weight_of(seen, i) / made->sum;
        made->mean_y += share * seen->y[i];
        for (int32_t j = 0; j < seen->k; j++) {
            made->mean_x[j] += share * seen->x[i * seen->k + j];
        }
    }
    for (int64_t i = 0; i < n; i++) {
        double root = sqrt(weight_of(seen, i));
        made->y[i] = root * (seen->y[i] - made->mean_y);
        for (int32_t j = 0; j < seen->k; j++) {
            made->x[j * n + i] = root * (seen->x[i * seen->k + j] - made->mean_x[j]);
        }
    }
    return LIMN_OK;
}

static double dot(const double *a, const double *b, int64_t n) {
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

static void finish(LinearModel *model, const Observations *seen, const Centered *made) {
    model->intercept = made->mean_y - dot(made->mean_x, model->coefficients, seen->k);
    double left = 0.0, all = 0.0;
    for (int64_t i = 0; i < seen->n; i++) {
        double off = seen->y[i] - model->intercept - dot(seen->x + i * seen->k, model->coefficients, seen->k);
        double apart = seen->y[i] - made->mean_y;
        left += weight_of(seen, i) * off * off;
        all += weight_of(seen, i) * apart * apart;
    }
    model->explained = all > 0.0 ? 1.0 - left / all : (double)NAN;
}

/* Reflects column j below its diagonal away, and the columns behind it and y with it. The diagonal is what is left. */
static double reflect(double *columns, double *y, int64_t n, int32_t k, int32_t j) {
    double *own = columns + j * n;
    double size = sqrt(dot(own + j, own + j, n - j));
    if (size <= 0.0) {
        return 0.0;
    }
    double diagonal = own[j] > 0.0 ? -size : size;
    own[j] -= diagonal;
    double square = dot(own + j, own + j, n - j);
    for (int32_t other = j + 1; other <= k; other++) {
        double *column = other < k ? columns + other * n : y;
        double share = 2.0 * dot(own + j, column + j, n - j) / square;
        for (int64_t i = j; i < n; i++) {
            column[i] -= share * own[i];
        }
    }
    return diagonal;
}

limn_status least_squares(LinearModel *model, const Observations *seen) {
    Centered made;
    int64_t n = seen->n;
    int32_t rows = (int32_t)(n < seen->k ? n : seen->k);
    memset(model->coefficients, 0, (size_t)seen->k * sizeof(double));
    double *diagonal = malloc(((size_t)seen->k + 1) * sizeof *diagonal);
    limn_status status = diagonal == NULL ? fail(LIMN_NO_MEMORY, "a fit of %d columns", (int)seen->k) : LIMN_OK;
    status = status == LIMN_OK ? center(&made, seen) : status;
    if (status != LIMN_OK) {
        free(diagonal);
        return status;
    }
    double largest = 0.0;
    for (int32_t j = 0; j < rows; j++) {
        diagonal[j] = reflect(made.x, made.y, n, seen->k, j);
        largest = fmax(largest, fabs(diagonal[j]));
    }
    for (int32_t j = rows - 1; j >= 0; j--) {
        double value = made.y[j];
        for (int32_t other = j + 1; other < rows; other++) {
            value -= made.x[other * n + j] * model->coefficients[other];
        }
        model->coefficients[j] = fabs(diagonal[j]) > smallest * largest ? value / diagonal[j] : 0.0;
    }
    free(diagonal);
    finish(model, seen, &made);
    free(made.x);
    return LIMN_OK;
}

static double shrunk(double value, double by) {
    return value > by ? value - by : value < -by ? value + by : 0.0;
}

limn_status lasso(LinearModel *model, const Observations *seen, double alpha) {
    Centered made;
    int64_t n = seen->n;
    memset(model->coefficients, 0, (size_t)seen->k * sizeof(double));
    TRY(center(&made, seen));
    for (int sweep = 0; sweep < MOST_SWEEPS; sweep++) {
        double change = 0.0, largest = 0.0;
        for (int32_t j = 0; j < seen->k; j++) {
            double *column = made.x + j * n, square = dot(column, column, n), before = model->coefficients[j];
            double now =
                square > 0.0 ? shrunk(dot(column, made.y, n) + square * before, alpha * made.sum) / square : 0.0;
            for (int64_t i = 0; i < n && now != before; i++) { /* y holds what is not explained yet */
                made.y[i] -= (now - before) * column[i];
            }
            model->coefficients[j] = now;
            change = fmax(change, fabs(now - before));
            largest = fmax(largest, fabs(now));
        }
        if (change <= smallest * largest) {
            break;
        }
    }
    finish(model, seen, &made);
    free(made.x);
    return LIMN_OK;
}
