#include "statistics/statistics.h"

#include <math.h>
#include <stdlib.h>

#include "base/random.h"

/* ---- distributions ---- */

double normal_cdf(double z) {
    return 0.5 * erfc(-z * 0.70710678118654752440);
}

/* Where a rising function takes the value p, of the lower half: halving until no number lies between. */
static double invert(double (*cdf)(double, double), double degrees, double p) {
    if (!(p > 0.0)) {
        return p == 0.0 ? -INFINITY : (double)NAN;
    }
    double low = -1.0, high = 1.0;
    while (cdf(low, degrees) > p && low > -1e300) {
        low *= 2.0;
    }
    for (;;) {
        double middle = 0.5 * (low + high);
        if (middle <= low || middle >= high) {
            return middle;
        }
        if (cdf(middle, degrees) < p) {
            low = middle;
        } else {
            high = middle;
        }
    }
}

static double normal_cdf_of(double z, double unused) {
    (void)unused;
    return normal_cdf(z);
}

/* The lower tail is the exact one: both ends are read from there. */
double normal_quantile(double p) {
    return p > 0.5 ? -invert(normal_cdf_of, 0.0, 1.0 - p) : invert(normal_cdf_of, 0.0, p);
}

/* The continued fraction of the incomplete beta function by Lentz's way (Numerical Recipes, 6.4). */
static double beta_fraction(double x, double a, double b) {
    const double tiny = 1e-300;
    double c = 1.0;
    double d = 1.0 - (a + b) * x / (a + 1.0);
    d = 1.0 / (fabs(d) < tiny ? tiny : d);
    double product = d;
    for (int m = 1; m <= 10000; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0));
        const double terms[] = {even, odd};
        double step = 1.0;
        for (int k = 0; k < 2; k++) {
            d = 1.0 + terms[k] * d;
            d = 1.0 / (fabs(d) < tiny ? tiny : d);
            c = 1.0 + terms[k] / c;
            c = fabs(c) < tiny ? tiny : c;
            step = d * c;
            product *= step;
        }
        if (fabs(step - 1.0) < 1e-16) {
            break;
        }
    }
    return product;
}

double beta_cdf(double x, double a, double b) {
    if (!(x > 0.0)) {
        return x <= 0.0 ? 0.0 : (double)NAN;
    }
    if (x >= 1.0) {
        return 1.0;
    }
    double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));
    return x < (a + 1.0) / (a + b + 2.0) ? front * beta_fraction(x, a, b) / a
                                         : 1.0 - front * beta_fraction(1.0 - x, b, a) / b;
}

/* Read from the end of the beta distribution that keeps small numbers: the tail far out, the middle near 0. */
double student_cdf(double t, double degrees) {
    double square = t * t;
    if (square < degrees) {
        double middle = 0.5 * beta_cdf(square / (degrees + square), 0.5, 0.5 * degrees);
        return t < 0.0 ? 0.5 - middle : 0.5 + middle;
    }
    double tail = 0.5 * beta_cdf(degrees / (degrees + square), 0.5 * degrees, 0.5);
    return t < 0.0 ? tail : 1.0 - tail;
}

double student_quantile(double p, double degrees) {
    return p > 0.5 ? -invert(student_cdf, degrees, 1.0 - p) : invert(student_cdf, degrees, p);
}

/* ---- a share ---- */

static const Interval none = {(double)NAN, (double)NAN, (double)NAN};

Interval wilson_interval_at(int64_t successes, int64_t n, double level) {
    if (n <= 0) {
        return none;
    }
    double count = (double)n;
    double z = normal_quantile(0.5 + 0.5 * level);
    double p = (double)successes / count;
    double z2 = z * z / count;
    double centre = (p + z2 / 2) / (1 + z2);
    double half = z / (1 + z2) * sqrt(p * (1 - p) / count + z2 / (4 * count));
    /* exact at the ends, where rounding would leave a trace */
    return (Interval){p, successes == 0 ? 0 : centre - half, successes == n ? 1 : centre + half};
}

Interval wilson_interval(int64_t successes, int64_t n) {
    return wilson_interval_at(successes, n, 0.95);
}

/* ---- a mean ---- */

typedef struct Moments {
    double mean;
    double error; /* standard error of the mean */
} Moments;

static Moments moments_of(const double *values, int64_t n) {
    double sum = 0.0, squares = 0.0;
    for (int64_t i = 0; i < n; i++) {
        sum += values[i];
    }
    double mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++) {
        squares += (values[i] - mean) * (values[i] - mean);
    }
    return (Moments){mean, n > 1 ? sqrt(squares / (double)(n - 1) / (double)n) : (double)NAN};
}

Interval mean_interval(const double *values, int64_t n, double level) {
    Moments moments = moments_of(values, n);
    if (n < 2) {
        return (Interval){moments.mean, (double)NAN, (double)NAN};
    }
    double half = student_quantile(0.5 + 0.5 * level, (double)(n - 1)) * moments.error;
    return (Interval){moments.mean, moments.mean - half, moments.mean + half};
}

double mean_p(const double *values, int64_t n) {
    Moments moments = moments_of(values, n);
    if (!(moments.error > 0.0)) {
        return isnan(moments.error) ? (double)NAN : moments.mean == 0.0 ? 1.0 : 0.0;
    }
    return 2.0 * student_cdf(-fabs(moments.mean / moments.error), (double)(n - 1));
}

static int by_size(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Between the two nearest of sorted values, as NumPy's default has it. */
static double quantile_of(const double *sorted, int64_t n, double p) {
    double at = p * (double)(n - 1);
    int64_t below = (int64_t)floor(at);
    int64_t above = below + 1 < n ? below + 1 : below;
    return sorted[below] + (at - (double)below) * (sorted[above] - sorted[below]);
}

/* The acceleration: how skew the mean is when each value in turn is left out. */
static double acceleration(const double *values, int64_t n, double mean) {
    double cubes = 0.0, squares = 0.0;
    for (int64_t i = 0; i < n; i++) {
        double out = (values[i] - mean) / (double)(n - 1); /* the jackknife's mean less that without value i */
        cubes += out * out * out;
        squares += out * out;
    }
    return squares > 0.0 ? cubes / (6.0 * pow(squares, 1.5)) : 0.0;
}

static Interval bca(const double *sorted, int32_t replicates, double level, double mean, double skew) {
    double less = 0.0;
    for (int32_t r = 0; r < replicates; r++) {
        less += sorted[r] < mean ? 1.0 : sorted[r] == mean ? 0.5 : 0.0;
    }
    double bias = normal_quantile(less / replicates);
    Interval interval = {mean, (double)NAN, (double)NAN};
    double *const ends[] = {&interval.low, &interval.high};
    for (int k = 0; k < 2; k++) {
        double z = normal_quantile(k == 0 ? 0.5 - 0.5 * level : 0.5 + 0.5 * level);
        double share = normal_cdf(bias + (bias + z) / (1.0 - skew * (bias + z)));
        *ends[k] = isfinite(share) ? quantile_of(sorted, replicates, share) : (double)NAN;
    }
    return interval;
}

limn_status bootstrap_interval(Interval *interval, const double *values, int64_t n, double level, BootstrapKind kind,
                               int32_t replicates, uint64_t seed) {
    *interval = n == 1 ? (Interval){values[0], (double)NAN, (double)NAN} : none;
    if (n < 2 || replicates < 2) {
        return LIMN_OK;
    }
    double *means = malloc((size_t)replicates * sizeof *means);
    if (means == NULL) {
        return fail(LIMN_NO_MEMORY, "a bootstrap of %d replicates", replicates);
    }
    Random random;
    random_seed(&random, seed);
    for (int32_t r = 0; r < replicates; r++) {
        double sum = 0.0;
        for (int64_t i = 0; i < n; i++) {
            sum += values[random_below(&random, (uint64_t)n)];
        }
        means[r] = sum / (double)n;
    }
    qsort(means, (size_t)replicates, sizeof *means, by_size);
    double mean = moments_of(values, n).mean;
    *interval = kind == BOOTSTRAP_BCA ? bca(means, replicates, level, mean, acceleration(values, n, mean))
                                      : (Interval){mean, quantile_of(means, replicates, 0.5 - 0.5 * level),
                                                   quantile_of(means, replicates, 0.5 + 0.5 * level)};
    free(means);
    return LIMN_OK;
}
