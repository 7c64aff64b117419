/* LOG_PROB: log softmax(x)[target], and its gradient g (onehot(target) - softmax(x)). The sum is taken again in the
 * backward pass: a saved f32 log-sum-exp would cost a relative 1e-6 of every probability. */
#include <math.h>
#include <string.h>

#include "backend/cpu/rows.h"

static limn_status target_of(const KernelArgs *args, int64_t r, int64_t width, int64_t *target) {
    if (args->rows->target == NULL) {
        return fail(LIMN_INTERNAL, "LOG_PROB: the row table has no targets");
    }
    *target = args->rows->target[args->row_begin + r];
    if (*target < -1 || *target >= width) {
        return fail(LIMN_RANGE, "target id %lld is outside 0..%lld", (long long)*target, (long long)width - 1);
    }
    return LIMN_OK;
}

static limn_status log_prob_body(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    int64_t width = shape_width(args, &args->op->in[0]);
    for (int64_t r = begin; r < end; r++) {
        const float *x = args->in[0] + r * width; /* [V] */
        int64_t target;
        TRY(target_of(args, r, width, &target));
        double sum;
        double largest = (double)vector_kernels()->row_exp_sum(x, width, &sum);
        double lse = isinf(largest) ? largest : largest + log(sum);
        args->out[r] = target < 0 ? 0.0F : (float)((double)x[target] - lse);
        if (args->aux != NULL) {
            args->aux[r] = (float)lse;
        }
    }
    return LIMN_OK;
}

static limn_status log_prob_backward_body(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    int64_t width = shape_width(args, &args->op->in[0]);
    for (int64_t r = begin; r < end; r++) {
        const float *x = args->in[0] + r * width; /* [V] */
        float *into = args->grad_in[0] + r * width;
        int64_t target;
        TRY(target_of(args, r, width, &target));
        if (target < 0) {
            if (!args->accumulate[0]) {
                memset(into, 0, sizeof(float) * (size_t)width);
            }
            continue;
        }
        double sum;
        float largest = vector_kernels()->row_exp_sum(x, width, &sum);
        double grad = (double)args->grad_out[r];
        double probability = exp((double)x[target] - (double)largest) / sum;
        float before = args->accumulate[0] ? into[target] : 0.0F;
        vector_kernels()->row_softmax_grad(into, x, width, largest, (float)(grad / sum), args->accumulate[0]);
        into[target] = before + (float)(grad * (1.0 - probability));
    }
    return LIMN_OK;
}

limn_status cpu_log_prob(const KernelArgs *args) {
    return over_rows(args, shape_width(args, &args->op->in[0]), log_prob_body, (void *)(uintptr_t)args);
}

limn_status cpu_log_prob_backward(const KernelArgs *args) {
    return args->grad_in[0] == NULL
               ? LIMN_OK
               : over_rows(args, shape_width(args, &args->op->in[0]), log_prob_backward_body, (void *)(uintptr_t)args);
}
