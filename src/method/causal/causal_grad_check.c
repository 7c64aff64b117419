/* Some sites changed in earnest: the strongest of each family, and seeded ones of every third of the rest, so that an
 * estimate that is wrong where it is small shows too. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/integers.h"
#include "base/random.h"
#include "method/causal/causal_grad.h"

enum { STRATA = 3, STRONGEST = 16, OF_STRATUM = 4, QUICK_STRONGEST = 6, QUICK_OF_STRATUM = 2 };

typedef struct Ranked {
    double size;
    int32_t layer, column;
} Ranked;

static int by_size(const void *a, const void *b) {
    const Ranked *x = a, *y = b;
    return x->size != y->size     ? (x->size < y->size) - (x->size > y->size)
           : x->layer != y->layer ? (x->layer > y->layer) - (x->layer < y->layer)
                                  : (x->column > y->column) - (x->column < y->column);
}

static bool exists(const CausalGrad *work, CausalFamily family, int32_t layer, int32_t column) {
    bool by_row = family == FAMILY_RESID || family == FAMILY_MLP;
    return (!by_row || work->there[column]) && causal_node_of(work, family, layer, column) != NULL;
}

static void add_site(const CausalGrad *work, PatchedSites *patched, CausalFamily family, const Ranked *ranked) {
    double estimate = work->effects.of[family][causal_cell(work, family, ranked->layer, ranked->column)];
    patched->items[patched->n++] =
        (PatchedSite){.family = family, .layer = ranked->layer, .column = ranked->column, .estimate = estimate};
}

/* ranked [n]: in any order. */
static void choose(const CausalGrad *work, PatchedSites *patched, CausalFamily family, Ranked *ranked, int64_t n) {
    bool quick = work->params->check == 1;
    int64_t strongest = smaller(n, quick ? QUICK_STRONGEST : STRONGEST);
    Random random;
    random_seed(&random, (uint64_t)work->call->common.seed * 0x9E3779B97F4A7C15u + (uint64_t)family);
    qsort(ranked, (size_t)n, sizeof *ranked, by_size);
    for (int64_t i = 0; i < strongest; i++) {
        add_site(work, patched, family, &ranked[i]);
    }
    for (int64_t s = 0; s < STRATA; s++) {
        int64_t begin = strongest + (n - strongest) * s / STRATA, end = strongest + (n - strongest) * (s + 1) / STRATA;
        int64_t drawn = smaller(quick ? QUICK_OF_STRATUM : OF_STRATUM, end - begin);
        for (int64_t k = 0; k < drawn; k++) { /* the first of a shuffle */
            int64_t at = begin + k + (int64_t)random_below(&random, (uint64_t)(end - begin - k));
            Ranked swapped = ranked[begin + k];
            ranked[begin + k] = ranked[at];
            ranked[at] = swapped;
            add_site(work, patched, family, &ranked[begin + k]);
        }
    }
}

static limn_status choose_family(const CausalGrad *work, PatchedSites *patched, CausalFamily family) {
    int64_t cells = (int64_t)work->n_layers * work->columns[family], n = 0;
    Ranked *ranked = malloc(((size_t)cells + 1) * sizeof *ranked);
    if (ranked == NULL) {
        return method_no_memory(work->call);
    }
    for (int32_t layer = 0; layer < work->n_layers; layer++) {
        for (int32_t column = 0; column < work->columns[family]; column++) {
            if (exists(work, family, layer, column)) {
                double size = fabs(work->effects.of[family][causal_cell(work, family, layer, column)]);
                ranked[n++] = (Ranked){isnan(size) ? 0.0 : size, layer, column};
            }
        }
    }
    choose(work, patched, family, ranked, n);
    free(ranked);
    return LIMN_OK;
}

/* ---- in earnest ---- */

static Edit edit_of(const CausalGrad *work, const PatchedSite *site) {
    const CausalNode *node = causal_node_of(work, site->family, site->layer, site->column);
    bool by_row = node->unit == 0;
    int64_t begin = by_row ? 0 : (site->column - node->column) * node->unit;
    return (Edit){.node = node->node,
                  .kind = EDIT_ADD,
                  .row_begin = by_row ? site->column : 0,
                  .row_end = by_row ? site->column + 1 : work->n_rows,
                  .element_begin = begin,
                  .element_end = by_row ? node->width : begin + node->unit,
                  .values = node->delta + (by_row ? site->column * node->width : begin),
                  .row_stride = node->width};
}

typedef struct Taking {
    CausalGrad *work;
    PatchedSites *patched;
} Taking;

static limn_status take_effect(void *context, const CounterfactualAnswer *answer) {
    const Taking *taking = context;
    const CausalGrad *work = taking->work;
    const float *f = engine_seed(work->engine, 0) + answer->first_output;
    taking->patched->items[answer->index].effect =
        outcome_value(&work->outcome, f, answer->n_outputs) - work->base_value;
    return LIMN_OK;
}

static limn_status sweep_sites(CausalGrad *work, PatchedSites *patched, const CleanRun *base, Edit *edits,
                               Counterfactual *list) {
    for (int32_t i = 0; i < patched->n; i++) {
        edits[i] = edit_of(work, &patched->items[i]);
        list[i] = (Counterfactual){.clean = base, .edits = &edits[i], .n_edits = 1};
    }
    const RunRequest ask = {
        .outputs = work->base->outputs, .n_outputs = work->base->n_outputs, .seeds = &work->seed, .n_seeds = 1};
    Taking taking = {work, patched};
    Sweep *sweep;
    TRY(sweep_new(&sweep, work->engine, &ask, NULL));
    limn_status status = sweep_run(sweep, list, patched->n, take_effect, &taking, work->call->progress);
    sweep_free(sweep);
    return status;
}

limn_status causal_grad_patch(PatchedSites *patched, CausalGrad *work) {
    Arena *arena = work->call->arena;
    int32_t most = FAMILIES * (STRONGEST + STRATA * OF_STRATUM);
    *patched = (PatchedSites){.items = ARENA_ARRAY(arena, PatchedSite, most + 1)};
    Edit *edits = ARENA_ARRAY(arena, Edit, most + 1);
    Counterfactual *list = ARENA_ARRAY(arena, Counterfactual, most + 1);
    if (patched->items == NULL || edits == NULL || list == NULL) {
        return method_no_memory(work->call);
    }
    for (int f = 0; f < FAMILIES; f++) {
        TRY(choose_family(work, patched, (CausalFamily)f));
    }
    CleanRun *base;
    TRY(clean_run_new(&base, work->engine, &work->base->sequence, NULL, work->call->progress));
    limn_status status = sweep_sites(work, patched, base, edits, list);
    clean_run_free(base);
    return status;
}
