/* From effects in records to harm: a mean in which each label weighs alike, its interval, and whether it is more than
 * chance would give once all suspects are counted.
 *
 * What is tested is the gain, harm in probability instead of log-probability. Of two labels what exchanging gives the
 * one it takes from the other, so where labels have nothing to do with the texts no gain is expected; log p would rise
 * by any loss of confidence, since being sure and wrong costs more than being sure and right pays.
 *
 * A word that drives every decision one way helps where that way is right and harms where it is not. Flipping the signs
 * of single records would take that difference between labels for noise, so records are flipped in blocks: as many as
 * the rarest label has texts, each with its share of the records of every label, matched by their hashes. A block's
 * value is its part of the gain. Were labels given by chance, changing those of two records over would change its sign:
 * the test is exact where a block has one record of each of two labels. Where a suspect stands beside one label only, a
 * block is a record. The same text said twice lies in one block: it is one witness. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "method/data/attribute.h"

static const double level = 0.95;

typedef struct Judge {
    Attributor *attributor;
    SignFlipEntry *entries; /* [n_entries] blocks of those that are tested */
    int64_t n_entries;
    uint64_t *prompts; /* [n_prompts] of all effects, each once, ascending */
    int32_t n_prompts;
    double *blocks;   /* [n_effects] of one suspect */
    int32_t *leaders; /* [n_effects] a prompt of each block, for its sign */
} Judge;

static Suspect *suspect_of(const Attributor *attributor, int32_t place) {
    return &attributor->suspects.items[attributor->tested[place]];
}

/* By suspect, label and text. */
static int in_order(const void *left, const void *right) {
    const Effect1 *a = left, *b = right;
    if (a->place != b->place) {
        return a->place < b->place ? -1 : 1;
    }
    if (a->label != b->label) {
        return a->label < b->label ? -1 : 1;
    }
    return a->prompt != b->prompt ? (a->prompt < b->prompt ? -1 : 1) : (a->value > b->value) - (a->value < b->value);
}

static int ascending(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static limn_status list_prompts(Judge *judge) {
    const Attributor *attributor = judge->attributor;
    Arena *arena = attributor->call->arena;
    judge->prompts = ARENA_ARRAY(arena, uint64_t, attributor->n_effects + 1);
    judge->entries = ARENA_ARRAY(arena, SignFlipEntry, attributor->n_effects + 1);
    judge->blocks = ARENA_ARRAY(arena, double, attributor->n_effects + 1);
    judge->leaders = ARENA_ARRAY(arena, int32_t, attributor->n_effects + 1);
    if (judge->prompts == NULL || judge->entries == NULL || judge->blocks == NULL || judge->leaders == NULL) {
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

/* ---- one suspect: its effects, label after label ---- */

typedef struct Group {      /* of one label */
    const Effect1 *effects; /* [n] */
    int64_t n;
    int32_t texts; /* that differ */
} Group;

static Group next_group(const Effect1 *effects, int64_t n) {
    Group group = {.effects = effects, .texts = n > 0 ? 1 : 0};
    while (group.n < n && effects[group.n].label == effects[0].label) {
        group.texts += group.n > 0 && effects[group.n].prompt != effects[group.n - 1].prompt ? 1 : 0;
        group.n++;
    }
    return group;
}

static double mean_of(const Group *group, bool gains) {
    double sum = 0;
    for (int64_t i = 0; i < group->n; i++) {
        sum += gains ? group->effects[i].gain : group->effects[i].value;
    }
    return sum / (double)group->n;
}

/* Of a mean of means, each label's by its own spread (Welch and Satterthwaite). NaN ends where a label has one record.
 */
static Interval interval_of(const Effect1 *effects, int64_t n, int32_t family) {
    double sum = 0, square = 0, rest = 0;
    int32_t labels = 0;
    for (int64_t at = 0; at < n;) {
        Group group = next_group(effects + at, n - at);
        double mean = mean_of(&group, false), spread = 0;
        for (int64_t i = 0; i < group.n; i++) {
            spread += (group.effects[i].value - mean) * (group.effects[i].value - mean);
        }
        double own = group.n > 1 ? spread / (double)(group.n - 1) / (double)group.n : (double)NAN;
        sum += mean;
        square += own;
        rest += own * own / (double)(group.n - 1);
        labels++;
        at += group.n;
    }
    Interval interval = {sum / labels, (double)NAN, (double)NAN};
    if (square > 0) {
        double tail = 0.5 * (1.0 - simultaneous_level(level, family));
        double reach = student_quantile(1.0 - tail, square * square / rest) * sqrt(square) / labels;
        interval.low = interval.value - reach;
        interval.high = interval.value + reach;
    }
    return interval;
}

static void sum_up(Suspect *suspect, const Effect1 *effects, int64_t n, int32_t family) {
    Interval interval = interval_of(effects, n, family);
    suspect->harm = interval.value;
    suspect->low = interval.low;
    suspect->high = interval.high;
    suspect->wrong = suspect->wrong_without = suspect->gain = 0;
    int32_t labels = 0;
    for (int64_t at = 0; at < n; labels++) {
        Group group = next_group(effects + at, n - at);
        suspect->gain += mean_of(&group, true);
        at += group.n;
    }
    suspect->gain /= labels;
    for (int64_t i = 0; i < n; i++) {
        suspect->wrong += (1.0 - (double)effects[i].right_before) / (double)n;
        suspect->wrong_without += (1.0 - (double)effects[i].right_after) / (double)n;
    }
}

static void add_blocks(Judge *judge, const Effect1 *effects, int64_t n) {
    int32_t n_blocks = INT32_MAX;
    for (int64_t at = 0; at < n;) {
        Group group = next_group(effects + at, n - at);
        n_blocks = group.texts < n_blocks ? group.texts : n_blocks;
        at += group.n;
    }
    memset(judge->blocks, 0, (size_t)n_blocks * sizeof *judge->blocks);
    for (int64_t at = 0; at < n;) {
        Group group = next_group(effects + at, n - at);
        int64_t text = 0;
        for (int64_t i = 0; i < group.n; i++) {
            text += i > 0 && group.effects[i].prompt != group.effects[i - 1].prompt ? 1 : 0;
            int64_t block = text * n_blocks / group.texts;
            judge->blocks[block] += group.effects[i].gain / (double)group.n;
            judge->leaders[block] = prompt_of(judge, group.effects[i].prompt);
        }
        at += group.n;
    }
    for (int32_t b = 0; b < n_blocks; b++) {
        judge->entries[judge->n_entries++] = (SignFlipEntry){judge->leaders[b], effects[0].place, judge->blocks[b]};
    }
}

/* ---- all of them ---- */

static limn_status test(Judge *judge) {
    Attributor *attributor = judge->attributor;
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

static void count(Attributor *attributor) {
    for (int32_t i = 0; i < attributor->n_tested; i++) {
        Suspect *suspect = suspect_of(attributor, i);
        suspect->count = 0;
        suspect->harm = suspect->low = suspect->high = suspect->gain = suspect->p = (double)NAN;
    }
    for (int64_t e = 0; e < attributor->n_effects; e++) {
        suspect_of(attributor, attributor->effects[e].place)->count++;
    }
    for (int32_t i = 0; i < attributor->n_tested; i++) {
        attributor->family += suspect_of(attributor, i)->count >= attributor->params->least ? 1 : 0;
    }
}

limn_status attribute_judge(Attributor *attributor) {
    Judge judge = {.attributor = attributor};
    count(attributor);
    if (attributor->n_effects == 0 && attributor->params->replacements.bytes != NULL) {
        return fail(LIMN_USAGE,
                    "option 'replacements': %s has no word that fits in the place of any that was nominated",
                    attributor->params->replacements.bytes);
    }
    if (attributor->family == 0) {
        return fail(LIMN_USAGE,
                    "attribute: no word or place that was nominated occurs in %lld or more of the %lld records that "
                    "test (--least)",
                    (long long)attributor->params->least, (long long)(attributor->records - attributor->nominating));
    }
    TRY(list_prompts(&judge));
    if (attributor->n_effects > 0) {
        qsort(attributor->effects, (size_t)attributor->n_effects, sizeof *attributor->effects, in_order);
    }
    for (int64_t at = 0; at < attributor->n_effects;) {
        const Effect1 *effects = attributor->effects + at;
        Suspect *suspect = suspect_of(attributor, effects->place);
        if (suspect->count >= attributor->params->least) {
            sum_up(suspect, effects, suspect->count, attributor->family);
            add_blocks(&judge, effects, suspect->count);
        }
        at += suspect->count;
    }
    return attributor->labelled ? test(&judge) : LIMN_OK;
}
