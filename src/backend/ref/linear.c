/* LINEAR, HEAD_LINEAR, SUM_HEADS.
 *
 * One product serves both directions: the gradient of y = W x is W^T g, a product with the transposed view.
 * Each element is summed in double over blocks of columns in one fixed order, so a row has the same bits in
 * every chunk and with every number of threads. In COMPUTE_BF16 both factors (x or g, and W) are rounded to
 * bf16 first; the sum and the bias are not. */
#include "backend/ref/ref.h"

enum { TILE = 8, BLOCK = 512, LANES = 8, ROWS = 64 };

typedef struct Product {
    Team *team;
    const float *x; /* [n, columns], rows x_stride apart */
    int64_t x_stride;
    float *y; /* [n, rows], rows y_stride apart */
    int64_t y_stride;
    int64_t n;
    Weight weight; /* [rows, columns] */
    Weight bias;   /* [rows, 1], data NULL: none */
    bool accumulate;
    bool bf16;
} Product;

/* A row's columns as double; the dtype is asked once, as this is where the time goes. */
static void load_row(double *out, const Weight *weight, int64_t row, int64_t from, int64_t count) {
    int64_t step = weight->column_stride;
    int64_t first = row * weight->row_stride + from * step;
    if (weight->dtype == DTYPE_BF16) {
        const char *data = (const char *)weight->data + first * 2;
        for (int64_t k = 0; k < count; k++) {
            out[k] = (double)ref_widen_bf16(data + k * step * 2);
        }
        return;
    }
    const char *data = (const char *)weight->data + first * 4;
    for (int64_t k = 0; k < count; k++) {
        float value;
        memcpy(&value, data + k * step * 4, sizeof value);
        out[k] = (double)value;
    }
}

/* Columns [from, from + count) of TILE rows of W, zeros where the weight ends. */
static void load_tile(double tile[TILE][BLOCK], const Product *product, int64_t row, int64_t from, int64_t count,
                      int64_t padded) {
    for (int64_t i = 0; i < TILE; i++) {
        int64_t filled = row + i < product->weight.rows ? count : 0;
        load_row(tile[i], &product->weight, row + i, from, filled);
        for (int64_t k = 0; k < filled && product->bf16; k++) {
            tile[i][k] = (double)ref_round_bf16((float)tile[i][k]);
        }
        memset(tile[i] + filled, 0, sizeof(double) * (size_t)(padded - filled));
    }
}

/* a . b, with LANES partial sums; count is a multiple of LANES. */
static double dot(const double *a, const double *b, int64_t count) {
    double sum[LANES] = {0};
    for (int64_t k = 0; k < count; k += LANES) {
        for (int i = 0; i < LANES; i++) {
            sum[i] += a[k + i] * b[k + i];
        }
    }
    return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

/* Outputs [row, row + TILE) of input rows [first, first + n). */
static void product_tile(const Product *product, int64_t row, int64_t first, int64_t n) {
    double tile[TILE][BLOCK];
    double x[BLOCK];
    double sums[ROWS][TILE] = {{0}};
    for (int64_t from = 0; from < product->weight.columns; from += BLOCK) {
        int64_t count = product->weight.columns - from < BLOCK ? product->weight.columns - from : BLOCK;
        int64_t padded = (count + LANES - 1) / LANES * LANES;
        load_tile(tile, product, row, from, count, padded);
        for (int64_t r = 0; r < n; r++) {
            const float *source = product->x + (first + r) * product->x_stride + from;
            for (int64_t k = 0; k < count; k++) {
                x[k] = (double)(product->bf16 ? ref_round_bf16(source[k]) : source[k]);
            }
            memset(x + count, 0, sizeof(double) * (size_t)(padded - count));
            for (int i = 0; i < TILE; i++) {
                sums[r][i] += dot(x, tile[i], padded);
            }
        }
    }
    for (int64_t r = 0; r < n; r++) {
        float *y = product->y + (first + r) * product->y_stride;
        for (int64_t i = 0; i < TILE && row + i < product->weight.rows; i++) {
            double bias = product->bias.data != NULL ? (double)ref_weight_at(&product->bias, row + i, 0) : 0.0;
            ref_put(&y[row + i], product->accumulate, sums[r][i] + bias);
        }
    }
}

static limn_status product_tiles(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const Product *product = context;
    for (int64_t tile = begin; tile < end; tile++) {
        for (int64_t first = 0; first < product->n; first += ROWS) {
            int64_t n = product->n - first < ROWS ? product->n - first : ROWS;
            TRY(team_check(product->team));
            product_tile(product, tile * TILE, first, n);
        }
    }
    return LIMN_OK;
}

static limn_status product_run(Product *product) {
    int64_t tiles = (product->weight.rows + TILE - 1) / TILE;
    return parallel_for(product->team, tiles, 4, product_tiles, product);
}

static Weight transposed(const Weight *weight) {
    Weight turned = *weight;
    turned.rows = weight->columns;
    turned.columns = weight->rows;
    turned.row_stride = weight->column_stride;
    turned.column_stride = weight->row_stride;
    return turned;
}

limn_status ref_linear(const KernelArgs *args) {
    const Op *op = args->op;
    Product product = {.team = args->team,
                       .x = args->in[0],
                       .x_stride = ref_width(args, &op->in[0]),
                       .y = args->out,
                       .y_stride = ref_width(args, &op->out),
                       .n = args->n_rows,
                       .weight = op->weights[0],
                       .bias = op->weights[1],
                       .bf16 = args->compute == COMPUTE_BF16};
    return product_run(&product);
}

limn_status ref_linear_backward(const KernelArgs *args) {
    const Op *op = args->op;
    if (args->grad_in[0] == NULL) {
        return LIMN_OK;
    }
    Product product = {.team = args->team,
                       .x = args->grad_out,
                       .x_stride = ref_width(args, &op->out),
                       .y = args->grad_in[0],
                       .y_stride = ref_width(args, &op->in[0]),
                       .n = args->n_rows,
                       .weight = transposed(&op->weights[0]),
                       .accumulate = args->accumulate[0],
                       .bf16 = args->compute == COMPUTE_BF16};
    return product_run(&product);
}

/* W[:, h] of W [D, H * K]: a view of K columns. */
static Weight head_view(const Weight *weight, int64_t head, int64_t head_width) {
    Weight view = *weight;
    int64_t element = weight->dtype == DTYPE_BF16 ? 2 : 4;
    view.columns = head_width;
    view.data = (const char *)weight->data + head * head_width * weight->column_stride * element;
    return view;
}

limn_status ref_head_linear(const KernelArgs *args) {
    const Op *op = args->op;
    int64_t heads = op->in[0].dims[0];
    int64_t head_width = op->in[0].dims[1];
    int64_t width = op->out.dims[1]; /* D */
    for (int64_t h = 0; h < heads; h++) {
        Product product = {.team = args->team,
                           .x = args->in[0] + h * head_width,
                           .x_stride = heads * head_width,
                           .y = args->out + h * width,
                           .y_stride = heads * width,
                           .n = args->n_rows,
                           .weight = head_view(&op->weights[0], h, head_width),
                           .bf16 = args->compute == COMPUTE_BF16};
        TRY(product_run(&product));
    }
    return LIMN_OK;
}

limn_status ref_head_linear_backward(const KernelArgs *args) {
    const Op *op = args->op;
    int64_t heads = op->in[0].dims[0];
    int64_t head_width = op->in[0].dims[1];
    int64_t width = op->out.dims[1];
    if (args->grad_in[0] == NULL) {
        return LIMN_OK;
    }
    for (int64_t h = 0; h < heads; h++) {
        Weight view = head_view(&op->weights[0], h, head_width);
        Product product = {.team = args->team,
                           .x = args->grad_out + h * width,
                           .x_stride = heads * width,
                           .y = args->grad_in[0] + h * head_width,
                           .y_stride = heads * head_width,
                           .n = args->n_rows,
                           .weight = transposed(&view),
                           .accumulate = args->accumulate[0],
                           .bf16 = args->compute == COMPUTE_BF16};
        TRY(product_run(&product));
    }
    return LIMN_OK;
}

static limn_status sum_heads_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    const Weight *bias = &args->op->weights[0]; /* [D, 1] or absent */
    int64_t heads = args->op->in[0].dims[0];
    int64_t width = args->op->in[0].dims[1];
    for (int64_t r = begin; r < end; r++) {
        const float *x = args->in[0] + r * heads * width; /* [H, D] */
        float *out = args->out + r * width;               /* [D] */
        for (int64_t i = 0; i < width; i++) {
            double sum = bias->data != NULL ? (double)ref_weight_at(bias, i, 0) : 0.0;
            for (int64_t h = 0; h < heads; h++) {
                sum += (double)x[h * width + i];
            }
            out[i] = (float)sum;
        }
    }
    return LIMN_OK;
}

static limn_status sum_heads_backward_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    int64_t heads = args->op->in[0].dims[0];
    int64_t width = args->op->in[0].dims[1];
    for (int64_t r = begin; r < end; r++) {
        const float *grad = args->grad_out + r * width;     /* [D] */
        float *into = args->grad_in[0] + r * heads * width; /* [H, D] */
        for (int64_t h = 0; h < heads; h++) {
            for (int64_t i = 0; i < width; i++) {
                ref_put(&into[h * width + i], args->accumulate[0], (double)grad[i]);
            }
        }
    }
    return LIMN_OK;
}

limn_status ref_sum_heads(const KernelArgs *args) {
    return ref_over_rows(args, ref_width(args, &args->op->in[0]), sum_heads_rows);
}

limn_status ref_sum_heads_backward(const KernelArgs *args) {
    if (args->grad_in[0] == NULL) {
        return LIMN_OK;
    }
    return ref_over_rows(args, ref_width(args, &args->op->in[0]), sum_heads_backward_rows);
}
