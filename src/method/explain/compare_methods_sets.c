/* What exchanging many words at once says of the scores: deletion and insertion curves, infidelity. */
#include <math.h>
#include <string.h>

#include "base/integers.h"
#include "base/random.h"
#include "measure/faithfulness.h"
#include "method/explain/compare_methods.h"

const double curve_shares[CURVE_POINTS] = {0.1, 0.2, 0.3, 0.5, 0.75};

/* ---- many words at once ---- */

/* Sets of words that are exchanged, asked together. */
typedef struct SetList {
    ExchangeList *lists; /* [n] */
    Answered *answered;  /* [n] */
    bool *good;          /* [n] */
    int32_t n, capacity;
} SetList;

static limn_status new_sets(SetList *sets, const CompareRecord *record, int32_t capacity) {
    Arena *arena = record->call->arena;
    *sets = (SetList){.lists = ARENA_ARRAY(arena, ExchangeList, capacity + 1),
                      .answered = ARENA_ARRAY(arena, Answered, capacity + 1),
                      .good = ARENA_ARRAY(arena, bool, capacity + 1),
                      .capacity = capacity};
    return sets->lists == NULL || sets->answered == NULL || sets->good == NULL ? method_no_memory(record->call)
                                                                               : LIMN_OK;
}

/* Exchanges the words that are `out`, each for its draw number `which`. */
static limn_status add_set(SetList *sets, const CompareRecord *record, const bool *out, int32_t which) {
    Exchange *items = ARENA_ARRAY(record->call->arena, Exchange, record->words.n + 1);
    int32_t n = 0;
    if (items == NULL) {
        return method_no_memory(record->call);
    }
    for (int32_t w = 0; w < record->words.n; w++) {
        if (out[w]) {
            const DrawList *draws = yardstick_draws(record->yardstick, w);
            items[n++] = (Exchange){w, draws->items[(which + w) % draws->n].text};
        }
    }
    sets->lists[sets->n++] = (ExchangeList){items, n};
    return LIMN_OK;
}

static limn_status ask_sets(const CompareRecord *record, SetList *sets, const char *stage) {
    return yardstick_exchange_many(record->yardstick, sets->lists, sets->n, sets->answered, sets->good, stage);
}

static double answer_of(const Comparing *comparing, const Answered *answered) {
    return comparing->leads ? answered->lead : answered->probability;
}

/* Mean over n sets from `first` on; NaN: none could be read. */
static double mean_answer(const Comparing *comparing, const SetList *sets, int32_t first, int32_t n) {
    double sum = 0.0;
    int32_t good = 0;
    for (int32_t i = first; i < first + n; i++) {
        sum += sets->good[i] ? answer_of(comparing, &sets->answered[i]) : 0.0;
        good += sets->good[i] ? 1 : 0;
    }
    return good > 0 ? sum / good : (double)NAN;
}

/* ---- curves ---- */

/* order: [n] of the words that count. Exchanges the first of them, or all others. */
static limn_status add_curve(SetList *sets, const CompareRecord *record, const int32_t *order, int32_t n, bool *out) {
    for (int point = 0; point < CURVE_POINTS; point++) {
        int32_t first = (int32_t)larger(1, (int64_t)(curve_shares[point] * n + 0.5));
        for (int insertion = 0; insertion < 2; insertion++) {
            memset(out, 0, (size_t)record->words.n * sizeof *out);
            for (int32_t i = 0; i < n; i++) {
                out[order[i]] = (i < first) != (insertion == 1);
            }
            for (int64_t d = 0; d < record->comparing->params->draws; d++) {
                TRY(add_set(sets, record, out, (int32_t)d));
            }
        }
    }
    return LIMN_OK;
}

static int32_t order_counted(const CompareRecord *record, const double *scores, int32_t *order) {
    int32_t n = 0;
    order_by_score(order, scores, record->words.n);
    for (int32_t i = 0; i < record->words.n; i++) {
        if (record->counts[order[i]]) {
            order[n++] = order[i];
        }
    }
    return n;
}

static limn_status read_curve(CompareRecord *record, Compared *method, const SetList *sets, int32_t at) {
    Comparing *comparing = record->comparing;
    int32_t draws = (int32_t)comparing->params->draws;
    double clean = answer_of(comparing, &(Answered){.lead = yardstick_clean(record->yardstick).lead,
                                                    .probability = yardstick_clean(record->yardstick).probability});
    double fell = 0.0, missing = 0.0;
    for (int point = 0; point < CURVE_POINTS; point++, at += 2 * draws) {
        double deleted = mean_answer(comparing, sets, at, draws),
               kept = mean_answer(comparing, sets, at + draws, draws);
        method->deletion[point] += isnan(deleted) ? clean : deleted;
        method->insertion[point] += isnan(kept) ? clean : kept;
        fell += (clean - deleted) / CURVE_POINTS;
        missing += (clean - kept) / CURVE_POINTS;
    }
    TRY(compare_add_figure(comparing, &method->figures[FIGURE_COMPREHENSIVENESS], fell));
    return compare_add_figure(comparing, &method->figures[FIGURE_SUFFICIENCY], missing);
}

/* Curves of all methods, of a random order, and with everything exchanged. */
limn_status compare_curves(CompareRecord *record) {
    Comparing *comparing = record->comparing;
    int32_t draws = (int32_t)comparing->params->draws, each = 2 * CURVE_POINTS * draws;
    SetList sets;
    TRY(new_sets(&sets, record, (comparing->n + 1) * each + draws));
    int32_t *order = ARENA_ARRAY(record->call->arena, int32_t, record->words.n + 1);
    bool *out = ARENA_ARRAY(record->call->arena, bool, record->words.n + 1);
    double *random_scores = ARENA_ARRAY(record->call->arena, double, record->words.n + 1);
    if (order == NULL || out == NULL || random_scores == NULL) {
        return method_no_memory(record->call);
    }
    Random random;
    random_seed(&random, (uint64_t)record->call->common.seed * 1000003u + (uint64_t)comparing->records);
    for (int32_t w = 0; w < record->words.n; w++) {
        random_scores[w] = random_unit(&random);
    }
    for (int32_t m = 0; m <= comparing->n; m++) {
        if (!comparing->methods[m].left_out) {
            const double *scores = m < comparing->n ? comparing->methods[m].scores : random_scores;
            TRY(add_curve(&sets, record, order, order_counted(record, scores, order), out));
        }
    }
    for (int64_t d = 0; d < draws; d++) {
        TRY(add_set(&sets, record, record->counts, (int32_t)d));
    }
    TRY(ask_sets(record, &sets, "exchange the highest words"));
    int32_t at = 0;
    for (int32_t m = 0; m <= comparing->n; m++) {
        if (!comparing->methods[m].left_out) {
            TRY(read_curve(record, &comparing->methods[m], &sets, at));
            at += each;
        }
    }
    Answered clean = yardstick_clean(record->yardstick);
    double all = mean_answer(comparing, &sets, at, draws);
    comparing->clean += answer_of(comparing, &clean);
    comparing->all_exchanged += isnan(all) ? answer_of(comparing, &clean) : all;
    return LIMN_OK;
}

/* ---- infidelity ---- */

limn_status compare_infidelity(CompareRecord *record) {
    Comparing *comparing = record->comparing;
    int32_t n = (int32_t)comparing->params->sets, words = record->words.n, kept = 0;
    SetList sets;
    TRY(new_sets(&sets, record, n));
    bool *out = ARENA_ARRAY(record->call->arena, bool, (int64_t)n *words + 1);
    double *actual = ARENA_ARRAY(record->call->arena, double, n + 1);
    double *predicted = ARENA_ARRAY(record->call->arena, double, n + 1);
    if (out == NULL || actual == NULL || predicted == NULL) {
        return method_no_memory(record->call);
    }
    Random random;
    random_seed(&random, (uint64_t)record->call->common.seed * 7919u + (uint64_t)comparing->records);
    for (int32_t s = 0; s < n; s++) {
        for (int32_t w = 0; w < words; w++) {
            out[s * words + w] = record->counts[w] && random_below(&random, 2) == 1;
        }
        TRY(add_set(&sets, record, out + s * words, (int32_t)random_below(&random, COMPARE_DRAWS)));
    }
    TRY(ask_sets(record, &sets, "exchange random words"));
    for (int32_t s = 0; s < n; s++) {
        if (sets.good[s]) {
            memmove(out + kept * words, out + s * words, (size_t)words * sizeof *out);
            actual[kept++] = yardstick_clean(record->yardstick).lead - sets.answered[s].lead;
        }
    }
    double nothing = infidelity_of(actual, actual, 0, false), square = 0.0;
    for (int32_t s = 0; s < kept; s++) {
        square += actual[s] * actual[s] / kept;
    }
    for (int32_t m = 0; m < comparing->n; m++) {
        Compared *method = &comparing->methods[m];
        for (int32_t s = 0; s < kept; s++) {
            predicted[s] = 0.0;
            for (int32_t w = 0; w < words; w++) {
                predicted[s] += out[s * words + w] && !isnan(method->scores[w]) ? method->scores[w] : 0.0;
            }
        }
        double share = square > 0.0 ? infidelity_of(predicted, actual, kept, true) / square : nothing;
        TRY(method->left_out ? LIMN_OK : compare_add_figure(comparing, &method->figures[FIGURE_INFIDELITY], share));
    }
    return LIMN_OK;
}
