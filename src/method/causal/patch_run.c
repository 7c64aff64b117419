/* The runs of `limn patch`: both prompts kept, each cell a counterfactual of the base. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "measure/distribution.h"
#include "method/causal/patch.h"
#include "method/causal/transplant.h"

enum { PLAIN_CELLS = 4 };

/* The cells as a list for a sweep. */
typedef struct CellList {
    Patch *patch;
    Edit *edits;           /* [n, per_cell] */
    Counterfactual *items; /* [n] */
    int32_t *cells;        /* [n] layer * n_columns + column */
    int32_t n, per_cell;
    double *values; /* [n] */
} CellList;

/* ---- one cell ---- */

static int cell_edits(const Patch *patch, Edit *edits, int32_t layer, int32_t column) {
    LayerSpan span = layer_window(layer, (int32_t)patch->params->window, patch->n_layers);
    int n = 0;
    for (int32_t l = span.begin; l < span.end; l++) {
        const Donor donor = {patch->nodes[l], patch->patches[l], patch->width};
        if (patch->by == PATCH_BY_HEAD) {
            int64_t begin = column * patch->head_width;
            n += transplant_rows(edits + n, &patch->alignment, &donor, patch->first, patch->base->n, begin,
                                 begin + patch->head_width);
        } else {
            n += transplant_rows(edits + n, &patch->alignment, &donor, column, column + 1, 0, -1);
        }
    }
    return n;
}

/* ---- both runs ---- */

static RunRequest request_of(const Patch *patch) {
    return (RunRequest){.outputs = patch->base_side->outputs,
                        .n_outputs = patch->base_side->n_outputs,
                        .seeds = &patch->seed,
                        .n_seeds = 1,
                        .editable = patch->nodes,
                        .n_editable = patch->n_layers};
}

typedef struct Logits {
    float *out;
    int64_t width;
} Logits;

static limn_status take_logits(void *context, const CounterfactualAnswer *answer) {
    const Logits *logits = context;
    memcpy(logits->out, answer->logits, (size_t)answer->n_outputs * (size_t)logits->width * sizeof *logits->out);
    return LIMN_OK;
}

/* What a run says as it is; out [n_outputs, width]. */
static limn_status plain_logits(const Patch *patch, const CleanRun *run, const PairSide *side, float *out) {
    RunRequest ask = {.outputs = side->outputs, .n_outputs = side->n_outputs, .logits = true};
    Counterfactual itself = {.clean = run};
    Logits logits = {out, patch->outcome.width};
    Sweep *sweep;
    TRY(sweep_new(&sweep, patch->engine, &ask, NULL));
    limn_status status = sweep_run(sweep, &itself, 1, take_logits, &logits, patch->call->progress);
    sweep_free(sweep);
    return status;
}

static limn_status measure_both(Patch *patch) {
    size_t floats = (size_t)patch->target.n * (size_t)patch->outcome.width;
    float *clean = arena_alloc(patch->call->arena, floats * sizeof *clean);
    float *corrupt = arena_alloc(patch->call->arena, floats * sizeof *corrupt);
    if (clean == NULL || corrupt == NULL) {
        return method_no_memory(patch->call);
    }
    TRY(plain_logits(patch, patch->clean, &patch->pair.clean, clean));
    TRY(plain_logits(patch, patch->corrupt, &patch->pair.corrupt, corrupt));
    patch->outcome.reference = clean;
    if (patch->outcome.metric == OUTCOME_LOGIT_DIFF) {
        if (patch->contrast.kind == TARGET_NONE) {
            TRY(outcome_choose_contrast(&patch->contrast, patch->call, &patch->target, corrupt));
            result_param_text(patch->result, "contrast-from", "the corrupt prompt's likeliest answer");
        }
        patch->outcome.contrast = patch->contrast.ids[0];
    }
    patch->seed = outcome_seed(&patch->outcome, patch->model);
    patch->clean_value = outcome_of_logits(&patch->outcome, patch->target.ids, patch->target.n, clean);
    patch->corrupt_value = outcome_of_logits(&patch->outcome, patch->target.ids, patch->target.n, corrupt);
    return LIMN_OK;
}

static limn_status read_patches(Patch *patch) {
    patch->patches = ARENA_ARRAY(patch->call->arena, const float *, patch->n_layers + 1);
    if (patch->patches == NULL) {
        return method_no_memory(patch->call);
    }
    for (int32_t layer = 0; layer < patch->n_layers; layer++) {
        TRY(clean_run_value(patch->source, patch->engine, patch->nodes[layer], &patch->patches[layer], &patch->width,
                            patch->call->progress));
    }
    return LIMN_OK;
}

limn_status patch_prepare(Patch *patch) {
    CleanRunOptions options = {.editable = patch->nodes, .n_editable = patch->n_layers};
    const Progress *progress = patch->call->progress;
    TRY(clean_run_new(&patch->clean, patch->engine, &patch->pair.clean.sequence, &options, progress));
    TRY(clean_run_new(&patch->corrupt, patch->engine, &patch->pair.corrupt.sequence, &options, progress));
    patch->base = patch->params->reverse ? patch->clean : patch->corrupt;
    patch->source = patch->params->reverse ? patch->corrupt : patch->clean;
    patch->alignment = patch->params->reverse ? alignment_turned(&patch->pair.alignment) : patch->pair.alignment;
    /* Rotary frequencies that depend on the length make even equal beginnings differ. */
    bool alike = model_lengths_alike(&patch->model->config, patch->base->n, patch->source->n);
    patch->first = patch->model->config.causal && alike ? patch->alignment.prefix : 0;
    TRY(measure_both(patch));
    return read_patches(patch);
}

/* ---- the grid ---- */

static void free_list(CellList *list) {
    free(list->edits);
    free(list->items);
    free(list->cells);
    free(list->values);
}

static limn_status new_list(CellList *list, Patch *patch) {
    int32_t most = patch->n_layers * patch->n_columns;
    *list = (CellList){.patch = patch, .per_cell = TRANSPLANT_EDITS * (int32_t)patch->params->window};
    list->edits = malloc(((size_t)most * (size_t)list->per_cell + 1) * sizeof *list->edits);
    list->items = malloc(((size_t)most + 1) * sizeof *list->items);
    list->cells = malloc(((size_t)most + 1) * sizeof *list->cells);
    list->values = malloc(((size_t)most + 1) * sizeof *list->values);
    if (list->edits == NULL || list->items == NULL || list->cells == NULL || list->values == NULL) {
        free_list(list);
        return method_no_memory(patch->call);
    }
    return LIMN_OK;
}

static void add_cell(CellList *list, int32_t layer, int32_t column) {
    Edit *edits = list->edits + (int64_t)list->n * list->per_cell;
    int n = cell_edits(list->patch, edits, layer, column);
    if (n > 0) {
        list->items[list->n] = (Counterfactual){.clean = list->patch->base, .edits = edits, .n_edits = n};
        list->cells[list->n++] = layer * list->patch->n_columns + column;
    }
}

/* Every cell whose value can differ from the base's. */
static void fill_list(CellList *list) {
    Patch *patch = list->patch;
    double base = patch->params->reverse ? patch->clean_value : patch->corrupt_value;
    for (int32_t layer = 0; layer < patch->n_layers; layer++) {
        for (int32_t column = 0; column < patch->n_columns; column++) {
            double *after = &patch->after[layer * patch->n_columns + column];
            bool by_position = patch->by == PATCH_BY_POSITION;
            bool there = !by_position || alignment_source(&patch->alignment, column) >= 0;
            *after = there ? base : (double)NAN;
            if (there && (!by_position || column >= patch->first)) {
                add_cell(list, layer, column);
            }
        }
    }
}

static limn_status take_value(void *context, const CounterfactualAnswer *answer) {
    CellList *list = context;
    const Patch *patch = list->patch;
    const float *f = engine_seed(patch->engine, 0);
    list->values[answer->index] = outcome_value(&patch->outcome, f + answer->first_output, answer->n_outputs);
    return LIMN_OK;
}

static limn_status sweep_list(CellList *list) {
    const Patch *patch = list->patch;
    RunRequest ask = request_of(patch);
    Sweep *sweep;
    TRY(sweep_new(&sweep, patch->engine, &ask, NULL));
    limn_status status = sweep_run(sweep, list->items, list->n, take_value, list, patch->call->progress);
    sweep_free(sweep);
    return status;
}

/* ---- the same in full ---- */

/* A pass over all rows of the base from its tokens, with these edits. */
static limn_status full_value(const Patch *patch, const Edit *edits, int32_t n_edits, double *value) {
    RunRequest ask = request_of(patch);
    return transplant_full_pass(value, patch->call, patch->engine, &patch->outcome, &ask, &patch->base_side->sequence,
                                edits, n_edits);
}

static int32_t farthest(const CellList *list) {
    double base = list->patch->params->reverse ? list->patch->clean_value : list->patch->corrupt_value;
    int32_t best = 0;
    for (int32_t i = 1; i < list->n; i++) {
        best = fabs(list->values[i] - base) > fabs(list->values[best] - base) ? i : best;
    }
    return best;
}

/* The cell that matters most and some spread over the grid. */
static limn_status check_cells(CellList *list) {
    Patch *patch = list->patch;
    patch->plain_error = (double)NAN;
    for (int32_t k = 0; k < PLAIN_CELLS && list->n > 0; k++) {
        int32_t i = k == 0 ? farthest(list) : (int32_t)((int64_t)(list->n - 1) * k / (PLAIN_CELLS - 1));
        double full;
        TRY(full_value(patch, list->items[i].edits, list->items[i].n_edits, &full));
        double error = fabs(full - list->values[i]);
        patch->plain_error = isnan(patch->plain_error) || error > patch->plain_error ? error : patch->plain_error;
    }
    return LIMN_OK;
}

/* Every position patched before the first layer: the source's own answer. */
static limn_status check_ends(Patch *patch) {
    const CausalSite *stream;
    NodeId *nodes;
    Donor donor;
    Edit edits[TRANSPLANT_EDITS];
    double value;
    patch->ends_error = (double)NAN;
    if (patch->alignment.n_base != patch->alignment.n_source) {
        return LIMN_OK; /* what is between has no counterpart */
    }
    TRY(causal_site_find(&stream, "site", "resid_pre"));
    TRY(causal_site_nodes(&nodes, patch->call, patch->model, stream));
    donor.node = nodes[0];
    TRY(clean_run_value(patch->source, patch->engine, donor.node, &donor.values, &donor.width, patch->call->progress));
    int n = transplant_rows(edits, &patch->alignment, &donor, 0, patch->base->n, 0, -1);
    TRY(full_value(patch, edits, n, &value));
    patch->ends_error = fabs(value - (patch->params->reverse ? patch->corrupt_value : patch->clean_value));
    return LIMN_OK;
}

static limn_status run_list(CellList *list) {
    Patch *patch = list->patch;
    fill_list(list);
    TRY(sweep_list(list));
    for (int32_t i = 0; i < list->n; i++) {
        patch->after[list->cells[i]] = list->values[i];
    }
    TRY(check_cells(list));
    return check_ends(patch);
}

limn_status patch_run(Patch *patch) {
    CellList list;
    patch->after = ARENA_ARRAY(patch->call->arena, double, (int64_t)patch->n_layers * patch->n_columns + 1);
    if (patch->after == NULL) {
        return method_no_memory(patch->call);
    }
    TRY(new_list(&list, patch));
    limn_status status = run_list(&list);
    free_list(&list);
    return status;
}

double patch_share(const Patch *patch, double value) {
    return (value - patch->corrupt_value) / (patch->clean_value - patch->corrupt_value);
}

limn_status patch_estimate(Patch *patch) {
    CellList list;
    RunRequest ask = request_of(patch);
    patch->after = ARENA_ARRAY(patch->call->arena, double, (int64_t)patch->n_layers * patch->n_columns + 1);
    if (patch->after == NULL) {
        return method_no_memory(patch->call);
    }
    TRY(new_list(&list, patch));
    fill_list(&list);
    TransplantCost cost = {.memory.kept = clean_run_bytes(patch->clean) + clean_run_bytes(patch->corrupt)};
    limn_status status =
        transplant_cost(&cost, patch->call, patch->engine, &ask, list.items, list.n, &patch->base_side->sequence);
    status = status == LIMN_OK ? transplant_show_cost(patch->result, patch->call, patch->model, &cost, 1) : status;
    free_list(&list);
    return status;
}
