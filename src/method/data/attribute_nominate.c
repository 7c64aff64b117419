/* Who is suspected: in the half of the records that nominates, those for which the filter holds are asked, by a cheap
 * method that scores tokens, on which words the decision depends rather than the right answer (without a label: the
 * next best one). A suspect's weight is the sum of the sizes of its scores in these records, each record's divided by
 * its largest, over the square root of how many records hold it at all: what the answer leans on where it is wrong, and
 * what is found there more often than elsewhere. Sizes, since a gradient's sign compares with an embedding of zero,
 * which means nothing: of a word that misleads it is as often negative. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "method/data/attribute.h"

double attribute_share_log(const double *logs, int32_t n, int32_t label) {
    double largest = -INFINITY, sum = 0;
    for (int32_t c = 0; c < n; c++) {
        largest = fmax(largest, logs[c]);
    }
    for (int32_t c = 0; c < n; c++) {
        sum += exp(logs[c] - largest);
    }
    return logs[label] - largest - log(sum);
}

int32_t attribute_likeliest(const double *logs, int32_t n) {
    int32_t best = 0;
    for (int32_t c = 1; c < n; c++) {
        best = logs[c] > logs[best] ? c : best;
    }
    return best;
}

/* ---- one record ---- */

typedef struct Nominee {
    RecordView view;
    Arena arena;
    MethodCall call;
    int32_t label;
    bool *holds;  /* [C] were the decision this one, it would nominate */
    double *logs; /* [C] */
    bool known;   /* the log had it */
    bool useless; /* ... and that it cannot be used */
} Nominee;

static int32_t runner_up(const double *logs, int32_t n, int32_t best) {
    int32_t next = best == 0 ? 1 : 0;
    for (int32_t c = 0; c < n; c++) {
        next = c != best && logs[c] > logs[next] ? c : next;
    }
    return next;
}

/* Scores of the view's words for `pred` and against `rival`, by the method that nominates. scores: [units.n] */
static limn_status score_words(double *scores, Attributor *attributor, Nominee *nominee, int32_t pred, int32_t rival) {
    MethodCall *call = &nominee->call;
    const ChoiceNames *names = &attributor->names;
    bool classes = attributor->model->config.task == TASK_CLASSIFIER;
    TargetParams asked = {.target_id = PARAM_NO_INTEGER};
    if (classes) {
        asked.class_name = names->names[pred];
    } else {
        asked.target = names->choices[pred];
        asked.contrast = names->choices[rival];
    }
    Target target, contrast;
    TRY(target_build(&target, call, attributor->model, &nominee->view.prompt, &asked, NULL));
    TRY(target_build_contrast(&contrast, &target, call, attributor->model, &nominee->view.prompt, &asked));
    const TokenQuestion question = {.engine = attributor->engine,
                                    .prompt = &nominee->view.prompt,
                                    .target = &target,
                                    .contrast = &contrast,
                                    .params = attributor->scorer.params,
                                    .seed = attributor->call->common.seed};
    TokenScores found;
    TRY(token_scores(&found, call, attributor->scorer.method, &question));
    double largest = 0;
    for (int32_t u = 0; u < nominee->view.units.n; u++) {
        const Unit *unit = &nominee->view.units.items[u];
        scores[u] = token_scores_sum(&found, unit->begin, unit->end);
        largest = !unit->fixed && fabs(scores[u]) > largest ? fabs(scores[u]) : largest;
    }
    for (int32_t u = 0; u < nominee->view.units.n; u++) {
        scores[u] = largest > 0 && !isnan(scores[u]) ? scores[u] / largest : 0.0;
    }
    return LIMN_OK;
}

static void take_score(Suspect *suspect, double score) {
    suspect->sum += fabs(score);
    suspect->scored++;
}

static limn_status write_line(Attributor *attributor, const Nominee *nominee, const double *scores) {
    if (attributor->log == NULL) {
        return LIMN_OK;
    }
    JsonWriter writer;
    const RecordView *view = &nominee->view;
    record_log_begin(attributor->log, &writer, &view->item);
    writer_numbers_field(&writer, "log_probabilities", nominee->logs, attributor->names.n);
    if (scores != NULL) {
        writer_key(&writer, "scores");
        writer_begin(&writer, '{', true);
        for (int32_t k = 0; k < view->n_keys; k++) {
            writer_key(&writer, view->keys[k].key.bytes);
            writer_number(&writer, scores[k]);
        }
        writer_end(&writer, '}');
    }
    return record_log_end(attributor->log, &writer, &view->item);
}

/* Of no use, and a run that goes on must know so. */
static limn_status give_up(Attributor *attributor, const Nominee *nominee, limn_status status, const char *why) {
    TRY(attribute_give_up(attributor, &nominee->view.item, status, why));
    return nominee->known ? LIMN_OK : attribute_log_error(attributor, &nominee->view.item, why);
}

static limn_status nominate(Attributor *attributor, Nominee *nominee, const double *scores) {
    for (int32_t k = 0; k < nominee->view.n_keys; k++) {
        Suspect *suspect = suspects_find(&attributor->suspects, nominee->view.keys[k].key);
        if (suspect != NULL) {
            take_score(suspect, scores[k]);
        }
    }
    return LIMN_OK;
}

static limn_status key_scores(double *scores, Attributor *attributor, Nominee *nominee, int32_t pred) {
    const RecordView *view = &nominee->view;
    int32_t rival = nominee->label >= 0 && nominee->label != pred ? nominee->label
                                                                  : runner_up(nominee->logs, attributor->names.n, pred);
    double *of_units = ARENA_ARRAY(nominee->call.arena, double, view->units.n + 1);
    if (of_units == NULL) {
        return method_no_memory(attributor->call);
    }
    TRY(score_words(of_units, attributor, nominee, pred, rival));
    for (int32_t k = 0; k < view->n_keys; k++) {
        scores[k] = 0;
        for (int32_t i = 0; i < view->keys[k].n; i++) {
            scores[k] += of_units[view->keys[k].units[i]];
        }
    }
    return LIMN_OK;
}

static limn_status ask(Attributor *attributor, Nominee *nominee) {
    const RecordView *view = &nominee->view;
    int32_t pred = attribute_likeliest(nominee->logs, attributor->names.n);
    attributor->decided[0]++;
    attributor->wrong[0] += nominee->label >= 0 && nominee->label != pred ? 1 : 0;
    bool asked = nominee->holds[pred];
    attributor->matched += asked ? 1 : 0;
    if (nominee->known) {
        attributor->resumed++;
        return LIMN_OK; /* its scores are taken */
    }
    double *scores = ARENA_ARRAY(nominee->call.arena, double, view->n_keys + 1);
    if (scores == NULL) {
        return method_no_memory(attributor->call);
    }
    if (asked) {
        limn_status status = key_scores(scores, attributor, nominee, pred);
        if (status != LIMN_OK) {
            return status_is_of_input(status) ? give_up(attributor, nominee, status, error_message()) : status;
        }
        TRY(nominate(attributor, nominee, scores));
    }
    return write_line(attributor, nominee, asked ? scores : NULL);
}

/* ---- what the log has ---- */

static limn_status read_line(Attributor *attributor, Nominee *nominee) {
    const Record *line = NULL;
    if (attributor->log != NULL) {
        TRY(record_log_next(attributor->log, &nominee->view.item, &line));
    }
    if (line == NULL) {
        return LIMN_OK;
    }
    nominee->known = true;
    const char *why = json_string_value(json_object_get(line->object, "error"));
    if (why != NULL) {
        nominee->useless = true;
        return attribute_give_up(attributor, &nominee->view.item, LIMN_USAGE, why);
    }
    const json_t *logs = json_object_get(line->object, "log_probabilities");
    if (json_array_size(logs) != (size_t)attributor->names.n) {
        return record_log_refuse(attributor->log, line, "lacks the log-probabilities of the choices");
    }
    for (int32_t c = 0; c < attributor->names.n; c++) {
        nominee->logs[c] = json_number_value(json_array_get(logs, (size_t)c));
    }
    const json_t *scores = json_object_get(line->object, "scores");
    if ((scores != NULL) != nominee->holds[attribute_likeliest(nominee->logs, attributor->names.n)]) {
        return record_log_refuse(attributor->log, line, "was made with another --where");
    }
    for (int32_t k = 0; k < nominee->view.n_keys && scores != NULL; k++) {
        const RecordKey *key = &nominee->view.keys[k];
        Suspect *suspect = suspects_find(&attributor->suspects, key->key);
        const json_t *score = json_object_getn(scores, key->key.bytes, key->key.length);
        if (!json_is_number(score)) {
            return record_log_refuse(attributor->log, line, "lacks the score of a word");
        }
        if (suspect != NULL) {
            take_score(suspect, json_number_value(score));
        }
    }
    return LIMN_OK;
}

/* ---- windows ---- */

typedef struct NomineeWindow {
    Nominee items[ATTRIBUTE_WINDOW]; /* [n] */
    Text prompts[ATTRIBUTE_WINDOW];
    int32_t asked[ATTRIBUTE_WINDOW]; /* [n_asked] */
    ChoiceOutcome outcomes[ATTRIBUTE_WINDOW];
    int32_t n, n_asked;
    bool ended;
} NomineeWindow;

static limn_status read_one(Attributor *attributor, DataSource *source, Nominee *nominee, bool *there, bool *meant) {
    arena_reset(&nominee->arena);
    nominee->call = method_call_in(attributor->call, &nominee->arena);
    nominee->known = nominee->useless = false;
    TRY(attribute_next(&nominee->view, attributor, source, &nominee->call, false, there));
    *meant = false;
    if (!*there) {
        return LIMN_OK;
    }
    TRY(attribute_label(&nominee->label, attributor, &nominee->view.item));
    int32_t n = attributor->names.n;
    nominee->holds = ARENA_ARRAY(&nominee->arena, bool, n);
    nominee->logs = ARENA_ARRAY(&nominee->arena, double, n);
    if (nominee->holds == NULL || nominee->logs == NULL) {
        return method_no_memory(attributor->call);
    }
    *meant = attribute_nominates(attributor, &nominee->view.item) && (nominee->label >= 0 || !attributor->labelled);
    if (attributor->filter == NULL) {
        memset(nominee->holds, 1, (size_t)n);
    } else if (*meant) {
        TRY(decided_filter_test(attributor->filter, nominee->holds, source, attributor->names.names, n,
                                nominee->label));
    }
    return *meant ? read_line(attributor, nominee) : LIMN_OK;
}

static limn_status read_window(Attributor *attributor, DataSource *source, NomineeWindow *window) {
    window->n = window->n_asked = 0;
    while (window->n < ATTRIBUTE_WINDOW && !window->ended) {
        bool there, meant;
        Nominee *nominee = &window->items[window->n];
        TRY(read_one(attributor, source, nominee, &there, &meant));
        window->ended = !there;
        if (there && meant && !nominee->known) {
            window->prompts[window->n_asked] = nominee->view.item.prompt;
            window->asked[window->n_asked++] = window->n;
        }
        window->n += there && meant && !nominee->useless ? 1 : 0;
    }
    return LIMN_OK;
}

static limn_status decide(Attributor *attributor, NomineeWindow *window, bool *good) {
    int32_t n = attributor->names.n;
    double *logs = ARENA_ARRAY(&window->items[0].arena, double, (window->n_asked + 1) * n);
    if (logs == NULL) {
        return method_no_memory(attributor->call);
    }
    if (window->n_asked > 0) {
        const Progress quiet = {0};
        TRY(choice_scorer_run(attributor->choices, window->prompts, window->n_asked, logs, window->outcomes, &quiet));
    }
    for (int32_t i = 0; i < window->n_asked; i++) {
        Nominee *nominee = &window->items[window->asked[i]];
        const ChoiceOutcome *outcome = &window->outcomes[i];
        memcpy(nominee->logs, logs + i * n, (size_t)n * sizeof *logs);
        if (outcome->status != LIMN_OK) {
            good[window->asked[i]] = false;
            TRY(give_up(attributor, nominee, outcome->status, outcome->message));
        }
    }
    return LIMN_OK;
}

static limn_status work_window(Attributor *attributor, NomineeWindow *window) {
    bool good[ATTRIBUTE_WINDOW];
    memset(good, 1, sizeof good);
    TRY(decide(attributor, window, good));
    for (int32_t i = 0; i < window->n; i++) {
        if (good[i]) {
            TRY(ask(attributor, &window->items[i]));
        }
        TRY(attribute_tick(attributor, "nominate", &window->items[i].view.item));
    }
    return attributor->log != NULL ? record_log_flush(attributor->log) : LIMN_OK;
}

/* ---- who is tested ---- */

static double weight(const Suspect *suspect) {
    return suspect->sum / sqrt((double)suspect->count);
}

typedef struct Weighed {
    double weight;
    int32_t suspect;
} Weighed;

static int heavier(const void *left, const void *right) {
    const Weighed *a = left, *b = right;
    return a->weight != b->weight ? (a->weight > b->weight ? -1 : 1)
                                  : (a->suspect > b->suspect) - (a->suspect < b->suspect);
}

/* Places are few and tested always; of words, openings and endings those that weigh most. */
static limn_status choose(Attributor *attributor) {
    Suspects *suspects = &attributor->suspects;
    Weighed *order = ARENA_ARRAY(attributor->call->arena, Weighed, suspects->n + 1);
    attributor->tested = ARENA_ARRAY(attributor->call->arena, int32_t, suspects->n + 1);
    if (order == NULL || attributor->tested == NULL) {
        return method_no_memory(attributor->call);
    }
    int32_t n = 0;
    for (int32_t i = 0; i < suspects->n; i++) {
        const Suspect *one = &suspects->items[i];
        bool place = one->kind == PLACE_FIRST || one->kind == PLACE_LAST || one->kind == PLACE_FIELD;
        if (place) {
            attributor->tested[attributor->n_tested++] = i;
        } else if (!one->nested && one->scored > 0) {
            order[n++] = (Weighed){weight(one), i};
        }
    }
    qsort(order, (size_t)n, sizeof *order, heavier);
    for (int32_t i = 0; i < n && i < attributor->params->words; i++) {
        attributor->tested[attributor->n_tested++] = order[i].suspect;
    }
    for (int32_t i = 0; i < attributor->n_tested; i++) {
        Suspect *one = &suspects->items[attributor->tested[i]];
        one->place = i;
        one->weight = one->scored > 0 ? weight(one) : (double)NAN;
    }
    return LIMN_OK;
}

static limn_status check_matched(const Attributor *attributor, const DataSource *source) {
    if (attributor->filter != NULL) {
        TRY(decided_filter_check(attributor->filter, source));
    }
    if (attributor->matched > 0) {
        return LIMN_OK;
    }
    return attributor->decided[0] == 0
               ? fail(LIMN_USAGE, "attribute: %s has no record for the half that nominates; it has %lld records",
                      data_source_path(source), (long long)attributor->records)
               : fail(
                     LIMN_USAGE,
                     "attribute: --where holds for none of the %lld records that nominate (of %lld that are wrong), so "
                     "there is nothing to explain",
                     (long long)attributor->decided[0], (long long)attributor->wrong[0]);
}

limn_status attribute_nominate(Attributor *attributor) {
    NomineeWindow *window = calloc(1, sizeof *window);
    DataSource *source = NULL;
    limn_status status = window == NULL ? method_no_memory(attributor->call) : LIMN_OK;
    for (int32_t i = 0; i < ATTRIBUTE_WINDOW && window != NULL; i++) {
        arena_init(&window->items[i].arena);
    }
    if (status == LIMN_OK) {
        status = attribute_source(&source, attributor);
    }
    while (status == LIMN_OK && !window->ended) {
        status = read_window(attributor, source, window);
        status = status == LIMN_OK ? work_window(attributor, window) : status;
    }
    status = status == LIMN_OK ? check_matched(attributor, source) : status;
    for (int32_t i = 0; i < ATTRIBUTE_WINDOW && window != NULL; i++) {
        arena_free(&window->items[i].arena);
    }
    free(window);
    data_source_close(source);
    return status == LIMN_OK ? choose(attributor) : status;
}
