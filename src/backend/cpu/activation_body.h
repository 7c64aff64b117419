/* Activations and their slopes, and what is made of them element by element. */

/* The normal distribution P(X < x). With z = |x| / sqrt 2, erfc(z) = exp(-z^2) t q(t), t = 1 / (1 + 0.4 z); q was
 * fitted to z in [0, 10] to 4e-9. */
static inline V SIMD(normal_below)(V x) {
    static const float q[] = {0.225689047F, 0.225363434F,  0.210808229F,   0.153149198F,  0.187228289F,  -0.0812537395F,
                              0.220799191F, -0.149835125F, -0.0394699619F, 0.0635282705F, -0.0160068325F};
    V z = v_min(v_set(10.0F), v_mul(v_abs(x), v_set(0.707106781186547524F)));
    V t = v_div(v_set(1.0F), v_fma(z, v_set(0.4F), v_set(1.0F)));
    V sum = v_set(q[10]);
    for (int i = 9; i >= 0; i--) {
        sum = v_fma(sum, t, v_set(q[i]));
    }
    V tail = v_mul(v_mul(v_set(0.5F), SIMD(exp)(v_mul(z, v_sub(v_zero(), z)))), v_mul(t, sum));
    return v_add(v_if_less(x, v_zero(), tail, v_sub(v_set(1.0F), tail)), v_sub(x, x)); /* a NaN stays one */
}

/* f(x) and f'(x) */
static inline V SIMD(activation)(Activation f, V x, V *slope) {
    V one = v_set(1.0F);
    V half = v_set(0.5F);
    switch (f) {
    case ACTIVATION_GELU: {
        V below = SIMD(normal_below)(x);
        V density = v_mul(v_set(0.398942280401432678F), SIMD(exp)(v_mul(v_mul(x, x), v_set(-0.5F))));
        *slope = v_fma(x, density, below);
        return v_mul(x, below);
    }
    case ACTIVATION_GELU_TANH: {
        V cube = v_mul(v_set(0.044715F), v_mul(x, x));
        V t = SIMD(tanh)(v_mul(v_set(0.797884560802865356F), v_fma(cube, x, x)));
        V inner = v_mul(v_set(0.797884560802865356F), v_fma(v_set(3.0F), cube, one));
        V rise = v_mul(v_mul(half, x), v_mul(v_fnma(t, t, one), inner));
        *slope = v_fma(half, v_add(one, t), rise);
        return v_mul(v_mul(half, x), v_add(one, t));
    }
    case ACTIVATION_QUICK_GELU: {
        V s = SIMD(sigmoid)(v_mul(v_set(1.702F), x));
        *slope = v_fma(v_mul(v_mul(v_set(1.702F), x), s), v_sub(one, s), s);
        return v_mul(x, s);
    }
    case ACTIVATION_RELU:
        *slope = v_if_less(v_zero(), x, one, v_zero());
        return v_if_less(v_zero(), x, x, v_mul(x, v_zero()));
    case ACTIVATION_RELU2:
        *slope = v_if_less(v_zero(), x, v_add(x, x), v_zero());
        return v_if_less(v_zero(), x, v_mul(x, x), v_mul(x, v_zero()));
    case ACTIVATION_SILU: {
        V s = SIMD(sigmoid)(x);
        *slope = v_fma(v_mul(x, s), v_sub(one, s), s);
        return v_mul(x, s);
    }
    case ACTIVATION_TANH: {
        V t = SIMD(tanh)(x);
        *slope = v_fnma(t, t, one);
        return t;
    }
    default: {
        V s = SIMD(sigmoid)(x);
        *slope = v_mul(s, v_sub(one, s));
        return s;
    }
    }
}

/* f(x) / x, at 0 its limit; of the sigmoid, which has none, x is kept away from 0 */
static inline V SIMD(activation_ratio)(Activation f, V x) {
    V one = v_set(1.0F);
    switch (f) {
    case ACTIVATION_GELU:
        return SIMD(normal_below)(x);
    case ACTIVATION_GELU_TANH: {
        V cube = v_mul(v_set(0.044715F), v_mul(x, x));
        V t = SIMD(tanh)(v_mul(v_set(0.797884560802865356F), v_fma(cube, x, x)));
        return v_mul(v_set(0.5F), v_add(one, t));
    }
    case ACTIVATION_QUICK_GELU:
        return SIMD(sigmoid)(v_mul(v_set(1.702F), x));
    case ACTIVATION_RELU:
        return v_if_less(v_zero(), x, one, v_zero());
    case ACTIVATION_RELU2:
        return v_if_less(v_zero(), x, x, v_zero());
    case ACTIVATION_SILU:
        return SIMD(sigmoid)(x);
    case ACTIVATION_TANH: /* tanh(x) rounds to x long before that */
        return v_if_less(v_abs(x), v_set(1e-10F), one, v_div(SIMD(tanh)(x), x));
    default: {
        V least = v_set(1e-10F);
        V away = v_if_less(x, v_zero(), v_sub(v_zero(), least), least);
        return v_div(SIMD(sigmoid)(x), v_if_less(v_abs(x), least, away, x));
    }
    }
}

static inline void SIMD(put)(float *out, V value, int64_t n, bool add) {
    v_store_n(out, add ? v_add(v_load_n(out, n), value) : value, n);
}

static void SIMD(activate)(Activation f, float *out, const float *x, const float *factor, int64_t n) {
    for (int64_t i = 0; i < n; i += W) {
        V slope;
        V value = SIMD(activation)(f, v_load_n(x + i, n - i), &slope);
        v_store_n(out + i, factor == NULL ? value : v_mul(value, v_load_n(factor + i, n - i)), n - i);
    }
}

/* ratio: f(x) / x in the place of f'(x); grad is taken times share */
static void SIMD(activate_backward)(Activation f, float *grad_x, float *grad_factor, const float *x,
                                    const float *factor, const float *grad, int64_t n, bool add_x, bool add_factor,
                                    bool ratio, float share) {
    for (int64_t i = 0; i < n; i += W) {
        V slope;
        V in = v_load_n(x + i, n - i);
        V value = SIMD(activation)(f, in, &slope);
        V g = v_mul(v_load_n(grad + i, n - i), v_set(share));
        if (ratio) {
            slope = SIMD(activation_ratio)(f, in);
        }
        if (grad_factor != NULL) {
            SIMD(put)(grad_factor + i, v_mul(g, value), n - i, add_factor);
        }
        if (grad_x != NULL) {
            V scaled = factor == NULL ? g : v_mul(g, v_load_n(factor + i, n - i));
            SIMD(put)(grad_x + i, v_mul(scaled, slope), n - i, add_x);
        }
    }
}

/* cap tanh(x / cap) */
static void SIMD(softcap)(float *out, const float *x, float cap, int64_t n) {
    V wide = v_set(cap);
    for (int64_t i = 0; i < n; i += W) {
        v_store_n(out + i, v_mul(wide, SIMD(tanh)(v_div(v_load_n(x + i, n - i), wide))), n - i);
    }
}

/* out (+)= a + b, or a where b is NULL */
static void SIMD(add)(float *out, const float *a, const float *b, int64_t n, bool add) {
    for (int64_t i = 0; i < n; i += W) {
        V sum = v_load_n(a + i, n - i);
        SIMD(put)(out + i, b == NULL ? sum : v_add(sum, v_load_n(b + i, n - i)), n - i, add);
    }
}

static void SIMD(multiply)(float *out, const float *a, const float *b, int64_t n, bool add) {
    for (int64_t i = 0; i < n; i += W) {
        SIMD(put)(out + i, v_mul(v_load_n(a + i, n - i), v_load_n(b + i, n - i)), n - i, add);
    }
}
