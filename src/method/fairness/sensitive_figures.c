/* Figures over the records' versions. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "method/fairness/sensitive.h"

enum { LEAST_ORDINARY = 4 };
static const double alpha = 0.05;

/* ---- contrasts ---- */

/* Lead with the first side less lead with the second; NaN where a version is missing. */
static double shift_of(const SwapCase *one, const Contrast *contrast) {
    bool there = one->category == contrast->category;
    return there ? one->leads[contrast->first] - one->leads[contrast->second] : (double)NAN;
}

static limn_status list_contrasts(Sensitive *work) {
    int32_t most = 0;
    for (int32_t c = 0; c < work->lists.n_categories; c++) {
        most += sensitive_category(work, c)->n_sides * (sensitive_category(work, c)->n_sides - 1) / 2;
    }
    work->contrasts = ARENA_ARRAY(work->call->arena, Contrast, most + 1);
    if (work->contrasts == NULL) {
        return method_no_memory(work->call);
    }
    for (int32_t c = 0; c < work->lists.n_categories; c++) {
        for (int32_t a = 0; a < sensitive_category(work, c)->n_sides; a++) {
            for (int32_t b = a + 1; b < sensitive_category(work, c)->n_sides; b++) {
                Contrast made = {.category = c, .first = a, .second = b};
                for (int32_t i = 0; i < work->n_cases; i++) {
                    made.n += !isnan(shift_of(&work->cases[i], &made));
                }
                if (made.n > 0) {
                    work->contrasts[work->n_contrasts++] = made;
                }
            }
        }
    }
    return LIMN_OK;
}

static void count_decisions(const Sensitive *work, Contrast *contrast) {
    for (int32_t i = 0; i < work->n_cases; i++) {
        const SwapCase *one = &work->cases[i];
        if (!isnan(shift_of(one, contrast))) {
            bool with = one->decided[contrast->first] == work->target;
            bool without = one->decided[contrast->second] == work->target;
            contrast->gained += with && !without;
            contrast->lost += without && !with;
        }
    }
    contrast->change = paired_difference(contrast->gained, contrast->lost, contrast->n, 0.95);
    contrast->p_decisions = mcnemar_exact(contrast->gained, contrast->lost);
}

static void measure(const Sensitive *work, Contrast *contrast, double *values) {
    int64_t n = 0;
    for (int32_t i = 0; i < work->n_cases; i++) {
        double shift = shift_of(&work->cases[i], contrast);
        if (!isnan(shift)) {
            values[n++] = shift;
        }
    }
    contrast->shift = mean_interval(values, n, work->level);
    if (n < SENSITIVE_LEAST) {
        contrast->shift.low = contrast->shift.high = (double)NAN;
    }
    count_decisions(work, contrast);
}

/* ---- sign flips ---- */

typedef struct Entries {
    SignFlipEntry *items; /* [n] */
    int64_t n;
} Entries;

static limn_status flip(const Sensitive *work, const Entries *entries, int32_t n_records, int32_t n_hypotheses,
                        bool two_sided, double *adjusted) {
    double *alone = calloc((size_t)n_hypotheses + 1, sizeof *alone);
    if (alone == NULL) {
        return method_no_memory(work->call);
    }
    const SignFlipTest test = {.entries = entries->items,
                               .n_entries = entries->n,
                               .n_records = n_records,
                               .n_hypotheses = n_hypotheses,
                               .two_sided = two_sided,
                               .flips = SENSITIVE_FLIPS,
                               .seed = (uint64_t)work->call->common.seed};
    limn_status status = sign_flip_test(&test, alone, adjusted);
    free(alone);
    return status;
}

static limn_status test_shifts(Sensitive *work) {
    Entries entries = {calloc((size_t)work->n_cases * (size_t)(work->n_contrasts + 1) + 1, sizeof(SignFlipEntry)), 0};
    double *p = ARENA_ARRAY(work->call->arena, double, work->n_contrasts + 1);
    if (entries.items == NULL || p == NULL) {
        free(entries.items);
        return method_no_memory(work->call);
    }
    for (int32_t k = 0; k < work->n_contrasts; k++) {
        for (int32_t i = 0; i < work->n_cases; i++) {
            double shift = shift_of(&work->cases[i], &work->contrasts[k]);
            if (!isnan(shift)) {
                entries.items[entries.n++] = (SignFlipEntry){work->cases[i].record, k, shift};
            }
        }
    }
    limn_status status = flip(work, &entries, work->touched, work->n_contrasts, true, p);
    free(entries.items);
    for (int32_t k = 0; k < work->n_contrasts; k++) {
        work->contrasts[k].p = p[k];
    }
    return status;
}

/* ---- ordinary words ---- */

/* How far the mean leads with ordinary words in a category's place lie apart: the root mean square difference of two of
 * them; *n of them, NaN where there are too few. */
static double ordinary_spread(const Sensitive *work, int32_t category, int32_t *n) {
    double sums[SENSITIVE_ORDINARY_MOST] = {0};
    int32_t counts[SENSITIVE_ORDINARY_MOST] = {0}, records = 0, words = (int32_t)work->params->ordinary;
    for (int32_t i = 0; i < work->n_cases; i++) {
        const SwapCase *one = &work->cases[i];
        double mean = 0;
        int32_t there = 0;
        for (int32_t k = 0; one->category == category && one->ordinary != NULL && k < words; k++) {
            mean += isnan(one->ordinary[k]) ? 0 : one->ordinary[k];
            there += !isnan(one->ordinary[k]);
        }
        for (int32_t k = 0; there >= LEAST_ORDINARY && k < words; k++) {
            sums[k] += isnan(one->ordinary[k]) ? 0 : one->ordinary[k] - mean / there;
            counts[k] += !isnan(one->ordinary[k]);
        }
        records += there >= LEAST_ORDINARY;
    }
    double squares = 0, mean = 0;
    *n = 0;
    for (int32_t k = 0; k < words; k++) {
        if (counts[k] >= SENSITIVE_LEAST && 2 * counts[k] > records) {
            double value = sums[k] / counts[k];
            squares += value * value;
            mean += value;
            ++*n;
        }
    }
    return *n < LEAST_ORDINARY ? (double)NAN : sqrt(2 * (squares - mean * mean / *n) / (*n - 1));
}

/* Were the two sides ordinary words, their difference over the typical one would be Student's, with as many degrees as
 * words less one; the typical one holds the chance of the records too. */
static limn_status test_against_ordinary(Sensitive *work) {
    double *p = ARENA_ARRAY(work->call->arena, double, 2 * work->n_contrasts + 1);
    double *adjusted = p != NULL ? p + work->n_contrasts : NULL;
    if (p == NULL) {
        return method_no_memory(work->call);
    }
    int32_t n_known = 0;
    for (int32_t k = 0; k < work->n_contrasts; k++) {
        Contrast *contrast = &work->contrasts[k];
        int32_t n;
        contrast->ordinary = ordinary_spread(work, contrast->category, &n);
        contrast->p_ordinary = (double)NAN;
        if (contrast->ordinary > 0) {
            p[n_known++] = 2 * student_cdf(-fabs(contrast->shift.value) / contrast->ordinary, n - 1);
        }
    }
    TRY(holm_adjust(adjusted, p, n_known));
    for (int32_t k = 0, at = 0; k < work->n_contrasts; k++) {
        if (work->contrasts[k].ordinary > 0) {
            work->contrasts[k].p_ordinary = adjusted[at++];
        }
    }
    return LIMN_OK;
}

static limn_status test_decisions(Sensitive *work) {
    double *p = ARENA_ARRAY(work->call->arena, double, work->n_contrasts + 1);
    if (p == NULL) {
        return method_no_memory(work->call);
    }
    for (int32_t k = 0; k < work->n_contrasts; k++) {
        p[k] = work->contrasts[k].p_decisions;
    }
    TRY(holm_adjust(p, p, work->n_contrasts));
    for (int32_t k = 0; k < work->n_contrasts; k++) {
        work->contrasts[k].p_decisions = p[k];
    }
    return LIMN_OK;
}

static int by_strength(const void *a, const void *b) {
    const Contrast *first = a, *second = b;
    if (first->raised != second->raised) {
        return second->raised - first->raised;
    }
    if (first->p != second->p) {
        return first->p < second->p ? -1 : 1;
    }
    double x = fabs(first->shift.value), y = fabs(second->shift.value);
    return x != y ? (x > y ? -1 : 1)
                  : (first->category != second->category ? first->category - second->category
                     : first->first != second->first     ? first->first - second->first
                                                         : first->second - second->second);
}

static limn_status measure_contrasts(Sensitive *work) {
    TRY(list_contrasts(work));
    work->level = simultaneous_level(0.95, work->n_contrasts > 0 ? work->n_contrasts : 1);
    double *values = malloc(((size_t)work->n_cases + 1) * sizeof *values);
    if (values == NULL) {
        return method_no_memory(work->call);
    }
    for (int32_t k = 0; k < work->n_contrasts; k++) {
        measure(work, &work->contrasts[k], values);
    }
    free(values);
    if (work->n_contrasts == 0) {
        return LIMN_OK;
    }
    TRY(test_shifts(work));
    TRY(test_against_ordinary(work));
    TRY(test_decisions(work));
    for (int32_t k = 0; k < work->n_contrasts; k++) {
        Contrast *contrast = &work->contrasts[k];
        contrast->raised = contrast->n >= SENSITIVE_LEAST && contrast->p <= alpha &&
                           (isnan(contrast->p_ordinary) || contrast->p_ordinary <= alpha);
    }
    qsort(work->contrasts, (size_t)work->n_contrasts, sizeof *work->contrasts, by_strength);
    return LIMN_OK;
}

/* ---- pairs of words ---- */

typedef struct PairEntry {
    int32_t word, other, record;
    double shift;
    bool gained, lost;
} PairEntry;

static int by_pair(const void *a, const void *b) {
    const PairEntry *first = a, *second = b;
    return first->word != second->word     ? first->word - second->word
           : first->other != second->other ? first->other - second->other
                                           : first->record - second->record;
}

/* The word of the earlier side comes first. */
static limn_status list_entries(const Sensitive *work, PairEntry **entries, int32_t *n) {
    int32_t most = 0;
    for (int32_t i = 0; i < work->n_cases; i++) {
        most += work->cases[i].n_words * sensitive_category(work, work->cases[i].category)->n_sides;
    }
    *n = 0;
    *entries = calloc((size_t)most + 1, sizeof **entries);
    if (*entries == NULL) {
        return method_no_memory(work->call);
    }
    for (int32_t i = 0; i < work->n_cases; i++) {
        const SwapCase *one = &work->cases[i];
        for (int32_t s = 0; s < sensitive_category(work, one->category)->n_sides; s++) {
            double shift = one->leads[one->side] - one->leads[s];
            bool own = one->decided[one->side] == work->target, there = one->decided[s] == work->target;
            for (int32_t w = 0; w < one->n_words && s != one->side && !isnan(shift); w++) {
                int32_t other = swap_counterpart(&work->lists, one->words[w], s, one->draw);
                bool ordered = one->side < s;
                PairEntry entry = {ordered ? one->words[w] : other,
                                   ordered ? other : one->words[w],
                                   one->record,
                                   ordered ? shift : -shift,
                                   ordered ? own && !there : there && !own,
                                   ordered ? there && !own : own && !there};
                (*entries)[(*n)++] = entry;
            }
        }
    }
    qsort(*entries, (size_t)*n, sizeof **entries, by_pair);
    return LIMN_OK;
}

static limn_status sum_pairs(Sensitive *work, const PairEntry *entries, int32_t n, SignFlipEntry *flips,
                             double *values) {
    work->pairs = ARENA_ARRAY(work->call->arena, PairFigure, n + 1);
    if (work->pairs == NULL) {
        return method_no_memory(work->call);
    }
    for (int32_t i = 0; i < n;) {
        PairFigure *pair = &work->pairs[work->n_pairs];
        *pair = (PairFigure){.word = entries[i].word, .other = entries[i].other};
        for (; i < n && entries[i].word == pair->word && entries[i].other == pair->other; i++) {
            flips[i] = (SignFlipEntry){entries[i].record, work->n_pairs, entries[i].shift};
            values[pair->n++] = entries[i].shift;
            pair->gained += entries[i].gained;
            pair->lost += entries[i].lost;
        }
        pair->shift = mean_interval(values, pair->n, 0.95);
        if (pair->n < SENSITIVE_LEAST) {
            pair->shift.low = pair->shift.high = (double)NAN;
        }
        work->n_pairs++;
    }
    return LIMN_OK;
}

static int by_size(const void *a, const void *b) {
    const PairFigure *first = a, *second = b;
    bool few = first->n < SENSITIVE_LEAST, few_too = second->n < SENSITIVE_LEAST;
    if (few != few_too) {
        return few - few_too;
    }
    double x = fabs(first->shift.value), y = fabs(second->shift.value);
    return x != y                        ? (x > y ? -1 : 1)
           : first->word != second->word ? first->word - second->word
                                         : first->other - second->other;
}

static limn_status measure_pairs(Sensitive *work) {
    PairEntry *entries;
    int32_t n;
    TRY(list_entries(work, &entries, &n));
    SignFlipEntry *flips = calloc((size_t)n + 1, sizeof *flips);
    double *values = calloc((size_t)n + 1, sizeof *values), *p = calloc((size_t)n + 1, sizeof *p);
    limn_status status = flips == NULL || values == NULL || p == NULL ? method_no_memory(work->call) : LIMN_OK;
    status = status == LIMN_OK ? sum_pairs(work, entries, n, flips, values) : status;
    if (status == LIMN_OK && n > 0) {
        const Entries all = {flips, n};
        status = flip(work, &all, work->touched, work->n_pairs, true, p);
    }
    for (int32_t k = 0; status == LIMN_OK && k < work->n_pairs; k++) {
        work->pairs[k].p = p[k];
    }
    free(entries);
    free(flips);
    free(values);
    free(p);
    if (status == LIMN_OK && n > 0) {
        qsort(work->pairs, (size_t)work->n_pairs, sizeof *work->pairs, by_size);
    }
    return status;
}

/* ---- shares of attribution ---- */

static Interval interval_of(const double *values, int64_t n, double level) {
    Interval interval = mean_interval(values, n, level);
    if (n < SENSITIVE_LEAST) {
        interval.low = interval.high = (double)NAN;
    }
    return interval;
}

static limn_status measure_shares(Sensitive *work) {
    int32_t most = work->lists.n_categories, n = work->n_shares;
    work->share_figures = ARENA_ARRAY(work->call->arena, ShareFigure, most + 1);
    double *values = ARENA_ARRAY(work->call->arena, double, 3 * n + 1);
    double *p = ARENA_ARRAY(work->call->arena, double, most + 1);
    Entries excess = {ARENA_ARRAY(work->call->arena, SignFlipEntry, n + 1), 0};
    if (work->share_figures == NULL || values == NULL || p == NULL || excess.items == NULL) {
        return method_no_memory(work->call);
    }
    int32_t families = 0;
    for (int32_t c = 0; c < most; c++) {
        families += work->explained[c] > 0;
    }
    double level = simultaneous_level(0.95, families > 0 ? families : 1);
    for (int32_t c = 0; c < most; c++) {
        int64_t all = 0, compared = 0;
        for (int32_t i = 0; i < n; i++) {
            const ShareCase *one = &work->shares[i];
            if (one->category != c) {
                continue;
            }
            values[all++] = one->share;
            if (!isnan(one->random)) {
                excess.items[excess.n++] = (SignFlipEntry){i, work->n_share_figures, one->share - one->random};
                values[n + compared] = one->random;
                values[2 * n + compared++] = one->share - one->random;
            }
        }
        if (all > 0) {
            work->share_figures[work->n_share_figures++] =
                (ShareFigure){.category = c,
                              .n = all,
                              .share = interval_of(values, all, level),
                              .random = interval_of(values + n, compared, level),
                              .excess = interval_of(values + 2 * n, compared, level),
                              .p = (double)NAN};
        }
    }
    if (work->n_share_figures > 0 && excess.n > 0) {
        TRY(flip(work, &excess, n, work->n_share_figures, false, p));
        for (int32_t k = 0; k < work->n_share_figures; k++) {
            work->share_figures[k].p = p[k];
        }
    }
    return LIMN_OK;
}

limn_status sensitive_figures(Sensitive *work) {
    TRY(measure_contrasts(work));
    TRY(measure_pairs(work));
    return measure_shares(work);
}
