/* The list of the plain kernels and their backend. */
#include "backend/ref/ref.h"

/* Rows worth a thread of their own: about this many elements. */
enum { ELEMENTS_PER_RANGE = 16384 };

limn_status ref_over_rows(const KernelArgs *args, int64_t width, ParallelBody body) {
    int64_t grain = width > 0 ? ELEMENTS_PER_RANGE / width : ELEMENTS_PER_RANGE;
    return parallel_for(args->team, args->n_rows, grain, body, (void *)(uintptr_t)args);
}

#define ROW_KERNEL(kind, text, forward, backward)                                                                      \
    { "ref." text, OP_##kind, NULL, forward, backward, NULL, NULL }
#define ATTENTION_KERNEL(kind, text, forward, backward)                                                                \
    { "ref." text, OP_##kind, NULL, forward, backward, ref_attention_scratch, NULL }

const Kernel kernels_ref[] = {
    ROW_KERNEL(EMBED, "embed", ref_embed, NULL),
    ROW_KERNEL(POSITION_EMBED, "position_embed", ref_position_embed, NULL),
    ROW_KERNEL(TYPE_EMBED, "type_embed", ref_type_embed, NULL),
    ROW_KERNEL(LINEAR, "linear", ref_linear, ref_linear_backward),
    ROW_KERNEL(ADD, "add", ref_add, ref_add_backward),
    ROW_KERNEL(MUL, "mul", ref_mul, ref_mul_backward),
    ROW_KERNEL(SCALE, "scale", ref_scale, ref_scale_backward),
    ROW_KERNEL(ACTIVATION, "activation", ref_activation, ref_activation_backward),
    ROW_KERNEL(SOFTCAP, "softcap", ref_softcap, ref_softcap_backward),
    ROW_KERNEL(RMS_SCALE, "rms_scale", ref_statistic_scale, ref_statistic_scale_backward),
    ROW_KERNEL(LAYER_SCALE, "layer_scale", ref_statistic_scale, ref_statistic_scale_backward),
    ROW_KERNEL(NORMALIZE, "normalize", ref_normalize, ref_normalize_backward),
    ROW_KERNEL(GAIN, "gain", ref_gain, ref_gain_backward),
    ROW_KERNEL(ROPE, "rope", ref_rope, ref_rope_backward),
    ATTENTION_KERNEL(ATTENTION_SCORES, "attention_scores", ref_attention_scores, ref_attention_scores_backward),
    ROW_KERNEL(ATTENTION_PATTERN, "attention_pattern", ref_attention_pattern, ref_attention_pattern_backward),
    ATTENTION_KERNEL(ATTENTION_MIX, "attention_mix", ref_attention_mix, ref_attention_mix_backward),
    ROW_KERNEL(HEAD_LINEAR, "head_linear", ref_head_linear, ref_head_linear_backward),
    ROW_KERNEL(SUM_HEADS, "sum_heads", ref_sum_heads, ref_sum_heads_backward),
    ROW_KERNEL(SOFTMAX, "softmax", ref_softmax, ref_softmax_backward),
    ROW_KERNEL(TOP_K, "top_k", ref_top_k, NULL),
    ROW_KERNEL(ROUTE, "route", ref_route, ref_route_backward),
    ROW_KERNEL(EXPERT_LINEAR, "expert_linear", ref_expert_linear, ref_expert_linear_backward),
    ROW_KERNEL(EXPERT_MIX, "expert_mix", ref_expert_mix, ref_expert_mix_backward),
    {"ref.experts", OP_EXPERTS, NULL, ref_experts, ref_experts_backward, ref_experts_scratch, NULL},
    ROW_KERNEL(SELECT_ROWS, "select_rows", ref_select_rows, ref_select_rows_backward),
    ROW_KERNEL(LOG_PROB, "log_prob", ref_log_prob, ref_log_prob_backward),
    ROW_KERNEL(PICK, "pick", ref_pick, ref_pick_backward),
    {"ref.seed", OP_SEED, NULL, ref_seed, ref_seed_backward, ref_seed_scratch, NULL},
    ROW_KERNEL(NORM, "norm", ref_norm, ref_norm_backward),
    ATTENTION_KERNEL(ATTENTION, "attention", ref_attention, ref_attention_backward),
    ROW_KERNEL(GATED_ACTIVATION, "gated_activation", ref_gated_activation, ref_gated_activation_backward),
    {NULL, OP_COUNT, NULL, NULL, NULL, NULL, NULL},
};

static const Kernel *const lists[] = {kernels_ref, NULL};

static limn_status state_new(BackendState **state) {
    *state = NULL; /* keeps nothing */
    return LIMN_OK;
}

static void state_free(BackendState *state) {
    (void)state;
}

static const char *describe(void) {
    return "plain C, sums in double";
}

const Backend backend_ref = {
    .name = "ref", .lists = lists, .state_new = state_new, .state_free = state_free, .describe = describe};
