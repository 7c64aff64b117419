#include "statistics/proportions.h"

#include <math.h>
#include <stdlib.h>

static const Interval none = {(double)NAN, (double)NAN, (double)NAN};

double share_value(Share share) {
    return (double)share.count / (double)share.n; /* 0 / 0 of nothing */
}

/* ---- two shares ---- */

/* Of two shares whose own intervals are known. */
static Interval hybrid(const Interval *a, const Interval *b) {
    double difference = a->value - b->value;
    double down = hypot(a->value - a->low, b->high - b->value);
    double up = hypot(a->high - a->value, b->value - b->low);
    return (Interval){difference, difference - down, difference + up};
}

Interval share_difference(Share a, Share b, double level) {
    Interval first = wilson_interval_at(a.count, a.n, level), second = wilson_interval_at(b.count, b.n, level);
    return hybrid(&first, &second);
}

static Interval ratio_at(Share a, Share b, double z) {
    double value = share_value(a) / share_value(b); /* infinite where b has none */
    if (isnan(value)) {
        return none;
    }
    double x = (double)a.count + 0.5, n = (double)a.n + 0.5, y = (double)b.count + 0.5, m = (double)b.n + 0.5;
    double centre = log(x / n) - log(y / m), half = z * sqrt(1 / x - 1 / n + 1 / y - 1 / m);
    return (Interval){value, a.count > 0 ? exp(centre - half) : 0, b.count > 0 ? exp(centre + half) : (double)INFINITY};
}

Interval share_ratio(Share a, Share b, double level) {
    return ratio_at(a, b, normal_quantile(0.5 + 0.5 * level));
}

/* How many standard errors the difference d lies below what was seen: the share of `lost` alone is the likeliest one
 * among those that differ by d. Falls as d rises. */
static double tango_score(double gained, double lost, double n, double d) {
    double a = 2 * n, b = -gained - lost + (2 * n - gained + lost) * d, c = -lost * d * (1 - d);
    double alone = (sqrt(fmax(0, b * b - 4 * a * c)) - b) / (2 * a);
    double variance = n * (2 * alone + d * (1 - d));
    double miss = gained - lost - n * d;
    return variance > 0 ? miss / sqrt(variance) : miss > 0 ? (double)INFINITY : miss < 0 ? -(double)INFINITY : 0;
}

/* The d within [low, high] at which the score is z. */
static double tango_end(double gained, double lost, double n, double z, double low, double high) {
    for (int i = 0; i < 200 && high - low > 0; i++) {
        double middle = 0.5 * (low + high);
        if (middle <= low || middle >= high) {
            break;
        }
        if (tango_score(gained, lost, n, middle) > z) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return 0.5 * (low + high);
}

Interval paired_difference(int64_t gained, int64_t lost, int64_t n, double level) {
    if (n <= 0) {
        return none;
    }
    double z = normal_quantile(0.5 + 0.5 * level), value = (double)(gained - lost) / (double)n;
    return (Interval){value, lost == n ? -1 : tango_end((double)gained, (double)lost, (double)n, z, -1, value),
                      gained == n ? 1 : tango_end((double)gained, (double)lost, (double)n, -z, value, 1)};
}

/* ---- several groups ---- */

typedef struct Kept {
    Share share;
    Interval interval; /* at the level of all pairs */
    int32_t group;
} Kept;

/* The groups that take part, in the arena of the caller; *whole: all of them have enough records for an interval. */
static limn_status keep_groups(Kept **kept, int32_t *n_kept, bool *whole, const Share *groups, int32_t n) {
    int32_t large = 0, filled = 0;
    for (int32_t i = 0; i < n; i++) {
        large += groups[i].n >= GAP_LEAST;
        filled += groups[i].n > 0;
    }
    *whole = large >= 2;
    *n_kept = 0;
    *kept = calloc((size_t)filled + 1, sizeof **kept);
    if (*kept == NULL) {
        return fail(LIMN_NO_MEMORY, "gaps between %d groups", (int)n);
    }
    for (int32_t i = 0; i < n; i++) {
        if (groups[i].n >= (*whole ? GAP_LEAST : 1)) {
            (*kept)[(*n_kept)++] = (Kept){.share = groups[i], .group = i};
        }
    }
    return LIMN_OK;
}

static void find_ends(Gap *gap, const Kept *kept, int32_t n, const Share *groups, int32_t n_groups) {
    const Kept *high = &kept[0], *low = &kept[0];
    for (int32_t i = 1; i < n; i++) {
        high = share_value(kept[i].share) > share_value(high->share) ? &kept[i] : high;
        low = share_value(kept[i].share) < share_value(low->share) ? &kept[i] : low;
    }
    gap->highest = high->group;
    gap->lowest = low->group;
    for (int32_t i = 0; i < n_groups; i++) {
        gap->left_out += groups[i].n > 0;
    }
    gap->left_out -= n;
    double pairs = (double)n * (n - 1) / 2;
    double p = fisher_exact(high->share.count, high->share.n - high->share.count, low->share.count,
                            low->share.n - low->share.count);
    gap->p = fmin(1, p * pairs);
}

static double pair_level(double level, int32_t n) {
    return simultaneous_level(level, (int64_t)n * (n - 1) / 2);
}

limn_status gap_difference(Gap *gap, const Share *groups, int32_t n, double level) {
    Kept *kept;
    int32_t n_kept;
    bool whole;
    *gap = (Gap){.interval = none, .highest = -1, .lowest = -1, .p = (double)NAN};
    TRY(keep_groups(&kept, &n_kept, &whole, groups, n));
    if (n_kept >= 2) {
        find_ends(gap, kept, n_kept, groups, n);
        gap->interval.value = share_value(groups[gap->highest]) - share_value(groups[gap->lowest]);
    }
    for (int32_t i = 0; i < n_kept && whole; i++) {
        kept[i].interval = wilson_interval_at(kept[i].share.count, kept[i].share.n, pair_level(level, n_kept));
    }
    for (int32_t i = 0; i < n_kept && whole; i++) {
        for (int32_t k = 0; k < i; k++) {
            Interval pair = hybrid(&kept[i].interval, &kept[k].interval);
            gap->interval.low = fmax(gap->interval.low, fmax(pair.low, -pair.high));
            gap->interval.high = fmax(gap->interval.high, fmax(pair.high, -pair.low));
        }
    }
    gap->interval.low = whole ? fmax(0, gap->interval.low) : (double)NAN;
    gap->interval.high = whole ? fmin(1, gap->interval.high) : (double)NAN;
    free(kept);
    return LIMN_OK;
}

limn_status gap_ratio(Gap *gap, const Share *groups, int32_t n, double level) {
    Kept *kept;
    int32_t n_kept;
    bool whole;
    *gap = (Gap){.interval = none, .highest = -1, .lowest = -1, .p = (double)NAN};
    TRY(keep_groups(&kept, &n_kept, &whole, groups, n));
    bool any = false;
    if (n_kept >= 2) {
        find_ends(gap, kept, n_kept, groups, n);
        any = groups[gap->highest].count > 0;
        gap->interval.value = any ? share_value(groups[gap->lowest]) / share_value(groups[gap->highest]) : (double)NAN;
    }
    double z = normal_quantile(0.5 + 0.5 * pair_level(level, n_kept));
    for (int32_t i = 0; i < n_kept && whole && any; i++) {
        for (int32_t k = 0; k < n_kept; k++) {
            if (k != i) {
                Interval pair = ratio_at(kept[i].share, kept[k].share, z);
                gap->interval.low = fmin(gap->interval.low, pair.low);
                gap->interval.high = fmin(gap->interval.high, pair.high);
            }
        }
    }
    gap->interval.high = fmin(gap->interval.high, whole && any ? 1 : (double)NAN);
    free(kept);
    return LIMN_OK;
}

Gap gap_larger(const Gap *a, const Gap *b) {
    Gap larger = b->interval.value > a->interval.value || isnan(a->interval.value) ? *b : *a;
    bool both = !isnan(a->interval.high) && !isnan(b->interval.high);
    larger.interval.low = both ? fmax(a->interval.low, b->interval.low) : (double)NAN;
    larger.interval.high = both ? fmax(a->interval.high, b->interval.high) : (double)NAN;
    larger.p = fmin(1, 2 * fmin(a->p, b->p));
    larger.left_out = a->left_out > b->left_out ? a->left_out : b->left_out;
    return larger;
}
