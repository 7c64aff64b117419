/* SELECT_ROWS: out[i] = in[source[i]]. args->rows is the table of output rows, args->key_rows that of all rows.
 * Backward adds each output row's gradient to its source row; a row nobody selected gets 0. */
#include "backend/ref/ref.h"

static limn_status check_source(const KernelArgs *args, int64_t row, int64_t *source) {
    *source = args->rows->source != NULL ? args->rows->source[row] : row;
    if (*source < 0 || *source >= args->key_rows->n_rows) {
        return fail(LIMN_INTERNAL, "output row %lld: source row %lld is outside 0..%d", (long long)row,
                    (long long)*source, args->key_rows->n_rows - 1);
    }
    return LIMN_OK;
}

limn_status ref_select_rows(const KernelArgs *args) {
    int64_t width = ref_width(args, &args->op->in[0]);
    for (int64_t r = args->row_begin; r < (int64_t)args->row_begin + args->n_rows; r++) {
        int64_t source;
        TRY(check_source(args, r, &source));
        memcpy(args->out + r * width, args->in[0] + source * width, sizeof(float) * (size_t)width);
    }
    return LIMN_OK;
}

limn_status ref_select_rows_backward(const KernelArgs *args) {
    int64_t width = ref_width(args, &args->op->in[0]);
    float *into = args->grad_in[0]; /* [all rows, width] */
    if (into == NULL) {
        return LIMN_OK;
    }
    if (!args->accumulate[0]) {
        memset(into, 0, sizeof(float) * (size_t)(width * args->key_rows->n_rows));
    }
    for (int64_t r = args->row_begin; r < (int64_t)args->row_begin + args->n_rows; r++) {
        int64_t source;
        TRY(check_source(args, r, &source));
        for (int64_t i = 0; i < width; i++) {
            into[source * width + i] += args->grad_out[r * width + i];
        }
    }
    return LIMN_OK;
}
