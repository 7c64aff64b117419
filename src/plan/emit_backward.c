/* The backward pass: gradients flow from readers to what they read.
 *
 * An addition hands its own gradient on without a copy: several nodes then share one value. Whoever adds to a
 * shared value while another still has to read it, or while it is to be handed back, works on a copy. */
#include "plan/emit.h"

/* Does somebody besides `index` still need the gradient value that `index` holds? */
static bool needed_elsewhere(const Emitter *emitter, int32_t index) {
    const Plan *plan = emitter->plan;
    ValueId grad = emitter->grad[index];
    for (int32_t i = 0; i < plan->n_nodes; i++) {
        bool pending = emitter->grad[i] == grad && !emitter->grad_read[i];
        if ((i != index && pending) || emitter->kept_grad[i] == grad) {
            return true;
        }
    }
    return false;
}

static limn_status emit_copy(Emitter *emitter, int32_t index) {
    const PlanNode *node = &emitter->plan->nodes[index];
    ValueId copy;
    Step *step;
    TRY(emit_value(emitter, node->op.out, node->domain, &copy));
    TRY(emit_step(emitter, STEP_COPY, node->node, node->domain, &step));
    step->op = node->op;
    step->in[0] = emitter->grad[index];
    step->out = copy;
    emitter->grad[index] = copy;
    return LIMN_OK;
}

/* The value a kernel writes (or adds) the gradient of `index` to. */
static limn_status grad_target(Emitter *emitter, int32_t index, bool *accumulate) {
    const PlanNode *node = &emitter->plan->nodes[index];
    *accumulate = emitter->grad[index] != VALUE_NONE;
    if (!*accumulate) {
        return emit_value(emitter, node->op.out, node->domain, &emitter->grad[index]);
    }
    return needed_elsewhere(emitter, index) ? emit_copy(emitter, index) : LIMN_OK;
}

static limn_status emit_add_into(Emitter *emitter, int32_t index, ValueId from) {
    bool accumulate;
    TRY(grad_target(emitter, index, &accumulate));
    const PlanNode *node = &emitter->plan->nodes[index];
    Step *step;
    TRY(emit_step(emitter, accumulate ? STEP_ADD_INTO : STEP_COPY, node->node, node->domain, &step));
    step->op = node->op;
    step->in[0] = from;
    step->out = emitter->grad[index];
    return LIMN_OK;
}

/* Both terms of a sum get its gradient as it is. */
static limn_status pass_on(Emitter *emitter, int32_t index) {
    const PlanNode *node = &emitter->plan->nodes[index];
    for (int k = 0; k < 2; k++) {
        int32_t input = node->inputs[k];
        if (!emitter->plan->nodes[input].needs_grad) {
            continue;
        }
        if (emitter->grad[input] == VALUE_NONE) {
            emitter->grad[input] = emitter->grad[index];
        } else {
            TRY(emit_add_into(emitter, input, emitter->grad[index]));
        }
    }
    return LIMN_OK;
}

/* An input that appears twice gets its second share through a value of its own. */
static bool appears_before(const PlanNode *node, int k) {
    for (int i = 0; i < k; i++) {
        if (node->inputs[i] == node->inputs[k]) {
            return true;
        }
    }
    return false;
}

static limn_status emit_kernel(Emitter *emitter, int32_t index) {
    const PlanNode *node = &emitter->plan->nodes[index];
    ValueId targets[OP_MAX_INPUTS] = {VALUE_NONE, VALUE_NONE, VALUE_NONE};
    bool accumulate[OP_MAX_INPUTS] = {false, false, false};
    bool wanted = false;
    for (int k = 0; k < OP_MAX_INPUTS; k++) {
        int32_t input = node->inputs[k];
        if (!plan_passes(node, k) || !emitter->plan->nodes[input].needs_grad) {
            continue;
        }
        wanted = true;
        if (appears_before(node, k)) {
            TRY(emit_value(emitter, node->op.in[k], emitter->plan->nodes[input].domain, &targets[k]));
        } else {
            TRY(grad_target(emitter, input, &accumulate[k]));
            targets[k] = emitter->grad[input];
        }
    }
    if (!wanted) {
        return LIMN_OK;
    }
    unsigned saves = rule_saves(node->rule, node->op.kind);
    Step *step;
    TRY(emit_step(emitter, STEP_BACKWARD, node->node, node->domain, &step));
    step->op = node->op;
    step->rule = node->rule;
    step->seed = node->op.kind == OP_SEED ? node->seed : -1;
    step->kernel = node->kernel;
    step->grad_out = emitter->grad[index];
    step->out = (saves & SAVES_OUT) != 0 ? emitter->own[index] : VALUE_NONE;
    step->aux = (saves & SAVES_AUX) != 0 ? emitter->aux[index] : VALUE_NONE;
    for (int k = 0; k < OP_MAX_INPUTS; k++) {
        bool saved = node->inputs[k] >= 0 && (saves & (1u << k)) != 0;
        step->in[k] = saved ? emitter->value[node->inputs[k]] : VALUE_NONE;
        step->grad_in[k] = targets[k];
        step->accumulate[k] = accumulate[k];
    }
    for (int k = 0; k < OP_MAX_INPUTS; k++) {
        if (targets[k] != VALUE_NONE && appears_before(node, k)) {
            TRY(emit_add_into(emitter, node->inputs[k], targets[k]));
        }
    }
    return LIMN_OK;
}

/* What flows on through an edited value is its gradient less what the edit cut off; a copied part's goes to the site
 * that it is a copy of. */
static limn_status emit_edit_grad(Emitter *emitter, int32_t index) {
    const PlanNode *node = &emitter->plan->nodes[index];
    int32_t copied = node->inputs[COPY_INPUT];
    bool accumulate = false;
    if (needed_elsewhere(emitter, index)) {
        TRY(emit_copy(emitter, index));
    }
    if (copied >= 0 && emitter->plan->nodes[copied].needs_grad) {
        TRY(grad_target(emitter, copied, &accumulate));
    }
    Step *step;
    TRY(emit_step(emitter, STEP_EDIT_GRAD, node->node, node->domain, &step));
    step->op = node->op;
    step->out = emitter->grad[index];
    if (copied >= 0 && emitter->plan->nodes[copied].needs_grad) {
        step->grad_in[0] = emitter->grad[copied];
        step->accumulate[0] = accumulate;
    }
    return LIMN_OK;
}

/* Not through a choice, nor where a rule stops it. */
static bool flows_further(const Plan *plan, const PlanNode *node) {
    for (int k = 0; k < PLAN_INPUTS; k++) {
        if (plan_passes(node, k) && plan->nodes[node->inputs[k]].needs_grad) {
            return true;
        }
    }
    return false;
}

static limn_status emit_hand_over(Emitter *emitter, int32_t index) {
    const PlanNode *node = &emitter->plan->nodes[index];
    Step *step;
    TRY(emit_step(emitter, STEP_HAND_OVER, node->node, node->domain, &step));
    step->op = node->op;
    step->grad_out = emitter->grad[index];
    step->in[0] = emitter->plan->question->stream_values ? emitter->value[index] : VALUE_NONE;
    return LIMN_OK;
}

limn_status emit_backward_segment(Emitter *emitter, int32_t begin, int32_t end) {
    const Plan *plan = emitter->plan;
    for (int32_t i = end - 1; i >= begin; i--) {
        const PlanNode *node = &plan->nodes[i];
        if (node->needs_grad && plan_is_objective(plan, i)) {
            TRY(emit_seed(emitter, i));
        }
        if (!node->needs_grad || emitter->grad[i] == VALUE_NONE) {
            emitter->grad_read[i] = true;
            continue;
        }
        if (node->wants_grad) {
            emitter->kept_grad[i] = emitter->grad[i];
        }
        if (node->streams) {
            emitter->stage = node_value_stage(node);
            TRY(emit_hand_over(emitter, i));
        }
        emitter->stage = node->stage;
        if (flows_further(plan, node)) {
            if (node->joined) { /* what joined here ends here; what lies before gets a value of its own rows */
                TRY(emit_copy(emitter, i));
            }
            if (node->edited) {
                TRY(emit_edit_grad(emitter, i));
            }
            TRY(node->op.kind == OP_ADD ? pass_on(emitter, i) : emit_kernel(emitter, i));
        }
        emitter->grad_read[i] = true;
    }
    return LIMN_OK;
}
