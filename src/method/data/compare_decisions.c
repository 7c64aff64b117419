/* Two sets of decisions on the same records: is the second better, and which records changed?
 *
 * Records are paired by id. What both get right or wrong says nothing of the difference; McNemar's exact test (1947) is
 * on the records that one alone gets right, and the difference of shares has Tango's score interval (1998), which is of
 * the same pairs. Differences of log-loss and Brier score have BCa intervals of the mean (Efron 1987) and Student's p.
 *
 * Invariants: A and B exchanged turn every sign and nothing else; a file beside itself differs nowhere. How it fails: p
 * is of one question each, so among many groups one in twenty is below 0.05 by chance; labels that are wrong are wrong
 * for both. */
#include "method/data/compare_decisions.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "files/hash.h"

enum { REPLICATES = 2000 };

/* ---- names ---- */

static limn_status place_of(NameList *list, MethodCall *call, Text name, const char *what, int32_t *place) {
    uint64_t found;
    *place = -1;
    if (name.bytes == NULL) {
        return LIMN_OK;
    }
    if (map_get(&list->places, name.bytes, name.length, &found)) {
        *place = (int32_t)found;
        return LIMN_OK;
    }
    if (list->n == list->most) {
        return fail(LIMN_USAGE, "compare decisions: more than %d %s, expected fewer", (int)list->most, what);
    }
    if (list->names == NULL) {
        list->names = ARENA_ARRAY(call->arena, Text, list->most);
    }
    char *copy = arena_strndup(call->arena, name.bytes, name.length);
    if (list->names == NULL || copy == NULL) {
        return method_no_memory(call);
    }
    TRY(map_put(&list->places, copy, name.length, (uint64_t)list->n));
    *place = list->n;
    list->names[list->n++] = (Text){copy, name.length};
    return LIMN_OK;
}

/* ---- the first file ---- */

typedef struct FirstDecision {
    Text id;
    Text hash;
    int64_t line;
    int32_t pred, label, group; /* places; pred -1: skipped */
    int64_t paired;             /* the other's line; 0: not yet */
    double confidence, log_loss, brier;
} FirstDecision;

typedef struct First {
    Arena arena;
    Map ids;
    FirstDecision *items; /* [n] */
    int64_t n, capacity;
} First;

static limn_status grow(MethodCall *call, void **items, int64_t *capacity, size_t bytes) {
    int64_t larger = *capacity == 0 ? 1024 : 2 * *capacity;
    void *grown = realloc(*items, (size_t)larger * bytes);
    if (grown == NULL) {
        return method_no_memory(call);
    }
    *items = grown;
    *capacity = larger;
    return LIMN_OK;
}

static limn_status copy_of(Text *copy, First *first, MethodCall *call, Text text) {
    const char *bytes = text.bytes != NULL ? arena_strndup(&first->arena, text.bytes, text.length) : NULL;
    *copy = (Text){bytes, text.length};
    return text.bytes == NULL || bytes != NULL ? LIMN_OK : method_no_memory(call);
}

static limn_status twice(const char *path, const Decision *decision, int64_t line) {
    return fail(LIMN_USAGE, "%s: line %lld: the id '%.60s' stands in line %lld already; expected one of a kind", path,
                (long long)decision->line, decision->id.bytes, (long long)line);
}

static limn_status add_first(Comparing *comparing, First *first, const Decision *decision) {
    MethodCall *call = comparing->call;
    uint64_t before;
    if (map_get(&first->ids, decision->id.bytes, decision->id.length, &before)) {
        return twice(comparing->params->a.bytes, decision, first->items[before].line);
    }
    if (first->n == first->capacity) {
        void *items = first->items;
        TRY(grow(call, &items, &first->capacity, sizeof *first->items));
        first->items = items;
    }
    FirstDecision *made = &first->items[first->n];
    *made = (FirstDecision){.line = decision->line,
                            .pred = -1,
                            .confidence = decision->confidence,
                            .log_loss = decision->log_loss,
                            .brier = decision->brier};
    TRY(copy_of(&made->id, first, call, decision->id));
    TRY(copy_of(&made->hash, first, call, decision->hash));
    if (!decision->skipped) {
        TRY(place_of(&comparing->choices, call, decision->pred, "choices", &made->pred));
    }
    TRY(place_of(&comparing->choices, call, decision->label, "choices", &made->label));
    TRY(place_of(&comparing->groups, call, decision->group, "groups", &made->group));
    comparing->skipped[0] += decision->skipped;
    TRY(map_put(&first->ids, made->id.bytes, made->id.length, (uint64_t)first->n));
    first->n++;
    return LIMN_OK;
}

static limn_status read_first(Comparing *comparing, First *first) {
    DecisionReader *reader;
    const Progress *progress = comparing->call->progress;
    TRY(decision_reader_open(&reader, comparing->params->a.bytes, progress));
    limn_status status;
    Decision decision;
    bool there = true;
    while ((status = decision_reader_next(reader, &decision, &there)) == LIMN_OK && there) {
        status = add_first(comparing, first, &decision);
        if (status == LIMN_OK && first->n % 4096 == 0) {
            status = progress_tick(progress, "read", first->n, 0);
        }
        if (status != LIMN_OK) {
            break;
        }
    }
    decision_reader_close(reader);
    return status;
}

/* ---- pairs ---- */

static void free_changed(Changed *changed) {
    free((char *)(uintptr_t)changed->id.bytes);
    free((char *)(uintptr_t)changed->prompt.bytes);
    *changed = (Changed){0};
}

static bool stands_before(const Changed *a, const Changed *b) {
    return a->rank != b->rank ? a->rank < b->rank : a->confidence[1] > b->confidence[1];
}

/* Those that became wrong first, and of each kind the surest. */
static limn_status keep_changed(Comparing *comparing, const Pair *pair, const FirstDecision *a, const Decision *b) {
    int32_t most = (int32_t)comparing->params->top;
    bool was = pair->label >= 0 && pair->a == pair->label, is = pair->label >= 0 && pair->b == pair->label;
    Changed made = {.pair = comparing->n, .rank = was ? 0 : is ? 1 : 2, .confidence = {a->confidence, b->confidence}};
    int32_t place = comparing->n_kept;
    comparing->n_changed++;
    while (place > 0 && stands_before(&made, &comparing->changed[place - 1])) {
        place--;
    }
    if (place == most) {
        return LIMN_OK;
    }
    made.id = (Text){strndup(b->id.bytes, b->id.length), b->id.length};
    made.prompt = b->prompt.bytes != NULL ? (Text){strndup(b->prompt.bytes, b->prompt.length), b->prompt.length}
                                          : (Text){NULL, 0};
    if (made.id.bytes == NULL || (b->prompt.bytes != NULL && made.prompt.bytes == NULL)) {
        free_changed(&made);
        return method_no_memory(comparing->call);
    }
    if (comparing->n_kept == most) {
        free_changed(&comparing->changed[--comparing->n_kept]);
    }
    memmove(comparing->changed + place + 1, comparing->changed + place,
            (size_t)(comparing->n_kept - place) * sizeof made);
    comparing->changed[place] = made;
    comparing->n_kept++;
    return LIMN_OK;
}

static limn_status take_label(const Comparing *comparing, const FirstDecision *a, const Decision *b, int32_t label,
                              Pair *pair) {
    if (a->label >= 0 && label >= 0 && a->label != label) {
        return fail(
            LIMN_USAGE,
            "%s: line %lld: the label of '%.60s' is '%.40s', in line %lld of %s '%.40s'; expected the same data",
            comparing->params->b.bytes, (long long)b->line, b->id.bytes, b->label.bytes, (long long)a->line,
            comparing->params->a.bytes, comparing->choices.names[a->label].bytes);
    }
    pair->label = a->label >= 0 ? a->label : label;
    return LIMN_OK;
}

static limn_status add_pair(Comparing *comparing, First *first, const Decision *b) {
    MethodCall *call = comparing->call;
    uint64_t at;
    comparing->skipped[1] += b->skipped;
    if (!map_get(&first->ids, b->id.bytes, b->id.length, &at)) {
        comparing->only[1]++;
        return LIMN_OK;
    }
    FirstDecision *a = &first->items[at];
    if (a->paired > 0) {
        return twice(comparing->params->b.bytes, b, a->paired);
    }
    a->paired = b->line;
    if (a->pred < 0 || b->skipped) {
        return LIMN_OK;
    }
    if (comparing->n == comparing->capacity) {
        void *items = comparing->pairs;
        TRY(grow(call, &items, &comparing->capacity, sizeof *comparing->pairs));
        comparing->pairs = items;
    }
    Pair *pair = &comparing->pairs[comparing->n];
    *pair = (Pair){.a = a->pred, .loss = {a->log_loss, b->log_loss}, .brier = {a->brier, b->brier}};
    int32_t label;
    TRY(place_of(&comparing->choices, call, b->pred, "choices", &pair->b));
    TRY(place_of(&comparing->choices, call, b->label, "choices", &label));
    TRY(place_of(&comparing->groups, call, b->group, "groups", &pair->group));
    TRY(take_label(comparing, a, b, label, pair));
    pair->group = a->group >= 0 ? a->group : pair->group;
    comparing->labelled += pair->label >= 0;
    comparing->other_data += a->hash.bytes != NULL && b->hash.bytes != NULL && !same_text(a->hash, b->hash);
    if (pair->a != pair->b) {
        TRY(keep_changed(comparing, pair, a, b));
    }
    comparing->n++;
    return LIMN_OK;
}

static limn_status read_second(Comparing *comparing, First *first) {
    DecisionReader *reader;
    const Progress *progress = comparing->call->progress;
    TRY(decision_reader_open(&reader, comparing->params->b.bytes, progress));
    limn_status status;
    Decision decision;
    bool there = true;
    for (int64_t n = 1; (status = decision_reader_next(reader, &decision, &there)) == LIMN_OK && there; n++) {
        status = add_pair(comparing, first, &decision);
        if (status == LIMN_OK && n % 4096 == 0) {
            status = progress_tick(progress, "pair", n, first->n);
        }
        if (status != LIMN_OK) {
            break;
        }
    }
    decision_reader_close(reader);
    return status;
}

static limn_status read_pairs(Comparing *comparing) {
    First first = {.n = 0};
    arena_init(&first.arena);
    map_init(&first.ids);
    limn_status status = read_first(comparing, &first);
    if (status == LIMN_OK) {
        status = read_second(comparing, &first);
    }
    for (int64_t i = 0; i < first.n; i++) {
        comparing->only[0] += first.items[i].paired == 0;
    }
    map_free(&first.ids);
    arena_free(&first.arena);
    free(first.items);
    TRY(status);
    return comparing->n > 0 ? LIMN_OK
                            : fail(LIMN_USAGE, "%s and %s have no decided record in common, expected the same ids",
                                   comparing->params->a.bytes, comparing->params->b.bytes);
}

/* ---- measures ---- */

/* What `of` is true of by one decision alone. */
static void count_paired(PairedMeasure *measured, int64_t both) {
    int64_t n = measured->n;
    measured->a = n > 0 ? (double)(both + measured->only_a) / (double)n : (double)NAN;
    measured->b = n > 0 ? (double)(both + measured->only_b) / (double)n : (double)NAN;
    measured->difference = paired_difference(measured->only_b, measured->only_a, n, 0.95);
    measured->p = n > 0 ? mcnemar_exact(measured->only_a, measured->only_b) : (double)NAN;
}

/* accuracy: choice -1. */
static void measure_share(PairedMeasure *measured, const Comparing *comparing, int32_t choice, int32_t group) {
    int64_t both = 0;
    *measured = (PairedMeasure){0};
    for (int64_t i = 0; i < comparing->n; i++) {
        const Pair *pair = &comparing->pairs[i];
        int32_t wanted = choice >= 0 ? choice : pair->label;
        if (wanted < 0 || (group >= 0 && pair->group != group)) {
            continue;
        }
        bool a = pair->a == wanted, b = pair->b == wanted;
        measured->n++;
        both += a && b;
        measured->only_a += a && !b;
        measured->only_b += b && !a;
    }
    count_paired(measured, both);
}

static limn_status measure_mean(PairedMeasure *measured, const Comparing *comparing, bool brier, int32_t group) {
    double *differences = malloc(((size_t)comparing->n + 1) * sizeof *differences);
    *measured = (PairedMeasure){.only_a = -1, .only_b = -1};
    if (differences == NULL) {
        return method_no_memory(comparing->call);
    }
    for (int64_t i = 0; i < comparing->n; i++) {
        const Pair *pair = &comparing->pairs[i];
        const double *values = brier ? pair->brier : pair->loss;
        if ((group < 0 || pair->group == group) && isfinite(values[0]) && isfinite(values[1])) {
            measured->a += values[0];
            measured->b += values[1];
            differences[measured->n++] = values[1] - values[0];
        }
    }
    measured->a /= (double)measured->n;
    measured->b /= (double)measured->n;
    limn_status status = LIMN_OK;
    measured->difference = (Interval){measured->b - measured->a, (double)NAN, (double)NAN};
    measured->p = mean_p(differences, measured->n);
    if (measured->n > 1) {
        status =
            bootstrap_interval(&measured->difference, differences, measured->n, 0.95, BOOTSTRAP_BCA, REPLICATES, 0);
    }
    free(differences);
    return status;
}

static void measure_changed(PairedMeasure *measured, const Comparing *comparing, int32_t group) {
    int64_t changed = 0;
    *measured = (PairedMeasure){.a = (double)NAN, .b = (double)NAN, .p = (double)NAN, .only_a = -1, .only_b = -1};
    for (int64_t i = 0; i < comparing->n; i++) {
        if (group < 0 || comparing->pairs[i].group == group) {
            measured->n++;
            changed += comparing->pairs[i].a != comparing->pairs[i].b;
        }
    }
    measured->difference = wilson_interval(changed, measured->n);
}

limn_status compare_measure(PairedMeasure *measured, const Comparing *comparing, CompareMeasure measure, int32_t choice,
                            int32_t group) {
    switch (measure) {
    case COMPARE_ACCURACY:
        measure_share(measured, comparing, -1, group);
        return LIMN_OK;
    case COMPARE_SHARE:
        measure_share(measured, comparing, choice, group);
        return LIMN_OK;
    case COMPARE_CHANGED:
        measure_changed(measured, comparing, group);
        return LIMN_OK;
    default:
        return measure_mean(measured, comparing, measure == COMPARE_BRIER, group);
    }
}

/* ---- the command ---- */

static limn_status record_hash(Result *result, const MethodCall *call, const char *name, const char *path) {
    char hex[65];
    HashFile file = {.path = path, .name = "decisions"};
    TRY(hash_files(hex, &file, 1, false, call->team));
    result_param_text(result, name, hex);
    return LIMN_OK;
}

static limn_status run(MethodCall *call, Result *result) {
    const CompareParams *params = call->params;
    call->common.language = params->language;
    Comparing comparing = {.call = call,
                           .params = params,
                           .result = result,
                           .choices = {.most = COMPARE_CHOICES_MAX},
                           .groups = {.most = COMPARE_GROUPS_MAX}};
    const char *names[] = {path_base(params->a.bytes), path_base(params->b.bytes)};
    bool alike = strcmp(names[0], names[1]) == 0;
    comparing.names[0] = alike ? params->a.bytes : names[0];
    comparing.names[1] = alike ? params->b.bytes : names[1];
    map_init(&comparing.choices.places);
    map_init(&comparing.groups.places);
    comparing.changed = ARENA_ARRAY(call->arena, Changed, params->top + 1);
    limn_status status = comparing.changed != NULL ? compare_read_limits(&comparing) : method_no_memory(call);
    status = status == LIMN_OK ? read_pairs(&comparing) : status;
    status = status == LIMN_OK ? compare_check_limits(&comparing) : status;
    status = status == LIMN_OK ? record_hash(result, call, "a-hash", params->a.bytes) : status;
    status = status == LIMN_OK ? record_hash(result, call, "b-hash", params->b.bytes) : status;
    status = status == LIMN_OK ? compare_report(&comparing) : status;
    map_free(&comparing.choices.places);
    map_free(&comparing.groups.places);
    for (int32_t i = 0; i < comparing.n_kept; i++) {
        free_changed(&comparing.changed[i]);
    }
    free(comparing.pairs);
    return status;
}

static const limn_param rows[] = {
    {"a", 0, LIMN_PARAM_FILE, .positional = true, .required = true, .metavar = "A.jsonl",
     .help = "decisions, as `limn predict --decisions` writes them", .field = offsetof(CompareParams, a)},
    {"b", 0, LIMN_PARAM_FILE, .positional = true, .required = true, .metavar = "B.jsonl",
     .help = "other decisions on the same records", .field = offsetof(CompareParams, b)},
    LIMIT_ROWS(CompareParams, limits),
    {"top", 'n', LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "20", .minimum = 1, .maximum = 1000000,
     .help = "list N records whose decision changed, those that became wrong first",
     .field = offsetof(CompareParams, top)},
    {"language", 0, LIMN_PARAM_CHOICE, .metavar = "LANGUAGE", .default_text = "en", .choices = "en|zh",
     .help = "language of the texts in the answer", .field = offsetof(CompareParams, language)},
};

const Method method_compare_decisions = {
    .command = {.name = "compare decisions",
                .summary = "two sets of decisions on the same records: is it better",
                .description =
                    "Pairs the records of two files of decisions by id and says how B differs from A: accuracy with "
                    "Tango's interval of a paired difference and McNemar's exact test, every choice's share, log-loss "
                    "and Brier score, of all records and of each group, and the records whose decision changed. Limits "
                    "are on the differences, B less A: --at-least accuracy=-0.01 asks that B is at most a point worse "
                    "(also share:CHOICE, log-loss, brier; `changed` is the share of decisions that changed).",
                .examples = "limn predict MODEL d.jsonl --prompt-field text --choices ' yes',' no' --label-field y "
                            "--decisions a.jsonl\n"
                            "limn predict MODEL d.jsonl --adapter DIR --prompt-field text --choices ' yes',' no' "
                            "--label-field y --decisions b.jsonl\n"
                            "limn compare decisions a.jsonl b.jsonl --at-least accuracy=-0.01 -o compared.html",
                .params = rows,
                .n_params = sizeof rows / sizeof rows[0],
                .from_record = true},
    .title = "Comparison of decisions",
    .params_bytes = sizeof(CompareParams),
    .run = run,
    .explains = true,
};
