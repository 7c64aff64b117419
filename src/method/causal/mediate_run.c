/* The runs of `limn mediate`: the clean run once, each spoilt run kept, each restored part a counterfactual of it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/integers.h"
#include "measure/distribution.h"
#include "method/causal/mediate_work.h"

enum { PLAIN_CELLS = 3 };

/* ---- what is asked of every run ---- */

static limn_status choose_tokens(Mediate *mediate, const Target *target) {
    const ParamIds *asked = &mediate->params->tokens;
    int32_t ids[MEDIATE_TOKENS], n = 0, width = target->n_outputs;
    for (int32_t i = 0; i < asked->n; i++) {
        if (asked->ids[i] < 0 || asked->ids[i] >= width) {
            return fail(LIMN_RANGE, "mediate: option 'tokens': %d does not exist; the model has 0 to %d",
                        (int)asked->ids[i], (int)width - 1);
        }
    }
    int32_t top = (int32_t)smaller(mediate->params->top_k, width);
    logit_top(ids, top, target->first_logits, width);
    for (int32_t i = 0; i < asked->n + top && n < MEDIATE_TOKENS; i++) {
        int32_t id = i < asked->n ? asked->ids[i] : ids[i - asked->n];
        bool known = false;
        for (int32_t k = 0; k < n; k++) {
            known = known || mediate->tokens[k] == id;
        }
        if (!known) {
            mediate->tokens[n++] = id;
        }
    }
    mediate->n_tokens = n;
    return LIMN_OK;
}

static limn_status make_seeds(MediateWork *work) {
    Mediate *mediate = work->mediate;
    const Target *target = &work->pair->target;
    bool data = mediate_has_data(mediate->params), number = target->n_outputs == 1;
    mediate->outcome.width = target->n_outputs;
    if (mediate->outcome.metric == OUTCOME_LOGIT_DIFF) {
        mediate->outcome.contrast = work->pair->contrast.ids[0];
    }
    if (!data && !number) {
        TRY(choose_tokens(mediate, target));
    }
    work->seeds = ARENA_ARRAY(work->call->arena, Seed, mediate->n_tokens + 1);
    if (work->seeds == NULL) {
        return method_no_memory(work->call);
    }
    work->seeds[0] = outcome_seed(&mediate->outcome, mediate->model);
    for (int32_t i = 0; i < mediate->n_tokens; i++) {
        work->seeds[i + 1] = (Seed){.node = mediate->model->graph.logits,
                                    .kind = SEED_LOG_PROB,
                                    .targets = {.ids = &mediate->tokens[i], .n = 1}};
    }
    return LIMN_OK;
}

static RunRequest request_of(const MediateWork *work, const PairSide *side) {
    return (RunRequest){.outputs = side->outputs,
                        .n_outputs = side->n_outputs,
                        .seeds = work->seeds,
                        .n_seeds = 1 + work->mediate->n_tokens};
}

/* ---- a spoilt run and all that is restored in it ---- */

/* The noise of a sample, one edit for each run of key tokens. */
static void bind_noise(MediateWork *work, int32_t sample) {
    const MediatePair *pair = work->pair;
    int64_t width = work->mediate->model->config.d_embed;
    const float *noise = pair->noise + sample * pair->n_keys * width;
    work->n_noise = 0;
    for (int32_t k = 0; k < pair->n_keys;) {
        int32_t begin = k, from = pair->keys[k], to = from;
        for (; k < pair->n_keys && pair->keys[k] == to; k++) {
            to++;
        }
        work->noise[work->n_noise++] = (Edit){.node = work->mediate->model->graph.embed,
                                              .kind = EDIT_ADD,
                                              .row_begin = from,
                                              .row_end = to,
                                              .element_end = -1,
                                              .values = noise + begin * width,
                                              .row_stride = width};
    }
}

static limn_status take(void *context, const CounterfactualAnswer *answer) {
    MediateWork *work = context;
    const Mediate *mediate = work->mediate;
    int32_t cell = work->cell_of[answer->index];
    const float *f = engine_seed(mediate->engine, 0) + answer->first_output;
    double p = outcome_value(&mediate->outcome, f, answer->n_outputs);
    *(cell < 0 ? &work->p1 : &work->p2[cell]) = p;
    for (int32_t i = 0; i < mediate->n_tokens; i++) {
        double log_p = (double)engine_seed(mediate->engine, i + 1)[answer->first_output];
        work->token_p[i * (1 + mediate->n_cells) + 1 + cell] = exp(log_p);
    }
    return LIMN_OK;
}

/* Does anything of the clean run belong to a position, or to one of a role? */
static bool is_there(const MediateWork *work, const MediateCell *cell) {
    const MediatePair *pair = work->pair;
    const Alignment *alignment = &pair->pair.alignment;
    bool role = mediate_by_role(work->mediate), there = false;
    for (int32_t row = 0; role && !there && row < pair->pair.corrupt.sequence.n; row++) {
        there = mediate_role(pair, row) == (MediateRole)cell->part && alignment_source(alignment, row) >= 0;
    }
    return role ? there : alignment_source(alignment, cell->part) >= 0;
}

/* Cells that change nothing are as the spoilt run; positions that belong to nothing have no value. */
static void fill_unchanged(MediateWork *work) {
    const Mediate *mediate = work->mediate;
    for (int32_t i = 0; i < mediate->n_cells; i++) {
        if (work->first_edit[i + 1] > work->first_edit[i]) {
            continue;
        }
        bool there = is_there(work, &mediate->cells[i]);
        work->p2[i] = there ? work->p1 : (double)NAN;
        for (int32_t t = 0; t < mediate->n_tokens; t++) {
            double *of_token = work->token_p + t * (1 + mediate->n_cells);
            of_token[1 + i] = there ? of_token[0] : (double)NAN;
        }
    }
}

static limn_status run_list(MediateWork *work, const CleanRun *base, const PairSide *side, int32_t n) {
    Mediate *mediate = work->mediate;
    RunRequest ask = request_of(work, side);
    Sweep *sweep;
    for (int32_t i = 0; i < n; i++) {
        work->list[i].clean = base;
    }
    TRY(sweep_new(&sweep, mediate->engine, &ask, NULL));
    limn_status status = sweep_run(sweep, work->list, n, take, work, work->call->progress);
    sweep_free(sweep);
    return status;
}

/* ---- some of it in full ---- */

static limn_status full_value(const MediateWork *work, const Edit *edits, int32_t n, double *value) {
    const Mediate *mediate = work->mediate;
    RunRequest ask = request_of(work, &work->pair->pair.corrupt);
    Edit *all = malloc(((size_t)n + (size_t)work->n_noise + 1) * sizeof *all);
    if (all == NULL) {
        return method_no_memory(work->call);
    }
    memcpy(all, work->noise, (size_t)work->n_noise * sizeof *all);
    memcpy(all + work->n_noise, edits, (size_t)n * sizeof *all);
    limn_status status = transplant_full_pass(value, work->call, mediate->engine, &mediate->outcome, &ask,
                                              &work->pair->pair.corrupt.sequence, all, n + work->n_noise);
    free(all);
    return status;
}

static limn_status check_cells(MediateWork *work) {
    Mediate *mediate = work->mediate;
    int32_t best = 0;
    for (int32_t i = 1; i < work->n_list; i++) {
        double effect = fabs(work->p2[work->cell_of[i]] - work->p1);
        best = best == 0 || effect > fabs(work->p2[work->cell_of[best]] - work->p1) ? i : best;
    }
    for (int32_t k = 0; k < PLAIN_CELLS && best > 0; k++) {
        int32_t i = k == 0 ? best : 1 + (int32_t)((int64_t)(work->n_list - 2) * (k - 1) / (PLAIN_CELLS - 2));
        double full;
        TRY(full_value(work, work->list[i].edits, work->list[i].n_edits, &full));
        double error = fabs(full - work->p2[work->cell_of[i]]);
        mediate->plain_error = isnan(mediate->plain_error) ? error : fmax(error, mediate->plain_error);
    }
    return LIMN_OK;
}

/* Everything restored before the first layer. */
static limn_status check_ends(MediateWork *work, double p0) {
    Mediate *mediate = work->mediate;
    const Alignment *alignment = &work->pair->pair.alignment;
    const CausalSite *stream;
    NodeId *nodes;
    Donor donor;
    Edit edits[TRANSPLANT_EDITS];
    double value;
    if (alignment->n_base != alignment->n_source) {
        return LIMN_OK;
    }
    TRY(causal_site_find(&stream, "site", "resid_pre"));
    TRY(causal_site_nodes(&nodes, work->call, mediate->model, stream));
    donor.node = nodes[0];
    TRY(clean_run_value(work->clean, mediate->engine, donor.node, &donor.values, &donor.width, work->call->progress));
    int n = transplant_rows(edits, alignment, &donor, 0, alignment->n_base, 0, -1);
    TRY(full_value(work, edits, n, &value));
    mediate->ends_error = fabs(value - p0);
    return LIMN_OK;
}

/* ---- units ---- */

static limn_status grow(double **values, int64_t n) {
    double *grown = realloc(*values, ((size_t)n + 1) * sizeof *grown);
    if (grown == NULL) {
        return fail(LIMN_NO_MEMORY, "mediate: %lld figures", (long long)n);
    }
    *values = grown;
    return LIMN_OK;
}

static limn_status open_unit(Mediate *mediate, double p0) {
    MediateFigures *figures = &mediate->figures;
    if (mediate->n_units == mediate->unit_capacity) {
        int32_t capacity = 2 * mediate->unit_capacity + 16;
        TRY(grow(&figures->p0, capacity));
        TRY(grow(&figures->p1, capacity));
        TRY(grow(&figures->p2, (int64_t)capacity * mediate->n_cells));
        mediate->unit_capacity = capacity;
    }
    int32_t unit = mediate->n_units++;
    figures->p0[unit] = p0;
    figures->p1[unit] = 0;
    for (int32_t i = 0; i < mediate->n_cells; i++) {
        figures->p2[(int64_t)unit * mediate->n_cells + i] = 0;
    }
    return LIMN_OK;
}

/* The sample's figures to the last unit, as one of `share` alike. */
static void add_to_unit(MediateWork *work, double share) {
    Mediate *mediate = work->mediate;
    int32_t unit = mediate->n_units - 1, n = mediate->n_cells;
    mediate->figures.p1[unit] += share * work->p1;
    for (int32_t i = 0; i < n; i++) {
        mediate->figures.p2[(int64_t)unit * n + i] += share * work->p2[i];
    }
    for (int32_t t = 0; t < mediate->n_tokens; t++) {
        const double *found = work->token_p + t * (1 + n);
        mediate->token_p1[t] += found[0] / work->pair->samples;
        for (int32_t i = 0; i < n; i++) {
            mediate->token_p2[t * n + i] += found[1 + i] / work->pair->samples;
        }
    }
}

/* The run with the key words spoilt. */
static limn_status keep_spoilt(MediateWork *work, int32_t sample, CleanRun **base) {
    if (work->pair->noise != NULL) {
        bind_noise(work, sample);
    }
    CleanRunOptions options = {.edits = work->noise, .n_edits = work->n_noise};
    return clean_run_new(base, work->mediate->engine, &work->pair->pair.corrupt.sequence, &options,
                         work->call->progress);
}

static limn_status run_sample(MediateWork *work, int32_t sample, double p0) {
    Mediate *mediate = work->mediate;
    bool data = mediate_has_data(mediate->params);
    CleanRun *base;
    TRY(keep_spoilt(work, sample, &base));
    limn_status status = run_list(work, base, &work->pair->pair.corrupt, work->n_list);
    status = status == LIMN_OK ? mediate_add_directions(work, base) : status;
    clean_run_free(base);
    TRY(status);
    fill_unchanged(work);
    if (!mediate->plain_done) {
        mediate->plain_done = true;
        TRY(check_cells(work));
        TRY(check_ends(work, p0));
    }
    if (sample == 0 || !data) {
        TRY(open_unit(mediate, p0));
    }
    add_to_unit(work, data ? 1.0 / work->pair->samples : 1.0);
    return LIMN_OK;
}

/* ---- a pair ---- */

static limn_status make_room(MediateWork *work) {
    Mediate *mediate = work->mediate;
    Arena *arena = work->call->arena;
    int64_t n = mediate->n_cells, tokens = mediate->n_tokens;
    work->first_edit = ARENA_ARRAY(arena, int64_t, n + 2);
    work->list = ARENA_ARRAY(arena, Counterfactual, n + 2);
    work->cell_of = ARENA_ARRAY(arena, int32_t, n + 2);
    work->noise = ARENA_ARRAY(arena, Edit, work->pair->n_keys + 1);
    work->p2 = ARENA_ARRAY(arena, double, n + 1);
    work->token_p = ARENA_ARRAY(arena, double, tokens *(n + 1) + 1);
    if (work->first_edit == NULL || work->list == NULL || work->cell_of == NULL || work->noise == NULL ||
        work->p2 == NULL || work->token_p == NULL) {
        return method_no_memory(work->call);
    }
    if (mediate->n_tokens == 0 || mediate->token_p0 != NULL) {
        return LIMN_OK;
    }
    mediate->token_p0 = ARENA_ARRAY(mediate->call->arena, double, tokens);
    mediate->token_p1 = ARENA_ARRAY(mediate->call->arena, double, tokens);
    mediate->token_p2 = ARENA_ARRAY(mediate->call->arena, double, tokens *n + 1);
    return mediate->token_p0 == NULL || mediate->token_p1 == NULL || mediate->token_p2 == NULL
               ? method_no_memory(mediate->call)
               : LIMN_OK;
}

/* The clean run, P0, and the edits that restore its values. */
static limn_status prepare(MediateWork *work, double *p0) {
    Mediate *mediate = work->mediate;
    TRY(make_seeds(work));
    TRY(make_room(work));
    TRY(clean_run_new(&work->clean, mediate->engine, &work->pair->pair.clean.sequence, NULL, work->call->progress));
    work->list[0] = (Counterfactual){0};
    work->cell_of[0] = -1;
    TRY(run_list(work, work->clean, &work->pair->pair.clean, 1));
    *p0 = work->p1;
    for (int32_t t = 0; t < mediate->n_tokens; t++) {
        mediate->token_p0[t] = work->token_p[t * (1 + mediate->n_cells)];
    }
    return mediate_restore(work);
}

static void close_work(MediateWork *work) {
    clean_run_free(work->clean);
    free(work->edits.items);
}

limn_status mediate_run_pair(Mediate *mediate, MediatePair *pair, MethodCall *call) {
    MediateWork work = {.mediate = mediate, .pair = pair, .call = call};
    double p0;
    limn_status status = prepare(&work, &p0);
    for (int32_t sample = 0; sample < pair->samples && status == LIMN_OK; sample++) {
        status = progress_tick(call->progress, "samples", sample, pair->samples);
        status = status == LIMN_OK ? run_sample(&work, sample, p0) : status;
    }
    close_work(&work);
    return status;
}

limn_status mediate_cost(TransplantCost *cost, Mediate *mediate, MediatePair *pair, MethodCall *call) {
    MediateWork work = {.mediate = mediate, .pair = pair, .call = call};
    CleanRun *base = NULL;
    double p0;
    limn_status status = prepare(&work, &p0);
    status = status == LIMN_OK ? keep_spoilt(&work, 0, &base) : status;
    if (status == LIMN_OK) {
        for (int32_t i = 0; i < work.n_list; i++) {
            work.list[i].clean = base;
        }
        RunRequest ask = request_of(&work, &pair->pair.corrupt);
        cost->memory.kept = clean_run_bytes(work.clean) + clean_run_bytes(base);
        status =
            transplant_cost(cost, call, mediate->engine, &ask, work.list, work.n_list, &pair->pair.corrupt.sequence);
    }
    clean_run_free(base);
    close_work(&work);
    return status;
}
