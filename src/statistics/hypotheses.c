/* Exact tests of counts, and many hypotheses at once: statistics.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "statistics/statistics.h"

/* ---- counts ---- */

double mcnemar_exact(int64_t b, int64_t c) {
    int64_t n = b + c;
    int64_t least = b < c ? b : c;
    if (n == 0 || b == c) {
        return 1.0;
    }
    /* P(X <= least) of a fair coin thrown n times, as a beta distribution */
    double tail = beta_cdf(0.5, (double)(n - least), (double)(least + 1));
    return fmin(1.0, 2.0 * tail);
}

static double log_choose(int64_t n, int64_t k) {
    return lgamma((double)n + 1.0) - lgamma((double)k + 1.0) - lgamma((double)(n - k) + 1.0);
}

double fisher_exact(int64_t a, int64_t b, int64_t c, int64_t d) {
    const double slack = 1e-7; /* tables as likely as the observed one count, though rounding puts them above */
    int64_t row = a + b, column = a + c, n = a + b + c + d;
    double whole = log_choose(n, column);
    double observed = log_choose(row, a) + log_choose(n - row, column - a) - whole;
    double sum = 0.0;
    for (int64_t k = 0; k <= column; k++) { /* a table with a count below 0 has the probability 0: lgamma's poles */
        double likely = log_choose(row, k) + log_choose(n - row, column - k) - whole;
        sum += likely <= observed + slack ? exp(likely) : 0.0;
    }
    return fmin(1.0, sum);
}

/* ---- many hypotheses ---- */

double simultaneous_level(double level, int64_t family) {
    return family > 1 ? 1.0 - (1.0 - level) / (double)family : level;
}

typedef struct Ranked {
    double value;
    int64_t index;
} Ranked;

static int rising(const void *left, const void *right) {
    const Ranked *a = left, *b = right;
    return (a->value > b->value) - (a->value < b->value);
}

limn_status holm_adjust_families(double *adjusted, const double *p, const int32_t *family, int64_t n) {
    Ranked *order = malloc((size_t)(n + 1) * sizeof *order);
    int64_t *standing = calloc((size_t)n + 1, sizeof *standing); /* of each family, those not rejected yet */
    if (order == NULL || standing == NULL) {
        free(order);
        free(standing);
        return fail(LIMN_NO_MEMORY, "%lld p-values", (long long)n);
    }
    int64_t tested = 0, tests = 0; /* NaN is no test */
    for (int64_t i = 0; i < n; i++) {
        int32_t of = family != NULL ? family[i] : 0;
        if (!isnan(p[i])) {
            order[tested++] = (Ranked){p[i], i};
            tests += of == 0 || standing[of]++ == 0;
        }
        adjusted[i] = p[i];
    }
    qsort(order, (size_t)tested, sizeof *order, rising);
    double largest = 0.0;
    for (int64_t i = 0; i < tested; i++) {
        int32_t of = family != NULL ? family[order[i].index] : 0;
        largest = fmax(largest, fmin(1.0, order[i].value * (double)tests));
        adjusted[order[i].index] = largest;
        tests -= of == 0 || --standing[of] == 0;
    }
    free(order);
    free(standing);
    return LIMN_OK;
}

limn_status holm_adjust(double *adjusted, const double *p, int64_t n) {
    return holm_adjust_families(adjusted, p, NULL, n);
}

typedef struct SignFlips {
    const SignFlipTest *test;
    double *scale;    /* [H] sqrt(sum x^2); 0: no entry, or nothing but zeros */
    double *observed; /* [H] T of the records as they are */
    double *flipped;  /* [H] sums of one flip */
    int8_t *sign;     /* [R] of one flip */
    bool *seen;       /* [H] has an entry */
    int64_t *alone;   /* [H] flips in which its own T is no smaller */
    int64_t *among;   /* [H] flips in which the largest T of those standing no higher is no smaller */
    Ranked *order;    /* [n_tested] hypotheses by observed T, largest last */
    int32_t n_tested;
} SignFlips;

static double statistic(const SignFlips *flips, int32_t hypothesis, double sum) {
    double scale = flips->scale[hypothesis];
    double t = scale > 0.0 ? sum / scale : 0.0;
    return flips->test->two_sided ? fabs(t) : t;
}

static void sum_up(const SignFlips *flips) {
    const SignFlipTest *test = flips->test;
    memset(flips->flipped, 0, (size_t)test->n_hypotheses * sizeof *flips->flipped);
    for (int64_t i = 0; i < test->n_entries; i++) {
        const SignFlipEntry *entry = &test->entries[i];
        flips->flipped[entry->hypothesis] += flips->sign[entry->record] * entry->value;
    }
}

static void observe(SignFlips *flips) {
    const SignFlipTest *test = flips->test;
    memset(flips->sign, 1, (size_t)test->n_records);
    sum_up(flips);
    for (int64_t i = 0; i < test->n_entries; i++) {
        const SignFlipEntry *entry = &test->entries[i];
        flips->scale[entry->hypothesis] += entry->value * entry->value;
        flips->seen[entry->hypothesis] = true;
    }
    for (int32_t h = 0; h < test->n_hypotheses; h++) {
        flips->scale[h] = sqrt(flips->scale[h]);
        flips->observed[h] = statistic(flips, h, flips->flipped[h]);
        if (flips->seen[h]) {
            flips->order[flips->n_tested++] = (Ranked){flips->observed[h], h};
        }
    }
    qsort(flips->order, (size_t)flips->n_tested, sizeof *flips->order, rising);
}

/* Sums in another order round differently: what is equal by the algebra must count as equal. */
static bool no_smaller(double t, double observed) {
    return t >= observed - 1e-12 * fabs(observed);
}

static void count_flip(const SignFlips *flips) {
    sum_up(flips);
    double largest = -INFINITY;
    for (int32_t k = 0; k < flips->n_tested; k++) {
        int32_t h = (int32_t)flips->order[k].index;
        double t = statistic(flips, h, flips->flipped[h]);
        largest = fmax(largest, t);
        flips->alone[h] += no_smaller(t, flips->observed[h]) ? 1 : 0;
        flips->among[h] += no_smaller(largest, flips->observed[h]) ? 1 : 0;
    }
}

/* All 2^R signs where these are few, else as many drawn as were asked for. *extra: the records as they are, which a
 * sample counts besides. */
static int64_t go_through(const SignFlips *flips, int64_t *extra) {
    const SignFlipTest *test = flips->test;
    if (test->n_records < 31 && ((int64_t)1 << test->n_records) <= test->flips) {
        *extra = 0;
        for (int64_t bits = 0; bits < (int64_t)1 << test->n_records; bits++) {
            for (int32_t r = 0; r < test->n_records; r++) {
                flips->sign[r] = (bits >> r & 1) != 0 ? -1 : 1;
            }
            count_flip(flips);
        }
        return (int64_t)1 << test->n_records;
    }
    Random random;
    random_seed(&random, test->seed);
    *extra = 1;
    for (int32_t f = 0; f < test->flips; f++) {
        uint64_t bits = 0;
        for (int32_t r = 0; r < test->n_records; r++) {
            bits = r % 64 == 0 ? random_bits(&random) : bits >> 1;
            flips->sign[r] = (bits & 1) != 0 ? -1 : 1;
        }
        count_flip(flips);
    }
    return test->flips;
}

static void read_off(const SignFlips *flips, double *alone, double *adjusted) {
    const SignFlipTest *test = flips->test;
    int64_t extra;
    int64_t n = go_through(flips, &extra);
    for (int32_t h = 0; h < test->n_hypotheses; h++) {
        alone[h] = adjusted[h] = (double)NAN;
    }
    double largest = 0.0; /* a lower T never has the smaller p */
    for (int32_t k = flips->n_tested - 1; k >= 0; k--) {
        int32_t h = (int32_t)flips->order[k].index;
        alone[h] = (double)(flips->alone[h] + extra) / (double)(n + extra);
        largest = fmax(largest, (double)(flips->among[h] + extra) / (double)(n + extra));
        adjusted[h] = largest;
    }
}

limn_status sign_flip_test(const SignFlipTest *test, double *alone, double *adjusted) {
    size_t h = (size_t)test->n_hypotheses + 1;
    SignFlips flips = {.test = test,
                       .scale = calloc(h, sizeof(double)),
                       .observed = calloc(h, sizeof(double)),
                       .flipped = calloc(h, sizeof(double)),
                       .sign = calloc((size_t)test->n_records + 1, sizeof(int8_t)),
                       .seen = calloc(h, sizeof(bool)),
                       .alone = calloc(h, sizeof(int64_t)),
                       .among = calloc(h, sizeof(int64_t)),
                       .order = calloc(h, sizeof(Ranked))};
    limn_status status = LIMN_OK;
    if (flips.scale == NULL || flips.observed == NULL || flips.flipped == NULL || flips.sign == NULL ||
        flips.seen == NULL || flips.alone == NULL || flips.among == NULL || flips.order == NULL) {
        status = fail(LIMN_NO_MEMORY, "a test of %d hypotheses on %d records", test->n_hypotheses, test->n_records);
    } else {
        observe(&flips);
        read_off(&flips, alone, adjusted);
    }
    free(flips.scale);
    free(flips.observed);
    free(flips.flipped);
    free(flips.sign);
    free(flips.seen);
    free(flips.alone);
    free(flips.among);
    free(flips.order);
    return status;
}
