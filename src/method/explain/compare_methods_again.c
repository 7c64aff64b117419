/* The same question again: with other seeds, and to a prompt in which an idle word is another. */
#include <math.h>
#include <string.h>

#include "base/integers.h"
#include "measure/faithfulness.h"
#include "method/explain/compare_methods.h"

static const double counts_from = 0.1; /* of the largest score: smaller ones have no sign to speak of */

/* ---- seeds ---- */

typedef struct Seeds {
    const double *scores; /* [n, words] */
    int32_t n, words;
} Seeds;

static double mean_at(const Seeds *seeds, int32_t word) {
    double mean = 0.0;
    for (int32_t s = 0; s < seeds->n; s++) {
        mean += seeds->scores[s * seeds->words + word] / seeds->n;
    }
    return mean;
}

static double deviation_at(const Seeds *seeds, int32_t word) {
    double mean = mean_at(seeds, word), square = 0.0;
    for (int32_t s = 0; s < seeds->n; s++) {
        double apart = seeds->scores[s * seeds->words + word] - mean;
        square += apart * apart;
    }
    return seeds->n > 1 ? sqrt(square / (seeds->n - 1)) : 0.0;
}

static bool flips_at(const Seeds *seeds, int32_t word) {
    bool up = false, down = false;
    for (int32_t s = 0; s < seeds->n; s++) {
        up = up || seeds->scores[s * seeds->words + word] > 0.0;
        down = down || seeds->scores[s * seeds->words + word] < 0.0;
    }
    return up && down;
}

static void judge_seeds(const Seeds *seeds, double *deviation, double *flips) {
    double largest = 0.0, sum = 0.0, flipped = 0.0;
    int32_t n = 0, larger_ones = 0;
    for (int32_t w = 0; w < seeds->words; w++) {
        largest = fmax(largest, fabs(mean_at(seeds, w))); /* fmax passes over NaN */
    }
    for (int32_t w = 0; w < seeds->words; w++) {
        if (isnan(mean_at(seeds, w))) {
            continue;
        }
        sum += deviation_at(seeds, w);
        n++;
        if (fabs(mean_at(seeds, w)) >= counts_from * largest) {
            larger_ones++;
            flipped += flips_at(seeds, w) ? 1.0 : 0.0;
        }
    }
    *deviation = n > 0 && largest > 0.0 ? sum / n / largest : (double)NAN;
    *flips = larger_ones > 0 ? flipped / larger_ones : (double)NAN;
}

limn_status compare_seeds(CompareRecord *record, Compared *method) {
    Comparing *comparing = record->comparing;
    int32_t words = record->words.n, most = (int32_t)comparing->params->seeds;
    double *scores = ARENA_ARRAY(record->call->arena, double, (int64_t)most *words + 1), deviation, flips;
    if (scores == NULL) {
        return method_no_memory(record->call);
    }
    Seeds seeds = {scores, 1, words};
    memcpy(scores, method->scores, (size_t)words * sizeof *scores);
    for (; seeds.n < most && !method->draws_nothing; seeds.n++) {
        bool scored;
        double *own = scores + seeds.n * words;
        TRY(compare_scores(record, method, record->prompt, record->target, record->contrast, &record->words,
                           record->call->common.seed + 1000 * seeds.n, own, &scored));
        if (memcmp(own, scores, (size_t)words * sizeof *own) == 0) {
            method->draws_nothing = true;
            break;
        }
    }
    judge_seeds(&seeds, &deviation, &flips);
    TRY(compare_add_figure(comparing, &method->figures[FIGURE_DEVIATION], deviation));
    return compare_add_figure(comparing, &method->figures[FIGURE_FLIPS], flips);
}

/* ---- an idle word exchanged ---- */

/* A draw that moved the answer little. */
typedef struct Idle {
    int32_t word, draw;
    double moved;
} Idle;

/* The draws that moved the answer least, of different words; [most] */
static int32_t find_idle(const CompareRecord *record, Idle *idle, int32_t most) {
    int32_t n = 0;
    for (int32_t w = 0; w < record->words.n; w++) {
        const Effect *effect = yardstick_effect(record->yardstick, w);
        Idle best = {w, -1, INFINITY};
        for (int32_t k = 0; record->counts[w] && k < effect->n; k++) {
            double moved = fabs(effect->answered[k].lead - yardstick_clean(record->yardstick).lead);
            best = moved < best.moved ? (Idle){w, k, moved} : best;
        }
        if (best.draw < 0 || (n == most && best.moved >= idle[n - 1].moved)) {
            continue;
        }
        int32_t at = n < most ? n++ : n - 1;
        for (; at > 0 && best.moved < idle[at - 1].moved; at--) {
            idle[at] = idle[at - 1];
        }
        idle[at] = best;
    }
    return n;
}

static limn_status version_text(Text *made, const CompareRecord *record, const Idle *idle) {
    const Text whole = record->prompt->text;
    const Unit *unit = &yardstick_units(record->yardstick)->items[idle->word];
    Text draw = yardstick_draws(record->yardstick, idle->word)->items[idle->draw].text;
    size_t length = unit->from + draw.length + (whole.length - unit->to);
    char *bytes = arena_alloc(record->call->arena, length + 1);
    if (bytes == NULL) {
        return method_no_memory(record->call);
    }
    memcpy(bytes, whole.bytes, unit->from);
    memcpy(bytes + unit->from, draw.bytes, draw.length);
    memcpy(bytes + unit->from + draw.length, whole.bytes + unit->to, whole.length - unit->to);
    bytes[length] = '\0';
    *made = (Text){bytes, length};
    return LIMN_OK;
}

/* The same answer behind another prompt. *there false: nothing says where it would be read. */
static limn_status version_target(Target *made, bool *there, const CompareRecord *record, const Target *target,
                                  const Prompt *version) {
    const Model *model = record->comparing->model;
    int32_t tail = target->n_sequence - record->prompt->n, n = version->n + tail;
    *made = *target;
    *there = target->kind == TARGET_TOKENS || target->kind == TARGET_CLASS ||
             (target->kind == TARGET_AT && version->n == record->prompt->n);
    made->rows = ARENA_ARRAY(record->call->arena, int32_t, target->n + 1);
    made->sequence = ARENA_ARRAY(record->call->arena, int32_t, n + 1);
    if (made->rows == NULL || made->sequence == NULL) {
        return method_no_memory(record->call);
    }
    for (int32_t i = 0; i < target->n; i++) {
        made->rows[i] = target->kind == TARGET_TOKENS  ? version->n - 1 + i
                        : target->kind == TARGET_CLASS ? answer_row(model, version)
                                                       : target->rows[i];
    }
    memcpy(made->sequence, version->ids, (size_t)version->n * sizeof *made->sequence);
    memcpy(made->sequence + version->n, target->sequence + record->prompt->n, (size_t)tail * sizeof *made->sequence);
    made->n_sequence = n;
    made->types = version->types;
    made->mask = version->mask;
    return LIMN_OK;
}

/* The scores of a version, the exchanged word's left out. *there false: it is not of the same words. */
static limn_status score_version(CompareRecord *record, Compared *method, const Idle *idle, double *scores,
                                 bool *there) {
    static const Target none = {.kind = TARGET_NONE};
    const Comparing *comparing = record->comparing;
    Prompt version;
    Target target, contrast = none;
    TokenRuns words;
    PromptParams asked = {.complete = record->prompt->encode.no_special};
    TRY(version_text(&asked.prompt, record, idle));
    TRY(prompt_read(&version, record->call, comparing->model, &asked));
    TRY(words_of(&words, record->call, comparing->model, &version));
    TRY(version_target(&target, there, record, record->target, &version));
    if (*there && record->contrast != NULL && record->contrast->kind != TARGET_NONE) {
        TRY(version_target(&contrast, there, record, record->contrast, &version));
    }
    *there = *there && words.n == record->words.n;
    if (!*there) {
        return LIMN_OK;
    }
    bool scored;
    TRY(compare_scores(record, method, &version, &target, &contrast, &words, record->call->common.seed, scores,
                       &scored));
    scores[idle->word] = (double)NAN;
    return LIMN_OK;
}

limn_status compare_sensitivity(CompareRecord *record, Compared *method) {
    Comparing *comparing = record->comparing;
    int32_t most = (int32_t)comparing->params->versions;
    if (record->prompt->chat != NULL || record->prompt->pair.bytes != NULL || record->prompt->mask != NULL) {
        return LIMN_OK; /* only a text by itself is written anew here */
    }
    Idle *idle = ARENA_ARRAY(record->call->arena, Idle, most + 1);
    double *scores = ARENA_ARRAY(record->call->arena, double, record->words.n + 1), largest = (double)NAN;
    if (idle == NULL || scores == NULL) {
        return method_no_memory(record->call);
    }
    int32_t n = find_idle(record, idle, most);
    for (int32_t i = 0; i < n; i++) {
        bool there;
        TRY(score_version(record, method, &idle[i], scores, &there));
        double change = there ? sensitivity_of(method->scores, scores, record->words.n) : (double)NAN;
        largest = isnan(largest) || change > largest ? change : largest;
    }
    return compare_add_figure(comparing, &method->figures[FIGURE_SENSITIVITY], largest);
}
