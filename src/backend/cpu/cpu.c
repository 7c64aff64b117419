/* The cpu backend: its kernels, then the plain C ones for everything else. */
#include <stdlib.h>

#include "backend/cpu/attention.h"
#include "backend/cpu/linear.h"
#include "backend/cpu/state.h"
#include "backend/cpu/vector.h"
#include "backend/ref/ref.h"

static const Kernel kernels_cpu[] = {
    {"cpu.linear", OP_LINEAR, cpu_linear_can, cpu_linear, cpu_linear_backward, cpu_linear_scratch, cpu_linear_prepare},
    {"cpu.attention", OP_ATTENTION, cpu_attention_can, cpu_attention, cpu_attention_backward, cpu_attention_scratch,
     NULL},
    {.name = NULL},
};

static limn_status state_new(BackendState **state) {
    BackendState *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return fail(LIMN_NO_MEMORY, "no memory for the state of the cpu backend");
    }
    limn_status status = matmul_new(&made->matmul);
    if (status != LIMN_OK) {
        free(made);
        return status;
    }
    *state = made;
    return LIMN_OK;
}

static void state_free(BackendState *state) {
    if (state != NULL) {
        matmul_free(state->matmul);
        free(state);
    }
}

static const Kernel *const lists[] = {kernels_cpu, kernels_ref, NULL};

const Backend backend_cpu = {
    .name = "cpu",
    .lists = lists,
    .state_new = state_new,
    .state_free = state_free,
    .describe = matmul_describe,
};
