/* EXPERT_LINEAR and EXPERTS on the cpu: see experts.c. */
#ifndef LIMN_BACKEND_CPU_EXPERTS_H
#define LIMN_BACKEND_CPU_EXPERTS_H

#include "backend/backend.h"

bool cpu_experts_can(const Op *op, Compute compute, const char **why);
limn_status cpu_expert_linear(const KernelArgs *args);
limn_status cpu_expert_linear_backward(const KernelArgs *args);
limn_status cpu_experts(const KernelArgs *args);
limn_status cpu_experts_backward(const KernelArgs *args);
size_t cpu_experts_scratch(const Op *op, const KernelSizes *sizes);

#endif
