/* The forward pass, and how a backward pass gets back what it reads: kept, or computed again layer by layer. */
#include "plan/emit.h"

#include <stdlib.h>
#include <string.h>

limn_status emit_value(Emitter *emitter, RowShape shape, Domain domain, ValueId *value) {
    Program *program = emitter->program;
    if (program->n_values == emitter->value_capacity) {
        int32_t capacity = emitter->value_capacity == 0 ? 1024 : emitter->value_capacity * 2;
        ProgramValue *values = realloc(program->values, (size_t)capacity * sizeof *values);
        if (values == NULL) {
            return fail(LIMN_NO_MEMORY, "program of %d values", capacity);
        }
        program->values = values;
        emitter->value_capacity = capacity;
    }
    *value = program->n_values++;
    program->values[*value] =
        (ProgramValue){.shape = shape, .domain = domain, .stage = emitter->stage, .first_step = -1, .slot = -1};
    return LIMN_OK;
}

limn_status emit_step(Emitter *emitter, StepKind kind, NodeId node, Domain domain, Step **step) {
    Program *program = emitter->program;
    if (program->n_steps == emitter->step_capacity) {
        int32_t capacity = emitter->step_capacity == 0 ? 1024 : emitter->step_capacity * 2;
        Step *steps = realloc(program->steps, (size_t)capacity * sizeof *steps);
        if (steps == NULL) {
            return fail(LIMN_NO_MEMORY, "program of %d steps", capacity);
        }
        program->steps = steps;
        emitter->step_capacity = capacity;
    }
    *step = &program->steps[program->n_steps++];
    **step = (Step){.kind = kind,
                    .node = node,
                    .domain = domain,
                    .stage = emitter->stage,
                    .seed = -1,
                    .in = {VALUE_NONE, VALUE_NONE, VALUE_NONE},
                    .out = VALUE_NONE,
                    .aux = VALUE_NONE,
                    .grad_out = VALUE_NONE,
                    .grad_in = {VALUE_NONE, VALUE_NONE, VALUE_NONE}};
    return LIMN_OK;
}

/* Keys and values of an attention into the run's cache. */
static limn_status emit_append(Emitter *emitter, const PlanNode *node) {
    int keys = node->op.kind == OP_ATTENTION_MIX ? -1 : 1;
    int values = node->op.kind == OP_ATTENTION ? 2 : (node->op.kind == OP_ATTENTION_MIX ? 1 : -1);
    Step *step;
    TRY(emit_step(emitter, STEP_APPEND, node->node, DOMAIN_ALL, &step));
    step->op = node->op;
    step->in[0] = keys < 0 ? VALUE_NONE : emitter->value[node->inputs[keys]];
    step->in[1] = values < 0 ? VALUE_NONE : emitter->value[node->inputs[values]];
    return LIMN_OK;
}

/* The run's edits, in place; on a copy when the backward pass reads what the kernel wrote. */
static limn_status emit_edit(Emitter *emitter, const PlanNode *node, ValueId *value) {
    Step *step;
    if (node->needs_grad && (rule_saves(node->rule, node->op.kind) & SAVES_OUT) != 0) {
        ValueId written = *value;
        TRY(emit_value(emitter, node->op.out, node->domain, value));
        TRY(emit_step(emitter, STEP_COPY, node->node, node->domain, &step));
        step->op = node->op;
        step->in[0] = written;
        step->out = *value;
    }
    TRY(emit_step(emitter, STEP_EDIT, node->node, node->domain, &step));
    step->op = node->op;
    step->out = *value;
    step->in[0] = node->inputs[COPY_INPUT] < 0 ? VALUE_NONE : emitter->value[node->inputs[COPY_INPUT]];
    return LIMN_OK;
}

/* The rows that join at this value; from here on it has them too. */
static limn_status emit_join(Emitter *emitter, const PlanNode *node, ValueId value) {
    Step *step;
    emitter->program->values[value].stage = ++emitter->stage;
    TRY(emit_step(emitter, STEP_JOIN, node->node, node->domain, &step));
    step->op = node->op;
    step->out = value;
    return LIMN_OK;
}

static limn_status emit_kernel(Emitter *emitter, const PlanNode *node, ValueId out, ValueId *aux) {
    if (op_aux_width(&node->op) > 0) {
        TRY(emit_value(emitter, (RowShape){1, {op_aux_width(&node->op), 1}}, node->domain, aux));
    }
    Step *step;
    TRY(emit_step(emitter, STEP_FORWARD, node->node, node->domain, &step));
    step->op = node->op;
    step->seed = node->op.kind == OP_SEED ? node->seed : -1;
    step->kernel = node->kernel;
    step->out = out;
    step->aux = *aux;
    for (int k = 0; k < OP_MAX_INPUTS; k++) {
        step->in[k] = node->inputs[k] < 0 ? VALUE_NONE : emitter->value[node->inputs[k]];
    }
    return LIMN_OK;
}

static limn_status emit_given(Emitter *emitter, const PlanNode *node, ValueId out) {
    Step *step;
    TRY(emit_step(emitter, STEP_GIVEN, node->node, node->domain, &step));
    step->op = node->op;
    step->out = out;
    return LIMN_OK;
}

limn_status emit_forward(Emitter *emitter, int32_t index) {
    const PlanNode *node = &emitter->plan->nodes[index];
    ValueId out, aux = VALUE_NONE;
    emitter->stage = node->stage;
    TRY(emit_value(emitter, node->op.out, node->domain, &out));
    TRY(node->given ? emit_given(emitter, node, out) : emit_kernel(emitter, node, out, &aux));
    emitter->own[index] = out;
    emitter->aux[index] = aux;
    if (node->joined) {
        TRY(emit_join(emitter, node, out));
    }
    if (node->edited) {
        TRY(emit_edit(emitter, node, &out));
    }
    emitter->value[index] = out;
    return node->append && emitter->appending ? emit_append(emitter, node) : LIMN_OK;
}

/* Handed-back values: taps, logits, objective, seeds. */
static void keep_results(Emitter *emitter) {
    Program *program = emitter->program;
    const Plan *plan = emitter->plan;
    const Question *question = plan->question;
    for (int32_t i = 0; i < question->n_taps; i++) {
        program->tap_values[i] = emitter->value[plan->index_of[question->taps[i]]];
        program->values[program->tap_values[i]].persistent = true;
    }
    if (question->logits) {
        program->logits_value = emitter->value[plan->index_of[plan->graph->logits]];
        program->values[program->logits_value].persistent = true;
    }
    if (question->objective != NODE_NONE) {
        program->objective_value = emitter->value[plan->index_of[question->objective]];
        program->values[program->objective_value].persistent = true;
    }
    for (int32_t i = 0; i < question->n_seeds; i++) {
        program->seed_values[i] = emitter->value[plan->seeds[i]];
        program->values[program->seed_values[i]].persistent = true;
    }
}

/* What of [begin, end) must be computed again: everything the backward steps read that is no longer there. */
static void mark_again(const Emitter *emitter, int32_t begin, int32_t end, bool *again) {
    const PlanNode *nodes = emitter->plan->nodes;
    for (int32_t i = end - 1; i >= begin; i--) {
        const PlanNode *node = &nodes[i];
        unsigned saves = rule_saves(node->rule, node->op.kind);
        bool backward = node->needs_grad;
        bool reads_own = backward && (((saves & SAVES_OUT) != 0 && emitter->own[i] == VALUE_NONE) ||
                                      ((saves & SAVES_AUX) != 0 && emitter->aux[i] == VALUE_NONE));
        bool handed_over = node->streams && emitter->plan->question->stream_values;
        again[i] = again[i] || reads_own || (handed_over && emitter->value[i] == VALUE_NONE);
        for (int k = 0; k < PLAN_INPUTS; k++) {
            int32_t input = node->inputs[k];
            bool reads = again[i] || (backward && k != COPY_INPUT && (saves & (1u << k)) != 0);
            if (input >= begin && reads && emitter->value[input] == VALUE_NONE) {
                again[input] = true;
            }
        }
    }
}

static limn_status compute_again(Emitter *emitter, int32_t begin, int32_t end) {
    const Plan *plan = emitter->plan;
    bool *again = ARENA_ARRAY(plan->arena, bool, plan->n_nodes + 1);
    bool *crosses = ARENA_ARRAY(plan->arena, bool, plan->n_nodes + 1);
    if (again == NULL || crosses == NULL) {
        return fail(LIMN_NO_MEMORY, "plan of %d nodes", plan->n_nodes);
    }
    for (int32_t j = end; j < plan->n_nodes; j++) {
        for (int k = 0; k < PLAN_INPUTS; k++) {
            if (plan->nodes[j].inputs[k] >= begin && plan->nodes[j].inputs[k] < end) {
                crosses[plan->nodes[j].inputs[k]] = true;
            }
        }
    }
    for (int32_t i = begin; i < end; i++) {
        bool kept = crosses[i] || emitter->program->values[emitter->value[i]].persistent;
        if (!kept || emitter->own[i] != emitter->value[i]) {
            emitter->own[i] = VALUE_NONE;
        }
        if (!kept) {
            emitter->value[i] = VALUE_NONE;
        }
        emitter->aux[i] = VALUE_NONE;
    }
    mark_again(emitter, begin, end, again);
    for (int32_t i = begin; i < end; i++) {
        if (again[i]) {
            TRY(emit_forward(emitter, i));
        }
    }
    return LIMN_OK;
}

limn_status emit_seed(Emitter *emitter, int32_t index) {
    const PlanNode *node = &emitter->plan->nodes[index];
    Step *step;
    emitter->stage = node_value_stage(node);
    TRY(emit_value(emitter, node->op.out, node->domain, &emitter->grad[index]));
    TRY(emit_step(emitter, STEP_SEED, node->node, node->domain, &step));
    step->op = node->op;
    step->seed = node->op.kind == OP_SEED ? node->seed : -1;
    step->out = emitter->grad[index];
    return LIMN_OK;
}

static limn_status emit_backward(Emitter *emitter) {
    const Plan *plan = emitter->plan;
    emitter->appending = false;
    int32_t end = plan->n_nodes;
    while (end > 0) {
        int32_t begin = end;
        bool flows = false;
        while (begin > 0 && plan->nodes[begin - 1].segment == plan->nodes[end - 1].segment) {
            begin--;
            flows = flows || plan->nodes[begin].needs_grad;
        }
        if (flows && end < plan->n_nodes && plan->question->keep == KEEP_LAYER_INPUTS) {
            TRY(compute_again(emitter, begin, end));
        }
        TRY(emit_backward_segment(emitter, begin, end));
        end = begin;
    }
    return LIMN_OK;
}

/* Gradients that were asked for; zero where the objective does not depend on the site. */
static limn_status keep_gradients(Emitter *emitter) {
    const Plan *plan = emitter->plan;
    const Question *question = plan->question;
    for (int32_t i = 0; i < question->n_grads; i++) {
        int32_t index = plan->index_of[question->grads[i]];
        ValueId grad = emitter->kept_grad[index];
        if (grad == VALUE_NONE) {
            Step *step;
            emitter->stage = node_value_stage(&plan->nodes[index]);
            TRY(emit_value(emitter, plan->nodes[index].op.out, plan->nodes[index].domain, &grad));
            TRY(emit_step(emitter, STEP_ZERO, question->grads[i], plan->nodes[index].domain, &step));
            step->op = plan->nodes[index].op;
            step->out = grad;
            emitter->kept_grad[index] = grad;
        }
        emitter->program->values[grad].persistent = true;
        emitter->program->grad_values[i] = grad;
    }
    return LIMN_OK;
}

static ValueId *none_array(Arena *arena, int32_t n) {
    ValueId *array = ARENA_ARRAY(arena, ValueId, n + 1);
    for (int32_t i = 0; array != NULL && i < n; i++) {
        array[i] = VALUE_NONE;
    }
    return array;
}

limn_status plan_emit(Program *program, Plan *plan) {
    int32_t n = plan->n_nodes;
    Emitter emitter = {.program = program,
                       .plan = plan,
                       .appending = true,
                       .value = none_array(plan->arena, n),
                       .own = none_array(plan->arena, n),
                       .aux = none_array(plan->arena, n),
                       .grad = none_array(plan->arena, n),
                       .kept_grad = none_array(plan->arena, n),
                       .grad_read = ARENA_ARRAY(plan->arena, bool, n + 1)};
    if (emitter.value == NULL || emitter.own == NULL || emitter.aux == NULL || emitter.grad == NULL ||
        emitter.kept_grad == NULL || emitter.grad_read == NULL) {
        return fail(LIMN_NO_MEMORY, "plan of %d nodes", n);
    }
    for (int32_t i = 0; i < n; i++) {
        TRY(emit_forward(&emitter, i));
    }
    keep_results(&emitter);
    if (question_differentiates(plan->question)) {
        TRY(emit_backward(&emitter));
    }
    return keep_gradients(&emitter);
}
