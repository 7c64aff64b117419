/* ROPE: pair (a, b) of each head turns by the angle position * inverse_freq[i]; pairs are (i, i + rotary_dims / 2),
 * or (2i, 2i + 1) when interleaved; dimensions from rotary_dims on pass through (Su et al. 2021,
 * arXiv:2104.09864). The angle is rounded to f32 before cos and sin, as the models were trained: at far positions
 * a more exact angle would be another model. Backward: the same turn the other way. */
#include <math.h>

#include "backend/ref/ref.h"

static void turn_row(const KernelArgs *args, int64_t r, const float *x, float *y, bool backward, bool accumulate) {
    const Op *op = args->op;
    int64_t heads = op->in[0].dims[0];
    int64_t width = op->in[0].dims[1];
    int64_t pairs = op->attributes.rotary_dims / 2;
    float position = (float)args->rows->position[args->row_begin + r];
    int64_t length = op->attributes.rotary_original == 0 ? 0 : row_sequence_length(args->rows, args->row_begin + r);
    for (int64_t i = 0; i < pairs; i++) {
        float angle = position * rotary_frequency(&op->attributes, length, i);
        double c = cos((double)angle) * (double)op->attributes.rotary_factor;
        double s = sin((double)angle) * (double)op->attributes.rotary_factor * (backward ? -1.0 : 1.0);
        int64_t first = op->attributes.rotary_interleaved ? 2 * i : i;
        int64_t second = op->attributes.rotary_interleaved ? 2 * i + 1 : i + pairs;
        for (int64_t h = 0; h < heads; h++) {
            double a = (double)x[h * width + first];
            double b = (double)x[h * width + second];
            ref_put(&y[h * width + first], accumulate, a * c - b * s);
            ref_put(&y[h * width + second], accumulate, b * c + a * s);
        }
    }
    for (int64_t h = 0; h < heads; h++) {
        for (int64_t i = 2 * pairs; i < width; i++) {
            ref_put(&y[h * width + i], accumulate, (double)x[h * width + i]);
        }
    }
}

static limn_status rope_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    int64_t width = ref_width(args, &args->op->out);
    for (int64_t r = begin; r < end; r++) {
        turn_row(args, r, args->in[0] + r * width, args->out + r * width, false, false);
    }
    return LIMN_OK;
}

static limn_status rope_backward_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const KernelArgs *args = context;
    int64_t width = ref_width(args, &args->op->out);
    for (int64_t r = begin; r < end; r++) {
        turn_row(args, r, args->grad_out + r * width, args->grad_in[0] + r * width, true, args->accumulate[0]);
    }
    return LIMN_OK;
}

limn_status ref_rope(const KernelArgs *args) {
    return ref_over_rows(args, ref_width(args, &args->op->out), rope_rows);
}

limn_status ref_rope_backward(const KernelArgs *args) {
    return args->grad_in[0] == NULL ? LIMN_OK
                                    : ref_over_rows(args, ref_width(args, &args->op->out), rope_backward_rows);
}
