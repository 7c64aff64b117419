/* ADD, MUL, SCALE, ACTIVATION, SOFTCAP and the fused GATED_ACTIVATION: element by element. An input used twice
 * may have one gradient buffer for both uses; each element is read before it is written. By the rules of relevance
 * (graph/rules.def) a product hands half to each factor, and a function f(x) / x in the place of f'(x). */
#include <math.h>

#include "backend/ref/ref.h"

static const double half_sqrt = 0.70710678118654752440;      /* sqrt(1/2) */
static const double two_by_pi_sqrt = 0.79788456080286535588; /* sqrt(2/pi) */

static double sigmoid(double x) {
    return x >= 0.0 ? 1.0 / (1.0 + exp(-x)) : exp(x) / (1.0 + exp(x));
}

double ref_activation_value(Activation activation, double x) {
    switch (activation) {
    case ACTIVATION_GELU:
        return 0.5 * x * erfc(-x * half_sqrt);
    case ACTIVATION_GELU_TANH:
        return 0.5 * x * (1.0 + tanh(two_by_pi_sqrt * (x + 0.044715 * x * x * x)));
    case ACTIVATION_QUICK_GELU:
        return x * sigmoid(1.702 * x);
    case ACTIVATION_RELU:
        return x > 0.0 ? x : x * 0.0;
    case ACTIVATION_RELU2:
        return x > 0.0 ? x * x : x * 0.0;
    case ACTIVATION_SILU:
        return x * sigmoid(x);
    case ACTIVATION_TANH:
        return tanh(x);
    case ACTIVATION_SIGMOID:
        return sigmoid(x);
    case ACTIVATION_COUNT:
        break;
    }
    return NAN;
}

double ref_activation_slope(Activation activation, double x) {
    switch (activation) {
    case ACTIVATION_GELU:
        return 0.5 * erfc(-x * half_sqrt) + x * 0.5 * two_by_pi_sqrt * exp(-0.5 * x * x);
    case ACTIVATION_GELU_TANH: {
        double t = tanh(two_by_pi_sqrt * (x + 0.044715 * x * x * x));
        return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * two_by_pi_sqrt * (1.0 + 3.0 * 0.044715 * x * x);
    }
    case ACTIVATION_QUICK_GELU: {
        double s = sigmoid(1.702 * x);
        return s + 1.702 * x * s * (1.0 - s);
    }
    case ACTIVATION_RELU:
        return x > 0.0 ? 1.0 : 0.0;
    case ACTIVATION_RELU2:
        return x > 0.0 ? 2.0 * x : 0.0;
    case ACTIVATION_SILU: {
        double s = sigmoid(x);
        return s + x * s * (1.0 - s);
    }
    case ACTIVATION_TANH: {
        double t = tanh(x);
        return 1.0 - t * t;
    }
    case ACTIVATION_SIGMOID: {
        double s = sigmoid(x);
        return s * (1.0 - s);
    }
    case ACTIVATION_COUNT:
        break;
    }
    return NAN;
}

double ref_activation_ratio(Activation activation, double x) {
    switch (activation) {
    case ACTIVATION_GELU:
        return 0.5 * erfc(-x * half_sqrt);
    case ACTIVATION_GELU_TANH:
        return 0.5 * (1.0 + tanh(two_by_pi_sqrt * (x + 0.044715 * x * x * x)));
    case ACTIVATION_QUICK_GELU:
        return sigmoid(1.702 * x);
    case ACTIVATION_RELU:
        return x > 0.0 ? 1.0 : 0.0;
    case ACTIVATION_RELU2:
        return x > 0.0 ? x : 0.0;
    case ACTIVATION_SILU:
        return sigmoid(x);
    case ACTIVATION_TANH:
        return x == 0.0 ? 1.0 : tanh(x) / x;
    case ACTIVATION_SIGMOID: /* has no limit at 0: x is kept away from it, as published */
        return sigmoid(x) / (fabs(x) < 1e-10 ? copysign(1e-10, x) : x);
    case ACTIVATION_COUNT:
        break;
    }
    return NAN;
}

/* Elements [*from, *to) of the chunk's rows [begin, end). */
static void element_range(const KernelArgs *args, int64_t begin, int64_t end, int64_t *from, int64_t *to) {
    int64_t width = ref_width(args, &args->op->out);
    *from = begin * width;
    *to = end * width;
}

static limn_status add_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    int64_t from, to;
    element_range(args, begin, end, &from, &to);
    for (int64_t i = from; i < to; i++) {
        args->out[i] = args->in[0][i] + args->in[1][i];
    }
    return LIMN_OK;
}

static limn_status add_backward_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    int64_t from, to;
    element_range(args, begin, end, &from, &to);
    for (int input = 0; input < 2; input++) {
        for (int64_t i = from; i < to && args->grad_in[input] != NULL; i++) {
            ref_put(&args->grad_in[input][i], args->accumulate[input], (double)args->grad_out[i]);
        }
    }
    return LIMN_OK;
}

static limn_status mul_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    int64_t from, to;
    element_range(args, begin, end, &from, &to);
    for (int64_t i = from; i < to; i++) {
        args->out[i] = args->in[0][i] * args->in[1][i];
    }
    return LIMN_OK;
}

static limn_status mul_backward_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    int64_t from, to;
    element_range(args, begin, end, &from, &to);
    double share = args->rule == GRADIENT_HALF ? 0.5 : 1.0;
    for (int input = 0; input < 2; input++) {
        const float *other = args->in[1 - input];
        for (int64_t i = from; i < to && args->grad_in[input] != NULL; i++) {
            double grad = share * (double)args->grad_out[i] * (double)other[i];
            ref_put(&args->grad_in[input][i], args->accumulate[input], grad);
        }
    }
    return LIMN_OK;
}

static limn_status scale_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    int64_t from, to;
    element_range(args, begin, end, &from, &to);
    for (int64_t i = from; i < to; i++) {
        args->out[i] = args->op->attributes.scale * args->in[0][i];
    }
    return LIMN_OK;
}

static limn_status scale_backward_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    double scale = (double)args->op->attributes.scale;
    int64_t from, to;
    element_range(args, begin, end, &from, &to);
    for (int64_t i = from; i < to; i++) {
        ref_put(&args->grad_in[0][i], args->accumulate[0], scale * (double)args->grad_out[i]);
    }
    return LIMN_OK;
}

static limn_status activation_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    int64_t from, to;
    element_range(args, begin, end, &from, &to);
    for (int64_t i = from; i < to; i++) {
        args->out[i] = (float)ref_activation_value(args->op->attributes.activation, (double)args->in[0][i]);
    }
    return LIMN_OK;
}

/* What the rule takes for f'(x). */
static double activation_step(const KernelArgs *args, double x) {
    Activation activation = args->op->attributes.activation;
    bool ratio = args->rule == GRADIENT_RATIO || args->rule == GRADIENT_HALF_RATIO;
    return ratio ? ref_activation_ratio(activation, x) : ref_activation_slope(activation, x);
}

static limn_status activation_backward_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    int64_t from, to;
    element_range(args, begin, end, &from, &to);
    for (int64_t i = from; i < to; i++) {
        double slope = activation_step(args, (double)args->in[0][i]);
        ref_put(&args->grad_in[0][i], args->accumulate[0], slope * (double)args->grad_out[i]);
    }
    return LIMN_OK;
}

/* in[0] gate, in[1] up: f(gate) * up */
static limn_status gated_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    int64_t from, to;
    element_range(args, begin, end, &from, &to);
    for (int64_t i = from; i < to; i++) {
        double value = ref_activation_value(args->op->attributes.activation, (double)args->in[0][i]);
        args->out[i] = (float)(value * (double)args->in[1][i]);
    }
    return LIMN_OK;
}

static limn_status gated_backward_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    Activation activation = args->op->attributes.activation;
    double share = args->rule == GRADIENT_HALF_RATIO ? 0.5 : 1.0;
    int64_t from, to;
    element_range(args, begin, end, &from, &to);
    for (int64_t i = from; i < to; i++) {
        double gate = (double)args->in[0][i];
        double up = (double)args->in[1][i];
        double grad = share * (double)args->grad_out[i];
        if (args->grad_in[0] != NULL) {
            ref_put(&args->grad_in[0][i], args->accumulate[0], grad * up * activation_step(args, gate));
        }
        if (args->grad_in[1] != NULL) {
            ref_put(&args->grad_in[1][i], args->accumulate[1], grad * ref_activation_value(activation, gate));
        }
    }
    return LIMN_OK;
}

static limn_status softcap_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    double cap = (double)args->op->attributes.softcap;
    int64_t from, to;
    element_range(args, begin, end, &from, &to);
    for (int64_t i = from; i < to; i++) {
        args->out[i] = (float)(cap * tanh((double)args->in[0][i] / cap));
    }
    return LIMN_OK;
}

static limn_status softcap_backward_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    double cap = (double)args->op->attributes.softcap;
    int64_t from, to;
    element_range(args, begin, end, &from, &to);
    for (int64_t i = from; i < to; i++) {
        double slope;
        if (args->rule == GRADIENT_RATIO) {
            double u = (double)args->in[0][i] / cap;
            slope = u == 0.0 ? 1.0 : tanh(u) / u;
        } else {
            double t = (double)args->out[i] / cap;
            slope = 1.0 - t * t;
        }
        ref_put(&args->grad_in[0][i], args->accumulate[0], slope * (double)args->grad_out[i]);
    }
    return LIMN_OK;
}

static limn_status over_elements(const KernelArgs *args, ParallelBody body) {
    return ref_over_rows(args, ref_width(args, &args->op->out), body);
}

limn_status ref_add(const KernelArgs *args) {
    return over_elements(args, add_rows);
}

limn_status ref_add_backward(const KernelArgs *args) {
    return over_elements(args, add_backward_rows);
}

limn_status ref_mul(const KernelArgs *args) {
    return over_elements(args, mul_rows);
}

limn_status ref_mul_backward(const KernelArgs *args) {
    return over_elements(args, mul_backward_rows);
}

limn_status ref_scale(const KernelArgs *args) {
    return over_elements(args, scale_rows);
}

limn_status ref_scale_backward(const KernelArgs *args) {
    return args->grad_in[0] == NULL ? LIMN_OK : over_elements(args, scale_backward_rows);
}

limn_status ref_activation(const KernelArgs *args) {
    return over_elements(args, activation_rows);
}

limn_status ref_activation_backward(const KernelArgs *args) {
    return args->grad_in[0] == NULL ? LIMN_OK : over_elements(args, activation_backward_rows);
}

limn_status ref_gated_activation(const KernelArgs *args) {
    return over_elements(args, gated_rows);
}

limn_status ref_gated_activation_backward(const KernelArgs *args) {
    return over_elements(args, gated_backward_rows);
}

limn_status ref_softcap(const KernelArgs *args) {
    return over_elements(args, softcap_rows);
}

limn_status ref_softcap_backward(const KernelArgs *args) {
    return args->grad_in[0] == NULL ? LIMN_OK : over_elements(args, softcap_backward_rows);
}
