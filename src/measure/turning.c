#include "measure/turning.h"

#include <math.h>
#include <stdlib.h>

#include "base/integers.h"

enum { BEST_DRAWS = 4 /* of each word, where several are exchanged */, LEADING = 4 };

/* One draw that may be part of an exchange. */
typedef struct Part {
    int32_t unit, draw;
    double moved; /* towards turning, by itself */
} Part;

static int most_moved(const void *left, const void *right) {
    const Part *a = left, *b = right;
    return a->moved != b->moved ? (a->moved > b->moved ? -1 : 1) : a->draw - b->draw;
}

/* Towards turning: the lead falls where the model gives the answer, and rises where it does not. */
static double moved(const Yardstick *yardstick, const Answered *answered) {
    Answered clean = yardstick_clean(yardstick);
    double fall = clean.lead - answered->lead;
    return clean.decided ? fall : -fall;
}

static bool better(const Turning *a, const Turning *b) {
    bool known_a = !isnan(a->fit), known_b = !isnan(b->fit);
    return known_a != known_b ? known_a : a->fit > b->fit;
}

/* Keeps the best of each set of words. */
static void keep(Turnings *turnings, const Turning *found) {
    for (int32_t i = 0; i < turnings->n; i++) {
        Turning *other = &turnings->items[i];
        bool same = other->exchanges.n == found->exchanges.n;
        for (int32_t k = 0; same && k < found->exchanges.n; k++) {
            same = other->exchanges.items[k].unit == found->exchanges.items[k].unit;
        }
        if (same) {
            if (better(found, other)) {
                *other = *found;
            }
            return;
        }
    }
    if (turnings->n < TURNINGS_MAX) {
        turnings->items[turnings->n++] = *found;
    }
}

/* All of them exchange as many words. */
static void sort(Turnings *turnings) {
    for (int32_t i = 1; i < turnings->n; i++) {
        Turning item = turnings->items[i];
        int32_t place = i;
        for (; place > 0 && better(&item, &turnings->items[place - 1]); place--) {
            turnings->items[place] = turnings->items[place - 1];
        }
        turnings->items[place] = item;
    }
}

static void find_single(Turnings *turnings, const Yardstick *yardstick) {
    Answered clean = yardstick_clean(yardstick);
    const Units *units = yardstick_units(yardstick);
    for (int32_t u = 0; u < units->n; u++) {
        const Effect *effect = yardstick_effect(yardstick, u);
        const DrawList *list = yardstick_draws(yardstick, u);
        turnings->tried += effect->n;
        for (int32_t k = 0; k < effect->n; k++) {
            if (effect->answered[k].decided != clean.decided) {
                keep(turnings, &(Turning){.exchanges = {.items = {{u, list->items[k].text}}, .n = 1},
                                          .answered = effect->answered[k],
                                          .fit = list->items[k].fit});
            }
        }
    }
}

/* The best draws of the words that move the answer most: [LEADING, BEST_DRAWS]. */
static limn_status leading_parts(Part parts[LEADING][BEST_DRAWS], int32_t counts[LEADING], int32_t *n,
                                 const Yardstick *yardstick, MethodCall *call) {
    const Units *units = yardstick_units(yardstick);
    double best[LEADING];
    *n = 0;
    for (int32_t u = 0; u < units->n; u++) {
        const Effect *effect = yardstick_effect(yardstick, u);
        Part *own = ARENA_ARRAY(call->arena, Part, effect->n + 1);
        if (own == NULL) {
            return method_no_memory(call);
        }
        for (int32_t k = 0; k < effect->n; k++) {
            own[k] = (Part){u, k, moved(yardstick, &effect->answered[k])};
        }
        qsort(own, (size_t)effect->n, sizeof *own, most_moved);
        if (effect->n == 0 || !(own[0].moved > 0.0)) {
            continue;
        }
        int32_t place = *n < LEADING ? (*n)++ : LEADING;
        while (place > 0 && own[0].moved > best[place - 1]) {
            place--;
            if (place + 1 < LEADING) {
                best[place + 1] = best[place];
                counts[place + 1] = counts[place];
                for (int32_t k = 0; k < BEST_DRAWS; k++) {
                    parts[place + 1][k] = parts[place][k];
                }
            }
        }
        if (place < LEADING) {
            best[place] = own[0].moved;
            counts[place] = effect->n < BEST_DRAWS ? effect->n : BEST_DRAWS;
            for (int32_t k = 0; k < counts[place]; k++) {
                parts[place][k] = own[k];
            }
        }
    }
    return LIMN_OK;
}

static int by_unit(const void *left, const void *right) {
    return ((const Exchange *)left)->unit - ((const Exchange *)right)->unit;
}

/* Every choice of one part each from the words `chosen`. */
static limn_status try_words(Turnings *turnings, Yardstick *yardstick, MethodCall *call,
                             Part parts[LEADING][BEST_DRAWS], const int32_t counts[LEADING], const int32_t *chosen,
                             int32_t n_words) {
    int32_t n = 1;
    for (int32_t w = 0; w < n_words; w++) {
        n *= counts[chosen[w]];
    }
    Exchanges *exchanges = ARENA_ARRAY(call->arena, Exchanges, n + 1);
    Answered *answered = ARENA_ARRAY(call->arena, Answered, n + 1);
    bool *good = ARENA_ARRAY(call->arena, bool, n + 1);
    double *fit = ARENA_ARRAY(call->arena, double, n + 1);
    if (exchanges == NULL || answered == NULL || good == NULL || fit == NULL) {
        return method_no_memory(call);
    }
    for (int32_t i = 0; i < n; i++) {
        int32_t rest = i;
        for (int32_t w = 0; w < n_words; w++) {
            const Part *part = &parts[chosen[w]][rest % counts[chosen[w]]];
            rest /= counts[chosen[w]];
            const Draw *draw = &yardstick_draws(yardstick, part->unit)->items[part->draw];
            exchanges[i].items[exchanges[i].n++] = (Exchange){part->unit, draw->text};
            fit[i] += draw->fit;
        }
        qsort(exchanges[i].items, (size_t)exchanges[i].n, sizeof(Exchange), by_unit);
    }
    TRY(yardstick_exchange(yardstick, exchanges, n, answered, good, "look for what turns the answer"));
    bool clean = yardstick_clean(yardstick).decided;
    for (int32_t i = 0; i < n; i++) {
        turnings->tried += good[i] ? 1 : 0;
        if (good[i] && answered[i].decided != clean) {
            keep(turnings, &(Turning){exchanges[i], answered[i], fit[i]});
        }
    }
    turnings->most = (int32_t)larger(turnings->most, n_words);
    return LIMN_OK;
}

limn_status turnings_find(Turnings *turnings, Yardstick *yardstick, MethodCall *call) {
    *turnings = (Turnings){.most = 1};
    find_single(turnings, yardstick);
    if (turnings->n == 0) {
        Part parts[LEADING][BEST_DRAWS];
        int32_t counts[LEADING], n;
        TRY(leading_parts(parts, counts, &n, yardstick, call));
        for (int32_t a = 0; a < n && turnings->n == 0; a++) {
            for (int32_t b = a + 1; b < n && turnings->n == 0; b++) {
                TRY(try_words(turnings, yardstick, call, parts, counts, (int32_t[]){a, b}, 2));
            }
        }
        if (turnings->n == 0 && n >= TURNING_WORDS) {
            TRY(try_words(turnings, yardstick, call, parts, counts, (int32_t[]){0, 1, 2}, 3));
        }
    }
    sort(turnings);
    return LIMN_OK;
}

const Turning *turnings_first(const Turnings *turnings, int32_t unit) {
    for (int32_t i = 0; i < turnings->n; i++) {
        if (turnings->items[i].exchanges.items[0].unit == unit) {
            return &turnings->items[i];
        }
    }
    return turnings->n > 0 ? &turnings->items[0] : NULL;
}
