/* Passes over the records: read once for labels, halves and focus, then once for each set of edits that is decided.
 * The file is read again each time, so that no prompt is kept. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "measure/distribution.h"
#include "method/causal/surgery.h"

enum { WINDOW = 64, MARK_FOCUS = 1 };

static limn_status open_source(DataSource **source, Surgery *surgery) {
    const SurgeryParams *params = surgery->params;
    MethodCall *call = surgery->call;
    TRY(data_source_open(source, call, &params->data));
    limn_status status = data_source_use_model(*source, call, surgery->model);
    if (status == LIMN_OK && params->focus.bytes != NULL) {
        status = data_source_add_mark(*source, call, "focus", params->focus);
    }
    if (status == LIMN_OK && params->choose_on.bytes != NULL) {
        status = data_source_add_mark(*source, call, "choose-on", params->choose_on);
    }
    if (status != LIMN_OK) {
        data_source_close(*source);
        *source = NULL;
    }
    return status;
}

/* ---- the first pass ---- */

/* Halves that hold whatever the order of the records is: by a record's own bytes. */
static SurgeryHalf half_of(const Surgery *surgery, const DataItem *item) {
    const SurgeryParams *params = surgery->params;
    uint32_t bit = params->focus.bytes != NULL ? 2 : 1;
    if (params->choose < 0) {
        return HALF_JUDGE;
    }
    if (params->choose_on.bytes != NULL) {
        return (item->marks & bit) != 0 ? HALF_CHOOSE : HALF_JUDGE;
    }
    uint64_t mixed = item->hash * 0x9e3779b97f4a7c15ULL;
    return mixed >> 63 != 0 ? HALF_CHOOSE : HALF_JUDGE;
}

static limn_status note_record(Surgery *surgery, const DataSource *source, const DataItem *item, int64_t place) {
    int32_t label;
    TRY(choice_names_find(&label, &surgery->names, data_source_path(source), item));
    if (label < 0) {
        return fail(LIMN_USAGE, "%s: line %lld: found no label, expected one of the choices", data_source_path(source),
                    (long long)item->line);
    }
    SurgeryRecord *record = &surgery->records[place];
    bool focus = surgery->params->focus.bytes == NULL || (item->marks & MARK_FOCUS) != 0;
    *record = (SurgeryRecord){.loss = {NAN, NAN},
                              .label = (int16_t)label,
                              .choice = {-1, -1},
                              .half = (uint8_t)half_of(surgery, item),
                              .focus = focus};
    surgery->in_half[record->half]++;
    surgery->in_focus += focus && record->half == HALF_JUDGE;
    return LIMN_OK;
}

/* records NULL: they are counted only. */
static limn_status read_all(Surgery *surgery, DataSource *source, Arena *arena) {
    for (int64_t place = 0;; place++) {
        DataItem item;
        bool there;
        arena_reset(arena);
        limn_status status = data_source_next(source, &item, arena, &there);
        if (status == LIMN_OK && !there) {
            surgery->n_records = place;
            return LIMN_OK;
        }
        if (status == LIMN_OK && surgery->records != NULL) {
            status = note_record(surgery, source, &item, place);
        }
        if (status == LIMN_OK) {
            continue;
        }
        if (!there || !status_is_of_input(status) || !data_source_skips(source)) {
            return status;
        }
        if (surgery->records != NULL) {
            surgery->records[place] = (SurgeryRecord){.left_out = true};
            TRY(data_source_skip(source, &item, error_message()));
        }
    }
}

static limn_status count_and_read(Surgery *surgery, Arena *arena) {
    DataSource *source;
    TRY(open_source(&source, surgery));
    limn_status status = data_source_is_regular(source)
                             ? read_all(surgery, source, arena)
                             : fail(LIMN_USAGE, "surgery: %s is read several times, expected a file that can be",
                                    data_source_path(source));
    status = status == LIMN_OK ? data_source_check_marks(source) : status;
    data_source_close(source);
    TRY(status);
    surgery->records = calloc((size_t)surgery->n_records + 1, sizeof *surgery->records);
    if (surgery->records == NULL) {
        return method_no_memory(surgery->call);
    }
    TRY(open_source(&source, surgery));
    surgery->encode = data_source_encode_options(source, surgery->call);
    status = read_all(surgery, source, arena);
    status = status == LIMN_OK ? data_source_finish(source, surgery->result) : status;
    data_source_close(source);
    return status;
}

limn_status surgery_read_records(Surgery *surgery) {
    Arena arena;
    arena_init(&arena);
    limn_status status = count_and_read(surgery, &arena);
    arena_free(&arena);
    TRY(status);
    if (surgery->in_half[HALF_JUDGE] == 0) {
        return fail(LIMN_USAGE, "surgery: no record is left to judge the edit on%s",
                    surgery->params->choose < 0 ? "" : "; --choose-on says on which it is chosen");
    }
    if (surgery->params->choose >= 0 && surgery->in_half[HALF_CHOOSE] == 0) {
        return fail(LIMN_USAGE, "surgery: no record is left to choose the edit on; --choose-on says which are");
    }
    if (surgery->in_focus == 0) {
        return fail(LIMN_USAGE, "surgery: option 'focus' holds for no record that the edit is judged on");
    }
    return LIMN_OK;
}

/* ---- windows ---- */

typedef struct Window {
    Arena arena;
    Text *prompts;    /* [n] */
    int64_t *records; /* [n] which they are */
    int32_t n;
    int64_t next; /* record behind the last one read */
} Window;

/* *there false: there are no more. */
static limn_status fill_window(Window *window, const Surgery *surgery, DataSource *source, SurgeryHalf half,
                               bool *there) {
    arena_reset(&window->arena);
    window->prompts = ARENA_ARRAY(&window->arena, Text, WINDOW);
    window->records = ARENA_ARRAY(&window->arena, int64_t, WINDOW);
    window->n = 0;
    *there = true;
    if (window->prompts == NULL || window->records == NULL) {
        return method_no_memory(surgery->call);
    }
    while (window->n < WINDOW) {
        DataItem item;
        limn_status status = data_source_next(source, &item, &window->arena, there);
        if (status == LIMN_OK && !*there) {
            return LIMN_OK;
        }
        int64_t place = window->next++;
        if (!*there || place >= surgery->n_records) {
            return status != LIMN_OK
                       ? status
                       : fail(LIMN_IO, "%s: more records than when it was first read", data_source_path(source));
        }
        const SurgeryRecord *record = &surgery->records[place];
        if (record->left_out) {
            continue; /* it failed then and was said */
        }
        TRY(status);
        if (record->half == (uint8_t)half) {
            window->prompts[window->n] = item.prompt;
            window->records[window->n++] = place;
        }
    }
    return LIMN_OK;
}

static limn_status each_window(Surgery *surgery, DataSource *source, Window *window, SurgeryHalf half,
                               SurgeryPrompts use, void *context) {
    bool there = true;
    while (there) {
        TRY(fill_window(window, surgery, source, half, &there));
        if (window->n > 0) {
            TRY(use(context, window->prompts, window->records, window->n));
        }
        TRY(progress_tick(surgery->call->progress, "surgery", surgery->passes_done * surgery->n_records + window->next,
                          surgery->passes * surgery->n_records));
    }
    return LIMN_OK;
}

limn_status surgery_each_window(Surgery *surgery, SurgeryHalf half, SurgeryPrompts use, void *context) {
    DataSource *source;
    Window window = {0};
    TRY(open_source(&source, surgery));
    arena_init(&window.arena);
    limn_status status = each_window(surgery, source, &window, half, use, context);
    arena_free(&window.arena);
    data_source_close(source);
    surgery->passes_done++;
    return status;
}

/* ---- decisions ---- */

typedef struct Pass {
    Surgery *surgery;
    ChoiceScorer *scorer;
    SurgeryTallies *tallies;
    int keep;
    double *logs;            /* [WINDOW, choices] */
    ChoiceOutcome *outcomes; /* [WINDOW] */
    Progress progress;
} Pass;

/* A run's own ticks, told as the state of the whole. */
static bool pass_tick(void *context, const char *stage, int64_t done, int64_t total) {
    (void)stage;
    (void)done;
    (void)total;
    const Surgery *surgery = context;
    const Progress *outer = surgery->call->progress;
    return outer->tick == NULL || outer->tick(outer->context, "surgery", surgery->passes_done * surgery->n_records,
                                              surgery->passes * surgery->n_records);
}

static void count(SurgeryTally *tally, const Surgery *surgery, const SurgeryRecord *record, int32_t choice,
                  double loss) {
    bool alarm = choice == surgery->alarm, is_alarm = record->label == surgery->alarm;
    tally->n++;
    tally->correct += choice == record->label;
    tally->negatives += !is_alarm;
    tally->false_alarms += !is_alarm && alarm;
    tally->positives += is_alarm;
    tally->missed += is_alarm && !alarm;
    tally->loss += loss;
}

void surgery_count(SurgeryTallies *tallies, Surgery *surgery, int64_t place, const double *logs, int keep) {
    SurgeryRecord *record = &surgery->records[place];
    SurgeryTally *scopes = tallies->scopes;
    int32_t n = surgery->names.n, best = 0;
    double largest = -INFINITY, sum = 0;
    for (int32_t c = 0; c < n; c++) {
        best = logs[c] > logs[best] ? c : best;
        largest = fmax(largest, logs[c]);
    }
    for (int32_t c = 0; c < n; c++) {
        sum += exp(logs[c] - largest);
    }
    double loss = largest + log(sum) - logs[record->label];
    SurgeryScope part = record->focus ? SCOPE_FOCUS : SCOPE_REST;
    if (!isfinite(loss)) {
        scopes[SCOPE_ALL].not_finite++;
        scopes[part].not_finite++;
        return;
    }
    count(&scopes[SCOPE_ALL], surgery, record, best, loss);
    count(&scopes[part], surgery, record, best, loss);
    if (keep >= 0) {
        record->loss[keep] = (float)loss;
        record->choice[keep] = (int16_t)best;
    }
}

static limn_status decide_window(void *context, const Text *prompts, const int64_t *records, int32_t n) {
    Pass *pass = context;
    int32_t width = pass->surgery->names.n;
    TRY(choice_scorer_run(pass->scorer, prompts, n, pass->logs, pass->outcomes, &pass->progress));
    for (int32_t i = 0; i < n; i++) {
        if (pass->outcomes[i].status != LIMN_OK && pass->surgery->params->data.on_error == ON_ERROR_SKIP) {
            pass->surgery->records[records[i]].left_out = true; /* in the first pass: later ones do not ask it */
            pass->surgery->n_unscored++;
            continue;
        }
        if (pass->outcomes[i].status != LIMN_OK) {
            return fail(pass->outcomes[i].status, "%s: record %lld: %s", pass->surgery->params->data.file.bytes,
                        (long long)records[i] + 1, pass->outcomes[i].message);
        }
        surgery_count(pass->tallies, pass->surgery, records[i], pass->logs + (size_t)i * (size_t)width, pass->keep);
    }
    return LIMN_OK;
}

static limn_status decide(Pass *pass, Arena *arena, SurgeryHalf half) {
    Surgery *surgery = pass->surgery;
    const ChoiceOptions options = {.texts = surgery->names.choices, .n = surgery->names.n, .encode = surgery->encode};
    pass->logs = ARENA_ARRAY(arena, double, WINDOW * surgery->names.n);
    pass->outcomes = ARENA_ARRAY(arena, ChoiceOutcome, WINDOW);
    if (pass->logs == NULL || pass->outcomes == NULL) {
        return method_no_memory(surgery->call);
    }
    MethodCall call = method_call_in(surgery->call, arena);
    TRY(choice_scorer_new(&pass->scorer, &call, surgery->engine, &options));
    limn_status status = surgery_each_window(surgery, half, decide_window, pass);
    choice_scorer_free(pass->scorer);
    return status;
}

/* The standing edits, then those of the plan. */
static limn_status put_in_force(Surgery *surgery, const EditPlan *plan, Arena *arena) {
    Edit *own = NULL;
    int32_t n = 0;
    if (plan != NULL) {
        TRY(edit_plan_bind_all(&own, &n, plan, arena));
    }
    Edit *all = ARENA_ARRAY(arena, Edit, surgery->n_standing + n + 1);
    if (all == NULL) {
        return method_no_memory(surgery->call);
    }
    for (int32_t i = 0; i < surgery->n_standing + n; i++) {
        all[i] = i < surgery->n_standing ? surgery->standing[i] : own[i - surgery->n_standing];
    }
    return engine_set_edits(surgery->engine, all, surgery->n_standing + n);
}

limn_status surgery_decide(SurgeryTallies *tallies, Surgery *surgery, const EditPlan *plan, SurgeryHalf half,
                           int keep) {
    Arena arena;
    arena_init(&arena);
    *tallies = (SurgeryTallies){0};
    Pass pass = {.surgery = surgery, .tallies = tallies, .keep = keep, .progress = {pass_tick, surgery}};
    limn_status status = put_in_force(surgery, plan, &arena);
    status = status == LIMN_OK ? decide(&pass, &arena, half) : status;
    ErrorState error;
    error_save(&error);
    limn_status back = engine_set_edits(surgery->engine, surgery->standing, surgery->n_standing);
    arena_free(&arena);
    return status != LIMN_OK ? error_restore(&error) : back;
}

/* ---- figures ---- */

bool surgery_aim_is_rate(SurgeryAim aim) {
    return aim != AIM_LOSS;
}

double surgery_aim_of(const SurgeryTally *tally, SurgeryAim aim) {
    switch (aim) {
    case AIM_ACCURACY:
        return share_value((Share){tally->correct, tally->n});
    case AIM_FALSE_ALARMS:
        return share_value((Share){tally->false_alarms, tally->negatives});
    case AIM_MISSED_ALARMS:
        return share_value((Share){tally->missed, tally->positives});
    case AIM_LOSS:
    case AIM_COUNT:
        break;
    }
    return tally->n > 0 ? tally->loss / (double)tally->n : (double)NAN;
}

SurgeryEffect surgery_effect(const Surgery *surgery, const SurgeryTallies *before, const SurgeryTallies *after) {
    SurgeryAim aim = (SurgeryAim)surgery->params->aim;
    SurgeryScope others = surgery->params->focus.bytes != NULL ? SCOPE_REST : SCOPE_ALL;
    double more = surgery_aim_of(&after->scopes[SCOPE_FOCUS], aim) - surgery_aim_of(&before->scopes[SCOPE_FOCUS], aim);
    double lost =
        surgery_aim_of(&before->scopes[others], AIM_ACCURACY) - surgery_aim_of(&after->scopes[others], AIM_ACCURACY);
    SurgeryEffect effect = {.gain = aim == AIM_ACCURACY ? more : -more, .cost = lost};
    effect.score = effect.gain - (isfinite(lost) ? lost : 0);
    return effect;
}
