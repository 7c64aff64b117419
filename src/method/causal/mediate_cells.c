/* What each cell of `limn mediate` restores, as edits of the spoilt run. */
#include <stdlib.h>

#include "method/causal/mediate_work.h"

static LayerSpan span_of(const Mediate *mediate, int32_t layer) {
    int32_t n_layers = mediate->model->config.n_layers;
    return mediate->params->onward ? (LayerSpan){layer, n_layers}
                                   : layer_window(layer, (int32_t)mediate->params->window, n_layers);
}

static limn_status read_donors(MediateWork *work) {
    const Mediate *mediate = work->mediate;
    LayerSpan last = span_of(mediate, mediate->layer_end - 1), first = span_of(mediate, mediate->layer_begin);
    for (int32_t s = 0; s < mediate->n_sites; s++) {
        work->donors[s] = ARENA_ARRAY(work->call->arena, Donor, mediate->model->config.n_layers + 1);
        if (work->donors[s] == NULL) {
            return method_no_memory(work->call);
        }
        for (int32_t layer = first.begin; layer < last.end; layer++) {
            Donor *donor = &work->donors[s][layer];
            donor->node = mediate->sites[s].nodes[layer];
            TRY(clean_run_value(work->clean, mediate->engine, donor->node, &donor->values, &donor->width,
                                work->call->progress));
        }
    }
    return LIMN_OK;
}

static limn_status add_rows(MediateWork *work, const Donor *donor, int32_t from, int32_t to, int64_t begin,
                            int64_t end) {
    EditList *list = &work->edits;
    if (list->n + TRANSPLANT_EDITS > list->capacity) {
        int64_t capacity = 2 * list->capacity + 64;
        Edit *grown = realloc(list->items, (size_t)capacity * sizeof *grown);
        if (grown == NULL) {
            return method_no_memory(work->call);
        }
        list->items = grown;
        list->capacity = capacity;
    }
    list->n += transplant_rows(list->items + list->n, &work->pair->pair.alignment, donor, from, to, begin, end);
    return LIMN_OK;
}

/* Rows before this one are the clean run's, bit for bit. */
static int32_t first_row(const MediateWork *work) {
    const Alignment *alignment = &work->pair->pair.alignment;
    const ModelConfig *config = &work->mediate->model->config;
    bool alike = model_lengths_alike(config, alignment->n_base, alignment->n_source);
    return config->causal && alike ? alignment->prefix : 0;
}

static limn_status add_keys(MediateWork *work, const Donor *donor, int64_t begin, int64_t end) {
    const MediatePair *pair = work->pair;
    for (int32_t k = 0; k < pair->n_keys;) {
        int32_t from = pair->keys[k], to = from;
        for (; k < pair->n_keys && pair->keys[k] == to; k++) {
            to++;
        }
        TRY(add_rows(work, donor, from, to, begin, end));
    }
    return LIMN_OK;
}

MediateRole mediate_role(const MediatePair *pair, int32_t row) {
    int32_t first = pair->keys[0], last = pair->keys[pair->n_keys - 1];
    const PairSide *side = &pair->pair.corrupt;
    if (row == first || row == last) {
        return row == last ? ROLE_LAST_KEY : ROLE_FIRST_KEY;
    }
    for (int32_t i = 0; i < side->n_outputs; i++) {
        if (side->outputs[i].row == row) {
            return ROLE_ANSWER;
        }
    }
    return row < first ? ROLE_BEFORE : row < last ? ROLE_MIDDLE : row == last + 1 ? ROLE_NEXT : ROLE_FURTHER;
}

bool mediate_by_role(const Mediate *mediate) {
    return mediate->by == MEDIATE_BY_POSITION && mediate_has_data(mediate->params);
}

/* All positions of a role together. */
static limn_status add_role(MediateWork *work, const Donor *donor, MediateRole role, int32_t first) {
    const MediatePair *pair = work->pair;
    int32_t n = pair->pair.corrupt.sequence.n;
    for (int32_t from = first; from < n;) {
        int32_t to = from;
        while (to < n && mediate_role(pair, to) == role) {
            to++;
        }
        TRY(to > from ? add_rows(work, donor, from, to, 0, -1) : LIMN_OK);
        from = to + 1;
    }
    return LIMN_OK;
}

static limn_status add_layer(MediateWork *work, const MediateCell *cell, int32_t layer) {
    const Mediate *mediate = work->mediate;
    const MediateSite *site = &mediate->sites[cell->site];
    const MediatePair *pair = work->pair;
    const Donor *donor = &work->donors[cell->site][layer];
    bool parts = site->part_width > 0;
    int64_t begin = parts ? cell->part * site->part_width : 0, end = parts ? begin + site->part_width : -1;
    int32_t n = pair->pair.corrupt.sequence.n, first = first_row(work), row = pair->keys[pair->n_keys - 1];
    if (mediate_by_role(mediate)) {
        return add_role(work, donor, (MediateRole)cell->part, first);
    }
    if (mediate->by == MEDIATE_BY_POSITION) {
        return cell->part < first ? LIMN_OK : add_rows(work, donor, cell->part, cell->part + 1, begin, end);
    }
    switch (site->rule) {
    case POSITIONS_ALL:
        return add_rows(work, donor, first, n, begin, end);
    case POSITIONS_KEYS:
        return add_keys(work, donor, begin, end);
    case POSITIONS_LAST:
        row = pair->pair.corrupt.outputs[0].row;
        break;
    case POSITIONS_SPAN:
        return add_rows(work, donor, mediate->span_begin, mediate->span_end, begin, end);
    case POSITIONS_LAST_KEY:
        if (site->chosen && alignment_source(&pair->pair.alignment, row) < 0) {
            return add_rows(work, donor, first, n, begin, end); /* all that have a counterpart: the key has none */
        }
        break;
    }
    return add_rows(work, donor, row, row + 1, begin, end);
}

static limn_status check_positions(const MediateWork *work) {
    const Mediate *mediate = work->mediate;
    int32_t n = work->pair->pair.corrupt.sequence.n;
    for (int32_t s = 0; s < mediate->n_sites; s++) {
        if (mediate->sites[s].rule == POSITIONS_SPAN && mediate->span_end > n) {
            return fail(LIMN_RANGE, "option 'positions': found %d:%d; the spoilt prompt has %d tokens",
                        (int)mediate->span_begin, (int)mediate->span_end, (int)n);
        }
    }
    return LIMN_OK;
}

static limn_status fill_edits(MediateWork *work) {
    const Mediate *mediate = work->mediate;
    TRY(check_positions(work));
    for (int32_t i = 0; i < mediate->n_cells; i++) {
        const MediateCell *cell = &mediate->cells[i];
        LayerSpan span = span_of(mediate, cell->layer);
        work->first_edit[i] = work->edits.n;
        for (int32_t layer = span.begin; layer < span.end; layer++) {
            TRY(add_layer(work, cell, layer));
        }
        if (work->edits.n == work->first_edit[i] && mediate->by != MEDIATE_BY_POSITION) {
            return fail(LIMN_USAGE,
                        "mediate: none of the positions to restore %s at has a counterpart in the other prompt; "
                        "expected prompts of equally many tokens, or other --positions",
                        mediate->sites[cell->site].site->name);
        }
    }
    work->first_edit[mediate->n_cells] = work->edits.n;
    return LIMN_OK;
}

static void fill_list(MediateWork *work) {
    const Mediate *mediate = work->mediate;
    work->list[0] = (Counterfactual){0};
    work->cell_of[0] = -1;
    work->n_list = 1;
    for (int32_t i = 0; i < mediate->n_cells; i++) {
        int32_t n = (int32_t)(work->first_edit[i + 1] - work->first_edit[i]);
        if (n > 0) {
            work->list[work->n_list] = (Counterfactual){.edits = work->edits.items + work->first_edit[i], .n_edits = n};
            work->cell_of[work->n_list++] = i;
        }
    }
}

limn_status mediate_restore(MediateWork *work) {
    TRY(read_donors(work));
    TRY(fill_edits(work));
    fill_list(work);
    return LIMN_OK;
}
