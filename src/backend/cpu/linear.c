/* LINEAR: y = W x + b and dx = W^T dy, with W where it lies in the file.
 *
 * Both directions are one product y[m, n] = x[m, k] w[k, n] with w a strided view. Ways to run it:
 *   - in bf16, on AMX or AVX512-BF16: tiles; on AMX also f32 results of weights of bf16 numbers, with x in three bf16
 *     parts;
 *   - AVX2 or AVX-512: our own f32 kernels, bf16 weights widened while they are packed;
 *   - no AVX2: the library.
 * The choice never looks at the number of rows, so a row has the same bits in every chunk. The library's bits depend
 * on the number of rows where k is large, which is why it is the last. */
#include "backend/cpu/linear.h"

#include <string.h>

#include "backend/cpu/gemm.h"
#include "backend/cpu/state.h"
#include "backend/cpu/tiles.h"
#include "backend/cpu/vector.h"
#include "base/integers.h"

/* How a product runs. */
typedef enum Way { WAY_TILES, WAY_VECTORS, WAY_LIBRARY } Way;

enum { EXACT_PARTS = 3 };

typedef struct Product {
    const KernelArgs *args;
    const Weight *weight;
    const Weight *bias_weight;
    float *y;       /* [m, n] */
    const float *x; /* [m, k] */
    int64_t m, k, n;
    int64_t k_stride, n_stride; /* of the weight, in elements */
    bool accumulate;
    const float *bias; /* [n] or NULL */
} Product;

/* Tiles multiply bf16: weights that are bf16, may be rounded to it, or hold nothing else (state NULL: may hold). An
 * exact product takes three of bf16: it pays on the tile unit only. */
static Way way_of(BackendState *state, Team *team, const Weight *weight, Compute compute) {
    if (vector_kernels() == NULL) {
        return WAY_LIBRARY;
    }
    if (compute == COMPUTE_BF16) {
        return tiles_unit() == TILES_NONE ? WAY_VECTORS : WAY_TILES;
    }
    if (tiles_unit() != TILES_AMX) {
        return WAY_VECTORS;
    }
    bool exact = weight->dtype == DTYPE_BF16 || state == NULL || exact_weights_has(state->exact, team, weight);
    return exact ? WAY_TILES : WAY_VECTORS;
}

static int parts_of(Compute compute) {
    return compute == COMPUTE_BF16 ? 1 : EXACT_PARTS;
}

bool cpu_linear_can(const Op *op, Compute compute, const char **why) {
    (void)compute;
    const Weight *w = &op->weights[0];
    if (w->row_stride != 1 && w->column_stride != 1) {
        *why = "neither stride of the weight is 1";
        return false;
    }
    if (vector_kernels() == NULL && w->dtype != DTYPE_F32) {
        *why = "bf16 weights need AVX2";
        return false;
    }
    return true;
}

size_t cpu_linear_scratch(const Op *op, const KernelSizes *sizes) {
    const Weight *w = &op->weights[0];
    int64_t k = sizes->backward ? w->rows : w->columns;
    int64_t n = sizes->backward ? w->columns : w->rows;
    size_t bytes = (size_t)round_up(n * 4, 64);
    switch (way_of(NULL, NULL, w, sizes->compute)) {
    case WAY_TILES: {
        size_t tiles = tiles_scratch_bytes(sizes->n_rows, k, parts_of(sizes->compute), sizes->threads);
        /* f32 weights may turn out to be no bf16 numbers */
        size_t vectors = gemm_scratch_bytes(sizes->n_rows, k, sizes->threads);
        return bytes + (w->dtype == DTYPE_BF16 || tiles > vectors ? tiles : vectors);
    }
    case WAY_VECTORS:
        return bytes + gemm_scratch_bytes(sizes->n_rows, k, sizes->threads);
    default:
        return bytes + matmul_scratch_bytes(sizes->threads);
    }
}

size_t cpu_linear_weight_bytes(BackendState *state, const Weight *weight, Compute compute, bool backward,
                               int64_t uses) {
    Gemm gemm = {.k = backward ? weight->rows : weight->columns, .n = backward ? weight->columns : weight->rows};
    switch (way_of(state, NULL, weight, compute)) {
    case WAY_TILES:
        return packs_bytes(&gemm, &tiles_layout, uses);
    case WAY_VECTORS:
        return packs_bytes(&gemm, &gemm_layout, uses);
    default:
        return 0;
    }
}

/* The bias as contiguous f32: where it lies, or copied into `copy`. */
static const float *bias_f32(const Weight *bias, float *copy) {
    if (bias->data == NULL) {
        return NULL;
    }
    if (bias->dtype == DTYPE_F32 && bias->row_stride == 1 && (uintptr_t)bias->data % sizeof(float) == 0) {
        return bias->data;
    }
    for (int64_t i = 0; i < bias->rows; i++) {
        if (bias->dtype == DTYPE_F32) {
            memcpy(&copy[i], (const char *)bias->data + i * bias->row_stride * 4, sizeof copy[i]);
        } else {
            uint16_t bits;
            memcpy(&bits, (const char *)bias->data + i * bias->row_stride * 2, sizeof bits);
            copy[i] = bf16_to_f32(bits);
        }
    }
    return copy;
}

static MatmulShape product_shape(const Product *p) {
    return (MatmulShape){.m = p->m,
                         .k = p->k,
                         .n = p->n,
                         .x_stride = p->k,
                         .y_stride = p->n,
                         .w_k_stride = p->k_stride,
                         .w_n_stride = p->n_stride,
                         .accumulate = p->accumulate,
                         .bias = p->bias != NULL};
}

static limn_status run_product(Product *p) {
    const KernelArgs *args = p->args;
    char *scratch = args->scratch;
    if (p->bias_weight != NULL) {
        p->bias = bias_f32(p->bias_weight, (float *)(void *)scratch);
    }
    scratch += round_up(p->n * 4, 64);
    Gemm gemm = {.team = args->team,
                 .m = p->m,
                 .k = p->k,
                 .n = p->n,
                 .y = p->y,
                 .y_stride = p->n,
                 .x = p->x,
                 .x_stride = p->k,
                 .w = p->weight->data,
                 .w_bf16 = p->weight->dtype == DTYPE_BF16,
                 .w_k_stride = p->k_stride,
                 .w_n_stride = p->n_stride,
                 .bias = p->bias,
                 .accumulate = p->accumulate};
    MatmulShape shape = product_shape(p);
    switch (way_of(args->state, args->team, p->weight, args->compute)) {
    case WAY_TILES:
        gemm.packed = packs_use(args->state->packs, &gemm, &tiles_layout);
        return tiles_run(&gemm, parts_of(args->compute), scratch);
    case WAY_VECTORS:
        gemm.packed = packs_use(args->state->packs, &gemm, &gemm_layout);
        return gemm_run(&gemm, scratch);
    default:
        return matmul_run(args->state->matmul, args->team, &shape, p->y, p->x, p->weight->data, p->bias, scratch);
    }
}

static Product forward_product(const KernelArgs *args, const Op *op) {
    const Weight *w = &op->weights[0];
    return (Product){.args = args,
                     .weight = w,
                     .bias_weight = op->weights[1].data != NULL ? &op->weights[1] : NULL,
                     .k = w->columns,
                     .n = w->rows,
                     .k_stride = w->column_stride,
                     .n_stride = w->row_stride};
}

static Product backward_product(const KernelArgs *args, const Op *op) {
    const Weight *w = &op->weights[0];
    return (Product){.args = args,
                     .weight = w,
                     .k = w->rows,
                     .n = w->columns,
                     .k_stride = w->row_stride,
                     .n_stride = w->column_stride};
}

limn_status cpu_linear(const KernelArgs *args) {
    Product product = forward_product(args, args->op);
    product.m = args->n_rows;
    product.x = args->in[0];
    product.y = args->out;
    return args->n_rows > 0 ? run_product(&product) : LIMN_OK;
}

limn_status cpu_linear_backward(const KernelArgs *args) {
    if (args->grad_in[0] == NULL || args->n_rows == 0) {
        return LIMN_OK;
    }
    Product product = backward_product(args, args->op);
    product.m = args->n_rows;
    product.x = args->grad_out;
    product.y = args->grad_in[0];
    product.accumulate = args->accumulate[0];
    return run_product(&product);
}

limn_status cpu_linear_prepare(BackendState *state, Team *team, const Op *op, const KernelSizes *sizes) {
    if (way_of(state, team, &op->weights[0], sizes->compute) != WAY_LIBRARY) {
        return LIMN_OK;
    }
    Product product = sizes->backward ? backward_product(NULL, op) : forward_product(NULL, op);
    product.m = sizes->n_rows;
    MatmulShape shape = product_shape(&product);
    shape.bias = !sizes->backward && op->weights[1].data != NULL;
    return matmul_prepare(state->matmul, &shape, sizes->threads);
}
