/* RMS_SCALE, LAYER_SCALE, NORMALIZE, GAIN, NORM. A row is one or more groups of n elements, each with a scale of
 * its own. Gain and bias are made f32 once for a chunk, in scratch. */
#include <string.h>

#include "backend/cpu/rows.h"

size_t cpu_gain_scratch(const Op *op, const KernelSizes *sizes) {
    (void)sizes;
    return 2 * sizeof(float) * (size_t)row_shape_last(&op->in[0]);
}

typedef struct Gains {
    const KernelArgs *args;
    const VectorKernels *vector;
    int64_t n;         /* elements of a group */
    int64_t groups;    /* in a row */
    const float *gain; /* [n] or NULL */
    const float *bias; /* [n] or NULL */
} Gains;

static const float *as_f32(float *out, const Weight *weight, float plus) {
    if (weight->data == NULL) {
        return NULL;
    }
    for (int64_t i = 0; i < weight->rows; i++) {
        if (weight->dtype == DTYPE_F32) {
            memcpy(&out[i], (const char *)weight->data + i * weight->row_stride * 4, sizeof out[i]);
        } else {
            uint16_t bits;
            memcpy(&bits, (const char *)weight->data + i * weight->row_stride * 2, sizeof bits);
            out[i] = bf16_to_f32(bits);
        }
        out[i] += plus;
    }
    return out;
}

static Gains gains_of(const KernelArgs *args) {
    const Op *op = args->op;
    Gains gains = {.args = args, .vector = vector_kernels(), .n = row_shape_last(&op->in[0])};
    gains.groups = shape_width(args, &op->in[0]) / gains.n;
    float *scratch = args->scratch;
    gains.gain = as_f32(scratch, &op->weights[0], op->attributes.gain_plus_one ? 1.0F : 0.0F);
    gains.bias = as_f32(scratch + gains.n, &op->weights[1], 0.0F);
    return gains;
}

static limn_status scale_body(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    int64_t groups = shape_width(args, &args->op->out);
    int64_t n = shape_width(args, &args->op->in[0]) / groups;
    bool centered = args->op->kind == OP_LAYER_SCALE;
    for (int64_t i = begin * groups; i < end * groups; i++) {
        float mean;
        args->out[i] =
            vector_kernels()->row_scale(args->in[0] + i * n, n, args->op->attributes.epsilon, centered, &mean);
    }
    return LIMN_OK;
}

static limn_status normalize_body(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    int64_t groups = shape_width(args, &args->op->in[1]);
    int64_t n = shape_width(args, &args->op->in[0]) / groups;
    const VectorKernels *vector = vector_kernels();
    for (int64_t i = begin * groups; i < end * groups; i++) {
        float mean = 0.0F;
        if (args->op->attributes.centered) {
            vector->row_scale(args->in[0] + i * n, n, 0.0F, true, &mean);
        }
        vector->row_norm(args->out + i * n, args->in[0] + i * n, n, mean, args->in[1][i], NULL, NULL);
    }
    return LIMN_OK;
}

static limn_status gain_body(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const Gains *g = context;
    for (int64_t i = begin * g->groups; i < end * g->groups; i++) {
        g->vector->row_gain(g->args->out + i * g->n, g->args->in[0] + i * g->n, g->n, g->gain, g->bias, false);
    }
    return LIMN_OK;
}

static limn_status gain_backward_body(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const Gains *g = context;
    for (int64_t i = begin * g->groups; i < end * g->groups; i++) {
        g->vector->row_gain(g->args->grad_in[0] + i * g->n, g->args->grad_out + i * g->n, g->n, g->gain, NULL,
                            g->args->accumulate[0]);
    }
    return LIMN_OK;
}

static limn_status norm_body(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const Gains *g = context;
    const OpAttributes *attributes = &g->args->op->attributes;
    for (int64_t i = begin * g->groups; i < end * g->groups; i++) {
        const float *x = g->args->in[0] + i * g->n;
        float mean;
        float scale = g->vector->row_scale(x, g->n, attributes->epsilon, attributes->centered, &mean);
        g->vector->row_norm(g->args->out + i * g->n, x, g->n, mean, scale, g->gain, g->bias);
    }
    return LIMN_OK;
}

static limn_status norm_backward_body(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const Gains *g = context;
    const OpAttributes *attributes = &g->args->op->attributes;
    for (int64_t i = begin * g->groups; i < end * g->groups; i++) {
        const float *x = g->args->in[0] + i * g->n;
        float mean;
        float scale = g->vector->row_scale(x, g->n, attributes->epsilon, attributes->centered, &mean);
        g->vector->row_norm_backward(g->args->grad_in[0] + i * g->n, x, g->args->grad_out + i * g->n, g->n, mean, scale,
                                     g->gain, attributes->centered, g->args->rule == GRADIENT_CONSTANT,
                                     g->args->accumulate[0]);
    }
    return LIMN_OK;
}

static limn_status over_input(const KernelArgs *args, ParallelBody body, const void *context) {
    return over_rows(args, shape_width(args, &args->op->in[0]), body, (void *)(uintptr_t)context);
}

limn_status cpu_statistic_scale(const KernelArgs *args) {
    return over_input(args, scale_body, args);
}

limn_status cpu_normalize(const KernelArgs *args) {
    return over_input(args, normalize_body, args);
}

limn_status cpu_gain(const KernelArgs *args) {
    Gains gains = gains_of(args);
    return over_input(args, gain_body, &gains);
}

limn_status cpu_gain_backward(const KernelArgs *args) {
    Gains gains = gains_of(args);
    return args->grad_in[0] == NULL ? LIMN_OK : over_input(args, gain_backward_body, &gains);
}

limn_status cpu_norm(const KernelArgs *args) {
    Gains gains = gains_of(args);
    return over_input(args, norm_body, &gains);
}

limn_status cpu_norm_backward(const KernelArgs *args) {
    Gains gains = gains_of(args);
    return args->grad_in[0] == NULL ? LIMN_OK : over_input(args, norm_backward_body, &gains);
}
