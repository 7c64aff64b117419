/* exp, tanh, sigmoid and the normal distribution of whole vectors, within about 2 units in the last place. */

/* x = n ln 2 + r, |r| <= ln 2 / 2; a NaN stays one in r */
static inline V SIMD(exp_split)(V x, V *n) {
    *n = v_round(v_mul(x, v_set(1.44269504088896341F)));
    return v_fnma(*n, v_set(-2.12194440e-4F), v_fnma(*n, v_set(0.693359375F), x));
}

/* (exp(r) - 1) / r by its series, enough for |r| <= ln 2 / 2 */
static inline V SIMD(exp_series)(V r) {
    V p = v_set(1.0F / 5040.0F);
    p = v_fma(p, r, v_set(1.0F / 720.0F));
    p = v_fma(p, r, v_set(1.0F / 120.0F));
    p = v_fma(p, r, v_set(1.0F / 24.0F));
    p = v_fma(p, r, v_set(1.0F / 6.0F));
    p = v_fma(p, r, v_set(0.5F));
    return v_fma(p, r, v_set(1.0F));
}

static inline V SIMD(exp)(V x) {
    V n;
    V r = SIMD(exp_split)(v_min(v_set(89.0F), v_max(v_set(-104.0F), x)), &n);
    return v_scale2(v_fma(SIMD(exp_series)(r), r, v_set(1.0F)), n);
}

/* exp(x) for x <= 0, and 0 where that is no normal number: processors are slow on the others. A NaN stays one. */
static inline V SIMD(exp_normal)(V x) {
    V least = v_set(-87.0F);
    return v_if_less(x, least, v_zero(), SIMD(exp)(v_max(least, x)));
}

/* exp(x) - 1 for x in [0, 40] */
static inline V SIMD(exp_less_one)(V x) {
    V n;
    V r = SIMD(exp_split)(x, &n);
    V power = v_scale2(v_set(1.0F), n);
    return v_fma(v_mul(SIMD(exp_series)(r), r), power, v_sub(power, v_set(1.0F)));
}

static inline V SIMD(tanh)(V x) {
    V size = v_min(v_set(10.0F), v_abs(x));
    V e = SIMD(exp_less_one)(v_add(size, size));
    return v_copysign(v_div(e, v_add(e, v_set(2.0F))), x);
}

static inline V SIMD(sigmoid)(V x) {
    return v_div(v_set(1.0F), v_add(v_set(1.0F), SIMD(exp)(v_sub(v_zero(), x))));
}
