/* From effects in records to harm: a mean in which each label weighs alike, its interval, and whether it is more than
 * chance would give once all suspects are counted. */
#include <math.h>
#include <stdlib.h>

#include "method/data/attribute.h"

static const double level = 0.95;

typedef struct Judge {
    Attributor *attributor;
    int64_t *counts;        /* [n_tested, labels] */
    SignFlipEntry *entries; /* [n_effects] weighted, of those that are tested */
    int64_t n_entries;
    double *values;    /* [n_effects] of one suspect, weighted */
    uint64_t *prompts; /* [n_prompts] of all effects, each once, ascending */
    int32_t n_prompts;
    int32_t family;
} Judge;

static Suspect *suspect_of(const Attributor *attributor, int32_t place) {
    return &attributor->suspects.items[attributor->tested[place]];
}

/* Records times labels over the records of this label: what makes labels weigh alike. */
static double weight_of(const Judge *judge, const Effect1 *effect) {
    int32_t labels = judge->attributor->names.n;
    const int64_t *counts = judge->counts + (int64_t)effect->place * labels;
    int64_t n = 0, present = 0;
    for (int32_t c = 0; c < labels; c++) {
        n += counts[c];
        present += counts[c] > 0 ? 1 : 0;
    }
    return (double)n / ((double)present * (double)counts[effect->label]);
}

static int ascending(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static limn_status list_prompts(Judge *judge) {
    const Attributor *attributor = judge->attributor;
    judge->prompts = ARENA_ARRAY(attributor->call->arena, uint64_t, attributor->n_effects + 1);
    if (judge->prompts == NULL) {
        return method_no_memory(attributor->call);
    }
    for (int64_t e = 0; e < attributor->n_effects; e++) {
        judge->prompts[e] = attributor->effects[e].prompt;
    }
    qsort(judge->prompts, (size_t)attributor->n_effects, sizeof *judge->prompts, ascending);
    for (int64_t e = 0; e < attributor->n_effects; e++) {
        if (judge->n_prompts == 0 || judge->prompts[judge->n_prompts - 1] != judge->prompts[e]) {
            judge->prompts[judge->n_prompts++] = judge->prompts[e];
        }
    }
    return LIMN_OK;
}

static int32_t prompt_of(const Judge *judge, uint64_t hash) {
    const uint64_t *found = bsearch(&hash, judge->prompts, (size_t)judge->n_prompts, sizeof *judge->prompts, ascending);
    return (int32_t)(found - judge->prompts);
}

static limn_status count(Judge *judge) {
    Attributor *attributor = judge->attributor;
    Arena *arena = attributor->call->arena;
    judge->counts = ARENA_ARRAY(arena, int64_t, (int64_t)attributor->n_tested * attributor->names.n + 1);
    judge->entries = ARENA_ARRAY(arena, SignFlipEntry, attributor->n_effects + 1);
    judge->values = ARENA_ARRAY(arena, double, attributor->n_effects + 1);
    if (judge->counts == NULL || judge->entries == NULL || judge->values == NULL) {
        return method_no_memory(attributor->call);
    }
    for (int32_t i = 0; i < attributor->n_tested; i++) {
        Suspect *suspect = suspect_of(attributor, i);
        suspect->count = 0;
        suspect->harm = suspect->low = suspect->high = suspect->p = (double)NAN;
    }
    for (int64_t e = 0; e < attributor->n_effects; e++) {
        const Effect1 *effect = &attributor->effects[e];
        suspect_of(attributor, effect->place)->count++;
        judge->counts[(int64_t)effect->place * attributor->names.n + effect->label]++;
    }
    for (int32_t i = 0; i < attributor->n_tested; i++) {
        judge->family += suspect_of(attributor, i)->count >= attributor->params->least ? 1 : 0;
    }
    return LIMN_OK;
}

static void sum_up(const Judge *judge, int32_t place) {
    const Attributor *attributor = judge->attributor;
    Suspect *suspect = suspect_of(attributor, place);
    int64_t n = 0;
    suspect->wrong = suspect->wrong_without = 0;
    for (int64_t e = 0; e < attributor->n_effects; e++) {
        const Effect1 *effect = &attributor->effects[e];
        if (effect->place == place) {
            judge->values[n++] = weight_of(judge, effect) * effect->value;
            suspect->wrong += 1.0 - (double)effect->right_before;
            suspect->wrong_without += 1.0 - (double)effect->right_after;
        }
    }
    Interval interval = mean_interval(judge->values, n, simultaneous_level(level, judge->family));
    suspect->harm = interval.value;
    suspect->low = interval.low;
    suspect->high = interval.high;
    suspect->wrong /= (double)n;
    suspect->wrong_without /= (double)n;
}

static limn_status test(Judge *judge) {
    Attributor *attributor = judge->attributor;
    for (int64_t e = 0; e < attributor->n_effects; e++) {
        const Effect1 *effect = &attributor->effects[e];
        if (suspect_of(attributor, effect->place)->count >= attributor->params->least) {
            judge->entries[judge->n_entries++] = (SignFlipEntry){prompt_of(judge, effect->prompt), effect->place,
                                                                 weight_of(judge, effect) * effect->value};
        }
    }
    double *alone = ARENA_ARRAY(attributor->call->arena, double, 2 * attributor->n_tested + 1);
    if (alone == NULL) {
        return method_no_memory(attributor->call);
    }
    double *adjusted = alone + attributor->n_tested;
    const SignFlipTest asked = {.entries = judge->entries,
                                .n_entries = judge->n_entries,
                                .n_records = judge->n_prompts,
                                .n_hypotheses = attributor->n_tested,
                                .flips = (int32_t)attributor->params->flips,
                                .seed = (uint64_t)attributor->call->common.seed};
    TRY(sign_flip_test(&asked, alone, adjusted));
    for (int32_t i = 0; i < attributor->n_tested; i++) {
        suspect_of(attributor, i)->p = adjusted[i];
    }
    return LIMN_OK;
}

limn_status attribute_judge(Attributor *attributor) {
    Judge judge = {.attributor = attributor};
    TRY(count(&judge));
    TRY(list_prompts(&judge));
    attributor->family = judge.family;
    if (judge.family == 0) {
        return fail(LIMN_USAGE,
                    "attribute: no word or place that was nominated occurs in %lld or more of the %lld records that "
                    "test (--least)",
                    (long long)attributor->params->least, (long long)(attributor->records - attributor->nominating));
    }
    for (int32_t i = 0; i < attributor->n_tested; i++) {
        if (suspect_of(attributor, i)->count >= attributor->params->least) {
            sum_up(&judge, i);
        }
    }
    return attributor->labelled ? test(&judge) : LIMN_OK;
}
