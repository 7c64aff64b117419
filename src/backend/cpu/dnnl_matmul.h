/* Matrix products by oneDNN; dnnl_matmul.c is the one file that knows the library. */
#ifndef LIMN_BACKEND_CPU_DNNL_MATMUL_H
#define LIMN_BACKEND_CPU_DNNL_MATMUL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/parallel.h"

/* The engine and the primitives made so far, by shape; shared by threads. */
typedef struct Matmul Matmul;

typedef enum MatmulIsa { MATMUL_PLAIN, MATMUL_AVX2, MATMUL_AVX512, MATMUL_AVX512_BF16, MATMUL_AMX } MatmulIsa;

/* y[m, n] = x[m, k] w[k, n] (+ bias[n]) (+ y when accumulate). x and w are f32, or both bf16; y and bias f32. */
typedef struct MatmulShape {
    int64_t m, k, n;
    int64_t x_stride; /* elements from row to row */
    int64_t y_stride;
    int64_t w_k_stride; /* one of the two is 1 */
    int64_t w_n_stride;
    int32_t bf16;
    int32_t accumulate;
    int32_t bias;
    int32_t unused; /* 0: the struct is compared byte by byte */
} MatmulShape;

limn_status matmul_new(Matmul **matmul);
void matmul_free(Matmul *matmul);

/* What the library may use here: the processor, within ONEDNN_MAX_CPU_ISA. */
MatmulIsa matmul_isa(void);
const char *matmul_describe(void);

size_t matmul_scratch_bytes(int threads);

limn_status matmul_prepare(Matmul *matmul, const MatmulShape *shape, int threads);
/* scratch: matmul_scratch_bytes of the team's threads. */
limn_status matmul_run(Matmul *matmul, Team *team, const MatmulShape *shape, float *y, const void *x, const void *w,
                       const float *bias, void *scratch);

#endif
