/* LINEAR on the cpu: see linear.c. */
#ifndef LIMN_BACKEND_CPU_LINEAR_H
#define LIMN_BACKEND_CPU_LINEAR_H

#include "backend/backend.h"

bool cpu_linear_can(const Op *op, Compute compute, const char **why);
limn_status cpu_linear(const KernelArgs *args);
limn_status cpu_linear_backward(const KernelArgs *args);
size_t cpu_linear_scratch(const Op *op, const KernelSizes *sizes);
/* Of the weight in the layout that one direction reads, when it is used so often. */
size_t cpu_linear_weight_bytes(BackendState *state, const Weight *weight, Compute compute, bool backward, int64_t uses);
limn_status cpu_linear_prepare(BackendState *state, Team *team, const Op *op, const KernelSizes *sizes);

#endif
