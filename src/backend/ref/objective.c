/* LOG_PROB: log softmax(x)[target], keeping log-sum-exp; gradient g (onehot(target) - softmax(x)).
 * PICK: x[target]; gradient g onehot(target). A row whose target is -1 has the value 0 and no gradient. */
#include <math.h>

#include "backend/ref/ref.h"

static limn_status target_of(const KernelArgs *args, int64_t r, int64_t *target) {
    int64_t width = ref_width(args, &args->op->in[0]);
    if (args->rows->target == NULL) {
        return fail(LIMN_INTERNAL, "%s: the row table has no targets", op_info(args->op->kind)->name);
    }
    *target = args->rows->target[args->row_begin + r];
    if (*target < -1 || *target >= width) {
        return fail(LIMN_RANGE, "target id %lld is outside 0..%lld", (long long)*target, (long long)width - 1);
    }
    return LIMN_OK;
}

static double log_sum_exp(const float *x, int64_t n) {
    double max = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        max = (double)x[i] > max ? (double)x[i] : max;
    }
    if (isinf(max)) {
        return max;
    }
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) {
        sum += exp((double)x[i] - max);
    }
    return max + log(sum);
}

static limn_status log_prob_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    int64_t width = ref_width(args, &args->op->in[0]);
    for (int64_t r = begin; r < end; r++) {
        const float *x = args->in[0] + r * width; /* [V] */
        int64_t target;
        TRY(target_of(args, r, &target));
        double lse = log_sum_exp(x, width);
        args->out[r] = target < 0 ? 0.0F : (float)((double)x[target] - lse);
        if (args->aux != NULL) {
            args->aux[r] = (float)lse;
        }
    }
    return LIMN_OK;
}

static limn_status log_prob_backward_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    int64_t width = ref_width(args, &args->op->in[0]);
    for (int64_t r = begin; r < end; r++) {
        const float *x = args->in[0] + r * width; /* [V] */
        float *into = args->grad_in[0] + r * width;
        int64_t target;
        TRY(target_of(args, r, &target));
        /* summed again: the saved f32 log-sum-exp would cost a relative 1e-6 of every probability */
        double lse = log_sum_exp(x, width);
        double grad = (double)args->grad_out[r];
        for (int64_t i = 0; i < width; i++) {
            double slope = target < 0 ? 0.0 : (i == target ? 1.0 : 0.0) - exp((double)x[i] - lse);
            ref_put(&into[i], args->accumulate[0], grad * slope);
        }
    }
    return LIMN_OK;
}

static limn_status pick_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    int64_t width = ref_width(args, &args->op->in[0]);
    for (int64_t r = begin; r < end; r++) {
        int64_t target;
        TRY(target_of(args, r, &target));
        args->out[r] = target < 0 ? 0.0F : args->in[0][r * width + target];
    }
    return LIMN_OK;
}

static limn_status pick_backward_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    int64_t width = ref_width(args, &args->op->in[0]);
    for (int64_t r = begin; r < end; r++) {
        float *into = args->grad_in[0] + r * width; /* [V] */
        int64_t target;
        TRY(target_of(args, r, &target));
        if (!args->accumulate[0]) {
            memset(into, 0, sizeof(float) * (size_t)width);
        }
        if (target >= 0) {
            into[target] += args->grad_out[r];
        }
    }
    return LIMN_OK;
}

static limn_status over_input(const KernelArgs *args, ParallelBody body) {
    return ref_over_rows(args, ref_width(args, &args->op->in[0]), body);
}

limn_status ref_log_prob(const KernelArgs *args) {
    return over_input(args, log_prob_rows);
}

limn_status ref_log_prob_backward(const KernelArgs *args) {
    return args->grad_in[0] == NULL ? LIMN_OK : over_input(args, log_prob_backward_rows);
}

limn_status ref_pick(const KernelArgs *args) {
    return over_input(args, pick_rows);
}

limn_status ref_pick_backward(const KernelArgs *args) {
    return args->grad_in[0] == NULL ? LIMN_OK : over_input(args, pick_backward_rows);
}
