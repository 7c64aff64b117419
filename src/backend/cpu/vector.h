/* The inner loops of the cpu backend, once for each instruction set. The bodies (*_body.h) are written in the
 * vector words of simd_*.h and compiled by vector_avx512.c and vector_avx2.c; vector_kernels() gives the set that
 * this machine runs, within what ONEDNN_MAX_CPU_ISA allows. Each element's bits depend on its row only. */
#ifndef LIMN_BACKEND_CPU_VECTOR_H
#define LIMN_BACKEND_CPU_VECTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "graph/graph.h"

enum { GEMM_DEPTH = 256 };

typedef struct VectorKernels {
    const char *name; /* "AVX-512" */

    /* gemm_body.h: y[m, n] = x[m, k] w[k, n], k in blocks of GEMM_DEPTH, n in panels of panel_columns */
    int panel_columns;
    /* panel [depth, panel_columns] from w[p, j] at w + p k_stride + j n_stride, one stride 1; zeros from column n on */
    void (*gemm_pack)(float *panel, const void *w, bool bf16, int64_t k_stride, int64_t n_stride, int64_t depth,
                      int64_t n);
    /* y[rows, n] = (add ? y : bias) + a panel; a [rows, GEMM_DEPTH]; bias [n] or NULL */
    void (*gemm_rows)(float *y, int64_t y_stride, const float *a, int64_t rows, int64_t depth, const float *panel,
                      int64_t n, const float *bias, bool add);

    /* convert_body.h */
    void (*to_bf16)(uint16_t *out, const float *in, int64_t n);
    void (*from_bf16)(float *out, const void *in, int64_t n);
} VectorKernels;

/* NULL: neither AVX2 nor AVX-512 here, or not allowed; the plain C kernels run. */
const VectorKernels *vector_kernels(void);

extern const VectorKernels vector_avx512;
extern const VectorKernels vector_avx2;

#endif
