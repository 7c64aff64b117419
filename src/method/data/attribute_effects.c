/* What exchanging a suspect does, in the half of the records that did not nominate: every record that holds it,
 * whatever was decided there; of suspects in more records than are asked for, a part by the records' hashes. The record
 * and its changed versions are decided on together, by the same scorer as in `limn predict`. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "method/data/attribute.h"

enum { VERSIONS = 256 /* of one window, about */, RECORDS = 64 };

/* Versions of a record with one suspect exchanged. */
typedef struct Changed {
    int32_t suspect;
    int32_t first, n;   /* versions of the window */
    double value, gain; /* then what they come to */
    double right_after;
} Changed;

typedef struct Measured {
    DataItem item;
    int32_t label;
    int32_t own; /* its place among the prompts; -1: the log has it */
    bool right;
    Changed *changed; /* [n] */
    int32_t n;
    bool known, useless; /* the log has it; and that it cannot be used */
} Measured;

typedef struct MeasuredWindow {
    Arena arena;
    Arena scratch;           /* of one record's draws */
    Measured items[RECORDS]; /* [n] */
    int32_t n;
    Text prompts[RECORDS]; /* [n_prompts] of records that are asked */
    int32_t n_prompts;
    Text *versions; /* [n_versions] */
    int32_t *of;    /* [n_versions] the prompt of each */
    int32_t n_versions, capacity;
    ChoiceOutcome *outcomes; /* [n_prompts + n_versions] */
    double *logs;            /* [n_prompts + n_versions, C] */
    Text first[2];           /* the first record and its first version, whether the log has them or not; absent: none */
    bool ended;
} MeasuredWindow;

/* ---- versions ---- */

static limn_status add_version(MeasuredWindow *window, const Attributor *attributor, Text text) {
    if (window->n_versions == window->capacity) {
        int32_t capacity = window->capacity == 0 ? 2 * VERSIONS : 2 * window->capacity;
        Text *grown = ARENA_ARRAY(&window->arena, Text, capacity);
        int32_t *of = ARENA_ARRAY(&window->arena, int32_t, capacity);
        if (grown == NULL || of == NULL) {
            return method_no_memory(attributor->call);
        }
        if (window->n_versions > 0) {
            memcpy(grown, window->versions, (size_t)window->n_versions * sizeof *grown);
            memcpy(of, window->of, (size_t)window->n_versions * sizeof *of);
        }
        window->versions = grown;
        window->of = of;
        window->capacity = capacity;
    }
    window->of[window->n_versions] = window->n_prompts;
    window->versions[window->n_versions++] = text;
    return LIMN_OK;
}

/* Draw k of each of the key's words, where they have any. */
static int32_t list_exchanges(Exchange *exchanges, const Draws *draws, const RecordKey *key, int32_t k) {
    int32_t n = 0;
    for (int32_t i = 0; i < key->n; i++) {
        const DrawList *list = draws_of(draws, key->units[i]);
        if (list->n > 0) {
            exchanges[n++] = (Exchange){key->units[i], list->items[k % list->n].text};
        }
    }
    return n;
}

static int32_t most_draws(const Draws *draws, const RecordKey *key, int32_t most) {
    int32_t n = 0;
    for (int32_t i = 0; i < key->n; i++) {
        n = draws_of(draws, key->units[i])->n > n ? draws_of(draws, key->units[i])->n : n;
    }
    return n < most ? n : most;
}

static limn_status change(Measured *one, MeasuredWindow *window, const Attributor *attributor, const Rewriter *rewriter,
                          const Draws *draws, const RecordKey *key, int32_t suspect) {
    Exchange *exchanges = ARENA_ARRAY(rewriter->call->arena, Exchange, key->n + 1);
    if (exchanges == NULL) {
        return method_no_memory(attributor->call);
    }
    Changed made = {.suspect = suspect, .first = window->n_versions};
    MethodCall call = method_call_in(rewriter->call, &window->arena);
    Rewriter kept = *rewriter;
    kept.call = &call;
    int32_t most = most_draws(draws, key, (int32_t)attributor->params->draws);
    for (int32_t k = 0; k < most; k++) {
        int32_t n = list_exchanges(exchanges, draws, key, k);
        Rewritten rewritten;
        bool good;
        Text text;
        TRY(rewrite_prompt(&rewritten, &good, rewriter, exchanges, n));
        if (good) {
            TRY(rewrite_text(&text, &kept, exchanges, n));
            TRY(add_version(window, attributor, text));
            made.n++;
        }
    }
    if (made.n > 0) {
        one->changed[one->n++] = made;
    }
    return LIMN_OK;
}

/* Of a suspect in more records than are wanted, a part. */
static bool is_wanted(const Attributor *attributor, const DataItem *item, const Suspect *suspect) {
    if (suspect == NULL || suspect->place < 0) {
        return false;
    }
    Random random;
    uint64_t stream = item->hash ^ hash_bytes(suspect->key.bytes, suspect->key.length);
    random_seed(&random, stream + (uint64_t)item->number * 0x9E3779B97F4A7C15u);
    return random_unit(&random) * (double)suspect->count < (double)attributor->params->inputs;
}

static limn_status open_draws(Draws **draws, const Attributor *attributor, const Rewriter *rewriter,
                              const RecordView *view) {
    bool together = attributor->n_drawn == 1;
    const DrawsAsked asked = {.file = attributor->params->replacements.bytes != NULL ? &attributor->file : NULL,
                              .data = attributor->drawn,
                              .spans = together ? NULL : view->item.spans,
                              .n_data = attributor->n_drawn,
                              .target = &view->stay,
                              .lists = &attributor->lists};
    return draws_new(draws, rewriter, &view->units, &asked);
}

static limn_status change_all(Measured *one, MeasuredWindow *window, const Attributor *attributor,
                              const RecordView *view, MethodCall *call) {
    const Rewriter rewriter = {.call = call,
                               .model = attributor->model,
                               .prompt = &view->prompt,
                               .units = &view->units,
                               .any_length = attributor->params->truncate != TRUNCATE_NONE};
    int32_t *units = ARENA_ARRAY(call->arena, int32_t, view->units.n + 1);
    const Suspect **meant = ARENA_ARRAY(call->arena, const Suspect *, view->n_keys + 1);
    bool *listed = ARENA_ARRAY(call->arena, bool, view->units.n + 1);
    if (units == NULL || meant == NULL || listed == NULL) {
        return method_no_memory(attributor->call);
    }
    int32_t n_units = 0, n_meant = 0;
    for (int32_t k = 0; k < view->n_keys; k++) {
        const Suspect *suspect = suspects_find(&attributor->suspects, view->keys[k].key);
        if (!is_wanted(attributor, &view->item, suspect)) {
            continue;
        }
        meant[k] = suspect;
        n_meant++;
        for (int32_t i = 0; i < view->keys[k].n; i++) {
            listed[view->keys[k].units[i]] = true;
        }
    }
    for (int32_t u = 0; u < view->units.n; u++) {
        if (listed[u]) {
            units[n_units++] = u;
        }
    }
    one->changed = ARENA_ARRAY(&window->arena, Changed, n_meant + 1);
    if (n_meant == 0 || one->changed == NULL) {
        return n_meant == 0 ? LIMN_OK : method_no_memory(attributor->call);
    }
    Draws *draws;
    TRY(open_draws(&draws, attributor, &rewriter, view));
    limn_status status = draws_take(draws, units, n_units, (int32_t)attributor->params->draws);
    for (int32_t k = 0; k < view->n_keys && status == LIMN_OK; k++) {
        if (meant[k] != NULL) {
            status = change(one, window, attributor, &rewriter, draws, &view->keys[k], meant[k]->place);
        }
    }
    draws_free(draws);
    return status;
}

/* ---- what the log has ---- */

static limn_status read_line(Attributor *attributor, Measured *one) {
    const Record *line = NULL;
    if (attributor->log != NULL) {
        TRY(record_log_next(attributor->log, &one->item, &line));
    }
    if (line == NULL) {
        return LIMN_OK;
    }
    one->known = true;
    const char *why = json_string_value(json_object_get(line->object, "error"));
    if (why != NULL) {
        one->useless = true;
        return attribute_give_up(attributor, &one->item, LIMN_USAGE, why);
    }
    const json_t *effects = json_object_get(line->object, "effects");
    if (!json_is_object(effects)) {
        return record_log_refuse(attributor->log, line, "lacks the effects of exchanged words");
    }
    one->right = json_is_true(json_object_get(line->object, "right"));
    for (int32_t i = 0; i < one->n; i++) {
        Changed *changed = &one->changed[i];
        const Suspect *suspect = &attributor->suspects.items[attributor->tested[changed->suspect]];
        const json_t *found = json_object_getn(effects, suspect->key.bytes, suspect->key.length);
        if (json_array_size(found) != 3) {
            return record_log_refuse(attributor->log, line, "lacks the effect of a word");
        }
        changed->value = json_number_value(json_array_get(found, 0));
        changed->gain = json_number_value(json_array_get(found, 1));
        changed->right_after = json_number_value(json_array_get(found, 2));
    }
    return LIMN_OK;
}

static limn_status write_line(Attributor *attributor, const Measured *one) {
    if (attributor->log == NULL || one->known) {
        return LIMN_OK;
    }
    JsonWriter writer;
    record_log_begin(attributor->log, &writer, &one->item);
    writer_bool_field(&writer, "right", one->right);
    writer_key(&writer, "effects");
    writer_begin(&writer, '{', true);
    for (int32_t i = 0; i < one->n; i++) {
        const Changed *changed = &one->changed[i];
        const double found[3] = {changed->value, changed->gain, changed->right_after};
        writer_numbers_field(&writer, attributor->suspects.items[attributor->tested[changed->suspect]].key.bytes, found,
                             3);
    }
    writer_end(&writer, '}');
    return record_log_end(attributor->log, &writer, &one->item);
}

/* ---- windows ---- */

/* What outlives the record's words. */
static limn_status keep_item(Measured *one, MeasuredWindow *window, const Attributor *attributor,
                             const DataItem *item) {
    one->item = *item;
    const char *copy = arena_strndup(&window->arena, item->prompt.bytes, item->prompt.length);
    one->item.prompt.bytes = copy;
    one->item.id = one->item.label = one->item.group = (Text){NULL, 0};
    one->item.spans = NULL;
    one->item.n_spans = 0;
    return copy != NULL ? LIMN_OK : method_no_memory(attributor->call);
}

static limn_status read_one(Attributor *attributor, DataSource *source, MeasuredWindow *window, bool *there) {
    Measured *one = &window->items[window->n];
    MethodCall call = method_call_in(attributor->call, &window->scratch);
    RecordView view;
    *one = (Measured){.own = -1};
    arena_reset(&window->scratch);
    int32_t before = window->n_versions;
    TRY(attribute_next(&view, attributor, source, &call, false, there));
    if (!*there) {
        return LIMN_OK;
    }
    TRY(attribute_label(&one->label, attributor, &view.item));
    if (attribute_nominates(attributor, &view.item) || (one->label < 0 && attributor->labelled)) {
        return LIMN_OK;
    }
    TRY(change_all(one, window, attributor, &view, &call));
    if (one->n == 0) {
        return LIMN_OK;
    }
    TRY(keep_item(one, window, attributor, &view.item));
    if (window->first[1].bytes == NULL) {
        window->first[0] = one->item.prompt;
        window->first[1] = window->versions[before];
    }
    TRY(read_line(attributor, one));
    if (one->known) {
        window->n_versions = before;
    } else {
        one->own = window->n_prompts;
        window->prompts[window->n_prompts++] = one->item.prompt;
    }
    window->n += one->useless ? 0 : 1;
    return LIMN_OK;
}

static limn_status read_window(Attributor *attributor, DataSource *source, MeasuredWindow *window) {
    arena_reset(&window->arena);
    window->first[1].bytes = NULL;
    window->n = window->n_prompts = window->n_versions = window->capacity = 0;
    while (window->n < RECORDS && window->n_versions < VERSIONS && !window->ended) {
        bool there;
        TRY(read_one(attributor, source, window, &there));
        window->ended = !there;
    }
    return LIMN_OK;
}

typedef struct Part { /* a run's own ticks, told as the state of the whole */
    const Attributor *attributor;
    const DataItem *item;
} Part;

static bool tick_part(void *context, const char *stage, int64_t done, int64_t total) {
    const Part *part = context;
    (void)stage;
    (void)done;
    (void)total;
    return attribute_tick(part->attributor, "exchange words", part->item) == LIMN_OK;
}

static limn_status score_window(Attributor *attributor, MeasuredWindow *window) {
    int32_t n = window->n_prompts + window->n_versions;
    window->logs = ARENA_ARRAY(&window->arena, double, (n + 1) * attributor->names.n);
    window->outcomes = ARENA_ARRAY(&window->arena, ChoiceOutcome, n + 1);
    if (window->logs == NULL || window->outcomes == NULL) {
        return method_no_memory(attributor->call);
    }
    Part part = {attributor, &window->items[0].item};
    const Progress progress = {tick_part, &part};
    const ChoiceVersions asked = {.prompts = window->prompts,
                                  .n = window->n_prompts,
                                  .versions = window->versions,
                                  .of = window->of,
                                  .n_versions = window->n_versions};
    return n == 0 ? LIMN_OK
                  : choice_scorer_run_versions(attributor->choices, &asked, window->logs, window->outcomes, &progress);
}

/* The first changed version as all are scored and once more by itself: batches, the shared beginning and the caches
 * must not show, and neither must a run that was gone on with. */
static limn_status recheck(Attributor *attributor, const MeasuredWindow *window) {
    if (!isnan(attributor->recheck) || window->first[1].bytes == NULL) {
        return LIMN_OK;
    }
    const int32_t n = attributor->names.n, of = 0;
    const ChoiceVersions asked = {
        .prompts = &window->first[0], .n = 1, .versions = &window->first[1], .of = &of, .n_versions = 1};
    const ChoiceOptions options = {.texts = attributor->names.choices,
                                   .n = n,
                                   .encode = data_source_encode_options(attributor->source, attributor->call),
                                   .truncate = (Truncation)attributor->params->truncate,
                                   .plain = true};
    ChoiceScorer *plain;
    ChoiceOutcome outcomes[2];
    double *logs = ARENA_ARRAY(attributor->call->arena, double, 3 * n);
    if (logs == NULL) {
        return method_no_memory(attributor->call);
    }
    TRY(choice_scorer_run_versions(attributor->choices, &asked, logs, outcomes, NULL));
    TRY(choice_scorer_new(&plain, attributor->call, attributor->engine, &options));
    limn_status status = choice_scorer_run(plain, &window->first[1], 1, logs + 2 * n, outcomes, NULL);
    choice_scorer_free(plain);
    attributor->recheck = 0;
    for (int32_t c = 0; c < n && status == LIMN_OK; c++) {
        attributor->recheck = fmax(attributor->recheck, fabs(logs[n + c] - logs[2 * n + c]));
    }
    return status;
}

/* ---- what came of it ---- */

static limn_status keep(Attributor *attributor, const Measured *one, const Changed *changed) {
    if (attributor->n_effects == attributor->effects_capacity) {
        int64_t capacity = attributor->effects_capacity == 0 ? 1024 : 2 * attributor->effects_capacity;
        Effect1 *grown = realloc(attributor->effects, (size_t)capacity * sizeof *grown);
        if (grown == NULL) {
            return method_no_memory(attributor->call);
        }
        attributor->effects = grown;
        attributor->effects_capacity = capacity;
    }
    attributor->effects[attributor->n_effects++] =
        (Effect1){.place = changed->suspect,
                  .prompt = hash_bytes(one->item.prompt.bytes, one->item.prompt.length),
                  .label = attributor->labelled ? one->label : 0,
                  .right_before = one->right ? 1.0F : 0.0F,
                  .right_after = (float)changed->right_after,
                  .value = changed->value,
                  .gain = changed->gain};
    return LIMN_OK;
}

/* Of an unlabelled record the decision takes the label's place, and its loss is what is measured. */
static void sum_up(const Attributor *attributor, const MeasuredWindow *window, Measured *one) {
    int32_t n = attributor->names.n;
    const double *own = window->logs + (int64_t)one->own * n;
    int32_t label = attributor->labelled ? one->label : attribute_likeliest(own, n);
    double before = attribute_share_log(own, n, label);
    one->label = label;
    one->right = attribute_likeliest(own, n) == label;
    for (int32_t i = 0; i < one->n; i++) {
        Changed *changed = &one->changed[i];
        changed->value = changed->gain = changed->right_after = 0;
        for (int32_t k = 0; k < changed->n; k++) {
            const double *logs = window->logs + (int64_t)(window->n_prompts + changed->first + k) * n;
            double after = attribute_share_log(logs, n, label);
            changed->value += (after - before) / changed->n;
            changed->gain += (exp(after) - exp(before)) / changed->n;
            changed->right_after += (attribute_likeliest(logs, n) == label ? 1.0 : 0.0) / changed->n;
        }
        changed->value = attributor->labelled ? changed->value : -changed->value;
        changed->gain = attributor->labelled ? changed->gain : -changed->gain;
    }
}

static const ChoiceOutcome *first_failure(const MeasuredWindow *window, const Measured *one) {
    if (window->outcomes[one->own].status != LIMN_OK) {
        return &window->outcomes[one->own];
    }
    for (int32_t i = 0; i < one->n; i++) {
        for (int32_t k = 0; k < one->changed[i].n; k++) {
            const ChoiceOutcome *outcome = &window->outcomes[window->n_prompts + one->changed[i].first + k];
            if (outcome->status != LIMN_OK) {
                return outcome;
            }
        }
    }
    return NULL;
}

static limn_status take_window(Attributor *attributor, MeasuredWindow *window) {
    for (int32_t r = 0; r < window->n; r++) {
        Measured *one = &window->items[r];
        const ChoiceOutcome *failure = one->known ? NULL : first_failure(window, one);
        if (failure != NULL) {
            TRY(attribute_give_up(attributor, &one->item, failure->status, failure->message));
            TRY(attribute_log_error(attributor, &one->item, failure->message));
            continue;
        }
        if (one->known) {
            attributor->resumed++;
        } else {
            sum_up(attributor, window, one);
        }
        TRY(write_line(attributor, one));
        for (int32_t i = 0; i < one->n; i++) {
            TRY(keep(attributor, one, &one->changed[i]));
        }
        attributor->measuring++;
        attributor->decided[1]++;
        attributor->wrong[1] += one->right ? 0 : 1;
    }
    if (window->n > 0) {
        TRY(attribute_tick(attributor, "exchange words", &window->items[window->n - 1].item));
    }
    return attributor->log != NULL ? record_log_flush(attributor->log) : LIMN_OK;
}

limn_status attribute_measure(Attributor *attributor) {
    MeasuredWindow *window = calloc(1, sizeof *window);
    if (window == NULL) {
        return method_no_memory(attributor->call);
    }
    arena_init(&window->arena);
    arena_init(&window->scratch);
    DataSource *source = NULL;
    limn_status status = word_lists_open(&attributor->lists, attributor->call->arena);
    bool listed = status == LIMN_OK;
    status = listed ? attribute_source(&source, attributor) : status;
    while (status == LIMN_OK && !window->ended) {
        status = read_window(attributor, source, window);
        status = status == LIMN_OK ? score_window(attributor, window) : status;
        status = status == LIMN_OK ? take_window(attributor, window) : status;
        status = status == LIMN_OK ? recheck(attributor, window) : status;
    }
    if (status == LIMN_OK && attributor->log != NULL) {
        status = record_log_finish(attributor->log);
    }
    arena_free(&window->arena);
    arena_free(&window->scratch);
    free(window);
    data_source_close(source);
    if (listed) {
        word_lists_close(&attributor->lists);
    }
    return status;
}
