/* One record of `limn compare methods`: every method's scores, and what exchanging words says of them. */
#include <math.h>
#include <string.h>

#include "measure/faithfulness.h"
#include "method/explain/compare_methods.h"
#include "statistics/correlation.h"

enum { TOP = 3 };

limn_status compare_add_figure(Comparing *comparing, FigureList *list, double value) {
    if (isnan(value)) {
        return LIMN_OK;
    }
    if (list->n == list->capacity) {
        int32_t capacity = list->capacity == 0 ? 32 : 2 * list->capacity;
        double *grown = ARENA_ARRAY(comparing->call->arena, double, capacity);
        if (grown == NULL) {
            return method_no_memory(comparing->call);
        }
        if (list->n > 0) {
            memcpy(grown, list->values, (size_t)list->n * sizeof *grown);
        }
        list->values = grown;
        list->capacity = capacity;
    }
    list->values[list->n++] = value;
    return LIMN_OK;
}

/* ---- scores ---- */

limn_status compare_scores(CompareRecord *record, Compared *method, const Prompt *prompt, const Target *target,
                           const Target *contrast, const TokenRuns *words, int64_t seed, double *scores, bool *scored) {
    Comparing *comparing = record->comparing;
    const TokenQuestion question = {.engine = comparing->engine,
                                    .prompt = prompt,
                                    .target = target,
                                    .contrast = contrast,
                                    .params = method->params,
                                    .seed = seed};
    TokenScores found;
    limn_status status = token_scores(&found, record->call, method->method, &question);
    *scored = status == LIMN_OK;
    bool cannot = status == LIMN_UNSUPPORTED || status == LIMN_USAGE || status == LIMN_NOT_FOUND;
    if (status != LIMN_OK && cannot && !method->named && comparing->records == 0) {
        result_warn(comparing->result, "%s is left out: %s", method->name, error_message());
        method->left_out = true;
        return LIMN_OK;
    }
    if (status != LIMN_OK) {
        return fail_context("%s", method->name);
    }
    for (int32_t w = 0; w < words->n; w++) {
        scores[w] = token_scores_sum(&found, words->begins[w], words->begins[w + 1]);
    }
    return LIMN_OK;
}

static limn_status score_all(CompareRecord *record) {
    Comparing *comparing = record->comparing;
    for (int32_t m = 0; m < comparing->n; m++) {
        Compared *method = &comparing->methods[m];
        method->scores = ARENA_ARRAY(record->call->arena, double, record->words.n + 1);
        if (method->scores == NULL) {
            return method_no_memory(record->call);
        }
        bool scored;
        if (!method->left_out) {
            TRY(progress_tick(record->call->progress, method->name, comparing->records, 0));
            TRY(compare_scores(record, method, record->prompt, record->target, record->contrast, &record->words,
                               record->call->common.seed, method->scores, &scored));
        }
    }
    return LIMN_OK;
}

/* ---- against replacement ---- */

/* The words that may be exchanged and that both lists have a number for, packed. */
static int32_t pack(const CompareRecord *record, const double *a, const double *b, double *x, double *y) {
    int32_t n = 0;
    for (int32_t w = 0; w < record->words.n; w++) {
        if (record->counts[w] && !isnan(a[w]) && !isnan(b[w])) {
            x[n] = a[w];
            y[n++] = b[w];
        }
    }
    return n;
}

static double share_of_largest(const CompareRecord *record, const double *scores) {
    int32_t named = -1;
    double largest = 0.0;
    for (int32_t w = 0; w < record->words.n; w++) {
        if (record->counts[w]) {
            named = !isnan(scores[w]) && scores[w] > 0.0 && (named < 0 || scores[w] > scores[named]) ? w : named;
            largest = fmax(largest, record->effects[w]);
        }
    }
    return largest <= 0.0 ? (double)NAN : named < 0 ? 0.0 : fmax(0.0, record->effects[named]) / largest;
}

static limn_status hold_against_effects(CompareRecord *record, Compared *method, double *x, double *y) {
    Comparing *comparing = record->comparing;
    double rho;
    int32_t n = pack(record, method->scores, record->effects, x, y);
    TRY(spearman(&rho, x, y, n));
    TRY(compare_add_figure(comparing, &method->figures[FIGURE_REPLACEMENT], rho));
    for (int32_t i = 0; i < n; i++) {
        x[i] = fabs(x[i]);
        y[i] = fabs(y[i]);
    }
    TRY(spearman(&rho, x, y, n));
    TRY(compare_add_figure(comparing, &method->figures[FIGURE_SIZES], rho));
    return compare_add_figure(comparing, &method->figures[FIGURE_CAUSE], share_of_largest(record, method->scores));
}

static limn_status compare_pairs(CompareRecord *record, double *x, double *y) {
    Comparing *comparing = record->comparing;
    for (int32_t a = 0; a < comparing->n; a++) {
        for (int32_t b = 0; b < a; b++) {
            const Compared *first = &comparing->methods[b], *second = &comparing->methods[a];
            double rho, top;
            if (first->left_out || second->left_out) {
                continue;
            }
            int32_t n = pack(record, first->scores, second->scores, x, y);
            TRY(spearman(&rho, x, y, n));
            TRY(top_overlap(&top, x, y, n, TOP));
            double tau = kendall(x, y, n);
            if (!isnan(rho) && !isnan(tau)) {
                PairFigures *pair = &comparing->pairs[b * comparing->n + a];
                pair->spearman += rho;
                pair->kendall += tau;
                pair->top += top;
                pair->n++;
            }
        }
    }
    return LIMN_OK;
}

/* ---- the record ---- */

static limn_status measure_effects(CompareRecord *record) {
    Comparing *comparing = record->comparing;
    MethodCall *call = record->call;
    const YardstickAsked asked = {.fixed = comparing->params->yardstick.fixed,
                                  .replacements = comparing->params->yardstick.replacements,
                                  .fields = record->fields,
                                  .n_fields = record->n_fields,
                                  .screen = (int32_t)comparing->params->draws};
    TRY(yardstick_new(&record->yardstick, call, comparing->engine, record->prompt, record->target, record->contrast,
                      &record->words, &asked));
    TRY(compare_exchanges(comparing) ? yardstick_screen(record->yardstick) : LIMN_OK);
    record->counts = ARENA_ARRAY(call->arena, bool, record->words.n + 1);
    record->effects = ARENA_ARRAY(call->arena, double, record->words.n + 1);
    int32_t *free_words = ARENA_ARRAY(call->arena, int32_t, record->words.n + 1), n = 0;
    if (record->counts == NULL || record->effects == NULL || free_words == NULL) {
        return method_no_memory(call);
    }
    for (int32_t w = 0; w < record->words.n; w++) {
        record->effects[w] = yardstick_effect(record->yardstick, w)->effect;
        record->counts[w] = compare_exchanges(comparing) ? !isnan(record->effects[w])
                                                         : !yardstick_units(record->yardstick)->items[w].fixed;
        if (record->counts[w]) {
            free_words[n++] = w;
        }
    }
    return compare_exchanges(comparing) ? yardstick_draw(record->yardstick, free_words, n, COMPARE_DRAWS) : LIMN_OK;
}

/* Without exchanges methods are held against each other and what people marked alone. */
bool compare_exchanges(const Comparing *comparing) {
    return comparing->params->draws > 0;
}

limn_status compare_record(CompareRecord *record) {
    Comparing *comparing = record->comparing;
    comparing->leads = record->contrast != NULL && record->contrast->kind != TARGET_NONE;
    TRY(words_of(&record->words, record->call, comparing->model, record->prompt));
    TRY(score_all(record));
    TRY(measure_effects(record));
    double *x = ARENA_ARRAY(record->call->arena, double, record->words.n + 1);
    double *y = ARENA_ARRAY(record->call->arena, double, record->words.n + 1);
    if (x == NULL || y == NULL) {
        return method_no_memory(record->call);
    }
    for (int32_t m = 0; m < comparing->n; m++) {
        if (!comparing->methods[m].left_out && compare_exchanges(comparing)) {
            TRY(hold_against_effects(record, &comparing->methods[m], x, y));
        }
    }
    TRY(compare_pairs(record, x, y));
    TRY(compare_exchanges(comparing) ? compare_curves(record) : LIMN_OK);
    TRY(comparing->params->sets > 0 && compare_exchanges(comparing) ? compare_infidelity(record) : LIMN_OK);
    TRY(compare_rationale(record));
    for (int32_t m = 0; m < comparing->n; m++) {
        if (!comparing->methods[m].left_out) {
            TRY(comparing->params->seeds > 1 ? compare_seeds(record, &comparing->methods[m]) : LIMN_OK);
            TRY(comparing->params->versions > 0 && compare_exchanges(comparing)
                    ? compare_sensitivity(record, &comparing->methods[m])
                    : LIMN_OK);
        }
    }
    comparing->records++;
    return LIMN_OK;
}
