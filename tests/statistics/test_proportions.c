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
    assert_true(isnan(share_difference((Share){0, 0}, (Share){0, 35}, 0.95).value));
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
        cmocka_unit_test(false_alarms_are_rare),
    };
    return cmocka_run_group_tests_name("proportions", tests, set_up, tear_down);
}
