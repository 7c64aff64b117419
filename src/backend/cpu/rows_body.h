/* Normalisation, rotary positions and log-softmax: kernels that work on one row at a time. */

/* sum of (x - mean)^p for p = 1, 2, each vector of partial sums widened to double at the end */
static inline double SIMD(row_sum)(const float *x, int64_t n) {
    V sum = v_zero();
    for (int64_t i = 0; i < n; i += W) {
        sum = v_add(sum, v_load_n(x + i, n - i));
    }
    return v_sum_double(sum);
}

static inline double SIMD(row_squares)(const float *x, int64_t n, float mean) {
    V sum = v_zero();
    V center = v_set(mean);
    int64_t i = 0;
    for (; i + W <= n; i += W) {
        V d = v_sub(v_load(x + i), center);
        sum = v_fma(d, d, sum);
    }
    double rest = 0.0;
    for (; i < n; i++) {
        double d = (double)x[i] - (double)mean;
        rest += d * d;
    }
    return v_sum_double(sum) + rest;
}

/* sqrt(mean((x - mean)^2) + epsilon), the mean taken when centered */
static float SIMD(row_scale)(const float *x, int64_t n, float epsilon, bool centered, float *mean) {
    *mean = centered ? (float)(SIMD(row_sum)(x, n) / (double)n) : 0.0F;
    double square = SIMD(row_squares)(x, n, *mean) / (double)n;
    return (float)__builtin_sqrt(square + (double)epsilon);
}

/* out = (x - mean) / scale * gain + bias; gain and bias may be NULL */
static void SIMD(row_norm)(float *out, const float *x, int64_t n, float mean, float scale, const float *gain,
                           const float *bias) {
    V center = v_set(mean);
    V size = v_set(scale);
    for (int64_t i = 0; i < n; i += W) {
        V y = v_div(v_sub(v_load_n(x + i, n - i), center), size);
        if (gain != NULL) {
            y = v_mul(y, v_load_n(gain + i, n - i));
        }
        if (bias != NULL) {
            y = v_add(y, v_load_n(bias + i, n - i));
        }
        v_store_n(out + i, y, n - i);
    }
}

/* With u = (x - mean) / scale and h = grad * gain: out (+)= (h - mean h - u mean(h u)) / scale; no mean h unless
 * centered; no mean (h u) when the scale is a constant. */
static void SIMD(row_norm_backward)(float *out, const float *x, const float *grad, int64_t n, float mean, float scale,
                                    const float *gain, bool centered, bool constant, bool add) {
    V center = v_set(mean);
    V inverse = v_set(1.0F / scale);
    V sum_h = v_zero();
    V sum_hu = v_zero();
    for (int64_t i = 0; i < n; i += W) {
        V h = v_load_n(grad + i, n - i);
        if (gain != NULL) {
            h = v_mul(h, v_load_n(gain + i, n - i));
        }
        V u = v_mul(v_sub(v_load_n(x + i, n - i), center), inverse);
        sum_h = v_add(sum_h, h);
        sum_hu = v_fma(h, u, sum_hu); /* past the end h is 0 */
    }
    V mean_h = v_set(centered ? (float)(v_sum_double(sum_h) / (double)n) : 0.0F);
    V mean_hu = v_set(constant ? 0.0F : (float)(v_sum_double(sum_hu) / (double)n));
    for (int64_t i = 0; i < n; i += W) {
        V h = v_load_n(grad + i, n - i);
        if (gain != NULL) {
            h = v_mul(h, v_load_n(gain + i, n - i));
        }
        V u = v_mul(v_sub(v_load_n(x + i, n - i), center), inverse);
        SIMD(put)(out + i, v_mul(v_fnma(u, mean_hu, v_sub(h, mean_h)), inverse), n - i, add);
    }
}

/* out (+)= x * gain + bias */
static void SIMD(row_gain)(float *out, const float *x, int64_t n, const float *gain, const float *bias, bool add) {
    for (int64_t i = 0; i < n; i += W) {
        V y = v_load_n(x + i, n - i);
        if (gain != NULL) {
            y = v_mul(y, v_load_n(gain + i, n - i));
        }
        if (bias != NULL) {
            y = v_add(y, v_load_n(bias + i, n - i));
        }
        SIMD(put)(out + i, y, n - i, add);
    }
}

/* cos and sin of position * inverse_freq, times factor. The angle is rounded to f32 first, as the models were
 * trained; pi/2 is taken off in three parts that keep the rest exact to f32. */
static void SIMD(rope_angles)(float *cosines, float *sines, float position, const float *inverse_freq, float factor,
                              int64_t pairs) {
    V where = v_set(position);
    V times = v_set(factor);
    for (int64_t i = 0; i < pairs; i += W) {
        V angle = v_mul(where, v_load_n(inverse_freq + i, pairs - i));
        V n = v_round(v_mul(angle, v_set(0.636619772367581343F)));
        V r = v_fnma(n, v_set(1.57079637050628662F), angle);
        r = v_fnma(n, v_set(-4.37113900018624283e-8F), r);
        r = v_fnma(n, v_set(-1.71512449442868530e-15F), r);
        V s = v_mul(r, r);
        V sine = v_fma(v_set(1.0F / 362880.0F), s, v_set(-1.0F / 5040.0F));
        sine = v_fma(v_fma(sine, s, v_set(1.0F / 120.0F)), s, v_set(-1.0F / 6.0F));
        sine = v_fma(v_mul(sine, s), r, r);
        V cosine = v_fma(v_set(-1.0F / 3628800.0F), s, v_set(1.0F / 40320.0F));
        cosine = v_fma(v_fma(cosine, s, v_set(-1.0F / 720.0F)), s, v_set(1.0F / 24.0F));
        cosine = v_fma(v_fma(cosine, s, v_set(-0.5F)), s, v_set(1.0F));
        /* quarter turns: n mod 4, and whether it is odd */
        V quarter = v_fnma(v_set(4.0F), v_round(v_fma(n, v_set(0.25F), v_set(-0.375F))), n);
        V odd = v_fnma(v_set(2.0F), v_round(v_fma(quarter, v_set(0.5F), v_set(-0.25F))), quarter);
        V half = v_set(0.5F);
        V c = v_if_less(half, odd, sine, cosine);
        V d = v_if_less(half, odd, cosine, sine);
        V from_middle = v_abs(v_sub(quarter, v_set(1.5F)));
        c = v_if_less(from_middle, v_set(1.0F), v_sub(v_zero(), c), c);
        d = v_if_less(v_set(1.5F), quarter, v_sub(v_zero(), d), d);
        v_store_n(cosines + i, v_mul(c, times), pairs - i);
        v_store_n(sines + i, v_mul(d, times), pairs - i);
    }
}

/* (a, b) (+)= (x c - y s, y c + x s) for pairs whose halves lie apart */
static void SIMD(rope_turn)(float *a, float *b, const float *x, const float *y, const float *cosines,
                            const float *sines, int64_t pairs, bool add) {
    for (int64_t i = 0; i < pairs; i += W) {
        V c = v_load_n(cosines + i, pairs - i);
        V s = v_load_n(sines + i, pairs - i);
        V first = v_load_n(x + i, pairs - i);
        V second = v_load_n(y + i, pairs - i);
        SIMD(put)(a + i, v_fnma(second, s, v_mul(first, c)), pairs - i, add);
        SIMD(put)(b + i, v_fma(first, s, v_mul(second, c)), pairs - i, add);
    }
}

/* The largest element; sum of exp(x - largest) in *sum. */
static float SIMD(row_exp_sum)(const float *x, int64_t n, double *sum) {
    enum { BLOCK = 1024 };
    float largest = -__builtin_inff();
    for (int64_t i = n / W * W; i < n; i++) {
        largest = x[i] > largest ? x[i] : largest;
    }
    V whole = v_set(-__builtin_inff());
    for (int64_t i = 0; i + W <= n; i += W) {
        whole = v_max(whole, v_load(x + i));
    }
    float rest = v_largest(whole);
    largest = rest > largest ? rest : largest;
    *sum = 0.0;
    for (int64_t from = 0; from < n; from += BLOCK) {
        int64_t to = n - from < BLOCK ? n : from + BLOCK;
        V part = v_zero();
        int64_t i = from;
        for (; i + W <= to; i += W) {
            part = v_add(part, SIMD(exp)(v_sub(v_load(x + i), v_set(largest))));
        }
        *sum += v_sum_double(part);
        for (; i < to; i++) {
            *sum += __builtin_exp((double)x[i] - (double)largest);
        }
    }
    return largest;
}

/* out (+)= -factor exp(x - largest) */
static void SIMD(row_softmax_grad)(float *out, const float *x, int64_t n, float largest, float factor, bool add) {
    V top = v_set(largest);
    V minus = v_set(-factor);
    for (int64_t i = 0; i < n; i += W) {
        SIMD(put)(out + i, v_mul(minus, SIMD(exp)(v_sub(v_load_n(x + i, n - i), top))), n - i, add);
    }
}

/* x - y, or x - largest where y is NULL */
static inline V SIMD(difference)(const float *x, const float *y, V largest) {
    return v_sub(v_load(x), y == NULL ? largest : v_load(y));
}

/* sum of exp(a - largest) times the difference; 0 where the first factor is, whatever the second */
static double SIMD(row_cross)(const float *a, const float *x, const float *y, int64_t n, float largest) {
    enum { BLOCK = 1024 };
    V top = v_set(largest);
    double sum = 0.0;
    int64_t i = 0;
    while (i + W <= n) {
        int64_t to = n - i < BLOCK ? n : i + BLOCK;
        V part = v_zero();
        for (; i + W <= to; i += W) {
            V weight = SIMD(exp)(v_sub(v_load(a + i), top));
            V product = v_mul(weight, SIMD(difference)(x + i, y == NULL ? NULL : y + i, top));
            part = v_add(part, v_if_less(v_zero(), weight, product, weight)); /* a NaN weight stays one */
        }
        sum += v_sum_double(part);
    }
    for (; i < n; i++) {
        double weight = __builtin_exp((double)a[i] - (double)largest);
        sum += weight == 0.0 ? 0.0 : weight * ((double)x[i] - (double)(y == NULL ? largest : y[i]));
    }
    return sum;
}

/* out (+)= factor exp(a - largest) (difference - center) */
static void SIMD(row_cross_grad)(float *out, const float *a, const float *x, const float *y, int64_t n, float largest,
                                 float factor, float center, bool add) {
    V top = v_set(largest);
    for (int64_t i = 0; i < n; i += W) {
        V weight = SIMD(exp)(v_sub(v_load_n(a + i, n - i), top));
        V d = v_sub(v_load_n(x + i, n - i), y == NULL ? top : v_load_n(y + i, n - i));
        V product = v_mul(weight, v_sub(d, v_set(center)));
        SIMD(put)(out + i, v_mul(v_set(factor), v_if_less(v_zero(), weight, product, weight)), n - i, add);
    }
}
