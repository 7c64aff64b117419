/* Bands, lifetimes and buffers.
 *
 * Steps that work row by row on one domain form a band, run chunk by chunk: what is born and dies inside a band
 * needs a buffer for one chunk only, and stays in the processor's cache. Values of the same shape take turns in
 * the same slot. */
#include <stdlib.h>
#include <string.h>

#include "plan/lower.h"

static bool may_chunk(const Step *step) {
    switch (step->kind) {
    case STEP_FORWARD:
    case STEP_BACKWARD:
        return op_info(step->op.kind)->reach == REACH_ROW;
    case STEP_APPEND:
        return false;
    default:
        return true;
    }
}

static limn_status find_bands(Program *program) {
    program->bands = ARENA_ARRAY(&program->arena, Band, program->n_steps + 1);
    if (program->bands == NULL) {
        return fail(LIMN_NO_MEMORY, "program of %d steps", program->n_steps);
    }
    for (int32_t s = 0; s < program->n_steps; s++) {
        const Step *step = &program->steps[s];
        Band *last = program->n_bands == 0 ? NULL : &program->bands[program->n_bands - 1];
        bool joins = last != NULL && last->chunked && may_chunk(step) && last->domain == step->domain &&
                     last->stage == step->stage;
        if (joins) {
            last->n_steps++;
        } else {
            program->bands[program->n_bands++] = (Band){s, 1, step->domain, step->stage, may_chunk(step)};
        }
    }
    return LIMN_OK;
}

enum { STEP_MAX_VALUES = 2 * OP_MAX_INPUTS + 3 };

/* All values a step touches. */
static int step_values(const Step *step, ValueId values[STEP_MAX_VALUES]) {
    int n = 0;
    for (int k = 0; k < OP_MAX_INPUTS; k++) {
        values[n++] = step->in[k];
        values[n++] = step->grad_in[k];
    }
    values[n++] = step->out;
    values[n++] = step->aux;
    values[n++] = step->grad_out;
    int kept = 0;
    for (int i = 0; i < n; i++) {
        if (values[i] != VALUE_NONE) {
            values[kept++] = values[i];
        }
    }
    return kept;
}

static void find_lifetimes(Program *program) {
    ValueId values[STEP_MAX_VALUES];
    for (int32_t s = 0; s < program->n_steps; s++) {
        int n = step_values(&program->steps[s], values);
        for (int i = 0; i < n; i++) {
            ProgramValue *value = &program->values[values[i]];
            if (value->first_step < 0) {
                value->first_step = s;
            }
            value->last_step = s;
        }
    }
    for (int32_t b = 0; b < program->n_bands; b++) {
        const Band *band = &program->bands[b];
        int32_t end = band->first_step + band->n_steps;
        for (int32_t s = band->first_step; s < end && band->chunked; s++) {
            int n = step_values(&program->steps[s], values);
            for (int i = 0; i < n; i++) {
                ProgramValue *value = &program->values[values[i]];
                value->local = !value->persistent && value->first_step >= band->first_step && value->last_step < end;
            }
        }
    }
    for (int32_t i = 0; i < program->n_values; i++) {
        if (program->values[i].persistent) {
            program->values[i].last_step = program->n_steps;
        }
    }
}

static bool fits(const Slot *slot, const ProgramValue *value) {
    /* widths compare with one key and with two, so that [H, S] never takes the place of [H] */
    return slot->local == value->local && slot->domain == value->domain &&
           row_shape_width(&slot->shape, 1) == row_shape_width(&value->shape, 1) &&
           row_shape_width(&slot->shape, 2) == row_shape_width(&value->shape, 2);
}

static void take_slot(Program *program, bool *free_slots, ProgramValue *value) {
    for (int32_t i = 0; i < program->n_slots; i++) {
        if (free_slots[i] && fits(&program->slots[i], value)) {
            free_slots[i] = false;
            value->slot = i;
            return;
        }
    }
    value->slot = program->n_slots;
    program->slots[program->n_slots++] = (Slot){value->shape, value->domain, value->local};
}

limn_status plan_allocate(Program *program) {
    TRY(find_bands(program));
    find_lifetimes(program);
    program->slots = ARENA_ARRAY(&program->arena, Slot, program->n_values + 1);
    bool *free_slots = calloc((size_t)program->n_values + 1, sizeof *free_slots);
    if (program->slots == NULL || free_slots == NULL) {
        free(free_slots);
        return fail(LIMN_NO_MEMORY, "program of %d values", program->n_values);
    }
    ValueId values[STEP_MAX_VALUES];
    for (int32_t s = 0; s < program->n_steps; s++) {
        int n = step_values(&program->steps[s], values);
        for (int i = 0; i < n; i++) {
            if (program->values[values[i]].slot < 0) {
                take_slot(program, free_slots, &program->values[values[i]]);
            }
        }
        for (int i = 0; i < n; i++) {
            if (program->values[values[i]].last_step == s) {
                free_slots[program->values[values[i]].slot] = true;
            }
        }
    }
    free(free_slots);
    return LIMN_OK;
}
