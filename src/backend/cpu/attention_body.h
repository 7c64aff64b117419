/* Tiles of fused attention. Scores stand as [keys, ATTENTION_LANES]: a lane is one query of one head, so that
 * maxima and sums over keys need no work across a vector, and keys and values are read where they lie. */

enum { MM_ROWS = 6, MM_VECTORS = W == 16 ? 4 : 2 };

/* c[m, nv vectors] (+)= a[m, p] b[p, nv vectors]; the last vector has `last` floats unless `whole`. */
static inline __attribute__((always_inline)) void SIMD(mm_block)(float *c, int64_t c_stride, const float *a,
                                                                 int64_t a_row, int64_t a_depth, const float *b,
                                                                 int64_t b_stride, int m, int nv, int64_t last,
                                                                 bool whole, int64_t depth, bool add) {
    V sums[MM_ROWS][MM_VECTORS];
#pragma GCC unroll 8
    for (int i = 0; i < m; i++) {
#pragma GCC unroll 4
        for (int j = 0; j < nv; j++) {
            const float *from = c + i * c_stride + j * W;
            sums[i][j] = !add ? v_zero() : whole ? v_load(from) : v_load_n(from, last);
        }
    }
    for (int64_t p = 0; p < depth; p++) {
        V row[MM_VECTORS];
#pragma GCC unroll 4
        for (int j = 0; j < nv; j++) {
            row[j] = whole ? v_load(b + p * b_stride + j * W) : v_load_n(b + p * b_stride + j * W, last);
        }
#pragma GCC unroll 8
        for (int i = 0; i < m; i++) {
            V in = v_set(a[i * a_row + p * a_depth]);
#pragma GCC unroll 4
            for (int j = 0; j < nv; j++) {
                sums[i][j] = v_fma(in, row[j], sums[i][j]);
            }
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < m; i++) {
#pragma GCC unroll 4
        for (int j = 0; j < nv; j++) {
            float *to = c + i * c_stride + j * W;
            if (whole) {
                v_store(to, sums[i][j]);
            } else {
                v_store_n(to, sums[i][j], last);
            }
        }
    }
}

static inline __attribute__((always_inline)) void SIMD(mm_strip)(float *c, int64_t c_stride, const float *a,
                                                                 int64_t a_row, int64_t a_depth, const float *b,
                                                                 int64_t b_stride, int64_t m, int nv, int64_t last,
                                                                 bool whole, int64_t depth, bool add) {
    int64_t i = 0;
    for (; i + MM_ROWS <= m; i += MM_ROWS) {
        SIMD(mm_block)
        (c + i * c_stride, c_stride, a + i * a_row, a_row, a_depth, b, b_stride, MM_ROWS, nv, last, whole, depth, add);
    }
    for (; i + 2 <= m; i += 2) {
        SIMD(mm_block)
        (c + i * c_stride, c_stride, a + i * a_row, a_row, a_depth, b, b_stride, 2, nv, last, whole, depth, add);
    }
    if (i < m) {
        SIMD(mm_block)
        (c + i * c_stride, c_stride, a + i * a_row, a_row, a_depth, b, b_stride, 1, nv, last, whole, depth, add);
    }
}

/* c[m, n] (+)= a[m, depth] b[depth, n]; an element's sum runs over depth in order, begun with c or 0. */
static void SIMD(small_product)(float *c, int64_t c_stride, const float *a, int64_t a_row, int64_t a_depth,
                                const float *b, int64_t b_stride, int64_t m, int64_t n, int64_t depth, bool add) {
    int64_t j = 0;
    for (; j + MM_VECTORS * W <= n; j += MM_VECTORS * W) {
        SIMD(mm_strip)(c + j, c_stride, a, a_row, a_depth, b + j, b_stride, m, MM_VECTORS, W, true, depth, add);
    }
    for (; j + W <= n; j += W) {
        SIMD(mm_strip)(c + j, c_stride, a, a_row, a_depth, b + j, b_stride, m, 1, W, true, depth, add);
    }
    if (j < n) {
        SIMD(mm_strip)(c + j, c_stride, a, a_row, a_depth, b + j, b_stride, m, 1, n - j, false, depth, add);
    }
}

/* out[width, ATTENTION_LANES] from the lanes' vectors in[lane][width]; lanes that are not there become 0. */
static void SIMD(turn_lanes)(float *out, const float *const *in, int64_t lanes, int64_t width) {
    V rows[W];
    for (int64_t lane = 0; lane < ATTENTION_LANES && lane < lanes + W - 1; lane += W) {
        for (int64_t i = 0; i < width; i += W) {
            for (int64_t j = 0; j < W; j++) {
                rows[j] = lane + j < lanes ? v_load_n(in[lane + j] + i, width - i) : v_zero();
            }
            v_transpose(rows);
            for (int64_t j = 0; j < W && i + j < width; j++) {
                v_store(out + (i + j) * ATTENTION_LANES + lane, rows[j]);
            }
        }
    }
}

/* The score of a seen key after scale, softcap and bias; *slope gets its derivative by q . k, or what the rule takes
 * for it. */
static inline V SIMD(score)(const AttentionTile *tile, V product, int64_t key, int64_t lane, V *slope) {
    V scale = v_set(tile->scale);
    V score = v_mul(product, scale);
    *slope = scale;
    if (tile->softcap > 0.0F) {
        V t = SIMD(tanh)(v_div(score, v_set(tile->softcap)));
        V raw = v_div(score, v_set(tile->softcap));
        V ratio = v_if_less(v_abs(raw), v_set(1e-10F), v_set(1.0F), v_div(t, raw));
        score = v_mul(v_set(tile->softcap), t);
        *slope = v_mul(scale, tile->ratio ? ratio : v_fnma(t, t, v_set(1.0F)));
    }
    if (tile->slopes != NULL && tile->slopes_bf16) {
        V place = v_widen(v_narrow(v_set((float)(tile->first_key + key))));
        V bias = v_mul(v_load(tile->slopes + lane), place);
        score = v_fma(scale, v_widen(v_narrow(bias)), score);
    } else if (tile->slopes != NULL) {
        V distance = v_sub(v_set((float)(tile->first_key + key)), v_load(tile->order + lane));
        score = v_fma(v_load(tile->slopes + lane), distance, score);
    }
    return score;
}

static void SIMD(attention_probabilities)(const AttentionTile *tile) {
    V hidden = v_set(-__builtin_inff());
    for (int64_t lane = 0; lane < tile->lanes; lane += W) {
        V old = v_load(tile->max + lane);
        V max = old;
        for (int64_t key = 0; key < tile->keys; key++) {
            float *place = tile->scores + key * ATTENTION_LANES + lane;
            V slope;
            V score = SIMD(score)(tile, v_load(place), key, lane, &slope);
            if (tile->masked) {
                score = SIMD(mask)(tile, score, key, lane);
            }
            v_store(place, score);
            max = v_max(score, max);
        }
        V base = v_if_less(hidden, max, max, v_zero()); /* no key seen yet: any finite number */
        V factor = SIMD(exp_normal)(v_sub(old, base));
        V sum = v_zero();
        for (int64_t key = 0; key < tile->keys; key++) {
            float *place = tile->scores + key * ATTENTION_LANES + lane;
            V p = SIMD(exp_normal)(v_sub(v_load(place), base));
            v_store(place, p);
            sum = v_add(sum, p);
        }
        v_store(tile->max + lane, max);
        v_store(tile->factor + lane, factor);
        v_store(tile->sum + lane, v_fma(v_load(tile->sum + lane), factor, sum));
    }
}

/* out[lanes, width] *= factor[lane] */
static void SIMD(attention_rescale)(float *out, const float *factor, int64_t lanes, int64_t width) {
    for (int64_t lane = 0; lane < lanes; lane++, out += width) {
        if (factor[lane] == 1.0F) {
            continue;
        }
        V by = v_set(factor[lane]);
        for (int64_t i = 0; i < width; i += W) {
            v_store_n(out + i, v_mul(v_load_n(out + i, width - i), by), width - i);
        }
    }
}

/* out[width] = sums / sum; 0 where sum is 0: no key was seen */
static void SIMD(attention_divide)(float *out, const float *sums, float sum, int64_t width) {
    V by = v_set(sum);
    for (int64_t i = 0; i < width; i += W) {
        V value = sum == 0.0F ? v_zero() : v_div(v_load_n(sums + i, width - i), by);
        v_store_n(out + i, value, width - i);
    }
}

/* scores -> probabilities, grad (d loss / d probability) -> d loss / d (q . k) */
static void SIMD(attention_gradients)(const AttentionTile *tile) {
    V share = v_set(tile->share);
    for (int64_t lane = 0; lane < tile->lanes; lane += W) {
        V lse = v_load(tile->max + lane);
        V mean = v_load(tile->sum + lane);
        for (int64_t key = 0; key < tile->keys; key++) {
            float *place = tile->scores + key * ATTENTION_LANES + lane;
            V slope;
            V score = SIMD(score)(tile, v_load(place), key, lane, &slope);
            if (tile->masked) {
                score = SIMD(mask)(tile, score, key, lane);
            }
            V p = SIMD(exp_normal)(v_sub(score, lse));
            v_store(place, p);
            if (tile->grad != NULL) {
                float *grad = tile->grad + key * ATTENTION_LANES + lane;
                v_store(grad, v_mul(v_mul(p, v_mul(slope, share)), v_sub(v_load(grad), mean)));
            }
        }
    }
}
