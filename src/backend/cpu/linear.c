/* LINEAR: y = W x + b and dx = W^T dy, with W where it lies in the file.
 *
 * Both directions are one product y[m, n] = x[m, k] w[k, n] with w a strided view. Three ways to run it:
 *   - few rows in the whole run (a decode step): stream w once, our own kernels;
 *   - x and w of one type: one product of the library, on w in place;
 *   - types that differ: w is converted tile by tile (columns of y) into scratch, so that no second copy of the
 *     model exists.
 * The choice looks at the rows of the run, never at the chunk, so a row has the same bits in every chunk. */
#include "backend/cpu/linear.h"

#include <string.h>

#include "backend/cpu/gemm.h"
#include "backend/cpu/state.h"
#include "backend/cpu/vector.h"
#include "base/parallel.h"

enum { TILE_FLOATS = 1 << 19, TILE_LEAST = 64 };

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

static int64_t round_up(int64_t value, int64_t unit) {
    return (value + unit - 1) / unit * unit;
}

static int64_t tile_columns(int64_t k, int64_t n) {
    int64_t columns = TILE_FLOATS / (k > 0 ? k : 1) / TILE_LEAST * TILE_LEAST;
    columns = columns < TILE_LEAST ? TILE_LEAST : columns;
    return columns < n ? columns : n;
}

/* Products in bf16 run where the processor multiplies bf16; elsewhere f32 is both faster and closer. */
static bool in_bf16(Compute compute) {
    return compute == COMPUTE_BF16 && matmul_has_bf16() && vector_kernels() != NULL;
}

static bool converts_weight(const Weight *weight, Compute compute) {
    return (weight->dtype == DTYPE_BF16) != in_bf16(compute);
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

size_t cpu_linear_scratch(const Op *op, Compute compute, int32_t n_rows, int32_t max_keys, bool backward) {
    (void)max_keys;
    const Weight *w = &op->weights[0];
    int64_t k = backward ? w->rows : w->columns;
    int64_t n = backward ? w->columns : w->rows;
    int64_t bytes = round_up((int64_t)matmul_scratch_bytes(), 64) + round_up(n * 4, 64);
    if (!in_bf16(compute) && vector_kernels() != NULL) {
        bytes += (int64_t)gemm_scratch_bytes(n_rows, k);
    } else if (in_bf16(compute)) {
        bytes += round_up(n_rows * k * 2, 64);
    }
    if (converts_weight(w, compute)) {
        bytes += round_up(k * tile_columns(k, n) * 4, 64);
    }
    return (size_t)bytes;
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

static MatmulShape product_shape(const Product *p, bool bf16) {
    return (MatmulShape){.m = p->m,
                         .k = p->k,
                         .n = p->n,
                         .x_stride = p->k,
                         .y_stride = p->n,
                         .w_k_stride = p->k_stride,
                         .w_n_stride = p->n_stride,
                         .bf16 = bf16,
                         .accumulate = p->accumulate,
                         .bias = p->bias != NULL};
}

typedef struct Conversion {
    const VectorKernels *vector;
    const char *in;
    char *out;
    int64_t length;    /* elements of a row */
    int64_t in_stride; /* elements from row to row; out rows follow each other */
    bool to_bf16;
} Conversion;

static limn_status convert_body(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const Conversion *c = context;
    for (int64_t row = begin; row < end; row++) {
        if (c->to_bf16) {
            c->vector->to_bf16((void *)(c->out + row * c->length * 2), (const void *)(c->in + row * c->in_stride * 4),
                               c->length);
        } else {
            c->vector->from_bf16((void *)(c->out + row * c->length * 4), c->in + row * c->in_stride * 2, c->length);
        }
    }
    return LIMN_OK;
}

static limn_status convert(void *out, const void *in, int64_t rows, int64_t length, int64_t in_stride, bool to_bf16) {
    Conversion conversion = {vector_kernels(), in, out, length, in_stride, to_bf16};
    return parallel_for(rows, 1 + 32768 / (length + 1), convert_body, &conversion);
}

/* Columns [from, from + count) of the product, w converted into `tile`. */
static limn_status run_tile(const Product *p, const void *x, bool bf16, int64_t from, int64_t count, void *tile,
                            void *scratch) {
    bool k_together = p->k_stride == 1;
    const char *w = (const char *)p->weight->data + from * p->n_stride * (p->weight->dtype == DTYPE_BF16 ? 2 : 4);
    TRY(convert(tile, w, k_together ? count : p->k, k_together ? p->k : count, k_together ? p->n_stride : p->k_stride,
                bf16));
    MatmulShape shape = product_shape(p, bf16);
    shape.n = count;
    shape.w_k_stride = k_together ? 1 : count;
    shape.w_n_stride = k_together ? p->k : 1;
    return matmul_run(p->args->state->matmul, &shape, p->y + from, x, tile, p->bias == NULL ? NULL : p->bias + from,
                      scratch, matmul_scratch_bytes());
}

static limn_status run_product(Product *p) {
    const KernelArgs *args = p->args;
    char *scratch = args->scratch;
    char *place = scratch + round_up((int64_t)matmul_scratch_bytes(), 64);
    if (p->bias_weight != NULL) {
        p->bias = bias_f32(p->bias_weight, (float *)(void *)place);
    }
    place += round_up(p->n * 4, 64);
    bool bf16 = in_bf16(args->compute);
    if (!bf16 && vector_kernels() != NULL) {
        Gemm gemm = {.m = p->m,
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
        return gemm_run(&gemm, place);
    }
    const void *x = p->x;
    if (bf16) {
        TRY(convert(place, p->x, p->m, p->k, p->k, true));
        x = place;
        place += round_up(p->m * p->k * 2, 64);
    }
    if (!converts_weight(p->weight, args->compute)) {
        MatmulShape shape = product_shape(p, bf16);
        return matmul_run(args->state->matmul, &shape, p->y, x, p->weight->data, p->bias, scratch,
                          matmul_scratch_bytes());
    }
    int64_t columns = tile_columns(p->k, p->n);
    for (int64_t from = 0; from < p->n; from += columns) {
        int64_t count = p->n - from < columns ? p->n - from : columns;
        TRY(run_tile(p, x, bf16, from, count, place, scratch));
    }
    return LIMN_OK;
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

limn_status cpu_linear_prepare(BackendState *state, const Op *op, Compute compute, int32_t n_rows, bool backward) {
    if (converts_weight(&op->weights[0], compute)) {
        return LIMN_OK;
    }
    Product product = backward ? backward_product(NULL, op) : forward_product(NULL, op);
    product.m = n_rows;
    MatmulShape shape = product_shape(&product, in_bf16(compute));
    shape.bias = !backward && op->weights[1].data != NULL;
    return matmul_prepare(state->matmul, &shape);
}
