/* RMS_SCALE, LAYER_SCALE, NORMALIZE, GAIN and the fused NORM.
 *
 * A row is one or more groups of equal width n: one group of D for a residual stream, H groups of K for query
 * and key norms ([H, K]). The scale has one value for each group: [1] or [H]. With s the scale of a group:
 *   RMS_SCALE    s = sqrt(mean(x^2) + epsilon)            ds/dx = x / (n s)
 *   LAYER_SCALE  s = sqrt(mean((x - mean x)^2) + epsilon) ds/dx = (x - mean x) / (n s)
 *   NORMALIZE    y = (x [- mean x]) / s                   dx = (g [- mean g]) / s, ds = -sum(g y) / s
 *   GAIN         y = x w' + b, w' = w [+ 1], w over the last dimension
 * NORMALIZE's own derivative treats s as an input; the part through s comes from the scale's backward. */
#include <math.h>

#include "backend/ref/ref.h"

static double group_mean(const float *x, int64_t n) {
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) {
        sum += (double)x[i];
    }
    return sum / (double)n;
}

/* sqrt(mean((x - mean)^2) + epsilon) */
static double group_scale(const float *x, int64_t n, double mean, double epsilon) {
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) {
        double d = (double)x[i] - mean;
        sum += d * d;
    }
    return sqrt(sum / (double)n + epsilon);
}

/* w' of GAIN and NORM at place i of the last dimension; 1 when there is no weight. */
static double gain_at(const Op *op, int64_t i) {
    if (op->weights[0].data == NULL) {
        return 1.0;
    }
    return (double)ref_weight_at(&op->weights[0], i, 0) + (op->attributes.gain_plus_one ? 1.0 : 0.0);
}

static double bias_at(const Op *op, int64_t i) {
    return op->weights[1].data == NULL ? 0.0 : (double)ref_weight_at(&op->weights[1], i, 0);
}

static limn_status scale_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    bool centered = args->op->kind == OP_LAYER_SCALE;
    int64_t groups = ref_width(args, &args->op->out);
    int64_t n = ref_width(args, &args->op->in[0]) / groups;
    for (int64_t i = begin * groups; i < end * groups; i++) {
        const float *x = args->in[0] + i * n; /* [n] */
        double mean = centered ? group_mean(x, n) : 0.0;
        args->out[i] = (float)group_scale(x, n, mean, (double)args->op->attributes.epsilon);
    }
    return LIMN_OK;
}

static limn_status scale_backward_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    bool centered = args->op->kind == OP_LAYER_SCALE;
    int64_t groups = ref_width(args, &args->op->out);
    int64_t n = ref_width(args, &args->op->in[0]) / groups;
    for (int64_t i = begin * groups; i < end * groups; i++) {
        const float *x = args->in[0] + i * n; /* [n] */
        float *into = args->grad_in[0] + i * n;
        double mean = centered ? group_mean(x, n) : 0.0;
        double factor = (double)args->grad_out[i] / ((double)n * (double)args->out[i]);
        for (int64_t j = 0; j < n; j++) {
            ref_put(&into[j], args->accumulate[0], factor * ((double)x[j] - mean));
        }
    }
    return LIMN_OK;
}

static limn_status normalize_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    int64_t groups = ref_width(args, &args->op->in[1]);
    int64_t n = ref_width(args, &args->op->in[0]) / groups;
    for (int64_t i = begin * groups; i < end * groups; i++) {
        const float *x = args->in[0] + i * n; /* [n] */
        double mean = args->op->attributes.centered ? group_mean(x, n) : 0.0;
        for (int64_t j = 0; j < n; j++) {
            args->out[i * n + j] = (float)(((double)x[j] - mean) / (double)args->in[1][i]);
        }
    }
    return LIMN_OK;
}

static limn_status normalize_backward_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    int64_t groups = ref_width(args, &args->op->in[1]);
    int64_t n = ref_width(args, &args->op->in[0]) / groups;
    for (int64_t i = begin * groups; i < end * groups; i++) {
        const float *grad = args->grad_out + i * n; /* [n] */
        const float *y = args->out + i * n;         /* [n] */
        double scale = (double)args->in[1][i];
        double through_scale = 0.0;
        for (int64_t j = 0; j < n; j++) {
            through_scale -= (double)grad[j] * (double)y[j];
        }
        double mean = args->op->attributes.centered ? group_mean(grad, n) : 0.0;
        for (int64_t j = 0; j < n && args->grad_in[0] != NULL; j++) {
            ref_put(&args->grad_in[0][i * n + j], args->accumulate[0], ((double)grad[j] - mean) / scale);
        }
        if (args->grad_in[1] != NULL) {
            ref_put(&args->grad_in[1][i], args->accumulate[1], through_scale / scale);
        }
    }
    return LIMN_OK;
}

static limn_status gain_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    const Op *op = args->op;
    int64_t n = row_shape_last(&op->in[0]);
    int64_t groups = ref_width(args, &op->in[0]) / n;
    for (int64_t i = begin * groups; i < end * groups; i++) {
        for (int64_t j = 0; j < n; j++) {
            args->out[i * n + j] = (float)((double)args->in[0][i * n + j] * gain_at(op, j) + bias_at(op, j));
        }
    }
    return LIMN_OK;
}

static limn_status gain_backward_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    int64_t n = row_shape_last(&args->op->in[0]);
    int64_t groups = ref_width(args, &args->op->in[0]) / n;
    for (int64_t i = begin * groups; i < end * groups; i++) {
        for (int64_t j = 0; j < n; j++) {
            double grad = (double)args->grad_out[i * n + j] * gain_at(args->op, j);
            ref_put(&args->grad_in[0][i * n + j], args->accumulate[0], grad);
        }
    }
    return LIMN_OK;
}

static limn_status norm_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    const Op *op = args->op;
    int64_t n = row_shape_last(&op->in[0]);
    int64_t groups = ref_width(args, &op->in[0]) / n;
    for (int64_t i = begin * groups; i < end * groups; i++) {
        const float *x = args->in[0] + i * n; /* [n] */
        double mean = op->attributes.centered ? group_mean(x, n) : 0.0;
        double scale = group_scale(x, n, mean, (double)op->attributes.epsilon);
        for (int64_t j = 0; j < n; j++) {
            args->out[i * n + j] = (float)(((double)x[j] - mean) / scale * gain_at(op, j) + bias_at(op, j));
        }
    }
    return LIMN_OK;
}

/* With u = (x - mean) / s and h = g w': dx = (h - mean h - u mean(h u)) / s; without centring, no mean h. */
static limn_status norm_backward_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    const Op *op = args->op;
    int64_t n = row_shape_last(&op->in[0]);
    int64_t groups = ref_width(args, &op->in[0]) / n;
    for (int64_t i = begin * groups; i < end * groups; i++) {
        const float *x = args->in[0] + i * n;       /* [n] */
        const float *grad = args->grad_out + i * n; /* [n] */
        double mean = op->attributes.centered ? group_mean(x, n) : 0.0;
        double scale = group_scale(x, n, mean, (double)op->attributes.epsilon);
        double mean_h = 0.0;
        double mean_hu = 0.0;
        for (int64_t j = 0; j < n; j++) {
            double h = (double)grad[j] * gain_at(op, j);
            mean_h += h / (double)n;
            mean_hu += h * ((double)x[j] - mean) / scale / (double)n;
        }
        if (!op->attributes.centered) {
            mean_h = 0.0;
        }
        if (args->rule == GRADIENT_CONSTANT) { /* the scale does not move with x */
            mean_hu = 0.0;
        }
        for (int64_t j = 0; j < n; j++) {
            double h = (double)grad[j] * gain_at(op, j);
            double u = ((double)x[j] - mean) / scale;
            ref_put(&args->grad_in[0][i * n + j], args->accumulate[0], (h - mean_h - u * mean_hu) / scale);
        }
    }
    return LIMN_OK;
}

static limn_status over_input(const KernelArgs *args, ParallelBody body) {
    return ref_over_rows(args, ref_width(args, &args->op->in[0]), body);
}

limn_status ref_statistic_scale(const KernelArgs *args) {
    return over_input(args, scale_rows);
}

limn_status ref_statistic_scale_backward(const KernelArgs *args) {
    return args->grad_in[0] == NULL ? LIMN_OK : over_input(args, scale_backward_rows);
}

limn_status ref_normalize(const KernelArgs *args) {
    return over_input(args, normalize_rows);
}

limn_status ref_normalize_backward(const KernelArgs *args) {
    return over_input(args, normalize_backward_rows);
}

limn_status ref_gain(const KernelArgs *args) {
    return over_input(args, gain_rows);
}

limn_status ref_gain_backward(const KernelArgs *args) {
    return args->grad_in[0] == NULL ? LIMN_OK : over_input(args, gain_backward_rows);
}

limn_status ref_norm(const KernelArgs *args) {
    return over_input(args, norm_rows);
}

limn_status ref_norm_backward(const KernelArgs *args) {
    return args->grad_in[0] == NULL ? LIMN_OK : over_input(args, norm_backward_rows);
}
