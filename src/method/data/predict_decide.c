/* The records of a data set, window by window: read, what can be is scored, what was decided is written and counted,
 * all in the order of the data. A record that cannot be used ends the run behind those before it, or is noted. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "method/data/predict.h"

enum { WINDOW = 64 }; /* records read before they are scored, unless --batch says otherwise */

/* ---- one decision ---- */

static limn_status find_group(Predictor *predictor, Text name, PredictGroup **group) {
    *group = NULL;
    if (name.bytes == NULL) {
        return LIMN_OK;
    }
    for (int32_t i = 0; i < predictor->n_groups; i++) {
        if (same_text(predictor->groups[i].name, name)) {
            *group = &predictor->groups[i];
            return LIMN_OK;
        }
    }
    if (predictor->n_groups == PREDICT_GROUPS_MAX) {
        return fail(LIMN_USAGE, "predict: --group-field: more than %d groups; expected a field of few values",
                    PREDICT_GROUPS_MAX);
    }
    PredictGroup *made = &predictor->groups[predictor->n_groups];
    TRY(copy_text_in(&made->name, predictor->call, name));
    if (predictor->group_intervals && predictor->n_groups == PREDICT_INTERVALS_MAX) {
        return fail(LIMN_USAGE,
                    "predict: more than %d groups; expected fewer where a limit on a group needs a bootstrap",
                    PREDICT_INTERVALS_MAX);
    }
    TRY(metrics_init(&made->metrics, predictor->n, (uint64_t)predictor->call->common.seed, predictor->group_intervals));
    predictor->n_groups++;
    *group = made;
    return LIMN_OK;
}

static void free_mistake(Mistake *mistake) {
    free((char *)(uintptr_t)mistake->id.bytes);
    free((char *)(uintptr_t)mistake->prompt.bytes);
    *mistake = (Mistake){0};
}

static limn_status keep_mistake(Predictor *predictor, const DataItem *item, const Prediction *prediction) {
    int32_t most = (int32_t)predictor->params->top;
    double confidence = prediction->probabilities[prediction->choice];
    int32_t place = predictor->n_mistakes;
    while (place > 0 && predictor->mistakes[place - 1].confidence < confidence) {
        place--;
    }
    if (place == most) {
        return LIMN_OK;
    }
    Mistake made = {.confidence = confidence, .label = prediction->label, .choice = prediction->choice};
    made.id = (Text){strndup(item->id.bytes, item->id.length), item->id.length};
    made.prompt = (Text){strndup(item->prompt.bytes, item->prompt.length), item->prompt.length};
    if (made.id.bytes == NULL || made.prompt.bytes == NULL) {
        free_mistake(&made);
        return method_no_memory(predictor->call);
    }
    if (predictor->n_mistakes == most) {
        free_mistake(&predictor->mistakes[--predictor->n_mistakes]);
    }
    memmove(predictor->mistakes + place + 1, predictor->mistakes + place,
            (size_t)(predictor->n_mistakes - place) * sizeof made);
    predictor->mistakes[place] = made;
    predictor->n_mistakes++;
    return LIMN_OK;
}

static limn_status count_decision(Predictor *predictor, const DataItem *item, const Prediction *prediction) {
    PredictGroup *group;
    TRY(find_group(predictor, item->group, &group));
    double mass = 0;
    bool finite = true;
    for (int32_t c = 0; c < predictor->n; c++) {
        mass += exp(prediction->log_probabilities[c]);
        finite = finite && isfinite(prediction->log_probabilities[c]);
    }
    predictor->not_finite += !finite;
    if (!finite) {
        return LIMN_OK;
    }
    predictor->least_mass = fmin(predictor->least_mass, mass);
    predictor->sum_mass += mass;
    predictor->unlabelled += prediction->label < 0;
    double label_log = prediction_label_log(prediction, predictor->n, predict_each(predictor));
    metrics_add(&predictor->metrics, prediction->label, prediction->choice, prediction->probabilities, label_log);
    if (group != NULL) {
        metrics_add(&group->metrics, prediction->label, prediction->choice, prediction->probabilities, label_log);
    }
    bool wrong = prediction->label >= 0 && prediction->label != prediction->choice;
    return wrong ? keep_mistake(predictor, item, prediction) : LIMN_OK;
}

void predict_forget_mistakes(Predictor *predictor) {
    for (int32_t i = 0; i < predictor->n_mistakes; i++) {
        free_mistake(&predictor->mistakes[i]);
    }
    predictor->n_mistakes = 0;
}

/* ---- windows of records ---- */

typedef struct Window {
    Arena arena;
    DataItem *items;         /* [n] */
    Prediction *predictions; /* [n] */
    Text *prompts;           /* [n_asked] of those to be scored */
    int32_t *asked;          /* [n_asked] which items they are */
    ChoiceOutcome *outcomes; /* [n_asked] */
    double *logs;            /* [n_asked, C] */
    double *numbers;         /* [n, 2, C] of the predictions */
    int32_t n, n_asked;
    ErrorState stopped; /* the record behind the last one ends the run; status LIMN_OK: it does not */
} Window;

static limn_status make_window(const Predictor *predictor, Window *window, int32_t most) {
    size_t width = (size_t)predictor->n;
    arena_reset(&window->arena);
    window->n = window->n_asked = 0;
    window->stopped.status = LIMN_OK;
    window->items = ARENA_ARRAY(&window->arena, DataItem, most);
    window->predictions = ARENA_ARRAY(&window->arena, Prediction, most);
    window->prompts = ARENA_ARRAY(&window->arena, Text, most);
    window->asked = ARENA_ARRAY(&window->arena, int32_t, most);
    window->outcomes = ARENA_ARRAY(&window->arena, ChoiceOutcome, most);
    window->logs = ARENA_ARRAY(&window->arena, double, (size_t)most *width);
    window->numbers = ARENA_ARRAY(&window->arena, double, 2 * (size_t)most * width);
    bool made = window->items != NULL && window->predictions != NULL && window->prompts != NULL &&
                window->asked != NULL && window->outcomes != NULL && window->logs != NULL && window->numbers != NULL;
    return made ? LIMN_OK : method_no_memory(predictor->call);
}

/* *there false: no more, or none that the run goes on with. */
static limn_status read_item(Predictor *predictor, Window *window, bool *there) {
    DataItem *item = &window->items[window->n];
    Prediction *prediction = &window->predictions[window->n];
    prediction->log_probabilities = window->numbers + 2 * (size_t)window->n * (size_t)predictor->n;
    prediction->probabilities = prediction->log_probabilities + predictor->n;
    prediction->label = -1;
    limn_status status = data_source_next(predictor->source, item, &window->arena, there);
    if (status == LIMN_OK && *there) {
        const ChoiceNames names = {predictor->choices, predictor->names, predictor->n};
        status = choice_names_find(&prediction->label, &names, data_source_path(predictor->source), item);
    }
    if (status != LIMN_OK && (!*there || !status_is_of_input(status))) {
        return status;
    }
    if (status != LIMN_OK && !data_source_skips(predictor->source)) {
        error_save(&window->stopped);
        *there = false;
    } else if (status != LIMN_OK) {
        prediction->status = status;
        prediction->why = arena_strdup(&window->arena, error_message());
        return prediction->why != NULL ? LIMN_OK : method_no_memory(predictor->call);
    }
    return LIMN_OK;
}

static limn_status read_window(Predictor *predictor, Window *window, int32_t most) {
    TRY(make_window(predictor, window, most));
    while (window->n < most) {
        DataItem *item = &window->items[window->n];
        Prediction *prediction = &window->predictions[window->n];
        bool there;
        bool done = false;
        TRY(read_item(predictor, window, &there));
        if (!there) {
            break;
        }
        if (predictor->file != NULL) {
            TRY(prediction_file_read(predictor->file, item, prediction, &window->arena, &done));
        }
        prediction->there = done;
        if (!done && prediction->why == NULL) {
            window->prompts[window->n_asked] = item->prompt;
            window->asked[window->n_asked++] = window->n;
        }
        window->n++;
    }
    return LIMN_OK;
}

ChoiceOptions predict_choice_options(const Predictor *predictor, bool plain) {
    return (ChoiceOptions){.texts = predictor->choices,
                           .n = predictor->n,
                           .encode = data_source_encode_options(predictor->source, predictor->call),
                           .truncate = (Truncation)predictor->params->truncate,
                           .plain = plain};
}

/* The first record once more, by itself: batches, the shared head and the caches must not show; neither must a file
 * that was gone on with. */
static limn_status recheck(Predictor *predictor, const Window *window) {
    int32_t first = 0;
    while (first < window->n && window->predictions[first].why != NULL) {
        first++;
    }
    if (!isnan(predictor->recheck) || first == window->n) {
        return LIMN_OK;
    }
    ChoiceOptions options = predict_choice_options(predictor, true);
    ChoiceScorer *plain;
    ChoiceOutcome outcome;
    double *logs = ARENA_ARRAY(predictor->call->arena, double, predictor->n);
    if (logs == NULL) {
        return method_no_memory(predictor->call);
    }
    TRY(choice_scorer_new(&plain, predictor->call, predictor->engine, &options));
    limn_status status = choice_scorer_run(plain, &window->items[first].prompt, 1, logs, &outcome, NULL);
    choice_scorer_free(plain);
    predictor->recheck = 0;
    for (int32_t c = 0; c < predictor->n && status == LIMN_OK; c++) {
        double difference = fabs(logs[c] - window->predictions[first].log_probabilities[c]);
        predictor->recheck = outcome.status == LIMN_OK ? fmax(predictor->recheck, difference) : (double)INFINITY;
    }
    return status;
}

typedef struct Steady { /* a run's own ticks, told as the state of the whole */
    const Progress *outer;
    int64_t done, total;
} Steady;

static bool steady_tick(void *context, const char *stage, int64_t done, int64_t total) {
    (void)stage;
    (void)done;
    (void)total;
    const Steady *steady = context;
    return steady->outer->tick == NULL ||
           steady->outer->tick(steady->outer->context, "predict", steady->done, steady->total);
}

static limn_status score_window(Predictor *predictor, Window *window, Steady *steady) {
    Progress progress = {steady_tick, steady};
    if (window->n_asked == 0) {
        return LIMN_OK;
    }
    TRY(choice_scorer_run(predictor->scorer, window->prompts, window->n_asked, window->logs, window->outcomes,
                          &progress));
    for (int32_t i = 0; i < window->n_asked; i++) {
        Prediction *prediction = &window->predictions[window->asked[i]];
        const ChoiceOutcome *outcome = &window->outcomes[i];
        prediction->joined = outcome->joined;
        prediction->cut = outcome->cut;
        prediction->status = outcome->status;
        prediction->why = outcome->status != LIMN_OK ? outcome->message : NULL;
        if (prediction->why == NULL) {
            memcpy(prediction->log_probabilities, window->logs + (size_t)i * (size_t)predictor->n,
                   (size_t)predictor->n * sizeof(double));
            prediction_normalise(prediction, predictor->n, predict_each(predictor));
        }
    }
    return LIMN_OK;
}

/* In the order of the data: to the file, and into the figures. */
static limn_status take_window(Predictor *predictor, const Window *window) {
    for (int32_t i = 0; i < window->n; i++) {
        const DataItem *item = &window->items[i];
        const Prediction *prediction = &window->predictions[i];
        if (prediction->why != NULL && !data_source_skips(predictor->source)) {
            return fail(prediction->status, "%s: line %lld: %s", data_source_path(predictor->source),
                        (long long)item->line, prediction->why);
        }
        if (predictor->file != NULL && !prediction->there) {
            TRY(prediction_file_add(predictor->file, item, prediction));
        }
        predictor->resumed += prediction->there;
        if (prediction->why != NULL) {
            TRY(data_source_skip(predictor->source, item, prediction->why));
            continue;
        }
        predictor->joined += prediction->joined;
        predictor->n_cut += prediction->cut > 0;
        predictor->most_cut = prediction->cut > predictor->most_cut ? prediction->cut : predictor->most_cut;
        TRY(count_decision(predictor, item, prediction));
    }
    return LIMN_OK;
}

static limn_status decide_window(Predictor *predictor, Window *window, Steady *steady) {
    if (window->n > 0) {
        TRY(score_window(predictor, window, steady));
        limn_status status = take_window(predictor, window);
        if (status != LIMN_OK && predictor->file != NULL) { /* what stands before it is kept */
            ErrorState error;
            error_save(&error);
            TRY(prediction_file_flush(predictor->file));
            return error_restore(&error);
        }
        TRY(status);
        TRY(recheck(predictor, window));
        steady->done = window->items[window->n - 1].done;
        steady->total = window->items[window->n - 1].total;
        TRY(predictor->file != NULL ? prediction_file_flush(predictor->file) : LIMN_OK);
        TRY(progress_tick(predictor->call->progress, "predict", steady->done, steady->total));
    }
    return window->stopped.status == LIMN_OK ? LIMN_OK : error_restore(&window->stopped);
}

limn_status predict_decide(Predictor *predictor) {
    int64_t batch = predictor->params->batch;
    int32_t most = batch > 0 ? (int32_t)batch : WINDOW;
    Steady steady = {.outer = predictor->call->progress};
    Window window;
    arena_init(&window.arena);
    limn_status status;
    do {
        status = read_window(predictor, &window, most);
        if (status == LIMN_OK) {
            status = decide_window(predictor, &window, &steady);
        }
    } while (status == LIMN_OK && window.n == most);
    arena_free(&window.arena);
    TRY(status);
    return predictor->file != NULL ? prediction_file_finish(predictor->file) : LIMN_OK;
}
