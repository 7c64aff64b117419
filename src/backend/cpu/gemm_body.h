/* f32 products from packed panels. A panel is GEMM_DEPTH x (2 W) of w, f32, zeros where w ends. */

enum { PANEL = 2 * W, TILE_ROWS = W == 16 ? 14 : 6, FEW_ROWS = 4 };

/* W rows of w as they lie, W floats of each (2 W bf16); zeros where w ends. */
static inline __attribute__((always_inline)) void SIMD(load_rows)(V rows[W], const char *w, int64_t row_bytes,
                                                                  int64_t there) {
    if (there >= W) { /* nearly always; stays in registers */
#pragma GCC unroll 16
        for (int64_t j = 0; j < W; j++) {
            rows[j] = v_load((const float *)(const void *)(w + j * row_bytes));
        }
        return;
    }
    for (int64_t j = 0; j < W; j++) {
        rows[j] = j < there ? v_load((const float *)(const void *)(w + j * row_bytes)) : v_zero();
    }
}

/* w[p, j] with p contiguous in memory: rows of w turned by blocks of W x W. */
static void SIMD(pack_turned)(float *panel, const char *w, bool bf16, int64_t n_stride, int64_t depth, int64_t n) {
    int64_t size = bf16 ? 2 : 4;
    int64_t row_bytes = n_stride * size;
    int64_t step = bf16 ? 2 * W : W;
    for (int64_t j0 = 0; j0 < PANEL; j0 += W, w += W * row_bytes) {
        V rows[W];
        int64_t p = 0;
        for (; p + step <= depth; p += step) {
            SIMD(load_rows)(rows, w + p * size, row_bytes, n - j0);
            v_transpose(rows);
#pragma GCC unroll 16
            for (int64_t i = 0; i < W; i++) {
                if (bf16) {
                    v_store(panel + (p + 2 * i) * PANEL + j0, v_pair_first(rows[i]));
                    v_store(panel + (p + 2 * i + 1) * PANEL + j0, v_pair_second(rows[i]));
                } else {
                    v_store(panel + (p + i) * PANEL + j0, rows[i]);
                }
            }
        }
        for (; p < depth; p += W) {
            for (int64_t j = 0; j < W; j++) {
                const char *row = w + j * row_bytes + p * size;
                if (j0 + j >= n) {
                    rows[j] = v_zero();
                } else if (bf16) {
                    rows[j] = v_load_bf16_n(row, depth - p);
                } else {
                    rows[j] = v_load_n((const float *)(const void *)row, depth - p);
                }
            }
            v_transpose(rows);
            for (int64_t i = 0; i < W && p + i < depth; i++) {
                v_store(panel + (p + i) * PANEL + j0, rows[i]);
            }
        }
    }
}

/* w[p, j] with j contiguous in memory. */
static void SIMD(pack_straight)(float *panel, const char *w, bool bf16, int64_t k_stride, int64_t depth, int64_t n) {
    for (int64_t p = 0; p < depth; p++) {
        const char *row = w + p * k_stride * (bf16 ? 2 : 4);
        float *out = panel + p * PANEL;
        const float *floats = (const float *)(const void *)row;
        if (n >= PANEL) {
            v_store(out, bf16 ? v_load_bf16(row) : v_load(floats));
            v_store(out + W, bf16 ? v_load_bf16(row + 2 * W) : v_load(floats + W));
        } else {
            bool wide = n > W;
            v_store(out, bf16 ? v_load_bf16_n(row, n) : v_load_n(floats, n));
            v_store(out + W, !wide ? v_zero() : bf16 ? v_load_bf16_n(row + 2 * W, n - W) : v_load_n(floats + W, n - W));
        }
    }
}

static void SIMD(gemm_pack)(float *panel, const void *w, bool bf16, int64_t k_stride, int64_t n_stride, int64_t depth,
                            int64_t n) {
    if (k_stride == 1) {
        SIMD(pack_turned)(panel, w, bf16, n_stride, depth, n);
    } else {
        SIMD(pack_straight)(panel, w, bf16, k_stride, depth, n);
    }
}

/* x[rows, depth] as [depth, TILE_ROWS], zeros in the rows that are not there. */
static void SIMD(gemm_turn_rows)(float *out, const float *x, int64_t x_stride, int64_t rows, int64_t depth) {
    V turned[W];
    for (int64_t p = 0; p < depth; p += W) {
        for (int64_t i = 0; i < W; i++) {
            turned[i] = i < rows ? v_load_n(x + i * x_stride + p, depth - p) : v_zero();
        }
        v_transpose(turned);
        for (int64_t i = 0; i < W && p + i < depth; i++) {
            v_store_n(out + (p + i) * TILE_ROWS, turned[i], TILE_ROWS);
        }
    }
}

/* One tile of rows: sums + a[depth, TILE_ROWS]^T panel[depth, PANEL] into sums, or with y's start into y. */
static inline __attribute__((always_inline)) void SIMD(gemm_tile)(float *sums, const float *a, int rows, int64_t depth,
                                                                  const float *panel, bool add, const GemmEnd *end,
                                                                  float *y) {
    V tile[TILE_ROWS][2];
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
        tile[i][0] = v_zero();
        tile[i][1] = v_zero();
    }
    for (int i = 0; y != NULL && i < rows; i++) { /* the lines of y come while the products are made */
        __builtin_prefetch(y + i * end->y_stride, 1);
        __builtin_prefetch(y + i * end->y_stride + PANEL - 1, 1);
    }
    for (int64_t p = 0; p < depth; p++) {
        if (rows <= FEW_ROWS) { /* w passes by faster than it comes by itself */
            __builtin_prefetch(panel + (p + 16) * PANEL);
            __builtin_prefetch(panel + (p + 16) * PANEL + W);
        }
        V first = v_load(panel + p * PANEL);
        V second = v_load(panel + p * PANEL + W);
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            V in = v_set(a[p * TILE_ROWS + i]);
            tile[i][0] = v_fma(in, first, tile[i][0]);
            tile[i][1] = v_fma(in, second, tile[i][1]);
        }
    }
    V start[2] = {v_zero(), v_zero()};
    if (y != NULL && end->bias != NULL) {
        start[0] = v_load(end->bias);
        start[1] = v_load(end->bias + W);
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++) {
            float *sum = sums + i * PANEL + j * W;
            V total = add ? v_add(v_load(sum), tile[i][j]) : tile[i][j];
            if (y == NULL) {
                v_store(sum, total);
            } else {
                float *out = y + i * end->y_stride + j * W;
                v_store(out, v_add(end->add ? v_load(out) : start[j], total));
            }
        }
    }
}

static void SIMD(gemm_tiles)(float *sums, const float *a, int64_t rows, int64_t depth, const float *panel, bool add,
                             const float *next, const GemmEnd *end) {
    enum { LINE = 16 }; /* floats of a cache line */
    float *y = end == NULL ? NULL : end->y;
    int64_t lines = next == NULL ? 0 : depth * PANEL / LINE;
    int64_t share = rows < TILE_ROWS ? 0 : lines / (rows / TILE_ROWS) + 1; /* brought while one tile is multiplied */
    for (; rows >= TILE_ROWS; rows -= TILE_ROWS) {
        for (int64_t i = 0; i < share && lines > 0; i++, lines--, next += LINE) {
            __builtin_prefetch(next, 0, 2);
        }
        SIMD(gemm_tile)(sums, a, TILE_ROWS, depth, panel, add, end, y);
        sums += TILE_ROWS * PANEL;
        a += TILE_ROWS * GEMM_DEPTH;
        y = y == NULL ? NULL : y + TILE_ROWS * end->y_stride;
    }
    switch (rows) {
#define CASE(count)                                                                                                    \
    case count:                                                                                                        \
        SIMD(gemm_tile)(sums, a, count, depth, panel, add, end, y);                                                    \
        break;
        CASE(1)
        CASE(2)
        CASE(3)
        CASE(4)
        CASE(5)
#if SIMD_WIDTH == 16
        CASE(6)
        CASE(7)
        CASE(8)
        CASE(9)
        CASE(10)
        CASE(11)
        CASE(12)
        CASE(13)
#endif
#undef CASE
    default:
        break;
    }
}

/* y[rows, n] = (add ? y : bias) + sums[rows, PANEL] */
static void SIMD(gemm_finish)(float *y, int64_t y_stride, const float *sums, int64_t rows, int64_t n, const float *bias,
                              bool add) {
    for (int64_t j = 0; j < n; j += W) {
        V start = bias == NULL ? v_zero() : v_load_n(bias + j, n - j);
        for (int64_t i = 0; i < rows; i++) {
            float *out = y + i * y_stride + j;
            v_store_n(out, v_add(add ? v_load_n(out, n - j) : start, v_load(sums + i * PANEL + j)), n - j);
        }
    }
}
