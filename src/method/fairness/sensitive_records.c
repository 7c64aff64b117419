/* The records of a data set, some at a time: words of the lists are found, versions made and scored, all in the order
 * of the data. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "method/fairness/sensitive.h"

enum { WINDOW = 32 };

void *sensitive_push(void **items, int32_t *n, int32_t *most, size_t size, Arena *arena) {
    if (*n == *most) {
        int32_t more = *most == 0 ? 64 : 2 * *most;
        void *grown = arena_zalloc(arena, (size_t)more * size);
        if (grown == NULL) {
            return NULL;
        }
        if (*n > 0) {
            memcpy(grown, *items, (size_t)*n * size);
        }
        *items = grown;
        *most = more;
    }
    return (char *)*items + (size_t)(*n)++ * size;
}

/* ---- what is asked of the model ---- */

/* A text to be scored, and where its figures go. */
typedef struct Ask {
    Text prompt;
    double *lead;
    int32_t *decided; /* NULL: nowhere */
    int32_t item;     /* of the window */
    bool own;         /* the record as it is */
} Ask;

typedef struct Window {
    Arena arena;
    DataItem *items;           /* [n] */
    int32_t *labels;           /* [n] */
    ProtectedMatches *matches; /* [n] */
    double *leads;             /* [n] of the records as they are; NaN: not known */
    int32_t *decided;          /* [n] -1: not known */
    int32_t *against;          /* [n] the best other choice than the target; -1: not known */
    int32_t n;
    Ask *asks; /* [n_asks] */
    int32_t n_asks, asks_most;
    int32_t first_case; /* of the work's */
    ErrorState stopped; /* the record behind the last one ends the run */
} Window;

static limn_status add_ask(Window *window, Ask ask) {
    Ask *made = sensitive_push((void **)&window->asks, &window->n_asks, &window->asks_most, sizeof ask, &window->arena);
    if (made == NULL) {
        return fail(LIMN_NO_MEMORY, "no memory for a version of a record");
    }
    *made = ask;
    return LIMN_OK;
}

/* ---- versions ---- */

/* The distinct words of the category in the text. */
static limn_status keep_words(Sensitive *work, SwapCase *made, const ProtectedMatches *matches) {
    made->words = ARENA_ARRAY(work->call->arena, int32_t, matches->n + 1);
    if (made->words == NULL) {
        return method_no_memory(work->call);
    }
    for (int32_t i = 0; i < matches->n; i++) {
        int32_t word = matches->items[i].word, k = 0;
        while (k < made->n_words && made->words[k] != word) {
            k++;
        }
        if (k == made->n_words && protected_category(&work->lists, word) == made->category) {
            made->words[made->n_words++] = word;
        }
    }
    return LIMN_OK;
}

static limn_status ask_sides(Sensitive *work, Window *window, int32_t item, const SwapCase *made) {
    const ProtectedMatches *matches = &window->matches[item];
    Text own = window->items[item].prompt;
    for (int32_t s = 0; s < sensitive_category(work, made->category)->n_sides; s++) {
        Text version;
        bool there;
        if (s == made->side) {
            continue; /* the record as it is */
        }
        TRY(swap_to_side(&version, &there, &work->lists, own, matches, made->category, s, made->draw, &window->arena));
        if (there) {
            TRY(add_ask(window, (Ask){version, &made->leads[s], &made->decided[s], item, false}));
        }
    }
    return LIMN_OK;
}

static limn_status ask_ordinary(Sensitive *work, Window *window, int32_t item, SwapCase *made) {
    int32_t n = (int32_t)work->params->ordinary;
    if (n == 0 || work->taken[made->category] == SENSITIVE_ORDINARY_RECORDS) {
        return LIMN_OK;
    }
    work->taken[made->category]++;
    made->ordinary = ARENA_ARRAY(work->call->arena, double, n);
    if (made->ordinary == NULL) {
        return method_no_memory(work->call);
    }
    for (int32_t k = 0; k < n; k++) {
        Text version;
        bool there;
        made->ordinary[k] = (double)NAN;
        TRY(swap_to_ordinary(&version, &there, work->ordinary, &work->lists, window->items[item].prompt,
                             &window->matches[item], made->category, k, &window->arena));
        if (there) {
            TRY(add_ask(window, (Ask){version, &made->ordinary[k], NULL, item, false}));
        }
    }
    return LIMN_OK;
}

static limn_status add_case(Sensitive *work, Window *window, int32_t item, int32_t category, int32_t side) {
    SwapCase *made =
        sensitive_push((void **)&work->cases, &work->n_cases, &work->cases_most, sizeof *made, work->call->arena);
    int32_t n_sides = sensitive_category(work, category)->n_sides;
    if (made == NULL) {
        return method_no_memory(work->call);
    }
    *made = (SwapCase){.record = work->touched,
                       .item = item,
                       .category = category,
                       .side = side,
                       .draw = (uint64_t)work->call->common.seed * 1000003U + (uint64_t)window->items[item].number,
                       .leads = ARENA_ARRAY(work->call->arena, double, n_sides),
                       .decided = ARENA_ARRAY(work->call->arena, int32_t, n_sides)};
    if (made->leads == NULL || made->decided == NULL) {
        return method_no_memory(work->call);
    }
    for (int32_t s = 0; s < n_sides; s++) {
        made->leads[s] = (double)NAN;
        made->decided[s] = -1;
    }
    TRY(keep_words(work, made, &window->matches[item]));
    TRY(ask_sides(work, window, item, made));
    return ask_ordinary(work, window, item, made);
}

/* All versions of one record. */
static limn_status plan_item(Sensitive *work, Window *window, int32_t item) {
    TRY(protected_find(&window->matches[item], &work->lists, window->items[item].prompt, &window->arena));
    bool any = false;
    for (int32_t c = 0; c < work->lists.n_categories; c++) {
        int32_t n;
        int32_t side = swap_side(&window->matches[item], &work->lists, c, &n);
        work->mixed[c] += n > 0 && side < 0;
        if (side >= 0) {
            TRY(add_case(work, window, item, c, side));
            any = true;
        }
    }
    work->touched += any;
    window->leads[item] = (double)NAN;
    window->decided[item] = window->against[item] = -1;
    return window->matches[item].n > 0 || work->params->data.group_field.bytes != NULL
               ? add_ask(window,
                         (Ask){window->items[item].prompt, &window->leads[item], &window->decided[item], item, true})
               : LIMN_OK;
}

/* ---- reading ---- */

static limn_status make_window(const Sensitive *work, Window *window) {
    arena_reset(&window->arena);
    window->n = window->n_asks = window->asks_most = 0;
    window->stopped.status = LIMN_OK;
    window->first_case = work->n_cases;
    window->items = ARENA_ARRAY(&window->arena, DataItem, WINDOW);
    window->labels = ARENA_ARRAY(&window->arena, int32_t, WINDOW);
    window->matches = ARENA_ARRAY(&window->arena, ProtectedMatches, WINDOW);
    window->leads = ARENA_ARRAY(&window->arena, double, WINDOW);
    window->decided = ARENA_ARRAY(&window->arena, int32_t, WINDOW);
    window->against = ARENA_ARRAY(&window->arena, int32_t, WINDOW);
    bool made = window->items != NULL && window->labels != NULL && window->matches != NULL && window->leads != NULL &&
                window->decided != NULL && window->against != NULL;
    return made ? LIMN_OK : method_no_memory(work->call);
}

/* *there false: no more, or none that the run goes on with. *use false: the record was skipped. */
static limn_status read_item(Sensitive *work, Window *window, bool *there, bool *use) {
    DataItem *item = &window->items[window->n];
    limn_status status = data_source_next(work->source, item, &window->arena, there);
    if (status == LIMN_OK && *there) {
        status = choice_names_find(&window->labels[window->n], &work->names, data_source_path(work->source), item);
    }
    *use = status == LIMN_OK && *there;
    if (status == LIMN_OK || !*there || !status_is_of_input(status)) {
        return status;
    }
    if (data_source_skips(work->source)) {
        return data_source_skip(work->source, item, error_message());
    }
    error_save(&window->stopped);
    *there = false;
    return LIMN_OK;
}

static limn_status read_window(Sensitive *work, Window *window, bool *more) {
    TRY(make_window(work, window));
    *more = true;
    while (window->n < WINDOW && *more) {
        bool use;
        TRY(read_item(work, window, more, &use));
        if (use) {
            work->records++;
            TRY(plan_item(work, window, window->n++));
        }
    }
    return LIMN_OK;
}

/* ---- scoring ---- */

static int32_t best_of(const double *logs, int32_t n, int32_t but) {
    int32_t best = -1;
    for (int32_t c = 0; c < n; c++) {
        best = c != but && (best < 0 || logs[c] > logs[best]) ? c : best;
    }
    return best;
}

static bool all_finite(const double *logs, int32_t n) {
    for (int32_t c = 0; c < n; c++) {
        if (!isfinite(logs[c])) {
            return false;
        }
    }
    return true;
}

static limn_status find_group(Sensitive *work, Text name, SensitiveGroup **group) {
    for (int32_t i = 0; i < work->n_groups; i++) {
        if (same_text(work->groups[i].name, name)) {
            *group = &work->groups[i];
            return LIMN_OK;
        }
    }
    if (work->n_groups == SENSITIVE_GROUPS) {
        return fail(LIMN_USAGE, "sensitive: --groups: more than %d groups; expected a field of few values",
                    SENSITIVE_GROUPS);
    }
    *group = &work->groups[work->n_groups];
    TRY(copy_text_in(&(*group)->name, work->call, name));
    TRY(metrics_init(&(*group)->metrics, work->names.n, (uint64_t)work->call->common.seed, false));
    work->n_groups++;
    return LIMN_OK;
}

/* The record as it is counts for its group. */
static limn_status count_own(Sensitive *work, const Window *window, int32_t item, const double *logs) {
    int32_t n = work->names.n, label = window->labels[item], choice = best_of(logs, n, -1);
    Text name = window->items[item].group;
    if (name.bytes == NULL) {
        return LIMN_OK;
    }
    SensitiveGroup *group;
    TRY(find_group(work, name, &group));
    double *probabilities = calloc((size_t)n + 1, sizeof *probabilities);
    if (probabilities == NULL) {
        return method_no_memory(work->call);
    }
    probabilities[choice] = 1; /* rates are of decisions, however sure */
    metrics_add(&group->metrics, label, choice, probabilities, (double)NAN);
    free(probabilities);
    return LIMN_OK;
}

static limn_status take(Sensitive *work, Window *window, const Ask *ask, const double *logs, bool good) {
    int32_t n = work->names.n;
    if (!good) {
        return LIMN_OK;
    }
    int32_t against = best_of(logs, n, work->target);
    *ask->lead = logs[work->target] - logs[against];
    if (ask->decided != NULL) {
        *ask->decided = best_of(logs, n, -1);
    }
    if (ask->own) {
        window->against[ask->item] = against;
        work->unlabelled += window->labels[ask->item] < 0;
        return count_own(work, window, ask->item, logs);
    }
    return LIMN_OK;
}

static limn_status take_all(Sensitive *work, Window *window, const ChoiceOutcome *outcomes, const double *logs) {
    int32_t n = work->names.n;
    for (int32_t i = 0; i < window->n_asks; i++) {
        const Ask *ask = &window->asks[i];
        const DataItem *item = &window->items[ask->item];
        bool good = outcomes[i].status == LIMN_OK && all_finite(logs + (size_t)i * (size_t)n, n);
        if (outcomes[i].status != LIMN_OK && ask->own) {
            if (!data_source_skips(work->source)) {
                return fail(outcomes[i].status, "%s: line %lld: %s", data_source_path(work->source),
                            (long long)item->line, outcomes[i].message);
            }
            TRY(data_source_skip(work->source, item, outcomes[i].message));
        }
        work->not_finite += outcomes[i].status == LIMN_OK && !good;
        TRY(take(work, window, ask, logs + (size_t)i * (size_t)n, good));
    }
    return LIMN_OK;
}

/* The window's last version once more, by itself: batches, the shared beginning and caches must not show. */
static limn_status recheck(Sensitive *work, const Window *window, const ChoiceOptions *options) {
    const Ask *ask = NULL;
    for (int32_t i = 0; i < window->n_asks; i++) {
        const Ask *one = &window->asks[i];
        ask = !one->own && one->decided != NULL && !isnan(*one->lead) ? one : ask;
    }
    if (ask == NULL || !isnan(work->recheck)) {
        return LIMN_OK;
    }
    ChoiceOptions alone = *options;
    alone.plain = true;
    ChoiceScorer *plain;
    ChoiceOutcome outcome;
    double *logs = ARENA_ARRAY(work->call->arena, double, work->names.n);
    if (logs == NULL) {
        return method_no_memory(work->call);
    }
    TRY(choice_scorer_new(&plain, work->call, work->engine, &alone));
    limn_status status = choice_scorer_run(plain, &ask->prompt, 1, logs, &outcome, NULL);
    choice_scorer_free(plain);
    TRY(status);
    double lead = logs[work->target] - logs[best_of(logs, work->names.n, work->target)];
    work->recheck = outcome.status == LIMN_OK ? fabs(lead - *ask->lead) : (double)INFINITY;
    return LIMN_OK;
}

static bool quiet_tick(void *context, const char *stage, int64_t done, int64_t total) {
    (void)stage;
    (void)done;
    (void)total;
    const Progress *outer = context; /* may end the work; how far it is, the windows say */
    return outer->tick == NULL || outer->tick(outer->context, "sensitive", 0, 0);
}

static limn_status score(Sensitive *work, Window *window) {
    size_t n = (size_t)window->n_asks, width = (size_t)work->names.n;
    Text *prompts = ARENA_ARRAY(&window->arena, Text, n + 1);
    double *logs = ARENA_ARRAY(&window->arena, double, n *width + 1);
    ChoiceOutcome *outcomes = ARENA_ARRAY(&window->arena, ChoiceOutcome, n + 1);
    if (prompts == NULL || logs == NULL || outcomes == NULL) {
        return method_no_memory(work->call);
    }
    for (size_t i = 0; i < n; i++) {
        prompts[i] = window->asks[i].prompt;
    }
    if (n == 0) {
        return LIMN_OK;
    }
    Progress progress = {quiet_tick, (void *)(uintptr_t)work->call->progress};
    TRY(choice_scorer_run(work->scorer, prompts, (int32_t)n, logs, outcomes, &progress));
    return take_all(work, window, outcomes, logs);
}

/* ---- turned decisions ---- */

static void free_turned(TurnedCase *turned) {
    free((char *)(uintptr_t)turned->id.bytes);
    free((char *)(uintptr_t)turned->prompt.bytes);
    *turned = (TurnedCase){0};
}

void sensitive_forget_turned(Sensitive *work) {
    for (int32_t i = 0; i < work->n_turned; i++) {
        free_turned(&work->turned[i]);
    }
    work->n_turned = 0;
}

static limn_status keep_turned(Sensitive *work, const DataItem *item, TurnedCase made) {
    int32_t place = work->n_turned;
    while (place > 0 && work->turned[place - 1].moved < made.moved) {
        place--;
    }
    if (place == SENSITIVE_TURNED) {
        return LIMN_OK;
    }
    made.id = (Text){strndup(item->id.bytes, item->id.length), item->id.length};
    made.prompt = (Text){strndup(item->prompt.bytes, item->prompt.length), item->prompt.length};
    if (made.id.bytes == NULL || made.prompt.bytes == NULL) {
        free_turned(&made);
        return method_no_memory(work->call);
    }
    if (work->n_turned == SENSITIVE_TURNED) {
        free_turned(&work->turned[--work->n_turned]);
    }
    memmove(work->turned + place + 1, work->turned + place, (size_t)(work->n_turned - place) * sizeof made);
    work->turned[place] = made;
    work->n_turned++;
    return LIMN_OK;
}

static limn_status look_for_turned(Sensitive *work, const DataItem *item, const SwapCase *one) {
    for (int32_t s = 0; s < sensitive_category(work, one->category)->n_sides; s++) {
        int32_t before = one->decided[one->side], after = one->decided[s];
        if (s == one->side || before < 0 || after < 0 || before == after) {
            continue;
        }
        int32_t other = swap_counterpart(&work->lists, one->words[0], s, one->draw);
        TurnedCase turned = {.moved = fabs(one->leads[s] - one->leads[one->side]),
                             .word = one->words[0],
                             .other = other,
                             .before = before,
                             .after = after,
                             .lead_before = one->leads[one->side],
                             .lead_after = one->leads[s]};
        TRY(keep_turned(work, item, turned));
    }
    return LIMN_OK;
}

/* ---- windows ---- */

static limn_status explain(Sensitive *work, Window *window) {
    for (int32_t i = 0; i < window->n && work->method != NULL; i++) {
        if (window->matches[i].n > 0 && window->against[i] >= 0) {
            Arena arena; /* what a method makes of one record goes with it */
            arena_init(&arena);
            limn_status status =
                sensitive_share(work, &window->items[i], &window->matches[i], window->against[i], &arena);
            arena_free(&arena);
            TRY(status);
        }
    }
    return LIMN_OK;
}

static limn_status answer_window(Sensitive *work, Window *window, const ChoiceOptions *options) {
    TRY(score(work, window));
    TRY(recheck(work, window, options));
    for (int32_t i = window->first_case; i < work->n_cases; i++) {
        SwapCase *one = &work->cases[i];
        one->leads[one->side] = window->leads[one->item];
        one->decided[one->side] = window->decided[one->item];
        TRY(look_for_turned(work, &window->items[one->item], one));
    }
    TRY(explain(work, window));
    const DataItem *last = window->n > 0 ? &window->items[window->n - 1] : NULL;
    TRY(last != NULL ? progress_tick(work->call->progress, "sensitive", last->done, last->total) : LIMN_OK);
    return window->stopped.status == LIMN_OK ? LIMN_OK : error_restore(&window->stopped);
}

limn_status sensitive_records(Sensitive *work) {
    const ChoiceOptions options = {.texts = work->names.choices,
                                   .n = work->names.n,
                                   .encode = data_source_encode_options(work->source, work->call)};
    TRY(choice_scorer_new(&work->scorer, work->call, work->engine, &options));
    Window window;
    arena_init(&window.arena);
    limn_status status;
    bool more = true;
    do {
        status = read_window(work, &window, &more);
        status = status == LIMN_OK ? answer_window(work, &window, &options) : status;
    } while (status == LIMN_OK && more);
    arena_free(&window.arena);
    return status;
}
