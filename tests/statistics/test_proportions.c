/* Intervals of two shares as statsmodels gives them, Tango's from its definition
 * (tests/oracle/statistics/make_proportions.py); gaps between groups, and how often their interval errs. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "base/random.h"
#include "statistics/proportions.h"

#include <cmocka.h> /* last: it has a macro named fail */

static json_t *golden;

static int set_up(void **state) {
    golden = json_load_file(LIMN_TEST_SOURCE_DIR "/tests/golden/statistics/proportions.json", 0, NULL);
    return golden == NULL ? -1 : 0;
}

static int tear_down(void **state) {
    json_decref(golden);
    return 0;
}

static void near(double found, double expected, double tolerance, const char *what, size_t row) {
    if (!(fabs(found - expected) <= tolerance)) {
        fail_msg("%s %zu: found %.12g, expected %.12g", what, row, found, expected);
    }
}

static void near_interval(Interval found, const json_t *expected, double tolerance, const char *what, size_t row) {
    near(found.value, json_number_value(json_array_get(expected, 0)), 1e-12, what, row);
    near(found.low, json_number_value(json_array_get(expected, 1)), tolerance, what, row);
    near(found.high, json_number_value(json_array_get(expected, 2)), tolerance, what, row);
}

static int64_t count_of(const json_t *counts, size_t index) {
    return json_integer_value(json_array_get(counts, index));
}

static void two_shares(void **state) {
    size_t i;
    const json_t *row;
    json_array_foreach(json_object_get(golden, "two"), i, row) {
        const json_t *counts = json_object_get(row, "counts"), *ratio = json_object_get(row, "ratio");
        Share a = {count_of(counts, 0), count_of(counts, 1)}, b = {count_of(counts, 2), count_of(counts, 3)};
        double level = json_number_value(json_object_get(row, "level"));
        near_interval(share_difference(a, b, level), json_object_get(row, "difference"), 1e-9, "difference", i);
        if (json_is_array(ratio)) {
            near_interval(share_ratio(a, b, level), ratio, 1e-9, "ratio", i);
        }
    }
    assert_int_equal(i, 12);
    /* ends that are the ratio's own where a count is 0; nothing of nothing */
    Interval ratio = share_ratio((Share){0, 35}, (Share){20, 40}, 0.95);
    assert_true(ratio.value == 0 && ratio.low == 0 && ratio.high > 0 && ratio.high < 1);
    ratio = share_ratio((Share){20, 40}, (Share){0, 35}, 0.95);
    assert_true(isinf(ratio.value) && isinf(ratio.high) && ratio.low > 1);
    assert_true(isnan(share_ratio((Share){0, 40}, (Share){0, 35}, 0.95).value));
    static const Share nothings[][2] = {{{0, 0}, {3, 35}}, {{3, 35}, {0, 0}}, {{0, 0}, {0, 0}}};
    for (i = 0; i < 3; i++) {
        const Share *of = nothings[i];
        Interval difference = share_difference(of[0], of[1], 0.95);
        ratio = share_ratio(of[0], of[1], 0.95);
        assert_true(isnan(difference.value) && isnan(difference.low) && isnan(difference.high));
        assert_true(isnan(ratio.value) && isnan(ratio.low) && isnan(ratio.high));
    }
    assert_true(isnan(share_value((Share){0, 0})) && share_value((Share){1, 4}) == 0.25);
    /* of one record too */
    assert_true(share_difference((Share){1, 1}, (Share){0, 1}, 0.95).value == 1);
    assert_true(share_ratio((Share){1, 1}, (Share){1, 2}, 0.95).value == 2);
}

static void paired_shares(void **state) {
    size_t i;
    const json_t *row;
    json_array_foreach(json_object_get(golden, "paired"), i, row) {
        const json_t *counts = json_object_get(row, "counts");
        double level = json_number_value(json_object_get(row, "level"));
        int64_t gained = count_of(counts, 0), lost = count_of(counts, 1), n = count_of(counts, 2);
        Interval found = paired_difference(gained, lost, n, level);
        near_interval(found, json_object_get(row, "interval"), 2e-6, "paired", i);
        Interval back = paired_difference(lost, gained, n, level);
        near(back.low, -found.high, 1e-9, "the other way round", i);
        near(back.high, -found.low, 1e-9, "the other way round", i);
    }
    assert_int_equal(i, 16);
    assert_true(isnan(paired_difference(0, 0, 0, 0.95).value));
    assert_true(paired_difference(0, 9, 9, 0.95).low == -1 && paired_difference(9, 0, 9, 0.95).high == 1);
}

static void gaps_between_groups(void **state) {
    size_t i;
    const json_t *row;
    json_array_foreach(json_object_get(golden, "gaps"), i, row) {
        Share groups[8];
        const json_t *counts = json_object_get(row, "groups");
        int32_t n = (int32_t)json_array_size(counts), small = 0;
        for (int32_t g = 0; g < n; g++) {
            groups[g] =
                (Share){count_of(json_array_get(counts, (size_t)g), 0), count_of(json_array_get(counts, (size_t)g), 1)};
            small += groups[g].n < GAP_LEAST;
        }
        Gap difference, ratio;
        assert_int_equal(gap_difference(&difference, groups, n, 0.95), LIMN_OK);
        assert_int_equal(gap_ratio(&ratio, groups, n, 0.95), LIMN_OK);
        near_interval(difference.interval, json_object_get(row, "difference"), 1e-9, "gap", i);
        near_interval(ratio.interval, json_object_get(row, "ratio"), 1e-9, "impact ratio", i);
        assert_int_equal(difference.highest, json_integer_value(json_object_get(row, "highest")));
        assert_int_equal(ratio.lowest, json_integer_value(json_object_get(row, "lowest")));
        near(difference.p, json_number_value(json_object_get(row, "p")), 1e-9, "p", i);
        assert_int_equal(difference.left_out, small);
    }
    assert_int_equal(i, 3);
    /* too few records for an interval, and where two groups have enough the others have no part */
    Gap gap;
    assert_int_equal(gap_difference(&gap, (Share[]){{20, 29}, {3, 40}}, 2, 0.95), LIMN_OK);
    near(gap.interval.value, 20.0 / 29 - 3.0 / 40, 1e-12, "small", 0);
    assert_true(isnan(gap.interval.low) && isnan(gap.interval.high) && gap.left_out == 0 && gap.p < 0.001);
    assert_int_equal(gap_ratio(&gap, (Share[]){{20, 29}, {3, 40}}, 2, 0.95), LIMN_OK);
    assert_true(gap.interval.value > 0 && isnan(gap.interval.low) && isnan(gap.interval.high));
    assert_int_equal(gap_difference(&gap, (Share[]){{0, 0}, {3, 40}}, 2, 0.95), LIMN_OK);
    assert_true(isnan(gap.interval.value) && gap.highest == -1 && isnan(gap.p));
    assert_int_equal(gap_ratio(&gap, (Share[]){{0, 50}, {0, 40}}, 2, 0.95), LIMN_OK);
    assert_true(isnan(gap.interval.value) && isnan(gap.interval.low) && isnan(gap.interval.high));
}

/* GAP_LEAST records are enough, one fewer are not; groups of none are none; of equal shares the first is named. */
static void which_groups_take_part(void **state) {
    static const struct {
        Share groups[4];
        int32_t n, highest, lowest, left_out;
        bool interval;
        double pairs;
    } cases[] = {
        {{{20, 30}, {3, 40}}, 2, 0, 1, 0, true, 1},
        {{{3, 30}, {20, 30}}, 2, 1, 0, 0, true, 1},
        {{{20, 30}, {3, 29}}, 2, 0, 1, 0, false, 1},
        {{{29, 29}, {20, 30}, {3, 40}, {0, 1}}, 4, 1, 2, 2, true, 1},
        {{{0, 0}, {20, 30}, {0, 0}, {3, 40}}, 4, 1, 3, 0, true, 1},
        {{{20, 30}, {20, 30}, {3, 40}, {6, 80}}, 4, 0, 2, 0, true, 6},
        {{{1, 1}, {0, 1}, {0, 0}, {1, 2}}, 4, 0, 1, 0, false, 3},
        {{{9, 9}, {20, 30}, {0, 8}, {0, 0}}, 4, 0, 2, 0, false, 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const Share *high = &cases[i].groups[cases[i].highest], *low = &cases[i].groups[cases[i].lowest];
        double p = fisher_exact(high->count, high->n - high->count, low->count, low->n - low->count);
        for (int ratio = 0; ratio < 2; ratio++) {
            Gap gap;
            assert_int_equal((ratio ? gap_ratio : gap_difference)(&gap, cases[i].groups, cases[i].n, 0.95), LIMN_OK);
            double a = share_value(*high), b = share_value(*low);
            near(gap.interval.value, ratio ? b / a : a - b, 1e-15, "value", i);
            assert_int_equal(gap.highest, cases[i].highest);
            assert_int_equal(gap.lowest, cases[i].lowest);
            assert_int_equal(gap.left_out, cases[i].left_out);
            assert_int_equal(!isnan(gap.interval.low), cases[i].interval);
            assert_int_equal(!isnan(gap.interval.high), cases[i].interval);
            near(gap.p, fmin(1, p * cases[i].pairs), 1e-15, "p", i);
            if (cases[i].interval) {
                assert_true(gap.interval.low >= 0 && gap.interval.low < gap.interval.value);
                assert_true(gap.interval.high > gap.interval.value && gap.interval.high <= 1);
            }
        }
    }
    Gap gap;
    const Share few = {15, 30}, many = {500, 1000}; /* one pair, either way round */
    assert_int_equal(gap_ratio(&gap, (Share[]){few, many}, 2, 0.95), LIMN_OK);
    near(gap.interval.low, fmin(share_ratio(few, many, 0.95).low, share_ratio(many, few, 0.95).low), 1e-12, "low", 0);
    near(gap.interval.high, 1, 1e-12, "high", 0);
    assert_int_equal(gap_ratio(&gap, (Share[]){{3, 50}}, 1, 0.95), LIMN_OK);
    assert_true(isnan(gap.interval.value) && gap.highest == -1 && gap.lowest == -1 && isnan(gap.p));
    assert_int_equal(gap_difference(&gap, (Share[]){{50, 50}, {0, 50}}, 2, 0.95), LIMN_OK);
    assert_true(gap.interval.value == 1 && gap.interval.high == 1);
    assert_int_equal(gap_difference(&gap, (Share[]){{25, 50}, {25, 50}}, 2, 0.95), LIMN_OK);
    assert_true(gap.interval.value == 0 && gap.interval.low == 0 && gap.p > 1 - 1e-12 && gap.p <= 1);
    assert_int_equal(gap_ratio(&gap, (Share[]){{25, 50}, {25, 50}}, 2, 0.95), LIMN_OK);
    assert_true(gap.interval.value == 1 && gap.interval.high == 1 && gap.p > 1 - 1e-12 && gap.p <= 1);
    assert_int_equal(gap_ratio(&gap, (Share[]){{25, 50}, {0, 50}}, 2, 0.95), LIMN_OK);
    assert_true(gap.interval.value == 0 && gap.interval.low == 0 && gap.interval.high > 0 && gap.interval.high < 1);
}

static void the_larger_of_two_gaps(void **state) {
    const double no = (double)NAN;
    const Gap a = {{0.2, 0.1, 0.4}, 1, 2, 0.03, 1}, b = {{0.3, 0.05, 0.5}, 3, 4, 0.3, 5};
    for (int turned = 0; turned < 2; turned++) {
        Gap larger = turned ? gap_larger(&b, &a) : gap_larger(&a, &b);
        assert_true(larger.interval.value == 0.3 && larger.interval.low == 0.1 && larger.interval.high == 0.5);
        assert_true(larger.highest == 3 && larger.lowest == 4 && larger.left_out == 5);
        near(larger.p, 0.06, 1e-15, "p", 0);
    }
    const Gap sure = {{0.3, 0.05, 0.5}, 3, 4, 0.9, 0}, none = {{no, no, no}, -1, -1, no, 2},
              open = {{0.1, no, no}, 5, 6, 0.7, 0};
    for (int turned = 0; turned < 2; turned++) { /* one that has no value, or no interval */
        Gap larger = turned ? gap_larger(&sure, &none) : gap_larger(&none, &sure);
        assert_true(larger.interval.value == 0.3 && isnan(larger.interval.low) && isnan(larger.interval.high));
        assert_true(larger.highest == 3 && larger.p == 1 && larger.left_out == 2);
        larger = turned ? gap_larger(&sure, &open) : gap_larger(&open, &sure);
        assert_true(larger.interval.value == 0.3 && isnan(larger.interval.low) && isnan(larger.interval.high) &&
                    larger.p == 1);
    }
    Gap same = gap_larger(&a, &(Gap){{0.2, 0.1, 0.4}, 7, 8, 0.5, 0}); /* of equal ones the first */
    assert_true(same.highest == 1 && same.lowest == 2 && same.left_out == 1);
}

/* Of four groups drawn alike the gap is 0 and the ratio 1: an interval that leaves them out is a false alarm, of which
 * at most one in twenty is allowed (and few more by chance among these draws). */
static void false_alarms_are_rare(void **state) {
    enum { TRIES = 2000, GROUPS = 4 };
    Random random;
    random_seed(&random, 7);
    int gaps = 0, ratios = 0;
    for (int i = 0; i < TRIES; i++) {
        Share groups[GROUPS];
        for (int g = 0; g < GROUPS; g++) {
            groups[g] = (Share){0, 40 + 30 * g};
            for (int64_t k = 0; k < groups[g].n; k++) {
                groups[g].count += random_unit(&random) < 0.3;
            }
        }
        Gap gap;
        assert_int_equal(gap_difference(&gap, groups, GROUPS, 0.95), LIMN_OK);
        gaps += gap.interval.low > 0;
        assert_int_equal(gap_ratio(&gap, groups, GROUPS, 0.95), LIMN_OK);
        ratios += gap.interval.high < 1;
    }
    assert_in_range(gaps, 10, TRIES / 20 + 20);
    assert_in_range(ratios, 10, TRIES / 20 + 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_shares),
        cmocka_unit_test(paired_shares),
        cmocka_unit_test(gaps_between_groups),
        cmocka_unit_test(which_groups_take_part),
        cmocka_unit_test(the_larger_of_two_gaps),
        cmocka_unit_test(false_alarms_are_rare),
    };
    return cmocka_run_group_tests_name("proportions", tests, set_up, tear_down);
}
