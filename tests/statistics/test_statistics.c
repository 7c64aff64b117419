/* Distributions, intervals, exact tests and corrections as SciPy and statsmodels give them, on the same draws; what can
 * be said without an oracle (a false alarm's chance) by trying it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "base/random.h"
#include "statistics/statistics.h"

#include <cmocka.h> /* last: it has a macro named fail */

static json_t *golden;

static int set_up(void **state) {
    golden = json_load_file(LIMN_TEST_SOURCE_DIR "/tests/golden/statistics/statistics.json", 0, NULL);
    return golden == NULL ? -1 : 0;
}

static int tear_down(void **state) {
    json_decref(golden);
    return 0;
}

static void must(limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

static double number(const json_t *array, size_t index) {
    return json_number_value(json_array_get(array, index));
}

static double field(const json_t *object, const char *name) {
    return json_number_value(json_object_get(object, name));
}

static void near(double found, double expected, double tolerance, const char *what) {
    if (!(fabs(found - expected) <= tolerance * fmax(1.0, fabs(expected)))) {
        fail_msg("%s: found %.17g, expected %.17g", what, found, expected);
    }
}

static double *values_of(const json_t *array, int64_t *n) {
    *n = (int64_t)json_array_size(array);
    double *values = malloc((size_t)(*n + 1) * sizeof *values);
    assert_non_null(values);
    for (int64_t i = 0; i < *n; i++) {
        values[i] = number(array, (size_t)i);
    }
    return values;
}

static void test_distributions(void **state) {
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(golden, "normal_cdf"), i, row) {
        near(normal_cdf(number(row, 0)), number(row, 1), 1e-13, "normal_cdf");
    }
    json_array_foreach(json_object_get(golden, "normal_quantile"), i, row) {
        near(normal_quantile(number(row, 0)), number(row, 1), 1e-12, "normal_quantile");
    }
    json_array_foreach(json_object_get(golden, "student_cdf"), i, row) {
        near(student_cdf(number(row, 0), number(row, 1)), number(row, 2), 1e-12, "student_cdf");
    }
    json_array_foreach(json_object_get(golden, "student_quantile"), i, row) {
        near(student_quantile(number(row, 0), number(row, 1)), number(row, 2), 1e-10, "student_quantile");
    }
    json_array_foreach(json_object_get(golden, "beta_cdf"), i, row) {
        near(beta_cdf(number(row, 0), number(row, 1), number(row, 2)), number(row, 3), 1e-12, "beta_cdf");
    }
    static const double none[] = {(double)NAN, -0.1, -1.0, 1.1, 2.0};
    for (i = 0; i < sizeof none / sizeof none[0]; i++) {
        assert_true(isnan(normal_quantile(none[i])) && isnan(student_quantile(none[i], 3.0)));
    }
    assert_true(normal_quantile(1.0) == INFINITY && student_quantile(1.0, 3.0) == INFINITY);
    assert_true(normal_quantile(0.0) == -INFINITY && student_quantile(0.0, 3.0) == -INFINITY);
    assert_true(beta_cdf(1.0, 2.0, 3.0) == 1.0 && beta_cdf(1.5, 2.0, 3.0) == 1.0);
    assert_true(beta_cdf(0.0, 2.0, 3.0) == 0.0 && beta_cdf(-0.5, 2.0, 3.0) == 0.0);
    assert_true(isnan(beta_cdf((double)NAN, 2.0, 3.0)));
    /* one degree: Cauchy's, tan(pi (p - 1/2)); two: by algebra; both tails alike */
    near(student_quantile(0.001, 1.0), tan(M_PI * -0.499), 1e-10, "Cauchy");
    for (double p = 0.51; p < 1.0; p += 0.06) {
        near(student_quantile(p, 2.0), (2 * p - 1) * sqrt(2 / (4 * p * (1 - p))), 1e-10, "two degrees");
        near(student_quantile(1.0 - p, 2.0), -student_quantile(p, 2.0), 1e-10, "tails");
        near(normal_quantile(1.0 - p), -normal_quantile(p), 1e-10, "tails");
    }
}

static void test_means(void **state) {
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(golden, "means"), i, row) {
        int64_t n;
        double *values = values_of(json_object_get(row, "values"), &n);
        Interval found = mean_interval(values, n, field(row, "level"));
        near(found.low, field(row, "low"), 1e-9, "mean low");
        near(found.high, field(row, "high"), 1e-9, "mean high");
        near(mean_p(values, n), field(row, "p"), 1e-10, "mean p");
        free(values);
    }
    const double same[] = {2.0, 2.0, 2.0}, zeros[] = {0.0, 0.0};
    assert_true(mean_interval(same, 3, 0.95).low == 2.0 && mean_p(same, 3) == 0.0 && mean_p(zeros, 2) == 1.0);
    assert_true(isnan(mean_interval(same, 1, 0.95).low) && mean_interval(same, 1, 0.95).value == 2.0);
    assert_true(isnan(mean_interval(same, 0, 0.95).value) && isnan(mean_p(same, 1)));
    const double with_nan[] = {1.0, (double)NAN, 2.0}, two[] = {1.0, 3.0};
    assert_true(isnan(mean_p(with_nan, 3)));
    /* by hand: mean 2, its error 1, one degree of freedom: tan(0.45 pi) */
    near(mean_interval(two, 2, 0.9).value, 2.0, 1e-12, "mean");
    near(mean_interval(two, 2, 0.9).high, 2.0 + tan(0.45 * M_PI), 1e-9, "mean high");
    near(mean_p(two, 2), 1.0 - 2.0 * atan(2.0) / M_PI, 1e-10, "mean p");
}

static void test_bootstrap(void **state) {
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(golden, "bootstraps"), i, row) {
        int64_t n;
        double *values = values_of(json_object_get(row, "values"), &n);
        static const char *const names[] = {"percentile", "BCa"};
        for (int kind = 0; kind < 2; kind++) {
            Interval found;
            must(bootstrap_interval(&found, values, n, field(row, "level"), (BootstrapKind)kind,
                                    (int32_t)field(row, "replicates"), (uint64_t)field(row, "seed")));
            double sum = 0;
            for (int64_t k = 0; k < n; k++) {
                sum += values[k];
            }
            near(found.value, sum / (double)n, 1e-12, "mean");
            const json_t *ends = json_object_get(row, names[kind]);
            near(found.low, number(ends, 0), 1e-9, names[kind]);
            near(found.high, number(ends, 1), 1e-9, names[kind]);
        }
        free(values);
    }
    const double one = 3.0;
    Interval found;
    must(bootstrap_interval(&found, &one, 1, 0.95, BOOTSTRAP_BCA, 100, 0));
    assert_true(found.value == 3.0 && isnan(found.low));
    /* of values that are all the same nothing varies; of one replicate there is no interval */
    const double same[] = {2.0, 2.0, 2.0}, two[] = {0.0, 1.0};
    for (int kind = 0; kind < 2; kind++) {
        must(bootstrap_interval(&found, same, 3, 0.95, (BootstrapKind)kind, 50, 0));
        assert_true(found.value == 2.0 && found.low == 2.0 && found.high == 2.0);
        must(bootstrap_interval(&found, same, 0, 0.95, (BootstrapKind)kind, 50, 0));
        assert_true(isnan(found.value) && isnan(found.low) && isnan(found.high));
        must(bootstrap_interval(&found, two, 2, 0.95, (BootstrapKind)kind, 1, 0));
        assert_true(isnan(found.value) && isnan(found.low));
    }
    must(bootstrap_interval(&found, two, 2, 0.95, BOOTSTRAP_PERCENTILE, 2, 3));
    assert_true(found.value == 0.5 && found.low >= 0.0 && found.high >= found.low && found.high <= 1.0);
}

static void test_counts(void **state) {
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(golden, "fisher"), i, row) {
        int64_t t[4];
        for (size_t k = 0; k < 4; k++) {
            t[k] = (int64_t)number(row, k);
        }
        near(fisher_exact(t[0], t[1], t[2], t[3]), number(row, 4), 1e-10, "fisher");
    }
    json_array_foreach(json_object_get(golden, "mcnemar"), i, row) {
        near(mcnemar_exact((int64_t)number(row, 0), (int64_t)number(row, 1)), number(row, 2), 1e-10, "mcnemar");
    }
    json_array_foreach(json_object_get(golden, "wilson"), i, row) {
        Interval found = wilson_interval_at((int64_t)number(row, 0), (int64_t)number(row, 1), number(row, 2));
        near(found.low, number(row, 3), 1e-10, "wilson low");
        near(found.high, number(row, 4), 1e-10, "wilson high");
    }
    assert_true(mcnemar_exact(0, 0) == 1.0);
    Interval usual = wilson_interval(3, 10), of_none = wilson_interval(0, 0); /* statsmodels' proportion_confint */
    near(usual.value, 0.3, 1e-12, "wilson");
    near(usual.low, 0.10779126740630099, 1e-12, "wilson low");
    near(usual.high, 0.6032218525388546, 1e-12, "wilson high");
    assert_true(isnan(of_none.value) && isnan(of_none.low) && isnan(of_none.high));
    assert_true(wilson_interval(0, 7).low == 0.0 && wilson_interval(7, 7).high == 1.0 &&
                wilson_interval(1, 7).low > 0.0 && wilson_interval(6, 7).high < 1.0);
}

enum { MOST = 14 };

static double choose(int n, int k) {
    double ways = k < 0 || k > n ? 0.0 : 1.0;
    for (int i = 1; i <= k && ways > 0.0; i++) {
        ways = ways * (n - k + i) / i; /* a whole number at each step */
    }
    return ways;
}

/* Both exact tests by counting, of all tables up to MOST records. */
static void test_counts_by_counting(void **state) {
    for (int b = 0; b <= MOST; b++) {
        for (int c = 0; c <= MOST; c++) {
            double ways = 0.0;
            for (int k = 0; k <= (b < c ? b : c); k++) {
                ways += choose(b + c, k);
            }
            double found = mcnemar_exact(b, c);
            near(found, fmin(1.0, 2.0 * ways / pow(2.0, b + c)), 1e-12, "mcnemar");
            assert_true(found <= 1.0);
        }
    }
    for (int table = 0; table < MOST * MOST * MOST * MOST; table += 3) {
        int a = table % MOST, b = table / MOST % MOST, c = table / MOST / MOST % MOST, d = table / MOST / MOST / MOST;
        if (a + b + c + d > MOST) {
            continue;
        }
        double observed = choose(a + b, a) * choose(c + d, c), sum = 0.0;
        for (int k = 0; k <= a + c; k++) {
            double ways = choose(a + b, k) * choose(c + d, a + c - k);
            sum += ways <= observed ? ways : 0.0;
        }
        double found = fisher_exact(a, b, c, d);
        near(found, sum / choose(a + b + c + d, a + c), 1e-12, "fisher");
        assert_true(found <= 1.0);
    }
}

static void test_corrections(void **state) {
    const json_t *cases = json_object_get(golden, "corrections");
    int64_t n;
    double *p = values_of(json_object_get(cases, "p"), &n);
    for (int64_t i = 0; i < n; i++) { /* an interval at the simultaneous level leaves 0 out where p does */
        double level = simultaneous_level(1.0 - p[i], 1);
        near(fmin(1.0, (1.0 - level) * (double)n), number(json_object_get(cases, "bonferroni"), (size_t)i), 1e-12,
             "bonferroni");
    }
    near(1.0 - simultaneous_level(0.95, 20), 0.0025, 1e-12, "simultaneous level");
    near(1.0 - simultaneous_level(0.95, 2), 0.025, 1e-12, "simultaneous level");
    assert_true(simultaneous_level(0.95, 0) == 0.95 && simultaneous_level(0.95, 1) == 0.95);
    must(holm_adjust(p, p, n));
    for (int64_t i = 0; i < n; i++) {
        near(p[i], number(json_object_get(cases, "holm"), (size_t)i), 1e-12, "holm");
    }
    free(p);
    double some[] = {0.01, (double)NAN, 0.02};
    must(holm_adjust(some, some, 3));
    assert_true(some[0] == 0.02 && isnan(some[1]) && some[2] == 0.02);
    const double more[] = {0.5, (double)NAN, 0.0, 0.9, 0.1}, expected[] = {1.0, 0.0, 0.0, 1.0, 0.3};
    double other[] = {7, 7, 7, 7, 7};
    must(holm_adjust(other, more, 5));
    for (int i = 0; i < 5; i++) {
        assert_true(i == 1 ? isnan(other[i]) : fabs(other[i] - expected[i]) < 1e-15);
    }
    must(holm_adjust(other, more, 0)); /* nothing */
}

/* A family counts as one test; every rejection is one of closed testing, which is done here set by set. */
static void test_families(void **state) {
    (void)state;
    enum { N = 6 };
    const double p[N] = {0.004, 0.011, 0.3, 0.02, 0.012, 0.8};
    static const int32_t families[][N] = {{1, 1, 1, 0, 0, 2}, {1, 1, 1, 1, 0, 2}, {0, 0, 0, 0, 0, 0},
                                          {1, 1, 1, 1, 1, 1}, {6, 5, 4, 3, 2, 1}, {2, 0, 1, 2, 1, 1}};
    double adjusted[N];
    must(holm_adjust_families(adjusted, p, families[0], N));
    near(adjusted[0], 0.016, 1e-12, "of four tests");
    near(adjusted[1], 0.044, 1e-12, "its family stands still");
    for (size_t f = 0; f < sizeof families / sizeof families[0]; f++) {
        const int32_t *family = families[f];
        must(holm_adjust_families(adjusted, p, family, N));
        for (int i = 0; i < N; i++) {
            double largest = 0; /* over all sets with i: the smallest p in it, times the tests in it */
            for (int set = 1; set < 1 << N; set++) {
                double smallest = 1;
                int tests = 0, seen = 0;
                for (int k = 0; k < N; k++) {
                    bool in = (set >> k & 1) != 0;
                    smallest = in && p[k] < smallest ? p[k] : smallest;
                    tests += in && (family[k] == 0 || (seen >> family[k] & 1) == 0);
                    seen |= in ? 1 << family[k] : 0;
                }
                largest = (set >> i & 1) != 0 ? fmax(largest, fmin(1, smallest * tests)) : largest;
            }
            near(adjusted[i], largest, 1e-12, "closed testing");
        }
    }
}

static void test_sign_flips(void **state) {
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(golden, "sign_flips"), i, row) {
        const json_t *list = json_object_get(row, "entries");
        size_t n = json_array_size(list);
        SignFlipEntry *entries = calloc(n + 1, sizeof *entries);
        assert_non_null(entries);
        for (size_t k = 0; k < n; k++) {
            const json_t *entry = json_array_get(list, k);
            entries[k] = (SignFlipEntry){(int32_t)number(entry, 0), (int32_t)number(entry, 1), number(entry, 2)};
        }
        SignFlipTest test = {.entries = entries,
                             .n_entries = (int64_t)n,
                             .n_records = (int32_t)field(row, "records"),
                             .n_hypotheses = (int32_t)field(row, "hypotheses"),
                             .two_sided = json_is_true(json_object_get(row, "two_sided")),
                             .flips = (int32_t)field(row, "flips"),
                             .seed = (uint64_t)field(row, "seed")};
        double alone[8], adjusted[8];
        must(sign_flip_test(&test, alone, adjusted));
        for (int32_t h = 0; h < test.n_hypotheses; h++) {
            near(alone[h], number(json_object_get(row, "alone"), (size_t)h), 1e-12, "alone");
            near(adjusted[h], number(json_object_get(row, "adjusted"), (size_t)h), 1e-12, "adjusted");
        }
        free(entries);
    }
}

/* A hypothesis without an entry has no p; one of zeros has none of evidence. */
static void test_sign_flip_ends(void **state) {
    const SignFlipEntry entries[] = {{0, 0, 0.0}, {1, 0, 0.0}, {0, 2, 1.0}, {1, 2, 2.0}};
    SignFlipTest test = {.entries = entries, .n_entries = 4, .n_records = 2, .n_hypotheses = 3, .flips = 100};
    double alone[3], adjusted[3];
    must(sign_flip_test(&test, alone, adjusted));
    assert_true(alone[0] == 1.0 && adjusted[0] == 1.0);
    assert_true(isnan(alone[1]) && isnan(adjusted[1]));
    assert_true(alone[2] == 0.25 && adjusted[2] == 0.25);
    /* 1 and a hair less than -1: two of four signs reach no less, and zeros beside them change nothing of it */
    const SignFlipEntry hair[] = {{0, 1, 1.0}, {1, 1, -1.0 + 1e-9}, {0, 0, 0.0}};
    test.entries = hair;
    test.n_entries = 3;
    must(sign_flip_test(&test, alone, adjusted));
    assert_true(alone[1] == 0.5 && adjusted[1] == 0.5 && alone[0] == 1.0 && adjusted[0] == 1.0 && isnan(alone[2]));
    /* one entry, the first: a coin; as many drawn as there are signs are not drawn; two-sided both signs reach it */
    const SignFlipEntry one = {1, 0, -2.0};
    test = (SignFlipTest){.entries = &one, .n_entries = 1, .n_records = 2, .n_hypotheses = 1, .flips = 4};
    must(sign_flip_test(&test, alone, adjusted));
    assert_true(alone[0] == 1.0 && adjusted[0] == 1.0);
    test.two_sided = true;
    must(sign_flip_test(&test, alone, adjusted));
    assert_true(alone[0] == 1.0 && adjusted[0] == 1.0);
    const SignFlipEntry up = {1, 0, 2.0};
    test.entries = &up;
    test.two_sided = false;
    must(sign_flip_test(&test, alone, adjusted));
    assert_true(alone[0] == 0.5 && adjusted[0] == 0.5);
    test.flips = 3; /* one fewer: drawn, the records as they are among them */
    must(sign_flip_test(&test, alone, adjusted));
    assert_true(alone[0] == 0.25 || alone[0] == 0.5 || alone[0] == 0.75 || alone[0] == 1.0);
}

/* Where nothing is true, the smallest adjusted p of 12 dependent hypotheses is below .1 in a tenth of the data sets. */
static void test_false_alarms(void **state) {
    enum { SETS = 300, RECORDS = 24, HYPOTHESES = 12 };
    Random random;
    random_seed(&random, 99);
    int alarms = 0, raw = 0;
    for (int set = 0; set < SETS; set++) {
        SignFlipEntry entries[RECORDS * HYPOTHESES];
        int64_t n = 0;
        for (int32_t r = 0; r < RECORDS; r++) {
            double shared = random_normal(&random);
            for (int32_t h = 0; h < HYPOTHESES; h++) {
                entries[n++] = (SignFlipEntry){r, h, 0.5 * shared + random_normal(&random)};
            }
        }
        SignFlipTest test = {.entries = entries,
                             .n_entries = n,
                             .n_records = RECORDS,
                             .n_hypotheses = HYPOTHESES,
                             .flips = 199,
                             .seed = (uint64_t)set};
        double alone[HYPOTHESES], adjusted[HYPOTHESES];
        must(sign_flip_test(&test, alone, adjusted));
        bool alarm = false, any = false;
        for (int h = 0; h < HYPOTHESES; h++) {
            alarm = alarm || adjusted[h] <= 0.1;
            any = any || alone[h] <= 0.1;
            assert_true(adjusted[h] >= alone[h]);
        }
        alarms += alarm;
        raw += any;
    }
    assert_in_range(alarms, 15, 47); /* 30 expected; four standard deviations are 21, the lower side is not the risk */
    assert_true(raw > 2 * alarms);   /* without the correction it would be many more */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_distributions),      cmocka_unit_test(test_means),
        cmocka_unit_test(test_bootstrap),          cmocka_unit_test(test_counts),
        cmocka_unit_test(test_counts_by_counting), cmocka_unit_test(test_corrections),
        cmocka_unit_test(test_families),           cmocka_unit_test(test_sign_flips),
        cmocka_unit_test(test_sign_flip_ends),     cmocka_unit_test(test_false_alarms),
    };
    return cmocka_run_group_tests_name("statistics", tests, set_up, tear_down);
}
