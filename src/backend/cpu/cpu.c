/* The cpu backend: its kernels, then the plain C ones for everything else. */
#include <stdlib.h>

#include "backend/cpu/attention.h"
#include "backend/cpu/experts.h"
#include "backend/cpu/linear.h"
#include "backend/cpu/rows.h"
#include "backend/cpu/state.h"
#include "backend/cpu/vector.h"
#include "backend/ref/ref.h"

#define ROWS(name, kind, function, scratch)                                                                            \
    { "cpu." name, kind, cpu_rows_can, cpu_##function, cpu_##function##_backward, scratch, NULL }

/* RMS_SCALE, LAYER_SCALE and NORMALIZE appear only when someone looks inside a norm: forward is ours, backward that
 * of the plain kernels. */
static const Kernel kernels_cpu[] = {
    {"cpu.linear", OP_LINEAR, cpu_linear_can, cpu_linear, cpu_linear_backward, cpu_linear_scratch, cpu_linear_prepare},
    {"cpu.attention", OP_ATTENTION, cpu_attention_can, cpu_attention, cpu_attention_backward, cpu_attention_scratch,
     NULL},
    {"cpu.rope", OP_ROPE, cpu_rope_can, cpu_rope, cpu_rope_backward, NULL, NULL},
    {"cpu.rms_scale", OP_RMS_SCALE, cpu_rows_can, cpu_statistic_scale, ref_statistic_scale_backward, NULL, NULL},
    {"cpu.layer_scale", OP_LAYER_SCALE, cpu_rows_can, cpu_statistic_scale, ref_statistic_scale_backward, NULL, NULL},
    {"cpu.normalize", OP_NORMALIZE, cpu_rows_can, cpu_normalize, ref_normalize_backward, NULL, NULL},
    ROWS("gain", OP_GAIN, gain, cpu_gain_scratch),
    ROWS("norm", OP_NORM, norm, cpu_gain_scratch),
    ROWS("add", OP_ADD, add, NULL),
    ROWS("mul", OP_MUL, mul, NULL),
    ROWS("activation", OP_ACTIVATION, activation, NULL),
    {"cpu.softcap", OP_SOFTCAP, cpu_rows_can, cpu_softcap, ref_softcap_backward, NULL, NULL},
    ROWS("gated_activation", OP_GATED_ACTIVATION, gated_activation, NULL),
    {"cpu.expert_linear", OP_EXPERT_LINEAR, cpu_experts_can, cpu_expert_linear, cpu_expert_linear_backward,
     cpu_experts_scratch, NULL},
    {"cpu.experts", OP_EXPERTS, cpu_experts_can, cpu_experts, cpu_experts_backward, cpu_experts_scratch, NULL},
    ROWS("log_prob", OP_LOG_PROB, log_prob, NULL),
    ROWS("seed", OP_SEED, seed, ref_seed_scratch),
    {.name = NULL},
};

static void state_free(BackendState *state) {
    if (state != NULL) {
        matmul_free(state->matmul);
        exact_weights_free(state->exact);
        packs_free(state->packs);
        free(state);
    }
}

static limn_status state_new(BackendState **state) {
    BackendState *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return fail(LIMN_NO_MEMORY, "no memory for the state of the cpu backend");
    }
    limn_status status = matmul_new(&made->matmul);
    if (status == LIMN_OK) {
        status = exact_weights_new(&made->exact);
    }
    if (status == LIMN_OK) {
        status = packs_new(&made->packs);
    }
    if (status != LIMN_OK) {
        state_free(made);
        return status;
    }
    *state = made;
    return LIMN_OK;
}

static void set_weight_budget(BackendState *state, size_t bytes) {
    packs_set_budget(state->packs, bytes);
}

static size_t weight_bytes(BackendState *state, const Op *op, Compute compute, bool backward, int64_t uses) {
    const char *why;
    size_t bytes = 0;
    if (op->kind == OP_LINEAR) {
        return cpu_linear_can(op, compute, &why)
                   ? cpu_linear_weight_bytes(state, &op->weights[0], compute, backward, uses)
                   : 0;
    }
    bool experts = op->kind == OP_EXPERTS || op->kind == OP_EXPERT_LINEAR;
    for (int which = 0; experts && which < (op->kind == OP_EXPERTS ? EXPERT_MATRICES : 1); which++) {
        for (int32_t e = 0; e < op->attributes.n_experts && cpu_experts_can(op, compute, &why); e++) {
            bytes += cpu_linear_weight_bytes(state, &op->attributes.experts[which][e], compute, backward, uses);
        }
    }
    return bytes;
}

static const Kernel *const lists[] = {kernels_cpu, kernels_ref, NULL};

const Backend backend_cpu = {
    .name = "cpu",
    .lists = lists,
    .state_new = state_new,
    .state_free = state_free,
    .set_weight_budget = set_weight_budget,
    .weight_bytes = weight_bytes,
    .describe = matmul_describe,
};
