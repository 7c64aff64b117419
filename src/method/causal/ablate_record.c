/* One prompt of an ablation: its kept run, runs with units taken out, and one backward pass. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "measure/target_score.h"
#include "method/causal/ablate.h"
#include "method/causal/transplant.h"

static RunRequest request_of(const AblateRecord *record) {
    const Ablate *ablate = record->ablate;
    return (RunRequest){.outputs = record->outputs,
                        .n_outputs = record->n_outputs,
                        .seeds = &record->seed,
                        .n_seeds = 1,
                        .editable = ablate->nodes,
                        .n_editable = ablate->n_sites * ablate->n_layers};
}

/* ---- opening ---- */

static limn_status choose_metric(AblateRecord *record) {
    Ablate *ablate = record->ablate;
    bool contrasted = record->contrast.kind != TARGET_NONE, number = record->target.n_outputs == 1;
    bool classifier = ablate->model->config.task == TASK_CLASSIFIER;
    Outcome *outcome = &record->outcome;
    outcome->width = record->target.n_outputs;
    outcome->metric = ablate->params->metric >= 0 ? (OutcomeMetric)ablate->params->metric
                      : contrasted                ? OUTCOME_LOGIT_DIFF
                      : number || classifier      ? OUTCOME_LOGIT
                                                  : OUTCOME_LOG_PROB;
    if (number && outcome->metric != OUTCOME_LOGIT) {
        return fail(LIMN_USAGE, "ablate: option 'metric': %s has one output, a number; expected logit",
                    ablate->model->path);
    }
    if (contrasted != (outcome->metric == OUTCOME_LOGIT_DIFF)) {
        return fail(LIMN_USAGE, "ablate: option 'metric': logit-diff goes with --contrast, and only that does");
    }
    bool single = outcome->metric == OUTCOME_LOGIT_DIFF || outcome->metric == OUTCOME_LOGIT;
    if (single && (record->target.n != 1 || (contrasted && record->contrast.n != 1))) {
        return fail(LIMN_USAGE,
                    "ablate: option 'metric': %s is of single tokens, the target has %d%s; expected logprob or prob",
                    outcome_name(outcome->metric), (int)record->target.n, contrasted ? " or the contrast several" : "");
    }
    outcome->contrast = contrasted ? record->contrast.ids[0] : -1;
    return LIMN_OK;
}

static limn_status fill_outputs(AblateRecord *record) {
    const Target *target = &record->target;
    record->sequence = target_sequence(target);
    record->n_outputs = target->n;
    record->outputs = ARENA_ARRAY(record->call.arena, OutputRow, target->n + 1);
    if (record->outputs == NULL) {
        return method_no_memory(&record->call);
    }
    for (int32_t i = 0; i < target->n; i++) {
        record->outputs[i] = (OutputRow){.row = target->rows[i], .target = target->ids[i], .weight = 1.0F};
    }
    return LIMN_OK;
}

static limn_status take_logits(void *context, const CounterfactualAnswer *answer) {
    AblateRecord *record = context;
    size_t bytes = (size_t)answer->n_outputs * (size_t)record->outcome.width * sizeof(float);
    float *logits = arena_alloc(record->call.arena, bytes);
    if (logits == NULL) {
        return method_no_memory(&record->call);
    }
    memcpy(logits, answer->logits, bytes);
    record->outcome.reference = logits;
    return LIMN_OK;
}

/* What KL is taken from. */
static limn_status read_reference(AblateRecord *record) {
    RunRequest ask = {.outputs = record->outputs, .n_outputs = record->n_outputs, .logits = true};
    const Counterfactual itself = {.clean = record->clean};
    Sweep *sweep;
    TRY(sweep_new(&sweep, record->ablate->engine, &ask, NULL));
    limn_status status = sweep_run(sweep, &itself, 1, take_logits, record, record->call.progress);
    sweep_free(sweep);
    return status;
}

limn_status ablate_open_record(AblateRecord *record, Ablate *ablate, const MethodCall *call, const Prompt *prompt,
                               const TargetParams *target) {
    *record = (AblateRecord){.call = *call, .ablate = ablate, .number = ablate->n_records, .prompt = prompt};
    Result *remarks = NULL;
    bool own = ablate->params->data.file.bytes == NULL;
    TRY(own ? LIMN_OK : result_new(&remarks, "ablate", "one record"));
    limn_status status = target_resolve(&record->target, &record->contrast, &record->call, ablate->engine, prompt,
                                        target, NULL, own ? ablate->result : remarks);
    result_free(remarks);
    TRY(status);
    TRY(choose_metric(record));
    TRY(fill_outputs(record));
    TRY(ablate_values(record));
    const CleanRunOptions options = {.editable = ablate->nodes, .n_editable = ablate->n_sites * ablate->n_layers};
    TRY(clean_run_new(&record->clean, ablate->engine, &record->sequence, &options, call->progress));
    TRY(record->outcome.metric == OUTCOME_KL ? read_reference(record) : LIMN_OK);
    record->seed = outcome_seed(&record->outcome, ablate->model);
    const int32_t nothing[] = {0, 0};
    return ablate_sets(record, NULL, nothing, 1, &record->before);
}

void ablate_close_record(AblateRecord *record) {
    clean_run_free(record->clean);
    record->clean = NULL;
}

/* ---- sets of units ---- */

typedef struct SetList {
    AblateRecord *record;
    Edit *edits;
    Counterfactual *items; /* [n_sets * n_draws] */
    double *after;         /* [n_sets] */
} SetList;

static limn_status take_value(void *context, const CounterfactualAnswer *answer) {
    SetList *list = context;
    AblateRecord *record = list->record;
    const float *f = engine_seed(record->ablate->engine, 0) + answer->first_output;
    double value = outcome_value(&record->outcome, f, answer->n_outputs);
    list->after[answer->index / record->n_draws] += value / record->n_draws;
    return LIMN_OK;
}

static int32_t fill_sets(SetList *list, const int32_t *cells, const int32_t *begins, int32_t n) {
    AblateRecord *record = list->record;
    Edit *edit = list->edits;
    int32_t count = 0;
    for (int32_t set = 0; set < n; set++) {
        for (int32_t draw = 0; draw < record->n_draws; draw++) {
            Counterfactual *item = &list->items[count++];
            *item = (Counterfactual){.clean = record->clean, .edits = edit};
            for (int32_t c = begins[set]; c < begins[set + 1]; c++) {
                item->n_edits += ablate_edits(record, cells[c], draw, edit + item->n_edits);
            }
            edit += item->n_edits;
        }
    }
    return count;
}

static limn_status run_sets(SetList *list, int32_t count) {
    AblateRecord *record = list->record;
    RunRequest ask = request_of(record);
    Sweep *sweep;
    memset(list->after, 0, (size_t)(count / record->n_draws) * sizeof *list->after);
    TRY(sweep_new(&sweep, record->ablate->engine, &ask, NULL));
    limn_status status = sweep_run(sweep, list->items, count, take_value, list, record->call.progress);
    sweep_free(sweep);
    return status;
}

static limn_status cost_of_sets(const SetList *list, int32_t count) {
    AblateRecord *record = list->record;
    const Ablate *ablate = record->ablate;
    RunRequest ask = request_of(record);
    TransplantCost cost = {.memory.kept = clean_run_bytes(record->clean)};
    TRY(transplant_cost(&cost, &record->call, ablate->engine, &ask, list->items, count, &record->sequence));
    return transplant_show_cost(ablate->result, &record->call, engine_model(ablate->engine), &cost, 1);
}

/* after NULL: what it would take is the result's. */
limn_status ablate_sets(AblateRecord *record, const int32_t *cells, const int32_t *begins, int32_t n, double *after) {
    size_t items = (size_t)n * (size_t)record->n_draws;
    size_t edits = (size_t)begins[n] * (size_t)record->n_draws * ABLATE_SITES;
    SetList list = {.record = record, .after = after};
    list.edits = malloc((edits + 1) * sizeof *list.edits);
    list.items = malloc((items + 1) * sizeof *list.items);
    limn_status status = method_no_memory(&record->call);
    if (list.edits != NULL && list.items != NULL) {
        int32_t count = fill_sets(&list, cells, begins, n);
        status = after == NULL ? cost_of_sets(&list, count) : run_sets(&list, count);
    }
    free(list.edits);
    free(list.items);
    return status;
}

limn_status ablate_plain(AblateRecord *record, int32_t cell, double *after) {
    RunRequest request = request_of(record);
    Edit edits[ABLATE_SITES];
    *after = 0.0;
    for (int32_t draw = 0; draw < record->n_draws; draw++) {
        request.sequences = &record->sequence;
        request.n_sequences = 1;
        request.n_edits = ablate_edits(record, cell, draw, edits);
        request.edits = edits;
        TRY(engine_run(record->ablate->engine, &request, record->call.progress));
        *after += outcome_value(&record->outcome, engine_seed(record->ablate->engine, 0), record->n_outputs) /
                  record->n_draws;
    }
    return LIMN_OK;
}

/* ---- one backward pass ---- */

typedef struct Estimating {
    AblateRecord *record;
    double *sums; /* [cells] */
} Estimating;

/* What the unit's element would be instead, mean over draws. */
static double replacement(const AblateRecord *record, int32_t site, int32_t row, int64_t element) {
    const Ablate *ablate = record->ablate;
    if (record->values == NULL) {
        return 0.0;
    }
    double sum = 0.0;
    int64_t place = ablate->with == ABLATE_PATTERN ? element % record->sequence.n : element;
    for (int32_t draw = 0; draw < record->n_draws; draw++) {
        const float *values = record->values[draw * ablate->n_sites * ablate->n_layers + site];
        sum += (double)values[row * record->stride + place];
    }
    return sum / record->n_draws;
}

static int32_t column_of(const AblateRecord *record, int32_t row, int64_t element) {
    const Ablate *ablate = record->ablate;
    int64_t unit = ablate->with == ABLATE_PATTERN ? record->sequence.n : ablate->unit_width;
    return ablate->what == ABLATE_POSITION ? row : unit > 0 ? (int32_t)(element / unit) : 0;
}

static limn_status add_rows(void *context, NodeId node, int32_t row_begin, int32_t n_rows, int64_t width,
                            const float *value, const float *gradient) {
    const Estimating *estimating = context;
    const AblateRecord *record = estimating->record;
    const Ablate *ablate = record->ablate;
    for (int32_t site = 0; site < ablate->n_sites * ablate->n_layers; site++) {
        if (ablate->nodes[site] != node) {
            continue;
        }
        int32_t first = site % ablate->n_layers * ablate->n_columns;
        for (int32_t r = 0; r < n_rows; r++) {
            for (int64_t e = 0; e < width; e++) {
                int32_t column = column_of(record, row_begin + r, e);
                double change = replacement(record, site, row_begin + r, e) - (double)value[r * width + e];
                if (column < ablate->n_columns) {
                    estimating->sums[first + column] += change * (double)gradient[r * width + e];
                }
            }
        }
    }
    return LIMN_OK;
}

limn_status ablate_estimate(AblateRecord *record, double *estimates) {
    Ablate *ablate = record->ablate;
    Estimating estimating = {record, estimates};
    const GradientSink sink = {.nodes = ablate->nodes,
                               .n = ablate->n_sites * ablate->n_layers,
                               .with_values = true,
                               .function = add_rows,
                               .context = &estimating};
    RunRequest request = request_of(record);
    request.sequences = &record->sequence;
    request.n_sequences = 1;
    request.sink = &sink;
    int64_t cells = (int64_t)ablate->n_layers * ablate->n_columns;
    memset(estimates, 0, (size_t)cells * sizeof *estimates);
    TRY(engine_run(ablate->engine, &request, record->call.progress));
    double slope = record->outcome.metric == OUTCOME_PROB ? record->before : 1.0;
    for (int64_t i = 0; i < cells; i++) {
        estimates[i] *= slope;
    }
    return LIMN_OK;
}
