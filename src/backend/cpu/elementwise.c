/* ADD, MUL, ACTIVATION, GATED_ACTIVATION, SOFTCAP: the chunk is one run of elements. */
#include "backend/cpu/rows.h"
#include "backend/ref/ref.h"

bool cpu_rows_can(const Op *op, Compute compute, const char **why) {
    (void)op;
    (void)compute;
    if (vector_kernels() == NULL) {
        *why = "needs AVX2";
        return false;
    }
    return true;
}

/* Begin and count of the elements of rows [begin, end). */
typedef struct Run {
    int64_t at;
    int64_t n;
} Run;

static Run run_of(const KernelArgs *args, int64_t begin, int64_t end) {
    int64_t width = shape_width(args, &args->op->out);
    return (Run){begin * width, (end - begin) * width};
}

static limn_status over_elements(const KernelArgs *args, ParallelBody body) {
    return over_rows(args, shape_width(args, &args->op->out), body, (void *)(uintptr_t)args);
}

static float *place(float *base, Run run) {
    return base == NULL ? NULL : base + run.at;
}

static limn_status add_body(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    Run run = run_of(args, begin, end);
    vector_kernels()->add(args->out + run.at, args->in[0] + run.at, args->in[1] + run.at, run.n, false);
    return LIMN_OK;
}

static limn_status add_backward_body(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    Run run = run_of(args, begin, end);
    for (int i = 0; i < 2; i++) {
        if (args->grad_in[i] != NULL) {
            vector_kernels()->add(args->grad_in[i] + run.at, args->grad_out + run.at, NULL, run.n, args->accumulate[i]);
        }
    }
    return LIMN_OK;
}

static limn_status mul_body(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    Run run = run_of(args, begin, end);
    vector_kernels()->multiply(args->out + run.at, args->in[0] + run.at, args->in[1] + run.at, run.n, false);
    return LIMN_OK;
}

static limn_status mul_backward_body(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    Run run = run_of(args, begin, end);
    for (int i = 0; i < 2; i++) {
        if (args->grad_in[i] != NULL) {
            vector_kernels()->multiply(args->grad_in[i] + run.at, args->grad_out + run.at, args->in[1 - i] + run.at,
                                       run.n, args->accumulate[i]);
        }
    }
    return LIMN_OK;
}

static limn_status activation_body(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    Run run = run_of(args, begin, end);
    const float *factor = args->op->kind == OP_GATED_ACTIVATION ? args->in[1] + run.at : NULL;
    vector_kernels()->activate(args->op->attributes.activation, args->out + run.at, args->in[0] + run.at, factor,
                               run.n);
    return LIMN_OK;
}

static limn_status softcap_body(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    Run run = run_of(args, begin, end);
    vector_kernels()->softcap(args->out + run.at, args->in[0] + run.at, args->op->attributes.softcap, run.n);
    return LIMN_OK;
}

static limn_status activation_backward_body(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    Run run = run_of(args, begin, end);
    bool gated = args->op->kind == OP_GATED_ACTIVATION;
    bool ratio = args->rule == GRADIENT_RATIO || args->rule == GRADIENT_HALF_RATIO;
    vector_kernels()->activate_backward(
        args->op->attributes.activation, place(args->grad_in[0], run), gated ? place(args->grad_in[1], run) : NULL,
        args->in[0] + run.at, gated ? args->in[1] + run.at : NULL, args->grad_out + run.at, run.n, args->accumulate[0],
        args->accumulate[1], ratio, args->rule == GRADIENT_HALF_RATIO ? 0.5F : 1.0F);
    return LIMN_OK;
}

limn_status cpu_add(const KernelArgs *args) {
    return over_elements(args, add_body);
}

limn_status cpu_add_backward(const KernelArgs *args) {
    return over_elements(args, add_backward_body);
}

limn_status cpu_mul(const KernelArgs *args) {
    return over_elements(args, mul_body);
}

limn_status cpu_mul_backward(const KernelArgs *args) {
    /* halved products are rare outside fused forms */
    return args->rule == GRADIENT_HALF ? ref_mul_backward(args) : over_elements(args, mul_backward_body);
}

limn_status cpu_activation(const KernelArgs *args) {
    return over_elements(args, activation_body);
}

limn_status cpu_activation_backward(const KernelArgs *args) {
    return over_elements(args, activation_backward_body);
}

limn_status cpu_softcap(const KernelArgs *args) {
    return over_elements(args, softcap_body);
}

limn_status cpu_gated_activation(const KernelArgs *args) {
    return over_elements(args, activation_body);
}

limn_status cpu_gated_activation_backward(const KernelArgs *args) {
    return over_elements(args, activation_backward_body);
}
