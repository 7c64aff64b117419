/* SOFTMAX, TOP_K, ROUTE, EXPERT_LINEAR, EXPERT_MIX and the fused EXPERTS: mixtures of experts (Shazeer et al. 2017,
 * arXiv:1701.06538; as a decoder's MLP: Jiang et al. 2024, arXiv:2401.04088).
 *
 *   p = softmax(router logits)            [E]
 *   i = the top_k largest of p            [k], an index stored as a float
 *   w_e = p_e / (sum of p over i) or p_e where i names e, else 0      [E]
 *   y = sum over e of w_e W_down,e (f(W_gate,e x) * (W_up,e x))       [D]
 *
 * An expert whose weight is exactly 0 is off: it is not computed and its values are 0. The derivative follows the kept
 * weights and stops at the choice: TOP_K hands no gradient on, ROUTE none to what it did not keep nor to the indices,
 * and the weight of an expert that is off gets 0, because nobody computed what it would have said. Indices may have
 * been edited: what names no expert chooses none, and an expert named twice has twice the weight. When the sum of what
 * was kept is 0 the weights are 0. A NaN counts as the largest, so that it shows. */
#include <math.h>

#include "backend/ref/ref.h"

/* ---- the router ---- */

static limn_status softmax_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    int64_t width = ref_width(args, &args->op->in[0]);
    for (int64_t r = begin; r < end; r++) {
        const float *x = args->in[0] + r * width; /* [E] */
        float *out = args->out + r * width;       /* [E] */
        double max = -INFINITY, sum = 0.0;
        bool any = false;
        for (int64_t i = 0; i < width; i++) {
            any = any || x[i] != -INFINITY;
            max = (double)x[i] > max ? (double)x[i] : max;
        }
        for (int64_t i = 0; i < width && any; i++) {
            sum += exp((double)x[i] - max);
        }
        for (int64_t i = 0; i < width; i++) {
            out[i] = any ? (float)(exp((double)x[i] - max) / sum) : 0.0F;
        }
    }
    return LIMN_OK;
}

static limn_status softmax_backward_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    int64_t width = ref_width(args, &args->op->in[0]);
    for (int64_t r = begin; r < end; r++) {
        const float *p = args->out + r * width;      /* [E] */
        const float *g = args->grad_out + r * width; /* [E] */
        double sum = 0.0;
        for (int64_t i = 0; i < width; i++) {
            sum += p[i] != 0.0F ? (double)p[i] * (double)g[i] : 0.0;
        }
        for (int64_t i = 0; i < width; i++) {
            double slope = p[i] != 0.0F ? (double)p[i] * ((double)g[i] - sum) : 0.0;
            ref_put(&args->grad_in[0][r * width + i], args->accumulate[0], slope);
        }
    }
    return LIMN_OK;
}

limn_status ref_softmax(const KernelArgs *args) {
    return ref_over_rows(args, ref_width(args, &args->op->in[0]), softmax_rows);
}

limn_status ref_softmax_backward(const KernelArgs *args) {
    return args->grad_in[0] == NULL ? LIMN_OK
                                    : ref_over_rows(args, ref_width(args, &args->op->in[0]), softmax_backward_rows);
}

/* Does (x, i) come before (y, j): the larger value, of equals the lower index? */
static bool comes_before(float x, int64_t i, float y, int64_t j) {
    if (isnan(x) || isnan(y)) {
        return isnan(x) && isnan(y) ? i < j : isnan(x);
    }
    return x > y || (x == y && i < j);
}

static limn_status top_k_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    int64_t width = args->op->in[0].dims[0];
    int64_t k = args->op->out.dims[0];
    for (int64_t r = begin; r < end; r++) {
        const float *x = args->in[0] + r * width; /* [E] */
        int64_t last = -1;
        for (int64_t n = 0; n < k; n++) {
            int64_t best = -1;
            for (int64_t i = 0; i < width; i++) {
                bool left = last < 0 || comes_before(x[last], last, x[i], i);
                if (left && (best < 0 || comes_before(x[i], i, x[best], best))) {
                    best = i;
                }
            }
            last = best;
            args->out[r * k + n] = (float)best;
        }
    }
    return LIMN_OK;
}

limn_status ref_top_k(const KernelArgs *args) {
    return ref_over_rows(args, args->op->in[0].dims[0], top_k_rows);
}

/* The expert that an index names, -1: none. */
static int64_t named_expert(float index, int64_t experts) {
    bool names = index >= 0.0F && index < (float)experts && index == floorf(index);
    return names ? (int64_t)index : -1;
}

/* Sum of the kept values; 1 when they are kept as they are. */
static double kept_sum(const KernelArgs *args, const float *x, const float *indices) {
    double sum = 0.0;
    for (int64_t n = 0; n < args->op->in[1].dims[0]; n++) {
        int64_t e = named_expert(indices[n], args->op->in[0].dims[0]);
        sum += e >= 0 ? (double)x[e] : 0.0;
    }
    return args->op->attributes.sum_to_one ? sum : 1.0;
}

static limn_status route_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    int64_t experts = args->op->in[0].dims[0], k = args->op->in[1].dims[0];
    for (int64_t r = begin; r < end; r++) {
        const float *x = args->in[0] + r * experts; /* [E] */
        const float *indices = args->in[1] + r * k; /* [k] */
        float *out = args->out + r * experts;       /* [E] */
        double sum = kept_sum(args, x, indices);
        memset(out, 0, sizeof(float) * (size_t)experts);
        for (int64_t n = 0; n < k; n++) {
            int64_t e = named_expert(indices[n], experts);
            if (e >= 0 && sum != 0.0) {
                ref_put(&out[e], true, (double)x[e] / sum);
            }
        }
    }
    return LIMN_OK;
}

/* d x_e = (g_e - sum over kept of g w) / sum, or g_e, for what was kept; 0 elsewhere. */
static void route_gradient(const KernelArgs *args, const float *x, const float *indices, const float *g, float *dx) {
    int64_t experts = args->op->in[0].dims[0], k = args->op->in[1].dims[0];
    double sum = kept_sum(args, x, indices), mean = 0.0;
    bool moves = args->op->attributes.sum_to_one && args->rule != GRADIENT_CONSTANT;
    for (int64_t n = 0; n < k && moves && sum != 0.0; n++) {
        int64_t e = named_expert(indices[n], experts);
        mean += e >= 0 ? (double)g[e] * (double)x[e] / sum : 0.0;
    }
    for (int64_t e = 0; e < experts && !args->accumulate[0]; e++) {
        dx[e] = 0.0F;
    }
    for (int64_t n = 0; n < k && sum != 0.0; n++) {
        int64_t e = named_expert(indices[n], experts);
        if (e >= 0) {
            ref_put(&dx[e], true, ((double)g[e] - mean) / sum);
        }
    }
}

static limn_status route_backward_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    int64_t experts = args->op->in[0].dims[0], k = args->op->in[1].dims[0];
    for (int64_t r = begin; r < end; r++) {
        if (args->grad_in[0] != NULL) {
            route_gradient(args, args->in[0] + r * experts, args->in[1] + r * k, args->grad_out + r * experts,
                           args->grad_in[0] + r * experts);
        }
    }
    return LIMN_OK;
}

/* An input that chooses: its gradient is 0. */
static void no_gradient(const KernelArgs *args, int which) {
    if (args->grad_in[which] != NULL && !args->accumulate[which]) {
        size_t count = (size_t)args->n_rows * (size_t)ref_width(args, &args->op->in[which]);
        memset(args->grad_in[which], 0, sizeof(float) * count);
    }
}

limn_status ref_route(const KernelArgs *args) {
    return ref_over_rows(args, args->op->in[0].dims[0], route_rows);
}

limn_status ref_route_backward(const KernelArgs *args) {
    no_gradient(args, 1);
    return ref_over_rows(args, args->op->in[0].dims[0], route_backward_rows);
}

/* ---- the experts ---- */

/* y = W x, or W^T x (added to y when asked): LINEAR on one row. */
static limn_status product(const KernelArgs *args, const Weight *weight, const float *x, float *y, bool backward,
                           bool accumulate) {
    Op linear = {.kind = OP_LINEAR,
                 .layer = args->op->layer,
                 .in = {{1, {weight->columns, 1}}},
                 .out = {1, {weight->rows, 1}},
                 .weights = {*weight}};
    TRY(team_check(args->team));
    KernelArgs one = {.op = &linear,
                      .rows = args->rows,
                      .key_rows = args->key_rows,
                      .row_begin = args->row_begin,
                      .n_rows = 1,
                      .accumulate = {accumulate},
                      .compute = args->compute,
                      .rule = args->rule,
                      .state = args->state};
    if (!backward) {
        one.in[0] = x;
        one.out = y;
        return ref_linear(&one);
    }
    one.grad_out = x;
    one.grad_in[0] = y;
    return ref_linear_backward(&one);
}

limn_status ref_expert_linear(const KernelArgs *args) {
    const Weight *weights = args->op->attributes.experts[0];
    int64_t experts = args->op->attributes.n_experts, out = weights[0].rows, in = weights[0].columns;
    int64_t step = args->op->in[0].n_dims == 2 ? in : 0;
    for (int64_t r = 0; r < args->n_rows; r++) {
        const float *x = args->in[0] + r * (step > 0 ? experts * in : in); /* [in] or [E, in] */
        for (int64_t e = 0; e < experts; e++) {
            float *y = args->out + (r * experts + e) * out; /* [out] */
            if (args->in[1][r * experts + e] == 0.0F) {
                memset(y, 0, sizeof(float) * (size_t)out);
            } else {
                TRY(product(args, &weights[e], x + e * step, y, false, false));
            }
        }
    }
    return LIMN_OK;
}

limn_status ref_expert_linear_backward(const KernelArgs *args) {
    const Weight *weights = args->op->attributes.experts[0];
    int64_t experts = args->op->attributes.n_experts, out = weights[0].rows, in = weights[0].columns;
    int64_t step = args->op->in[0].n_dims == 2 ? in : 0;
    no_gradient(args, 0);
    no_gradient(args, 1);
    for (int64_t r = 0; r < args->n_rows && args->grad_in[0] != NULL; r++) {
        float *dx = args->grad_in[0] + r * (step > 0 ? experts * in : in); /* [in] or [E, in] */
        for (int64_t e = 0; e < experts; e++) {
            if (args->in[1][r * experts + e] != 0.0F) {
                const float *g = args->grad_out + (r * experts + e) * out; /* [out] */
                TRY(product(args, &weights[e], g, dx + e * step, true, true));
            }
        }
    }
    return LIMN_OK;
}

static limn_status mix_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    int64_t experts = args->op->in[0].dims[0], width = args->op->in[1].dims[1];
    for (int64_t r = begin; r < end; r++) {
        const float *w = args->in[0] + r * experts;         /* [E] */
        const float *x = args->in[1] + r * experts * width; /* [E, D] */
        for (int64_t i = 0; i < width; i++) {
            double sum = 0.0;
            for (int64_t e = 0; e < experts; e++) {
                sum += w[e] != 0.0F ? (double)w[e] * (double)x[e * width + i] : 0.0;
            }
            args->out[r * width + i] = (float)sum;
        }
    }
    return LIMN_OK;
}

static limn_status mix_backward_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    int64_t experts = args->op->in[0].dims[0], width = args->op->in[1].dims[1];
    double share = args->rule == GRADIENT_HALF ? 0.5 : 1.0;
    for (int64_t item = begin * experts; item < end * experts; item++) {
        const float *x = args->in[1] + item * width;              /* [D] */
        const float *g = args->grad_out + item / experts * width; /* [D] */
        double sum = 0.0;
        for (int64_t i = 0; i < width && args->grad_in[0] != NULL; i++) {
            sum += (double)g[i] * (double)x[i];
        }
        if (args->grad_in[0] != NULL) {
            ref_put(&args->grad_in[0][item], args->accumulate[0], share * sum);
        }
        for (int64_t i = 0; i < width && args->grad_in[1] != NULL; i++) {
            double slope = share * (double)args->in[0][item] * (double)g[i];
            ref_put(&args->grad_in[1][item * width + i], args->accumulate[1], slope);
        }
    }
    return LIMN_OK;
}

limn_status ref_expert_mix(const KernelArgs *args) {
    return ref_over_rows(args, ref_width(args, &args->op->in[1]), mix_rows);
}

limn_status ref_expert_mix_backward(const KernelArgs *args) {
    return ref_over_rows(args, ref_width(args, &args->op->in[1]), mix_backward_rows);
}

/* ---- all of it ---- */

/* One row's values inside one expert. */
typedef struct Inner {
    double *sum;                       /* [D] */
    float *outer;                      /* [D] */
    float *pre, *linear, *post, *grad; /* [F] */
} Inner;

size_t ref_experts_scratch(const Op *op, const KernelSizes *sizes) {
    (void)sizes;
    const Weight *gate = &op->attributes.experts[EXPERT_GATE][0];
    return (sizeof(double) + sizeof(float)) * (size_t)gate->columns + 4 * sizeof(float) * (size_t)gate->rows;
}

static Inner inner_in(const KernelArgs *args) {
    const Weight *gate = &args->op->attributes.experts[EXPERT_GATE][0];
    double *sum = args->scratch;
    float *outer = (float *)(sum + gate->columns);
    float *pre = outer + gate->columns;
    return (Inner){sum, outer, pre, pre + gate->rows, pre + 2 * gate->rows, pre + 3 * gate->rows};
}

static limn_status inner_values(const KernelArgs *args, const Inner *inner, const float *x, int64_t e) {
    const OpAttributes *attributes = &args->op->attributes;
    TRY(product(args, &attributes->experts[EXPERT_GATE][e], x, inner->pre, false, false));
    TRY(product(args, &attributes->experts[EXPERT_UP][e], x, inner->linear, false, false));
    for (int64_t i = 0; i < attributes->experts[EXPERT_GATE][e].rows; i++) {
        double gate = ref_activation_value(attributes->activation, (double)inner->pre[i]);
        inner->post[i] = (float)(gate * (double)inner->linear[i]);
    }
    return LIMN_OK;
}

limn_status ref_experts(const KernelArgs *args) {
    const OpAttributes *attributes = &args->op->attributes;
    int64_t experts = attributes->n_experts, width = args->op->out.dims[0];
    Inner inner = inner_in(args);
    for (int64_t r = 0; r < args->n_rows; r++) {
        const float *w = args->in[1] + r * experts; /* [E] */
        memset(inner.sum, 0, sizeof(double) * (size_t)width);
        for (int64_t e = 0; e < experts; e++) {
            if (w[e] == 0.0F) {
                continue;
            }
            TRY(inner_values(args, &inner, args->in[0] + r * width, e));
            TRY(product(args, &attributes->experts[EXPERT_DOWN][e], inner.post, inner.outer, false, false));
            for (int64_t i = 0; i < width; i++) {
                inner.sum[i] += (double)w[e] * (double)inner.outer[i];
            }
        }
        for (int64_t i = 0; i < width; i++) {
            args->out[r * width + i] = (float)inner.sum[i];
        }
    }
    return LIMN_OK;
}

/* One expert's share in the gradients of one row: that of its weight into *dw, that of x added to inner->sum. With
 * t = W_down^T g: dw = t . post, d post = w t. */
static limn_status expert_gradients(const KernelArgs *args, const Inner *inner, int64_t row, int64_t e, double *dw) {
    const OpAttributes *attributes = &args->op->attributes;
    const Weight *gate = &attributes->experts[EXPERT_GATE][e], *up = &attributes->experts[EXPERT_UP][e];
    int64_t width = gate->columns;
    double w = (double)args->in[1][row * attributes->n_experts + e];
    bool halves = args->rule == GRADIENT_HALF_RATIO, constant = args->rule == GRADIENT_CONSTANT_HALF_RATIO;
    double inner_share = halves ? 0.25 : constant ? 0.5 : 1.0; /* of two products, or of one */
    TRY(inner_values(args, inner, args->in[0] + row * width, e));
    TRY(product(args, &attributes->experts[EXPERT_DOWN][e], args->grad_out + row * width, inner->grad, true, false));
    *dw = 0.0;
    for (int64_t i = 0; i < gate->rows; i++) {
        double pre = (double)inner->pre[i], linear = (double)inner->linear[i], t = (double)inner->grad[i];
        *dw += t * (double)inner->post[i] * (halves ? 0.5 : 1.0);
        double slope = halves || constant ? ref_activation_ratio(attributes->activation, pre)
                                          : ref_activation_slope(attributes->activation, pre);
        inner->pre[i] = (float)(inner_share * w * t * linear * slope);
        inner->linear[i] = (float)(inner_share * w * t * ref_activation_value(attributes->activation, pre));
    }
    const Weight *weights[] = {gate, up};
    const float *grads[] = {inner->pre, inner->linear};
    for (int which = 0; which < 2 && args->grad_in[0] != NULL; which++) {
        TRY(product(args, weights[which], grads[which], inner->outer, true, false));
        for (int64_t i = 0; i < width; i++) {
            inner->sum[i] += (double)inner->outer[i];
        }
    }
    return LIMN_OK;
}

limn_status ref_experts_backward(const KernelArgs *args) {
    int64_t experts = args->op->attributes.n_experts, width = args->op->out.dims[0];
    Inner inner = inner_in(args);
    for (int64_t r = 0; r < args->n_rows; r++) {
        memset(inner.sum, 0, sizeof(double) * (size_t)width);
        for (int64_t e = 0; e < experts; e++) {
            double dw = 0.0;
            if (args->in[1][r * experts + e] != 0.0F) {
                TRY(expert_gradients(args, &inner, r, e, &dw));
            }
            if (args->grad_in[1] != NULL) {
                ref_put(&args->grad_in[1][r * experts + e], args->accumulate[1], dw);
            }
        }
        for (int64_t i = 0; i < width && args->grad_in[0] != NULL; i++) {
            ref_put(&args->grad_in[0][r * width + i], args->accumulate[0], inner.sum[i]);
        }
    }
    return LIMN_OK;
}
