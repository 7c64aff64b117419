/* SEED: a run's own function of each row, and its derivative. backend/seed.c says what each kind is. */
#include <math.h>

#include "backend/ref/ref.h"

static float exp_sum(const float *x, int64_t n, double *sum) {
    float largest = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        largest = x[i] > largest ? x[i] : largest;
    }
    *sum = 0.0;
    for (int64_t i = 0; i < n; i++) { /* a NaN shows even where all else is -inf */
        *sum += x[i] == -INFINITY ? 0.0 : exp((double)x[i] - (double)largest);
    }
    return largest;
}

static void softmax(float *out, const float *x, int64_t n, float largest, double factor, bool add) {
    for (int64_t i = 0; i < n; i++) {
        ref_put(&out[i], add, factor * exp((double)x[i] - (double)largest));
    }
}

static double difference_at(const float *x, const float *y, int64_t i, float largest) {
    return (double)x[i] - (double)(y == NULL ? largest : y[i]);
}

static double cross(const float *a, const float *x, const float *y, int64_t n, float largest) {
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) {
        double weight = exp((double)a[i] - (double)largest);
        sum += weight == 0.0 ? 0.0 : weight * difference_at(x, y, i, largest);
    }
    return sum;
}

static void cross_gradient(float *out, const float *a, const float *x, const float *y, int64_t n, float largest,
                           double factor, double center, bool add) {
    for (int64_t i = 0; i < n; i++) {
        double weight = exp((double)a[i] - (double)largest);
        double slope = weight == 0.0 ? 0.0 : factor * weight * (difference_at(x, y, i, largest) - center);
        ref_put(&out[i], add, slope);
    }
}

static const SeedLoops ref_loops = {exp_sum, softmax, cross, cross_gradient};

typedef struct Work {
    const KernelArgs *args;
    const SeedLoops *loops;
} Work;

static SeedRow row_of(const Work *work, int64_t r) {
    const KernelArgs *args = work->args;
    int64_t width = ref_width(args, &args->op->in[0]);
    int32_t output = args->row_begin + (int32_t)r;
    return (SeedRow){.seed = args->seed,
                     .loops = work->loops,
                     .output = args->output_numbers == NULL ? output : args->output_numbers[output],
                     .target = args->rows->target == NULL ? -1 : args->rows->target[output],
                     .x = args->in[0] + r * width,
                     .width = width,
                     .scratch = args->scratch};
}

static limn_status value_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const Work *work = context;
    for (int64_t r = begin; r < end; r++) {
        SeedRow row = row_of(work, r);
        double value = 0.0;
        TRY(seed_value(&row, &value));
        work->args->out[r] = (float)value;
    }
    return LIMN_OK;
}

static limn_status gradient_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const Work *work = context;
    const KernelArgs *args = work->args;
    for (int64_t r = begin; r < end; r++) {
        SeedRow row = row_of(work, r);
        float *into = args->grad_in[0] + r * row.width;
        float factor = args->grad_out[r];
        if (factor != 0.0F) { /* a row that does not count is not asked: its F may have no derivative */
            TRY(seed_gradient(&row, (double)factor, into, args->accumulate[0]));
        } else if (!args->accumulate[0]) {
            memset(into, 0, sizeof(float) * (size_t)row.width);
        }
    }
    return LIMN_OK;
}

limn_status ref_seed_with(const KernelArgs *args, const SeedLoops *loops, bool backward) {
    Work work = {args, loops};
    if (args->seed == NULL) {
        return fail(LIMN_INTERNAL, "SEED: the run has no function for it");
    }
    if (backward && args->grad_in[0] == NULL) {
        return LIMN_OK;
    }
    ParallelBody body = backward ? gradient_rows : value_rows;
    if (args->seed->kind == SEED_CALLBACK) { /* which need not know of threads */
        return body(&work, 0, args->n_rows, 0);
    }
    int64_t width = ref_width(args, &args->op->in[0]);
    return parallel_for(args->team, args->n_rows, 1 + 16384 / (width + 1), body, &work);
}

limn_status ref_seed(const KernelArgs *args) {
    return ref_seed_with(args, &ref_loops, false);
}

limn_status ref_seed_backward(const KernelArgs *args) {
    return ref_seed_with(args, &ref_loops, true);
}

size_t ref_seed_scratch(const Op *op, const KernelSizes *sizes) {
    return sizes->backward ? sizeof(float) * (size_t)row_shape_width(&op->in[0], sizes->max_keys) : 0;
}
