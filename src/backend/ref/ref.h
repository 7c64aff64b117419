/* The plain C kernels: what each operation means. Slow, readable, summed in double and stored in f32; every
 * other backend is tested against them and falls back on them. */
#ifndef LIMN_BACKEND_REF_REF_H
#define LIMN_BACKEND_REF_REF_H

#include <string.h>

#include "backend/backend.h"
#include "base/parallel.h"

/* A kernel for every row of ops.def, ended by a row with name NULL. Other backends put it last. */
extern const Kernel kernels_ref[];

limn_status ref_embed(const KernelArgs *args);
limn_status ref_position_embed(const KernelArgs *args);
limn_status ref_type_embed(const KernelArgs *args);

limn_status ref_linear(const KernelArgs *args);
limn_status ref_linear_backward(const KernelArgs *args);
limn_status ref_head_linear(const KernelArgs *args);
limn_status ref_head_linear_backward(const KernelArgs *args);
limn_status ref_sum_heads(const KernelArgs *args);
limn_status ref_sum_heads_backward(const KernelArgs *args);

limn_status ref_add(const KernelArgs *args);
limn_status ref_add_backward(const KernelArgs *args);
limn_status ref_mul(const KernelArgs *args);
limn_status ref_mul_backward(const KernelArgs *args);
limn_status ref_scale(const KernelArgs *args);
limn_status ref_scale_backward(const KernelArgs *args);
limn_status ref_activation(const KernelArgs *args);
limn_status ref_activation_backward(const KernelArgs *args);
limn_status ref_gated_activation(const KernelArgs *args);
limn_status ref_gated_activation_backward(const KernelArgs *args);
limn_status ref_softcap(const KernelArgs *args);
limn_status ref_softcap_backward(const KernelArgs *args);

limn_status ref_statistic_scale(const KernelArgs *args); /* RMS_SCALE and LAYER_SCALE */
limn_status ref_statistic_scale_backward(const KernelArgs *args);
limn_status ref_normalize(const KernelArgs *args);
limn_status ref_normalize_backward(const KernelArgs *args);
limn_status ref_gain(const KernelArgs *args);
limn_status ref_gain_backward(const KernelArgs *args);
limn_status ref_norm(const KernelArgs *args);
limn_status ref_norm_backward(const KernelArgs *args);

limn_status ref_rope(const KernelArgs *args);
limn_status ref_rope_backward(const KernelArgs *args);

limn_status ref_attention_scores(const KernelArgs *args);
limn_status ref_attention_scores_backward(const KernelArgs *args);
limn_status ref_attention_pattern(const KernelArgs *args);
limn_status ref_attention_pattern_backward(const KernelArgs *args);
limn_status ref_attention_mix(const KernelArgs *args);
limn_status ref_attention_mix_backward(const KernelArgs *args);
limn_status ref_attention(const KernelArgs *args);
limn_status ref_attention_backward(const KernelArgs *args);
/* Scratch of the four attention ops, bytes. */
size_t ref_attention_scratch(const Op *op, const KernelSizes *sizes);

limn_status ref_softmax(const KernelArgs *args);
limn_status ref_softmax_backward(const KernelArgs *args);
limn_status ref_top_k(const KernelArgs *args);
limn_status ref_route(const KernelArgs *args);
limn_status ref_route_backward(const KernelArgs *args);
limn_status ref_expert_linear(const KernelArgs *args);
limn_status ref_expert_linear_backward(const KernelArgs *args);
limn_status ref_expert_mix(const KernelArgs *args);
limn_status ref_expert_mix_backward(const KernelArgs *args);
limn_status ref_experts(const KernelArgs *args);
limn_status ref_experts_backward(const KernelArgs *args);
size_t ref_experts_scratch(const Op *op, const KernelSizes *sizes);

limn_status ref_select_rows(const KernelArgs *args);
limn_status ref_select_rows_backward(const KernelArgs *args);

limn_status ref_log_prob(const KernelArgs *args);
limn_status ref_log_prob_backward(const KernelArgs *args);
limn_status ref_pick(const KernelArgs *args);
limn_status ref_pick_backward(const KernelArgs *args);
limn_status ref_seed(const KernelArgs *args);
limn_status ref_seed_backward(const KernelArgs *args);
/* The same with the loops of another backend. */
limn_status ref_seed_with(const KernelArgs *args, const SeedLoops *loops, bool backward);
size_t ref_seed_scratch(const Op *op, const KernelSizes *sizes);

/* f and f' of activations.def, in double. */
double ref_activation_value(Activation activation, double x);
double ref_activation_slope(Activation activation, double x);
double ref_activation_ratio(Activation activation, double x); /* f(x) / x; at 0 its limit */

/* Runs body over the chunk's rows [begin, end), on threads when the rows are many or wide. */
limn_status ref_over_rows(const KernelArgs *args, int64_t width, ParallelBody body);

static inline int64_t ref_width(const KernelArgs *args, const RowShape *shape) {
    return row_shape_width(shape, args->rows->max_keys);
}

/* Writes a gradient element, or adds to it. */
static inline void ref_put(float *place, bool accumulate, double value) {
    *place = accumulate ? (float)((double)*place + value) : (float)value;
}

/* The value that a bf16 holds after rounding to nearest even; NaN stays NaN. */
static inline float ref_round_bf16(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x7fffffffU) > 0x7f800000U) {
        return value;
    }
    bits = (bits + 0x7fffU + ((bits >> 16) & 1U)) & 0xffff0000U;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The bf16 at `bytes`, which need not be aligned. */
static inline float ref_widen_bf16(const void *bytes) {
    uint16_t half;
    memcpy(&half, bytes, sizeof half);
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Element [row, column] of a weight; its bytes need not be aligned (they may lie in a mapped file). */
static inline float ref_weight_at(const Weight *weight, int64_t row, int64_t column) {
    int64_t index = row * weight->row_stride + column * weight->column_stride;
    if (weight->dtype == DTYPE_BF16) {
        return ref_widen_bf16((const char *)weight->data + index * 2);
    }
    float value;
    memcpy(&value, (const char *)weight->data + index * 4, sizeof value);
    return value;
}

#endif
