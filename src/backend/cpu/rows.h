/* Row-wise kernels of the cpu: elementwise.c, norm.c, rope.c, objective.c. They need vector_kernels(). */
#ifndef LIMN_BACKEND_CPU_ROWS_H
#define LIMN_BACKEND_CPU_ROWS_H

#include "backend/backend.h"
#include "backend/cpu/vector.h"

bool cpu_rows_can(const Op *op, Compute compute, const char **why); /* AVX2 is there */

limn_status cpu_add(const KernelArgs *args);
limn_status cpu_add_backward(const KernelArgs *args);
limn_status cpu_mul(const KernelArgs *args);
limn_status cpu_mul_backward(const KernelArgs *args);
limn_status cpu_softcap(const KernelArgs *args);
limn_status cpu_activation(const KernelArgs *args);
limn_status cpu_activation_backward(const KernelArgs *args);
limn_status cpu_gated_activation(const KernelArgs *args);
limn_status cpu_gated_activation_backward(const KernelArgs *args);

limn_status cpu_statistic_scale(const KernelArgs *args); /* RMS_SCALE and LAYER_SCALE */
limn_status cpu_normalize(const KernelArgs *args);
limn_status cpu_gain(const KernelArgs *args);
limn_status cpu_gain_backward(const KernelArgs *args);
limn_status cpu_norm(const KernelArgs *args);
limn_status cpu_norm_backward(const KernelArgs *args);
size_t cpu_gain_scratch(const Op *op, const KernelSizes *sizes);

bool cpu_rope_can(const Op *op, Compute compute, const char **why);
limn_status cpu_rope(const KernelArgs *args);
limn_status cpu_rope_backward(const KernelArgs *args);

limn_status cpu_log_prob(const KernelArgs *args);
limn_status cpu_log_prob_backward(const KernelArgs *args);
limn_status cpu_seed(const KernelArgs *args);
limn_status cpu_seed_backward(const KernelArgs *args);

/* Runs body over the chunk's rows, on threads when there is enough work. */
static inline limn_status over_rows(const KernelArgs *args, int64_t width, ParallelBody body, void *context) {
    return parallel_for(args->team, args->n_rows, 1 + 16384 / (width + 1), body, context);
}

static inline int64_t shape_width(const KernelArgs *args, const RowShape *shape) {
    return row_shape_width(shape, args->rows->max_keys);
}

#endif
