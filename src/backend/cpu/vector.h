/* The inner loops of the cpu backend, once for each instruction set. The bodies (*_body.h) are written in the
 * vector words of simd_*.h and compiled by vector_avx512.c and vector_avx2.c; vector_kernels() gives the set that
 * this machine runs, within what ONEDNN_MAX_CPU_ISA allows. Each element's bits depend on its row only. */
#ifndef LIMN_BACKEND_CPU_VECTOR_H
#define LIMN_BACKEND_CPU_VECTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "graph/graph.h"

/* Depths multiplied at once: a panel and a tile of x stay in the first-level cache, and usual widths are multiples. */
enum { GEMM_DEPTH = 192 };

enum { ATTENTION_LANES = 64, ATTENTION_KEYS = 64 };

/* A tile of scores: up to ATTENTION_KEYS keys by up to ATTENTION_LANES lanes (a lane: one query of one head). */
typedef struct AttentionTile {
    float *scores; /* [keys, ATTENTION_LANES]: q . k in, probabilities out */
    float *grad;   /* [keys, ATTENTION_LANES], backward; NULL: probabilities only */
    int64_t keys;
    int64_t lanes;
    int64_t first_key; /* index of the tile's first key in the sequence */
    float scale;
    float softcap;          /* 0: none */
    bool masked;            /* some key of the tile is hidden from some lane */
    const uint8_t *is_key;  /* [keys], NULL: all */
    const float *least_key; /* [lanes] a lane sees keys least_key..last_key */
    const float *last_key;
    const float *order;  /* [lanes] the lane's own key index */
    const float *slopes; /* [lanes] ALiBi, or NULL */
    bool slopes_bf16;    /* the bias is scale * bf16(slope * bf16(key)), see OpAttributes */
    float *max;          /* [lanes] largest score so far; backward: log-sum-exp */
    float *sum;          /* [lanes] sum of exp(score - max) so far; backward: grad_out . out */
    float *factor;       /* [lanes] what earlier sums were multiplied by */
    bool ratio;          /* backward: the soft cap's c(x) / x in the place of its slope */
    float share;         /* backward: of the gradient that queries and keys get */
} AttentionTile;

/* Where the products of a whole panel go when its sum is done: y [rows, panel_columns] = (add ? y : bias) + sum. */
typedef struct GemmEnd {
    float *y;
    int64_t y_stride;
    const float *bias; /* [panel_columns] or NULL */
    bool add;
} GemmEnd;

typedef struct VectorKernels {
    const char *name; /* "AVX-512" */

    /* gemm_body.h: y[m, n] = x[m, k] w[k, n], k in blocks of GEMM_DEPTH, n in panels of panel_columns */
    int panel_columns;
    int tile_rows;
    /* panel [depth, panel_columns] from w[p, j] at w + p k_stride + j n_stride, one stride 1; zeros from column n on */
    void (*gemm_pack)(float *panel, const void *w, bool bf16, int64_t k_stride, int64_t n_stride, int64_t depth,
                      int64_t n);
    /* out [depth, tile_rows] from x [rows <= tile_rows, depth] */
    void (*gemm_turn_rows)(float *out, const float *x, int64_t x_stride, int64_t rows, int64_t depth);
    /* sums [rows, panel_columns] (+)= a^T panel, a [rows / tile_rows][GEMM_DEPTH, tile_rows]; with an end the total
     * goes to y, and sums are only read; `next`, the panel of the same depth multiplied after this one or NULL, comes
     * into the cache meanwhile */
    void (*gemm_tiles)(float *sums, const float *a, int64_t rows, int64_t depth, const float *panel, bool add,
                       const float *next, const GemmEnd *end);
    /* y[rows, n] = (add ? y : bias) + sums; bias [n] or NULL */
    void (*gemm_finish)(float *y, int64_t y_stride, const float *sums, int64_t rows, int64_t n, const float *bias,
                        bool add);

    /* attention_body.h */
    /* c[m, n] (+)= a[m, depth] b[depth, n], a with any strides */
    void (*small_product)(float *c, int64_t c_stride, const float *a, int64_t a_row, int64_t a_depth, const float *b,
                          int64_t b_stride, int64_t m, int64_t n, int64_t depth, bool add);
    void (*turn_lanes)(float *out, const float *const *in, int64_t lanes, int64_t width);
    void (*attention_probabilities)(const AttentionTile *tile);
    void (*attention_gradients)(const AttentionTile *tile);
    void (*attention_rescale)(float *out, const float *factor, int64_t lanes, int64_t width);
    void (*attention_divide)(float *out, const float *sums, float sum, int64_t width);

    /* activation_body.h; elements [n]; factor, b and gradients not wanted may be NULL */
    void (*activate)(Activation f, float *out, const float *x, const float *factor, int64_t n);
    void (*activate_backward)(Activation f, float *grad_x, float *grad_factor, const float *x, const float *factor,
                              const float *grad, int64_t n, bool add_x, bool add_factor, bool ratio, float share);
    void (*softcap)(float *out, const float *x, float cap, int64_t n);
    void (*add)(float *out, const float *a, const float *b, int64_t n, bool add);
    void (*multiply)(float *out, const float *a, const float *b, int64_t n, bool add);

    /* rows_body.h; a row [n] */
    float (*row_scale)(const float *x, int64_t n, float epsilon, bool centered, float *mean);
    void (*row_norm)(float *out, const float *x, int64_t n, float mean, float scale, const float *gain,
                     const float *bias);
    void (*row_norm_backward)(float *out, const float *x, const float *grad, int64_t n, float mean, float scale,
                              const float *gain, bool centered, bool constant, bool add);
    void (*row_gain)(float *out, const float *x, int64_t n, const float *gain, const float *bias, bool add);
    void (*rope_angles)(float *cosines, float *sines, float position, const float *inverse_freq, float factor,
                        int64_t pairs);
    void (*rope_turn)(float *a, float *b, const float *x, const float *y, const float *cosines, const float *sines,
                      int64_t pairs, bool add);
    float (*row_exp_sum)(const float *x, int64_t n, double *sum);
    void (*row_softmax_grad)(float *out, const float *x, int64_t n, float largest, float factor, bool add);
    /* with d = x - y, or x - largest where y is NULL */
    double (*row_cross)(const float *a, const float *x, const float *y, int64_t n, float largest);
    void (*row_cross_grad)(float *out, const float *a, const float *x, const float *y, int64_t n, float largest,
                           float factor, float center, bool add);

    /* convert_body.h */
    void (*to_bf16)(uint16_t *out, const float *in, int64_t n);
    void (*from_bf16)(float *out, const void *in, int64_t n);
} VectorKernels;

/* NULL: neither AVX2 nor AVX-512 here, or not allowed; the plain C kernels run. */
const VectorKernels *vector_kernels(void);

extern const VectorKernels vector_avx512;
extern const VectorKernels vector_avx2;

#endif
