/* Do methods find what people marked? Figures of ERASER (measure/rationale.h): precision over recall as scores go down;
 * and the highest words of each prompt, as many as people mark on average, against theirs, word by word and as spans.
 */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/random.h"
#include "measure/faithfulness.h"
#include "measure/rationale.h"
#include "method/explain/compare_methods.h"
#include "statistics/statistics.h"

enum { ORDERS = 16 }; /* random ones, of each prompt */

/* ---- which words ---- */

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Where a text stands in another from `at` on, capitals or not; SIZE_MAX: nowhere. */
static size_t find_text(Text whole, Text part, size_t at) {
    for (; part.length > 0 && at + part.length <= whole.length; at++) {
        size_t same = 0;
        while (same < part.length && lower(whole.bytes[at + same]) == lower(part.bytes[same])) {
            same++;
        }
        if (same == part.length) {
            return at;
        }
    }
    return SIZE_MAX;
}

/* Marks the words at the text's place behind *from, else at its first one. */
static bool mark_text(const CompareRecord *record, Text part, size_t *from, bool *marks) {
    const Units *units = yardstick_units(record->yardstick);
    size_t at = find_text(record->prompt->text, part, *from);
    at = at == SIZE_MAX ? find_text(record->prompt->text, part, 0) : at;
    for (int32_t w = 0; w < units->n && at != SIZE_MAX; w++) {
        marks[w] = marks[w] || (units->items[w].from < at + part.length && units->items[w].to > at);
    }
    *from = at == SIZE_MAX ? *from : at + part.length;
    return at != SIZE_MAX;
}

/* *found false: a text stands nowhere. A list is JSON, since a cell of CSV may hold one too. */
static limn_status mark_all(const CompareRecord *record, bool *marks, bool *found) {
    const Text rationale = record->rationale;
    json_t *list = rationale.length > 0 && rationale.bytes[0] == '['
                       ? json_loadb(rationale.bytes, rationale.length, 0, NULL)
                       : NULL;
    size_t from = 0, i;
    const json_t *part;
    *found = list != NULL ? json_array_size(list) > 0 : mark_text(record, rationale, &from, marks);
    json_array_foreach(list, i, part) {
        if (!json_is_string(part)) {
            json_decref(list);
            return fail(LIMN_FORMAT, "the words that people marked: element %zu of the list is no text", i);
        }
        const Text text = {json_string_value(part), json_string_length(part)};
        *found = mark_text(record, text, &from, marks) && *found;
    }
    json_decref(list);
    return LIMN_OK;
}

/* ---- one record ---- */

/* Room for one more; what is kept lies in the call's arena. */
static limn_status keep_marked(Comparing *comparing, MarkedWords **kept, int32_t n) {
    Arena *arena = comparing->call->arena;
    int32_t count = comparing->base_precision.n;
    if (count == comparing->marked_capacity) {
        int32_t capacity = count == 0 ? 32 : 2 * count;
        MarkedWords *grown = ARENA_ARRAY(arena, MarkedWords, capacity);
        if (grown == NULL) {
            return method_no_memory(comparing->call);
        }
        if (count > 0) {
            memcpy(grown, comparing->marked, (size_t)count * sizeof *grown);
        }
        comparing->marked = grown;
        comparing->marked_capacity = capacity;
    }
    bool *marked = ARENA_ARRAY(arena, bool, n + 1);
    int32_t *orders = ARENA_ARRAY(arena, int32_t, (int64_t)comparing->n * n + 1);
    *kept = &comparing->marked[count];
    **kept = (MarkedWords){.n = n, .marked = marked, .orders = orders};
    return marked != NULL && orders != NULL ? LIMN_OK : method_no_memory(comparing->call);
}

static limn_status judge_methods(CompareRecord *record, const bool *marked, int32_t n, int32_t n_marked) {
    Comparing *comparing = record->comparing;
    MarkedWords *kept;
    double *scores = ARENA_ARRAY(record->call->arena, double, n + 1);
    if (scores == NULL) {
        return method_no_memory(record->call);
    }
    TRY(keep_marked(comparing, &kept, n));
    memcpy(kept->marked, marked, (size_t)n * sizeof *marked);
    for (int32_t m = 0; m < comparing->n; m++) {
        Compared *method = &comparing->methods[m];
        MarkedCurve curve;
        int32_t count = 0;
        if (method->left_out) {
            continue;
        }
        for (int32_t w = 0; w < record->words.n; w++) {
            if (record->counts[w]) {
                scores[count++] = method->scores[w];
            }
        }
        TRY(marked_curve(&curve, scores, marked, n));
        order_by_score(kept->orders + (int64_t)m * n, scores, n);
        TRY(compare_add_figure(comparing, &method->figures[FIGURE_RATIONALE], curve.average));
        TRY(compare_add_figure(comparing, &method->figures[FIGURE_AUPRC], curve.area));
    }
    return compare_add_figure(comparing, &comparing->base_precision, (double)n_marked / n);
}

limn_status compare_rationale(CompareRecord *record) {
    Comparing *comparing = record->comparing;
    int32_t n = 0, n_marked = 0;
    bool found;
    if (record->rationale.length == 0) {
        return LIMN_OK;
    }
    bool *marked = arena_zalloc(record->call->arena, (size_t)record->words.n + 1);
    if (marked == NULL) {
        return method_no_memory(record->call);
    }
    TRY(mark_all(record, marked, &found));
    if (!found) {
        comparing->no_rationale++;
        return LIMN_OK;
    }
    for (int32_t w = 0; w < record->words.n; w++) {
        if (record->counts[w]) {
            n_marked += marked[w] ? 1 : 0;
            marked[n++] = marked[w];
        }
    }
    /* all words or none: no order can be better than another */
    return n_marked == 0 || n_marked == n ? LIMN_OK : judge_methods(record, marked, n, n_marked);
}

/* ---- all records ---- */

typedef struct Found {
    double token_f1, span_precision, span_recall; /* sums */
    double area, average;                         /* the same, of random orders */
} Found;

/* The first words of an order, as many as people mark on average. */
static void choose_words(bool *chosen, const int32_t *order, int32_t n, double share) {
    int32_t k = (int32_t)fmax(1.0, floor(share * n + 0.5));
    memset(chosen, 0, (size_t)n * sizeof *chosen);
    for (int32_t i = 0; i < k && i < n; i++) {
        chosen[order[i]] = true;
    }
}

static void add_agreement(Found *found, const MarkedWords *words, const bool *chosen, double weight) {
    MarkedAgreement agreement = marked_agreement(chosen, words->marked, words->n);
    found->token_f1 += weight * agreement.token_f1;
    found->span_precision += weight * agreement.span_precision;
    found->span_recall += weight * agreement.span_recall;
}

static limn_status add_random(Found *found, const MarkedWords *words, Random *random, double share, Arena *arena) {
    bool *chosen = ARENA_ARRAY(arena, bool, words->n + 1);
    double *scores = ARENA_ARRAY(arena, double, words->n + 1);
    int32_t *order = ARENA_ARRAY(arena, int32_t, words->n + 1);
    if (chosen == NULL || scores == NULL || order == NULL) {
        return fail(LIMN_NO_MEMORY, "random orders of %d words", (int)words->n);
    }
    for (int k = 0; k < ORDERS; k++) {
        MarkedCurve curve;
        for (int32_t w = 0; w < words->n; w++) {
            scores[w] = random_unit(random);
        }
        order_by_score(order, scores, words->n);
        TRY(marked_curve(&curve, scores, words->marked, words->n));
        choose_words(chosen, order, words->n, share);
        add_agreement(found, words, chosen, 1.0 / ORDERS);
        found->area += curve.area / ORDERS;
        found->average += curve.average / ORDERS;
    }
    return LIMN_OK;
}

static void show_row(const Comparing *comparing, TableBlock *table, const char *name, Interval area, double average,
                     const Found *found) {
    double n = comparing->base_precision.n;
    Value cells[8] = {value_text(name), value_number(area.value)};
    int count = 2;
    if (comparing->records > 1) {
        cells[count++] = value_number(area.low);
        cells[count++] = value_number(area.high);
    }
    cells[count++] = value_number(average);
    cells[count++] = value_number(found->token_f1 / n);
    cells[count++] = value_number(f1_of(found->span_precision / n, found->span_recall / n));
    cells[count++] = value_integer(comparing->base_precision.n);
    table_row(table, cells);
}

static TableBlock *new_table(const Comparing *comparing) {
    static const TableColumn head[] = {{TEXT("method"), COLUMN_TEXT}, {TEXT("AUPRC"), COLUMN_NUMBER}},
                             interval[] = {{TEXT("low"), COLUMN_NUMBER}, {TEXT("high"), COLUMN_NUMBER}},
                             rest[] = {{TEXT("mean precision"), COLUMN_NUMBER},
                                       {TEXT("token F1"), COLUMN_NUMBER},
                                       {TEXT("IoU F1"), COLUMN_NUMBER},
                                       {TEXT("records"), COLUMN_INTEGER}};
    const MethodCall *call = comparing->call;
    TableColumn columns[8] = {head[0], head[1]};
    int32_t n = 2;
    for (int i = 0; i < 2 && comparing->records > 1; i++) {
        columns[n++] = interval[i];
    }
    for (int i = 0; i < 4; i++) {
        columns[n++] = rest[i];
    }
    return result_add_table(comparing->result, "rationale",
                            SAY(call, "Do they find what people marked?", "能否找到人工标注的词？"), columns, n);
}

static limn_status show_random(const Comparing *comparing, TableBlock *table, double share) {
    const MethodCall *call = comparing->call;
    Found found = {0};
    double n = comparing->base_precision.n;
    Random random;
    random_seed(&random, (uint64_t)call->common.seed);
    for (int32_t r = 0; r < comparing->base_precision.n; r++) {
        TRY(add_random(&found, &comparing->marked[r], &random, share, call->arena));
    }
    const Interval area = {.value = found.area / n, .low = (double)NAN, .high = (double)NAN};
    show_row(comparing, table, comparing->methods[comparing->n].name, area, found.average / n, &found);
    return LIMN_OK;
}

limn_status compare_rationale_report(Comparing *comparing, const int32_t *order, int32_t n) {
    const MethodCall *call = comparing->call;
    double share = 0.0;
    for (int32_t r = 0; r < comparing->base_precision.n; r++) {
        share += comparing->base_precision.values[r] / comparing->base_precision.n;
    }
    if (comparing->base_precision.n == 0) {
        return LIMN_OK;
    }
    TableBlock *table = new_table(comparing);
    for (int32_t i = 0; i < n; i++) {
        const Compared *method = &comparing->methods[order[i]];
        const FigureList *areas = &method->figures[FIGURE_AUPRC];
        Found found = {0};
        for (int32_t r = 0; r < comparing->base_precision.n; r++) {
            const MarkedWords *words = &comparing->marked[r];
            bool *chosen = ARENA_ARRAY(call->arena, bool, words->n + 1);
            if (chosen == NULL) {
                return method_no_memory(call);
            }
            choose_words(chosen, words->orders + (int64_t)order[i] * words->n, words->n, share);
            add_agreement(&found, words, chosen, 1.0);
        }
        show_row(comparing, table, method->name, mean_interval(areas->values, areas->n, 0.95),
                 compare_mean_figure(method, FIGURE_RATIONALE), &found);
    }
    TRY(show_random(comparing, table, share));
    result_block_note(
        comparing->result, "%s",
        SAY(call,
            "AUPRC: area under precision over recall, mean over records; token and IoU F1: of each "
            "method's highest words, as many as people mark on average; IoU: spans that share at least "
            "half of their union. People mark what convinces them, which need not be what moves the model",
            "AUPRC：精确率对召回率曲线下的面积，取各记录的平均；词元 F1 与交并比 "
            "F1：取各方法得分最高的词，个数为人工标注的平均比例；交并比：交集不少于并集一半的片段。"
            "人标注的是令人信服的词，未必是左右模型的词"));
    return LIMN_OK;
}
