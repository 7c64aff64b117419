/* f32 matrix products on our own kernels: see gemm.c. */
#ifndef LIMN_BACKEND_CPU_GEMM_H
#define LIMN_BACKEND_CPU_GEMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/parallel.h"

/* y[m, n] = x[m, k] w[k, n] + (accumulate ? y : bias); w f32 or bf16, a view with one stride 1. */
typedef struct Gemm {
    Team *team;
    int64_t m, k, n;
    float *y; /* rows y_stride apart */
    int64_t y_stride;
    const float *x; /* rows x_stride apart */
    int64_t x_stride;
    const void *w; /* need not be aligned */
    bool w_bf16;
    int64_t w_k_stride, w_n_stride;
    const float *bias; /* [n] or NULL; not with accumulate */
    bool accumulate;
    const void *packed; /* all of w in the layout of the product that runs (packs.h), or NULL */
} Gemm;

/* w as panels of f32, in the order gemm_run reads them. The bits of y are the same. */
extern const struct PackLayout gemm_layout;

size_t gemm_scratch_bytes(int64_t m, int64_t k, int threads);
limn_status gemm_run(const Gemm *gemm, void *scratch); /* scratch aligned to 64; vector_kernels() must exist */

#endif
